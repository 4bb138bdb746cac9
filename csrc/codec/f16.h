/* IEEE 754 half precision to single precision, in integers, so that every payload survives.
 *
 * Every half is exactly a float: subnormals become normal floats, infinities stay, and a NaN keeps its sign, its payload
 * and whether it signals. (Hardware conversions quieten signalling NaNs; the fast paths that use them mend that.)
 * Floats are handled by their bits throughout the vector codec.
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

static inline bool lrb_f16_finite(uint16_t half) { return (half & 0x7C00) != 0x7C00; }

/* The bits of the float that equals the half. */
static inline uint32_t lrb_f16_expand(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, mantissa = half & 0x3FF;
    if (exponent == 31) return sign | 0x7F800000 | mantissa << 13;
    if (exponent) return sign | (exponent + 112) << 23 | mantissa << 13;
    if (!mantissa) return sign;
    uint32_t shift = (uint32_t)__builtin_clz(mantissa) - 21; /* brings the leading bit to bit 10 */
    return sign | (113 - shift) << 23 | (mantissa << shift & 0x3FF) << 13;
}

#endif
