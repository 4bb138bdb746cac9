/* The restore job: items of a snapshot are written into a staging directory and each checked against its SHA-256.
 *
 * Nothing outside the staging directory is touched; publish.h puts it in place. Phases: PLAN reads the snapshot's
 * list, compares with `compare_dir` and asks for room before the first byte; WRITE decodes chunks in parallel and
 * writes them at their offsets, while whatever is complete from the front of an item is read back and hashed (so
 * WRITE and CHECK overlap; the phase shown is CHECK once the last chunk is claimed). A mismatch writes the item once
 * more with every chunk id checked: that finds a good copy where there is one, and names the damaged pack where there
 * is none.
 *
 * SAME: the present file has equal type, size, digest and mode (time is not compared); for a symlink, equal text. A
 * SAME item is staged only with `stage_same`; directories are always staged, so that whoever publishes knows them as
 * items. Files and directories get their mode and mtime, links their mtime; all get the staging directory's owner
 * when the process may give it. With `durable` everything staged, directory entries included, is on disk when the job
 * is done. With dry_run nothing is written and the same actions are told.
 *
 * Memory: some 150 bytes per item, and per open item (at most LRB_RESTORE_MAX_OPEN) one way down its recipe. No
 * recipe is ever held whole.
 */
#ifndef LRB_ENGINE_RESTORE_H
#define LRB_ENGINE_RESTORE_H

#include "engine/job.h"
#include "repo/repo.h"

enum { LRB_RESTORE_MAX_OPEN = 8 };

typedef enum lrb_restore_action {
    LRB_RESTORE_CREATE = 1,
    LRB_RESTORE_REPLACE = 2,
    LRB_RESTORE_SAME = 3
} lrb_restore_action;
typedef enum lrb_restore_phase { LRB_RESTORE_PLAN = 1, LRB_RESTORE_WRITE = 2, LRB_RESTORE_CHECK = 3 } lrb_restore_phase;

typedef struct lrb_restore_options {
    const char *snapshot_id;
    int staging_dir;             /* borrowed, empty directory; -1 with dry_run */
    int compare_dir;             /* borrowed, or -1 */
    /* Item names, or NULL for all; an unknown name is NOT_FOUND. A directory's name takes all below it. */
    const char *const *only;
    size_t only_count;
    bool stage_same, durable, dry_run;
} lrb_restore_options;

typedef struct lrb_restored_item {
    const char *name;
    lrb_file_type type;
    lrb_restore_action action;
    uint64_t size_bytes;
} lrb_restored_item;

/* The options are copied, the descriptors borrowed until the job is freed; the repo must outlive it. */
int lrb_restore_new(lrb_repo *repo, const lrb_restore_options *options, lrb_job **out, lrb_err *err);
/* The items chosen, valid once the job is done. */
size_t lrb_restore_count(const lrb_job *job);
const lrb_restored_item *lrb_restore_at(const lrb_job *job, size_t position); /* in name order */
/* Whether item `position` was (with dry_run: would be) staged: the names lrb_publish_commit gets. */
bool lrb_restore_staged(const lrb_job *job, size_t position);
/* What the staged items need on disk before work; filled in phase 1. */
uint64_t lrb_restore_needed_bytes(const lrb_job *job);

#endif
