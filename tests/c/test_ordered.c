#include "codec/ordered.h"

#include "check.h"
#include "codec/f16.h"

TEST(the_map_is_its_own_inverse_all_over) {
    for (uint64_t bits = 0; bits < 1ull << 32; bits += 251)
        CHECK(lrb_unordered(lrb_ordered((uint32_t)bits)) == (uint32_t)bits);
    CHECK(lrb_unordered(lrb_ordered(0xFFFFFFFF)) == 0xFFFFFFFF && lrb_unordered(lrb_ordered(0x80000000)) == 0x80000000);
}

TEST(numbers_follow_the_order_of_the_values) {
    static const float rising[] = {-1e30f, -1.0f, -0x1p-126f, -0x1p-149f, -0.0f, 0.0f, 0x1p-149f, 0x1p-126f, 1.0f, 1e30f};
    for (size_t i = 1; i < sizeof rising / sizeof *rising; i++) {
        int32_t lower = (int32_t)lrb_ordered(lrb_bits_of(rising[i - 1]));
        CHECK(lower < (int32_t)lrb_ordered(lrb_bits_of(rising[i])));
    }
    CHECK(lrb_ordered(0x80000000) == 0xFFFFFFFF && lrb_ordered(0) == 0);
}

int main(void) {
    RUN(the_map_is_its_own_inverse_all_over);
    RUN(numbers_follow_the_order_of_the_values);
    return check_report();
}
