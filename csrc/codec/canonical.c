#include "codec/canonical.h"

#include <math.h>
#include <string.h>

#include "base/wire.h"
#include "codec/cpu.h"
#include "codec/f16.h"
#include "codec/float_env.h"

enum { PAIRWISE_BLOCK = 128, LANES = 8 };

static float element(const uint8_t *row, size_t i) { return lrb_float_of(lrb_get_u32(row + 4 * i)); }

typedef float lanes __attribute__((vector_size(4 * LANES)));

/* Up to PAIRWISE_BLOCK elements: eight partial sums, then the rest one by one. */
LRB_BODY float sum_block_body(const uint8_t *row, size_t count) {
    float sum = 0;
    size_t i = 0;
    if (count >= LANES) {
        lanes part, next;
        memcpy(&part, row, sizeof part);
        part *= part;
        for (i = LANES; i < count - count % LANES; i += LANES) {
            memcpy(&next, row + 4 * i, sizeof next);
            part += next * next;
        }
        sum = ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
    }
    for (; i < count; i++) sum += element(row, i) * element(row, i);
    return sum;
}
LRB_VARIANTS(static, float, sum_block, (const uint8_t *row, size_t count), (row, count))

/* numpy's pairwise sum (numpy/_core/src/umath/loops_utils.h.src) over the squares. */
static float sum_of_squares(const uint8_t *row, size_t count) {
    if (count <= PAIRWISE_BLOCK) return sum_block(row, count);
    size_t half = count / 2 - count / 2 % LANES;
    return sum_of_squares(row, half) + sum_of_squares(row + 4 * half, count - half);
}

static float length_of(const uint8_t *row, size_t dim) { return sqrtf(sum_of_squares(row, dim)); }

LRB_BODY void divide_body(uint8_t *row, size_t dim, float length) {
    for (size_t i = 0; i < dim; i++) lrb_put_u32(row + 4 * i, lrb_bits_of(element(row, i) / length));
}
LRB_VARIANTS(static, void, divide, (uint8_t *row, size_t dim, float length), (row, dim, length))

float lrb_row_length(const uint8_t *row, size_t dim) {
    lrb_float_env env = lrb_float_env_begin();
    float length = length_of(row, dim);
    lrb_float_env_end(env);
    return length;
}

void lrb_row_normalise(const uint8_t *row, size_t dim, uint8_t *out) {
    lrb_float_env env = lrb_float_env_begin();
    float length = length_of(row, dim);
    memmove(out, row, 4 * dim);
    divide(out, dim, length);
    lrb_float_env_end(env);
}

/* Also false for a length that is no number. */
static bool near_one(float length) { return length >= 1.0f - 0x1p-12f && length <= 1.0f + 0x1p-12f; }

static bool before(const uint8_t *a, const uint8_t *b, size_t dim) {
    for (size_t i = 0; i < dim; i++) {
        uint32_t x = lrb_get_u32(a + 4 * i), y = lrb_get_u32(b + 4 * i);
        if (x != y) return x < y;
    }
    return false;
}

/* N in place, noted on the path. */
static void step(uint8_t *row, size_t dim, float length, lrb_canonical_path *path) {
    divide(row, dim, length);
    path->lengths[path->steps++] = length;
}

/* Brent's algorithm: `row` walks, `post` is moved up to it at every power of two. Returns the length of the cycle that
 * `row` is then a member of, 0 when none was found in half of the steps. */
static uint32_t walk_into_cycle(uint8_t *row, size_t dim, uint8_t *post, float length, lrb_canonical_path *path) {
    uint32_t power = 1, since = 0;
    memcpy(post, row, 4 * dim);
    while (path->steps < LRB_CANONICAL_STEPS / 2) {
        step(row, dim, length, path);
        length = length_of(row, dim);
        if (length == 1.0f) return 1;
        if (memcmp(row, post, 4 * dim) == 0) return since + 1;
        if (++since < power) continue;
        memcpy(post, row, 4 * dim);
        power *= 2;
        since = 0;
    }
    return 0;
}

/* Goes once around and leaves the first member of the cycle that `row` is in. */
static void take_first_of_cycle(uint8_t *row, size_t dim, uint32_t members, uint8_t *best, lrb_canonical_path *path) {
    uint32_t steps_to_best = path->steps;
    memcpy(best, row, 4 * dim);
    for (uint32_t i = 1; i < members; i++) {
        step(row, dim, length_of(row, dim), path);
        if (!before(row, best, dim)) continue;
        memcpy(best, row, 4 * dim);
        steps_to_best = path->steps;
    }
    memcpy(row, best, 4 * dim);
    path->steps = steps_to_best;
}

static bool find_canonical(const uint8_t *row, size_t dim, uint8_t *out, uint8_t *scratch, lrb_canonical_path *path) {
    float length = length_of(row, dim);
    memcpy(out, row, 4 * dim);
    path->steps = 0;
    if (length == 1.0f || !near_one(length)) return false;
    uint32_t members = walk_into_cycle(out, dim, scratch, length, path);
    if (members) take_first_of_cycle(out, dim, members, scratch, path);
    else memcpy(out, row, 4 * dim);
    return memcmp(out, row, 4 * dim) != 0;
}

bool lrb_row_canonical(const uint8_t *row, size_t dim, uint8_t *out, uint8_t *scratch, lrb_canonical_path *path) {
    lrb_float_env env = lrb_float_env_begin();
    bool differs = find_canonical(row, dim, out, scratch, path);
    lrb_float_env_end(env);
    return differs;
}
