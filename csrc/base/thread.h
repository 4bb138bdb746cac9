/* Threads of this program's own, inside a process that is somebody else's: its signals are for its own threads. */
#ifndef LRB_BASE_THREAD_H
#define LRB_BASE_THREAD_H

#include <pthread.h>

#include "base/err.h"

/* Starts one that takes no signal (that for a closed pipe would end the process) but those of a crash, which stay
 * deliverable, so that crash handlers see them. `what` names it where the system refuses. */
int lrb_thread_start(pthread_t *out, void *(*run)(void *), void *arg, const char *what, lrb_err *err);

#endif
