#include "codec/sha256_wide.h"

#include "check.h"
#include "codec/cpu.h"
#include "codec/digest.h"
#include "sample.h"

enum { BLOCKS = 40, BYTES = LRB_SHA256_BLOCK_BYTES * BLOCKS };

/* Content of whole blocks, and one more block with its padding. */
static uint8_t first[BYTES + LRB_SHA256_BLOCK_BYTES], second[BYTES + LRB_SHA256_BLOCK_BYTES];

static void fill(uint8_t *bytes, uint64_t seed) {
    sample_fill(bytes, BYTES, seed);
    memset(bytes + BYTES, 0, LRB_SHA256_BLOCK_BYTES);
    bytes[BYTES] = 0x80;
    bytes[BYTES + LRB_SHA256_BLOCK_BYTES - 1] = (uint8_t)(8 * BYTES);
    bytes[BYTES + LRB_SHA256_BLOCK_BYTES - 2] = (uint8_t)(8 * BYTES >> 8);
}

static bool is_digest(const uint32_t state[LRB_SHA256_WORDS], const uint8_t *content) {
    uint8_t out[LRB_DIGEST_BYTES];
    lrb_err err;
    if (lrb_sha256(content, BYTES, out, &err)) return false;
    for (unsigned i = 0; i < LRB_DIGEST_BYTES; i++)
        if (out[i] != (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)))) return false;
    return true;
}

TEST(one_and_two_messages_have_the_digests_openssl_says) {
    if (!lrb_sha256_wide_available()) return; /* then nothing calls it either */
    for (uint64_t seed = 0; seed < 20; seed++) {
        uint32_t a[LRB_SHA256_WORDS], b[LRB_SHA256_WORDS], alone[LRB_SHA256_WORDS];
        fill(first, 2 * seed);
        fill(second, 2 * seed + 1);
        memcpy(a, lrb_sha256_start, sizeof a);
        memcpy(b, lrb_sha256_start, sizeof b);
        memcpy(alone, lrb_sha256_start, sizeof alone);
        lrb_sha256_two(a, b, first, second, seed);
        lrb_sha256_two(a, b, first + seed * LRB_SHA256_BLOCK_BYTES, second + seed * LRB_SHA256_BLOCK_BYTES, BLOCKS + 1 - seed);
        lrb_sha256_one(alone, first, BLOCKS + 1);
        CHECK(is_digest(a, first) && is_digest(b, second) && is_digest(alone, first));
    }
}

TEST(a_processor_is_told_not_to_use_it) {
    lrb_cpu_limit(LRB_CPU_PLAIN);
    bool available = lrb_sha256_wide_available();
    lrb_cpu_limit(LRB_CPU_LEVELS);
    CHECK(!available);
}

int main(void) {
    RUN(one_and_two_messages_have_the_digests_openssl_says);
    RUN(a_processor_is_told_not_to_use_it);
    return check_report();
}
