/* Jobs: long work cut into steps that several threads of the pool take in turn.
 *
 * A job is a struct that begins with an lrb_job and is driven by its `step`. The pool calls `step` from one or more
 * threads at once, each call doing a few milliseconds of work (about 1 MiB of bytes), until one call answers DONE or
 * fails. A step that finds nothing to do while other threads are still inside a step of the same job answers IDLE: the
 * pool calls again once one of those has returned. DONE may be answered only when no other thread can be inside (the
 * job knows from its own bookkeeping under its own mutex). After DONE or a failure, and once no thread is inside,
 * `finish` runs exactly once on a pool thread (release descriptors, drop half-made files), then the job is posted to
 * its mailbox. A job cancelled before its first step gets its `finish` without any step. IDLE from the only thread
 * inside, twice in a row, is a bug of the job: it fails with INTERNAL instead of waiting for ever.
 *
 * Counters are relaxed atomics: written by steps, read by anyone at any time. `cancel` is looked at by every step, at
 * least once per chunk; a job that sees it fails with CANCELLED and leaves nothing half-done.
 */
#ifndef LRB_ENGINE_JOB_H
#define LRB_ENGINE_JOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "repo/chunk.h"

typedef enum lrb_step { LRB_STEP_MORE, LRB_STEP_IDLE, LRB_STEP_DONE } lrb_step;

/* A pool thread's own working memory, made before the thread starts. */
typedef struct lrb_worker {
    lrb_coder *coder;
    uint8_t *input;       /* LRB_WORKER_INPUT_BYTES */
    lrb_buf content;      /* one chunk's content; ceiling LRB_CONTENT_MAX_BYTES */
    unsigned number;      /* 0 .. threads - 1 */
} lrb_worker;
enum { LRB_WORKER_INPUT_BYTES = 1 << 20 };

int lrb_worker_init(lrb_worker *worker, unsigned number, lrb_err *err);
void lrb_worker_clear(lrb_worker *worker);

typedef struct lrb_job lrb_job;
typedef struct lrb_mailbox lrb_mailbox;

typedef struct lrb_job_ops {
    int (*step)(lrb_job *job, lrb_worker *worker, lrb_step *next, lrb_err *err);
    void (*finish)(lrb_job *job, lrb_worker *worker); /* may be NULL */
    void (*free)(lrb_job *job);                       /* frees the whole struct; called by lrb_job_free */
} lrb_job_ops;

typedef struct lrb_counters { /* phase is one of the job's own numbers, see its header */
    _Atomic uint32_t phase;
    _Atomic uint64_t items_done, items_total, bytes_in, bytes_total, bytes_stored, bytes_skipped;
} lrb_counters;

/* Where the pool has a job. LAST_TRY: IDLE came back with nobody else inside, so one thread alone asks once more. */
typedef enum lrb_job_place {
    LRB_JOB_OUTSIDE,  /* not submitted yet, or posted to its mailbox */
    LRB_JOB_WAITING,  /* behind max_active others */
    LRB_JOB_READY,
    LRB_JOB_PARKED,   /* until a thread that is inside returns with MORE */
    LRB_JOB_LAST_TRY,
    LRB_JOB_OVER      /* no more steps; finished by the last thread inside */
} lrb_job_place;

struct lrb_job {
    const lrb_job_ops *ops;
    lrb_counters counters;
    _Atomic bool cancel;
    bool brief; /* one step by one thread, no memory kept (task.h): does not wait behind max_active others */
    lrb_err err;               /* valid once done; err.code 0: success */
    void *owner;               /* the binding's */
    /* pool's own, under its lock */
    lrb_mailbox *mailbox;
    lrb_job *next, *previous;
    lrb_job_place place;
    unsigned inside;           /* threads in a step */
    unsigned generation;       /* steps that answered MORE: an IDLE is believed only when this stood still meanwhile */
    bool begun;                /* a step was called */
};

void lrb_job_init(lrb_job *job, const lrb_job_ops *ops);
void lrb_job_free(lrb_job *job); /* NULL: nothing. Only before submit or after it was taken from its mailbox. */
/* Asks a job to stop at its next look. lrb_pool_cancel also hurries one that has not begun. */
void lrb_job_cancel(lrb_job *job);
bool lrb_job_cancelled(const lrb_job *job);
int lrb_job_check(const lrb_job *job, lrb_err *err); /* CANCELLED when asked to */
/* What the pool and lrb_job_run record when a job answers IDLE and nobody is inside whom it could wait for. */
int lrb_job_stuck(lrb_err *err);

/* Runs a job to its end on the calling thread, without a pool. Its outcome is in job->err. */
void lrb_job_run(lrb_job *job, lrb_worker *worker);

#endif
