/* The inside of an lrb_intake, shared by intake.c (which item next, small items), intake_big.c (items of more than one
 * buffer), intake_compare.c (whether they are what they were), intake_vectors.c (those of them that are vector files),
 * intake_section.c (one section of those), intake_known.c (which is as it was) and intake_rows.c (what is seen of their rows
 * meanwhile), and by nobody else.
 */
#ifndef LRB_ENGINE_INTAKE_PRIVATE_H
#define LRB_ENGINE_INTAKE_PRIVATE_H

#include <pthread.h>

#include "engine/intake.h"
#include "lightrag/records.h"
#include "lightrag/vdb.h"
#include "lightrag/vdb_group.h"

typedef struct lrb_batch { /* rows of one batch that came in before its predecessors */
    struct lrb_batch *next;
    uint64_t sequence;
    size_t count;
    lrb_row rows[];
} lrb_batch;

typedef struct lrb_section_rows { /* what a section of a vector file became */
    lrb_row *rows;                 /* texts, each with its vectors behind it */
    uint32_t count;
    lrb_row correction;
    lrb_tag tags[2];               /* of the records and of the canonical rows */
} lrb_section_rows;

typedef struct lrb_known_sections { /* what a vector file became before; constant */
    const lrb_tag *tags;           /* of the note */
    size_t count;                  /* 0: nothing is known */
    uint32_t *sizes;               /* records of each, */
    size_t *ends;                  /* and where its rows end in `rows` */
    lrb_row *rows;
} lrb_known_sections;

typedef struct lrb_vector_item { /* a vector file, while it is encoded; under the item's lock */
    size_t next;                   /* the section to give out next, */
    uint64_t data_at, first_row;   /* where it begins in the file and in the matrix */
    uint64_t matrix_at;            /* constant */
    lrb_known_sections known;
    bool given_up;                 /* something is not as LightRAG writes it: plain bytes after all */
    bool flawed;                   /* a row has a flaw, or none are compared */
    uint64_t rows_seen, places;    /* rows compared so far, and where they stand */
    lrb_section_rows results[];    /* of every section; one is written by the thread that has it */
} lrb_vector_item;

/* An item bigger than one buffer, or a vector file, while it is worked on. */
typedef struct lrb_open_item {
    struct lrb_open_item *next;        /* in one of the intake's queues */
    size_t position;
    int fd;
    uint64_t digested, digested_sum; /* how many bytes, and what they sum up to (codec/place_sum.h) */
    lrb_records_form form;         /* seen at the first bytes */
    lrb_digest *digest;            /* until the digest is known */
    lrb_vdb *vdb;                  /* while the file may be a vector file; constant once it is encoded */
    pthread_mutex_t lock;          /* everything below */
    uint64_t counted;              /* bytes counted as done; while it is compared, under the intake's lock */
    uint64_t counted_digested;     /* of them, by the digest pass */
    lrb_vector_item *vectors;      /* how it is encoded; NULL: as plain bytes */
    uint64_t encoded_sum;          /* of the bytes that were encoded so far: in the end those that were digested */
    uint64_t offset, sequence;     /* next byte to cut, next batch number to give out */
    uint64_t delivered;            /* next batch number to enter the recipe */
    lrb_batch *early;
    lrb_recipe_builder *recipe;
    lrb_coder *coder;              /* of the thread that is adding rows */
    lrb_intake *intake;
    size_t compared;               /* segments given out for comparing; under the intake's lock */
    bool differs;                  /* one of them is another, or could not be compared; under the intake's lock */
    unsigned inside;               /* threads comparing, or working on a batch; under the intake's lock */
    bool cut_up;                   /* every byte was given out; under the intake's lock */
} lrb_open_item;

typedef struct lrb_item_note {
    lrb_taken taken;               /* what was offered, then what was found */
    bool offered, unread;
    lrb_tag *tags;                 /* offered, then of what was digested; NULL: none. `taken` and they are of the same bytes */
    lrb_section_tags sections;     /* the same of a vector file's sections */
    lrb_rows_seen rows;            /* rows 0: not compared, or with flaws */
} lrb_item_note;

typedef struct lrb_start_place { uint64_t big_bytes; size_t position; } lrb_start_place;

typedef struct lrb_queue { lrb_open_item *first, *last; } lrb_queue;

struct lrb_intake {
    lrb_source *source;
    lrb_repo *repo;
    lrb_writer *writer;
    lrb_job *job;
    lrb_chunker chunker;
    uint64_t cut_seed;             /* the same for cuts between records */
    bool compares_rows, tags_segments;
    uint8_t tag_key[LRB_KEY_BYTES]; /* of all tags */
    lrb_item_note *notes;
    lrb_start_place *order;            /* in which items are begun */
    struct lrb_vector_scratch **scratch; /* by the number of the worker, each its thread's alone */
    pthread_mutex_t lock;          /* everything below */
    size_t started, finished;
    lrb_queue comparing, digesting, encoding; /* open items with segments to compare; that nobody digests right now; with bytes to cut */
    uint64_t reused, encoded;
};

