/* Litter: half-written files that a crash left behind, in tmp/ and, beside what they were to replace, in cache/.
 *
 * Whoever writes to tmp/ keeps the file locked until it has another name; the time of grace covers the moment between
 * creating and locking, file systems without locks, entries, and the writing of a cache. A writer whose file is taken
 * after all fails cleanly. Only unfinished files of the cache have a dot in their name.
 */
#ifndef LRB_ENGINE_LITTER_H
#define LRB_ENGINE_LITTER_H

#include "repo/repo.h"

/* Unlinks (with dry_run: only counts) what nobody holds and is older by `now_ns` than `wait_ns`, or a minute if that is
 * longer. */
int lrb_litter_remove(lrb_repo *repo, int64_t now_ns, int64_t wait_ns, bool dry_run, uint64_t *removed, lrb_err *err);

typedef struct lrb_litter_gone {
    uint64_t files, bytes;
} lrb_litter_gone;

/* The same for a graph that nobody has open: no entry is read and no key needed, so that neither damage nor size keeps
 * litter. Where locks do not hold, all is left to a prune, which waits longer. NOT_FOUND: there is no such repository.
 * NULL: for what lies beside the graphs, which goes by age alone. */
int lrb_litter_reclaim(const char *storage_path, const char *graph_id, int64_t now_ns, int64_t wait_ns,
                       lrb_litter_gone *gone, lrb_err *err);

#endif
