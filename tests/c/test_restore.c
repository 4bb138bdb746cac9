#include "restoring.h"

static lrb_err err;

TEST(everything_comes_back) {
    bench b;
    bench_open(&b);
    bench_fill_source(&b);
    bench_backup(&b);
    for (int durable = 0; durable < 2; durable++) {
        lrb_restore_list *list;
        wishes w = bench_wishes(&b);
        w.stage.durable = durable;
        CHECK_OK(bench_restore(&b, &w, &list, &err));
        const lrb_restore_totals *totals = lrb_restore_list_totals(list);
        CHECK(lrb_restore_list_count(list) == 12 && totals->create == 12 && !totals->same);
        CHECK(totals->needed_bytes >= 13 << 20);
        for (size_t i = 0; i < 12; i++) {
            const lrb_restored_item *item = lrb_restore_list_at(list, i);
            CHECK(item->action == LRB_RESTORE_CREATE && item->staged && lrb_restore_list_has(list, item->name));
        }
        CHECK(!strcmp(lrb_restore_list_at(list, 0)->name, "big") && lrb_restore_list_at(list, 0)->size_bytes == 5 << 20);
        CHECK(!lrb_restore_list_has(list, "bi") && !lrb_restore_list_has(list, "d/") && !lrb_restore_list_has(list, ""));
        lrb_restore_list_free(list);
        CHECK(same_trees(b.f.source, b.staging));
        bench_renew_staging(&b);
    }
    bench_close(&b);
}

TEST(the_counters_end_at_their_totals) {
    bench b;
    lrb_job *job;
    bench_open(&b);
    bench_fill_source(&b);
    bench_backup(&b);
    wishes w = bench_wishes(&b);
    CHECK_OK(lrb_restore_plan(b.repo, &w.plan, &job, &err));
    lrb_job_run(job, &b.f.worker);
    CHECK_OK(job->err.code);
    lrb_restore_list *list = lrb_restore_take(job);
    lrb_job_free(job);
    CHECK_OK(lrb_restore_stage(b.repo, list, &w.stage, &job, &err));
    lrb_job_run(job, &b.f.worker);
    CHECK_OK(job->err.code);
    CHECK(atomic_load(&job->counters.items_done) == 12 && atomic_load(&job->counters.items_total) == 12);
    CHECK(atomic_load(&job->counters.bytes_in) == atomic_load(&job->counters.bytes_total));
    CHECK(atomic_load(&job->counters.bytes_skipped) > 5 << 20);
    lrb_job_free(job); /* its list was not taken */
    bench_close(&b);
}

TEST(an_old_snapshot_comes_back_twice) {
    bench b;
    bench_open(&b);
    fixture_write(b.f.source, "f", 3 << 20, 1);
    bench_backup(&b);
    lrb_backup_outcome first = b.outcome;
    char was[512], is[512], path[512];
    fixture_path(was, b.f.root, "was");
    fixture_path(path, b.f.source, "f");
    CHECK(link(path, was) == 0 && unlink(path) == 0);
    fixture_write(b.f.source, "f", 3 << 20, 2);
    bench_backup(&b);
    b.outcome = first;
    fixture_path(is, b.staging, "f");
    for (int i = 0; i < 2; i++) {
        bench_renew_staging(&b);
        CHECK_OK(bench_restore_all(&b, &err));
        CHECK(same_file(was, is));
    }
    bench_close(&b);
}

static const lrb_restored_item *find(const lrb_restore_list *list, const char *name) {
    static const lrb_restored_item none;
    for (size_t i = 0; i < lrb_restore_list_count(list); i++)
        if (!strcmp(lrb_restore_list_at(list, i)->name, name)) return lrb_restore_list_at(list, i);
    return &none;
}

/* After the backup, everything that can be different is made different once. */
static void change_source(bench *b) {
    fixture_write(b->f.source, "d/medium", 300000, 33);      /* content */
    fixture_write(b->f.source, "small", 1001, 1);            /* size */
    fchmodat(b->source_dir, "none", 0600, 0);                /* mode */
    unlinkat(b->source_dir, "link", 0);
    if (symlinkat("elsewhere", b->source_dir, "link")) exit(2);
    unlinkat(b->source_dir, "holes", 0);                     /* gone */
    unlinkat(b->source_dir, "d/dangling", 0);
    fixture_write(b->f.source, "d/dangling", 5, 1);          /* type */
    bench_set(b, "big", 0, 1000000000);                            /* time only */
}

