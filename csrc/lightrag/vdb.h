/* The layout of a vector file (NanoVectorDB as LightRAG writes it), recognised while its bytes stream by.
 *
 *   {"embedding_dim": 1024, "data": [{"__id__": "ent-…", …, "vector": "<base64>"}, …, {…}], "matrix": "<base64>"}
 *
 *   = text payload text payload … text payload | middle | matrix | end
 *
 * A payload is the string behind `"vector": "`, a text is everything before one, from the end of the payload before
 * it. Middle is what stands between the last payload and the matrix, `"}], "matrix": "`; end is all behind the matrix.
 * So the file is tiled by construction, whatever its texts say: no JSON is judged here. A file is recognised when it
 * begins with embedding_dim and the matrix is exactly as long as the base64 of one row of float32 per payload must be;
 * whether the base64 is canonical shows when it is decoded. All else (another layout or order of keys, a record without
 * its vector, texts beyond the limits) is not recognised, which is no error: such a file is stored as plain bytes.
 *
 * The records are divided into sections of about a MiB of the file (their share of the matrix counted in), the unit of
 * work and of memory: a section ends at a record where the hash of its id is below the record's size divided by that
 * MiB, or where the next record would lead above a limit. Only sections are kept, 8 bytes each, so four gigabytes of source need
 * some 40 KB. One thread at a time.
 */
#ifndef LRB_LIGHTRAG_VDB_H
#define LRB_LIGHTRAG_VDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    LRB_VDB_MAX_DIM = 16384,
    LRB_VDB_MAX_TEXT_BYTES = 256 << 10,    /* of one record */
    LRB_VDB_MAX_MIDDLE_BYTES = 4 << 10,
    LRB_VDB_MAX_END_BYTES = 64 << 10,
    LRB_VDB_SECTION_BYTES = 1 << 20,       /* of the file, on average */
    LRB_VDB_SECTION_MAX_BYTES = 2 << 20,   /* of its texts and payloads; a single record may be longer, up to both limits */
    LRB_VDB_SECTION_MAX_ROWS = 4096
};

typedef struct lrb_vdb_section {
    uint32_t bytes; /* texts and payloads, back to back */
    uint32_t rows;
} lrb_vdb_section;

/* Whether a file that begins with these bytes may be a vector file; 64 of them are enough. */
bool lrb_vdb_likely(const uint8_t *bytes, size_t count);

typedef struct lrb_vdb lrb_vdb;

int lrb_vdb_new(uint64_t seed, lrb_vdb **out, lrb_err *err);
void lrb_vdb_free(lrb_vdb *vdb); /* NULL: nothing */
/* The next bytes of the file. The only failure is NOMEM. */
int lrb_vdb_feed(lrb_vdb *vdb, const uint8_t *bytes, size_t count, lrb_err *err);
/* False as soon as the file cannot be recognised any more: feeding on is of no use. */
bool lrb_vdb_hopeful(const lrb_vdb *vdb);
/* After the last byte: whether the file is recognised. Only then everything below has a meaning. */
int lrb_vdb_finish(lrb_vdb *vdb, bool *recognised, lrb_err *err);

uint32_t lrb_vdb_dim(const lrb_vdb *vdb);
uint64_t lrb_vdb_rows(const lrb_vdb *vdb);
size_t lrb_vdb_section_count(const lrb_vdb *vdb);
const lrb_vdb_section *lrb_vdb_section_at(const lrb_vdb *vdb, size_t position);
uint64_t lrb_vdb_matrix_at(const lrb_vdb *vdb); /* where the matrix begins in the file */
const uint8_t *lrb_vdb_middle(const lrb_vdb *vdb, size_t *count);
const uint8_t *lrb_vdb_end(const lrb_vdb *vdb, size_t *count);

uint64_t lrb_vdb_base64_bytes(uint64_t bytes); /* of that many bytes: 4 characters for every 3 of them or part of 3 */
/* More sections than a file of that size can be expected to have: fewer than 16 KiB each. */
static inline uint64_t lrb_vdb_max_sections(uint64_t size_bytes) {
    return 64 + size_bytes / (16 << 10);
}
/* More than the base64 of a deflated row of float16 can have. */
static inline uint32_t lrb_vdb_max_payload(uint32_t dim) {
    return 4 * dim + 256;
}

typedef struct lrb_vdb_record {
    uint32_t text_bytes, payload_bytes;
    uint64_t hash; /* of the id, or of the text's beginning where there is none */
} lrb_vdb_record;
/* Splits the bytes of a section into exactly `rows` records; false when they are not what the recogniser saw. */
bool lrb_vdb_split(const uint8_t *bytes, size_t count, uint64_t seed, lrb_vdb_record *records, size_t rows);

#endif
