#include "repo/field.h"

enum { FIELD_HEAD_BYTES = 6 };

int lrb_field_put(lrb_buf *out, uint16_t tag, const void *value, size_t count, lrb_err *err) {
    if (count > UINT32_MAX - FIELD_HEAD_BYTES)
        return lrb_err_set(err, LRB_E_LIMIT, "encode", "", "field %u was longer than a field can be", (unsigned)tag);
    uint8_t head[FIELD_HEAD_BYTES];
    lrb_put_u16(head, tag);
    lrb_put_u32(head + 2, (uint32_t)count);
    int code = lrb_buf_reserve(out, FIELD_HEAD_BYTES + count, err);
    if (!code) code = lrb_buf_append(out, head, sizeof head, err);
    if (!code) code = lrb_buf_append(out, value, count, err);
    return code;
}

int lrb_field_put_text(lrb_buf *out, uint16_t tag, const char *text, lrb_err *err) {
    return lrb_field_put(out, tag, text, strlen(text), err);
}

int lrb_field_put_u32(lrb_buf *out, uint16_t tag, uint32_t value, lrb_err *err) {
    uint8_t bytes[4];
    lrb_put_u32(bytes, value);
    return lrb_field_put(out, tag, bytes, sizeof bytes, err);
}

int lrb_field_put_u64(lrb_buf *out, uint16_t tag, uint64_t value, lrb_err *err) {
    uint8_t bytes[8];
    lrb_put_u64(bytes, value);
    return lrb_field_put(out, tag, bytes, sizeof bytes, err);
}

bool lrb_field_next(lrb_view *view, lrb_field *field) {
    if (view->bad || !view->left) return false;
    uint16_t tag = lrb_view_u16(view);
    uint32_t length = lrb_view_u32(view);
    const uint8_t *value = lrb_view_bytes(view, length);
    if (view->bad) return false;
    field->tag = tag;
    field->value = lrb_view_of(value, length);
    return true;
}

bool lrb_field_fixed(const lrb_field *field, void *into, size_t count) {
    if (field->value.left != count) return false;
    memcpy(into, field->value.at, count);
    return true;
}

bool lrb_field_u32(const lrb_field *field, uint32_t *value) {
    uint8_t bytes[4];
    if (!lrb_field_fixed(field, bytes, sizeof bytes)) return false;
    *value = lrb_get_u32(bytes);
    return true;
}

bool lrb_field_u64(const lrb_field *field, uint64_t *value) {
    uint8_t bytes[8];
    if (!lrb_field_fixed(field, bytes, sizeof bytes)) return false;
    *value = lrb_get_u64(bytes);
    return true;
}
