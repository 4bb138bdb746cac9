#define _GNU_SOURCE 1 /* pthread_setname_np */
#include "engine/pool.h"

#include <pthread.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/thread.h"

typedef struct queue {
    lrb_job *first, *last;
} queue;

typedef struct pool_thread {
    pthread_t id;
    lrb_pool *pool;
    lrb_worker worker;
} pool_thread;

struct lrb_pool {
    pthread_mutex_t lock;
    pthread_cond_t work;        /* a job became ready, or the pool stops and its last job left */
    queue active, waiting;      /* active: in the order of their next turn */
    unsigned max_active, counted; /* counted: active jobs that are not brief */
    bool stopping;
    pid_t pid;
    unsigned thread_count;      /* started and not joined */
    unsigned worker_count;      /* workers made, started or not */
    pool_thread threads[];
};

/* ---- queues, under the lock ---- */

static void queue_append(queue *q, lrb_job *job) {
    job->next = NULL;
    job->previous = q->last;
    if (q->last) q->last->next = job;
    else q->first = job;
    q->last = job;
}

static void queue_remove(queue *q, lrb_job *job) {
    if (job->previous) job->previous->next = job->next;
    else q->first = job->next;
    if (job->next) job->next->previous = job->previous;
    else q->last = job->previous;
    job->next = job->previous = NULL;
}

/* Threads sleep while no job is ready, so each change to ready wakes them, or the one that a brief job takes. */
static void make_ready(lrb_pool *pool, lrb_job *job) {
    if (job->place == LRB_JOB_READY || job->place == LRB_JOB_OVER) return;
    job->place = LRB_JOB_READY;
    if (job->brief) pthread_cond_signal(&pool->work);
    else pthread_cond_broadcast(&pool->work);
}

static void activate(lrb_pool *pool, lrb_job *job) {
    if (!job->brief) pool->counted++;
    queue_append(&pool->active, job);
    make_ready(pool, job);
}

static void activate_waiting(lrb_pool *pool, lrb_job *job) {
    queue_remove(&pool->waiting, job);
    activate(pool, job);
}

/* ---- one turn, under the lock ---- */

/* Whether one more thread may take a step of `job`. */
static bool can_enter(const lrb_job *job) {
    if (job->place == LRB_JOB_READY) return !job->brief || job->inside == 0;
    return job->place == LRB_JOB_LAST_TRY && job->inside == 0;
}

/* The next job in turn, moved to the end of the ring; NULL when there is nothing to do now. */
static lrb_job *choose(lrb_pool *pool) {
    for (lrb_job *job = pool->active.first; job; job = job->next) {
        if (!can_enter(job)) continue;
        queue_remove(&pool->active, job);
        queue_append(&pool->active, job);
        return job;
    }
    return NULL;
}

static void end(lrb_job *job, int code, const lrb_err *why) {
    if (code && !job->err.code) job->err = *why; /* the first failure is the one reported */
    job->place = LRB_JOB_OVER;
}

/* An IDLE answer: wait for those inside, unless one of them answered MORE since this step began. */
static void rest(lrb_pool *pool, lrb_job *job, unsigned generation_before) {
    lrb_err err;
    if (job->place == LRB_JOB_OVER) return;
    if (job->generation != generation_before) make_ready(pool, job);
    else if (job->inside > 0) job->place = LRB_JOB_PARKED;
    else if (job->place == LRB_JOB_LAST_TRY) end(job, lrb_job_stuck(&err), &err);
    else job->place = LRB_JOB_LAST_TRY;
}

/* ---- one turn, outside the lock ---- */

static void take_step(lrb_pool *pool, lrb_job *job, lrb_worker *worker) {
    lrb_err err;
    lrb_err_clear(&err);
    unsigned generation_before = job->generation;
    lrb_step next = LRB_STEP_MORE;
    int code = job->begun ? LRB_OK : lrb_job_check(job, &err);
    if (!code) {
        job->begun = true;
        job->inside++;
        pthread_mutex_unlock(&pool->lock);
        code = job->ops->step(job, worker, &next, &err);
        pthread_mutex_lock(&pool->lock);
        job->inside--;
    }
    if (code || next == LRB_STEP_DONE) {
        end(job, code, &err);
    } else if (next == LRB_STEP_IDLE) {
        rest(pool, job, generation_before);
    } else {
        job->generation++;
        make_ready(pool, job);
    }
}

