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
    bool known; /* the halves are */
    const uint8_t *heads, *planes; /* planes: of the next row that is split */
    uint8_t *lengths, *values, *streams, *end;
} reader;

static head head_at(const uint8_t *at) {
    return (head){.scale_bits = lrb_get_u32(at),
                  .stream_bytes = lrb_get_u16(at + 4) | (uint32_t)at[6] << 16,
                  .form = {at[7], lrb_get_u16(at + 8)}};
}

static head head_of(const reader *r, uint32_t row) { return head_at(r->heads + LRB_VECTOR_HEAD_BYTES * (size_t)row); }

static bool usable(const head *h) {
    if (!h->form.width) return !h->scale_bits && !h->form.patches;
    return h->form.width >= LRB_RADIX_MIN_WIDTH && h->form.width <= LRB_RADIX_MAX_WIDTH &&
           lrb_residual_scale_usable(h->scale_bits);
}

/* ---- streams ---- */

static bool read_split_stream(reader *r) {
    const uint8_t *low = lrb_view_bytes(&r->in, r->dim);
    if (!low) return false;
    lrb_planes_join(low, r->planes, r->dim, r->coder->joined.data);
    lrb_stored_block_write(r->coder->joined.data, r->dim, r->streams);
    r->planes += r->dim;
    return true;
}

static bool read_whole_stream(reader *r, size_t count) {
    const uint8_t *stream = lrb_view_bytes(&r->in, count);
    if (stream) memcpy(r->streams, stream, count);
    return stream != NULL;
}

/* Puts the streams where they belong. What they hold follows, unless it is known from encoding them. */
static bool read_streams(reader *r) {
    lrb_stream *streams = (lrb_stream *)(void *)r->coder->streams.data;
    for (uint32_t i = 0; i < r->rows; i++) {
        head h = head_of(r, i);
        bool split = h.stream_bytes == LRB_VECTOR_SPLIT;
        size_t count = split ? 2 * (size_t)r->dim + LRB_STORED_FRAMING_BYTES : h.stream_bytes;
        if (count > (size_t)(r->end - r->streams)) return false;
        if (!(split ? read_split_stream(r) : read_whole_stream(r, count))) return false;
        lrb_put_u32(r->lengths + 4 * (size_t)i, (uint32_t)count);
        if (!r->known)
            streams[i] = (lrb_stream){r->streams, count, r->coder->halves.data + 2 * (size_t)r->dim * i, false};
        r->streams += count;
    }
    if (!r->known) lrb_inflate_many(r->coder->inflater, streams, r->rows, 2 * (size_t)r->dim);
    return r->streams == r->end;
}

/* ---- values ---- */

static bool read_values(reader *r, const head *h, const uint8_t *halves, uint8_t *values) {
    uint32_t *distances = (uint32_t *)(void *)r->coder->distances.data;
    uint8_t *halved = r->coder->halved.data;
    float scale = lrb_float_of(h->scale_bits);
    lrb_residual_halved(halves, r->dim, scale, halved);
    const uint8_t *bytes = lrb_view_bytes(&r->in, lrb_distances_bytes(halved, r->dim, h->form));
    if (!bytes || !lrb_distances_decode(bytes, halved, r->dim, h->form, r->coder->numbers.data, distances)) return false;
    lrb_residual_add(halves, distances, r->dim, scale, values);
    return true;
}

static bool read_values_as_they_are(reader *r, uint8_t *values) {
    const uint8_t *bytes = lrb_view_bytes(&r->in, 4 * (size_t)r->dim);
    if (bytes) memcpy(values, bytes, 4 * (size_t)r->dim);
    return bytes != NULL;
}

static bool read_all_values(reader *r) {
    const lrb_stream *streams = (const lrb_stream *)(const void *)r->coder->streams.data;
    for (uint32_t i = 0; i < r->rows; i++) {
        head h = head_of(r, i);
        uint8_t *values = r->values + 4 * (size_t)r->dim * i;
        if (!usable(&h)) return false;
        if (!h.form.width && !read_values_as_they_are(r, values)) return false;
        if (h.form.width && (!streams[i].good || !read_values(r, &h, streams[i].out, values))) return false;
    }
    return true;
}

/* ---- the whole ---- */

/* The high bytes of all rows that are split. What they take is bounded by the content that is expected. */
static int read_planes(reader *r, size_t stored, size_t expected, bool *good, lrb_err *err) {
    size_t split = 0;
    for (uint32_t i = 0; i < r->rows; i++) split += head_of(r, i).stream_bytes == LRB_VECTOR_SPLIT;
    size_t bytes = split * r->dim;
    const uint8_t *planes = lrb_view_bytes(&r->in, stored);
    *good = planes && stored <= bytes && bytes <= expected && (!split || r->dim <= LRB_STORED_MAX_DIM);
    r->planes = planes;
    if (!*good || stored == bytes) return LRB_OK;
    int code = lrb_decompress(r->coder->compressor, planes, stored, r->coder->planes.data, bytes, err);
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
    int code = r->known ? LRB_OK : lrb_vector_coder_rows(r->coder, r->dim, r->rows, err);
    if (!code) code = read_planes(r, plane_bytes, expected, good, err);
    if (code || !*good) return code;
    lrb_put_u32(out, r->rows);
    r->lengths = out + shape.lengths;
    r->values = out + shape.values;
    r->streams = out + shape.streams;
    r->end = out + expected;
    *good = read_streams(r) && read_all_values(r) && !r->in.left;
    return LRB_OK;
}

int lrb_vectors_decode_with(lrb_vector_coder *coder, const void *stored, size_t count, uint32_t dim, bool known,
                            uint8_t *out, size_t expected, lrb_err *err) {
    bool good = false;
    if (!dim || dim > LRB_VECTORS_MAX_DIM)
        return lrb_err_set(err, LRB_E_DAMAGED, "decode vectors", "", "a vector chunk had dimension %u", (unsigned)dim);
    reader r = {.coder = coder, .in = lrb_view_of(stored, count), .dim = dim, .known = known};
    lrb_float_env env = lrb_float_env_begin();
    int code = read_all(&r, out, expected, &good, err);
    lrb_float_env_end(env);
    if (code || good) return code;
    return lrb_err_set(err, LRB_E_DAMAGED, "decode vectors", "", "the stored form of a vector chunk was not one");
}

int lrb_vectors_decode(lrb_vector_coder *coder, const void *stored, size_t count, uint32_t dim, uint8_t *out,
                       size_t expected, lrb_err *err) {
    return lrb_vectors_decode_with(coder, stored, count, dim, false, out, expected, err);
}
