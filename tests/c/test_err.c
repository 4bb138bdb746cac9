#include "base/err.h"

#include <errno.h>

#include "check.h"

TEST(set_fills_every_field) {
    lrb_err err;
    err.sys_errno = 7;
    CHECK(lrb_err_set(&err, LRB_E_LIMIT, "read", "a/b", "%d bytes were too many", 5) == LRB_E_LIMIT);
    CHECK(err.code == LRB_E_LIMIT && err.sys_errno == 0);
    CHECK(!strcmp(err.op, "read") && !strcmp(err.target, "a/b") && !strcmp(err.message, "5 bytes were too many"));
}

TEST(missing_op_and_target_are_empty) {
    lrb_err err;
    lrb_err_set(&err, LRB_E_INVALID, NULL, NULL, "no");
    CHECK(!err.op[0] && !err.target[0]);
}

TEST(long_strings_are_cut_and_terminated) {
    lrb_err err;
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    lrb_err_set(&err, LRB_E_INVALID, text, text, "%s", text);
    CHECK(strlen(err.op) == sizeof err.op - 1);
    CHECK(strlen(err.target) == sizeof err.target - 1);
    CHECK(strlen(err.message) == sizeof err.message - 1);
    lrb_err_context(&err, "%s", text);
    CHECK(strlen(err.message) == sizeof err.message - 1);
}

TEST(cuts_fall_between_characters) {
    lrb_err err;
    char text[40] = "0123456789012345678901234567"; /* 28 bytes; op holds 31 */
    strncat(text, "\xF0\x9F\x98\x80", 5);
    lrb_err_set(&err, LRB_E_INVALID, text, "", "no");
    CHECK(strlen(err.op) == 28);
    memmove(text, text + 1, strlen(text)); /* one shorter: the character just fits */
    lrb_err_set(&err, LRB_E_INVALID, text, "", "no");
    CHECK(strlen(err.op) == 31);
}

TEST(arguments_may_point_into_the_error) {
    lrb_err err;
    lrb_err_set(&err, LRB_E_IO, "read", "file", "the first");
    lrb_err_set(&err, LRB_E_DAMAGED, err.op, err.target, "then %s", err.message);
    CHECK(!strcmp(err.op, "read") && !strcmp(err.target, "file") && !strcmp(err.message, "then the first"));
}

TEST(context_goes_in_front_once) {
    lrb_err err;
    lrb_err_set(&err, LRB_E_IO, "read", "file", "it broke");
    CHECK(lrb_err_context(&err, "item %d", 3) == LRB_E_IO);
    CHECK(!strcmp(err.message, "item 3: it broke") && !strcmp(err.target, "file"));
}

TEST(errno_values_become_codes) {
    static const struct {
        int sys_errno, code;
    } table[] = {
        {ENOSPC, LRB_E_NO_SPACE}, {EDQUOT, LRB_E_NO_SPACE}, {ENOENT, LRB_E_NOT_FOUND}, {ENOTDIR, LRB_E_NOT_FOUND},
        {EEXIST, LRB_E_EXISTS},   {ENOMEM, LRB_E_NOMEM},    {EIO, LRB_E_IO},           {EACCES, LRB_E_IO},
        {ESTALE, LRB_E_IO},       {12345, LRB_E_IO},
    };
    lrb_err err;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        CHECK_FAILS(lrb_err_sys(&err, table[i].sys_errno, "open", "f"), table[i].code);
        CHECK(err.sys_errno == table[i].sys_errno && err.message[0]);
    }
}

TEST(refusals_say_what_to_do) {
    lrb_err err;
    lrb_err_sys(&err, EACCES, "open", "f");
    CHECK(strstr(err.message, "Permission denied") && strstr(err.message, "check owner and mode"));
    static const struct {
        int sys_errno;
        const char *advice;
    } table[] = {
        {ESTALE, "try again"}, {EIO, "dmesg"}, {EMLINK, "no more links"}, {EXDEV, "one that holds both"}, {ENAMETOOLONG, "a shorter one"},
        {ELOOP, "name the place itself"}, {ENFILE, "fs.file-max"}, {EBUSY, "when it is free"}, {EROFS, "read-only"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        lrb_err_sys(&err, table[i].sys_errno, "open", "f");
        CHECK(strstr(err.message, strerror(table[i].sys_errno)) == err.message && strstr(err.message, table[i].advice));
    }
}

TEST(clear_leaves_nothing) {
    lrb_err err;
    lrb_err_sys(&err, EIO, "open", "f");
    lrb_err_clear(&err);
    CHECK(err.code == LRB_OK && err.sys_errno == 0 && !err.op[0] && !err.target[0] && !err.message[0]);
}

TEST(every_code_has_a_symbol_a_class_and_a_meaning) {
    for (int code = 1; code < LRB_CODE_COUNT; code++) {
        CHECK(lrb_code_symbol(code)[0] && lrb_code_python(code)[0] && lrb_code_meaning(code)[0]);
    }
    CHECK(!strcmp(lrb_code_symbol(LRB_E_NOMEM), "NOMEM"));
    CHECK(!strcmp(lrb_code_python(LRB_E_NOMEM), "OutOfMemoryError"));
    CHECK(!strcmp(lrb_code_symbol(LRB_OK), "OK") && !lrb_code_python(LRB_OK)[0]);
}

TEST(unknown_codes_are_answered) {
    const int unknown[] = {-1, LRB_CODE_COUNT, 1 << 30};
    for (size_t i = 0; i < 3; i++) {
        CHECK(!strcmp(lrb_code_symbol(unknown[i]), "?") && !lrb_code_python(unknown[i])[0]);
        CHECK(lrb_code_meaning(unknown[i])[0]);
    }
}

TEST(what_says_nothing_about_the_object) {
    lrb_err err;
    static const int own[] = {ENOMEM, EMFILE, ENFILE, EACCES}, others[] = {EIO, ENOSPC, ENOENT, EROFS, ESTALE};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        lrb_err_sys(&err, own[i], "open", "f");
        CHECK(lrb_err_is_own(&err));
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        lrb_err_sys(&err, others[i], "open", "f");
        CHECK(!lrb_err_is_own(&err));
    }
    lrb_err_set(&err, LRB_E_CANCELLED, "", "", "stop");
    CHECK(lrb_err_is_own(&err));
    lrb_err_set(&err, LRB_E_DAMAGED, "", "", "rotten");
    CHECK(!lrb_err_is_own(&err));
}

int main(void) {
    RUN(set_fills_every_field);
    RUN(missing_op_and_target_are_empty);
    RUN(long_strings_are_cut_and_terminated);
    RUN(cuts_fall_between_characters);
    RUN(arguments_may_point_into_the_error);
    RUN(context_goes_in_front_once);
    RUN(errno_values_become_codes);
    RUN(refusals_say_what_to_do);
    RUN(clear_leaves_nothing);
    RUN(every_code_has_a_symbol_a_class_and_a_meaning);
    RUN(unknown_codes_are_answered);
    RUN(what_says_nothing_about_the_object);
    return check_report();
}
