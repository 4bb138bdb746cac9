/* The worker pool: threads that take the steps of jobs. The only module that starts threads.
 *
 * Up to `max_active` jobs are worked on at once, in order of arrival; the rest wait. Brief jobs (task.h) do not wait
 * and are not counted: a listing is never stuck behind two long backups. Threads go round the active jobs one step at a
 * time, so a big job does not starve a small one; all threads may be inside one job. Finished jobs are posted to the
 * mailbox (mailbox.h) they were submitted with. Threads block all signals but those a fault of their own raises, and
 * never touch the caller's language.
 *
 * stop() cancels everything active and queued, waits for the threads, and posts every job: those it stopped as
 * CANCELLED. After a fork the child must not use the parent's pool (lrb_pool_pid tells); it abandons it and makes its
 * own.
 */
#ifndef LRB_ENGINE_POOL_H
#define LRB_ENGINE_POOL_H

#include <sys/types.h>

#include "engine/mailbox.h"

typedef struct lrb_pool lrb_pool;

enum { LRB_POOL_MAX_THREADS = 256 };

int lrb_pool_start(unsigned threads, unsigned max_active, lrb_pool **out, lrb_err *err);
void lrb_pool_stop(lrb_pool *pool); /* joins and frees; nothing may be submitted meanwhile */
pid_t lrb_pool_pid(const lrb_pool *pool);

/* Cannot fail. The job is the pool's until it comes out of the mailbox. */
void lrb_pool_submit(lrb_pool *pool, lrb_job *job, lrb_mailbox *mailbox);
/* Cancels a job submitted to this pool. One that still waits is finished at once, without a step. */
void lrb_pool_cancel(lrb_pool *pool, lrb_job *job);

#endif
