/* The pool: many jobs on many threads, fairness, cancelling, failure, IDLE, stopping. Also run under the thread
 * sanitizer. */
#define _GNU_SOURCE 1 /* nanosleep, signal sets */
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine/pool.h"
#include "engine/task.h"

enum { THREADS = 4, WAIT_MS = 20000, MS = 1000000 };

/* A job that does `units` pieces of work, any thread the next one, and checks the pool's promises while it does. */
typedef struct work_job {
    lrb_job job;
    pthread_mutex_t lock;
    int units, taken, done, inside, most_inside, idles, steps;
    int fail_at;              /* the piece that fails, or -1 */
    bool serial_units;        /* only one piece at a time: others get IDLE */
    bool ignores_cancel, never_done, always_idle;
    int64_t unit_ns;
    _Atomic int finished;
    bool bad;                 /* a promise was broken */
} work_job;

static void pause_ns(int64_t ns) {
    struct timespec time = {.tv_nsec = ns};
    if (ns) nanosleep(&time, NULL);
}

/* Takes a piece: its number, or -1 with `next` set. Under the lock. */
static int take_unit(work_job *self, lrb_step *next) {
    bool blocked = self->serial_units && self->inside > 0;
    if (self->always_idle || blocked || (self->taken == self->units && self->inside > 0)) {
        self->idles++;
        *next = LRB_STEP_IDLE;
        return -1;
    }
    if (self->taken == self->units) {
        *next = LRB_STEP_DONE;
        return -1;
    }
    *next = LRB_STEP_MORE;
    self->inside++;
    if (self->inside > self->most_inside) self->most_inside = self->inside;
    return self->never_done ? 0 : self->taken++;
}

static int work_step(lrb_job *job, lrb_worker *worker, lrb_step *next, lrb_err *err) {
    work_job *self = (work_job *)job;
    (void)worker;
    int code = self->ignores_cancel ? LRB_OK : lrb_job_check(job, err);
    if (code) return code;
    pthread_mutex_lock(&self->lock);
    self->steps++;
    if (self->finished) self->bad = true;
    int unit = take_unit(self, next);
    pthread_mutex_unlock(&self->lock);
    if (unit < 0) return LRB_OK;
    pause_ns(self->unit_ns);
    pthread_mutex_lock(&self->lock);
    self->inside--;
    self->done++;
    pthread_mutex_unlock(&self->lock);
    return unit == self->fail_at ? lrb_err_set(err, LRB_E_IO, "work", "unit", "piece %d failed", unit) : LRB_OK;
}

static void work_finish(lrb_job *job, lrb_worker *worker) {
    work_job *self = (work_job *)job;
    (void)worker;
    pthread_mutex_lock(&self->lock);
    if (self->inside || self->finished) self->bad = true;
    self->finished++;
    pthread_mutex_unlock(&self->lock);
}

static void work_free(lrb_job *job) {
    pthread_mutex_destroy(&((work_job *)job)->lock);
}

static const lrb_job_ops work_ops = {work_step, work_finish, work_free};

static void work_init(work_job *self, int units) {
    memset(self, 0, sizeof *self);
    lrb_job_init(&self->job, &work_ops);
    pthread_mutex_init(&self->lock, NULL);
    self->units = units;
    self->fail_at = -1;
}

static int steps_of(work_job *self) {
    pthread_mutex_lock(&self->lock);
    int steps = self->steps;
    pthread_mutex_unlock(&self->lock);
    return steps;
}

static bool ended_well(const work_job *self) {
    return self->job.err.code == LRB_OK && self->finished == 1 && self->done == self->units && !self->bad;
}

typedef struct house {
    lrb_pool *pool;
    lrb_mailbox *mailbox;
} house;

static int house_open(house *h, unsigned threads, unsigned max_active, lrb_err *err) {
    int code = lrb_mailbox_open(&h->mailbox, err);
    if (!code) code = lrb_pool_start(threads, max_active, &h->pool, err);
    return code;
}