static void check_actions(const lrb_restore_list *list, lrb_restore_keep keep) {
    static const struct { const char *name; lrb_restore_action action; bool staged[4]; /* by lrb_restore_keep */
    } wanted[] = {
        {"big", LRB_RESTORE_SAME, {true, false, true, true}}, /* but for its time */
        {"d", LRB_RESTORE_SAME, {true, true, true, true}},
        {"d/dangling", LRB_RESTORE_REPLACE, {true, true, true, true}},
        {"d/deep/more", LRB_RESTORE_SAME, {true, false, false, true}},
        {"d/medium", LRB_RESTORE_REPLACE, {true, true, true, true}},
        {"empty", LRB_RESTORE_SAME, {true, true, true, true}},
        {"holes", LRB_RESTORE_CREATE, {true, true, true, true}},
        {"link", LRB_RESTORE_REPLACE, {true, true, true, true}},
        {"none", LRB_RESTORE_REPLACE, {true, true, true, true}},
        {"small", LRB_RESTORE_REPLACE, {true, true, true, true}},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const lrb_restored_item *item = find(list, wanted[i].name);
        if (item->action != wanted[i].action || item->staged != wanted[i].staged[keep])
            printf("%s: action %d staged %d\n", wanted[i].name, item->action, item->staged);
        CHECK(item->action == wanted[i].action && item->staged == wanted[i].staged[keep]);
    }
    const lrb_restore_totals *totals = lrb_restore_list_totals(list);
    CHECK(totals->create == 1 && totals->replace == 5 && totals->same == 6);
}

TEST(what_is_the_same_may_stay) {
    bench b;
    lrb_restore_list *list;
    struct stat st;
    bench_open(&b);
    bench_fill_source(&b);
    bench_backup(&b);
    change_source(&b);
    for (int keep = LRB_KEEP_NOTHING; keep <= LRB_KEEP_LINKED; keep++) {
        wishes w = bench_wishes(&b);
        wishes_compare(&b, &w, (lrb_restore_keep)keep);
        CHECK_OK(bench_restore(&b, &w, &list, &err));
        check_actions(list, (lrb_restore_keep)keep);
        lrb_restore_list_free(list);
        CHECK((fstatat(b.staging_dir, "big", &st, 0) == 0) == (keep != LRB_KEEP_SAME));
        CHECK(fstatat(b.staging_dir, "holes", &st, 0) == 0);
        CHECK(fstatat(b.staging_dir, "d/deep", &st, 0) == 0 && (st.st_mode & 07777) == 0555);
        CHECK(links_of(b.staging_dir, "d/deep/more") == (keep == LRB_KEEP_NOTHING ? 1 : keep == LRB_KEEP_LINKED ? 2 : 0));
        CHECK(keep == LRB_KEEP_SAME || links_of(b.staging_dir, "big") == 1); /* its time is another */
        bench_renew_staging(&b);
    }
    bench_close(&b);
}

/* Puts the snapshot, as it comes back into an empty directory, at `was`. */
static void restore_aside(bench *b, char was[512]) {
    CHECK_OK(bench_restore_all(b, &err));
    fixture_path(was, b->f.root, "was");
    CHECK(rename(b->staging, was) == 0 && mkdir(b->staging, 0755) == 0);
    bench_renew_staging(b);
}

TEST(a_tree_with_links_in_it_is_the_snapshot) {
    bench b;
    lrb_restore_list *list;
    char was[512];
    bench_open(&b);
    bench_fill_source(&b);
    bench_backup(&b);
    restore_aside(&b, was);
    change_source(&b);
    for (int durable = 0; durable < 2; durable++) {
        wishes w = bench_wishes(&b);
        wishes_compare(&b, &w, LRB_KEEP_LINKED);
        w.stage.durable = durable;
        CHECK_OK(bench_restore(&b, &w, &list, &err));
        CHECK(same_trees(was, b.staging));
        CHECK(lrb_restore_list_totals(list)->needed_bytes < 12 << 20);
        lrb_restore_list_free(list);
        bench_renew_staging(&b);
    }
    bench_close(&b);
}

