/* Two forms of one embedding measured: the fast loop against the plain one, in every dimension. */
#include "lightrag/vector_pair.h"

#include <math.h>

#include "base/wire.h"
#include "check.h"
#include "codec/f16.h"
#include "sample.h"

enum { DIM = 1100 };
static uint8_t row[4 * DIM + 1], halves[2 * DIM + 1];

static bool near(double a, double b) {
    return fabs(a - b) <= 1e-4 * (1 + fabs(b));
}

static bool agree(const uint8_t *numbers, const uint8_t *half, size_t dim) {
    lrb_vector_pair fast = lrb_vector_pair_measure(numbers, half, dim), slow = lrb_vector_pair_reference(numbers, half, dim);
    return fast.finite == slow.finite && near(fast.row_norm, slow.row_norm) && near(fast.half_norm, slow.half_norm) &&
           near(fast.product, slow.product);
}

static void fill(void) {
    uint8_t bytes[2 * DIM];
    sample_fill(bytes, sizeof bytes, 5);
    for (size_t i = 0; i < DIM; i++) {
        uint16_t half = (uint16_t)((bytes[2 * i] | bytes[2 * i + 1] << 8) & 0xBBFF); /* below 1, subnormals among them */
        lrb_put_u16(halves + 2 * i, half);
        lrb_put_u32(row + 4 * i, lrb_f16_expand(half));
    }
}

TEST(fast_and_slow_agree_in_every_dimension) {
    fill();
    for (size_t dim = 0; dim <= DIM; dim += 1 + dim / 40) CHECK(agree(row, halves, dim));
    memmove(row + 1, row, 4 * DIM);
    memmove(halves + 1, halves, 2 * DIM);
    CHECK(agree(row + 1, halves + 1, DIM)); /* at any address */
    lrb_vector_pair same = lrb_vector_pair_measure(row + 1, halves + 1, DIM);
    CHECK(near(same.row_norm, same.half_norm) && near(same.product, same.row_norm));
}

TEST(what_is_not_finite_is_seen_at_every_place) {
    static const uint32_t odd[] = {0x7F800000, 0xFF800000, 0x7FC00000, 0xFFFFFFFF, 0x7F800001};
    for (size_t at = 0; at < 100; at++)
        for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
            fill();
            lrb_put_u32(row + 4 * at, odd[i]);
            CHECK(!lrb_vector_pair_measure(row, halves, 100).finite && !lrb_vector_pair_reference(row, halves, 100).finite);
        }
    fill();
    CHECK(lrb_vector_pair_measure(row, halves, 100).finite);
}

int main(void) {
    RUN(fast_and_slow_agree_in_every_dimension);
    RUN(what_is_not_finite_is_seen_at_every_place);
    return check_report();
}
