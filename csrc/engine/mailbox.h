/* Where finished jobs come back: a list and an eventfd that is readable exactly while the list is not empty.
 *
 * An event loop watches the descriptor and takes the jobs; a thread without a loop waits. One mailbox per loop. Any
 * thread may post, any thread may take. The eventfd is written and read under the mailbox's lock, so no wake-up is lost
 * and none is left over. A mailbox belongs to the process that opened it: after a fork the child shares the eventfd and
 * may only close its own descriptor.
 */
#ifndef LRB_ENGINE_MAILBOX_H
#define LRB_ENGINE_MAILBOX_H

#include "engine/job.h"

int lrb_mailbox_open(lrb_mailbox **out, lrb_err *err);
void lrb_mailbox_close(lrb_mailbox *mailbox); /* no job may still be on its way to it; NULL: nothing */
int lrb_mailbox_fd(const lrb_mailbox *mailbox);
void lrb_mailbox_post(lrb_mailbox *mailbox, lrb_job *job);
lrb_job *lrb_mailbox_take(lrb_mailbox *mailbox);                          /* NULL: empty */
/* Blocks; -1: for ever. NULL on timeout, and early when a signal handler ran, so that the caller can look at what it
 * said. */
lrb_job *lrb_mailbox_wait(lrb_mailbox *mailbox, int64_t timeout_ms);

#endif
