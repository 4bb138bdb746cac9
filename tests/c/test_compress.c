#include "codec/compress.h"

#include <stdbool.h>

#include "base/clock.h"
#include "base/mem.h"
#include "check.h"

enum { MAX_CONTENT = 4 << 20 };

static lrb_compressor *compressor;

/* A frame in heap memory of its exact length, so that the address sanitizer sees what reads beyond it. */
typedef struct frame {
    uint8_t *bytes;
    size_t count;
} frame;

static int make_frame(const void *content, size_t count, frame *out, lrb_err *err) {
    size_t room = lrb_compress_bound(count);
    uint8_t *bytes = lrb_alloc(room);
    if (!bytes) return lrb_err_nomem(err, "make a frame");
    int code = lrb_compress(compressor, content, count, bytes, room, &out->count, err);
    if (code) lrb_free(bytes);
    else out->bytes = lrb_resize_array(bytes, out->count, 1);
    return code;
}

static bool comes_back(const void *content, size_t count) {
    lrb_err err;
    frame f = {NULL, 0};
    uint8_t *back = lrb_alloc(count);
    bool same = back && !make_frame(content, count, &f, &err) &&
                !lrb_decompress(compressor, f.bytes, f.count, back, count, &err) && !memcmp(back, content, count);
    lrb_free(f.bytes);
    lrb_free(back);
    return same;
}

static const char text[] = "entity entity entity relation relation entity chunk chunk chunk entity relation entity";

TEST(content_of_every_size_comes_back) {
    static uint8_t noise[MAX_CONTENT];
    lrb_err err;
    const size_t sizes[] = {0, 1, 2, 255, 256, 257, 65535, 65536, 65537, 65791, 65792, 200000, MAX_CONTENT};
    CHECK_OK(lrb_random_bytes(noise, sizeof noise, &err));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) CHECK(comes_back(noise, sizes[i]));
    memset(noise, 'z', sizeof noise);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) CHECK(comes_back(noise, sizes[i]));
}

TEST(text_gets_smaller) {
    lrb_err err;
    frame f;
    CHECK_OK(make_frame(text, sizeof text, &f, &err));
    CHECK(f.count < sizeof text);
    lrb_free(f.bytes);
}

TEST(room_that_is_too_small_is_refused) {
    lrb_err err;
    uint8_t out[20];
    size_t written;
    CHECK_FAILS(lrb_compress(compressor, text, sizeof text, out, sizeof out, &written, &err), LRB_E_INTERNAL);
    CHECK(comes_back(text, sizeof text));
}

TEST(another_length_than_expected_is_damage) {
    static uint8_t back[sizeof text + 1];
    lrb_err err;
    frame f;
    CHECK_OK(make_frame(text, sizeof text, &f, &err));
    CHECK_FAILS(lrb_decompress(compressor, f.bytes, f.count, back, sizeof text - 1, &err), LRB_E_DAMAGED);
    CHECK_FAILS(lrb_decompress(compressor, f.bytes, f.count, back, sizeof text + 1, &err), LRB_E_DAMAGED);
    CHECK_FAILS(lrb_decompress(compressor, f.bytes, f.count, back, 0, &err), LRB_E_DAMAGED);
    CHECK_OK(lrb_decompress(compressor, f.bytes, f.count, back, sizeof text, &err));
    lrb_free(f.bytes);
}

TEST(every_truncation_is_damage) {
    lrb_err err;
    frame f;
    uint8_t back[sizeof text];
    CHECK_OK(make_frame(text, sizeof text, &f, &err));
    for (size_t length = 0; length < f.count; length++) {
        uint8_t *cut = lrb_alloc(length);
        CHECK(cut);
        memcpy(cut, f.bytes, length);
        CHECK_FAILS(lrb_decompress(compressor, cut, length, back, sizeof text, &err), LRB_E_DAMAGED);
        lrb_free(cut);
    }
    lrb_free(f.bytes);
}

/* A frame has no checksum: a flipped literal may pass here and is caught by the chunk's id. It must never be anything
 * but "damaged" or exactly the expected number of bytes. */
