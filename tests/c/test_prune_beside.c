/* The prune job while others write, and when it ends before it is done. */
#include "engine/prune.h"

#include <sys/wait.h>

#include "check.h"
#include "pruning.h"

/* After each of the first steps of prune another process appends. */
static int prune_against_writer(shelf *s, int busy_steps, lrb_prune_outcome *out, lrb_err *err) {
    lrb_prune_options options = {.repack = true};
    lrb_repo *other;
    lrb_job *job;
    lrb_step next = LRB_STEP_MORE;
    int code = fixture_repo_open(s->f.storage, "g", false, &other, err);
    if (code) return code;
    code = lrb_prune_new(s->repo, &options, &job, err);
    for (int i = 0; !code && next != LRB_STEP_DONE; i++) {
        code = job->ops->step(job, &s->f.worker, &next, err);
        if (!code && i < busy_steps) code = shelf_append(other, LRB_ENTRY_DROP, LRB_F_SNAPSHOT_REF, "none", 4, err);
    }
    job->ops->finish(job, &s->f.worker);
    *out = *lrb_prune_result(job);
    lrb_job_free(job);
    lrb_repo_close(other);
    return code;
}

TEST(entries_of_others_make_it_plan_again) {
    for (int busy_steps = 1; busy_steps < 30; busy_steps++) {
        shelf s;
        lrb_err err;
        lrb_prune_outcome out;
        shelf_to_repack(&s);
        CHECK_OK(prune_against_writer(&s, busy_steps, &out, &err));
        CHECK(out.packs_repacked == 1 && out.packs_swept == 1 && tidy(&s) && sound(&s));
        shelf_close(&s);
    }
}

TEST(endless_writing_by_others_is_said) {
    shelf s;
    lrb_err err;
    lrb_prune_outcome out;
    shelf_to_repack(&s);
    unsigned files = shelf_files(&s, "packs");
    CHECK_FAILS(prune_against_writer(&s, 1000, &out, &err), LRB_E_BUSY);
    CHECK(shelf_files(&s, "packs") == files && sound(&s)); /* copies it could not enter are gone again */
    shelf_close(&s);
}

/* Between plan and entry another process takes a snapshot that needs what the plan calls dead. */
TEST(a_snapshot_in_between_keeps_what_it_needs) {
    for (int at = 1; at < 12; at++) {
        shelf s;
        lrb_err err;
        lrb_job *job;
        lrb_step next = LRB_STEP_MORE;
        char first[LRB_SNAPSHOT_ID_MAX];
        shelf_with_garbage(&s, first, NULL);
        CHECK_OK(shelf_drop(&s, first, &err));
        fixture_write(s.f.source, "gone", 300 << 10, 2); /* comes back, with the same bytes */
        lrb_prune_options options = {.repack = true};
        CHECK_OK(lrb_prune_new(s.repo, &options, &job, &err));
        lrb_repo *mine = s.repo;
        for (int i = 0; next != LRB_STEP_DONE; i++) {
            CHECK_OK(job->ops->step(job, &s.f.worker, &next, &err));
            if (i != at) continue;
            CHECK_OK(fixture_repo_open(s.f.storage, "g", false, &s.repo, &err));
            shelf_backup(&s, NULL);
            lrb_repo_close(s.repo);
            s.repo = mine;
        }
        lrb_job_free(job);
        CHECK_OK(lrb_repo_refresh(s.repo, &err));
        CHECK(tidy(&s) && sound(&s));
        shelf_close(&s);
    }
}

/* A child takes `steps` steps and vanishes. Returns whether it was done before. */
static bool crash_after(shelf *s, int steps) {
    pid_t child = fork();
    if (child == 0) {
        shelf own = *s;
        lrb_prune_options options = {.repack = true};
        lrb_job *job;
        lrb_err err;
        lrb_step next = LRB_STEP_MORE;
        if (fixture_repo_open(s->f.storage, "g", false, &own.repo, &err)) _exit(9);
        if (lrb_prune_new(own.repo, &options, &job, &err)) _exit(9);
        for (int i = 0; i < steps && next != LRB_STEP_DONE; i++)
            if (job->ops->step(job, &own.f.worker, &next, &err)) _exit(9);
        _exit(next == LRB_STEP_DONE);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) printf("the child failed\n"), exit(2);
    return WEXITSTATUS(status);
}

TEST(a_crash_after_any_step_loses_nothing_and_leaves_nothing) {
    bool done = false;
    for (int steps = 0; !done; steps++) {
        shelf s;
        lrb_err err;
        lrb_prune_outcome out;
        shelf_to_repack(&s);
        done = crash_after(&s, steps);
        shelf_reopen(&s);
        CHECK(sound(&s));
        CHECK_OK(run_prune(&s, 0, false, true, &out, &err));
        CHECK(tidy(&s) && sound(&s) && shelf_count(&s, LRB_PACK_RETIRED) == 0);
        CHECK_OK(run_prune(&s, 0, true, true, &out, &err));
        CHECK(!out.packs_retired && !out.packs_swept && !out.packs_repacked);
        shelf_close(&s);
    }
}

TEST(a_cancelled_prune_leaves_nothing_half_done) {
    bool done = false;
    for (int steps = 0; !done; steps++) {
        shelf s;
        lrb_err err;
        lrb_job *job;
        lrb_step next = LRB_STEP_MORE;
        lrb_prune_options options = {.repack = true};
        shelf_to_repack(&s);
        CHECK_OK(lrb_prune_new(s.repo, &options, &job, &err));
        for (int i = 0; i < steps && next != LRB_STEP_DONE; i++)
            CHECK_OK(job->ops->step(job, &s.f.worker, &next, &err));
        done = next == LRB_STEP_DONE;
        lrb_job_cancel(job);
        if (!done) CHECK_FAILS(job->ops->step(job, &s.f.worker, &next, &err), LRB_E_CANCELLED);
        job->ops->finish(job, &s.f.worker);
        lrb_job_free(job);
        CHECK(sound(&s) && !shelf_files(&s, "tmp"));
        shelf_close(&s);
    }
}

static void run_all(void) {
    RUN(entries_of_others_make_it_plan_again);
    RUN(endless_writing_by_others_is_said);
    RUN(a_snapshot_in_between_keeps_what_it_needs);
    RUN(a_crash_after_any_step_loses_nothing_and_leaves_nothing);
    RUN(a_cancelled_prune_leaves_nothing_half_done);
}

int main(void) {
    run_all();
    fixture_key = &fixture_some_key;
    run_all();
    return check_report();
}
