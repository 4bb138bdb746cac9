/* The inside of lrb_item_bytes: item_bytes.c finds parts and keeps the last ones, item_vectors.c knows vector files.
 *
 * An item is a row of parts. Of plain bytes a part is a chunk; of a vector file (docs/format.md) it is a span: a text
 * chunk and the vectors chunks of the same records, which make bytes at two places, records in front of the middle and
 * rows in the matrix behind it.
 */
#ifndef LRB_ENGINE_ITEM_BYTES_PRIVATE_H
#define LRB_ENGINE_ITEM_BYTES_PRIVATE_H

#include <pthread.h>

#include "engine/item_bytes.h"

enum { LRB_ITEM_KEPT_PARTS = 8 };

typedef struct lrb_item_part {
    uint64_t offset;      /* of its bytes in the item; of a span, of its records */
    uint64_t first_row;   /* of the matrix */
    size_t first_chunk;   /* in `chunks` */
} lrb_item_part;

typedef struct lrb_kept_part { /* a decoded part; used by the thread that has it in use */
    lrb_buf bytes, rows;
    size_t part;
    bool filled, has_rows, in_use;
    uint64_t last_use;
} lrb_kept_part;

typedef struct lrb_item_corrections { /* of a section's rows */
    lrb_id id;
    uint64_t first;
    uint32_t rows;
} lrb_item_corrections;

struct lrb_item_bytes {
    lrb_repo *repo;
    uint64_t size_bytes;
    lrb_row *chunks;      /* data chunks in order, without frame and corrections */
    size_t chunk_count, chunk_room;
    lrb_item_part *parts; /* and one behind the last, with where everything ends */
    size_t part_count, part_room;
    bool is_vectors;
    uint32_t dim;
    uint64_t rows, data_bytes; /* of the matrix; in front of the middle */
    lrb_buf frame;
    uint32_t middle_bytes, end_bytes;
    lrb_item_corrections *corrections;
    size_t correction_count, correction_room;
    pthread_mutex_t lock; /* everything below */
    lrb_kept_part kept[LRB_ITEM_KEPT_PARTS];
    uint64_t uses;
};

int lrb_item_add_chunk(lrb_item_bytes *bytes, const lrb_row *row, lrb_err *err);
int lrb_item_add_part(lrb_item_bytes *bytes, uint64_t offset, uint64_t first_row, lrb_err *err); /* begins with the next chunk */
int lrb_item_damaged(lrb_err *err, const char *what);

/* ---- item_vectors.c ---- */
/* Takes the rows of a vector file's recipe, one after the other, the frame first; *taken false: it is none of its. */
int lrb_item_take_frame(lrb_item_bytes *bytes, const lrb_row *row, lrb_coder *coder, lrb_err *err);
int lrb_item_take_row(lrb_item_bytes *bytes, const lrb_row *row, lrb_err *err);
/* After the last row: whether all fits together. */
int lrb_item_finish_vectors(lrb_item_bytes *bytes, lrb_err *err);
/* Decodes a span: its records' bytes and, with `rows`, its rows of the matrix, corrected. */
int lrb_item_decode_span(lrb_item_bytes *bytes, lrb_coder *coder, size_t part, bool rows, lrb_kept_part *into, lrb_err *err);

#endif
