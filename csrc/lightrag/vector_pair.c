#include "lightrag/vector_pair.h"

#include "base/wire.h"
#include "codec/cpu.h"
#include "codec/f16.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static void add(lrb_vector_pair *pair, const uint8_t *row, const uint8_t *halves, size_t dim) {
    for (size_t i = 0; i < dim; i++) {
        uint32_t bits = lrb_get_u32(row + 4 * i);
        double x = lrb_float_of(bits), y = lrb_float_of(lrb_f16_expand(lrb_get_u16(halves + 2 * i)));
        if ((bits & 0x7FFFFFFF) >= 0x7F800000) pair->finite = false;
        pair->row_norm += x * x;
        pair->half_norm += y * y;
        pair->product += x * y;
    }
}

lrb_vector_pair lrb_vector_pair_reference(const uint8_t *row, const uint8_t *halves, size_t dim) {
    lrb_vector_pair pair = {.finite = true};
    add(&pair, row, halves, dim);
    return pair;
}

#if defined(__x86_64__)

__attribute__((target("avx2,fma,f16c"))) static double sum_of(__m256 x) {
    float lanes[8];
    double sum = 0;
    _mm256_storeu_ps(lanes, x);
    for (int i = 0; i < 8; i++) sum += lanes[i];
    return sum;
}

__attribute__((target("avx2,fma,f16c"))) static lrb_vector_pair measure_avx2(const uint8_t *row, const uint8_t *halves,
                                                                             size_t dim) {
    __m256 rr[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()}, hh[2] = {rr[0], rr[0]}, rh[2] = {rr[0], rr[0]};
    __m256i most = _mm256_setzero_si256(), magnitude = _mm256_set1_epi32(0x7FFFFFFF);
    size_t i = 0;
    for (; i + 16 <= dim; i += 16)
        for (int k = 0; k < 2; k++) {
            __m256i bits = _mm256_loadu_si256((const __m256i *)(row + 4 * i + 32 * k));
            __m256 x = _mm256_castsi256_ps(bits);
            __m256 y = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(halves + 2 * i + 16 * k)));
            most = _mm256_max_epu32(most, _mm256_and_si256(bits, magnitude));
            rr[k] = _mm256_fmadd_ps(x, x, rr[k]);
            hh[k] = _mm256_fmadd_ps(y, y, hh[k]);
            rh[k] = _mm256_fmadd_ps(x, y, rh[k]);
        }
    lrb_vector_pair pair = {.row_norm = sum_of(rr[0]) + sum_of(rr[1]), .half_norm = sum_of(hh[0]) + sum_of(hh[1]),
                            .product = sum_of(rh[0]) + sum_of(rh[1])};
    pair.finite = !_mm256_movemask_epi8(_mm256_cmpgt_epi32(most, _mm256_set1_epi32(0x7F7FFFFF)));
    add(&pair, row + 4 * i, halves + 2 * i, dim - i);
    return pair;
}

lrb_vector_pair lrb_vector_pair_measure(const uint8_t *row, const uint8_t *halves, size_t dim) {
    /* No processor has AVX2 and not these two; what the operating system switched off it switched off together. */
    bool fast = lrb_cpu_level() >= LRB_CPU_AVX2 && __builtin_cpu_supports("fma");
    return fast ? measure_avx2(row, halves, dim) : lrb_vector_pair_reference(row, halves, dim);
}

#else

lrb_vector_pair lrb_vector_pair_measure(const uint8_t *row, const uint8_t *halves, size_t dim) {
    return lrb_vector_pair_reference(row, halves, dim);
}

#endif
