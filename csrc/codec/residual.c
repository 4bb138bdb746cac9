#include "codec/residual.h"

#include <float.h>

#include "base/wire.h"
#include "codec/cpu.h"
#include "codec/f16.h"
#include "codec/ordered.h"

bool lrb_residual_scale_usable(uint32_t bits) { return bits >= 0x00800000 && bits < 0x7F800000; }

LRB_BODY uint32_t predict(uint32_t half, float scale) {
    uint32_t bits = lrb_f16_expand(half), product = lrb_bits_of(lrb_float_of(bits) * scale);
    return lrb_ordered(lrb_f16_finite(half) ? product : bits);
}

/* Both bounds of the half, times the scale, must enclose the element. Only elements that are normal in both forms are
 * asked; the others say next to nothing. Positive floats are in order as numbers are. */
LRB_BODY float lrb_residual_scale_body(const uint8_t *halves, const uint8_t *row, size_t dim) {
    uint32_t least = 0, most = lrb_bits_of(FLT_MAX);
    for (size_t i = 0; i < dim; i++) {
        uint32_t half = lrb_get_u16(halves + 2 * i) & 0x7FFFu, element = lrb_get_u32(row + 4 * i) & 0x7FFFFFFF;
        uint32_t bits = lrb_f16_expand(half);
        uint32_t asked = (half >= 0x0400) & (half < 0x7C00) & (element >= 0x00800000) & (element < 0x7F800000);
        float upper = lrb_float_of(bits + 0x1000), lower = 2 * lrb_float_of(bits) - upper;
        uint32_t low = lrb_bits_of(lrb_float_of(element) / upper) & (0u - asked);
        uint32_t high = lrb_bits_of(lrb_float_of(element) / lower) | (asked - 1);
        least = low > least ? low : least;
        most = high < most ? high : most;
    }
    float scale = lrb_float_of(least) / 2 + lrb_float_of(most) / 2;
    return lrb_residual_scale_usable(lrb_bits_of(scale)) ? scale : 1.0f;
}

LRB_BODY void lrb_residual_take_body(const uint8_t *restrict halves, const uint8_t *restrict row, size_t dim, float scale,
                        uint32_t *restrict distances) {
    for (size_t i = 0; i < dim; i++)
        distances[i] = lrb_ordered(lrb_get_u32(row + 4 * i)) - predict(lrb_get_u16(halves + 2 * i), scale);
}

LRB_BODY void lrb_residual_add_body(const uint8_t *restrict halves, const uint32_t *restrict distances, size_t dim, float scale,
                       uint8_t *restrict row) {
    for (size_t i = 0; i < dim; i++)
        lrb_put_u32(row + 4 * i, lrb_unordered(predict(lrb_get_u16(halves + 2 * i), scale) + distances[i]));
}

/* The least 1024 <= n whose product with the scale's 24 bits of significand reaches 2^34, less 1024. */
static uint16_t threshold_of(float scale) {
    uint64_t significand = (lrb_bits_of(scale) & 0x7FFFFF) | 0x800000;
    return (uint16_t)(((1ull << 34) + significand - 1) / significand - 1024);
}

LRB_BODY void lrb_residual_halved_body(const uint8_t *restrict halves, size_t dim, float scale,
                                       uint8_t *restrict halved) {
    uint16_t threshold = threshold_of(scale);
    for (size_t i = 0; i < dim; i++) halved[i] = (lrb_get_u16(halves + 2 * i) & 0x3FF) >= threshold;
}

LRB_VARIANTS(, float, lrb_residual_scale, (const uint8_t *halves, const uint8_t *row, size_t dim), (halves, row, dim))
LRB_VARIANTS(, void, lrb_residual_take,
             (const uint8_t *halves, const uint8_t *row, size_t dim, float scale, uint32_t *distances),
             (halves, row, dim, scale, distances))
LRB_VARIANTS(, void, lrb_residual_add,
             (const uint8_t *halves, const uint32_t *distances, size_t dim, float scale, uint8_t *row),
             (halves, distances, dim, scale, row))
LRB_VARIANTS(, void, lrb_residual_halved, (const uint8_t *halves, size_t dim, float scale, uint8_t *halved),
             (halves, dim, scale, halved))
