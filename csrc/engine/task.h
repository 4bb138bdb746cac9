/* One-step jobs for short work that may wait for a disk: opening, appending small entries. So that an event loop
 * never does. The pool starts them at once, whatever else is under way.
 */
#ifndef LRB_ENGINE_TASK_H
#define LRB_ENGINE_TASK_H

#include "engine/job.h"

typedef int (*lrb_task_call)(void *arg, lrb_worker *worker, lrb_err *err);
/* `release` frees arg with the job; may be NULL. On failure arg stays the caller's. */
int lrb_task_new(lrb_task_call call, void *arg, void (*release)(void *arg), lrb_job **out, lrb_err *err);
void *lrb_task_arg(const lrb_job *job);

#endif
