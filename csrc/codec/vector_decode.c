#include <string.h>

#include "base/wire.h"
#include "codec/f16.h"
#include "codec/float_env.h"
#include "codec/planes.h"
#include "codec/radix.h"
#include "codec/residual.h"
#include "codec/vectors_private.h"

typedef struct head {
    uint32_t scale_bits, stream_bytes;
    lrb_distances_form form; /* width 0: the values are as they are */
} head;

/* Where reading and writing stand. */
typedef struct reader {
    lrb_vector_coder *coder;
    lrb_view in;
    uint32_t dim, rows;
    const uint8_t *heads, *planes, *known; /* of the next split row; of the next row, or NULL */
    uint8_t *lengths, *values, *streams, *end;
} reader;

static head head_at(const uint8_t *at) {
    return (head){.scale_bits = lrb_get_u32(at),
                  .stream_bytes = lrb_get_u16(at + 4) | (uint32_t)at[6] << 16,
                  .form = {at[7], lrb_get_u16(at + 8)}};
}

static bool usable(const head *h) {
    if (!h->form.width) return !h->scale_bits && !h->form.patches;
    return h->form.width >= LRB_RADIX_MIN_WIDTH && h->form.width <= LRB_RADIX_MAX_WIDTH &&
           lrb_residual_scale_usable(h->scale_bits);
}

/* ---- streams ---- */

static bool read_split_stream(reader *r, size_t *bytes) {
    const uint8_t *low = lrb_view_bytes(&r->in, r->dim);
    *bytes = 2 * (size_t)r->dim + LRB_STORED_FRAMING_BYTES;
    if (!low || *bytes > (size_t)(r->end - r->streams)) return false;
    lrb_planes_join(low, r->planes, r->dim, r->coder->joined.data);
    lrb_stored_block_write(r->coder->joined.data, r->dim, r->streams);
    r->planes += r->dim;
    return true;
}

static bool read_whole_stream(reader *r, size_t bytes) {
    const uint8_t *stream = lrb_view_bytes(&r->in, bytes);
    if (!stream || bytes > (size_t)(r->end - r->streams)) return false;
    memcpy(r->streams, stream, bytes);
    return true;
}

/* The row's halves, for whose stream `bytes` were just written; NULL when it holds none. */
static const uint8_t *halves_of(reader *r, bool split, size_t bytes) {
    uint8_t *joined = r->coder->joined.data;
    if (split) return joined;
    if (r->known) return r->known;
    return lrb_inflate(r->coder->inflater, r->streams, bytes, joined, 2 * (size_t)r->dim) ? joined : NULL;
}

/* ---- rows ---- */

static bool read_values(reader *r, const head *h, const uint8_t *halves) {
    uint32_t *distances = (uint32_t *)(void *)r->coder->distances.data;
    uint8_t *halved = r->coder->halved.data;
    float scale = lrb_float_of(h->scale_bits);
    lrb_residual_halved(halves, r->dim, scale, halved);
    const uint8_t *bytes = lrb_view_bytes(&r->in, lrb_distances_bytes(halved, r->dim, h->form));
    if (!bytes || !lrb_distances_decode(bytes, halved, r->dim, h->form, r->coder->numbers.data, distances)) return false;
    lrb_residual_add(halves, distances, r->dim, scale, r->values);
    return true;
}

static bool read_values_as_they_are(reader *r) {
    const uint8_t *values = lrb_view_bytes(&r->in, 4 * (size_t)r->dim);
    if (values) memcpy(r->values, values, 4 * (size_t)r->dim);
    return values != NULL;
}

