/* What the parts of the restore jobs share: restore.c drives, restore_plan.c says what to do, restore_list.c hands that
 * from one job to the other, restore_link.c and restore_files.c do it for all files at once, restore_item.c for one,
 * restore_vectors.c for one that is a vector file.
 *
 * Everything in an lrb_restore is guarded by its mutex, but for what is fixed once a stage has begun: the list of
 * items after PLAN, and of an open item its descriptor. A slot's walker is used under the mutex, so rows come in
 * order and offsets are their running sum; its digest is used by one thread at a time (`checking`).
 */
#ifndef LRB_ENGINE_RESTORE_PRIVATE_H
#define LRB_ENGINE_RESTORE_PRIVATE_H

#include <pthread.h>

#include "base/arena.h"
#include "engine/restore.h"
#include "engine/tree.h"
#include "engine/vector_item.h"

enum {
    LRB_RESTORE_BATCH_BYTES = 1 << 20,   /* content per write step */
    LRB_RESTORE_BATCH_ROWS = 256,
    LRB_RESTORE_SLICE_BYTES = 4 << 20,   /* read back and hashed per check step */
    LRB_RESTORE_MAX_WRITERS = 16,        /* threads inside one item */
    LRB_RESTORE_MAX_SEAMS = 2 * LRB_RESTORE_MAX_WRITERS + 2,
    LRB_RESTORE_SMALL_ITEMS = 64,        /* small items per step */
    LRB_RESTORE_SMALL_BYTES = LRB_WORKER_INPUT_BYTES /* an item of this size fits one buffer and is one thread's work */
};

typedef struct lrb_restore_item {
    lrb_restored_item shown;
    const char *link_target;
    int64_t mtime_ns;
    int64_t present_ctime_ns;    /* of the file it was compared with */
    uint32_t mode;
    bool exact;                  /* when the action is SAME: the time is too */
    bool linked;                 /* staged as a link to the present file */
    uint8_t sha256[LRB_DIGEST_BYTES];
    lrb_row root;
} lrb_restore_item;

static inline bool lrb_restore_is_written(const lrb_restore_item *item) {
    return item->shown.staged && !item->linked && item->shown.type != LRB_FILE_DIRECTORY;
}

/* Three bytes of a matrix that begin in one batch and end in the next: one quantum of base64. Batches begin in order,
 * so that few of them can be half done. */
typedef struct lrb_restore_seam {
    uint64_t quantum;
    uint8_t bytes[3];
    unsigned have;
} lrb_restore_seam;

typedef struct lrb_restore_vectors { /* a vector file */
    lrb_vector_layout layout;    /* spans are taken under the mutex */
    lrb_restore_seam seams[LRB_RESTORE_MAX_SEAMS]; /* these two, too */
    unsigned seam_count;
} lrb_restore_vectors;

/* The rows of an item in order, with where their bytes go. */
typedef struct lrb_restore_rows {
    const lrb_restore_item *item;
    lrb_recipe_walker *walker;   /* NULL: the root is the only row */
    lrb_repo_reader reader;      /* the walker's; its coder is the calling thread's */
    lrb_row ahead;               /* read already, not used */
    bool has_ahead, begun;
    uint64_t offset;             /* of the next row's bytes; of a vector file's, in its data */
    bool over;
    lrb_restore_vectors *vectors; /* NULL: plain bytes */
} lrb_restore_rows;

typedef struct lrb_restore_slot { /* one open item */
    lrb_restore_item *item;      /* NULL: free */
    int fd;
    bool busy;                   /* one thread is opening, comparing or settling it */
    bool checking;
    bool check_ids;              /* second try: every chunk id is checked */
    lrb_restore_rows rows;
    uint64_t writing[LRB_RESTORE_MAX_WRITERS]; /* where the batches under way begin */
    unsigned writers;
    uint64_t checked;            /* hashed up to here */
    lrb_digest *digest;          /* kept from item to item */
} lrb_restore_slot;

typedef enum lrb_restore_part {
    LRB_STAGE_READ,
    LRB_STAGE_COMPARE,
    LRB_STAGE_ROOM,
    LRB_STAGE_DIRECTORIES,
    LRB_STAGE_LINKS,
    LRB_STAGE_FILES,
    LRB_STAGE_ATTRIBUTES,
    LRB_STAGE_SYNC,
    LRB_STAGE_OVER
} lrb_restore_part;

typedef struct lrb_restore {
    lrb_job job;
    lrb_repo *repo;
    char snapshot_id[LRB_SNAPSHOT_ID_MAX];
    int staging_dir, compare_dir; /* staging_dir -1: only the plan is made */
    lrb_restore_keep keep;
    bool durable;
    const char **only;           /* sorted copies, in texts */
    bool *only_met;
    size_t only_count;

    pthread_mutex_t lock;
    lrb_restore_part stage;
    bool stage_done;             /* of a stage for one thread */
    unsigned inside;             /* threads in a step */

    lrb_restore_item *items;
    size_t count, room;
    lrb_arena texts;             /* of items and options */
    lrb_body_reader *body;
    lrb_repo_reader fetcher;
    lrb_restore_list *list;      /* what is handed on in the end; NULL once it was */
    lrb_restore_totals totals;
    bool sync_each;              /* few enough files to fsync one by one */

    struct lrb_restore_scratch **scratch; /* by the number of the worker, each its thread's alone */
    size_t next_item, next_small;
    lrb_restore_item **large;    /* staged files of more than one buffer, the largest first: none is left for the end */
    size_t large_count, next_large;
    lrb_restore_slot slots[LRB_RESTORE_MAX_OPEN];
} lrb_restore;

