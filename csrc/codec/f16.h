/* IEEE 754 half precision to single precision, so that every payload survives.
 *
 * Every half is exactly a float: subnormals become normal floats, infinities stay, and a NaN keeps its sign, its payload
 * and whether it signals (the processor's own conversion would quieten it). Floats are handled by their bits throughout
 * the vector codec. No branches, so that loops over it are vectorised.
 */
#ifndef LRB_CODEC_F16_H
#define LRB_CODEC_F16_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline float lrb_float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t lrb_bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline bool lrb_f16_finite(uint32_t half) { return (half & 0x7C00) != 0x7C00; }

/* The bits of the float that equals the half. A subnormal half is its mantissa times 2^-24, which is exact. */
static inline uint32_t lrb_f16_expand(uint32_t half) {
    uint32_t magnitude = half & 0x7FFF, sign = (half & 0x8000) << 16;
    uint32_t subnormal = lrb_bits_of((float)(int32_t)magnitude * 0x1p-24f);
    uint32_t other = (magnitude << 13) + (magnitude < 0x7C00 ? 112u << 23 : 224u << 23);
    return sign | (magnitude < 0x0400 ? subnormal : other);
}

#endif
