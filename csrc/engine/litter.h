/* Litter: files in tmp/ that a crash left behind.
 *
 * Whoever writes there keeps the file locked until it has another name; the hour of grace covers the moment between
 * creating and locking, and file systems without locks.
 */
#ifndef LRB_ENGINE_LITTER_H
#define LRB_ENGINE_LITTER_H

#include "repo/repo.h"

/* Unlinks (with dry_run: only counts) what nobody holds and is older than an hour by `now_ns`. */
int lrb_litter_remove(lrb_repo *repo, int64_t now_ns, bool dry_run, uint64_t *removed, lrb_err *err);

#endif
