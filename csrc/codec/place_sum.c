#include "codec/place_sum.h"

#include <pthread.h>

#include "base/wire.h"

enum { BLOCK_BYTES = 4096, WEIGHTS = BLOCK_BYTES / 4 };

/* A block's sum is that of its words of 32 bits, each times an odd weight of 32: exact below 2^64, so that a changed
 * byte changes it. Blocks are weighed by odd numbers of 64 bits. All of it is linear: bytes of one word add up. */
static uint32_t weights[WEIGHTS];
static pthread_once_t weighed = PTHREAD_ONCE_INIT;

/* SplitMix64's n-th number. */
static uint64_t mixed(uint64_t n) {
    uint64_t z = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void weigh(void) {
    for (size_t i = 0; i < WEIGHTS; i++) weights[i] = (uint32_t)mixed(i) | 1;
}

static uint64_t single(size_t at, uint8_t byte) { return (uint64_t)weights[at / 4] * ((uint64_t)byte << 8 * (at % 4)); }

/* Of bytes that lie in one block, from its byte `at` on. */
static uint64_t sum_within(size_t at, const uint8_t *bytes, size_t count) {
    uint64_t sum = 0;
    for (; count && at % 4; at++, count--) sum += single(at, *bytes++);
    const uint32_t *weight = weights + at / 4;
    size_t words = count / 4;
    for (size_t i = 0; i < words; i++) sum += (uint64_t)weight[i] * lrb_get_u32(bytes + 4 * i);
    for (size_t i = 4 * words; i < count; i++) sum += single(at + i, bytes[i]);
    return sum;
}

uint64_t lrb_place_sum(uint64_t offset, const uint8_t *bytes, size_t count) {
    uint64_t sum = 0;
    pthread_once(&weighed, weigh);
    while (count) {
        size_t at = offset % BLOCK_BYTES, piece = count < BLOCK_BYTES - at ? count : BLOCK_BYTES - at;
        sum += (mixed(offset / BLOCK_BYTES) | 1) * sum_within(at, bytes, piece);
        offset += piece;
        bytes += piece;
        count -= piece;
    }
    return sum;
}