TEST(every_flip_is_damage_or_stays_in_its_room) {
    lrb_err err;
    frame f;
    uint8_t back[sizeof text + 64];
    CHECK_OK(make_frame(text, sizeof text, &f, &err));
    for (size_t bit = 0; bit < 8 * f.count; bit++) {
        f.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        memset(back, 0xAA, sizeof back);
        int code = lrb_decompress(compressor, f.bytes, f.count, back, sizeof text, &err);
        CHECK(code == LRB_OK || code == LRB_E_DAMAGED);
        for (size_t i = sizeof text; i < sizeof back; i++) CHECK(back[i] == 0xAA);
        f.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    CHECK_OK(lrb_decompress(compressor, f.bytes, f.count, back, sizeof text, &err));
    lrb_free(f.bytes);
}

TEST(bytes_behind_the_frame_are_damage) {
    lrb_err err;
    frame f;
    uint8_t back[sizeof text];
    CHECK_OK(make_frame(text, sizeof text, &f, &err));
    uint8_t *longer = lrb_alloc_zero(2 * f.count, 1);
    CHECK(longer);
    memcpy(longer, f.bytes, f.count);
    CHECK_FAILS(lrb_decompress(compressor, longer, f.count + 1, back, sizeof text, &err), LRB_E_DAMAGED);
    memcpy(longer + f.count, f.bytes, f.count);
    CHECK_FAILS(lrb_decompress(compressor, longer, 2 * f.count, back, sizeof text, &err), LRB_E_DAMAGED);
    CHECK(strstr(err.message, "followed"));
    lrb_free(longer);
    lrb_free(f.bytes);
}

/* Frames by hand (RFC 8878): magic, header descriptor, window, content size, one raw block holding "hello". */
#define MAGIC 0x28, 0xB5, 0x2F, 0xFD
#define HELLO_BLOCK 0x29, 0x00, 0x00, 'h', 'e', 'l', 'l', 'o'

TEST(frames_another_program_could_make) {
    static const uint8_t plain[] = {MAGIC, 0x20, 5, HELLO_BLOCK};
    static const uint8_t no_content_size[] = {MAGIC, 0x00, 0x58, HELLO_BLOCK};
    static const uint8_t lying_size[] = {MAGIC, 0x20, 6, HELLO_BLOCK};
    static const uint8_t huge_size[] = {MAGIC, 0xE0, 255, 255, 255, 255, 255, 255, 255, 127, HELLO_BLOCK};
    static const uint8_t dictionary[] = {MAGIC, 0x21, 7, 5, HELLO_BLOCK};
    static const uint8_t skippable[] = {0x50, 0x2A, 0x4D, 0x18, 5, 0, 0, 0, 'h', 'e', 'l', 'l', 'o'};
    uint8_t back[8];
    lrb_err err;
    CHECK_OK(lrb_decompress(compressor, plain, sizeof plain, back, 5, &err));
    CHECK(!memcmp(back, "hello", 5));
    CHECK_FAILS(lrb_decompress(compressor, no_content_size, sizeof no_content_size, back, 5, &err), LRB_E_DAMAGED);
    CHECK_FAILS(lrb_decompress(compressor, lying_size, sizeof lying_size, back, 6, &err), LRB_E_DAMAGED);
    CHECK_FAILS(lrb_decompress(compressor, lying_size, sizeof lying_size, back, 5, &err), LRB_E_DAMAGED);
    CHECK_FAILS(lrb_decompress(compressor, huge_size, sizeof huge_size, back, 5, &err), LRB_E_DAMAGED);
    CHECK_FAILS(lrb_decompress(compressor, dictionary, sizeof dictionary, back, 5, &err), LRB_E_DAMAGED);
    CHECK_FAILS(lrb_decompress(compressor, skippable, sizeof skippable, back, 0, &err), LRB_E_DAMAGED);
    CHECK_FAILS(lrb_decompress(compressor, skippable, sizeof skippable, back, 5, &err), LRB_E_DAMAGED);
}

/* Whatever window a header claims, from 1 KiB to 4 TiB: five bytes are decoded or the frame is refused. */
TEST(claimed_windows_cost_nothing) {
    uint8_t bytes[] = {MAGIC, 0x80, 0, 5, 0, 0, 0, HELLO_BLOCK}, back[5];
    lrb_err err;
    for (int window = 0; window < 256; window++) {
        bytes[5] = (uint8_t)window;
        int code = lrb_decompress(compressor, bytes, sizeof bytes, back, 5, &err);
        CHECK(code == LRB_E_DAMAGED || (code == LRB_OK && !memcmp(back, "hello", 5)));
    }
}

TEST(failed_allocations_are_told) {
    lrb_err err;
    lrb_compressor *made = NULL;
    lrb_mem_fail_after(0, true);
    int code = lrb_compressor_new(&made, &err);
    lrb_mem_fail_after(-1, false);
    CHECK_FAILS(code, LRB_E_NOMEM);
    CHECK(!made);
    lrb_compressor_free(NULL);
}

int main(void) {
    lrb_err err;
    if (lrb_compressor_new(&compressor, &err)) return 1;
    RUN(content_of_every_size_comes_back);
    RUN(text_gets_smaller);
    RUN(room_that_is_too_small_is_refused);
    RUN(another_length_than_expected_is_damage);
    RUN(every_truncation_is_damage);
    RUN(every_flip_is_damage_or_stays_in_its_room);
    RUN(bytes_behind_the_frame_are_damage);
    RUN(frames_another_program_could_make);
    RUN(claimed_windows_cost_nothing);
    RUN(failed_allocations_are_told);
    lrb_compressor_free(compressor);
    return check_report();
}
