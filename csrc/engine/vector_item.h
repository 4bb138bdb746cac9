/* A vector file as an item of a snapshot: its list of chunks (docs/format.md) held against its size, and its spans turned
 * back into bytes of the file and rows of its matrix. Who restores it and who looks into it read it by this.
 *
 * The list: a frame, then corrections for every row of the matrix, section by section, then spans: a text, and the
 * vectors of the same records behind it. What the list says is known when all of it was taken; from then on a layout
 * does not change, but for `data_taken` and `rows_taken`, and threads may read it with a reader each.
 */
#ifndef LRB_ENGINE_VECTOR_ITEM_H
#define LRB_ENGINE_VECTOR_ITEM_H

#include "codec/corrections.h"
#include "lightrag/vdb_group.h"
#include "repo/repo.h"

enum { LRB_VECTOR_SPAN_MAX_BYTES = 16 << 20 }; /* of the file's records; no backup makes one so large */

typedef struct lrb_vector_section { /* whose rows are corrected by one chunk */
    lrb_id corrections;
    uint64_t first;
    uint32_t rows;
} lrb_vector_section;

/* The file: `data_bytes` of records, middle, matrix, end. */
typedef struct lrb_vector_layout {
    const char *name;            /* for errors, "" for none; the caller's */
    lrb_buf content;             /* the frame's, which `frame` leads into */
    lrb_vdb_frame frame;
    uint64_t size_bytes, data_bytes;
    lrb_vector_section *sections;
    size_t section_count, section_room;
    uint64_t corrected;          /* rows that the sections so far are about */
    uint64_t data_taken, rows_taken; /* bytes of records, and rows, of the spans taken so far */
    unsigned groups;             /* vectors chunks taken of the last span */
} lrb_vector_layout;

/* Bytes of the file that no span has: middle, matrix and end. */
uint64_t lrb_vector_frame_bytes(const lrb_vdb_frame *frame);
/* Reads the frame of a file of that size; DAMAGED when the file cannot hold it. To be cleared, also after a failure. */
int lrb_vector_layout_begin(lrb_vector_layout *layout, lrb_repo *repo, lrb_coder *coder, const lrb_row *frame, uint64_t size_bytes,
                            const char *name, lrb_err *err);
void lrb_vector_layout_clear(lrb_vector_layout *layout); /* zeros: nothing */
/* Takes the next row of the list; DAMAGED for one that may not stand there. */
int lrb_vector_layout_take(lrb_vector_layout *layout, const lrb_row *row, lrb_err *err);
/* Behind the last row; DAMAGED unless all of them make the file. */
int lrb_vector_layout_finish(const lrb_vector_layout *layout, lrb_err *err);

/* Reads spans. The buffers are the caller's; they are used again and again. */
typedef struct lrb_vector_reader {
    lrb_repo *repo;
    lrb_coder *coder;
    const lrb_vector_layout *layout;
    bool check_ids;
    lrb_buf *text, *content, *correction; /* of a span, of one of its vectors chunks, of a section */

    /* its own */
    lrb_vdb_texts texts;         /* of the span */
    const uint8_t *next_text;
    uint32_t record;             /* of the span, the next one */
    size_t data_end;
    bool has_section;
    size_t section;
    lrb_corrections corrections; /* of that section */
    bool more;                   /* they are about a row still to come */
} lrb_vector_reader;

/* Begins the span of this text, whose records will be appended to `data`. */
int lrb_vector_reader_span(lrb_vector_reader *reader, const lrb_row *text, lrb_buf *data, lrb_err *err);
/* Appends the records of the span's next vectors chunk. *vectors has their rows, canonical. */
int lrb_vector_reader_group(lrb_vector_reader *reader, const lrb_row *row, lrb_buf *data, lrb_vectors *vectors, lrb_err *err);
/* Corrects those rows, of which the first is row `first` of the matrix, in place; *values is where they are. */
int lrb_vector_reader_correct(lrb_vector_reader *reader, uint64_t first, const lrb_vectors *vectors, const uint8_t **values, lrb_err *err);
/* Behind the span's last group; DAMAGED unless it made what its text is listed with. */
int lrb_vector_reader_span_end(const lrb_vector_reader *reader, const lrb_buf *data, lrb_err *err);

#endif
