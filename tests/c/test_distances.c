#include "codec/distances.h"

#include <stdbool.h>

#include "base/mem.h"
#include "base/wire.h"
#include "check.h"
#include "sample.h"

enum { DIM = 193 };

static uint32_t distances[DIM], back[DIM];
static uint8_t high[DIM], bytes[4 * DIM];

static void spread(unsigned bits, uint64_t seed) {
    for (size_t i = 0; i < DIM; i++)
        distances[i] = bits ? (uint32_t)(sample_next(&seed) >> (64 - bits)) - (1u << (bits - 1)) : 0;
}

static bool comes_back(size_t *size) {
    lrb_distances_form form;
    if (!lrb_distances_choose(distances, DIM, &form)) return false;
    *size = lrb_distances_bytes(DIM, form);
    uint8_t *exact = lrb_alloc(*size);
    if (!exact) return false;
    lrb_distances_encode(distances, DIM, form, high, exact);
    bool same = lrb_distances_decode(exact, DIM, form, high, back) && !memcmp(distances, back, sizeof back);
    lrb_free(exact);
    return same;
}

TEST(distances_of_every_spread_take_their_width) {
    size_t size;
    for (unsigned bits = 0; bits <= 16; bits++) {
        spread(bits, bits);
        CHECK(comes_back(&size));
        CHECK(size <= DIM + (DIM * (bits < 8 ? 0u : bits - 8) + 7) / 8);
    }
}

TEST(the_ends_of_each_width_fit) {
    lrb_distances_form form;
    for (unsigned width = 0; width <= 8; width++) {
        memset(distances, 0, sizeof distances);
        for (size_t i = 0; i < DIM; i++) distances[i] = i % 2 ? 0u - (1u << (width + 7)) : (1u << (width + 7)) - 1;
        CHECK(lrb_distances_choose(distances, DIM, &form) && form.width == width && form.patches == 0);
    }
}

TEST(what_is_wider_is_patched) {
    size_t size, smaller;
    spread(13, 7);
    CHECK(comes_back(&smaller));
    distances[0] = 0x80000000;
    distances[DIM / 2] = 0x7FFFFFFF;
    distances[DIM - 1] = 1 << 12;
    CHECK(comes_back(&size) && size == smaller + 3 * LRB_PATCH_BYTES);
}

TEST(noise_is_refused) {
    lrb_distances_form form;
    uint64_t seed = 3;
    for (size_t i = 0; i < DIM; i++) distances[i] = (uint32_t)sample_next(&seed);
    CHECK(!lrb_distances_choose(distances, DIM, &form));
}

TEST(patches_beyond_the_row_or_out_of_order_are_refused) {
    lrb_distances_form form;
    spread(13, 7);
    distances[3] = distances[9] = 1 << 20;
    CHECK(lrb_distances_choose(distances, DIM, &form) && form.patches == 2);
    lrb_distances_encode(distances, DIM, form, high, bytes);
    uint8_t *patch = bytes + lrb_distances_bytes(DIM, form) - 2 * LRB_PATCH_BYTES;
    CHECK(lrb_get_u16(patch) == 3 && lrb_distances_decode(bytes, DIM, form, high, back));
    lrb_put_u16(patch, 9);
    CHECK(!lrb_distances_decode(bytes, DIM, form, high, back));
    lrb_put_u16(patch, DIM);
    CHECK(!lrb_distances_decode(bytes, DIM, form, high, back));
}

int main(void) {
    RUN(distances_of_every_spread_take_their_width);
    RUN(the_ends_of_each_width_fit);
    RUN(what_is_wider_is_patched);
    RUN(noise_is_refused);
    RUN(patches_beyond_the_row_or_out_of_order_are_refused);
    return check_report();
}
