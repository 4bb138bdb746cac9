#include "lightrag/vdb_group.h"

#include <string.h>

#include "codec/base64.h"
#include "codec/canonical.h"
#include "codec/corrections.h"

enum { GROUP_NUMBERS = 1536 /* twice the reach, and one, times the dim: about twice as many numbers */, SPAN_REACH = 8, MAX_REACH = 32 };

/* ---- sizes ---- */

unsigned lrb_vdb_group_reach(uint32_t dim) {
    unsigned reach = GROUP_NUMBERS / dim;
    return reach > MAX_REACH ? MAX_REACH : reach; /* 0: every record is a group */
}

unsigned lrb_vdb_span_reach(uint32_t dim) {
    unsigned reach = lrb_vdb_group_reach(dim);
    return reach < SPAN_REACH ? SPAN_REACH : reach;
}

static uint64_t row_bytes(const lrb_vdb_record *record, uint32_t dim) {
    return record->payload_bytes + 4 * (uint64_t)dim;
}

size_t lrb_vdb_next_group(const lrb_vdb_record *records, const uint8_t *extents, size_t count, uint32_t dim,
                          unsigned *span_groups, uint64_t *span_bytes, bool *span_ends) {
    unsigned reach = lrb_vdb_group_reach(dim);
    uint64_t bytes = 0;
    size_t taken = 0;
    do {
        bytes += row_bytes(&records[taken], dim);
        *span_bytes += row_bytes(&records[taken], dim) + records[taken].text_bytes;
        taken++;
    } while (taken < count && extents[taken - 1] < reach && taken < LRB_VDB_GROUP_MAX_ROWS &&
             bytes + row_bytes(&records[taken], dim) <= LRB_VDB_GROUP_MAX_BYTES);
    *span_groups += 1;
    *span_ends = taken == count || extents[taken - 1] >= lrb_vdb_span_reach(dim) || *span_groups == LRB_VDB_SPAN_MAX_GROUPS ||
                 *span_bytes > LRB_VDB_SPAN_MAX_BYTES - LRB_VDB_GROUP_MAX_BYTES;
    return taken;
}

/* ---- forward ---- */

static bool streams_shape(const lrb_vdb_group *group, lrb_vectors_shape *shape) {
    const char *at = (const char *)group->data;
    size_t bytes = 0;
    lrb_err ignored;
    for (uint32_t i = 0; i < group->count; i++) {
        const lrb_vdb_record *record = &group->records[i];
        bytes += lrb_base64_decoded_length(at + record->text_bytes, record->payload_bytes);
        at += record->text_bytes + record->payload_bytes;
    }
    return !lrb_vectors_shape_of(group->dim, group->count, bytes, shape, &ignored);
}

static bool decode_payloads(const lrb_vdb_group *group, const lrb_vectors_shape *shape, uint8_t *content) {
    const char *at = (const char *)group->data;
    uint8_t *stream = content + shape->streams, *end = content + shape->total;
    for (uint32_t i = 0; i < group->count; i++) {
        const lrb_vdb_record *record = &group->records[i];
        size_t written, expected = lrb_base64_decoded_length(at + record->text_bytes, record->payload_bytes);
        if (expected > (size_t)(end - stream) || !lrb_base64_decode(at + record->text_bytes, record->payload_bytes, stream, &written))
            return false;
        lrb_put_u32(content + shape->lengths + 4 * (size_t)i, (uint32_t)written);
        stream += written;
        at += record->text_bytes + record->payload_bytes;
    }
    return stream == end;
}

int lrb_vdb_group_canonical(const lrb_vdb_group *group, uint32_t first, uint8_t *values, uint8_t *scratch, lrb_buf *corrections,
                            lrb_err *err) {
    size_t row_bytes_of_matrix = 4 * (size_t)group->dim;
    int code = LRB_OK;
    for (uint32_t i = 0; !code && i < group->count; i++) {
        const uint8_t *row = group->rows + row_bytes_of_matrix * i;
        uint8_t *canonical = values + row_bytes_of_matrix * i;
        lrb_canonical_path path;
        if (lrb_row_canonical(row, group->dim, canonical, scratch, &path))
            code = lrb_corrections_append(corrections, first + i, row, canonical, group->dim, &path, err);
    }
    return code;
}

int lrb_vdb_group_encode(const lrb_vdb_group *group, uint32_t first, uint8_t *scratch, lrb_buf *content, lrb_buf *corrections,
                         bool *fits, lrb_err *err) {
    lrb_vectors_shape shape;
    *fits = streams_shape(group, &shape);
    if (!*fits) return LRB_OK;
    int code = lrb_buf_reserve(content, shape.total + lrb_base64_decoded_bound(4), err);
    if (code) return code;
    uint8_t *at = content->data + content->length;
    lrb_put_u32(at, group->count);
    *fits = decode_payloads(group, &shape, at);
    if (*fits) code = lrb_vdb_group_canonical(group, first, at + shape.values, scratch, corrections, err);
    if (*fits && !code) content->length += shape.total;
    return code;
}

/* ---- backward ---- */

uint64_t lrb_vdb_group_bytes(const lrb_vdb_texts *texts, uint32_t first, const lrb_vectors *vectors) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < vectors->rows; i++)
        bytes += lrb_vdb_text_bytes(texts, first + i) + lrb_base64_encoded_length(lrb_get_u32(vectors->lengths + 4 * (size_t)i));
    return bytes;
}

void lrb_vdb_group_decode(const lrb_vdb_texts *texts, uint32_t first, const uint8_t *text, const lrb_vectors *vectors, uint8_t *out) {
    const uint8_t *stream = vectors->streams;
    for (uint32_t i = 0; i < vectors->rows; i++) {
        uint32_t text_bytes = lrb_vdb_text_bytes(texts, first + i), stream_bytes = lrb_get_u32(vectors->lengths + 4 * (size_t)i);
        memcpy(out, text, text_bytes);
        lrb_base64_encode(stream, stream_bytes, (char *)out + text_bytes);
        out += text_bytes + lrb_base64_encoded_length(stream_bytes);
        text += text_bytes;
        stream += stream_bytes;
    }
}