/* ---- intake.c ---- */
void lrb_intake_push(lrb_queue *q, lrb_open_item *item);
lrb_open_item *lrb_intake_pop(lrb_queue *q);
void lrb_intake_drop(lrb_queue *q, const lrb_open_item *item); /* wherever it stands; nothing when it is not there */
void lrb_intake_requeue(lrb_intake *intake, lrb_queue *q, lrb_open_item *item);
/* Of a pass of two: an item that is digested and then encoded counts half its bytes in each. */
void lrb_intake_count_half(lrb_open_item *item, uint64_t bytes);
/* It begins anew: only `left` of its bytes still count. */
void lrb_intake_uncount(lrb_open_item *item, uint64_t left);
/* An item is done; what of its bytes was not counted yet is. */
void lrb_intake_finished(lrb_intake *intake, size_t position, uint64_t counted, bool reused);
int lrb_intake_changed(const lrb_source_item *item, int fd, lrb_err *err);
/* The same identity as when it was listed: what was read is one state of the file. */
int lrb_intake_check_unchanged(const lrb_source_item *item, int fd, lrb_err *err);
/* Tries the recipe of the earlier snapshot: *reused when every chunk it reaches is known, and then the item is finished. */
int lrb_intake_try_reuse(lrb_intake *intake, lrb_worker *worker, size_t position, uint64_t counted, bool *reused, lrb_err *err);
/* Stores one raw chunk and makes its row. */
int lrb_intake_put_chunk(lrb_intake *intake, lrb_worker *worker, const uint8_t *bytes, size_t count, lrb_row *row, lrb_err *err);
/* An lrb_recipe_store for the nodes of an open item; arg is the item. */
int lrb_intake_store_node(void *arg, lrb_chunk_kind kind, const void *content, size_t count, lrb_id *id, lrb_err *err);

/* ---- intake_big.c ---- */
int lrb_intake_open_big(lrb_intake *intake, size_t position, lrb_open_item **out, lrb_err *err);
/* Digests the next slice of one item or two. Takes them over: they go back into a queue, or are closed. */
int lrb_intake_digest(lrb_intake *intake, lrb_worker *worker, lrb_open_item *const *items, size_t count, lrb_err *err);
/* One batch of an item in the encoding queue; the caller has counted itself inside. */
int lrb_intake_encode_step(lrb_intake *intake, lrb_worker *worker, lrb_open_item *item, lrb_err *err);
void lrb_intake_close_item(lrb_open_item *item);

/* ---- intake_compare.c ---- */
typedef struct lrb_segments { /* of an item, to be compared */
    lrb_open_item *item;
    size_t first, end;
} lrb_segments;
/* Room for the tags of a file of this size, offered ones or others; none when it has none. */
int lrb_intake_prepare_tags(lrb_intake *intake, size_t position, lrb_err *err);
/* Of bytes that were digested, from the beginning of a segment to the end of one or of the file. */
int lrb_intake_tag(lrb_intake *intake, lrb_worker *worker, size_t position, uint64_t offset, const uint8_t *bytes, size_t count, lrb_err *err);
/* Opens an item whose tags were offered. *item: the one to be digested, or NULL while it may be what it was. */
int lrb_intake_open_known(lrb_intake *intake, lrb_worker *worker, size_t position, lrb_open_item **item, lrb_err *err);
/* Under the intake's lock: the next segments of an open item; item NULL when there are none. */
lrb_segments lrb_intake_claim_segments(lrb_intake *intake);
int lrb_intake_compare(lrb_intake *intake, lrb_worker *worker, lrb_segments segments, lrb_err *err);

/* ---- intake_vectors.c ---- */
/* All bytes were seen: the item is encoded as a vector file if it is one; else its lrb_vdb goes. */
int lrb_intake_begin_vectors(lrb_open_item *item, lrb_worker *worker, lrb_err *err);
/* Encodes the next section; *last: none was left. */
int lrb_intake_encode_section(lrb_open_item *item, lrb_worker *worker, bool *last, lrb_err *err);
/* What the bytes that belong to no section sum up to. */
uint64_t lrb_intake_sum_frame(const lrb_open_item *item);
/* Puts the rows of all sections into the recipe. */
int lrb_intake_end_vectors(lrb_open_item *item, lrb_worker *worker, lrb_err *err);
void lrb_intake_drop_vectors(lrb_open_item *item);

/* ---- intake_section.c ---- */
void lrb_intake_free_scratch(struct lrb_vector_scratch *scratch);

/* ---- intake_known.c ---- */
/* Reads what the item became before; without tags of its sections, or when that cannot be read, nothing is known. */
int lrb_intake_recall(lrb_open_item *item, lrb_worker *worker, lrb_err *err);
void lrb_intake_forget(lrb_known_sections *known);
/* The file was encoded, as a vector file or not: the tags that were made replace those that were offered. */
int lrb_intake_note_sections(const lrb_open_item *item, lrb_section_tags *out, lrb_err *err);

/* ---- intake_rows.c ---- */
typedef struct lrb_rows_comparison { /* of a section */
    bool on;                       /* rows are compared, and none had a flaw so far */
    uint64_t rows, places;
} lrb_rows_comparison;
/* Compares the rows of a group whose content was just put. `row` is the first one's number and `at` where its record
 * begins in the file; `encoded`: the worker's coder encoded the content just now. */
int lrb_intake_compare_group(lrb_rows_comparison *c, const lrb_vdb_group *group, uint64_t row, uint64_t at, const lrb_content *content,
                             bool encoded, lrb_worker *worker, lrb_err *err);
/* The same without comparing: they are as they were when they were found clear. */
void lrb_intake_take_rows(lrb_rows_comparison *c, const lrb_vdb_record *records, uint32_t count, uint64_t row, uint64_t at);
/* The file was encoded as a vector file: notes what was seen, if that is all of its rows. */
void lrb_intake_note_rows(const lrb_open_item *item, lrb_rows_seen *seen);

#endif
