/* One-step jobs: the call's outcome is the job's, and arg is released with the job. */
#include "check.h"

#include "base/mem.h"
#include "engine/task.h"

typedef struct note {
    int calls, releases, answer;
} note;

static int take_note(void *arg, lrb_worker *worker, lrb_err *err) {
    note *self = arg;
    (void)worker;
    self->calls++;
    return self->answer ? lrb_err_set(err, LRB_E_NOT_FOUND, "note", "it", "there was no such note") : LRB_OK;
}

static void release_note(void *arg) {
    ((note *)arg)->releases++;
}

static lrb_worker no_memory_needed;

TEST(runs_once_and_releases_with_the_job) {
    lrb_job *job;
    lrb_err err;
    note n = {0};
    CHECK_OK(lrb_task_new(take_note, &n, release_note, &job, &err));
    CHECK(lrb_task_arg(job) == &n);
    CHECK(job->brief);
    lrb_job_run(job, &no_memory_needed);
    CHECK(job->err.code == LRB_OK && n.calls == 1 && n.releases == 0);
    lrb_job_free(job);
    CHECK(n.releases == 1);
}

TEST(a_failing_call_fails_the_job) {
    lrb_job *job;
    lrb_err err;
    note n = {.answer = 1};
    CHECK_OK(lrb_task_new(take_note, &n, NULL, &job, &err));
    lrb_job_run(job, &no_memory_needed);
    CHECK(job->err.code == LRB_E_NOT_FOUND);
    lrb_job_free(job);
    CHECK(n.releases == 0);
}

TEST(a_cancelled_task_is_not_called) {
    lrb_job *job;
    lrb_err err;
    note n = {0};
    CHECK_OK(lrb_task_new(take_note, &n, release_note, &job, &err));
    lrb_job_cancel(job);
    lrb_job_run(job, &no_memory_needed);
    CHECK(job->err.code == LRB_E_CANCELLED && n.calls == 0);
    lrb_job_free(job);
    CHECK(n.releases == 1);
}

TEST(out_of_memory_leaves_arg_with_the_caller) {
    lrb_job *job;
    lrb_err err;
    note n = {0};
    lrb_mem_fail_after(0, false);
    int code = lrb_task_new(take_note, &n, release_note, &job, &err);
    lrb_mem_fail_after(-1, false);
    CHECK_FAILS(code, LRB_E_NOMEM);
    CHECK(n.releases == 0);
}

int main(void) {
    RUN(runs_once_and_releases_with_the_job);
    RUN(a_failing_call_fails_the_job);
    RUN(a_cancelled_task_is_not_called);
    RUN(out_of_memory_leaves_arg_with_the_caller);
    return check_report();
}
