/* What a stretch of a snapshot's lists adds up to: of an item's recipe, or of the body that names the items.
 *
 * A tally is made of one row, and two that stand side by side join to that of both; so what a node adds up to is
 * worked out once, however many snapshots share it. It says what a restore would find out late: lists whose
 * lengths do not make the item, whose rows are not what the chunks are, or that stand in an order no reader takes
 * (docs/format.md). What is in the chunks it does not know, but for a vector file's frame, which says how many rows there
 * are; nor how names follow one another from one body chunk to the next.
 *
 * Tallies are kept by the place of their chunk, 56 bytes each and half as many free ones. One thread at a time.
 */
#ifndef LRB_ENGINE_TALLY_H
#define LRB_ENGINE_TALLY_H

#include "lightrag/vdb_parts.h"
#include "repo/repo.h"

typedef enum lrb_part { /* what a stretch begins or ends with */
    LRB_PART_NONE = 0, LRB_PART_RAW, LRB_PART_FRAME, LRB_PART_CORRECTIONS, LRB_PART_TEXT, LRB_PART_VECTORS,
    LRB_PART_FACTS, LRB_PART_ITEM, LRB_PART_SKIPPED, LRB_PART_OTHER /* what stands in no such list */
} lrb_part;

typedef enum lrb_flaw {
    LRB_FLAW_NONE = 0,
    LRB_FLAW_KIND,   /* a row says another kind than its chunk has, or one that stands in no such list */
    LRB_FLAW_LENGTH, /* or another length */
    LRB_FLAW_LEVELS, /* nodes not equally deep, or deeper than any recipe */
    LRB_FLAW_ORDER,
    LRB_FLAW_FRAME,  /* the frame cannot be read */
    LRB_FLAW_SIZE,   /* more bytes than there can be */
    LRB_FLAW_ITEM    /* of a body: an item does not fit its list */
} lrb_flaw;

typedef struct lrb_tally { /* all zero: of nothing */
    uint64_t bytes;     /* of the file; of a body: of all its items */
    uint64_t items;     /* of a body */
    uint64_t rows, corrected, framed; /* of a vector file: in vectors, in corrections, and as the frame says */
    uint8_t first, last; /* lrb_part */
    uint8_t height;      /* levels of nodes */
    uint8_t flaw;        /* the first one */
} lrb_tally;

/* Of a row of data, which is no frame, and its chunk, as its pack has it. */
lrb_tally lrb_tally_of_row(const lrb_row *row, const lrb_copy *chunk);
/* Of a frame; NULL: one that cannot be read. */
lrb_tally lrb_tally_of_frame(const lrb_vdb_frame *frame);
/* `more` comes behind it. */
void lrb_tally_join(lrb_tally *tally, const lrb_tally *more);
/* All of it was in one node. */
void lrb_tally_raise(lrb_tally *tally);

/* Whether it is all of a file of that size, or all of a body of so many items that have so many bytes. */
bool lrb_tally_makes_file(const lrb_tally *tally, uint64_t size_bytes);
bool lrb_tally_makes_body(const lrb_tally *tally, uint64_t items, uint64_t size_bytes);
/* Why it is not, as the end of a sentence about the file or the snapshot. */
void lrb_tally_why_no_file(const lrb_tally *tally, uint64_t size_bytes, char *out, size_t room);
void lrb_tally_why_no_body(const lrb_tally *tally, uint64_t items, uint64_t size_bytes, char *out, size_t room);

/* ---- kept ---- */

typedef struct lrb_kept_tally {
    lrb_place place;
    lrb_tally tally;
} lrb_kept_tally;

typedef struct lrb_tallies { /* all zero: none */
    lrb_kept_tally *slots;
    size_t count, room;
} lrb_tallies;

void lrb_tallies_clear(lrb_tallies *tallies);
/* One that is there already is replaced. */
int lrb_tallies_keep(lrb_tallies *tallies, lrb_place place, const lrb_tally *tally, lrb_err *err);
const lrb_tally *lrb_tallies_find(const lrb_tallies *tallies, lrb_place place); /* NULL: not kept */

#endif
