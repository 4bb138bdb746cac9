#include "codec/distances.h"

#include <stdbool.h>

#include "base/mem.h"
#include "base/wire.h"
#include "check.h"
#include "codec/cpu.h"
#include "codec/radix.h"
#include "sample.h"

enum { DIM = 193 };

static uint32_t distances[DIM], back[DIM];
static uint8_t numbers[DIM], bytes[5 * DIM], halved[DIM];

/* Uniform in +-reach, or half of it where halved. */
static void spread(uint32_t reach, uint64_t seed) {
    for (size_t i = 0; i < DIM; i++) {
        uint32_t mine = reach >> halved[i];
        distances[i] = mine ? (uint32_t)(sample_next(&seed) % (2 * (uint64_t)mine)) - mine : 0;
    }
}

static void halve(unsigned share, uint64_t seed) {
    for (size_t i = 0; i < DIM; i++) halved[i] = sample_next(&seed) % 256 < share;
}

static bool comes_back(size_t *size, lrb_distances_form *form) {
    if (!lrb_distances_choose(distances, halved, DIM, form)) return false;
    *size = lrb_distances_bytes(halved, DIM, *form);
    uint8_t *exact = lrb_alloc(*size);
    if (!exact) return false;
    lrb_distances_encode(distances, halved, DIM, *form, numbers, exact);
    bool same = lrb_distances_decode(exact, halved, DIM, *form, numbers, back) &&
                !memcmp(distances, back, sizeof back);
    lrb_free(exact);
    return same;
}

TEST(distances_of_every_spread_take_their_width) {
    lrb_distances_form form;
    size_t size;
    for (unsigned width = LRB_RADIX_MIN_WIDTH; width <= LRB_RADIX_MAX_WIDTH; width++) {
        for (unsigned share = 0; share <= 256; share += 64) {
            halve(share, share);
            spread(128 * lrb_radix_base(width), width);
            CHECK(comes_back(&size, &form) && form.width <= width + 1);
            CHECK(size <= lrb_distances_bytes(halved, DIM, (lrb_distances_form){width, 0}));
        }
    }
}

TEST(the_ends_of_each_width_fit) {
    halve(128, 1);
    for (unsigned width = LRB_RADIX_MIN_WIDTH; width <= LRB_RADIX_MAX_WIDTH; width++) {
        lrb_distances_form form = {width, 0};
        for (size_t i = 0; i < DIM; i++) {
            uint32_t half = 128 * lrb_radix_base(width) >> halved[i];
            distances[i] = i % 2 ? 0u - half : half - 1;
        }
        lrb_distances_encode(distances, halved, DIM, form, numbers, bytes);
        CHECK(lrb_distances_decode(bytes, halved, DIM, form, numbers, back));
        CHECK(!memcmp(distances, back, sizeof back));
    }
}

TEST(what_is_further_out_is_patched) {
    lrb_distances_form form;
    size_t size, smaller;
    halve(0, 0);
    spread(4096, 7);
    CHECK(comes_back(&smaller, &form) && form.width == 20 && !form.patches);
    distances[0] = 0x80000000;
    distances[DIM / 2] = 0x7FFFFFFF;
    distances[DIM - 1] = 4096;
    CHECK(comes_back(&size, &form) && form.patches == 3 && size == smaller + 3 * LRB_PATCH_BYTES);
}

TEST(noise_is_refused) {
    lrb_distances_form form;
    uint64_t seed = 3;
    for (size_t i = 0; i < DIM; i++) distances[i] = (uint32_t)sample_next(&seed);
    CHECK(!lrb_distances_choose(distances, halved, DIM, &form));
}

TEST(patches_beyond_the_row_or_out_of_order_are_refused) {
    lrb_distances_form form;
    halve(64, 2);
    spread(4096, 7);
    distances[3] = distances[9] = 1 << 20;
    CHECK(lrb_distances_choose(distances, halved, DIM, &form) && form.patches == 2);
    lrb_distances_encode(distances, halved, DIM, form, numbers, bytes);
    uint8_t *patch = bytes + lrb_distances_bytes(halved, DIM, form) - 2 * LRB_PATCH_BYTES;
    CHECK(lrb_get_u16(patch) == 3 && lrb_distances_decode(bytes, halved, DIM, form, numbers, back));
    lrb_put_u16(patch, 9);
    CHECK(!lrb_distances_decode(bytes, halved, DIM, form, numbers, back));
    lrb_put_u16(patch, DIM);
    CHECK(!lrb_distances_decode(bytes, halved, DIM, form, numbers, back));
}

TEST(every_variant_chooses_writes_and_reads_the_same) {
    static uint8_t plain[5 * DIM];
    halve(100, 3);
    spread(5000, 8);
    distances[70] = 1 << 30;
    for (lrb_cpu level = LRB_CPU_PLAIN; level < LRB_CPU_LEVELS; level++) {
        lrb_distances_form form;
        lrb_cpu_limit(level);
        memset(bytes, 0, sizeof bytes);
        CHECK(lrb_distances_choose(distances, halved, DIM, &form));
        lrb_distances_encode(distances, halved, DIM, form, numbers, bytes);
        CHECK(lrb_distances_decode(bytes, halved, DIM, form, numbers, back) && !memcmp(distances, back, sizeof back));
        if (level == LRB_CPU_PLAIN) memcpy(plain, bytes, sizeof plain);
        CHECK(!memcmp(plain, bytes, sizeof plain));
    }
    lrb_cpu_limit(LRB_CPU_LEVELS);
}

int main(void) {
    RUN(distances_of_every_spread_take_their_width);
    RUN(the_ends_of_each_width_fit);
    RUN(what_is_further_out_is_patched);
    RUN(noise_is_refused);
    RUN(patches_beyond_the_row_or_out_of_order_are_refused);
    RUN(every_variant_chooses_writes_and_reads_the_same);
    return check_report();
}
