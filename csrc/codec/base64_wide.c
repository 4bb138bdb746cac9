#include "codec/base64_private.h"
#include "codec/cpu.h"

#if LRB_HAS_X86

#include <immintrin.h>

/* ---- AVX2: W. Mula, D. Lemire, "Faster Base64 Encoding and Decoding Using AVX2 Instructions", 2018 ---- */

/* The classes of a character by its two nibbles share no bit if it is a digit; adding the roll of its class makes it the
 * digit's value. */
LRB_FOR_AVX2 static size_t decode_avx2(const char *text, size_t chars, uint8_t *out, bool *good) {
    const __m256i by_low = _mm256_setr_epi8(21, 17, 17, 17, 17, 17, 17, 17, 17, 17, 19, 26, 27, 27, 27, 26, 21, 17, 17, 17,
                                            17, 17, 17, 17, 17, 17, 19, 26, 27, 27, 27, 26);
    const __m256i by_high = _mm256_setr_epi8(16, 16, 1, 2, 4, 8, 4, 8, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 1, 2, 4, 8,
                                             4, 8, 16, 16, 16, 16, 16, 16, 16, 16);
    const __m256i roll = _mm256_setr_epi8(0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 19, 4, -65, -65,
                                          -71, -71, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m256i slash = _mm256_set1_epi8('/');
    const __m256i order = _mm256_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1, 2, 1, 0, 6, 5, 4, 10, 9,
                                           8, 14, 13, 12, -1, -1, -1, -1);
    const __m256i close_up = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7);
    __m256i bad = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 44 <= chars; i += 32, out += 24) { /* a store reaches 8 bytes beyond its 24 */
        __m256i in = _mm256_loadu_si256((const void *)(text + i));
        __m256i high = _mm256_and_si256(_mm256_srli_epi32(in, 4), slash), low = _mm256_and_si256(in, slash);
        bad = _mm256_or_si256(bad, _mm256_and_si256(_mm256_shuffle_epi8(by_low, low), _mm256_shuffle_epi8(by_high, high)));
        __m256i class = _mm256_add_epi8(_mm256_cmpeq_epi8(in, slash), high);
        __m256i digits = _mm256_add_epi8(in, _mm256_shuffle_epi8(roll, class));
        __m256i twelves = _mm256_maddubs_epi16(digits, _mm256_set1_epi32(0x01400140));
        __m256i whole = _mm256_madd_epi16(twelves, _mm256_set1_epi32(0x00011000));
        whole = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(whole, order), close_up);
        _mm256_storeu_si256((void *)out, whole);
    }
    if (!_mm256_testz_si256(bad, bad)) *good = false;
    return i;
}

LRB_FOR_AVX2 static size_t encode_avx2(const uint8_t *bytes, size_t count, char *out) {
    const __m256i order = _mm256_set_epi8(10, 11, 9, 10, 7, 8, 6, 7, 4, 5, 3, 4, 1, 2, 0, 1, 10, 11, 9, 10, 7, 8, 6, 7, 4, 5,
                                          3, 4, 1, 2, 0, 1);
    const __m256i shift = _mm256_setr_epi8('A', 71, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -19, -16, 0, 0, 'A', 71, -4, -4,
                                           -4, -4, -4, -4, -4, -4, -4, -4, -19, -16, 0, 0);
    size_t i = 0;
    for (; i + 28 <= count; i += 24, out += 32) { /* the second load reaches 4 bytes beyond its 12 */
        __m256i in = _mm256_set_m128i(_mm_loadu_si128((const void *)(bytes + i + 12)),
                                      _mm_loadu_si128((const void *)(bytes + i)));
        in = _mm256_shuffle_epi8(in, order);
        __m256i odd = _mm256_mulhi_epu16(_mm256_and_si256(in, _mm256_set1_epi32(0x0FC0FC00)), _mm256_set1_epi32(0x04000040));
        __m256i even = _mm256_mullo_epi16(_mm256_and_si256(in, _mm256_set1_epi32(0x003F03F0)), _mm256_set1_epi32(0x01000010));
        __m256i digits = _mm256_or_si256(odd, even);
        __m256i class = _mm256_sub_epi8(_mm256_subs_epu8(digits, _mm256_set1_epi8(51)),
                                        _mm256_cmpgt_epi8(digits, _mm256_set1_epi8(25)));
        _mm256_storeu_si256((void *)out, _mm256_add_epi8(digits, _mm256_shuffle_epi8(shift, class)));
    }
    return i;
}

/* ---- AVX-512 VBMI: a table of 128 characters, or of 64 digits, in one instruction ---- */

