/* Names: what they stand for, what links and renames do to them, directories, and where they lie. */
#define _GNU_SOURCE 1
#include "own_directory.h"

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

static void run_all(void) {
    RUN_IN_SCRATCH(identity_tells_types_apart);
    RUN_IN_SCRATCH(every_part_of_an_identity_counts);
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
    return run_in_scratch(run_all);
}
