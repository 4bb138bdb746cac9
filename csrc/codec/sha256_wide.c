#include "codec/sha256_wide.h"

#include "codec/cpu.h"

const uint32_t lrb_sha256_start[LRB_SHA256_WORDS] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                                     0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

bool lrb_sha256_wide_available(void) { return lrb_cpu_has_sha(); }

#if LRB_HAS_X86

#include <immintrin.h>

enum { FETCH_AHEAD_BYTES = 1024 };

#define LRB_FOR_SHA __attribute__((target("sha,sse4.1,ssse3")))

static const uint32_t constants[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* The instructions want the state as two registers, ABEF and CDGH. */
typedef struct halves { __m128i abef, cdgh; } halves;

LRB_FOR_SHA LRB_BODY halves load_state(const uint32_t *state) {
    __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128((const void *)state), 0xB1);
    __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const void *)(state + 4)), 0x1B);
    return (halves){_mm_alignr_epi8(badc, hgfe, 8), _mm_blend_epi16(hgfe, badc, 0xF0)};
}

LRB_FOR_SHA LRB_BODY void store_state(uint32_t *state, halves h) {
    __m128i feba = _mm_shuffle_epi32(h.abef, 0x1B), dchg = _mm_shuffle_epi32(h.cdgh, 0xB1);
    _mm_storeu_si128((void *)state, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((void *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* Four rounds with the message words w[n % 4], which are then replaced by those of four fours later. */
LRB_FOR_SHA LRB_BODY void four_rounds(halves *h, __m128i w[4], int n) {
    __m128i sum = _mm_add_epi32(w[n % 4], _mm_load_si128((const void *)(constants + 4 * n)));
    h->cdgh = _mm_sha256rnds2_epu32(h->cdgh, h->abef, sum);
    h->abef = _mm_sha256rnds2_epu32(h->abef, h->cdgh, _mm_shuffle_epi32(sum, 0x0E));
    if (n >= 12) return;
    __m128i next = _mm_sha256msg1_epu32(w[n % 4], w[(n + 1) % 4]);
    next = _mm_add_epi32(next, _mm_alignr_epi8(w[(n + 3) % 4], w[(n + 2) % 4], 4));
    w[n % 4] = _mm_sha256msg2_epu32(next, w[(n + 3) % 4]);
}

/* Much of what is hashed left the near caches before, a pack of 8 MB above all, and not every machine fetches ahead by
 * itself. An address behind the message is none that could fault: nothing is read from it. */
LRB_BODY void fetch_ahead(const uint8_t *bytes) { _mm_prefetch((const char *)((uintptr_t)bytes + FETCH_AHEAD_BYTES), _MM_HINT_T0); }

/* `messages` is 1 or 2 and known to the compiler, so that all is unrolled. */
LRB_FOR_SHA LRB_BODY void compress(int messages, uint32_t *const state[2], const uint8_t *const bytes[2], size_t blocks) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    halves h[2];
    for (int m = 0; m < messages; m++) h[m] = load_state(state[m]);
    for (size_t block = 0; block < blocks; block++) {
        halves before[2];
        __m128i w[2][4];
        for (int m = 0; m < messages; m++) {
            const uint8_t *at = bytes[m] + LRB_SHA256_BLOCK_BYTES * block;
            before[m] = h[m];
            fetch_ahead(at);
            for (int i = 0; i < 4; i++) w[m][i] = _mm_shuffle_epi8(_mm_loadu_si128((const void *)(at + 16 * i)), big_endian);
        }
#pragma GCC unroll 16
        for (int n = 0; n < 16; n++)
            for (int m = 0; m < messages; m++) four_rounds(&h[m], w[m], n);
        for (int m = 0; m < messages; m++) {
            h[m].abef = _mm_add_epi32(h[m].abef, before[m].abef);
            h[m].cdgh = _mm_add_epi32(h[m].cdgh, before[m].cdgh);
        }
    }
    for (int m = 0; m < messages; m++) store_state(state[m], h[m]);
}

LRB_FOR_SHA void lrb_sha256_one(uint32_t state[LRB_SHA256_WORDS], const uint8_t *bytes, size_t blocks) {
    compress(1, (uint32_t *const[2]){state, NULL}, (const uint8_t *const[2]){bytes, NULL}, blocks);
}

LRB_FOR_SHA void lrb_sha256_two(uint32_t first[LRB_SHA256_WORDS], uint32_t second[LRB_SHA256_WORDS],
                                const uint8_t *first_bytes, const uint8_t *second_bytes, size_t blocks) {
    compress(2, (uint32_t *const[2]){first, second}, (const uint8_t *const[2]){first_bytes, second_bytes}, blocks);
}

#else

void lrb_sha256_one(uint32_t state[LRB_SHA256_WORDS], const uint8_t *bytes, size_t blocks) {
    (void)state, (void)bytes, (void)blocks;
}

void lrb_sha256_two(uint32_t first[LRB_SHA256_WORDS], uint32_t second[LRB_SHA256_WORDS], const uint8_t *first_bytes,
                    const uint8_t *second_bytes, size_t blocks) {
    (void)first, (void)second, (void)first_bytes, (void)second_bytes, (void)blocks;
}

#endif
