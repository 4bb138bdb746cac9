#include "codec/f16.h"

#include <math.h>

#include "check.h"

/* The value of a half from its definition (IEEE 754, 3.6), without its bits being moved about. */
static float value_of(uint16_t half) {
    int exponent = half >> 10 & 31, mantissa = half & 0x3FF;
    float magnitude = exponent ? ldexpf((float)(1024 + mantissa), exponent - 25) : ldexpf((float)mantissa, -24);
    return half & 0x8000 ? -magnitude : magnitude;
}

TEST(every_finite_half_is_its_value) {
    for (uint32_t half = 0; half < 0x10000; half++) {
        if (!lrb_f16_finite((uint16_t)half)) continue;
        CHECK(lrb_f16_expand((uint16_t)half) == lrb_bits_of(value_of((uint16_t)half)));
    }
}

TEST(what_is_no_number_keeps_its_payload) {
    CHECK(lrb_f16_expand(0x7C00) == 0x7F800000 && lrb_f16_expand(0xFC00) == 0xFF800000);
    for (uint32_t payload = 1; payload < 0x400; payload++) {
        CHECK(lrb_f16_expand((uint16_t)(0x7C00 | payload)) == (0x7F800000 | payload << 13));
        CHECK(lrb_f16_expand((uint16_t)(0xFC00 | payload)) == (0xFF800000 | payload << 13));
    }
}

int main(void) {
    RUN(every_finite_half_is_its_value);
    RUN(what_is_no_number_keeps_its_payload);
    return check_report();
}
