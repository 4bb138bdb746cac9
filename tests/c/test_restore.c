#include "restoring.h"

#include "engine/pool.h"

static lrb_err err;

static void set(const bench *b, const char *name, mode_t mode, long seconds) {
    struct timespec times[2] = {{seconds, 5}, {seconds, 123456789}};
    if (mode) fchmodat(b->source_dir, name, mode, 0);
    utimensat(b->source_dir, name, times, AT_SYMLINK_NOFOLLOW);
}

/* Everything a directory can hold: an empty file, one chunk, many chunks, holes, links, directories in directories. */
static void fill_source(bench *b) {
    mkdirat(b->source_dir, "d", 0755);
    mkdirat(b->source_dir, "d/deep", 0755);
    mkdirat(b->source_dir, "empty", 0755);
    fixture_write(b->f.source, "small", 1000, 1);
    fixture_write(b->f.source, "none", 0, 1);
    fixture_write(b->f.source, "big", 5 << 20, 2);
    fixture_write(b->f.source, "d/medium", 300000, 3);
    fixture_write(b->f.source, "d/deep/one-mebibyte", 1 << 20, 4);
    fixture_write(b->f.source, "d/deep/more", (1 << 20) + 1, 5);
    fixture_write(b->f.source, "holes", 1000, 6);
    int fd = openat(b->source_dir, "holes", O_WRONLY);
    if (ftruncate(fd, 6 << 20) || pwrite(fd, "x", 1, 3 << 20) != 1) exit(2);
    close(fd);
    if (symlinkat("small", b->source_dir, "link") || symlinkat("/nowhere/at all", b->source_dir, "d/dangling")) exit(2);
    set(b, "d/dangling", 0, 1200000000);
    set(b, "small", 0640, 1300000000);
    set(b, "big", 0400, 946684799);
    set(b, "d/deep", 0555, 1400000000);
    set(b, "d", 0750, 1500000000);
    set(b, "empty", 01777, 1600000000);
}

