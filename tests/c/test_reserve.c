/* The reserve, and pruning on a disk that is full.
 *
 * The full disk is a small tmpfs in a mount namespace of this process alone; where that is not allowed (an unprivileged
 * container) those tests say so and pass.
 */
#define _GNU_SOURCE 1
#include "engine/reserve.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>

#include "check.h"
#include "jobs.h"

static int append_drop(lrb_repo *repo, lrb_err *err) {
    lrb_buf payload;
    uint64_t number;
    lrb_buf_init(&payload, 4096);
    int code = lrb_field_put_text(&payload, LRB_F_SNAPSHOT_REF, "none", err);
    lrb_draft draft = {.kind = LRB_ENTRY_DROP, .payload = payload.data, .payload_length = payload.length};
    if (!code) code = lrb_reserve_append(repo, &draft, NULL, NULL, &number, err);
    lrb_buf_clear(&payload);
    return code;
}

static bool has_reserve(const shelf *s) {
    char path[512];
    shelf_path(s, "reserve", path);
    return access(path, F_OK) == 0;
}

TEST(with_room_the_reserve_is_not_touched) {
    shelf s;
    lrb_err err;
    shelf_open(&s);
    CHECK_OK(append_drop(s.repo, &err)); /* nor needed */
    lrb_reserve_fill(s.repo);
    CHECK(has_reserve(&s));
    lrb_reserve_fill(s.repo);
    CHECK_OK(append_drop(s.repo, &err));
    CHECK(has_reserve(&s) && shelf_last_number(&s) == 2);
    shelf_close(&s);
}

TEST(every_failing_allocation_is_survived) {
    shelf s;
    lrb_err err;
    shelf_open(&s);
    lrb_mem_fail_after(0, false);
    lrb_reserve_fill(s.repo);
    lrb_mem_fail_after(-1, false);
    CHECK(!has_reserve(&s));
    lrb_reserve_fill(s.repo);
    int64_t failed = 0;
    for (int code = LRB_E_NOMEM; code; failed++) {
        lrb_mem_fail_after(failed, false);
        code = append_drop(s.repo, &err);
        lrb_mem_fail_after(-1, false);
        if (code) CHECK_FAILS(code, LRB_E_NOMEM);
    }
    CHECK(failed > 1 && has_reserve(&s));
    CHECK(count_findings(&s, NULL, LRB_VERIFY_DIGESTS) == 0);
    shelf_close(&s);
}

/* ---- a full disk ---- */

static char small_disk[128];

/* Mounts 8 MiB where nobody else sees them. */
static bool mount_small_disk(void) {
    snprintf(small_disk, sizeof small_disk, "/tmp/lrb-disk-XXXXXX");
    if (!mkdtemp(small_disk)) return false;
    if (unshare(CLONE_NEWNS) && unshare(CLONE_NEWUSER | CLONE_NEWNS)) return false;
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) return false;
    if (mount("none", small_disk, "tmpfs", 0, "size=8m")) return false;
    return setenv("TMPDIR", small_disk, 1) == 0;
}

static void unmount_small_disk(void) {
    umount(small_disk);
    rmdir(small_disk);
}

/* Takes what room there is. */
static void fill_disk(const shelf *s) {
    char path[512];
    static const uint8_t zeros[4096];
    snprintf(path, sizeof path, "%s/filler", s->f.root);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    while (write(fd, zeros, sizeof zeros) > 0) continue;
    close(fd);
}

TEST(a_full_disk_costs_the_reserve_and_no_more) {
    shelf s;
    lrb_err err;
    shelf_open(&s);
    lrb_reserve_fill(s.repo);
    fill_disk(&s);
    CHECK_OK(append_drop(s.repo, &err));
    CHECK(!has_reserve(&s) && shelf_last_number(&s) == 1);
    fill_disk(&s);
    lrb_reserve_fill(s.repo);
    CHECK(!has_reserve(&s)); /* not half of one either */
    CHECK_FAILS(append_drop(s.repo, &err), LRB_E_NO_SPACE);
    CHECK(shelf_last_number(&s) == 1);
    shelf_close(&s);
}

TEST(prune_makes_room_on_a_full_disk) {
    shelf s;
    lrb_err err;
    lrb_prune_outcome out;
    char first[LRB_SNAPSHOT_ID_MAX], second[LRB_SNAPSHOT_ID_MAX];
    shelf_open(&s);
    fixture_write(s.f.source, "small", 700 << 10, 1);
    fixture_write(s.f.source, "gone", 1 << 20, 2);
    shelf_backup(&s, first); /* mostly dead later: to be repacked, for which there is no room */
    shelf_remove_source(&s, "gone");
    fixture_write(s.f.source, "dead", 1 << 20, 3);
    shelf_backup(&s, second); /* dead later */
    shelf_remove_source(&s, "dead");
    fixture_write(s.f.source, "small", 700 << 10, 1); /* at another time, so that no record of the second's body lives on */
    shelf_backup(&s, NULL);
    lrb_reserve_fill(s.repo);
    CHECK_OK(shelf_drop(&s, first, &err));
    CHECK_OK(shelf_drop(&s, second, &err));
    CHECK_OK(run_prune(&s, 0, true, true, &out, &err));
    CHECK(out.packs_repacked == 1 && out.packs_retired == 2);
    fill_disk(&s);
    CHECK_OK(run_prune(&s, 0, false, true, &out, &err));
    CHECK(!out.packs_repacked && out.packs_swept == 1 && out.bytes_freed > 1 << 20);
    CHECK(has_reserve(&s) && !shelf_files(&s, "tmp"));
    CHECK_OK(run_prune(&s, 0, false, true, &out, &err)); /* now there is room */
    CHECK(out.packs_repacked == 1 && count_findings(&s, NULL, LRB_VERIFY_DIGESTS) == 0);
    shelf_close(&s);
}

int main(void) {
    RUN(every_failing_allocation_is_survived);
    RUN(with_room_the_reserve_is_not_touched);
    if (mount_small_disk()) {
        RUN(a_full_disk_costs_the_reserve_and_no_more);
        RUN(prune_makes_room_on_a_full_disk);
        unmount_small_disk();
    } else {
        printf("not tested here, a small file system cannot be mounted: a full disk\n");
        rmdir(small_disk);
    }
    return check_report();
}
