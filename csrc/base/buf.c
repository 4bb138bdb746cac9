#include "base/buf.h"

#include <string.h>

#include "base/mem.h"

enum { SMALLEST_CAPACITY = 64 };

void lrb_buf_init(lrb_buf *buf, size_t ceiling_bytes) {
    *buf = (lrb_buf){.ceiling = ceiling_bytes};
}

void lrb_buf_clear(lrb_buf *buf) {
    lrb_free(buf->data);
    lrb_buf_init(buf, buf->ceiling);
}

void lrb_buf_empty(lrb_buf *buf) {
    buf->length = 0;
}

/* Doubling keeps a long row of appends linear; the ceiling bounds the last step. */
static size_t grown_capacity(const lrb_buf *buf, size_t needed) {
    size_t capacity = buf->capacity > buf->ceiling / 2 ? buf->ceiling : buf->capacity * 2;
    if (capacity < SMALLEST_CAPACITY) capacity = SMALLEST_CAPACITY;
    if (capacity > buf->ceiling) capacity = buf->ceiling;
    return capacity < needed ? needed : capacity;
}

int lrb_buf_reserve(lrb_buf *buf, size_t extra, lrb_err *err) {
    if (extra > buf->ceiling - buf->length) {
        return lrb_err_set(err, LRB_E_LIMIT, "grow a buffer", "", "%zu bytes and %zu more passed the ceiling of %zu",
                           buf->length, extra, buf->ceiling);
    }
    size_t needed = buf->length + extra;
    if (needed <= buf->capacity) return LRB_OK;
    size_t capacity = grown_capacity(buf, needed);
    uint8_t *data = lrb_resize_array(buf->data, capacity, 1);
    if (!data) return lrb_err_nomem(err, "grow a buffer");
    buf->data = data;
    buf->capacity = capacity;
    return LRB_OK;
}

int lrb_buf_append(lrb_buf *buf, const void *bytes, size_t count, lrb_err *err) {
    int code = lrb_buf_reserve(buf, count, err);
    if (code || count == 0) return code;
    memcpy(buf->data + buf->length, bytes, count);
    buf->length += count;
    return LRB_OK;
}
