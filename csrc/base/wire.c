#include "base/wire.h"

int lrb_wire_u8(lrb_buf *out, uint8_t v, lrb_err *err) {
    return lrb_buf_append(out, &v, sizeof v, err);
}

int lrb_wire_u16(lrb_buf *out, uint16_t v, lrb_err *err) {
    uint8_t bytes[sizeof v];
    lrb_put_u16(bytes, v);
    return lrb_buf_append(out, bytes, sizeof bytes, err);
}

int lrb_wire_u32(lrb_buf *out, uint32_t v, lrb_err *err) {
    uint8_t bytes[sizeof v];
    lrb_put_u32(bytes, v);
    return lrb_buf_append(out, bytes, sizeof bytes, err);
}

int lrb_wire_u64(lrb_buf *out, uint64_t v, lrb_err *err) {
    uint8_t bytes[sizeof v];
    lrb_put_u64(bytes, v);
    return lrb_buf_append(out, bytes, sizeof bytes, err);
}

/* A bad view stays at its end: after one short read nothing else succeeds by being shorter. */
const uint8_t *lrb_view_bytes(lrb_view *view, size_t count) {
    if (view->bad || count > view->left) {
        view->bad = true;
        view->left = 0;
        return NULL;
    }
    const uint8_t *bytes = view->at;
    if (count) view->at += count;
    view->left -= count;
    return bytes;
}

uint8_t lrb_view_u8(lrb_view *view) {
    const uint8_t *bytes = lrb_view_bytes(view, sizeof(uint8_t));
    return bytes ? bytes[0] : 0;
}

uint16_t lrb_view_u16(lrb_view *view) {
    const uint8_t *bytes = lrb_view_bytes(view, sizeof(uint16_t));
    return bytes ? lrb_get_u16(bytes) : 0;
}

uint32_t lrb_view_u32(lrb_view *view) {
    const uint8_t *bytes = lrb_view_bytes(view, sizeof(uint32_t));
    return bytes ? lrb_get_u32(bytes) : 0;
}

uint64_t lrb_view_u64(lrb_view *view) {
    const uint8_t *bytes = lrb_view_bytes(view, sizeof(uint64_t));
    return bytes ? lrb_get_u64(bytes) : 0;
}
