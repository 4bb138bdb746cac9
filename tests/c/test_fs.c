/* Files: opened, made, read, written, and made durable; what is refused has a name. */
#define _GNU_SOURCE 1
#include "own_directory.h"

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

static void run_all(void) {
    RUN_IN_SCRATCH(a_directory_is_made_once);
    RUN_IN_SCRATCH(only_directories_open_as_directories);
    RUN_IN_SCRATCH(only_regular_files_open_for_reading);
    RUN_IN_SCRATCH(creating_takes_a_free_name_only);
    RUN_IN_SCRATCH(a_path_is_opened_component_by_component);
    RUN_IN_SCRATCH(a_component_too_long_is_refused);
    RUN_IN_SCRATCH(a_duplicate_outlives_its_original);
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
}

int main(void) {
    return run_in_scratch(run_all);
}
