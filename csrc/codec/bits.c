#include "codec/bits.h"

void lrb_bits_pack(const uint8_t *numbers, size_t count, unsigned width, uint8_t *out) {
    uint32_t held = 0, mask = (1u << width) - 1;
    unsigned bits = 0;
    for (size_t i = 0; i < count; i++) {
        held |= (numbers[i] & mask) << bits;
        bits += width;
        if (bits < 8) continue;
        *out++ = (uint8_t)held;
        held >>= 8;
        bits -= 8;
    }
    if (bits) *out = (uint8_t)held;
}

void lrb_bits_unpack(const uint8_t *bytes, size_t count, unsigned width, uint8_t *numbers) {
    uint32_t held = 0, mask = (1u << width) - 1;
    unsigned bits = 0;
    for (size_t i = 0; i < count; i++) {
        if (bits < width) {
            held |= (uint32_t)*bytes++ << bits;
            bits += 8;
        }
        numbers[i] = (uint8_t)(held & mask);
        held >>= width;
        bits -= width;
    }
}
