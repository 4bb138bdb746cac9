#include "codec/base64.h"

#include "base/mem.h"
#include "check.h"
#include "codec/cpu.h"
#include "sample.h"

enum { MOST = 400 };

static uint8_t content[MOST], back[MOST + 3];
static char text[MOST * 2];

TEST(the_vectors_of_the_rfc) {
    static const char *pairs[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
                                     {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        size_t count = strlen(pairs[i][0]), length = strlen(pairs[i][1]), written;
        CHECK(lrb_base64_encoded_length(count) == length);
        lrb_base64_encode((const uint8_t *)pairs[i][0], count, text);
        CHECK(!memcmp(text, pairs[i][1], length));
        CHECK(lrb_base64_decode(text, length, back, &written) && written == count && !memcmp(back, pairs[i][0], count));
        CHECK(lrb_base64_decoded_length(text, length) == count);
    }
}

TEST(content_of_every_length_comes_back_in_exact_room) {
    sample_fill(content, sizeof content, 1);
    for (size_t count = 0; count <= MOST; count++) {
        size_t length = lrb_base64_encoded_length(count), written;
        char *exact = lrb_alloc(length);
        uint8_t *out = lrb_alloc(lrb_base64_decoded_bound(length));
        CHECK(exact && out);
        lrb_base64_encode(content, count, exact);
        CHECK(lrb_base64_decode(exact, length, out, &written) && written == count && !memcmp(out, content, count));
        lrb_free(exact);
        lrb_free(out);
    }
}

/* Whatever single character is replaced by whatever byte: what decodes encodes to the same text again. */
TEST(only_what_encoding_would_write_is_decoded) {
    sample_fill(content, 160, 2);
    for (size_t count = 157; count <= 159; count++) {
        size_t length = lrb_base64_encoded_length(count), written, refused = 0;
        for (size_t at = 0; at < length; at++) {
            lrb_base64_encode(content, count, text);
            char kept = text[at], again[sizeof text];
            for (int byte = 0; byte < 256; byte++) {
                text[at] = (char)byte;
                if (!lrb_base64_decode(text, length, back, &written)) {
                    refused++;
                    continue;
                }
                CHECK(lrb_base64_encoded_length(written) == length);
                lrb_base64_encode(back, written, again);
                CHECK(!memcmp(text, again, length));
            }
            text[at] = kept;
        }
        CHECK(refused >= (256 - 65) * length);
    }
}

TEST(lengths_that_are_no_multiple_of_four_are_refused) {
    size_t written;
    memset(text, 'A', sizeof text);
    for (size_t length = 0; length < 200; length++)
        CHECK(lrb_base64_decode(text, length, back, &written) == (length % 4 == 0));
}

TEST(a_window_holds_its_bytes_at_every_phase) {
    size_t written;
    sample_fill(content, sizeof content, 3);
    for (size_t total = 90; total < 93; total++) {
        lrb_base64_encode(content, total, text);
        for (size_t offset = 0; offset < total; offset++) {
            for (size_t count = 1; count <= total - offset; count++) {
                lrb_base64_window_of w = lrb_base64_window(offset, count, total);
                CHECK(w.first + w.chars <= lrb_base64_encoded_length(total) && w.skip < 3);
                CHECK(lrb_base64_decode(text + w.first, w.chars, back, &written));
                CHECK(w.skip + count <= written && !memcmp(back + w.skip, content + offset, count));
            }
        }
    }
}

TEST(a_stream_in_pieces_writes_what_one_call_writes) {
    static char pieces[sizeof text];
    uint64_t seed = 5;
    sample_fill(content, sizeof content, 4);
    for (int round = 0; round < 500; round++) {
        size_t total = sample_next(&seed) % MOST, done = 0, written = 0;
        lrb_base64_stream stream = {.carried = 0};
        while (done < total) {
            size_t piece = sample_next(&seed) % 70;
            if (piece > total - done) piece = total - done;
            written += lrb_base64_stream_update(&stream, content + done, piece, pieces + written);
            done += piece;
        }
        written += lrb_base64_stream_finish(&stream, pieces + written);
        lrb_base64_encode(content, total, text);
        CHECK(written == lrb_base64_encoded_length(total) && !memcmp(pieces, text, written));
    }
}

static void run_all(void) {
    RUN(the_vectors_of_the_rfc);
    RUN(content_of_every_length_comes_back_in_exact_room);
    RUN(only_what_encoding_would_write_is_decoded);
    RUN(lengths_that_are_no_multiple_of_four_are_refused);
    RUN(a_window_holds_its_bytes_at_every_phase);
    RUN(a_stream_in_pieces_writes_what_one_call_writes);
}

int main(void) {
    for (lrb_cpu level = LRB_CPU_PLAIN; level < LRB_CPU_LEVELS; level++) {
        lrb_cpu_limit(level);
        run_all();
    }
    return check_report();
}
