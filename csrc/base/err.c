#define _GNU_SOURCE 1
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *symbol, *python, *meaning;
} codes[LRB_CODE_COUNT] = {
    [LRB_OK] = {"OK", "", "no error"},
#define LRB_ERROR(symbol, python, meaning) [LRB_E_##symbol] = {#symbol, #python, meaning},
#include "base/err.def"
#undef LRB_ERROR
};

/* Cuts between UTF-8 characters, so that a cut message still decodes. */
static void copy_cut(char *to, size_t room, const char *from) {
    size_t count = strnlen(from, room - 1);
    if (from[count]) {
        for (int back = 0; back < 3 && count > 0 && ((unsigned char)from[count] & 0xC0) == 0x80; back++) count--;
    }
    memcpy(to, from, count);
    to[count] = '\0';
}

/* Everything is formatted aside first: arguments may point into `err` itself. */
int lrb_err_set(lrb_err *err, lrb_code code, const char *op, const char *target, const char *format, ...) {
    lrb_err next = {.code = (int)code};
    char text[sizeof next.message + 4];
    va_list args;
    va_start(args, format);
    if (vsnprintf(text, sizeof text, format, args) < 0) text[0] = '\0';
    va_end(args);
    copy_cut(next.op, sizeof next.op, op ? op : "");
    copy_cut(next.target, sizeof next.target, target ? target : "");
    copy_cut(next.message, sizeof next.message, text);
    *err = next;
    return next.code;
}

static lrb_code code_of_errno(int sys_errno) {
    switch (sys_errno) {
    case ENOSPC:
    case EDQUOT: return LRB_E_NO_SPACE;
    case ENOENT:
    case ENOTDIR: return LRB_E_NOT_FOUND;
    case EEXIST: return LRB_E_EXISTS;
    case ENOMEM: return LRB_E_NOMEM;
    default: return LRB_E_IO;
    }
}

static const char *advice_for_errno(int sys_errno) {
    switch (sys_errno) {
    case EACCES:
    case EPERM: return ": check owner and mode, and those of its parent directories (what root made, others may not read: run as one user)";
    case ESTALE: return ": it was replaced or removed on the file server; try again";
    case EMFILE: return ": raise the limit of open files (ulimit -n)";
    case EFBIG: return ": raise the limit on the size of files (ulimit -f), or use a file system that takes bigger ones";
    case EROFS: return ": it is mounted read-only";
    case EIO: return ": the device or the file server failed; the kernel's log (dmesg) may say how";
    case ENFILE: return ": the whole machine has too many files open; close some, or raise fs.file-max";
    case EMLINK: return ": the file system allows no more links, or directories, there; use one that does";
    case EXDEV: return ": the two places are on different file systems, or mounts; use one that holds both";
    case ENAMETOOLONG: return ": the file system takes no name or path so long; use a shorter one, or another file system";
    case ELOOP: return ": a symbolic link where none is followed, or too many of them; name the place itself";
    case EBUSY: return ": something uses it, or a file system is mounted there; try again when it is free";
    default: return "";
    }
}

int lrb_err_sys(lrb_err *err, int sys_errno, const char *op, const char *target) {
    char room[128];
    const char *text = strerror_r(sys_errno, room, sizeof room);
    int code = lrb_err_set(err, code_of_errno(sys_errno), op, target, "%s%s", text, advice_for_errno(sys_errno));
    err->sys_errno = sys_errno;
    return code;
}

int lrb_err_nomem(lrb_err *err, const char *op) {
    return lrb_err_set(err, LRB_E_NOMEM, op, "", "%s", lrb_code_meaning(LRB_E_NOMEM));
}

int lrb_err_context(lrb_err *err, const char *format, ...) {
    char context[sizeof err->message], text[2 * sizeof err->message + 4];
    va_list args;
    va_start(args, format);
    if (vsnprintf(context, sizeof context, format, args) < 0) context[0] = '\0';
    va_end(args);
    snprintf(text, sizeof text, "%s: %s", context, err->message);
    copy_cut(err->message, sizeof err->message, text);
    return err->code;
}

void lrb_err_clear(lrb_err *err) {
    memset(err, 0, sizeof *err);
}

bool lrb_err_is_own(const lrb_err *err) {
    switch (err->code) {
    case LRB_E_NOMEM:
    case LRB_E_CANCELLED:
    case LRB_E_INTERNAL: return true;
    default: return err->sys_errno == EMFILE || err->sys_errno == ENFILE || err->sys_errno == EACCES;
    }
}

static int known(int code) {
    return code >= LRB_OK && code < LRB_CODE_COUNT;
}

const char *lrb_code_symbol(int code) {
    return known(code) ? codes[code].symbol : "?";
}

const char *lrb_code_python(int code) {
    return known(code) ? codes[code].python : "";
}

const char *lrb_code_meaning(int code) {
    return known(code) ? codes[code].meaning : "unknown error";
}
