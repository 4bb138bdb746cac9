/* Power cuts while two processes write: one of them works to its end between any two steps of the other, so that what the
 * first made is visible to the second and not durable yet.
 *
 * LRB_POWER_STEP: the second works at every so many steps of the first (default 5; 1 is every one).
 */
#include "check.h"
#include "power.h"

static struct {
    world *w;
    disk *d;
    int (*other)(world *w, lrb_err *err);
    size_t at, seen; /* the other one works before the first one's call number `at` that changes something */
    bool done;
    int code;
} beside;

static bool changes_something(seam_kind kind) {
    return kind == SEAM_CREATE || kind == SEAM_MAKE_DIR || kind == SEAM_WRITE || kind == SEAM_SYNC || kind == SEAM_LINK ||
           kind == SEAM_RENAME || kind == SEAM_UNLINK;
}

static seam_verdict let_other_work(const seam_call *call, int *sys_errno) {
    lrb_err err;
    (void)sys_errno;
    if (beside.done || !changes_something(call->kind) || beside.seen++ < beside.at) return SEAM_PASS;
    beside.done = true;
    beside.w->within = 1;
    beside.code = beside.other(beside.w, &err);
    beside.w->within = 0;
    return SEAM_PASS;
}

static int backup(world *w, lrb_err *err) { return power_backup(w, beside.d, err); }

static int prune(world *w, lrb_err *err) {
    return world_prune(w, 0, err);
}

static int drop_and_prune(world *w, lrb_err *err) {
    int code = world_drop(w, 0, err);
    return code ? code : world_prune(w, 0, err);
}

/* One of them works between any two steps of the other, and then the power is cut. With `runs` 0 there is nothing yet. */
static void two_writers(const char *what, unsigned runs, int (*first)(world *, lrb_err *), int (*other)(world *, lrb_err *)) {
    power_count count = {0};
    int before = check_failures;
    for (size_t at = 0; check_failures == before; at += (size_t)power_setting("LRB_POWER_STEP", 5)) {
        world w;
        lrb_err err;
        world_open(&w);
        power_runs_before(&w, runs);
        world_change(&w, runs);
        disk *d = power_watch_storage(&w);
        beside = (__typeof__(beside)){.w = &w, .d = d, .other = other, .at = at};
        seam.before = let_other_work;
        CHECK_OK(first(&w, &err));
        seam.before = NULL;
        bool done = beside.done;
        CHECK(!beside.code);
        CHECK(power_cut_everywhere(&w, d, power_judge_storage, false, &count));
        disk_end(d);
        world_close(&w);
        if (!done) break;
    }
    power_report(what, &count);
}

TEST(a_backup_in_the_midst_of_another) {
    two_writers("a backup in the midst of another", 2, backup, backup);
}

TEST(a_backup_in_the_midst_of_the_first_one) {
    two_writers("a backup in the midst of the first one", 0, backup, backup);
}

TEST(a_prune_in_the_midst_of_a_backup) {
    two_writers("a prune in the midst of a backup", 4, backup, drop_and_prune);
}

TEST(a_backup_in_the_midst_of_a_prune) {
    two_writers("a backup in the midst of a prune", 4, drop_and_prune, backup);
}

TEST(a_prune_in_the_midst_of_another) {
    two_writers("a prune in the midst of another", 4, drop_and_prune, prune);
}

int main(void) {
    RUN(a_backup_in_the_midst_of_another);
    RUN(a_backup_in_the_midst_of_the_first_one);
    RUN(a_prune_in_the_midst_of_a_backup);
    RUN(a_backup_in_the_midst_of_a_prune);
    RUN(a_prune_in_the_midst_of_another);
    return check_report();
}
