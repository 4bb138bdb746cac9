/* What stops a restore before it begins: mount points of directories and of single files, and what is no item. */
#include "engine/obstacle.h"

#include <sys/mount.h>

#include "check.h"
#include "scratch.h"

static lrb_err err;

#define NAMES(...)                                                                                                     \
    (lrb_names) {                                                                                                      \
        (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)                \
    }

TEST(what_is_no_item_is_named_by_its_path) {
    scratch s;
    int dir;
    char place[300];
    scratch_open(&s);
    tree_make(s.target, "d/e>nowhere\n");
    CHECK_OK(lrb_fs_open_dir(AT_FDCWD, s.target, &dir, &err));
    snprintf(place, sizeof place, "%s/d/e", s.target);
    CHECK_FAILS(lrb_obstacle_foreign(dir, "d/e", &err), LRB_E_EXISTS);
    CHECK(!strcmp(err.target, place));
    close(dir);
    scratch_close(&s);
}

TEST(without_locks_that_is_said_and_what_helps) {
    scratch s;
    int dir, one, other;
    bool taken;
    scratch_open(&s);
    tree_make(s.target, "d/f=1\n");
    CHECK_OK(lrb_fs_open_dir(AT_FDCWD, s.target, &dir, &err));
    CHECK_OK(lrb_fs_open_dir(dir, "d", &one, &err));
    CHECK_OK(lrb_fs_open_dir(dir, "d", &other, &err));
    CHECK_OK(lrb_obstacle_try_lock(dir, one, &taken, &err));
    CHECK(taken);
    CHECK_OK(lrb_obstacle_try_lock(dir, other, &taken, &err));
    CHECK(!taken);
    close(one);
    close(other);
    CHECK_FAILS(lrb_obstacle_try_lock(dir, other, &taken, &err), LRB_E_IO); /* closed: as a file system without locks has it */
    CHECK(!strcmp(err.target, s.target) && strstr(err.message, "has no locks (Bad file descriptor)"));
    close(dir);
    scratch_close(&s);
}

TEST(without_a_mount_nothing_is_refused) {
    scratch s;
    int dir;
    scratch_open(&s);
    tree_make(s.target, "a=1\nd/e/f=1\nl>d\n");
    CHECK_OK(lrb_fs_open_dir(AT_FDCWD, s.target, &dir, &err));
    CHECK_OK(lrb_obstacle_mounts(dir, NAMES("a", "a/b", "d", "d/e", "d/e/f", "d/new/f", "l", "l/x", "new"), &err));
    CHECK_OK(lrb_obstacle_mounts(dir, (lrb_names){NULL, 0}, &err));
    close(dir);
    scratch_close(&s);
}

/* The mount point is named, whatever lies in it or is to be made there. */
static void refuses(int dir, lrb_names names, const char *place) {
    CHECK_FAILS(lrb_obstacle_mounts(dir, names, &err), LRB_E_UNSUPPORTED);
    CHECK(!strcmp(err.target, place) && strstr(err.message, "unmount it"));
}

/* Needs the right to mount; elsewhere there is nothing to test. */
TEST(a_mounted_directory_or_file_is_refused_by_its_path) {
    scratch s;
    int dir;
    uint64_t mount_id;
    char inner[256], file[256];
    scratch_open(&s);
    tree_make(s.target, "a=1\nd/file=1\nd/inner/x=1\n");
    snprintf(inner, sizeof inner, "%s/d/inner", s.target);
    snprintf(file, sizeof file, "%s/d/file", s.target);
    CHECK_OK(lrb_fs_open_dir(AT_FDCWD, s.target, &dir, &err));
    CHECK_OK(lrb_fs_mount_id(dir, &mount_id, &err));
    if (mount(inner, inner, NULL, MS_BIND, NULL) == 0) {
        refuses(dir, NAMES("a", "d/inner"), inner);
        refuses(dir, NAMES("d/inner/x"), inner);
        refuses(dir, NAMES("d/inner/new"), inner);
        refuses(dir, NAMES("d/inner/new/deeper"), inner);
        CHECK_OK(lrb_obstacle_mounts(dir, NAMES("a", "d", "d/file", "d/innermost"), &err));
        umount(inner);
        CHECK(mount(file, file, NULL, MS_BIND, NULL) == 0);
        refuses(dir, NAMES("a", "d", "d/file"), file);
        CHECK_FAILS(lrb_obstacle_mounted(dir, "d/file", mount_id, &err), LRB_E_UNSUPPORTED);
        CHECK_OK(lrb_obstacle_mounted(dir, "a", mount_id, &err));
        umount(file);
        CHECK_OK(lrb_obstacle_mounts(dir, NAMES("d/file", "d/inner", "d/inner/x"), &err));
    } else {
        printf("may not mount: mounts were not tested\n");
    }
    close(dir);
    scratch_close(&s);
}

int main(void) {
    RUN(what_is_no_item_is_named_by_its_path);
    RUN(without_locks_that_is_said_and_what_helps);
    RUN(without_a_mount_nothing_is_refused);
    RUN(a_mounted_directory_or_file_is_refused_by_its_path);
    return check_report();
}
