/* Puts a staged restore in place of the present files: by rename, by exchange, or item by item under a journal.
 *
 *   RENAME    nothing is there; the staging directory takes the target's name.
 *   EXCHANGE  (swap.h) target and staging are siblings on one file system and change names at once: old or new, never
 *             a mix. Files of the target that are no items go over to the new directory; the old tree is removed.
 *   JOURNAL   (roll.h) for a target that cannot be renamed (a mount point) or that holds other workspaces. Once the
 *             journal exists the restore WILL be finished: lrb_publish_finish is idempotent and may be run by anyone.
 *
 * Staging: "<parent>/.lrb_restore-<leaf>-<8 hex>", or "<target>/.lrb_restore/new". Names whose first component begins
 * with ".lrb_restore" are this module's own and never items. Whoever stages holds an advisory lock on the staging
 * directory through the descriptor lrb_publish_stage gave, and keeps it open until commit or abandon has
 * returned: that is how finish tells the work of a living process from what a dead one left.
 *
 * The restore job makes what it staged durable, directory entries included, before commit is called; from there on
 * every step is durable before one that depends on it. Targets are absolute paths; symbolic links above the target
 * are followed, the target itself must not be one. Nothing inside the target is reached through a link. Any thread
 * may call.
 */
#ifndef LRB_ENGINE_PUBLISH_H
#define LRB_ENGINE_PUBLISH_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LRB_PUBLISH_PREFIX ".lrb_restore"

typedef enum lrb_publish_way {
    LRB_PUBLISH_RENAME = 1, /* target absent or empty */
    LRB_PUBLISH_EXCHANGE = 2,
    LRB_PUBLISH_JOURNAL = 3
} lrb_publish_way;

/* Whether an item may not have this name. */
bool lrb_publish_reserved(const char *name);

/* Which way works for `target`: `shared` says the directory holds more than this graph's items. Tries what the file
 * system can beside the target, without touching it. INVALID when the target is no directory. */
int lrb_publish_choose(const char *target, bool shared, lrb_publish_way *way, lrb_err *err);
/* Makes the empty staging directory for that way and returns its path (LRB_PATH_MAX) and its locked descriptor.
 * Parents of the target are made. UNFINISHED when an interrupted restore must be finished first, BUSY when another
 * one is under way. */
int lrb_publish_stage(const char *target, lrb_publish_way way, char *staging_path, int *staging_dir, lrb_err *err);
/* Throws a staging directory away. UNFINISHED, and nothing done, when its commit has gone too far: finish it. */
int lrb_publish_abandon(const char *target, lrb_publish_way way, const char *staging_path, lrb_err *err);
/* Puts it in place. `names` are the items staged, directories too; `removed` the items to take away (journal way; in
 * the exchange way, names that must not be carried over). Both in byte order, each name once. EXISTS names what is in
 * the way of an item and is none itself; UNSUPPORTED a mount point inside the target, or a target that cannot be
 * exchanged after all: up to there nothing was changed. */
int lrb_publish_commit(const char *target, lrb_publish_way way, const char *staging_path, const char *const *names,
                       size_t name_count, const char *const *removed, size_t removed_count, lrb_err *err);
/* Whether an interrupted publish waits at `target`. A journal always counts, also while a living process works on it:
 * until it is done the target is a mix. Leftovers count unless a living process holds them. */
int lrb_publish_pending(const char *target, bool *pending, lrb_err *err);
/* The same of what has begun to change the target: leftovers of one that never committed do not count, for the target is
 * as it was. */
int lrb_publish_half_done(const char *target, bool *half_done, lrb_err *err);
/* Rolls a committed publish forward and clears leftovers of one that never committed. BUSY when a living process is
 * at a journal. */
int lrb_publish_finish(const char *target, bool *finished, lrb_err *err);

/* For tests: the process ends (_exit 77) before its change of the file system number `changes` from now; negative:
 * never. */
void lrb_publish_stop_after(int64_t changes);
/* Called before every change by the modules of publishing. */
void lrb_publish_change(void);

#endif