/* Between the plan and the staging somebody else works on the target. */
TEST(what_changed_since_it_was_compared_is_not_linked) {
    static const char *const names[] = {"edited", "replaced", "retimed", "gone", "linked"};
    bench b;
    lrb_job *job;
    lrb_restore_list *list;
    char was[512];
    bench_open(&b);
    for (size_t i = 0; i < 5; i++) {
        fixture_write(b.f.source, names[i], 1000, i);
        bench_set(&b, names[i], 0644, 1300000000);
    }
    bench_backup(&b);
    restore_aside(&b, was);
    wishes w = bench_wishes(&b);
    wishes_compare(&b, &w, LRB_KEEP_LINKED);
    CHECK_OK(lrb_restore_plan(b.repo, &w.plan, &job, &err));
    CHECK_OK(bench_run(&b, job, &list, &err));
    CHECK(lrb_restore_list_totals(list)->exact == 5 && lrb_restore_list_totals(list)->needed_bytes == 0);
    fixture_write(b.f.source, "edited", 1000, 99);
    bench_set(&b, "edited", 0644, 1300000000); /* as a tool that hides it would */
    fixture_write(b.f.source, "another", 1000, 98);
    bench_set(&b, "another", 0644, 1300000000);
    CHECK(renameat(b.source_dir, "another", b.source_dir, "replaced") == 0);
    bench_set(&b, "retimed", 0644, 1400000000);
    CHECK(unlinkat(b.source_dir, "gone", 0) == 0);
    CHECK_OK(lrb_restore_stage(b.repo, list, &w.stage, &job, &err));
    CHECK_OK(bench_run(&b, job, &list, &err));
    lrb_restore_list_free(list);
    for (size_t i = 0; i < 4; i++) CHECK(links_of(b.staging_dir, names[i]) == 1);
    CHECK(links_of(b.staging_dir, "linked") == 2);
    CHECK(same_trees(was, b.staging));
    bench_close(&b);
}

TEST(a_plan_tells_and_writes_nothing) {
    bench b;
    lrb_restore_list *list;
    bench_open(&b);
    bench_fill_source(&b);
    bench_backup(&b);
    change_source(&b);
    wishes w = bench_wishes(&b);
    wishes_compare(&b, &w, LRB_KEEP_NOTHING);
    w.only_plan = true;
    CHECK_OK(bench_restore(&b, &w, &list, &err));
    check_actions(list, LRB_KEEP_EXACT);
    CHECK(lrb_restore_list_totals(list)->exact == 4); /* d/deep with what is in it, empty */
    CHECK(lrb_restore_list_totals(list)->needed_bytes > 6 << 20);
    lrb_restore_list_free(list);
    CHECK(rmdir(b.staging) == 0 && mkdir(b.staging, 0755) == 0);
    bench_close(&b);
}

TEST(chosen_items_only) {
    bench b;
    lrb_restore_list *list;
    struct stat st;
    bench_open(&b);
    bench_fill_source(&b);
    bench_backup(&b);
    const char *only[] = {"small", "d/deep", "d/medium", "small"}, *unknown[] = {"small", "d/dee"};
    wishes w = bench_wishes(&b);
    w.plan.only = only;
    w.plan.only_count = 4;
    CHECK_OK(bench_restore(&b, &w, &list, &err));
    CHECK(lrb_restore_list_count(list) == 5);
    lrb_restore_list_free(list);
    CHECK(fstatat(b.staging_dir, "d/deep/more", &st, 0) == 0 && fstatat(b.staging_dir, "big", &st, 0) != 0);
    w.plan.only = unknown;
    w.plan.only_count = 2;
    CHECK_FAILS(bench_restore(&b, &w, &list, &err), LRB_E_NOT_FOUND);
    CHECK(!strcmp(err.target, "d/dee"));
    w.plan.only_count = 0;
    bench_renew_staging(&b);
    w.stage.staging_dir = b.staging_dir;
    CHECK_OK(bench_restore(&b, &w, &list, &err));
    CHECK(lrb_restore_list_count(list) == 0);
    lrb_restore_list_free(list);
    bench_close(&b);
}

