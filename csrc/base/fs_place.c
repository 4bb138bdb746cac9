#define _GNU_SOURCE 1
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"

static const char GONE[] = " (deleted)"; /* what the kernel puts behind the path of a file without a name */

static bool has_no_name(int fd) {
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_nlink == 0;
}

bool lrb_fs_place(int fd, const char *below, char *out, size_t room) {
    char link[40], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t got = readlink(link, path, sizeof path);
    if (got <= 0 || path[0] != '/' || (size_t)got == sizeof path) return false;
    size_t length = (size_t)got, gone = sizeof GONE - 1;
    if (length > gone && !memcmp(path + length - gone, GONE, gone) && has_no_name(fd)) length -= gone;
    bool itself = !below || !strcmp(below, ".");
    int written = snprintf(out, room, "%.*s%s%s", (int)length, path, itself || length == 1 ? "" : "/", itself ? "" : below);
    return written > 0 && (size_t)written < room;
}

static int refused(int fd, const char *below, int sys_errno, const char *op, const char *target, lrb_err *err) {
    char place[sizeof err->target];
    int code = lrb_err_sys(err, sys_errno, op, target);
    if (code != LRB_E_IO && code != LRB_E_NO_SPACE) return code;
    return lrb_fs_place(fd, below, place, sizeof place) ? lrb_err_sys(err, sys_errno, op, place) : code;
}

int lrb_fs_refused(int fd, int sys_errno, const char *op, const char *target, lrb_err *err) {
    return refused(fd, NULL, sys_errno, op, target, err);
}

int lrb_fs_refused_at(int dir_fd, const char *name, int sys_errno, const char *op, lrb_err *err) {
    return name[0] == '/' ? lrb_err_sys(err, sys_errno, op, name) : refused(dir_fd, name, sys_errno, op, name, err);
}
