/* The prune job: frees the space of dropped snapshots, in steps that no writer, hold or crash can overtake.
 *
 * 1 The log is re-read from its first entry: a missing or broken one refuses everything (DAMAGED). 2 Chunks reachable
 * from all snapshots are marked; a snapshot whose body or recipes cannot be read refuses everything too, naming it. 3
 * Packs retired or damaged at least `wait_ns` ago (by the claimed time of their entry) and still not needed are
 * entered as swept; retired ones that are needed after all are unretired; packs without a live chunk, and orphans in
 * packs/ that no entry names and that are at least `wait_ns` old, are entered as retired. 4 Packs less than half
 * alive, and small ones once there are many, are copied by `repack`, which retires them. With wait_ns 0 the packs
 * retired in steps 3 and 4 are swept at once. 5 Swept packs still on disk are unlinked (anyone may finish a sweep). 6 Litter in tmp/ that nobody holds
 * locked and that is older than `wait_ns` (a minute at least) is removed.
 *
 * Entries stay <= 4 KiB: long lists are split. Each is computed against the state right before it: when another entry
 * comes between, all is computed again, a few times, then BUSY. A full disk stops step 4 only; the reserve is given
 * up for the entries of the others. A dry run changes nothing and predicts the same numbers; it can do so
 * for a repository in which some snapshots were dropped before.
 */
#ifndef LRB_ENGINE_PRUNE_H
#define LRB_ENGINE_PRUNE_H

#include "engine/job.h"
#include "repo/repo.h"

/* Of the job's counters. Another process's entry between LIST and UNLINK sends it back to LIST. */
typedef enum lrb_prune_phase {
    LRB_PRUNE_LOG = 1, LRB_PRUNE_LIST, LRB_PRUNE_MARK, LRB_PRUNE_WEIGH,
    LRB_PRUNE_ENTER,     /* unretire, sweep and retire entries */
    LRB_PRUNE_REPACK,
    LRB_PRUNE_ENTER_NOW, /* sweep entries for what was retired without waiting */
    LRB_PRUNE_UNLINK, LRB_PRUNE_TIDY, LRB_PRUNE_OVER
} lrb_prune_phase;

typedef struct lrb_prune_options {
    int64_t wait_ns;
    bool dry_run, repack;
    const char *const *dropped; /* snapshots a dry run takes for dropped, whether they are or not; copied */
    size_t dropped_count;
} lrb_prune_options;

typedef struct lrb_prune_outcome {
    uint64_t packs_retired, bytes_retired; /* also those that were repacked */
    uint64_t packs_swept, bytes_freed;     /* freed: files unlinked, also of sweeps somebody else had entered */
    uint64_t packs_repacked, bytes_rewritten;
    uint64_t litter_removed;
    uint64_t bytes_live, bytes_total;      /* before: of live chunks as stored; of files in packs/ not swept */
} lrb_prune_outcome;

/* INVALID: a negative wait, or snapshots to be taken for dropped without a dry run: only drop entries drop. */
int lrb_prune_new(lrb_repo *repo, const lrb_prune_options *options, lrb_job **out, lrb_err *err);
const lrb_prune_outcome *lrb_prune_result(const lrb_job *job);

#endif
