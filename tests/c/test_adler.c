#include "codec/adler.h"

#include <string.h>

#include "check.h"

/* By RFC 1950's own words. */
static uint32_t by_definition(const uint8_t *bytes, size_t count) {
    uint32_t a = 1, b = 0;
    for (size_t i = 0; i < count; i++) {
        a = (a + bytes[i]) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

TEST(the_checksum_is_that_of_the_standard) {
    static uint8_t bytes[100000];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * i >> 3 | 0x80); /* sums that wrap around */
    for (size_t count = 0; count <= sizeof bytes; count = count * 3 + 1) CHECK(lrb_adler32(bytes, count) == by_definition(bytes, count));
    CHECK(lrb_adler32_on(lrb_adler32(bytes, 12345), bytes + 12345, 54321) == by_definition(bytes, 12345 + 54321));
    CHECK(lrb_adler32("Wikipedia", 9) == 0x11E60398 && lrb_adler32("", 0) == 1);
}

TEST(a_flipped_bit_shows) {
    uint8_t bytes[64] = "a part on its way";
    uint32_t sum = lrb_adler32(bytes, sizeof bytes);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK(lrb_adler32(bytes, sizeof bytes) != sum);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

int main(void) {
    RUN(the_checksum_is_that_of_the_standard);
    RUN(a_flipped_bit_shows);
    return check_report();
}
