/* Plain text and UTF-8: the fast loop against the slow one at every place, and every sequence against the rule. */
#include "check.h"
#include "lightrag/text_run.h"

TEST(fast_and_slow_agree_on_every_byte_at_every_place) {
    uint8_t bytes[160];
    for (unsigned c = 0; c < 256; c++)
        for (size_t at = 0; at < sizeof bytes; at++) {
            memset(bytes, 'a', sizeof bytes);
            bytes[at] = (uint8_t)c;
            for (size_t from = 0; from < 3; from++) {
                size_t fast = lrb_text_plain(bytes + from, sizeof bytes - from);
                CHECK(fast == lrb_text_plain_reference(bytes + from, sizeof bytes - from));
            }
            CHECK(lrb_text_plain(bytes, at) == at);
        }
}

TEST(what_is_plain) {
    for (unsigned c = 0; c < 256; c++) {
        uint8_t byte = (uint8_t)c;
        CHECK(lrb_text_plain(&byte, 1) == (c >= 0x20 && c < 0x80 && c != '"' && c != '\\'));
    }
}

/* Every code point there is comes back with its own length, and loses it with any byte taken off. */
TEST(every_code_point_is_utf8) {
    for (uint32_t c = 0x80; c < 0x110000; c++) {
        uint8_t bytes[4];
        int length = (int)lrb_text_encode(c, bytes);
        if (c >= 0xD800 && c < 0xE000) {
            CHECK(length == 3 && lrb_text_utf8(bytes, 3) == -1);
            continue;
        }
        CHECK(length == (c < 0x800 ? 2 : c < 0x10000 ? 3 : 4) && lrb_text_utf8(bytes, 4) == length);
        CHECK(lrb_text_utf8(bytes, (size_t)length - 1) == 0);
        bytes[length - 1] = 'a';
        CHECK(lrb_text_utf8(bytes, (size_t)length) == -1);
    }
}

TEST(what_is_no_utf8) {
    static const char *const wrong[] = {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xED\xA0\x80",
                                        "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK(lrb_text_utf8((const uint8_t *)wrong[i], strlen(wrong[i])) == -1);
}

int main(void) {
    RUN(fast_and_slow_agree_on_every_byte_at_every_place);
    RUN(what_is_plain);
    RUN(every_code_point_is_utf8);
    RUN(what_is_no_utf8);
    return check_report();
}
