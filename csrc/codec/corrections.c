#include "codec/corrections.h"

#include "base/wire.h"
#include "codec/cpu.h"
#include "codec/f16.h"
#include "codec/float_env.h"
#include "codec/ordered.h"

enum { HEAD_BYTES = 12, EXCEPTION_BYTES = 8, BLOCK = 64 };

/* The ordered numbers of a block that was multiplied back. What is no number stays as it is: what a processor makes of a
 * NaN is its own affair. */
LRB_BODY void predict_body(const uint8_t *restrict canonical, size_t count, const lrb_canonical_path *path,
                           uint32_t *restrict ordered) {
    for (size_t i = 0; i < count; i++) ordered[i] = lrb_get_u32(canonical + 4 * i);
    for (uint32_t k = path->steps; k > 0; k--) {
        float length = path->lengths[k - 1];
        for (size_t i = 0; i < count; i++) {
            uint32_t product = lrb_bits_of(lrb_float_of(ordered[i]) * length);
            ordered[i] = (ordered[i] & 0x7F800000) == 0x7F800000 ? ordered[i] : product;
        }
    }
    for (size_t i = 0; i < count; i++) ordered[i] = lrb_ordered(ordered[i]);
}
LRB_VARIANTS(static, void, predict,
             (const uint8_t *canonical, size_t count, const lrb_canonical_path *path, uint32_t *ordered),
             (canonical, count, path, ordered))

/* distances[count] from what is predicted; how many are not 0. */
LRB_BODY uint32_t measure_body(const uint8_t *restrict row, size_t count, uint32_t *restrict distances) {
    uint32_t exceptions = 0;
    for (size_t i = 0; i < count; i++) {
        distances[i] = lrb_ordered(lrb_get_u32(row + 4 * i)) - distances[i];
        exceptions += distances[i] != 0;
    }
    return exceptions;
}
LRB_VARIANTS(static, uint32_t, measure, (const uint8_t *row, size_t count, uint32_t *distances), (row, count, distances))

/* The same for block `first` of a row. */
static uint32_t measure_block(const uint8_t *row, const uint8_t *canonical, uint32_t dim, uint32_t first,
                              const lrb_canonical_path *path, uint32_t distances[BLOCK]) {
    size_t count = dim - first < BLOCK ? dim - first : BLOCK;
    predict(canonical + 4 * (size_t)first, count, path, distances);
    return measure(row + 4 * (size_t)first, count, distances);
}

static uint8_t *write_exceptions(uint8_t *at, const uint8_t *row, const uint8_t *canonical, uint32_t dim,
                                 const lrb_canonical_path *path) {
    uint32_t distances[BLOCK];
    for (uint32_t first = 0; first < dim; first += BLOCK) {
        uint32_t left = measure_block(row, canonical, dim, first, path, distances);
        for (uint32_t i = 0; left; i++) {
            if (!distances[i]) continue;
            lrb_put_u32(at, first + i);
            lrb_put_u32(at + 4, distances[i]);
            at += EXCEPTION_BYTES;
            left--;
        }
    }
    return at;
}

static int append_row(lrb_buf *content, uint32_t index, const uint8_t *row, const uint8_t *canonical, uint32_t dim,
                      const lrb_canonical_path *path, lrb_err *err) {
    uint32_t exceptions = 0, distances[BLOCK];
    for (uint32_t first = 0; first < dim; first += BLOCK)
        exceptions += measure_block(row, canonical, dim, first, path, distances);
    int code = lrb_buf_reserve(content, HEAD_BYTES + 4 * (size_t)path->steps + (size_t)EXCEPTION_BYTES * exceptions, err);
    if (code) return code;
    uint8_t *at = content->data + content->length;
    lrb_put_u32(at, index);
    lrb_put_u32(at + 4, path->steps);
    lrb_put_u32(at + 8, exceptions);
    at += HEAD_BYTES;
    for (uint32_t k = 0; k < path->steps; k++, at += 4) lrb_put_u32(at, lrb_bits_of(path->lengths[k]));
    if (exceptions) at = write_exceptions(at, row, canonical, dim, path);
    content->length = (size_t)(at - content->data);
    return LRB_OK;
}

