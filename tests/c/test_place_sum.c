/* A sum that is the same however a file is cut, and another one for other bytes. */
#include "codec/place_sum.h"

#include <string.h>

#include "check.h"

enum { BYTES = 20000 };
static uint8_t bytes[BYTES];

static void fill(void) {
    for (size_t i = 0; i < BYTES; i++) bytes[i] = (uint8_t)(i * 2654435761u >> 13);
}

TEST(cuts_and_their_order_change_nothing) {
    fill();
    uint64_t whole = lrb_place_sum(7, bytes, BYTES);
    for (size_t cut = 0; cut <= BYTES; cut += cut < 20 ? 1 : 331)
        CHECK(lrb_place_sum(7 + cut, bytes + cut, BYTES - cut) + lrb_place_sum(7, bytes, cut) == whole);
    uint64_t singly = 0;
    for (size_t i = BYTES; i-- > 0;) singly += lrb_place_sum(7 + i, bytes + i, 1);
    CHECK(singly == whole && !lrb_place_sum(0, bytes, 0));
}

TEST(every_changed_byte_and_every_exchange_shows) {
    fill();
    uint64_t whole = lrb_place_sum(0, bytes, BYTES);
    for (size_t i = 0; i < BYTES; i++) {
        uint8_t was = bytes[i];
        bytes[i] ^= (uint8_t)(1 + i % 255);
        CHECK(lrb_place_sum(0, bytes, BYTES) != whole || i % 97);
        CHECK(lrb_place_sum(i, bytes + i, 1) != lrb_place_sum(i, &was, 1));
        bytes[i] = was;
        i += i % 7;
    }
    for (size_t far = 1; far + 5 < BYTES; far += 611) {
        uint8_t was[4];
        memcpy(was, bytes, 4);
        memcpy(bytes, bytes + far, 4);
        memcpy(bytes + far, was, 4);
        CHECK(lrb_place_sum(0, bytes, BYTES) != whole);
        fill();
    }
    CHECK(lrb_place_sum(4096, bytes, BYTES) != whole);
}

int main(void) {
    RUN(cuts_and_their_order_change_nothing);
    RUN(every_changed_byte_and_every_exchange_shows);
    return check_report();
}
