/* Rows of vectors for tests, as LightRAG makes them: an embedding, its float16 payload as a zlib stream, its normalised
 * float32. */
#ifndef LRB_TESTS_ROWS_H
#define LRB_TESTS_ROWS_H

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/wire.h"
#include "codec/canonical.h"
#include "codec/f16.h"
#include "codec/adler.h"
#include "sample.h"

/* Roughly normal, around zero. */
static inline float row_noise(uint64_t *seed) {
    int64_t sum = 0;
    for (int i = 0; i < 4; i++) sum += (int64_t)(sample_next(seed) >> 40) - (1 << 23);
    return (float)sum * 0x1p-24f;
}

/* The nearest half, ties to even; of numbers only. */
static inline uint16_t row_half(float value) {
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    double magnitude = fabs((double)value);
    int exponent;
    if (magnitude >= 65520) return sign | 0x7C00;
    frexp(magnitude, &exponent);
    if (magnitude < 0x1p-14) return sign | (uint16_t)nearbyint(magnitude * 0x1p24);
    double units = nearbyint(ldexp(magnitude, 11 - exponent)); /* 1024 to 2048 */
    return sign | (uint16_t)(((unsigned)(exponent + 14) << 10) + (unsigned)units - 1024);
}

/* An embedding of about that length, and what the file has of it. */
static inline void row_make(uint64_t *seed, size_t dim, float length, uint8_t *halves, uint8_t *row) {
    for (size_t i = 0; i < dim; i++) {
        float value = row_noise(seed) * length * 1.7f / sqrtf((float)dim);
        lrb_put_u16(halves + 2 * i, row_half(value));
        lrb_put_u32(row + 4 * i, lrb_bits_of(value));
    }
    lrb_row_normalise(row, dim, row);
}

/* The halves as a zlib stream of one stored block; returns its length, count + 11. */
static inline size_t row_stream(const uint8_t *halves, size_t count, uint8_t *out) {
    uint32_t check = lrb_adler32(halves, count);
    out[0] = 0x78;
    out[1] = 0x9C;
    out[2] = 1;
    lrb_put_u16(out + 3, (uint16_t)count);
    lrb_put_u16(out + 5, (uint16_t)~count);
    memcpy(out + 7, halves, count);
    for (int i = 0; i < 4; i++) out[7 + count + (size_t)i] = (uint8_t)(check >> (24 - 8 * i));
    return count + 11;
}

#endif
