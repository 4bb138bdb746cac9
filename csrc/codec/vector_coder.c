#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/wire.h"
#include "codec/distances.h"
#include "codec/float_env.h"
#include "codec/inflate.h"
#include "codec/residual.h"
#include "codec/vectors.h"

enum { ROW_HEAD_BYTES = 10, RAW_WIDTH = 255 };

struct lrb_vector_coder {
    lrb_inflater *inflater;
    lrb_buf halves;    /* of all rows, kept from encoding for its inverse */
    lrb_buf distances; /* of one row */
    lrb_buf high;
    lrb_buf inverse;
};

int lrb_vector_coder_new(lrb_vector_coder **out, lrb_err *err) {
    lrb_vector_coder *coder = lrb_alloc_zero(1, sizeof *coder);
    if (!coder) return lrb_err_nomem(err, "make a vector coder");
    lrb_buf_init(&coder->halves, LRB_VECTORS_MAX_BYTES);
    lrb_buf_init(&coder->distances, 4 * LRB_VECTORS_MAX_DIM);
    lrb_buf_init(&coder->high, LRB_VECTORS_MAX_DIM);
    lrb_buf_init(&coder->inverse, LRB_VECTORS_MAX_BYTES);
    int code = lrb_inflater_new(&coder->inflater, err);
    if (code) {
        lrb_vector_coder_free(coder);
        return code;
    }
    *out = coder;
    return LRB_OK;
}

void lrb_vector_coder_free(lrb_vector_coder *coder) {
    if (!coder) return;
    lrb_inflater_free(coder->inflater);
    lrb_buf_clear(&coder->halves);
    lrb_buf_clear(&coder->distances);
    lrb_buf_clear(&coder->high);
    lrb_buf_clear(&coder->inverse);
    lrb_free(coder);
}

static int make_room(lrb_vector_coder *coder, uint32_t dim, lrb_err *err) {
    lrb_buf_empty(&coder->halves);
    lrb_buf_empty(&coder->distances);
    lrb_buf_empty(&coder->high);
    int code = lrb_buf_reserve(&coder->halves, 2 * (size_t)dim, err);
    if (!code) code = lrb_buf_reserve(&coder->distances, 4 * (size_t)dim, err);
    if (!code) code = lrb_buf_reserve(&coder->high, dim, err);
    return code;
}

static void put_u24(uint8_t *at, uint32_t v) {
    lrb_put_u16(at, (uint16_t)v);
    at[2] = (uint8_t)(v >> 16);
}

static uint32_t get_u24(const uint8_t *at) { return lrb_get_u16(at) | (uint32_t)at[2] << 16; }

/* Appends one row to out[room]; 0 when there was no room. */
static size_t encode_row(lrb_vector_coder *coder, const uint8_t *stream, uint32_t stream_bytes, const uint8_t *row,
                         uint32_t dim, uint8_t *out, size_t room) {
    uint32_t *distances = (uint32_t *)(void *)coder->distances.data;
    uint8_t *halves = coder->halves.data;
    lrb_distances_form form = {RAW_WIDTH, 0};
    float scale = 1;
    bool predicted = lrb_inflate(coder->inflater, stream, stream_bytes, halves, 2 * (size_t)dim);
    if (predicted) {
        scale = lrb_residual_scale(halves, row, dim);
        lrb_residual_take(halves, row, dim, scale, distances);
        predicted = lrb_distances_choose(distances, dim, &form);
    }
    size_t values = predicted ? lrb_distances_bytes(dim, form) : 4 * (size_t)dim;
    size_t needed = ROW_HEAD_BYTES + stream_bytes + values;
    if (needed > room) return 0;
    uint32_t bits;
    memcpy(&bits, &scale, sizeof bits);
    lrb_put_u32(out, bits);
    put_u24(out + 4, stream_bytes);
    lrb_put_u16(out + 7, (uint16_t)form.patches);
    out[9] = (uint8_t)form.width;
    memcpy(out + ROW_HEAD_BYTES, stream, stream_bytes);
    out += ROW_HEAD_BYTES + stream_bytes;
    if (predicted) lrb_distances_encode(distances, dim, form, coder->high.data, out);
    else memcpy(out, row, values);
    return needed;
}

static size_t encode_rows(lrb_vector_coder *coder, const lrb_vectors *v, uint8_t *out, size_t room) {
    const uint8_t *stream = v->streams;
    size_t used = 4;
    if (room < used) return 0;
    lrb_put_u32(out, v->rows);
    for (uint32_t i = 0; i < v->rows; i++) {
        uint32_t stream_bytes = lrb_get_u32(v->lengths + 4 * (size_t)i);
        size_t row = encode_row(coder, stream, stream_bytes, v->values + 4 * (size_t)v->dim * i, v->dim, out + used,
                                room - used);
        if (!row) return 0;
        used += row;
        stream += stream_bytes;
    }
    return used;
}

