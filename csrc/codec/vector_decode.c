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

/* Where reading and writing of one stored form stand. */
typedef struct reader {
    lrb_vector_coder *coder;
    lrb_view in;
    uint32_t dim, rows, first;     /* first: which of the coder's streams is that of its first row */
    size_t plane_bytes;            /* as they are stored */
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

static lrb_stream *streams_of(const reader *r) { return (lrb_stream *)(void *)r->coder->streams.data + r->first; }

/* Puts the streams where they belong. What they hold is known from encoding them, or they are to be inflated. */
static bool read_streams(reader *r, bool known) {
    lrb_stream *streams = streams_of(r);
    for (uint32_t i = 0; i < r->rows; i++) {
        head h = head_of(r, i);
        bool split = h.stream_bytes == LRB_VECTOR_SPLIT;
        size_t count = split ? 2 * (size_t)r->dim + LRB_STORED_FRAMING_BYTES : h.stream_bytes;
        if (count > (size_t)(r->end - r->streams)) return false;
        if (!(split ? read_split_stream(r) : read_whole_stream(r, count))) return false;
        lrb_put_u32(r->lengths + 4 * (size_t)i, (uint32_t)count);
        uint8_t *halves = r->coder->halves.data + 2 * (size_t)r->dim * (r->first + i);
        if (!known) streams[i] = (lrb_stream){r->streams, count, halves, false};
        r->streams += count;
    }
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
    const lrb_stream *streams = streams_of(r);
    for (uint32_t i = 0; i < r->rows; i++) {
        head h = head_of(r, i);
        uint8_t *values = r->values + 4 * (size_t)r->dim * i;
        if (!usable(&h)) return false;
        if (!h.form.width && !read_values_as_they_are(r, values)) return false;
        if (h.form.width && (!streams[i].good || !read_values(r, &h, streams[i].out, values))) return false;
    }
    return !r->in.left;
}

/* ---- the whole ---- */

/* Looks at the front of a stored form, and lays its content out. False: it is none. */
static bool begin(reader *r, lrb_vector_coder *coder, const lrb_vectors_stored *stored, uint32_t dim) {
    lrb_vectors_shape shape;
    lrb_err ignored;
    *r = (reader){.coder = coder, .in = lrb_view_of(stored->bytes, stored->count), .dim = dim};
    r->rows = lrb_view_u32(&r->in);
    r->plane_bytes = lrb_view_u32(&r->in);
    if (r->in.bad || lrb_vectors_shape_of(dim, r->rows, 0, &shape, &ignored) || shape.total > stored->expected) return false;
    r->heads = lrb_view_bytes(&r->in, LRB_VECTOR_HEAD_BYTES * (size_t)r->rows);
    if (!r->heads) return false;
    lrb_put_u32(stored->out, r->rows);
    r->lengths = stored->out + shape.lengths;
    r->values = stored->out + shape.values;
    r->streams = stored->out + shape.streams;
    r->end = stored->out + stored->expected;
    return true;
}

/* The high bytes of all rows that are split. What they take is bounded by the content that is expected. */
static int read_planes(reader *r, size_t expected, bool *good, lrb_err *err) {
    size_t split = 0, stored = r->plane_bytes;
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

static int read_all(reader *readers, const lrb_vectors_stored *stored, size_t count, bool known, bool *good, lrb_err *err) {
    lrb_vector_coder *coder = readers->coder;
    uint32_t dim = readers->dim, rows = readers[count - 1].first + readers[count - 1].rows;
    int code = known ? LRB_OK : lrb_vector_coder_rows(coder, dim, rows, err);
    *good = true;
    for (size_t i = 0; !code && *good && i < count; i++) {
        code = read_planes(&readers[i], stored[i].expected, good, err);
        *good = !code && *good && read_streams(&readers[i], known);
    }
    if (code || !*good) return code;
    if (!known) lrb_inflate_many(coder->inflater, (lrb_stream *)(void *)coder->streams.data, rows, 2 * (size_t)dim);
    for (size_t i = 0; *good && i < count; i++) *good = read_all_values(&readers[i]);
    return LRB_OK;
}

static int decode(lrb_vector_coder *coder, const lrb_vectors_stored *stored, size_t count, uint32_t dim, bool known, lrb_err *err) {
    reader readers[LRB_VECTORS_MANY];
    bool good = dim && dim <= LRB_VECTORS_MAX_DIM;
    if (!good) return lrb_err_set(err, LRB_E_DAMAGED, "decode vectors", "", "a vector chunk had dimension %u", (unsigned)dim);
    for (size_t i = 0; good && i < count; i++) {
        good = begin(&readers[i], coder, &stored[i], dim);
        if (i) readers[i].first = readers[i - 1].first + readers[i - 1].rows;
    }
    lrb_float_env env = lrb_float_env_begin();
    int code = good ? read_all(readers, stored, count, known, &good, err) : LRB_OK;
    lrb_float_env_end(env);
    if (code || good) return code;
    return lrb_err_set(err, LRB_E_DAMAGED, "decode vectors", "", "the stored form of a vector chunk was not one");
}

int lrb_vectors_decode_known(lrb_vector_coder *coder, const lrb_vectors_stored *stored, uint32_t dim, lrb_err *err) {
    return decode(coder, stored, 1, dim, true, err);
}

int lrb_vectors_decode_many(lrb_vector_coder *coder, const lrb_vectors_stored *stored, size_t count, uint32_t dim, lrb_err *err) {
    return decode(coder, stored, count, dim, false, err);
}

int lrb_vectors_decode(lrb_vector_coder *coder, const void *stored, size_t count, uint32_t dim, uint8_t *out,
                       size_t expected, lrb_err *err) {
    return decode(coder, &(lrb_vectors_stored){stored, count, out, expected}, 1, dim, false, err);
}
