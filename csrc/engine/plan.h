/* What prune does with each pack: facts are gathered first, then decided on by a pure function.
 *
 * A plan is right for exactly one state of the log, the one at entry `at`; its entries may only come right behind
 * that one (pack_list.h). One thread.
 */
#ifndef LRB_ENGINE_PLAN_H
#define LRB_ENGINE_PLAN_H

#include "engine/reach.h"

enum {
    LRB_PLAN_SMALL_BYTES = 1 << 20, LRB_PLAN_SMALL_PACKS = 32, /* when small packs are joined */
    LRB_PLAN_MAX_DEAD_PERCENT = 10 /* of the live bytes: what packs that stay may hold of dead ones, all together */
};

typedef enum lrb_fate {
    LRB_FATE_KEEP = 0,
    LRB_FATE_SWEEP,    /* retired or damaged long enough, and not needed */
    LRB_FATE_UNRETIRE, /* retired, but a live chunk has no copy in a known pack */
    LRB_FATE_RETIRE,   /* known, or an orphan, and without a live chunk */
    LRB_FATE_REPACK,   /* known and less than half of its chunks' bytes alive, or among the packs with most dead bytes
                        * when there are too many of those, or one of many small packs: the live chunks are copied */
    LRB_FATE_UNLINK    /* swept, and still on the disk */
} lrb_fate;

typedef struct lrb_plan_pack {
    lrb_state_pack known;  /* an orphan: its name, and status 0 */
    uint32_t position;     /* in the state; LRB_NO_PACK for an orphan */
    bool on_disk;
    uint64_t file_bytes;   /* when on_disk */
    int64_t mtime_ns;      /* when on_disk */
    bool doubtful;         /* a live chunk that was found nowhere may be in it: it stays as it is */
    uint64_t chunk_bytes;  /* stored bytes of all chunks of a pack that has live ones */
    uint64_t live_bytes;   /* stored bytes of the live ones */
    lrb_fate fate;
} lrb_plan_pack;

typedef struct lrb_plan {
    uint64_t at;
    lrb_plan_pack *packs;  /* those of the state by position, then orphans */
    size_t count;
    uint64_t bytes_live, bytes_total; /* total: of all files in packs/ that are not swept */
} lrb_plan;

/* Copies the state's packs and lists packs/. DAMAGED when nothing at all is listed although the state knows packs:
 * that is a directory that is not there, not an empty one. */
int lrb_plan_begin(lrb_plan *plan, lrb_repo *repo, lrb_err *err);
void lrb_plan_clear(lrb_plan *plan);
/* Weighs pack number `index`, after the walk. When live chunks were found nowhere, a pack that cannot be read, or
 * holds one of them after all (it could not be read at that moment), is doubtful. */
int lrb_plan_weigh(lrb_plan *plan, size_t index, lrb_repo *repo, lrb_reach *reach, lrb_err *err);

typedef struct lrb_plan_rules {
    int64_t now_ns, wait_ns;
    bool repack;
} lrb_plan_rules;
void lrb_plan_decide(lrb_plan *plan, const lrb_plan_rules *rules);

#endif
