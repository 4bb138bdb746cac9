#define _GNU_SOURCE 1
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "check.h"

/* Every test works in a directory of its own inside this one. */
static char scratch[200];
static int dir = -1;

static int put_file(int at, const char *name, const void *bytes, size_t count, lrb_err *err) {
    int fd;
    int code = lrb_fs_create(at, name, 0600, &fd, err);
    if (code) return code;
    code = lrb_fs_write(fd, bytes, count, name, err);
    lrb_fs_close(fd);
    return code;
}

static bool file_holds(const char *name, const char *text, lrb_err *err) {
    uint8_t *bytes;
    size_t count;
    if (lrb_fs_read_file(dir, name, 1000, &bytes, &count, err)) return false;
    bool same = count == strlen(text) && !memcmp(bytes, text, count);
    lrb_free(bytes);
    return same;
}

static bool there(const char *name) {
    struct stat st;
    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The scratch directory of the running test, or a name in it. */
static bool is_place(const char *path, const char *name) {
    char wanted[sizeof scratch + 64], link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
    ssize_t length = readlink(link, wanted, sizeof scratch);
    if (length < 0) return false;
    snprintf(wanted + length, sizeof wanted - (size_t)length, "%s%s", *name ? "/" : "", name);
    return !strcmp(path, wanted);
}

static int open_descriptors(void) {
    int count = 0;
    for (int fd = 0; fd < 1024; fd++) count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* ---- opening ---- */

TEST(a_directory_is_made_once) {
    lrb_err err;
    int fd = -1;
    CHECK_OK(lrb_fs_make_dir(dir, "d", 0750, &err));
    CHECK_OK(lrb_fs_make_dir(dir, "d", 0750, &err));
    CHECK_OK(lrb_fs_open_dir(dir, "d", &fd, &err));
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    lrb_fs_close(fd);
    lrb_fs_close(-1);
    CHECK_OK(put_file(dir, "f", "", 0, &err));
    CHECK_FAILS(lrb_fs_make_dir(dir, "f", 0750, &err), LRB_E_EXISTS);
    CHECK_FAILS(lrb_fs_make_dir(dir, "none/d", 0750, &err), LRB_E_NOT_FOUND);
}

TEST(only_directories_open_as_directories) {
    lrb_err err;
    int fd;
    CHECK_OK(lrb_fs_make_dir(dir, "d", 0750, &err));
    CHECK_OK(lrb_fs_make_symlink(dir, "l", "d", &err));
    CHECK_OK(put_file(dir, "f", "", 0, &err));
    CHECK_FAILS(lrb_fs_open_dir(dir, "l", &fd, &err), LRB_E_INVALID);
    CHECK(strstr(err.message, "symbolic link") && !strcmp(err.target, "l"));
    CHECK_FAILS(lrb_fs_open_dir(dir, "f", &fd, &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_fs_open_dir(dir, "none", &fd, &err), LRB_E_NOT_FOUND);
    CHECK_FAILS(lrb_fs_open_dir(dir, "f/d", &fd, &err), LRB_E_NOT_FOUND);
}

/* A fifo without a writer would hang here if opening waited for one. */
TEST(only_regular_files_open_for_reading) {
    lrb_err err;
    int fd, before = open_descriptors();
    CHECK_OK(put_file(dir, "f", "x", 1, &err));
    CHECK_OK(lrb_fs_make_dir(dir, "d", 0750, &err));
    CHECK_OK(lrb_fs_make_symlink(dir, "l", "f", &err));
    CHECK(mkfifoat(dir, "fifo", 0600) == 0);
    CHECK_FAILS(lrb_fs_open_read(dir, "d", &fd, &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_fs_open_read(dir, "l", &fd, &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_fs_open_read(dir, "fifo", &fd, &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_fs_open_read(dir, "none", &fd, &err), LRB_E_NOT_FOUND);
    CHECK(open_descriptors() == before);
    CHECK_OK(lrb_fs_open_read(dir, "f", &fd, &err));
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    lrb_fs_close(fd);
}

TEST(creating_takes_a_free_name_only) {
    lrb_err err;
    int fd;
    lrb_identity identity;
    CHECK_OK(lrb_fs_create(dir, "f", 0440, &fd, &err));
    CHECK_OK(lrb_fs_write(fd, "text", 4, "f", &err));
    CHECK_OK(lrb_fs_identify(fd, &identity, &err));
    lrb_fs_close(fd);
    CHECK(identity.mode == 0440 && identity.size_bytes == 4 && identity.type == LRB_FILE_REGULAR);
    CHECK_FAILS(lrb_fs_create(dir, "f", 0440, &fd, &err), LRB_E_EXISTS);
    CHECK_OK(lrb_fs_make_symlink(dir, "dangling", "nowhere", &err));
    CHECK_FAILS(lrb_fs_create(dir, "dangling", 0440, &fd, &err), LRB_E_EXISTS);
    CHECK(!there("nowhere"));
}

TEST(a_path_is_opened_component_by_component) {
    lrb_err err;
    int fd, before = open_descriptors();
    CHECK_OK(lrb_fs_make_dir(dir, "d", 0750, &err));
    CHECK_OK(lrb_fs_make_dir(dir, "d/e", 0750, &err));
    CHECK_OK(put_file(dir, "d/e/f", "x", 1, &err));
    CHECK_OK(lrb_fs_make_symlink(dir, "l", "d", &err));
    const char *const opens[] = {"d/e/f", "d/./e/f"};
    for (size_t i = 0; i < 2; i++) {
        CHECK_OK(lrb_fs_open_below(dir, opens[i], &fd, &err));
        lrb_fs_close(fd);
    }
    CHECK_FAILS(lrb_fs_open_below(dir, "l/e/f", &fd, &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_fs_open_below(dir, "d/e", &fd, &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_fs_open_below(dir, "d/none/f", &fd, &err), LRB_E_NOT_FOUND);
    CHECK_FAILS(lrb_fs_open_below(dir, "d/", &fd, &err), LRB_E_NOT_FOUND);
    CHECK(open_descriptors() == before);
}

TEST(a_component_too_long_is_refused) {
    lrb_err err;
    int fd;
    char path[300];
    memset(path, 'x', sizeof path);
    memcpy(path + 296, "/f", 3);
    CHECK_FAILS(lrb_fs_open_below(dir, path, &fd, &err), LRB_E_IO);
    CHECK(err.sys_errno == ENAMETOOLONG);
}

TEST(a_duplicate_outlives_its_original) {
    lrb_err err;
    int fd, copy;
    char byte = 0;
    CHECK_OK(put_file(dir, "f", "x", 1, &err));
    CHECK_OK(lrb_fs_open_read(dir, "f", &fd, &err));
    CHECK_OK(lrb_fs_duplicate(fd, &copy, &err));
    lrb_fs_close(fd);
    CHECK(fcntl(copy, F_GETFD) & FD_CLOEXEC);
    CHECK_OK(lrb_fs_read_exact(copy, &byte, 1, 0, "f", &err));
    CHECK(byte == 'x');
    lrb_fs_close(copy);
    CHECK_FAILS(lrb_fs_duplicate(-1, &copy, &err), LRB_E_IO);
}

/* ---- identity ---- */

TEST(identity_tells_types_apart) {
    lrb_err err;
    lrb_identity f, d, l, o;
    CHECK_OK(put_file(dir, "f", "abc", 3, &err));
    CHECK_OK(lrb_fs_make_dir(dir, "d", 0750, &err));
    CHECK_OK(lrb_fs_make_symlink(dir, "l", "f", &err));
    CHECK(mkfifoat(dir, "o", 0600) == 0);
    CHECK_OK(lrb_fs_identify_at(dir, "f", &f, &err));
    CHECK_OK(lrb_fs_identify_at(dir, "d", &d, &err));
    CHECK_OK(lrb_fs_identify_at(dir, "l", &l, &err));
    CHECK_OK(lrb_fs_identify_at(dir, "o", &o, &err));
    CHECK(f.type == LRB_FILE_REGULAR && d.type == LRB_FILE_DIRECTORY);
    CHECK(l.type == LRB_FILE_SYMLINK && o.type == LRB_FILE_OTHER);
    CHECK(lrb_identity_same(&f, &f) && !lrb_identity_same(&f, &l));
    CHECK_FAILS(lrb_fs_identify_at(dir, "none", &f, &err), LRB_E_NOT_FOUND);
}

TEST(every_part_of_an_identity_counts) {
    const lrb_identity a = {1, 2, 3, 4, 5, 0600, LRB_FILE_REGULAR};
    lrb_identity b[5] = {a, a, a, a, a}, other_mode = a;
    b[0].device++;
    b[1].inode++;
    b[2].size_bytes++;
    b[3].mtime_ns++;
    b[4].ctime_ns++;
    for (int i = 0; i < 5; i++) CHECK(!lrb_identity_same(&a, &b[i]));
    other_mode.mode = 0;
    CHECK(lrb_identity_same(&a, &other_mode));
}

/* ---- reading and writing ---- */

TEST(reads_end_with_the_file) {
    lrb_err err;
    char into[10];
    size_t got = 99;
    int fd;
    CHECK_OK(put_file(dir, "f", "0123456789", 10, &err));
    CHECK_OK(lrb_fs_open_read(dir, "f", &fd, &err));
    CHECK_OK(lrb_fs_read_at(fd, into, 4, 3, &got, "f", &err));
    CHECK(got == 4 && !memcmp(into, "3456", 4));
    CHECK_OK(lrb_fs_read_at(fd, into, 10, 8, &got, "f", &err));
    CHECK(got == 2);
    CHECK_OK(lrb_fs_read_at(fd, into, 10, 1000, &got, "f", &err));
    CHECK(got == 0);
    CHECK_OK(lrb_fs_read_exact(fd, into, 10, 0, "f", &err));
    CHECK_FAILS(lrb_fs_read_exact(fd, into, 3, 8, "the item", &err), LRB_E_DAMAGED);
    CHECK(strstr(err.message, "ended early") && !strcmp(err.target, "the item"));
    CHECK_FAILS(lrb_fs_read_at(fd, into, 10, UINT64_MAX - 3, &got, "f", &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_fs_read_at(fd, into, 10, INT64_MAX, &got, "f", &err), LRB_E_INVALID);
    lrb_fs_close(fd);
}

TEST(small_files_are_read_whole) {
    lrb_err err;
    uint8_t *bytes = NULL;
    size_t count = 99;
    CHECK_OK(put_file(dir, "f", "0123456789", 10, &err));
    CHECK_OK(put_file(dir, "empty", "", 0, &err));
    CHECK_OK(lrb_fs_read_file(dir, "f", 10, &bytes, &count, &err));
    CHECK(count == 10 && !memcmp(bytes, "0123456789", 10));
    lrb_free(bytes);
    CHECK_OK(lrb_fs_read_file(dir, "empty", 0, &bytes, &count, &err));
    CHECK(count == 0 && bytes);
    lrb_free(bytes);
    CHECK_FAILS(lrb_fs_read_file(dir, "f", 9, &bytes, &count, &err), LRB_E_LIMIT);
    CHECK_FAILS(lrb_fs_read_file(dir, "none", 9, &bytes, &count, &err), LRB_E_NOT_FOUND);
}

TEST(reading_whole_survives_a_failed_allocation) {
    lrb_err err;
    uint8_t *bytes;
    size_t count;
    int before = open_descriptors();
    CHECK_OK(put_file(dir, "f", "x", 1, &err));
    lrb_mem_fail_after(0, true);
    int code = lrb_fs_read_file(dir, "f", 10, &bytes, &count, &err);
    lrb_mem_fail_after(-1, false);
    CHECK_FAILS(code, LRB_E_NOMEM);
    CHECK(open_descriptors() == before);
}

TEST(writes_land_where_they_should) {
    lrb_err err;
    int fd;
    lrb_identity identity;
    CHECK_OK(lrb_fs_create(dir, "f", 0600, &fd, &err));
    CHECK_OK(lrb_fs_write(fd, "abc", 3, "f", &err));
    CHECK_OK(lrb_fs_write(fd, "", 0, "f", &err));
    CHECK_OK(lrb_fs_write(fd, "def", 3, "f", &err));
    CHECK_OK(lrb_fs_write_at(fd, "XY", 2, 1, "f", &err));
    CHECK(file_holds("f", "aXYdef", &err));
    CHECK_OK(lrb_fs_set_size(fd, 2, "f", &err));
    CHECK(file_holds("f", "aX", &err));
    CHECK_OK(lrb_fs_set_size(fd, 1 << 20, "f", &err));
    CHECK_OK(lrb_fs_identify(fd, &identity, &err));
    CHECK(identity.size_bytes == 1 << 20);
    CHECK_FAILS(lrb_fs_set_size(fd, UINT64_MAX, "f", &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_fs_write_at(fd, "x", 1, INT64_MAX, "f", &err), LRB_E_INVALID);
    lrb_fs_start_writeback(fd);
    CHECK_OK(lrb_fs_sync_data(fd, "f", &err));
    CHECK_OK(lrb_fs_sync(fd, "f", &err));
    lrb_fs_close(fd);
}

/* A file size limit makes the kernel take part of a write and refuse the rest. */
TEST(a_short_write_is_finished_or_refused) {
    lrb_err err;
    static char bytes[8192];
    struct rlimit old, small;
    int fd;
    CHECK_OK(lrb_fs_create(dir, "f", 0600, &fd, &err));
    CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
    small = (struct rlimit){5000, old.rlim_max};
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    sigaction(SIGXFSZ, &ignore, &before);
    setrlimit(RLIMIT_FSIZE, &small);
    int code = lrb_fs_write(fd, bytes, sizeof bytes, "the file", &err);
    setrlimit(RLIMIT_FSIZE, &old);
    sigaction(SIGXFSZ, &before, NULL);
    lrb_fs_close(fd);
    CHECK_FAILS(code, LRB_E_IO);
    CHECK(err.sys_errno == EFBIG && is_place(err.target, "f"));
}

TEST(a_full_device_is_told) {
    lrb_err err;
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    CHECK(full >= 0);
    CHECK_FAILS(lrb_fs_write(full, "x", 1, "f", &err), LRB_E_NO_SPACE);
    lrb_fs_close(full);
}

TEST(wrong_descriptors_are_refused_by_name) {
    lrb_err err;
    lrb_identity identity;
    char byte;
    size_t got;
    uint64_t room;
    bool taken;
    CHECK_FAILS(lrb_fs_write(-1, "x", 1, "w", &err), LRB_E_IO);
    CHECK_FAILS(lrb_fs_read_at(-1, &byte, 1, 0, &got, "r", &err), LRB_E_IO);
    CHECK(!strcmp(err.target, "r") && err.sys_errno == EBADF);
    CHECK_FAILS(lrb_fs_sync_data(-1, "s", &err), LRB_E_IO);
    CHECK_FAILS(lrb_fs_sync(-1, "s", &err), LRB_E_IO);
    CHECK_FAILS(lrb_fs_set_size(-1, 1, "s", &err), LRB_E_IO);
    CHECK_FAILS(lrb_fs_set_attributes(-1, 0600, 1, "s", &err), LRB_E_IO);
    CHECK_FAILS(lrb_fs_identify(-1, &identity, &err), LRB_E_IO);
    CHECK_FAILS(lrb_fs_free_bytes(-1, &room, &err), LRB_E_IO);
    CHECK_FAILS(lrb_fs_try_lock(-1, &taken, &err), LRB_E_IO);
}

/* A descriptor of a path alone can be looked at; all work with it is refused. */
TEST(what_is_refused_is_named_by_its_path) {
    lrb_err err;
    char byte;
    size_t got;
    bool taken;
    CHECK_OK(put_file(dir, "f", "x", 1, &err));
    int fd = openat(dir, "f", O_PATH | O_CLOEXEC);
    for (int unlinked = 0; unlinked < 2; unlinked++) {
        const int refused[] = {
            lrb_fs_read_at(fd, &byte, 1, 0, &got, "r", &err), lrb_fs_write(fd, "x", 1, "w", &err), lrb_fs_sync(fd, "s", &err),
            lrb_fs_set_size(fd, 1, "s", &err), lrb_fs_set_attributes(fd, 0600, 1, "s", &err), lrb_fs_wait_lock(fd, "l", &err),
        };
        for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) CHECK(refused[i] == LRB_E_IO);
        CHECK(is_place(err.target, "f"));
        CHECK_FAILS(lrb_fs_try_lock(fd, &taken, &err), LRB_E_IO);
        CHECK(is_place(err.target, "f"));
        CHECK_OK(lrb_fs_unlink(dir, "f", &err));
    }
    lrb_fs_close(fd);
    CHECK_OK(lrb_fs_make_dir(dir, "d (deleted)", 0700, &err));
    CHECK_FAILS(lrb_fs_unlink(dir, "d (deleted)", &err), LRB_E_IO);
    CHECK(is_place(err.target, "d (deleted)"));
    CHECK_FAILS(lrb_fs_exchange(dir, "d (deleted)", dir, "gone", &err), LRB_E_NOT_FOUND);
    CHECK(!strcmp(err.target, "gone"));
}

TEST(places) {
    char place[300], little[8];
    int root = open("/", O_PATH | O_CLOEXEC), named = openat(dir, ".", O_PATH | O_CLOEXEC);
    CHECK(lrb_fs_place(named, NULL, place, sizeof place) && is_place(place, ""));
    CHECK(lrb_fs_place(named, ".", place, sizeof place) && is_place(place, ""));
    CHECK(lrb_fs_place(named, "n", place, sizeof place) && is_place(place, "n"));
    CHECK(lrb_fs_place(root, NULL, place, sizeof place) && !strcmp(place, "/"));
    CHECK(lrb_fs_place(root, "etc", place, sizeof place) && !strcmp(place, "/etc"));
    CHECK(!lrb_fs_place(named, NULL, little, sizeof little) && !lrb_fs_place(-1, "n", place, sizeof place));
    lrb_fs_close(root);
    lrb_fs_close(named);
}

TEST(mode_and_time_are_set) {
    const int64_t times[] = {1700000000123456789, 0, -1, -1500000000};
    lrb_err err;
    lrb_identity identity;
    int fd;
    CHECK_OK(lrb_fs_create(dir, "f", 0600, &fd, &err));
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        CHECK_OK(lrb_fs_set_attributes(fd, 0644, times[i], "f", &err));
        CHECK_OK(lrb_fs_identify(fd, &identity, &err));
        CHECK(identity.mode == 0644 && identity.mtime_ns == times[i]);
    }
    lrb_fs_close(fd);
}

TEST(a_link_has_a_time_of_its_own) {
    lrb_err err;
    lrb_identity link, file;
    CHECK_OK(put_file(dir, "f", "", 0, &err));
    CHECK_OK(lrb_fs_make_symlink(dir, "l", "f", &err));
    CHECK_OK(lrb_fs_set_link_mtime(dir, "l", -1500000000, &err));
    CHECK_OK(lrb_fs_identify_at(dir, "l", &link, &err));
    CHECK_OK(lrb_fs_identify_at(dir, "f", &file, &err));
    CHECK(link.type == LRB_FILE_SYMLINK && link.mtime_ns == -1500000000 && file.mtime_ns > 0);
    CHECK_FAILS(lrb_fs_set_link_mtime(dir, "none", 0, &err), LRB_E_NOT_FOUND);
}

TEST(an_owner_is_copied_where_allowed) {
    lrb_err err;
    struct stat st;
    int from, to;
    CHECK_OK(lrb_fs_create(dir, "from", 0600, &from, &err));
    CHECK_OK(lrb_fs_create(dir, "to", 0600, &to, &err));
    bool given_away = fchown(from, 1234, 4321) == 0; /* only root can */
    CHECK_OK(lrb_fs_copy_owner(from, to, "to", &err));
    CHECK(fstat(to, &st) == 0);
    CHECK(given_away ? st.st_uid == 1234 && st.st_gid == 4321 : st.st_uid == geteuid());
    lrb_fs_close(from);
    lrb_fs_close(to);
}

TEST(a_file_system_is_synced) {
    lrb_err err;
    CHECK_OK(lrb_fs_sync_filesystem(dir, "dir", &err));
    CHECK_FAILS(lrb_fs_sync_filesystem(-1, "dir", &err), LRB_E_IO);
}

TEST(directories_are_synced) {
    lrb_err err;
    CHECK_OK(lrb_fs_make_dir(dir, "d", 0750, &err));
    CHECK_OK(lrb_fs_sync_dir(dir, "d", &err));
    CHECK_OK(lrb_fs_sync_dir(dir, ".", &err));
    CHECK_FAILS(lrb_fs_sync_dir(dir, "none", &err), LRB_E_NOT_FOUND);
}

/* ---- names ---- */

TEST(a_link_never_replaces) {
    lrb_err err;
    CHECK_OK(put_file(dir, "a", "A", 1, &err));
    CHECK_OK(put_file(dir, "taken", "T", 1, &err));
    CHECK_OK(lrb_fs_link(dir, "a", dir, "b", &err));
    CHECK(file_holds("b", "A", &err));
    CHECK_FAILS(lrb_fs_link(dir, "a", dir, "taken", &err), LRB_E_EXISTS);
    CHECK(file_holds("taken", "T", &err));
    CHECK_FAILS(lrb_fs_link(dir, "none", dir, "c", &err), LRB_E_NOT_FOUND);
    CHECK_OK(lrb_fs_make_dir(dir, "d", 0750, &err));
    CHECK_FAILS(lrb_fs_link(dir, "d", dir, "e", &err), LRB_E_UNSUPPORTED);
    CHECK(err.target[0] == '/' && strstr(err.target, "/e")); /* an entry's number alone would not say which log */
}

TEST(a_rename_replaces) {
    lrb_err err;
    CHECK_OK(put_file(dir, "a", "A", 1, &err));
    CHECK_OK(put_file(dir, "b", "B", 1, &err));
    CHECK_OK(lrb_fs_rename(dir, "a", dir, "b", &err));
    CHECK(!there("a") && file_holds("b", "A", &err));
    CHECK_FAILS(lrb_fs_rename(dir, "a", dir, "b", &err), LRB_E_NOT_FOUND);
}

TEST(two_names_change_places) {
    lrb_err err;
    lrb_identity identity;
    CHECK_OK(put_file(dir, "a", "A", 1, &err));
    CHECK_OK(lrb_fs_make_dir(dir, "b", 0750, &err));
    int code = lrb_fs_exchange(dir, "a", dir, "b", &err);
    if (code == LRB_E_UNSUPPORTED) return; /* a file system without it says so */
    CHECK_OK(code);
    CHECK(file_holds("b", "A", &err));
    CHECK_OK(lrb_fs_identify_at(dir, "a", &identity, &err));
    CHECK(identity.type == LRB_FILE_DIRECTORY);
    CHECK_FAILS(lrb_fs_exchange(dir, "a", dir, "none", &err), LRB_E_NOT_FOUND);
    CHECK_OK(lrb_fs_make_dir(dir, "a/inner", 0750, &err));
    CHECK_FAILS(lrb_fs_exchange(dir, "a", dir, "a/inner", &err), LRB_E_UNSUPPORTED);
    CHECK(err.sys_errno == EINVAL);
}

TEST(removing_what_is_not_there_is_success) {
    lrb_err err;
    CHECK_OK(put_file(dir, "f", "", 0, &err));
    CHECK_OK(lrb_fs_unlink(dir, "f", &err));
    CHECK_OK(lrb_fs_unlink(dir, "f", &err));
    CHECK_OK(lrb_fs_make_dir(dir, "d", 0750, &err));
    CHECK_FAILS(lrb_fs_unlink(dir, "d", &err), LRB_E_IO);
    CHECK_OK(put_file(dir, "d/f", "", 0, &err));
    CHECK_FAILS(lrb_fs_remove_dir(dir, "d", &err), LRB_E_IO);
    CHECK_OK(lrb_fs_unlink(dir, "d/f", &err));
    CHECK_OK(lrb_fs_remove_dir(dir, "d", &err));
    CHECK_OK(lrb_fs_remove_dir(dir, "d", &err));
}

TEST(a_symlink_is_text) {
    lrb_err err;
    char out[8];
    size_t length;
    CHECK_OK(lrb_fs_make_symlink(dir, "l", "1234567", &err));
    CHECK_OK(lrb_fs_read_symlink(dir, "l", out, sizeof out, &length, &err));
    CHECK(length == 7 && !strcmp(out, "1234567"));
    CHECK_FAILS(lrb_fs_read_symlink(dir, "l", out, 7, &length, &err), LRB_E_LIMIT);
    CHECK_FAILS(lrb_fs_make_symlink(dir, "l", "x", &err), LRB_E_EXISTS);
    CHECK_FAILS(lrb_fs_read_symlink(dir, "none", out, sizeof out, &length, &err), LRB_E_NOT_FOUND);
}

/* ---- directories ---- */

enum { MANY = 20000 };

static int mark_name(void *arg, const char *name, lrb_err *err) {
    unsigned char *seen = arg;
    long number = strtol(name, NULL, 10);
    if (number < 0 || number >= MANY) return lrb_err_set(err, LRB_E_INTERNAL, "mark", name, "it was never made");
    seen[number]++;
    return LRB_OK;
}

TEST(every_name_is_listed_once_each_time) {
    static unsigned char seen[MANY];
    lrb_err err;
    char name[16];
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "%d", i);
        CHECK_OK(put_file(dir, name, "", 0, &err));
    }
    for (int round = 1; round <= 2; round++) {
        CHECK_OK(lrb_fs_list(dir, mark_name, seen, ".", &err));
        for (int i = 0; i < MANY; i++) CHECK(seen[i] == round);
    }
}

static int stop_at_third(void *arg, const char *name, lrb_err *err) {
    int *count = arg;
    return ++*count == 3 ? lrb_err_set(err, LRB_E_CANCELLED, "list", name, "stopped") : LRB_OK;
}

TEST(listing_stops_when_told) {
    lrb_err err;
    int count = 0, before = open_descriptors();
    for (int i = 0; i < 5; i++) CHECK_OK(put_file(dir, (char[]){(char)('a' + i), 0}, "", 0, &err));
    CHECK_FAILS(lrb_fs_list(dir, stop_at_third, &count, ".", &err), LRB_E_CANCELLED);
    CHECK(count == 3 && open_descriptors() == before);
    CHECK_FAILS(lrb_fs_list(-1, stop_at_third, &count, "gone", &err), LRB_E_IO);
    CHECK(!strcmp(err.target, "gone"));
}

TEST(a_tree_is_removed_but_not_what_it_links_to) {
    lrb_err err;
    int before = open_descriptors();
    CHECK_OK(lrb_fs_make_dir(dir, "outside", 0750, &err));
    CHECK_OK(put_file(dir, "outside/kept", "K", 1, &err));
    CHECK_OK(lrb_fs_make_dir(dir, "t", 0750, &err));
    for (int i = 0; i < 30; i++) {
        char name[64];
        snprintf(name, sizeof name, "t/d%d", i);
        CHECK_OK(lrb_fs_make_dir(dir, name, 0750, &err));
        snprintf(name, sizeof name, "t/d%d/sub", i);
        CHECK_OK(lrb_fs_make_dir(dir, name, 0550, &err));
        snprintf(name, sizeof name, "t/d%d/link", i);
        CHECK_OK(lrb_fs_make_symlink(dir, name, "../../outside", &err));
        snprintf(name, sizeof name, "t/d%d/file", i);
        CHECK_OK(put_file(dir, name, "", 0, &err));
    }
    CHECK_OK(lrb_fs_remove_tree(dir, "t", &err));
    CHECK(!there("t") && there("outside/kept") && open_descriptors() == before);
    CHECK_OK(lrb_fs_remove_tree(dir, "t", &err));
}

TEST(the_tree_may_be_a_file_or_a_link) {
    lrb_err err;
    CHECK_OK(lrb_fs_make_dir(dir, "d", 0750, &err));
    CHECK_OK(put_file(dir, "d/f", "", 0, &err));
    CHECK_OK(lrb_fs_make_symlink(dir, "l", "d", &err));
    CHECK_OK(lrb_fs_remove_tree(dir, "l", &err));
    CHECK(!there("l") && there("d/f"));
    CHECK_OK(lrb_fs_remove_tree(dir, "d/f", &err));
    CHECK(!there("d/f") && there("d"));
}

/* Directories nested `depth` deep below t/, made from the inside out so that paths stay short. */
static int make_nest(int depth, lrb_err *err) {
    int code = lrb_fs_make_dir(dir, "t", 0750, err);
    for (int i = 0; i < depth && !code; i++) {
        code = lrb_fs_make_dir(dir, "u", 0750, err);
        if (!code) code = lrb_fs_rename(dir, "t", dir, "u/x", err);
        if (!code) code = lrb_fs_rename(dir, "u", dir, "t", err);
    }
    return code;
}

TEST(a_deep_tree_is_removed) {
    lrb_err err;
    int before = open_descriptors();
    CHECK_OK(make_nest(999, &err));
    CHECK_OK(lrb_fs_remove_tree(dir, "t", &err));
    CHECK(!there("t") && open_descriptors() == before);
}

TEST(a_tree_too_deep_is_refused) {
    lrb_err err;
    int before = open_descriptors();
    CHECK_OK(make_nest(1100, &err));
    CHECK_FAILS(lrb_fs_remove_tree(dir, "t", &err), LRB_E_LIMIT);
    CHECK(open_descriptors() == before);
    for (int i = 0; i < 200; i++) { /* takes it apart from the top, for the next test's sake */
        CHECK_OK(lrb_fs_rename(dir, "t/x", dir, "u", &err));
        CHECK_OK(lrb_fs_remove_dir(dir, "t", &err));
        CHECK_OK(lrb_fs_rename(dir, "u", dir, "t", &err));
    }
    CHECK_OK(lrb_fs_remove_tree(dir, "t", &err));
}

/* ---- room and locks ---- */

TEST(mounts_are_told_apart) {
    lrb_err err;
    int process;
    uint64_t here, again, other;
    CHECK_OK(lrb_fs_open_dir(AT_FDCWD, "/proc", &process, &err));
    CHECK_OK(lrb_fs_mount_id(dir, &here, &err));
    CHECK_OK(lrb_fs_mount_id(dir, &again, &err));
    CHECK_OK(lrb_fs_mount_id(process, &other, &err));
    lrb_fs_close(process);
    CHECK(here == again && here != other);
    CHECK_OK(lrb_fs_mount_id_at(AT_FDCWD, "/proc", &again, &err));
    CHECK(again == other);
    CHECK_FAILS(lrb_fs_mount_id_at(dir, "missing", &again, &err), LRB_E_NOT_FOUND);
    CHECK_FAILS(lrb_fs_mount_id(-1, &here, &err), LRB_E_IO);
}

TEST(there_is_room) {
    lrb_err err;
    uint64_t room = 0;
    CHECK_OK(lrb_fs_free_bytes(dir, &room, &err));
    CHECK(room > 0 && room < UINT64_MAX);
}

TEST(what_a_local_file_system_is) {
    lrb_err err;
    lrb_fs_nature nature;
    CHECK_OK(lrb_fs_look_at_nature(dir, &nature, &err));
    CHECK(!nature.remote[0] && nature.locks);
    CHECK_FAILS(lrb_fs_look_at_nature(-1, &nature, &err), LRB_E_IO);
}

TEST(a_lock_has_one_holder) {
    lrb_err err;
    int first, second;
    bool taken = false;
    CHECK_OK(put_file(dir, "lock", "", 0, &err));
    CHECK_OK(lrb_fs_open_read(dir, "lock", &first, &err));
    CHECK_OK(lrb_fs_open_read(dir, "lock", &second, &err));
    CHECK_OK(lrb_fs_try_lock(first, &taken, &err));
    CHECK(taken);
    CHECK_OK(lrb_fs_try_lock(second, &taken, &err));
    CHECK(!taken);
    lrb_fs_close(first);
    CHECK_OK(lrb_fs_try_lock(second, &taken, &err));
    CHECK(taken);
    lrb_fs_close(second);
}

static void in_own_directory(void (*test)(void)) {
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
        if (check_failures != before_) printf("FAILED %s\n", #name); } while (0)

static void run_all(void) {
    RUN_IN_SCRATCH(a_directory_is_made_once);
    RUN_IN_SCRATCH(only_directories_open_as_directories);
    RUN_IN_SCRATCH(only_regular_files_open_for_reading);
    RUN_IN_SCRATCH(creating_takes_a_free_name_only);
    RUN_IN_SCRATCH(a_path_is_opened_component_by_component);
    RUN_IN_SCRATCH(a_component_too_long_is_refused);
    RUN_IN_SCRATCH(a_duplicate_outlives_its_original);
    RUN_IN_SCRATCH(identity_tells_types_apart);
    RUN_IN_SCRATCH(every_part_of_an_identity_counts);
    RUN_IN_SCRATCH(reads_end_with_the_file);
    RUN_IN_SCRATCH(small_files_are_read_whole);
    RUN_IN_SCRATCH(reading_whole_survives_a_failed_allocation);
    RUN_IN_SCRATCH(writes_land_where_they_should);
    RUN_IN_SCRATCH(a_short_write_is_finished_or_refused);
    RUN_IN_SCRATCH(a_full_device_is_told);
    RUN_IN_SCRATCH(wrong_descriptors_are_refused_by_name);
    RUN_IN_SCRATCH(what_is_refused_is_named_by_its_path);
    RUN_IN_SCRATCH(places);
    RUN_IN_SCRATCH(mode_and_time_are_set);
    RUN_IN_SCRATCH(a_link_has_a_time_of_its_own);
    RUN_IN_SCRATCH(an_owner_is_copied_where_allowed);
    RUN_IN_SCRATCH(a_file_system_is_synced);
    RUN_IN_SCRATCH(directories_are_synced);
    RUN_IN_SCRATCH(a_link_never_replaces);
    RUN_IN_SCRATCH(a_rename_replaces);
    RUN_IN_SCRATCH(two_names_change_places);
    RUN_IN_SCRATCH(removing_what_is_not_there_is_success);
    RUN_IN_SCRATCH(a_symlink_is_text);
    RUN_IN_SCRATCH(every_name_is_listed_once_each_time);
    RUN_IN_SCRATCH(listing_stops_when_told);
    RUN_IN_SCRATCH(a_tree_is_removed_but_not_what_it_links_to);
    RUN_IN_SCRATCH(the_tree_may_be_a_file_or_a_link);
    RUN_IN_SCRATCH(a_deep_tree_is_removed);
    RUN_IN_SCRATCH(a_tree_too_deep_is_refused);
    RUN_IN_SCRATCH(mounts_are_told_apart);
    RUN_IN_SCRATCH(there_is_room);
    RUN_IN_SCRATCH(what_a_local_file_system_is);
    RUN_IN_SCRATCH(a_lock_has_one_holder);
}

int main(void) {
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
