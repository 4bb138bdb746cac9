#include <string.h>

#include "base/wire.h"
#include "codec/f16.h"
#include "codec/float_env.h"
#include "codec/planes.h"
#include "codec/residual.h"
#include "codec/vectors_private.h"

typedef struct writer {
    lrb_vector_coder *coder;
    const lrb_vectors *vectors;
    uint8_t *out;
    size_t used, room;
    size_t plane_bytes;
} writer;

static const lrb_stream *stream_of(const writer *w, uint32_t row) {
    return (const lrb_stream *)(const void *)w->coder->streams.data + row;
}

static uint8_t *head_of(const writer *w, uint32_t row) {
    return w->out + LRB_VECTORS_HEAD_BYTES + LRB_VECTOR_HEAD_BYTES * (size_t)row;
}

static void put_stream_bytes(uint8_t *head, uint32_t bytes) {
    lrb_put_u16(head + 4, (uint16_t)bytes);
    head[6] = (uint8_t)(bytes >> 16);
}

static bool is_split(const uint8_t *head) { return head[4] == 0xFF && head[5] == 0xFF && head[6] == 0xFF; }

/* `count` more bytes of the stored form; NULL when they do not fit. */
static uint8_t *claim(writer *w, size_t count) {
    if (count > w->room - w->used) return NULL;
    w->used += count;
    return w->out + w->used - count;
}

/* ---- streams ---- */

/* Inflates all streams, and takes the high bytes of those that are to be split. True when any held halves. */
static bool inflate_streams(writer *w) {
    const lrb_vectors *v = w->vectors;
    bool any = false;
    lrb_vector_coder_inflate(w->coder, v);
    for (uint32_t i = 0; i < v->rows; i++) {
        const lrb_stream *s = stream_of(w, i);
        bool split = s->good && lrb_stored_block(s->bytes, s->count, s->out, v->dim);
        put_stream_bytes(head_of(w, i), split ? LRB_VECTOR_SPLIT : (uint32_t)s->count);
        any |= s->good;
        if (!split) continue;
        lrb_planes_split(s->out, v->dim, w->coder->joined.data, w->coder->planes.data + w->plane_bytes);
        w->plane_bytes += v->dim;
    }
    return any;
}

/* Adds the planes, compressed if that helps. False when there was no room. */
static int write_planes(writer *w, bool *fits, lrb_err *err) {
    lrb_vector_coder *coder = w->coder;
    size_t written = 0;
    *fits = true;
    if (w->plane_bytes) {
        size_t bound = lrb_compress_bound(w->plane_bytes);
        int code = lrb_vector_coder_room(&coder->inverse, bound, err);
        if (!code)
            code = lrb_compress(coder->compressor, coder->planes.data, w->plane_bytes, coder->inverse.data, bound, &written,
                                err);
        if (code) return code;
        const uint8_t *shorter = written < w->plane_bytes ? coder->inverse.data : coder->planes.data;
        if (written > w->plane_bytes) written = w->plane_bytes;
        uint8_t *at = claim(w, written);
        *fits = at != NULL;
        if (at) memcpy(at, shorter, written);
    }
    lrb_put_u32(w->out + 4, (uint32_t)written);
    return LRB_OK;
}

static bool write_stream(writer *w, uint32_t row) {
    const lrb_stream *s = stream_of(w, row);
    bool split = is_split(head_of(w, row));
    uint32_t dim = w->vectors->dim;
    uint8_t *at = claim(w, split ? dim : s->count);
    if (!at) return false;
    if (split) lrb_planes_split(s->out, dim, at, w->coder->joined.data);
    else memcpy(at, s->bytes, s->count);
    return true;
}

/* ---- values ---- */

static bool write_values(writer *w, const uint8_t *values, uint32_t row) {
    uint32_t dim = w->vectors->dim, *distances = (uint32_t *)(void *)w->coder->distances.data;
    uint8_t *halved = w->coder->halved.data, *head = head_of(w, row), *at;
    const lrb_stream *s = stream_of(w, row);
    lrb_distances_form form = {0, 0};
    float scale = 0;
    if (s->good) {
        scale = lrb_residual_scale(s->out, values, dim);
        lrb_residual_halved(s->out, dim, scale, halved);
        lrb_residual_take(s->out, values, dim, scale, distances);
        if (!lrb_distances_choose(distances, halved, dim, &form)) form = (lrb_distances_form){0, 0};
    }
    lrb_put_u32(head, form.width ? lrb_bits_of(scale) : 0);
    head[7] = (uint8_t)form.width;
    lrb_put_u16(head + 8, (uint16_t)form.patches);
    if (!(at = claim(w, form.width ? lrb_distances_bytes(halved, dim, form) : 4 * (size_t)dim))) return false;
    if (form.width) lrb_distances_encode(distances, halved, dim, form, w->coder->numbers.data, at);
    else memcpy(at, values, 4 * (size_t)dim);
    return true;
}

static bool write_rows(writer *w) {
    const lrb_vectors *v = w->vectors;
    for (uint32_t i = 0; i < v->rows; i++)
        if (!write_stream(w, i)) return false;
    for (uint32_t i = 0; i < v->rows; i++)
        if (!write_values(w, v->values + 4 * (size_t)v->dim * i, i)) return false;
    return true;
}

/* ---- the whole ---- */

static int write_all(writer *w, bool *whole, lrb_err *err) {
    const lrb_vectors *v = w->vectors;
    *whole = false;
    if (!claim(w, LRB_VECTORS_HEAD_BYTES) || !claim(w, LRB_VECTOR_HEAD_BYTES * (size_t)v->rows)) return LRB_OK;
    lrb_put_u32(w->out, v->rows);
    if (!inflate_streams(w)) return LRB_OK;
    int code = write_planes(w, whole, err);
    if (!code && *whole) *whole = write_rows(w);
    return code;
}

static int check_inverse(lrb_vector_coder *coder, const void *content, size_t count, uint32_t dim, const uint8_t *stored,
                         size_t written, lrb_err *err) {
    int code = lrb_vector_coder_room(&coder->inverse, count, err);
    if (code) return code;
    code = lrb_vectors_decode_known(coder, &(lrb_vectors_stored){stored, written, coder->inverse.data, count}, dim, err);
    if (code == LRB_E_NOMEM || (!code && memcmp(coder->inverse.data, content, count) == 0)) return code;
    return lrb_err_set(err, LRB_E_INTERNAL, "encode vectors", "", "a vector chunk did not decode to its content");
}

int lrb_vectors_encode(lrb_vector_coder *coder, const void *content, size_t count, uint32_t dim, uint8_t *out,
                       size_t room, size_t *written, lrb_err *err) {
    lrb_vectors vectors;
    bool whole = false;
    *written = 0;
    coder->inflated = 0;
    if (lrb_vectors_open(content, count, dim, &vectors, err)) return LRB_OK;
    int code = lrb_vector_coder_rows(coder, dim, vectors.rows, err);
    if (code) return code;
    writer w = {.coder = coder, .vectors = &vectors, .out = out, .room = room < count ? room : count - 1};
    lrb_float_env env = lrb_float_env_begin();
    code = write_all(&w, &whole, err);
    lrb_float_env_end(env);
    if (code || !whole) return code;
    code = check_inverse(coder, content, count, dim, out, w.used, err);
    if (!code) *written = w.used;
    return code;
}
