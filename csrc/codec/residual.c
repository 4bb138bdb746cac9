#include "codec/residual.h"

#include <float.h>

#include "base/wire.h"
#include "codec/f16.h"
#include "codec/ordered.h"

bool lrb_residual_scale_usable(uint32_t bits) { return bits >= 0x00800000 && bits < 0x7F800000; }

static uint32_t predict(uint16_t half, float scale) {
    uint32_t bits = lrb_f16_expand(half);
    return lrb_ordered(lrb_f16_finite(half) ? lrb_bits_of(lrb_float_of(bits) * scale) : bits);
}

/* A half stands for what lies within half a unit of its last place: bounds * scale must hold the element. Only normal
 * numbers are asked. */
float lrb_residual_scale(const uint8_t *halves, const uint8_t *row, size_t dim) {
    float least = 0, most = FLT_MAX;
    for (size_t i = 0; i < dim; i++) {
        uint16_t half = lrb_get_u16(halves + 2 * i);
        uint32_t bits = lrb_get_u32(row + 4 * i) & 0x7FFFFFFF, magnitude = lrb_f16_expand(half & 0x7FFF);
        if (!lrb_f16_finite(half) || (half & 0x7C00) == 0 || !lrb_residual_scale_usable(bits)) continue;
        float element = lrb_float_of(bits);
        float low = element / lrb_float_of(magnitude + 0x1000);
        float high = element / (2 * lrb_float_of(magnitude) - lrb_float_of(magnitude + 0x1000));
        if (low > least) least = low;
        if (high < most) most = high;
    }
    float scale = least / 2 + most / 2;
    return lrb_residual_scale_usable(lrb_bits_of(scale)) ? scale : 1.0f;
}

void lrb_residual_take(const uint8_t *halves, const uint8_t *row, size_t dim, float scale, uint32_t *distances) {
    for (size_t i = 0; i < dim; i++)
        distances[i] = lrb_ordered(lrb_get_u32(row + 4 * i)) - predict(lrb_get_u16(halves + 2 * i), scale);
}

void lrb_residual_add(const uint8_t *halves, const uint32_t *distances, size_t dim, float scale, uint8_t *row) {
    for (size_t i = 0; i < dim; i++)
        lrb_put_u32(row + 4 * i, lrb_unordered(predict(lrb_get_u16(halves + 2 * i), scale) + distances[i]));
}
