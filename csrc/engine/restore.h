/* Restoring: first a list of what is to be done with each item of a snapshot, then a staging directory filled by it.
 *
 * The PLAN job reads the snapshot's list and compares with `compare_dir`; nothing is written. The STAGE job writes what
 * the list says into a staging directory, each item checked against its SHA-256. Nothing outside the staging directory
 * is touched; publish.h puts it in place. The list goes from job to job: lrb_restore_take gets it out, lrb_restore_stage
 * takes it over.
 *
 * Phases: PLAN; WRITE asks for room before the first byte, decodes chunks in parallel and writes them at their offsets,
 * while whatever is complete from the front of an item is read back and hashed (so WRITE and CHECK overlap; the phase
 * shown is CHECK once the last chunk is claimed). A mismatch writes the item once more with every chunk id checked: that
 * finds a good copy where there is one, and names the damaged pack where there is none.
 *
 * SAME: the present file has equal type, size, digest and mode; for a symlink, equal text. Of those the EXACT ones have
 * the time too (of a symlink no time is asked for). What need not be written is said by lrb_restore_keep; directories
 * are always staged, so that whoever publishes knows them as items. Files and directories get their mode and mtime,
 * links their mtime; all that is made gets the staging directory's owner when the process may give it. With `durable`
 * everything staged, directory entries included, is on disk when the job is done.
 *
 * Memory: some 150 bytes per item and 50 once it is staged; per open item (at most LRB_RESTORE_MAX_OPEN) one way down
 * its recipe. No recipe is ever held whole.
 */
#ifndef LRB_ENGINE_RESTORE_H
#define LRB_ENGINE_RESTORE_H

#include "engine/job.h"
#include "engine/source.h"
#include "repo/repo.h"

enum { LRB_RESTORE_MAX_OPEN = 8 };

typedef enum lrb_restore_action {
    LRB_RESTORE_CREATE = 1,
    LRB_RESTORE_REPLACE = 2,
    LRB_RESTORE_SAME = 3
} lrb_restore_action;
typedef enum lrb_restore_phase { LRB_RESTORE_PLAN = 1, LRB_RESTORE_WRITE = 2, LRB_RESTORE_CHECK = 3 } lrb_restore_phase;

/* What is not written anew. */
typedef enum lrb_restore_keep {
    LRB_KEEP_NOTHING,
    LRB_KEEP_SAME,  /* what is the same is not staged */
    LRB_KEEP_EXACT, /* what is the same, its time too, is not staged */
    LRB_KEEP_LINKED /* files that are the same, their times too, are staged as hard links to the present ones */
} lrb_restore_keep;

/* ---- the list ---- */

typedef struct lrb_restored_item {
    const char *name;
    uint64_t size_bytes;
    uint8_t type;                /* an lrb_file_type */
    uint8_t action;              /* an lrb_restore_action */
    bool staged;                 /* in the staging directory: the names lrb_publish_commit gets */
} lrb_restored_item;

typedef struct lrb_restore_totals {
    size_t create, replace, same, exact; /* `exact` of those that are the same */
    uint64_t needed_bytes;               /* what staging needs on disk; of a plan: with LRB_KEEP_EXACT */
} lrb_restore_totals;

typedef struct lrb_restore_list lrb_restore_list;

void lrb_restore_list_free(lrb_restore_list *list);
size_t lrb_restore_list_count(const lrb_restore_list *list);
const lrb_restored_item *lrb_restore_list_at(const lrb_restore_list *list, size_t position); /* in name order */
bool lrb_restore_list_has(const lrb_restore_list *list, const char *name);
const lrb_restore_totals *lrb_restore_list_totals(const lrb_restore_list *list);
bool lrb_restore_list_is_staged(const lrb_restore_list *list); /* else it is a plan */

/* ---- the jobs ---- */

typedef struct lrb_restore_plan_options {
    const char *snapshot_id;
    int compare_dir;             /* borrowed until the job is freed, or -1 */
    /* Item names, or NULL for all; an unknown name is NOT_FOUND. A directory's name takes all below it. */
    const char *const *only;
    size_t only_count;
} lrb_restore_plan_options;

typedef struct lrb_restore_stage_options {
    int staging_dir;             /* borrowed until the job is freed; an empty directory */
    int compare_dir;             /* borrowed; the one the plan was made with, needed for LRB_KEEP_LINKED */
    lrb_restore_keep keep;
    bool durable;
} lrb_restore_stage_options;

/* The options are copied; the repo must outlive the job. */
int lrb_restore_plan(lrb_repo *repo, const lrb_restore_plan_options *options, lrb_job **out, lrb_err *err);
/* Takes the list of a plan over, also on failure. */
int lrb_restore_stage(lrb_repo *repo, lrb_restore_list *list, const lrb_restore_stage_options *options, lrb_job **out,
                      lrb_err *err);
/* The list, out of either job once it is done without error; the caller's. NULL: no memory. */
lrb_restore_list *lrb_restore_take(lrb_job *job);

#endif
