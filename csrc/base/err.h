/* Errors: one caller-owned struct, filled once where the failure is seen.
 *
 * A function that can fail returns an `int`: 0 (LRB_OK) or an lrb_code, and fills the `lrb_err`
 * its caller passed, which is never NULL. The first detection sets it; a layer's edge may put context in
 * front of the message once; everything between passes it up untouched. No thread-local state, no
 * allocation, so reporting "out of memory" cannot itself fail. Strings longer than their field are cut.
 *
 * Messages are one sentence without a final stop, past tense, naming what happened; `target` names
 * the object (a path relative to the graph, an item name, a snapshot id; of what the system refused the whole path, lrb_fs_place).
 */
#ifndef LRB_BASE_ERR_H
#define LRB_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>

typedef enum lrb_code {
    LRB_OK = 0,
#define LRB_ERROR(symbol, python, meaning) LRB_E_##symbol,
#include "base/err.def"
#undef LRB_ERROR
    LRB_CODE_COUNT
} lrb_code;

typedef struct lrb_err {
    int code;          /* an lrb_code */
    int sys_errno;     /* errno where the operating system refused, else 0 */
    char op[32];       /* what was attempted: "open", "read", "parse", ... */
    char target[256];  /* which object */
    char message[320]; /* one sentence */
} lrb_err;

/* Fills `err` and returns `code`. */
int lrb_err_set(lrb_err *err, lrb_code code, const char *op, const char *target, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Fills `err` from a saved errno value: ENOSPC and EDQUOT are NO_SPACE, ENOENT and ENOTDIR NOT_FOUND, EEXIST
 * EXISTS, ENOMEM NOMEM, all others IO. The message is the operating system's text and, where there is something
 * to be done about it, what. Returns the code. */
int lrb_err_sys(lrb_err *err, int sys_errno, const char *op, const char *target);

/* Out of memory while doing `op`. Returns LRB_E_NOMEM. */
int lrb_err_nomem(lrb_err *err, const char *op);

/* Puts "context: " in front of the message. Returns the code already there. */
int lrb_err_context(lrb_err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

void lrb_err_clear(lrb_err *err);

/* Whether this process was short of something (memory, descriptors), may not look, was told to stop, or is at fault itself:
 * that says nothing about the object, and taking it for damaged would be wrong. EIO is a medium's answer, and says something. */
bool lrb_err_is_own(const lrb_err *err);

const char *lrb_code_symbol(int code);  /* "NOMEM"; "OK" for 0; "?" for an unknown number */
const char *lrb_code_python(int code);  /* the exception class, "OutOfMemoryError"; "" for OK and unknown */
const char *lrb_code_meaning(int code); /* the sentence of err.def */

#endif