/* Called by the thread that was the last one inside a job that is over. */
static void finish(lrb_pool *pool, lrb_job *job, lrb_worker *worker) {
    lrb_mailbox *mailbox = job->mailbox;
    pthread_mutex_unlock(&pool->lock);
    if (job->ops->finish) job->ops->finish(job, worker);
    pthread_mutex_lock(&pool->lock);
    queue_remove(&pool->active, job);
    job->place = LRB_JOB_OUTSIDE;
    if (!job->brief) pool->counted--;
    if (pool->waiting.first && pool->counted < pool->max_active) activate_waiting(pool, pool->waiting.first);
    if (pool->stopping && !pool->active.first) pthread_cond_broadcast(&pool->work);
    lrb_mailbox_post(mailbox, job); /* whoever takes it may free it at once */
}

static void *run_thread(void *arg) {
    pool_thread *self = arg;
    lrb_pool *pool = self->pool;
    pthread_setname_np(pthread_self(), "lrb-worker");
    pthread_mutex_lock(&pool->lock);
    while (!pool->stopping || pool->active.first) {
        lrb_job *job = choose(pool);
        if (!job) {
            pthread_cond_wait(&pool->work, &pool->lock);
            continue;
        }
        take_step(pool, job, &self->worker);
        if (job->place == LRB_JOB_OVER && job->inside == 0) finish(pool, job, &self->worker);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* ---- starting and stopping ---- */

static int start_threads(lrb_pool *pool, lrb_err *err) {
    int code = LRB_OK;
    while (!code && pool->thread_count < pool->worker_count) {
        pool_thread *thread = &pool->threads[pool->thread_count];
        code = lrb_thread_start(&thread->id, run_thread, thread, "worker thread", err);
        if (!code) pool->thread_count++;
    }
    return code;
}

static int make_workers(lrb_pool *pool, unsigned threads, lrb_err *err) {
    int code = LRB_OK;
    while (!code && pool->worker_count < threads) {
        pool_thread *thread = &pool->threads[pool->worker_count];
        thread->pool = pool;
        code = lrb_worker_init(&thread->worker, pool->worker_count, err);
        if (!code) pool->worker_count++;
    }
    return code;
}

int lrb_pool_start(unsigned threads, unsigned max_active, lrb_pool **out, lrb_err *err) {
    if (threads < 1 || threads > LRB_POOL_MAX_THREADS || max_active < 1)
        return lrb_err_set(err, LRB_E_INVALID, "start", "pool",
                           "a pool needs 1 to %d threads and room for 1 active job, not %u and %u",
                           LRB_POOL_MAX_THREADS, threads, max_active);
    lrb_pool *pool = lrb_alloc_zero(1, sizeof *pool + threads * sizeof pool->threads[0]);
    if (!pool) return lrb_err_nomem(err, "start a pool");
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pool->max_active = max_active;
    pool->pid = getpid();
    int code = make_workers(pool, threads, err);
    if (!code) code = start_threads(pool, err);
    if (code) lrb_pool_stop(pool);
    else *out = pool;
    return code;
}

static void cancel_all(lrb_pool *pool) {
    while (pool->waiting.first) activate_waiting(pool, pool->waiting.first);
    for (lrb_job *job = pool->active.first; job; job = job->next) lrb_job_cancel(job);
    pthread_cond_broadcast(&pool->work);
}

void lrb_pool_stop(lrb_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    cancel_all(pool);
    pthread_mutex_unlock(&pool->lock);
    while (pool->thread_count > 0) pthread_join(pool->threads[--pool->thread_count].id, NULL);
    while (pool->worker_count > 0) lrb_worker_clear(&pool->threads[--pool->worker_count].worker);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    lrb_free(pool);
}

pid_t lrb_pool_pid(const lrb_pool *pool) {
    return pool->pid;
}

/* ---- jobs come and are cancelled ---- */

void lrb_pool_submit(lrb_pool *pool, lrb_job *job, lrb_mailbox *mailbox) {
    pthread_mutex_lock(&pool->lock);
    job->mailbox = mailbox;
    if (job->brief || pool->counted < pool->max_active) {
        activate(pool, job);
    } else {
        job->place = LRB_JOB_WAITING;
        queue_append(&pool->waiting, job);
    }
    pthread_mutex_unlock(&pool->lock);
}

void lrb_pool_cancel(lrb_pool *pool, lrb_job *job) {
    lrb_job_cancel(job);
    pthread_mutex_lock(&pool->lock);
    if (job->place == LRB_JOB_WAITING) activate_waiting(pool, job);
    pthread_mutex_unlock(&pool->lock);
}

