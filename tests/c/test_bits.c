#include "codec/bits.h"

#include "base/mem.h"
#include "check.h"
#include "sample.h"

TEST(numbers_come_back_at_every_width_and_count) {
    static uint8_t numbers[300], back[300];
    sample_fill(numbers, sizeof numbers, 1);
    for (unsigned width = 0; width <= 8; width++) {
        for (size_t count = 0; count <= sizeof numbers; count++) {
            size_t bytes = lrb_bits_packed_bytes(count, width);
            uint8_t *packed = lrb_alloc(bytes); /* of its exact length: the sanitizer sees what goes beyond */
            CHECK(packed);
            lrb_bits_pack(numbers, count, width, packed);
            lrb_bits_unpack(packed, count, width, back);
            for (size_t i = 0; i < count; i++) CHECK(back[i] == (numbers[i] & ((1u << width) - 1)));
            if (bytes && count * width % 8) CHECK(packed[bytes - 1] >> count * width % 8 == 0);
            lrb_free(packed);
        }
    }
}

TEST(the_lowest_bits_come_first) {
    static const uint8_t numbers[] = {1, 2, 3, 4, 5, 6, 7, 0, 5};
    uint8_t packed[4];
    lrb_bits_pack(numbers, 9, 3, packed);
    CHECK(packed[0] == (1 | 2 << 3 | (3 << 6 & 0xFF)) && packed[3] == 5);
}

int main(void) {
    RUN(numbers_come_back_at_every_width_and_count);
    RUN(the_lowest_bits_come_first);
    return check_report();
}