/* One step's work, claimed under the lock and done without it. */
typedef enum lrb_restore_work_kind {
    LRB_WORK_NONE,
    LRB_WORK_ALONE,
    LRB_WORK_COMPARE,
    LRB_WORK_OPEN,
    LRB_WORK_WRITE,
    LRB_WORK_CHECK,
    LRB_WORK_SETTLE,
    LRB_WORK_SMALL
} lrb_restore_work_kind;

typedef struct lrb_restore_work {
    lrb_restore_work_kind kind;
    lrb_restore_slot *slot;
    uint64_t from, to;           /* bytes to check; where a batch begins */
    uint64_t first_row;          /* where it begins in the matrix of a vector file */
    size_t first, end;           /* small items */
    uint32_t row_count;
    bool over;                   /* the slot's item is done with */
    lrb_row rows[LRB_RESTORE_BATCH_ROWS];
} lrb_restore_work;

/* ---- restore_plan.c: stages of one thread, a slice per call; they set stage_done ---- */
int lrb_restore_copy_options(lrb_restore *r, const lrb_restore_plan_options *options, lrb_err *err);
int lrb_restore_read(lrb_restore *r, lrb_worker *worker, lrb_err *err);
int lrb_restore_room(lrb_restore *r, lrb_err *err);
/* Lists what is written by several threads, once it is known what is linked. */
int lrb_restore_list_large(lrb_restore *r, lrb_err *err);
void lrb_restore_free_plan(lrb_restore *r);

/* ---- restore_list.c ---- */
lrb_restore_list *lrb_restore_list_new(void); /* NULL: no memory */
/* Moves what a plan found into the job that stages it. INVALID for a list that was staged already. */
int lrb_restore_list_enter(lrb_restore *r, lrb_restore_list *list, lrb_err *err);

/* ---- restore_compare.c ---- */
void lrb_restore_claim_compare(lrb_restore *r, lrb_restore_work *work);
int lrb_restore_compare(lrb_restore *r, lrb_worker *worker, lrb_restore_work *work, lrb_err *err);

/* ---- restore_link.c ---- */
/* Links what is to be linked; what cannot be is written after all. */
int lrb_restore_links(lrb_restore *r, lrb_err *err);

/* ---- restore_files.c ---- */
int lrb_restore_directories(lrb_restore *r, lrb_err *err);
int lrb_restore_attributes(lrb_restore *r, lrb_err *err);
int lrb_restore_sync(lrb_restore *r, lrb_err *err);
int lrb_restore_claim_file(lrb_restore *r, lrb_worker *worker, lrb_restore_work *work, lrb_err *err);
int lrb_restore_do_file(lrb_restore *r, lrb_worker *worker, lrb_restore_work *work, lrb_err *err);
void lrb_restore_release_file(lrb_restore *r, const lrb_restore_work *work);
void lrb_restore_close_slot(lrb_restore_slot *slot);

/* ---- restore_item.c ---- */
/* Begins with an item whose file is open, empty and as long as it will be. After a failure end it all the same. */
int lrb_restore_rows_begin(lrb_restore *r, lrb_worker *worker, const lrb_restore_item *item, int fd, lrb_restore_rows *rows,
                           lrb_err *err);
void lrb_restore_rows_end(lrb_restore_rows *rows);
/* Takes the next batch of rows; none of them, and rows->over, at the end. DAMAGED when the rows do not add up to the
 * item's size, or one of them cannot stand where it does. */
int lrb_restore_claim_rows(lrb_restore *r, lrb_worker *worker, lrb_restore_rows *rows, lrb_restore_work *work, lrb_err *err);
/* Decodes a batch and writes its bytes. */
int lrb_restore_write_rows(lrb_restore *r, lrb_worker *worker, const lrb_restore_rows *rows, int fd, const lrb_restore_work *work,
                           bool check_ids, lrb_err *err);
/* The row behind the last one; *done at the end. */
int lrb_restore_next_row(lrb_restore *r, lrb_restore_rows *rows, lrb_row *row, bool *done, lrb_err *err);
void lrb_restore_put_back(lrb_restore_rows *rows, const lrb_row *row);
void lrb_restore_count_written(lrb_restore *r, uint64_t bytes, bool hole);
/* Creates, writes, checks and finishes a small file or a link. */
int lrb_restore_small(lrb_restore *r, lrb_worker *worker, lrb_tree *tree, const lrb_restore_item *item, lrb_err *err);
/* Owner, mode, time and (when files are synced one by one) fsync of a file whose digest is right. */
int lrb_restore_finish_file(lrb_restore *r, const lrb_restore_item *item, int fd, lrb_err *err);
/* DAMAGED: every chunk is right and the whole is not. */
int lrb_restore_mismatch(lrb_restore *r, const lrb_restore_item *item, lrb_err *err);
/* Puts the item and the snapshot in front of the message. */
int lrb_restore_blame(lrb_restore *r, const lrb_restore_item *item, lrb_err *err);

/* ---- restore_vectors.c ---- */
/* Reads the frame and the list of corrections behind its row. */
int lrb_restore_vectors_begin(lrb_restore *r, lrb_restore_rows *rows, const lrb_row *frame, lrb_err *err);
void lrb_restore_vectors_end(lrb_restore_vectors *vectors); /* NULL: nothing */
int lrb_restore_write_frame(lrb_restore *r, const lrb_restore_rows *rows, int fd, lrb_err *err);
int lrb_restore_claim_spans(lrb_restore *r, lrb_restore_rows *rows, lrb_restore_work *work, lrb_err *err);
int lrb_restore_write_spans(lrb_restore *r, lrb_worker *worker, const lrb_restore_rows *rows, int fd, const lrb_restore_work *work,
                            bool check_ids, lrb_err *err);
void lrb_restore_free_scratch(struct lrb_restore_scratch *scratch); /* NULL: nothing */

#endif
