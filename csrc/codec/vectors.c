#include "codec/vectors.h"

#include "base/mem.h"
#include "base/wire.h"
#include "codec/vectors_private.h"

int lrb_vectors_shape_of(uint32_t dim, uint32_t rows, size_t streams_bytes, lrb_vectors_shape *out, lrb_err *err) {
    if (!dim || dim > LRB_VECTORS_MAX_DIM || !rows || rows > LRB_VECTORS_MAX_ROWS)
        return lrb_err_set(err, LRB_E_INVALID, "lay out vectors", "", "%u rows of %u numbers are no vector chunk",
                           (unsigned)rows, (unsigned)dim);
    uint64_t values = 4 + 4 * (uint64_t)rows, streams = values + 4 * (uint64_t)rows * dim;
    if (streams > LRB_VECTORS_MAX_BYTES || streams_bytes > LRB_VECTORS_MAX_BYTES - streams)
        return lrb_err_set(err, LRB_E_LIMIT, "lay out vectors", "", "%u rows of %u numbers were above the ceiling of %d bytes",
                           (unsigned)rows, (unsigned)dim, (int)LRB_VECTORS_MAX_BYTES);
    *out = (lrb_vectors_shape){4, (size_t)values, (size_t)streams, (size_t)streams + streams_bytes};
    return LRB_OK;
}

static int damaged(lrb_err *err, const char *what) {
    return lrb_err_set(err, LRB_E_DAMAGED, "read vectors", "", "%s", what);
}

int lrb_vectors_open(const void *content, size_t count, uint32_t dim, lrb_vectors *out, lrb_err *err) {
    lrb_vectors_shape shape;
    const uint8_t *bytes = content;
    if (count < 4) return damaged(err, "a vector chunk was cut short");
    uint32_t rows = lrb_get_u32(bytes);
    if (lrb_vectors_shape_of(dim, rows, 0, &shape, err) || count < shape.streams)
        return damaged(err, "a vector chunk had an impossible shape");
    uint64_t streams_bytes = 0;
    for (uint32_t i = 0; i < rows; i++) streams_bytes += lrb_get_u32(bytes + shape.lengths + 4 * i);
    if (count > LRB_VECTORS_MAX_BYTES || streams_bytes != count - shape.streams)
        return damaged(err, "the parts of a vector chunk did not fill it");
    *out = (lrb_vectors){.dim = dim,
                         .rows = rows,
                         .lengths = bytes + shape.lengths,
                         .values = bytes + shape.values,
                         .streams = bytes + shape.streams,
                         .streams_bytes = (size_t)streams_bytes};
    return LRB_OK;
}

/* ---- the coder ---- */

int lrb_vector_coder_new(lrb_vector_coder **out, lrb_err *err) {
    lrb_vector_coder *coder = lrb_alloc_zero(1, sizeof *coder);
    if (!coder) return lrb_err_nomem(err, "make a vector coder");
    lrb_buf_init(&coder->halves, LRB_VECTORS_MAX_BYTES);
    lrb_buf_init(&coder->streams, LRB_VECTORS_MAX_ROWS * sizeof(lrb_stream));
    lrb_buf_init(&coder->planes, LRB_VECTORS_MAX_BYTES);
    lrb_buf_init(&coder->joined, 2 * LRB_VECTORS_MAX_DIM);
    lrb_buf_init(&coder->halved, LRB_VECTORS_MAX_DIM);
    lrb_buf_init(&coder->numbers, LRB_VECTORS_MAX_DIM);
    lrb_buf_init(&coder->distances, 4 * LRB_VECTORS_MAX_DIM);
    lrb_buf_init(&coder->inverse, lrb_compress_bound(LRB_VECTORS_MAX_BYTES));
    int code = lrb_inflater_new(&coder->inflater, err);
    if (!code) code = lrb_compressor_new(&coder->compressor, err);
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
    lrb_compressor_free(coder->compressor);
    lrb_buf *buffers[] = {&coder->halves, &coder->streams, &coder->planes,    &coder->joined,
                          &coder->halved, &coder->numbers, &coder->distances, &coder->inverse};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) lrb_buf_clear(buffers[i]);
    lrb_free(coder);
}

int lrb_vector_coder_room(lrb_buf *buf, size_t count, lrb_err *err) {
    lrb_buf_empty(buf);
    return lrb_buf_reserve(buf, count, err);
}

int lrb_vector_coder_rows(lrb_vector_coder *coder, uint32_t dim, uint32_t rows, lrb_err *err) {
    coder->inflated = 0;
    int code = lrb_vector_coder_room(&coder->streams, rows * sizeof(lrb_stream), err);
    if (!code) code = lrb_vector_coder_room(&coder->halves, 2 * (size_t)dim * rows, err);
    if (!code) code = lrb_vector_coder_room(&coder->planes, (size_t)dim * rows, err);
    if (!code) code = lrb_vector_coder_room(&coder->joined, 2 * (size_t)dim, err);
    if (!code) code = lrb_vector_coder_room(&coder->halved, dim, err);
    if (!code) code = lrb_vector_coder_room(&coder->numbers, dim, err);
    if (!code) code = lrb_vector_coder_room(&coder->distances, 4 * (size_t)dim, err);
    return code;
}

/* ---- streams ---- */

void lrb_vector_coder_inflate(lrb_vector_coder *coder, const lrb_vectors *v) {
    lrb_stream *streams = (lrb_stream *)(void *)coder->streams.data;
    const uint8_t *bytes = v->streams;
    for (uint32_t i = 0; i < v->rows; i++) {
        uint32_t count = lrb_get_u32(v->lengths + 4 * (size_t)i);
        streams[i] = (lrb_stream){bytes, count, coder->halves.data + 2 * (size_t)v->dim * i, false};
        bytes += count;
    }
    lrb_inflate_many(coder->inflater, streams, v->rows, 2 * (size_t)v->dim);
    coder->inflated = v->rows;
}

const lrb_stream *lrb_vectors_inflated(const lrb_vector_coder *coder, uint32_t rows) {
    return rows && coder->inflated == rows ? (const lrb_stream *)(const void *)coder->streams.data : NULL;
}

int lrb_vectors_inflate(lrb_vector_coder *coder, const lrb_vectors *vectors, const lrb_stream **streams, lrb_err *err) {
    int code = lrb_vector_coder_rows(coder, vectors->dim, vectors->rows, err);
    if (code) return code;
    lrb_vector_coder_inflate(coder, vectors);
    *streams = lrb_vectors_inflated(coder, vectors->rows);
    return LRB_OK;
}
