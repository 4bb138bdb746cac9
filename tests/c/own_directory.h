/* Tests of the file system, each in a directory of its own. Feature macros come before this is included. */
#ifndef LRB_TESTS_OWN_DIRECTORY_H
#define LRB_TESTS_OWN_DIRECTORY_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "check.h"

/* Every test works in a directory of its own inside this one. */
static char scratch[200];
static int dir = -1;

static inline int put_file(int at, const char *name, const void *bytes, size_t count, lrb_err *err) {
    int fd;
    int code = lrb_fs_create(at, name, 0600, &fd, err);
    if (code) return code;
    code = lrb_fs_write(fd, bytes, count, name, err);
    lrb_fs_close(fd);
    return code;
}

static inline bool file_holds(const char *name, const char *text, lrb_err *err) {
    uint8_t *bytes;
    size_t count;
    if (lrb_fs_read_file(dir, name, 1000, &bytes, &count, err)) return false;
    bool same = count == strlen(text) && !memcmp(bytes, text, count);
    lrb_free(bytes);
    return same;
}

static inline bool there(const char *name) {
    struct stat st;
    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The scratch directory of the running test, or a name in it. */
static inline bool is_place(const char *path, const char *name) {
    char wanted[sizeof scratch + 64], link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
    ssize_t length = readlink(link, wanted, sizeof scratch);
    if (length < 0) return false;
    snprintf(wanted + length, sizeof wanted - (size_t)length, "%s%s", *name ? "/" : "", name);
    return !strcmp(path, wanted);
}

static inline int open_descriptors(void) {
    int count = 0;
    for (int fd = 0; fd < 1024; fd++) count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static inline void in_own_directory(void (*test)(void)) {
    lrb_err err;
    int top;
    CHECK_OK(lrb_fs_open_dir(AT_FDCWD, scratch, &top, &err));
    CHECK_OK(lrb_fs_make_dir(top, "test", 0700, &err));
    CHECK_OK(lrb_fs_open_dir(top, "test", &dir, &err));
    test();
    lrb_fs_close(dir);
    CHECK_OK(lrb_fs_remove_tree(top, "test", &err));
    lrb_fs_close(top);
}

#define RUN_IN_SCRATCH(name) do { int before_ = check_failures; in_own_directory(name); check_tests++; \
        if (check_failures != before_) check_failed_tests++, printf("FAILED %s\n", #name); } while (0)

/* What a program of tests is: its main calls it. */
static inline int run_in_scratch(void (*run_all)(void)) {
    const char *parent = getenv("TMPDIR");
    lrb_err err;
    snprintf(scratch, sizeof scratch, "%s/lrb-fs-XXXXXX", parent ? parent : P_tmpdir);
    if (!mkdtemp(scratch)) {
        perror(scratch);
        return 1;
    }
    run_all();
    if (lrb_fs_remove_tree(AT_FDCWD, scratch, &err)) printf("%s: %s\n", scratch, err.message);
    return check_report();
}

#endif
