#include "codec/inflate.h"

#include "base/mem.h"
#include "check.h"

/* zlib.compress(b"entity relation entity relation"), and zlib's stored block of "hello". */
static const uint8_t packed[] = {0x78, 0x9c, 0x4b, 0xcd, 0x2b, 0xc9, 0x2c, 0xa9, 0x54, 0x28, 0x4a, 0xcd, 0x49, 0x2c,
                                 0xc9, 0xcc, 0xcf, 0x53, 0x48, 0x45, 0xe5, 0x03, 0x00, 0xc5, 0x27, 0x0c, 0x57};
static const uint8_t stored[] = {0x78, 0x9c, 0x01, 5, 0, 0xFA, 0xFF, 'h', 'e', 'l', 'l', 'o', 0x06, 0x2C, 0x02, 0x15};
static const char text[] = "entity relation entity relation";

static lrb_inflater *inflater;

TEST(streams_come_out) {
    char out[sizeof text];
    CHECK(lrb_inflate(inflater, packed, sizeof packed, out, strlen(text)) && !memcmp(out, text, strlen(text)));
    CHECK(lrb_inflate(inflater, stored, sizeof stored, out, 5) && !memcmp(out, "hello", 5));
}

TEST(another_length_is_refused) {
    char out[64];
    for (size_t expected = 0; expected < sizeof out; expected++)
        CHECK(lrb_inflate(inflater, packed, sizeof packed, out, expected) == (expected == strlen(text)));
}

TEST(bytes_behind_the_stream_are_refused) {
    uint8_t longer[sizeof packed + 1] = {0};
    char out[sizeof text];
    memcpy(longer, packed, sizeof packed);
    CHECK(!lrb_inflate(inflater, longer, sizeof longer, out, strlen(text)));
}

TEST(every_truncation_is_refused_and_no_flip_gives_other_bytes) {
    char out[sizeof text];
    for (size_t length = 0; length < sizeof packed; length++) {
        uint8_t *cut = lrb_alloc(length);
        CHECK(cut);
        memcpy(cut, packed, length);
        CHECK(!lrb_inflate(inflater, cut, length, out, strlen(text)));
        lrb_free(cut);
    }
    for (size_t bit = 0; bit < 8 * sizeof packed; bit++) {
        uint8_t flipped[sizeof packed];
        memcpy(flipped, packed, sizeof packed);
        flipped[bit / 8] ^= (uint8_t)(1 << bit % 8);
        bool inflated = lrb_inflate(inflater, flipped, sizeof flipped, out, strlen(text));
        CHECK(!inflated || !memcmp(out, text, strlen(text))); /* bits no decoder looks at lie before the checksum */
    }
}

TEST(the_checksum_is_the_one_of_the_stream) {
    const uint8_t *end = stored + sizeof stored - 4;
    CHECK(lrb_adler32("hello", 5) == ((uint32_t)end[0] << 24 | end[1] << 16 | end[2] << 8 | end[3]));
    CHECK(lrb_adler32("", 0) == 1);
}

int main(void) {
    lrb_err err;
    if (lrb_inflater_new(&inflater, &err)) return 1;
    RUN(streams_come_out);
    RUN(another_length_is_refused);
    RUN(bytes_behind_the_stream_are_refused);
    RUN(every_truncation_is_refused_and_no_flip_gives_other_bytes);
    RUN(the_checksum_is_the_one_of_the_stream);
    lrb_inflater_free(inflater);
    lrb_inflater_free(NULL);
    return check_report();
}
