/* The contents of a vector file's chunks that are not vectors: its frame, and the texts of some records.
 *
 *   frame     rows u64 | dim u32 | middle length u32 | end length u32 | zero u32 | middle | end
 *   texts     records u32 | records x text length u32 | the texts, back to back
 *
 * Middle, end and texts are those of vdb.h. Both are judged before they are believed. Pointers lead into the content.
 */
#ifndef LRB_LIGHTRAG_VDB_PARTS_H
#define LRB_LIGHTRAG_VDB_PARTS_H

#include "base/wire.h"
#include "lightrag/vdb.h"

typedef struct lrb_vdb_frame {
    uint64_t rows;
    uint32_t dim, middle_bytes, end_bytes;
    const uint8_t *middle, *end;
} lrb_vdb_frame;

int lrb_vdb_frame_encode(const lrb_vdb_frame *frame, lrb_buf *content, lrb_err *err); /* appends */
/* DAMAGED for what encode does not write, and for rows or a dim that no file has. */
int lrb_vdb_frame_open(const void *content, size_t count, lrb_vdb_frame *frame, lrb_err *err);

typedef struct lrb_vdb_texts {
    uint32_t records;
    const uint8_t *lengths, *texts;
    size_t texts_bytes;
} lrb_vdb_texts;

/* Appends the content for records[count], whose texts and payloads lie back to back at `bytes`. */
int lrb_vdb_texts_encode(const lrb_vdb_record *records, size_t count, const uint8_t *bytes, lrb_buf *content, lrb_err *err);
int lrb_vdb_texts_open(const void *content, size_t count, lrb_vdb_texts *texts, lrb_err *err); /* DAMAGED */
static inline uint32_t lrb_vdb_text_bytes(const lrb_vdb_texts *texts, uint32_t record) {
    return lrb_get_u32(texts->lengths + 4 * (size_t)record);
}

#endif
