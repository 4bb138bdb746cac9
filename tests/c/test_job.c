/* A job driven on one thread: steps, outcomes, cancelling, and a worker's memory. */
#include "check.h"

#include "base/mem.h"
#include "engine/job.h"

typedef struct count_job {
    lrb_job job;
    int steps, finished;
    int steps_wanted, fail_at, idle_at;
    int *freed;
} count_job;

static int count_step(lrb_job *job, lrb_worker *worker, lrb_step *next, lrb_err *err) {
    count_job *self = (count_job *)job;
    (void)worker;
    int code = lrb_job_check(job, err);
    if (code) return code;
    self->steps++;
    if (self->steps == self->fail_at) return lrb_err_set(err, LRB_E_DAMAGED, "count", "step", "a step failed");
    *next = self->steps == self->idle_at        ? LRB_STEP_IDLE
            : self->steps == self->steps_wanted ? LRB_STEP_DONE
                                                : LRB_STEP_MORE;
    return LRB_OK;
}

static void count_finish(lrb_job *job, lrb_worker *worker) {
    (void)worker;
    ((count_job *)job)->finished++;
}

static void count_free(lrb_job *job) {
    ++*((count_job *)job)->freed;
}

static const lrb_job_ops count_ops = {count_step, count_finish, count_free};

static count_job count_to(int steps) {
    count_job self = {.steps_wanted = steps};
    lrb_job_init(&self.job, &count_ops);
    return self;
}

static lrb_worker no_memory_needed;

TEST(runs_every_step_and_finishes_once) {
    count_job counter = count_to(5);
    lrb_job_run(&counter.job, &no_memory_needed);
    CHECK(counter.job.err.code == LRB_OK);
    CHECK(counter.steps == 5);
    CHECK(counter.finished == 1);
}

TEST(a_failure_ends_the_job_and_is_kept) {
    count_job counter = count_to(5);
    counter.fail_at = 3;
    lrb_job_run(&counter.job, &no_memory_needed);
    CHECK(counter.job.err.code == LRB_E_DAMAGED);
    CHECK(!strcmp(counter.job.err.target, "step"));
    CHECK(counter.steps == 3);
    CHECK(counter.finished == 1);
}

TEST(cancelled_before_the_first_step_only_finishes) {
    count_job counter = count_to(5);
    lrb_job_cancel(&counter.job);
    CHECK(lrb_job_cancelled(&counter.job));
    lrb_job_run(&counter.job, &no_memory_needed);
    CHECK(counter.job.err.code == LRB_E_CANCELLED);
    CHECK(counter.steps == 0);
    CHECK(counter.finished == 1);
}

TEST(idle_with_nobody_to_wait_for_is_a_bug_not_a_hang) {
    count_job counter = count_to(5);
    counter.idle_at = 2;
    lrb_job_run(&counter.job, &no_memory_needed);
    CHECK(counter.job.err.code == LRB_E_INTERNAL);
    CHECK(counter.finished == 1);
}

TEST(free_calls_the_jobs_own_and_takes_null) {
    int freed = 0;
    count_job counter = count_to(1);
    counter.freed = &freed;
    lrb_job_free(&counter.job);
    lrb_job_free(NULL);
    CHECK(freed == 1);
}

TEST(a_worker_has_its_memory) {
    lrb_worker worker;
    lrb_err err;
    CHECK_OK(lrb_worker_init(&worker, 7, &err));
    CHECK(worker.coder && worker.number == 7 && worker.content.ceiling == LRB_CONTENT_MAX_BYTES);
    memset(worker.input, 1, LRB_WORKER_INPUT_BYTES);
    lrb_worker_clear(&worker);
    lrb_worker_clear(&worker); /* clearing twice is harmless: the failure path of init clears as well */
}

TEST(a_worker_survives_every_allocation_failure) {
    lrb_worker worker;
    lrb_err err;
    int code = LRB_E_NOMEM;
    int64_t failed = 0;
    for (; code; failed++) {
        lrb_mem_fail_after(failed, false);
        code = lrb_worker_init(&worker, 0, &err);
        lrb_mem_fail_after(-1, false);
        CHECK(code == LRB_OK || code == LRB_E_NOMEM);
    }
    CHECK(failed > 1);
    lrb_worker_clear(&worker);
}

int main(void) {
    RUN(runs_every_step_and_finishes_once);
    RUN(a_failure_ends_the_job_and_is_kept);
    RUN(cancelled_before_the_first_step_only_finishes);
    RUN(idle_with_nobody_to_wait_for_is_a_bug_not_a_hang);
    RUN(free_calls_the_jobs_own_and_takes_null);
    RUN(a_worker_has_its_memory);
    RUN(a_worker_survives_every_allocation_failure);
    return check_report();
}