static int check_inverse(lrb_vector_coder *coder, const void *content, size_t count, uint32_t dim, const uint8_t *stored,
                         size_t written, lrb_err *err) {
    lrb_buf_empty(&coder->inverse);
    int code = lrb_buf_reserve(&coder->inverse, count, err);
    if (!code) code = lrb_vectors_decode(coder, stored, written, dim, coder->inverse.data, count, err);
    if (code == LRB_E_NOMEM || (!code && memcmp(coder->inverse.data, content, count) == 0)) return code;
    return lrb_err_set(err, LRB_E_INTERNAL, "encode vectors", "", "a vector chunk did not decode to its content");
}

int lrb_vectors_encode(lrb_vector_coder *coder, const void *content, size_t count, uint32_t dim, uint8_t *out,
                       size_t room, size_t *written, lrb_err *err) {
    lrb_vectors vectors;
    *written = 0;
    if (lrb_vectors_open(content, count, dim, &vectors, err)) return LRB_OK;
    int code = make_room(coder, dim, err);
    if (code) return code;
    lrb_float_env env = lrb_float_env_begin();
    size_t used = encode_rows(coder, &vectors, out, room < count ? room : count - 1);
    lrb_float_env_end(env);
    if (!used) return LRB_OK;
    code = check_inverse(coder, content, count, dim, out, used, err);
    if (!code) *written = used;
    return code;
}

static bool decode_row(lrb_vector_coder *coder, lrb_view *in, const lrb_vectors *v, uint32_t i, uint8_t *values,
                       uint8_t *streams, size_t room, uint8_t *length_at, size_t *stream_used) {
    uint32_t dim = v->dim;
    const uint8_t *head = lrb_view_bytes(in, ROW_HEAD_BYTES);
    if (!head) return false;
    uint32_t scale_bits = lrb_get_u32(head), stream_bytes = get_u24(head + 4);
    lrb_distances_form form = {head[9], lrb_get_u16(head + 7)};
    (void)i;
    const uint8_t *stream = lrb_view_bytes(in, stream_bytes);
    if (!stream || stream_bytes > room) return false;
    memcpy(streams, stream, stream_bytes);
    lrb_put_u32(length_at, stream_bytes);
    *stream_used = stream_bytes;
    if (form.width == RAW_WIDTH) {
        const uint8_t *raw = lrb_view_bytes(in, 4 * (size_t)dim);
        if (!raw) return false;
        memcpy(values, raw, 4 * (size_t)dim);
        return true;
    }
    if (form.width > LRB_DISTANCES_MAX_WIDTH || !lrb_residual_scale_usable(scale_bits)) return false;
    const uint8_t *bytes = lrb_view_bytes(in, lrb_distances_bytes(dim, form));
    uint32_t *distances = (uint32_t *)(void *)coder->distances.data;
    float scale;
    memcpy(&scale, &scale_bits, sizeof scale);
    if (!bytes || !lrb_distances_decode(bytes, dim, form, coder->high.data, distances)) return false;
    if (!lrb_inflate(coder->inflater, stream, stream_bytes, coder->halves.data, 2 * (size_t)dim)) return false;
    lrb_residual_add(coder->halves.data, distances, dim, scale, values);
    return true;
}

static bool decode_rows(lrb_vector_coder *coder, lrb_view *in, uint32_t dim, uint8_t *out, size_t expected,
                        lrb_err *err) {
    lrb_vectors_shape shape;
    uint32_t rows = lrb_view_u32(in);
    if (in->bad || lrb_vectors_shape_of(dim, rows, 0, &shape, err) || shape.total > expected) return false;
    lrb_vectors v = {.dim = dim, .rows = rows};
    size_t used = shape.streams, stream_used = 0;
    lrb_put_u32(out, rows);
    for (uint32_t i = 0; i < rows; i++) {
        if (!decode_row(coder, in, &v, i, out + shape.values + 4 * (size_t)dim * i, out + used, expected - used,
                        out + shape.lengths + 4 * (size_t)i, &stream_used))
            return false;
        used += stream_used;
    }
    return used == expected && !in->left;
}

int lrb_vectors_decode(lrb_vector_coder *coder, const void *stored, size_t count, uint32_t dim, uint8_t *out,
                       size_t expected, lrb_err *err) {
    lrb_view in = lrb_view_of(stored, count);
    if (!dim || dim > LRB_VECTORS_MAX_DIM)
        return lrb_err_set(err, LRB_E_DAMAGED, "decode vectors", "", "a vector chunk had dimension %u", (unsigned)dim);
    int code = make_room(coder, dim, err);
    if (code) return code;
    lrb_float_env env = lrb_float_env_begin();
    bool whole = decode_rows(coder, &in, dim, out, expected, err);
    lrb_float_env_end(env);
    if (whole) return LRB_OK;
    return lrb_err_set(err, LRB_E_DAMAGED, "decode vectors", "", "the stored form of a vector chunk was not one");
}
