/* One section of a vector file, while it is encoded: shared by intake_vectors.c, intake_section.c and intake_known.c. */
#ifndef LRB_ENGINE_INTAKE_SECTION_PRIVATE_H
#define LRB_ENGINE_INTAKE_SECTION_PRIVATE_H

#include "engine/intake_private.h"

/* One thread's memory for sections. It grows to what the files at hand need. */
struct lrb_vector_scratch {
    lrb_buf data;        /* a section's texts and payloads */
    lrb_buf chars, bytes; /* a span's part of the matrix: as it stands in the file, and decoded */
    lrb_buf contents;    /* the contents of a span's vectors chunks, back to back */
    lrb_buf text, corrections, again;
    lrb_vdb_record records[LRB_VDB_SECTION_MAX_ROWS];
    uint64_t hashes[LRB_VDB_SECTION_MAX_ROWS];
    uint8_t extents[LRB_VDB_SECTION_MAX_ROWS];
    lrb_sealer *tagger;  /* NULL: no tags are made */
};

typedef struct lrb_section { /* one section, while it is encoded */
    lrb_open_item *item;
    lrb_worker *worker;
    struct lrb_vector_scratch *scratch;
    size_t position;
    uint64_t data_at, first_row; /* in the file, in the matrix */
    uint32_t dim;
    lrb_section_rows *out;
    size_t room;                 /* of out->rows */
    uint64_t sum;                /* of what was read */
    lrb_rows_comparison seen;
    bool fits;                   /* false: the file has to be stored as plain bytes after all */
} lrb_section;

typedef struct lrb_span { /* the records of one text */
    const lrb_vdb_record *records;
    size_t count;
    uint32_t first;              /* of the section's records */
    const uint8_t *data;
    size_t data_bytes;
    const uint8_t *rows;         /* their rows of the matrix */
    lrb_vdb_group groups[LRB_VDB_SPAN_MAX_GROUPS];
    lrb_content contents[LRB_VDB_SPAN_MAX_GROUPS];
    unsigned group_count;
} lrb_span;

/* ---- intake_section.c ---- */
int lrb_section_encode(lrb_section *s, lrb_err *err);
/* This worker's memory for sections, made at first use. */
int lrb_section_scratch(lrb_intake *intake, const lrb_worker *worker, struct lrb_vector_scratch **out, lrb_err *err);
/* The span that begins at record `first` of `count`, whose bytes are `data`. */
void lrb_section_next_span(lrb_section *s, uint32_t first, uint32_t count, const uint8_t *data, lrb_span *p);
/* Room for a span, and its rows: read, decoded and summed up. */
int lrb_section_read_rows(lrb_section *s, lrb_span *p, lrb_err *err);
int lrb_section_add_row(lrb_section *s, const lrb_row *row, lrb_err *err);
/* *same: the corrections behind the first `corrections_before` bytes turn the span's canonical rows, which `rows` holds, into
 * its rows. It is done in place. */
int lrb_section_turn_back(lrb_section *s, const lrb_span *p, size_t corrections_before, uint8_t *rows, bool *same, lrb_err *err);

/* ---- intake_known.c ---- */
/* *same: the file had a section of the same records and canonical rows. Its rows are taken over, and what is left of it are
 * the corrections. */
int lrb_section_recall(lrb_section *s, const lrb_vdb_section *shape, bool *same, lrb_err *err);
/* The tag of a section's canonical rows, as they come: begin, some of them, ..., end. */
int lrb_section_begin_tag(lrb_section *s, lrb_err *err);
int lrb_section_tag(lrb_section *s, const uint8_t *rows, size_t count, lrb_err *err);
int lrb_section_end_tag(lrb_section *s, lrb_err *err);

#endif
