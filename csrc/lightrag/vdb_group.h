/* The records of one vectors chunk, between the bytes of a vector file and contents of chunks, both ways.
 *
 * Forward: payloads are decoded into the streams of a vectors content (codec/vectors.h) and rows of the matrix become
 * canonical rows; what a row loses thereby goes into the corrections of its section (codec/corrections.h). Backward:
 * texts and streams are joined again. Groups are a few rows, sized so that one is some 40 KiB of the file whatever the
 * dimension. Pure functions over the caller's memory.
 */
#ifndef LRB_LIGHTRAG_VDB_GROUP_H
#define LRB_LIGHTRAG_VDB_GROUP_H

#include "codec/vectors.h"
#include "lightrag/vdb_parts.h"

enum {
    LRB_VDB_GROUP_MAX_ROWS = 512,
    LRB_VDB_GROUP_MAX_BYTES = 2 << 20, /* of payloads and rows */
    LRB_VDB_SPAN_MAX_GROUPS = 64,
    LRB_VDB_SPAN_MAX_BYTES = 4 << 20   /* of texts, payloads and rows */
};

/* How far around a record ids are compared (cut.h): where a group of vectors ends, and where a text does, which never
 * ends within a group. */
unsigned lrb_vdb_group_reach(uint32_t dim);
unsigned lrb_vdb_span_reach(uint32_t dim);

/* How many of records[count], at least one, make the next group; *span_ends: the text ends with it. extents are those
 * of the same records; `span_groups` and `span_bytes` are what the span has so far. */
size_t lrb_vdb_next_group(const lrb_vdb_record *records, const uint8_t *extents, size_t count, uint32_t dim,
                          unsigned *span_groups, uint64_t *span_bytes, bool *span_ends);

typedef struct lrb_vdb_group {
    const lrb_vdb_record *records;
    uint32_t count, dim;
    const uint8_t *data; /* the records' texts and payloads */
    const uint8_t *rows; /* their rows of the matrix: count x dim float32 */
} lrb_vdb_group;

/* Appends the vectors content, and the corrections of its rows, the first of which has number `first` in its section.
 * `scratch` is 4 * dim bytes. *fits false: a payload is no canonical base64, or its records make no content; then nothing
 * of the group may be used. */
int lrb_vdb_group_encode(const lrb_vdb_group *group, uint32_t first, uint8_t *scratch, lrb_buf *content, lrb_buf *corrections,
                         bool *fits, lrb_err *err);

/* The rows alone: canonical ones to values[count * 4 * dim], and their corrections. Records and data are not looked at. */
int lrb_vdb_group_canonical(const lrb_vdb_group *group, uint32_t first, uint8_t *values, uint8_t *scratch, lrb_buf *corrections,
                            lrb_err *err);

/* How many bytes of the file the texts from record `first` on and the payloads of `vectors` take. */
uint64_t lrb_vdb_group_bytes(const lrb_vdb_texts *texts, uint32_t first, const lrb_vectors *vectors);
/* Writes them; exactly that many. `text` is where the text of record `first` begins. */
void lrb_vdb_group_decode(const lrb_vdb_texts *texts, uint32_t first, const uint8_t *text, const lrb_vectors *vectors, uint8_t *out);

#endif