int lrb_corrections_append(lrb_buf *content, uint32_t index, const uint8_t *row, const uint8_t *canonical, uint32_t dim,
                           const lrb_canonical_path *path, lrb_err *err) {
    lrb_float_env env = lrb_float_env_begin();
    int code = append_row(content, index, row, canonical, dim, path, err);
    lrb_float_env_end(env);
    return code;
}

lrb_corrections lrb_corrections_open(const void *content, size_t count, uint32_t dim) {
    return (lrb_corrections){.at = content, .left = count, .dim = dim};
}

static int damaged(lrb_err *err, const char *what) {
    return lrb_err_set(err, LRB_E_DAMAGED, "read corrections", "", "%s", what);
}

static bool read_path(const uint8_t *lengths, uint32_t steps, lrb_canonical_path *path) {
    path->steps = steps;
    for (uint32_t k = 0; k < steps; k++) {
        uint32_t bits = lrb_get_u32(lengths + 4 * (size_t)k);
        if ((bits & 0x7F800000) == 0x7F800000) return false;
        path->lengths[k] = lrb_float_of(bits);
    }
    return true;
}

static bool elements_ascend(const uint8_t *elements, uint32_t exceptions, uint32_t dim) {
    for (uint32_t i = 0; i < exceptions; i++) {
        uint32_t element = lrb_get_u32(elements + EXCEPTION_BYTES * (size_t)i);
        if (element >= dim) return false;
        if (i && element <= lrb_get_u32(elements + EXCEPTION_BYTES * (size_t)(i - 1))) return false;
    }
    return true;
}

int lrb_corrections_next(lrb_corrections *c, bool *more, lrb_err *err) {
    lrb_view in = lrb_view_of(c->at, c->left);
    *more = c->left != 0;
    if (!*more) return LRB_OK;
    uint32_t index = lrb_view_u32(&in), steps = lrb_view_u32(&in), exceptions = lrb_view_u32(&in);
    if (in.bad || steps > LRB_CANONICAL_STEPS || exceptions > c->dim) return damaged(err, "a correction was none");
    const uint8_t *lengths = lrb_view_bytes(&in, 4 * (size_t)steps);
    const uint8_t *elements = lrb_view_bytes(&in, EXCEPTION_BYTES * (size_t)exceptions);
    if (in.bad) return damaged(err, "a correction was cut short");
    if (c->elements && index <= c->index) return damaged(err, "corrections were out of order");
    if (!read_path(lengths, steps, &c->path)) return damaged(err, "a correction's length was no number");
    if (!elements_ascend(elements, exceptions, c->dim)) return damaged(err, "a correction named no element");
    c->at = in.at;
    c->left = in.left;
    c->index = index;
    c->exceptions = exceptions;
    c->elements = elements;
    return LRB_OK;
}

void lrb_corrections_apply(const lrb_corrections *c, uint8_t *row) {
    lrb_float_env env = lrb_float_env_begin();
    uint32_t ordered[BLOCK];
    for (uint32_t first = 0; first < c->dim; first += BLOCK) {
        uint32_t count = c->dim - first < BLOCK ? c->dim - first : BLOCK;
        uint8_t *at = row + 4 * (size_t)first;
        predict(at, count, &c->path, ordered);
        for (uint32_t i = 0; i < count; i++) lrb_put_u32(at + 4 * i, lrb_unordered(ordered[i]));
    }
    for (uint32_t i = 0; i < c->exceptions; i++) {
        const uint8_t *exception = c->elements + EXCEPTION_BYTES * (size_t)i;
        uint8_t *at = row + 4 * (size_t)lrb_get_u32(exception);
        lrb_put_u32(at, lrb_unordered(lrb_ordered(lrb_get_u32(at)) + lrb_get_u32(exception + 4)));
    }
    lrb_float_env_end(env);
}
