#include "codec/residual.h"

#include "check.h"
#include "codec/float_env.h"
#include "rows.h"

enum { DIM = 384 };

static uint8_t halves[2 * DIM], row[4 * DIM], back[4 * DIM];
static uint32_t distances[DIM];

static bool comes_back(float scale) {
    lrb_residual_take(halves, row, DIM, scale, distances);
    lrb_residual_add(halves, distances, DIM, scale, back);
    return !memcmp(row, back, sizeof row);
}

/* How many distances are outside of +-limit. */
static size_t beyond(int32_t limit) {
    size_t count = 0;
    for (size_t i = 0; i < DIM; i++) count += (int32_t)distances[i] > limit || (int32_t)distances[i] < -limit;
    return count;
}

/* An embedding of length 1 leaves half a unit of float16, which is 4096 units of float32. */
TEST(what_a_half_rounded_off_is_all_that_is_left) {
    uint64_t seed = 1;
    for (int i = 0; i < 100; i++) {
        row_make(&seed, DIM, 1, halves, row);
        float length = lrb_row_length(row, DIM), scale = lrb_residual_scale(halves, row, DIM);
        CHECK(length > 0.999f && comes_back(scale));
        CHECK(beyond(8400) <= DIM / 50);
    }
}

TEST(anything_comes_back_with_any_scale) {
    static const uint32_t scales[] = {0x3F800000, 0x00800000, 0x7F7FFFFF, 0x3F812345};
    uint64_t seed = 2;
    for (int round = 0; round < 200; round++) {
        sample_fill(halves, sizeof halves, sample_next(&seed));
        sample_fill(row, sizeof row, sample_next(&seed));
        CHECK(lrb_residual_scale_usable(lrb_bits_of(lrb_residual_scale(halves, row, DIM))));
        for (size_t i = 0; i < 4; i++) CHECK(comes_back(lrb_float_of(scales[i])));
    }
}

TEST(signed_zeros_and_payloads_survive) {
    static const uint32_t odd[] = {0, 0x80000000, 1, 0x80000001, 0x7F800000, 0xFF800000, 0x7F800001, 0xFFC12345};
    for (size_t i = 0; i < DIM; i++) {
        lrb_put_u16(halves + 2 * i, (uint16_t)(i % 3 ? 0x8000 : i % 2 ? 0x7C01 : 0xFE00));
        lrb_put_u32(row + 4 * i, odd[i % 8]);
    }
    CHECK(comes_back(lrb_residual_scale(halves, row, DIM)));
}

TEST(scales_that_are_no_positive_normal_number_are_not_usable) {
    static const uint32_t refused[] = {0, 1, 0x007FFFFF, 0x7F800000, 0x7FC00000, 0x80000000, 0xBF800000, 0xFFFFFFFF};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) CHECK(!lrb_residual_scale_usable(refused[i]));
    CHECK(lrb_residual_scale_usable(0x00800000) && lrb_residual_scale_usable(0x7F7FFFFF));
}

int main(void) {
    lrb_float_env env = lrb_float_env_begin();
    RUN(what_a_half_rounded_off_is_all_that_is_left);
    RUN(anything_comes_back_with_any_scale);
    RUN(signed_zeros_and_payloads_survive);
    RUN(scales_that_are_no_positive_normal_number_are_not_usable);
    lrb_float_env_end(env);
    return check_report();
}
