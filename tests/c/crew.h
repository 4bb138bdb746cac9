/* Several threads that run jobs, for the programs that ThreadSanitizer looks at as well. */
#ifndef LRB_TESTS_CREW_H
#define LRB_TESTS_CREW_H

#include <stdio.h>
#include <stdlib.h>

#include "engine/mailbox.h"
#include "engine/pool.h"

typedef struct crew {
    lrb_pool *pool; /* NULL before it starts */
    lrb_mailbox *mailbox;
} crew;

static inline void crew_start(crew *c, unsigned threads, unsigned jobs) {
    lrb_err err;
    if (lrb_pool_start(threads, jobs, &c->pool, &err) || lrb_mailbox_open(&c->mailbox, &err)) printf("%s\n", err.message), exit(2);
}

/* Returns when the job is over, with its code; the job is still the caller's. */
static inline int crew_run(const crew *c, lrb_job *job, lrb_err *err) {
    lrb_pool_submit(c->pool, job, c->mailbox);
    if (lrb_mailbox_wait(c->mailbox, -1) != job) exit(2);
    *err = job->err;
    return err->code;
}

static inline void crew_stop(crew *c) {
    if (c->pool) {
        lrb_pool_stop(c->pool);
        lrb_mailbox_close(c->mailbox);
    }
}

#endif
