#include "codec/radix.h"

#include <stdbool.h>

#include "base/mem.h"
#include "check.h"
#include "codec/cpu.h"
#include "sample.h"

enum { MOST = 1100 };

static uint8_t numbers[MOST], halved[MOST], back[MOST];

/* Numbers below their base; `share` of 256 are halved. Returns how many. */
static size_t draw(size_t count, unsigned width, unsigned share, uint64_t seed) {
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        halved[i] = sample_next(&seed) % 256 < share;
        numbers[i] = (uint8_t)(sample_next(&seed) % (lrb_radix_base(width) >> halved[i]));
        total += halved[i];
    }
    return total;
}

TEST(bases_are_the_largest_even_ones_that_fit) {
    for (unsigned width = LRB_RADIX_MIN_WIDTH; width <= LRB_RADIX_MAX_WIDTH; width++) {
        uint64_t base = lrb_radix_base(width), next = base + 2;
        CHECK(base % 2 == 0 && base * base * base * base <= 1ull << width && next * next * next * next > 1ull << width);
    }
}

/* In memory of the exact size, so that the sanitizer sees what goes beyond. */
static bool comes_back(size_t count, unsigned width, size_t total) {
    size_t bytes = lrb_radix_bytes(count, total, width);
    uint8_t *packed = lrb_alloc(bytes), *flags = lrb_alloc(count), *out = lrb_alloc(count);
    bool same = packed && flags && out;
    if (same) {
        memcpy(flags, halved, count);
        lrb_radix_pack(numbers, flags, count, width, packed);
        lrb_radix_unpack(packed, flags, count, width, out);
        same = !memcmp(out, numbers, count);
    }
    lrb_free(packed);
    lrb_free(flags);
    lrb_free(out);
    return same;
}

TEST(numbers_come_back_at_every_width_and_count) {
    static const size_t counts[] = {1, 2, 3, 4, 5, 7, 8, 9, 384, 511, 512, 513, 516, 1024, 1029, MOST};
    for (unsigned width = LRB_RADIX_MIN_WIDTH; width <= LRB_RADIX_MAX_WIDTH; width++) {
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            for (unsigned share = 0; share <= 256; share += 64)
                CHECK(comes_back(counts[c], width, draw(counts[c], width, share, c + share)));
        }
    }
}

/* Where the quotient of floats is most easily off by one. */
TEST(numbers_at_their_ends_come_back) {
    for (unsigned width = LRB_RADIX_MIN_WIDTH; width <= LRB_RADIX_MAX_WIDTH; width++) {
        for (unsigned ends = 0; ends < 16; ends++) {
            size_t total = draw(MOST, width, 100, ends);
            for (size_t i = 0; i < MOST; i++)
                numbers[i] = ends >> i % 4 & 1 ? (uint8_t)((lrb_radix_base(width) >> halved[i]) - 1) : 0;
            CHECK(comes_back(MOST, width, total));
        }
    }
}

/* 3, 1, 2, 0 and then 5 in base 8: 3 * 512 + 64 + 16 in 12 bits, and 5 * 512 in the next 12. */
TEST(the_layout_is_the_one_described) {
    static const uint8_t some[] = {3, 1, 2, 0, 5}, none[5], one[5] = {0, 1};
    uint8_t packed[3];
    lrb_radix_pack(some, none, 5, 12, packed);
    CHECK(lrb_radix_bytes(5, 0, 12) == 3 && packed[0] == 0x50 && packed[1] == 0x06 && packed[2] == 0xA0);
    lrb_radix_pack(some, one, 4, 12, packed); /* ((3 * 4 + 1) * 8 + 2) * 8 in 11 bits */
    CHECK(lrb_radix_bytes(4, 1, 12) == 2 && packed[0] == 0x50 && packed[1] == 0x03);
}

TEST(any_bytes_decode_within_bounds) {
    for (unsigned width = LRB_RADIX_MIN_WIDTH; width <= LRB_RADIX_MAX_WIDTH; width++) {
        size_t total = draw(MOST, width, 100, width), bytes = lrb_radix_bytes(MOST, total, width);
        uint8_t *packed = lrb_alloc(bytes);
        CHECK(packed);
        memset(packed, 0xFF, bytes);
        lrb_radix_unpack(packed, halved, MOST, width, back);
        sample_fill(packed, bytes, width);
        lrb_radix_unpack(packed, halved, MOST, width, back);
        lrb_free(packed);
    }
}

TEST(every_variant_writes_and_reads_the_same) {
    static uint8_t plain[4 * MOST], other[4 * MOST], read_plain[MOST];
    for (unsigned width = LRB_RADIX_MIN_WIDTH; width <= LRB_RADIX_MAX_WIDTH; width++) {
        size_t bytes = lrb_radix_bytes(MOST, draw(MOST, width, 100, width), width);
        lrb_cpu_limit(LRB_CPU_PLAIN);
        lrb_radix_pack(numbers, halved, MOST, width, plain);
        for (lrb_cpu level = LRB_CPU_AVX2; level < LRB_CPU_LEVELS; level++) {
            lrb_cpu_limit(level);
            memset(other, 0, sizeof other);
            lrb_radix_pack(numbers, halved, MOST, width, other);
            lrb_radix_unpack(other, halved, MOST, width, back);
            CHECK(!memcmp(plain, other, bytes) && !memcmp(back, numbers, MOST));
            sample_fill(other, bytes, width);
            lrb_radix_unpack(other, halved, MOST, width, back);
            lrb_cpu_limit(LRB_CPU_PLAIN);
            lrb_radix_unpack(other, halved, MOST, width, read_plain);
            CHECK(!memcmp(back, read_plain, MOST));
        }
    }
    lrb_cpu_limit(LRB_CPU_LEVELS);
}

int main(void) {
    RUN(bases_are_the_largest_even_ones_that_fit);
    RUN(numbers_come_back_at_every_width_and_count);
    RUN(numbers_at_their_ends_come_back);
    RUN(the_layout_is_the_one_described);
    RUN(any_bytes_decode_within_bounds);
    RUN(every_variant_writes_and_reads_the_same);
    return check_report();
}