static const char alphabet[65] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum { X = 0x80 }; /* no digit */
static const uint8_t digit_of[128] __attribute__((aligned(64))) = {
    X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
    X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  62, X,  X,  X,  63, 52, 53, 54, 55,
    56, 57, 58, 59, 60, 61, X,  X,  X,  X,  X,  X,  X,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
    13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, X,  X,  X,  X,  X,  X,  26, 27, 28, 29, 30, 31, 32,
    33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, X,  X,  X,  X,  X};

static const uint8_t gather_bytes[64] __attribute__((aligned(64))) = {
    2,  1,  0,  6,  5,  4,  10, 9,  8,  14, 13, 12, 18, 17, 16, 22, 21, 20, 26, 25, 24, 30, 29, 28,
    34, 33, 32, 38, 37, 36, 42, 41, 40, 46, 45, 44, 50, 49, 48, 54, 53, 52, 58, 57, 56, 62, 61, 60};

static const uint8_t spread_bytes[64] __attribute__((aligned(64))) = {
    1,  0,  2,  1,  4,  3,  5,  4,  7,  6,  8,  7,  10, 9,  11, 10, 13, 12, 14, 13, 16, 15, 17, 16, 19, 18, 20, 19, 22, 21, 23, 22,
    25, 24, 26, 25, 28, 27, 29, 28, 31, 30, 32, 31, 34, 33, 35, 34, 37, 36, 38, 37, 40, 39, 41, 40, 43, 42, 44, 43, 46, 45, 47, 46};

LRB_FOR_AVX512 static __mmask64 first(size_t count) { return count >= 64 ? ~0ull : (1ull << count) - 1; }

LRB_FOR_AVX512 static size_t decode_avx512(const char *text, size_t chars, uint8_t *out, bool *good) {
    const __m512i low = _mm512_load_si512(digit_of), high = _mm512_load_si512(digit_of + 64);
    const __m512i order = _mm512_load_si512(gather_bytes);
    __m512i bad = _mm512_setzero_si512();
    for (size_t i = 0; i < chars; i += 64, out += 48) {
        size_t left = chars - i < 64 ? chars - i : 64;
        __m512i in = _mm512_mask_loadu_epi8(_mm512_set1_epi8('A'), first(left), text + i);
        __m512i digits = _mm512_permutex2var_epi8(low, in, high);
        bad = _mm512_ternarylogic_epi32(bad, digits, in, 0xFE); /* a set top bit of either */
        __m512i twelves = _mm512_maddubs_epi16(digits, _mm512_set1_epi32(0x01400140));
        __m512i whole = _mm512_madd_epi16(twelves, _mm512_set1_epi32(0x00011000));
        _mm512_mask_storeu_epi8(out, first(left / 4 * 3), _mm512_permutexvar_epi8(order, whole));
    }
    if (_mm512_movepi8_mask(bad)) *good = false;
    return chars;
}

LRB_FOR_AVX512 static size_t encode_avx512(const uint8_t *bytes, size_t count, char *out) {
    const __m512i digits = _mm512_loadu_si512(alphabet), order = _mm512_load_si512(spread_bytes);
    const __m512i shifts = _mm512_set1_epi64(0x3036242A1016040A);
    size_t whole = count / 3 * 3;
    for (size_t i = 0; i < whole; i += 48, out += 64) {
        size_t left = whole - i < 48 ? whole - i : 48;
        __m512i in = _mm512_permutexvar_epi8(order, _mm512_maskz_loadu_epi8(first(left), bytes + i));
        __m512i sixes = _mm512_multishift_epi64_epi8(shifts, in);
        _mm512_mask_storeu_epi8(out, first(left / 3 * 4), _mm512_permutexvar_epi8(sixes, digits));
    }
    return whole;
}

size_t lrb_base64_decode_wide(const char *text, size_t chars, uint8_t *out, bool *good) {
    switch (lrb_cpu_level()) {
    case LRB_CPU_AVX512: return decode_avx512(text, chars, out, good);
    case LRB_CPU_AVX2: return decode_avx2(text, chars, out, good);
    default: return 0;
    }
}

size_t lrb_base64_encode_wide(const uint8_t *bytes, size_t count, char *out) {
    switch (lrb_cpu_level()) {
    case LRB_CPU_AVX512: return encode_avx512(bytes, count, out);
    case LRB_CPU_AVX2: return encode_avx2(bytes, count, out);
    default: return 0;
    }
}

#else

size_t lrb_base64_decode_wide(const char *text, size_t chars, uint8_t *out, bool *good) {
    (void)text, (void)chars, (void)out, (void)good;
    return 0;
}

size_t lrb_base64_encode_wide(const uint8_t *bytes, size_t count, char *out) {
    (void)bytes, (void)count, (void)out;
    return 0;
}

#endif