static void house_close(house *h) {
    lrb_pool_stop(h->pool);
    lrb_mailbox_close(h->mailbox);
}

TEST(every_job_of_many_is_done_once) {
    enum { JOBS = 300 };
    static work_job jobs[JOBS];
    house h;
    lrb_err err;
    CHECK_OK(house_open(&h, THREADS, THREADS, &err));
    for (int i = 0; i < JOBS; i++) {
        work_init(&jobs[i], i % 40);
        jobs[i].serial_units = i % 3 == 0;
        lrb_pool_submit(h.pool, &jobs[i].job, h.mailbox);
    }
    for (int i = 0; i < JOBS; i++) {
        work_job *job = (work_job *)lrb_mailbox_wait(h.mailbox, WAIT_MS);
        CHECK(job && ended_well(job));
        lrb_job_free(&job->job);
    }
    CHECK(lrb_mailbox_take(h.mailbox) == NULL);
    house_close(&h);
}

TEST(all_threads_work_inside_one_job) {
    work_job job;
    house h;
    lrb_err err;
    CHECK_OK(house_open(&h, THREADS, 1, &err));
    work_init(&job, 200);
    job.unit_ns = MS / 2;
    lrb_pool_submit(h.pool, &job.job, h.mailbox);
    CHECK(lrb_mailbox_wait(h.mailbox, WAIT_MS) == &job.job);
    CHECK(ended_well(&job));
    CHECK(job.most_inside == THREADS);
    house_close(&h);
}

TEST(a_small_job_ends_while_a_big_one_runs) {
    work_job big, small;
    house h;
    lrb_err err;
    CHECK_OK(house_open(&h, 2, 2, &err));
    work_init(&big, 1);
    big.never_done = true;
    big.unit_ns = MS;
    work_init(&small, 10);
    lrb_pool_submit(h.pool, &big.job, h.mailbox);
    lrb_pool_submit(h.pool, &small.job, h.mailbox);
    CHECK(lrb_mailbox_wait(h.mailbox, WAIT_MS) == &small.job);
    CHECK(ended_well(&small));
    lrb_pool_cancel(h.pool, &big.job);
    CHECK(lrb_mailbox_wait(h.mailbox, WAIT_MS) == &big.job);
    CHECK(big.job.err.code == LRB_E_CANCELLED && big.finished == 1 && !big.bad);
    house_close(&h);
}

static int count_call(void *arg, lrb_worker *worker, lrb_err *err) {
    (void)worker, (void)err;
    atomic_fetch_add((_Atomic int *)arg, 1);
    return LRB_OK;
}

TEST(a_task_does_not_wait_behind_active_jobs) {
    work_job long_job, waiting;
    lrb_job *task;
    house h;
    lrb_err err;
    _Atomic int calls = 0;
    CHECK_OK(house_open(&h, 2, 1, &err));
    work_init(&long_job, 1);
    long_job.never_done = true;
    long_job.unit_ns = MS;
    work_init(&waiting, 1);
    CHECK_OK(lrb_task_new(count_call, (void *)&calls, NULL, &task, &err));
    lrb_pool_submit(h.pool, &long_job.job, h.mailbox);
    lrb_pool_submit(h.pool, &waiting.job, h.mailbox);
    lrb_pool_submit(h.pool, task, h.mailbox);
    CHECK(lrb_mailbox_wait(h.mailbox, WAIT_MS) == task);
    CHECK(calls == 1);
    lrb_job_free(task);
    lrb_pool_cancel(h.pool, &long_job.job);
    CHECK(lrb_mailbox_wait(h.mailbox, WAIT_MS) == &long_job.job);
    CHECK(lrb_mailbox_wait(h.mailbox, WAIT_MS) == &waiting.job);
    CHECK(ended_well(&waiting));
    house_close(&h);
}