TEST(everything_comes_back) {
    bench b;
    bench_open(&b);
    fill_source(&b);
    bench_backup(&b);
    for (int durable = 0; durable < 2; durable++) {
        lrb_job *job;
        lrb_restore_options options = bench_options(&b);
        options.durable = durable;
        CHECK_OK(bench_restore(&b, &options, &job, &err));
        CHECK(lrb_restore_count(job) == 12);
        CHECK(lrb_restore_needed_bytes(job) >= 13 << 20);
        CHECK(atomic_load(&job->counters.items_done) == 12 && atomic_load(&job->counters.items_total) == 12);
        CHECK(atomic_load(&job->counters.bytes_in) == atomic_load(&job->counters.bytes_total));
        CHECK(atomic_load(&job->counters.bytes_skipped) > 5 << 20);
        for (size_t i = 0; i < 12; i++)
            CHECK(lrb_restore_at(job, i)->action == LRB_RESTORE_CREATE && lrb_restore_staged(job, i));
        CHECK(!strcmp(lrb_restore_at(job, 0)->name, "big") && lrb_restore_at(job, 0)->size_bytes == 5 << 20);
        lrb_job_free(job);
        CHECK(same_trees(b.f.source, b.staging));
        bench_renew_staging(&b);
    }
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

static lrb_restore_action action_of(const lrb_job *job, const char *name, bool *staged) {
    for (size_t i = 0; i < lrb_restore_count(job); i++)
        if (!strcmp(lrb_restore_at(job, i)->name, name)) {
            *staged = lrb_restore_staged(job, i);
            return lrb_restore_at(job, i)->action;
        }
    return (lrb_restore_action)0;
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
    set(b, "big", 0, 1000000000);                            /* time only */
}

static void check_actions(const lrb_job *job) {
    static const struct { const char *name; lrb_restore_action action; bool staged;
    } wanted[] = {
        {"big", LRB_RESTORE_SAME, false},          {"d", LRB_RESTORE_SAME, true},
        {"d/dangling", LRB_RESTORE_REPLACE, true}, {"d/deep/more", LRB_RESTORE_SAME, false},
        {"d/medium", LRB_RESTORE_REPLACE, true},   {"empty", LRB_RESTORE_SAME, true},
        {"holes", LRB_RESTORE_CREATE, true},       {"link", LRB_RESTORE_REPLACE, true},
        {"none", LRB_RESTORE_REPLACE, true},       {"small", LRB_RESTORE_REPLACE, true},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        bool staged = false;
        lrb_restore_action action = action_of(job, wanted[i].name, &staged);
        if (action != wanted[i].action || staged != wanted[i].staged)
            printf("%s: action %d staged %d\n", wanted[i].name, action, staged);
        CHECK(action == wanted[i].action && staged == wanted[i].staged);
    }
}

TEST(what_is_the_same_is_not_staged) {
    bench b;
    lrb_job *job;
    struct stat st;
    bench_open(&b);
    fill_source(&b);
    bench_backup(&b);
    change_source(&b);
    lrb_restore_options options = bench_options(&b);
    options.compare_dir = b.source_dir;
    options.stage_same = false;
    CHECK_OK(bench_restore(&b, &options, &job, &err));
    check_actions(job);
    lrb_job_free(job);
    CHECK(fstatat(b.staging_dir, "big", &st, 0) != 0 && fstatat(b.staging_dir, "holes", &st, 0) == 0);
    CHECK(fstatat(b.staging_dir, "d/deep", &st, 0) == 0 && (st.st_mode & 07777) == 0555);
    bench_close(&b);
}

TEST(a_dry_run_tells_and_writes_nothing) {
    bench b;
    lrb_job *job;
    bench_open(&b);
    fill_source(&b);
    bench_backup(&b);
    change_source(&b);
    lrb_restore_options options = bench_options(&b);
    options.compare_dir = b.source_dir;
    options.staging_dir = -1;
    options.stage_same = false;
    options.dry_run = true;
    CHECK_OK(bench_restore(&b, &options, &job, &err));
    check_actions(job);
    CHECK(lrb_restore_needed_bytes(job) > 6 << 20);
    lrb_job_free(job);
    CHECK(rmdir(b.staging) == 0 && mkdir(b.staging, 0755) == 0);
    bench_close(&b);
}

TEST(chosen_items_only) {
    bench b;
    lrb_job *job;
    struct stat st;
    bench_open(&b);
    fill_source(&b);
    bench_backup(&b);
    const char *only[] = {"small", "d/deep", "d/medium", "small"}, *unknown[] = {"small", "d/dee"};
    lrb_restore_options options = bench_options(&b);
    options.only = only;
    options.only_count = 4;
    CHECK_OK(bench_restore(&b, &options, &job, &err));
    CHECK(lrb_restore_count(job) == 5);
    lrb_job_free(job);
    CHECK(fstatat(b.staging_dir, "d/deep/more", &st, 0) == 0 && fstatat(b.staging_dir, "big", &st, 0) != 0);
    options.only = unknown;
    options.only_count = 2;
    CHECK_FAILS(bench_restore(&b, &options, &job, &err), LRB_E_NOT_FOUND);
    CHECK(!strcmp(err.target, "d/dee"));
    options.only_count = 0;
    bench_renew_staging(&b);
    options.staging_dir = b.staging_dir;
    CHECK_OK(bench_restore(&b, &options, &job, &err));
    CHECK(lrb_restore_count(job) == 0);
    lrb_job_free(job);
    bench_close(&b);
}

TEST(unknown_snapshots_and_bad_options) {
    bench b;
    lrb_job *job;
    bench_open(&b);
    lrb_restore_options options = bench_options(&b);
    options.snapshot_id = "20200101T000000Z-00000000";
    CHECK_FAILS(bench_restore(&b, &options, &job, &err), LRB_E_NOT_FOUND);
    options.snapshot_id = "an id far longer than any snapshot has ever had";
    CHECK_FAILS(bench_restore(&b, &options, &job, &err), LRB_E_INVALID);
    options = bench_options(&b);
    options.staging_dir = -1;
    CHECK_FAILS(bench_restore(&b, &options, &job, &err), LRB_E_INVALID);
    bench_close(&b);
}

TEST(cancelled_it_stops) {
    bench b;
    lrb_job *job;
    bench_open(&b);
    fill_source(&b);
    bench_backup(&b);
    lrb_restore_options options = bench_options(&b);
    for (int steps = 0; steps < 30; steps += 3) {
        lrb_step next = LRB_STEP_MORE;
        bench_renew_staging(&b);
        options.staging_dir = b.staging_dir;
        CHECK_OK(lrb_restore_new(b.repo, &options, &job, &err));
        for (int i = 0; i < steps && next != LRB_STEP_DONE; i++)
            CHECK_OK(job->ops->step(job, &b.f.worker, &next, &err));
        lrb_job_cancel(job);
        CHECK_FAILS(job->ops->step(job, &b.f.worker, &next, &err), LRB_E_CANCELLED);
        job->ops->finish(job, &b.f.worker);
        lrb_job_free(job);
    }
    bench_close(&b);
}

TEST(many_threads_write_what_one_does) {
    bench b;
    lrb_job *job;
    lrb_pool *pool;
    lrb_mailbox *mailbox;
    bench_open(&b);
    fill_source(&b);
    for (int i = 0; i < 200; i++) {
        char name[32];
        snprintf(name, sizeof name, "d/f%03d", i);
        fixture_write(b.f.source, name, (size_t)(i * 37), (uint64_t)i);
    }
    set(&b, "d", 0750, 1500000000);
    bench_backup(&b);
    CHECK_OK(lrb_pool_start(4, 4, &pool, &err));
    CHECK_OK(lrb_mailbox_open(&mailbox, &err));
    for (int round = 0; round < 3; round++) {
        lrb_restore_options options = bench_options(&b);
        options.compare_dir = b.source_dir;
        options.durable = true; /* so many items that the file system is synced as a whole */
        CHECK_OK(lrb_restore_new(b.repo, &options, &job, &err));
        lrb_pool_submit(pool, job, mailbox);
        CHECK(lrb_mailbox_wait(mailbox, -1) == job);
        err = job->err;
        CHECK_OK(err.code);
        CHECK(same_trees(b.f.source, b.staging));
        lrb_job_free(job);
        bench_renew_staging(&b);
    }
    lrb_pool_stop(pool);
    lrb_mailbox_close(mailbox);
    bench_close(&b);
}

TEST(survives_every_failed_allocation) {
    bench b;
    int failed = 0, code = LRB_E_NOMEM;
    bench_open(&b);
    fixture_write(b.f.source, "small", 1000, 1);
    fixture_write(b.f.source, "big", 2 << 20, 2);
    bench_backup(&b);
    for (; code; failed++) {
        bench_renew_staging(&b);
        lrb_mem_fail_after(failed, false);
        code = bench_restore_all(&b, &err);
        lrb_mem_fail_after(-1, false);
        CHECK(!code || code == LRB_E_NOMEM);
    }
    CHECK(failed > 5 && same_trees(b.f.source, b.staging));
    bench_close(&b);
}

int main(void) {
    umask(022);
    RUN(everything_comes_back);
    RUN(an_old_snapshot_comes_back_twice);
    RUN(what_is_the_same_is_not_staged);
    RUN(a_dry_run_tells_and_writes_nothing);
    RUN(chosen_items_only);
    RUN(unknown_snapshots_and_bad_options);
    RUN(cancelled_it_stops);
    RUN(many_threads_write_what_one_does);
    RUN(survives_every_failed_allocation);
    return check_report();
}
