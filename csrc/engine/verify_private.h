/* What the files of the verify job share: verify.c has the job and what one thread does, verify_packs.c looks at packs. */
#ifndef LRB_ENGINE_VERIFY_PRIVATE_H
#define LRB_ENGINE_VERIFY_PRIVATE_H

#include "engine/chain.h"
#include "engine/findings.h"
#include "engine/pack_check.h"
#include "engine/reach.h"
#include "engine/target.h"
#include "engine/verify.h"

typedef struct lrb_pack_record {
    lrb_state_pack known;
    bool skip;     /* nobody needs it */
    bool reported; /* a finding names it */
    bool rotten;   /* to be entered as damaged */
} lrb_pack_record;

typedef struct lrb_verify {
    lrb_job job;
    lrb_repo *repo;
    char snapshot_id[LRB_SNAPSHOT_ID_MAX]; /* "": all */
    lrb_verify_level level;
    bool mark;
    lrb_findings findings;
    lrb_findings notes;        /* of packs that were entered as damaged before */

    pthread_mutex_t lock;      /* for all below */
    lrb_verify_phase phase;
    bool busy;                 /* a thread is inside a phase for one, or walks beside those that look at packs */
    unsigned checking;         /* threads inside a pack check */
    lrb_pack_check **parked;   /* begun checks nobody works on; room for one per pack */
    uint32_t parked_count;
    lrb_pack_record *packs;    /* by position */
    uint32_t pack_count, next_pack;
    const lrb_marks *only;     /* the chunks one snapshot needs; NULL: all */
    lrb_marks bad;
    lrb_marks newer;           /* packs of which a newer version understands more */
    uint64_t packs_checked, chunks, bytes;

    /* the phases for one */
    lrb_chain *chain;
    lrb_reach *reach;
    lrb_target *targets;
    size_t target_count, next_target;
    bool walking;
    bool walked;               /* once, before or beside the packs */
    bool lacks;                /* that walk found something missing */
    uint64_t walk_at;          /* the log's last entry when the walk began */
    unsigned walks;            /* begun anew because the log had grown */
} lrb_verify;

/* Looks at the next pack, or goes on with one. *over: all are looked at. Enters and leaves with the lock held. */
int lrb_verify_step_packs(lrb_verify *self, lrb_worker *worker, lrb_step *next, bool *over, lrb_err *err);
/* Says in the job's counters how much there is to look at. Under the lock. */
void lrb_verify_count_packs(lrb_verify *self);

#endif