static bool read_row(reader *r) {
    head h = head_at(r->heads);
    bool split = h.stream_bytes == LRB_VECTOR_SPLIT;
    size_t bytes = h.stream_bytes;
    if (!usable(&h) || !(split ? read_split_stream(r, &bytes) : read_whole_stream(r, bytes))) return false;
    if (h.form.width) {
        const uint8_t *halves = halves_of(r, split, bytes);
        if (!halves || !read_values(r, &h, halves)) return false;
    } else if (!read_values_as_they_are(r)) {
        return false;
    }
    lrb_put_u32(r->lengths, (uint32_t)bytes);
    r->heads += LRB_VECTOR_HEAD_BYTES;
    r->lengths += 4;
    r->values += 4 * (size_t)r->dim;
    r->streams += bytes;
    if (r->known) r->known += 2 * (size_t)r->dim;
    return true;
}

/* ---- the whole ---- */

/* The high bytes of all rows that are split. What they take is bounded by the content that is expected. */
static int read_planes(reader *r, size_t stored, size_t expected, bool *good, lrb_err *err) {
    size_t split = 0;
    for (uint32_t i = 0; i < r->rows; i++)
        split += head_at(r->heads + LRB_VECTOR_HEAD_BYTES * (size_t)i).stream_bytes == LRB_VECTOR_SPLIT;
    size_t bytes = split * r->dim;
    const uint8_t *planes = lrb_view_bytes(&r->in, stored);
    *good = planes && stored <= bytes && bytes <= expected && (!split || r->dim <= LRB_STORED_MAX_DIM);
    r->planes = planes;
    if (!*good || stored == bytes) return LRB_OK;
    int code = lrb_vector_coder_room(&r->coder->planes, bytes, err);
    if (!code) code = lrb_decompress(r->coder->compressor, planes, stored, r->coder->planes.data, bytes, err);
    r->planes = r->coder->planes.data;
    *good = !code;
    return code == LRB_E_NOMEM ? code : LRB_OK;
}

static int read_all(reader *r, uint8_t *out, size_t expected, bool *good, lrb_err *err) {
    lrb_vectors_shape shape;
    r->rows = lrb_view_u32(&r->in);
    size_t plane_bytes = lrb_view_u32(&r->in);
    *good = false;
    if (r->in.bad || lrb_vectors_shape_of(r->dim, r->rows, 0, &shape, err) || shape.total > expected) return LRB_OK;
    r->heads = lrb_view_bytes(&r->in, LRB_VECTOR_HEAD_BYTES * (size_t)r->rows);
    if (!r->heads) return LRB_OK;
    int code = read_planes(r, plane_bytes, expected, good, err);
    if (code || !*good) return code;
    lrb_put_u32(out, r->rows);
    r->lengths = out + shape.lengths;
    r->values = out + shape.values;
    r->streams = out + shape.streams;
    r->end = out + expected;
    for (uint32_t i = 0; i < r->rows && *good; i++) *good = read_row(r);
    *good = *good && r->streams == r->end && !r->in.left;
    return LRB_OK;
}

int lrb_vectors_decode_with(lrb_vector_coder *coder, const void *stored, size_t count, uint32_t dim,
                            const uint8_t *halves, uint8_t *out, size_t expected, lrb_err *err) {
    bool good = false;
    if (!dim || dim > LRB_VECTORS_MAX_DIM)
        return lrb_err_set(err, LRB_E_DAMAGED, "decode vectors", "", "a vector chunk had dimension %u", (unsigned)dim);
    int code = lrb_vector_coder_row(coder, dim, err);
    if (code) return code;
    reader r = {.coder = coder, .in = lrb_view_of(stored, count), .dim = dim, .known = halves};
    lrb_float_env env = lrb_float_env_begin();
    code = read_all(&r, out, expected, &good, err);
    lrb_float_env_end(env);
    if (code || good) return code;
    return lrb_err_set(err, LRB_E_DAMAGED, "decode vectors", "", "the stored form of a vector chunk was not one");
}

int lrb_vectors_decode(lrb_vector_coder *coder, const void *stored, size_t count, uint32_t dim, uint8_t *out,
                       size_t expected, lrb_err *err) {
    return lrb_vectors_decode_with(coder, stored, count, dim, NULL, out, expected, err);
}
