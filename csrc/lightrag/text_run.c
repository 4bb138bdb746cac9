#include "lightrag/text_run.h"

#include <stdbool.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

static inline bool is_plain(uint8_t c) {
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

size_t lrb_text_plain_reference(const uint8_t *bytes, size_t count) {
    size_t at = 0;
    while (at < count && is_plain(bytes[at])) at++;
    return at;
}

#if defined(__SSE2__)

/* One bit per byte that is not plain. As signed numbers, control characters and everything above 0x7F are below 0x20. */
static inline unsigned marks(const uint8_t *at) {
    __m128i x = _mm_loadu_si128((const __m128i *)at);
    __m128i low = _mm_cmplt_epi8(x, _mm_set1_epi8(0x20));
    __m128i quote = _mm_cmpeq_epi8(x, _mm_set1_epi8('"')), slash = _mm_cmpeq_epi8(x, _mm_set1_epi8('\\'));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(quote, slash)));
}

size_t lrb_text_plain(const uint8_t *bytes, size_t count) {
    size_t at = 0;
    for (; count - at >= 64; at += 64) {
        uint64_t found = (uint64_t)marks(bytes + at) | (uint64_t)marks(bytes + at + 16) << 16 |
                         (uint64_t)marks(bytes + at + 32) << 32 | (uint64_t)marks(bytes + at + 48) << 48;
        if (found) return at + (size_t)__builtin_ctzll(found);
    }
    for (; count - at >= 16; at += 16) {
        unsigned found = marks(bytes + at);
        if (found) return at + (size_t)__builtin_ctz(found);
    }
    return at + lrb_text_plain_reference(bytes + at, count - at);
}

#elif defined(__aarch64__)

static inline uint8x16_t marks(const uint8_t *at) {
    uint8x16_t x = vld1q_u8(at);
    uint8x16_t low = vcltq_s8(vreinterpretq_s8_u8(x), vdupq_n_s8(0x20));
    return vorrq_u8(low, vorrq_u8(vceqq_u8(x, vdupq_n_u8('"')), vceqq_u8(x, vdupq_n_u8('\\'))));
}

size_t lrb_text_plain(const uint8_t *bytes, size_t count) {
    size_t at = 0;
    for (; count - at >= 64; at += 64) {
        uint8x16_t all = vorrq_u8(vorrq_u8(marks(bytes + at), marks(bytes + at + 16)),
                                  vorrq_u8(marks(bytes + at + 32), marks(bytes + at + 48)));
        if (vmaxvq_u8(all)) break;
    }
    while (count - at >= 16 && !vmaxvq_u8(marks(bytes + at))) at += 16;
    return at + lrb_text_plain_reference(bytes + at, count - at);
}

#else

size_t lrb_text_plain(const uint8_t *bytes, size_t count) {
    return lrb_text_plain_reference(bytes, count);
}

#endif

static inline bool follows(uint8_t c, uint8_t low, uint8_t high) {
    return c >= low && c <= high;
}

int lrb_text_utf8(const uint8_t *bytes, size_t count) {
    uint8_t first = bytes[0], low = 0x80, high = 0xBF;
    int length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (first < 0xC2 || first > 0xF4) return -1;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
    for (int i = 1; i < length; i++) {
        if ((size_t)i == count) return 0;
        if (!follows(bytes[i], low, high)) return -1;
        low = 0x80;
        high = 0xBF;
    }
    return length;
}

size_t lrb_text_encode(uint32_t c, uint8_t out[4]) {
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xC0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xE0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        out[2] = (uint8_t)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (uint8_t)(0xF0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3F));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
    out[3] = (uint8_t)(0x80 | (c & 0x3F));
    return 4;
}
