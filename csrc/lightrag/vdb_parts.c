#include "lightrag/vdb_parts.h"

static int malformed(const char *what, lrb_err *err) {
    return lrb_err_set(err, LRB_E_DAMAGED, "read", what, "the %s of a vector file could not be read", what);
}

/* ---- the frame ---- */

int lrb_vdb_frame_encode(const lrb_vdb_frame *frame, lrb_buf *content, lrb_err *err) {
    int code = lrb_wire_u64(content, frame->rows, err);
    if (!code) code = lrb_wire_u32(content, frame->dim, err);
    if (!code) code = lrb_wire_u32(content, frame->middle_bytes, err);
    if (!code) code = lrb_wire_u32(content, frame->end_bytes, err);
    if (!code) code = lrb_wire_u32(content, 0, err);
    if (!code) code = lrb_buf_append(content, frame->middle, frame->middle_bytes, err);
    return code ? code : lrb_buf_append(content, frame->end, frame->end_bytes, err);
}

int lrb_vdb_frame_open(const void *content, size_t count, lrb_vdb_frame *frame, lrb_err *err) {
    lrb_view view = lrb_view_of(content, count);
    frame->rows = lrb_view_u64(&view);
    frame->dim = lrb_view_u32(&view);
    frame->middle_bytes = lrb_view_u32(&view);
    frame->end_bytes = lrb_view_u32(&view);
    uint32_t zero = lrb_view_u32(&view);
    frame->middle = lrb_view_bytes(&view, frame->middle_bytes);
    frame->end = lrb_view_bytes(&view, frame->end_bytes);
    if (view.bad || view.left || zero || !frame->rows || frame->rows > UINT32_MAX || !frame->dim ||
        frame->dim > LRB_VDB_MAX_DIM)
        return malformed("frame", err);
    return LRB_OK;
}

/* ---- texts ---- */

int lrb_vdb_texts_encode(const lrb_vdb_record *records, size_t count, const uint8_t *bytes, lrb_buf *content, lrb_err *err) {
    int code = lrb_wire_u32(content, (uint32_t)count, err);
    for (size_t i = 0; !code && i < count; i++) code = lrb_wire_u32(content, records[i].text_bytes, err);
    for (size_t i = 0; !code && i < count; i++) {
        code = lrb_buf_append(content, bytes, records[i].text_bytes, err);
        bytes += records[i].text_bytes + records[i].payload_bytes;
    }
    return code;
}

int lrb_vdb_texts_open(const void *content, size_t count, lrb_vdb_texts *texts, lrb_err *err) {
    lrb_view view = lrb_view_of(content, count);
    texts->records = lrb_view_u32(&view);
    texts->lengths = texts->records <= view.left / 4 ? lrb_view_bytes(&view, 4 * (size_t)texts->records) : NULL;
    if (view.bad || !texts->records || !texts->lengths) return malformed("texts", err);
    texts->texts = view.at;
    texts->texts_bytes = view.left;
    uint64_t total = 0;
    for (uint32_t i = 0; i < texts->records; i++) total += lrb_vdb_text_bytes(texts, i);
    return total == texts->texts_bytes ? LRB_OK : malformed("texts", err);
}