TEST(unknown_snapshots_and_bad_options) {
    bench b;
    lrb_job *job;
    lrb_restore_list *list;
    bench_open(&b);
    wishes w = bench_wishes(&b);
    w.plan.snapshot_id = "20200101T000000Z-00000000";
    CHECK_FAILS(bench_restore(&b, &w, &list, &err), LRB_E_NOT_FOUND);
    w.plan.snapshot_id = "an id far longer than any snapshot has ever had";
    CHECK_FAILS(bench_restore(&b, &w, &list, &err), LRB_E_INVALID);
    fixture_write(b.f.source, "f", 100, 1);
    bench_backup(&b);
    w = bench_wishes(&b);
    w.stage.staging_dir = -1;
    CHECK_FAILS(bench_restore(&b, &w, &list, &err), LRB_E_INVALID);
    w = bench_wishes(&b);
    w.stage.keep = LRB_KEEP_LINKED; /* to nothing */
    CHECK_FAILS(bench_restore(&b, &w, &list, &err), LRB_E_INVALID);
    w.stage.keep = LRB_KEEP_NOTHING;
    CHECK_OK(bench_restore(&b, &w, &list, &err));
    CHECK_FAILS(lrb_restore_stage(b.repo, list, &w.stage, &job, &err), LRB_E_INVALID); /* staged already */
    bench_close(&b);
}

/* Cancels a job after some steps. */
static void cancel_after(bench *b, lrb_job *job, int steps) {
    lrb_step next = LRB_STEP_MORE;
    for (int i = 0; i < steps && next != LRB_STEP_DONE; i++) CHECK_OK(job->ops->step(job, &b->f.worker, &next, &err));
    lrb_job_cancel(job);
    CHECK_FAILS(job->ops->step(job, &b->f.worker, &next, &err), LRB_E_CANCELLED);
    job->ops->finish(job, &b->f.worker);
    lrb_job_free(job);
}

TEST(cancelled_it_stops) {
    bench b;
    lrb_job *job;
    lrb_restore_list *list;
    bench_open(&b);
    bench_fill_source(&b);
    bench_backup(&b);
    wishes w = bench_wishes(&b);
    wishes_compare(&b, &w, LRB_KEEP_LINKED);
    for (int steps = 0; steps < 30; steps += 3) {
        CHECK_OK(lrb_restore_plan(b.repo, &w.plan, &job, &err));
        cancel_after(&b, job, steps);
        bench_renew_staging(&b);
        w.stage.staging_dir = b.staging_dir;
        CHECK_OK(lrb_restore_plan(b.repo, &w.plan, &job, &err));
        CHECK_OK(bench_run(&b, job, &list, &err));
        CHECK_OK(lrb_restore_stage(b.repo, list, &w.stage, &job, &err));
        cancel_after(&b, job, steps);
    }
    bench_close(&b);
}

TEST(survives_every_failed_allocation) {
    bench b;
    bench_open(&b);
    fixture_write(b.f.source, "small", 1000, 1);
    fixture_write(b.f.source, "big", 2 << 20, 2);
    fixture_write(b.f.source, "d", 2, 3);
    bench_backup(&b);
    for (int keep = LRB_KEEP_NOTHING; keep <= LRB_KEEP_LINKED; keep += LRB_KEEP_LINKED) {
        int failed = 0, code = LRB_E_NOMEM;
        for (; code; failed++) {
            lrb_restore_list *list = NULL;
            bench_renew_staging(&b);
            wishes w = bench_wishes(&b);
            wishes_compare(&b, &w, (lrb_restore_keep)keep);
            lrb_mem_fail_after(failed, false);
            code = bench_restore(&b, &w, &list, &err);
            lrb_mem_fail_after(-1, false);
            if (!code) lrb_restore_list_free(list);
            CHECK(!code || code == LRB_E_NOMEM);
        }
        CHECK(failed > 5 && same_trees(b.f.source, b.staging));
    }
    bench_close(&b);
}

int main(void) {
    umask(022);
    RUN(everything_comes_back);
    RUN(the_counters_end_at_their_totals);
    RUN(an_old_snapshot_comes_back_twice);
    RUN(what_is_the_same_may_stay);
    RUN(a_tree_with_links_in_it_is_the_snapshot);
    RUN(what_changed_since_it_was_compared_is_not_linked);
    RUN(a_plan_tells_and_writes_nothing);
    RUN(chosen_items_only);
    RUN(unknown_snapshots_and_bad_options);
    RUN(cancelled_it_stops);
    RUN(survives_every_failed_allocation);
    return check_report();
}
