/* Small entries about snapshots that exist: somebody holds one, lets it go, or wants it gone.
 *
 * Each call decides by the newest state, inside the append, so that two processes cannot overtake each other: a
 * snapshot that somebody held or dropped meanwhile is not dropped. Entries stay small enough for a full disk (payload
 * and header below 4 KiB), and those that let go may use the reserve. Long lists of drops are split, and each entry
 * stands for itself: when a later one fails, the earlier ones are done and *dropped says so. Space returns at prune,
 * not here. All calls wait for the disk. Holders and reasons are text without control characters.
 */
#ifndef LRB_ENGINE_LIFETIME_H
#define LRB_ENGINE_LIFETIME_H

#include "repo/repo.h"

enum { LRB_REASON_MAX_BYTES = 255 };

/* Drops the snapshots that exist and are held by nobody. dropped[i] says whether ids[i] went (of an id named twice:
 * once); valid on failure too. */
int lrb_lifetime_drop(lrb_repo *repo, const char *const *ids, size_t count, const char *reason, bool *dropped,
                      lrb_err *err);

/* *changed is false when this holder held it already: nothing is appended then. NOT_FOUND for an unknown snapshot. */
int lrb_lifetime_hold(lrb_repo *repo, const char *snapshot_id, const char *holder, bool *changed, lrb_err *err);
/* *changed is false when this holder did not hold it. NOT_FOUND for an unknown snapshot. */
int lrb_lifetime_release(lrb_repo *repo, const char *snapshot_id, const char *holder, bool *changed, lrb_err *err);

#endif