TEST(jobs_beyond_max_active_wait_in_order) {
    enum { JOBS = 20 };
    work_job jobs[JOBS];
    house h;
    lrb_err err;
    CHECK_OK(house_open(&h, THREADS, 1, &err));
    for (int i = 0; i < JOBS; i++) {
        work_init(&jobs[i], 3);
        lrb_pool_submit(h.pool, &jobs[i].job, h.mailbox);
    }
    for (int i = 0; i < JOBS; i++) CHECK(lrb_mailbox_wait(h.mailbox, WAIT_MS) == &jobs[i].job);
    house_close(&h);
}

TEST(a_waiting_job_is_cancelled_without_waiting) {
    work_job first, second;
    house h;
    lrb_err err;
    CHECK_OK(house_open(&h, 2, 1, &err));
    work_init(&first, 1);
    first.never_done = true;
    first.unit_ns = MS;
    work_init(&second, 1);
    lrb_pool_submit(h.pool, &first.job, h.mailbox);
    lrb_pool_submit(h.pool, &second.job, h.mailbox);
    lrb_pool_cancel(h.pool, &second.job);
    CHECK(lrb_mailbox_wait(h.mailbox, WAIT_MS) == &second.job);
    CHECK(second.job.err.code == LRB_E_CANCELLED && second.steps == 0 && second.finished == 1);
    lrb_pool_cancel(h.pool, &first.job);
    CHECK(lrb_mailbox_wait(h.mailbox, WAIT_MS) == &first.job);
    lrb_pool_cancel(h.pool, &first.job); /* too late is harmless */
    house_close(&h);
}

TEST(a_failure_waits_for_those_inside_and_is_reported) {
    for (int round = 0; round < 50; round++) {
        work_job job;
        house h;
        lrb_err err;
        CHECK_OK(house_open(&h, THREADS, 1, &err));
        work_init(&job, 1000);
        job.fail_at = round;
        job.unit_ns = MS / 20;
        lrb_pool_submit(h.pool, &job.job, h.mailbox);
        CHECK(lrb_mailbox_wait(h.mailbox, WAIT_MS) == &job.job);
        CHECK(job.job.err.code == LRB_E_IO && job.finished == 1 && !job.bad);
        house_close(&h);
        CHECK(job.done < 1000 && job.inside == 0);
    }
}

/* With one piece of work at a time the other threads must sleep, not spin: each piece lets each of them look about
 * once. */
TEST(idle_threads_sleep_until_one_returns) {
    work_job job;
    house h;
    lrb_err err;
    CHECK_OK(house_open(&h, THREADS, 1, &err));
    work_init(&job, 50);
    job.serial_units = true;
    job.unit_ns = 2 * MS;
    lrb_pool_submit(h.pool, &job.job, h.mailbox);
    CHECK(lrb_mailbox_wait(h.mailbox, WAIT_MS) == &job.job);
    CHECK(ended_well(&job));
    CHECK(job.most_inside == 1);
    CHECK(job.idles <= 50 * 2 * THREADS);
    house_close(&h);
}

TEST(idle_without_anybody_inside_ends_as_a_bug) {
    work_job job;
    house h;
    lrb_err err;
    CHECK_OK(house_open(&h, THREADS, 1, &err));
    work_init(&job, 1);
    job.always_idle = true;
    lrb_pool_submit(h.pool, &job.job, h.mailbox);
    CHECK(lrb_mailbox_wait(h.mailbox, WAIT_MS) == &job.job);
    CHECK(job.job.err.code == LRB_E_INTERNAL && job.finished == 1);
    house_close(&h);
}

TEST(stop_ends_active_and_waiting_jobs) {
    enum { JOBS = 10 };
    work_job jobs[JOBS];
    house h;
    lrb_err err;
    CHECK_OK(house_open(&h, 2, 3, &err));
    for (int i = 0; i < JOBS; i++) {
        work_init(&jobs[i], 1);
        jobs[i].never_done = true;
        jobs[i].unit_ns = MS / 10;
        lrb_pool_submit(h.pool, &jobs[i].job, h.mailbox);
    }
    lrb_pool_stop(h.pool);
    for (int i = 0; i < JOBS; i++) {
        work_job *job = (work_job *)lrb_mailbox_take(h.mailbox);
        CHECK(job && job->job.err.code == LRB_E_CANCELLED && job->finished == 1 && !job->bad);
    }
    lrb_mailbox_close(h.mailbox);
}

TEST(stop_lets_a_job_past_the_point_of_no_return_succeed) {
    work_job job;
    house h;
    lrb_err err;
    CHECK_OK(house_open(&h, 2, 1, &err));
    work_init(&job, 20);
    job.ignores_cancel = true;
    job.unit_ns = MS;
    lrb_pool_submit(h.pool, &job.job, h.mailbox);
    while (steps_of(&job) == 0) pause_ns(MS / 10);
    lrb_pool_stop(h.pool);
    CHECK(lrb_mailbox_take(h.mailbox) == &job.job);
    CHECK(ended_well(&job));
    lrb_mailbox_close(h.mailbox);
}

static int report_mask(void *arg, lrb_worker *worker, lrb_err *err) {
    (void)worker, (void)err;
    pthread_sigmask(SIG_SETMASK, NULL, arg);
    return LRB_OK;
}

TEST(threads_leave_signals_to_others) {
    lrb_job *task;
    house h;
    lrb_err err;
    sigset_t inside, here;
    sigemptyset(&inside);
    CHECK_OK(house_open(&h, 1, 1, &err));
    CHECK_OK(lrb_task_new(report_mask, &inside, NULL, &task, &err));
    lrb_pool_submit(h.pool, task, h.mailbox);
    CHECK(lrb_mailbox_wait(h.mailbox, WAIT_MS) == task);
    lrb_job_free(task);
    CHECK(sigismember(&inside, SIGINT) && sigismember(&inside, SIGTERM) && sigismember(&inside, SIGCHLD));
    CHECK(!sigismember(&inside, SIGSEGV));
    pthread_sigmask(SIG_SETMASK, NULL, &here);
    CHECK(!sigismember(&here, SIGINT));
    house_close(&h);
}

TEST(impossible_sizes_are_refused) {
    lrb_pool *pool;
    lrb_err err;
    CHECK_FAILS(lrb_pool_start(0, 1, &pool, &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_pool_start(1, 0, &pool, &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_pool_start(LRB_POOL_MAX_THREADS + 1, 1, &pool, &err), LRB_E_INVALID);
}

TEST(knows_its_process) {
    lrb_pool *pool;
    lrb_err err;
    CHECK_OK(lrb_pool_start(1, 1, &pool, &err));
    CHECK(lrb_pool_pid(pool) == getpid());
    lrb_pool_stop(pool);
}

TEST(starting_survives_every_allocation_failure) {
    lrb_pool *pool;
    lrb_err err;
    int code = LRB_E_NOMEM;
    int64_t failed = 0;
    for (; code; failed++) {
        lrb_mem_fail_after(failed, false);
        code = lrb_pool_start(3, 3, &pool, &err);
        lrb_mem_fail_after(-1, false);
        CHECK(code == LRB_OK || code == LRB_E_NOMEM);
    }
    CHECK(failed > 3);
    lrb_pool_stop(pool);
}

int main(void) {
    RUN(every_job_of_many_is_done_once);
    RUN(all_threads_work_inside_one_job);
    RUN(a_small_job_ends_while_a_big_one_runs);
    RUN(a_task_does_not_wait_behind_active_jobs);
    RUN(jobs_beyond_max_active_wait_in_order);
    RUN(a_waiting_job_is_cancelled_without_waiting);
    RUN(a_failure_waits_for_those_inside_and_is_reported);
    RUN(idle_threads_sleep_until_one_returns);
    RUN(idle_without_anybody_inside_ends_as_a_bug);
    RUN(stop_ends_active_and_waiting_jobs);
    RUN(stop_lets_a_job_past_the_point_of_no_return_succeed);
    RUN(threads_leave_signals_to_others);
    RUN(impossible_sizes_are_refused);
    RUN(knows_its_process);
    RUN(starting_survives_every_allocation_failure);
    return check_report();
}
