#include "codec/inflate.h"

#include <libdeflate.h>
#include <math.h>

#include "base/mem.h"
#include "base/wire.h"
#include "check.h"
#include "codec/cpu.h"
#include "codec/inflate_private.h"
#include "rows.h"

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

/* ---- many at a time ---- */

enum { DIM = 700, BYTES = 2 * DIM, STREAMS = 24, ROOM = 4096 };

static uint8_t streams[STREAMS][ROOM], one_by_one[STREAMS][BYTES], together[STREAMS][BYTES];
static size_t lengths[STREAMS];

/* Rows of float16, of different spreads, and now and then something a row is not, at all of libdeflate's levels. */
static void make_streams(uint64_t seed) {
    static uint8_t row[4 * DIM], content[BYTES];
    for (size_t i = 0; i < STREAMS; i++) {
        row_make(&seed, DIM, ldexpf(1, (int)(i % 5) - 2), content, row);
        if (i % 7 == 5) memset(content + 100, (int)i, 900);             /* long matches */
        if (i % 7 == 6) for (size_t k = 0; k < BYTES; k++) content[k] &= 3; /* short codes */
        struct libdeflate_compressor *c = libdeflate_alloc_compressor((int)(i % 13));
        lengths[i] = libdeflate_zlib_compress(c, content, BYTES, streams[i], ROOM);
        libdeflate_free_compressor(c);
    }
}

/* All of them in memory of exact sizes, each alone and all together: the same answers, and the same bytes where they are
 * good. Returns how many are good, or -1. */
static int answers_agree(size_t expected) {
    lrb_stream many[STREAMS];
    int good = 0;
    for (size_t i = 0; i < STREAMS; i++) {
        uint8_t *exact = lrb_alloc(lengths[i]);
        if (!exact) return -1;
        memcpy(exact, streams[i], lengths[i]);
        many[i] = (lrb_stream){exact, lengths[i], together[i], false};
    }
    lrb_inflate_many(inflater, many, STREAMS, expected);
    for (size_t i = 0; i < STREAMS; i++) {
        bool alone = lrb_inflate(inflater, many[i].bytes, many[i].count, one_by_one[i], expected);
        bool same = alone == many[i].good && (!alone || !memcmp(one_by_one[i], together[i], expected));
        lrb_free((void *)(uintptr_t)many[i].bytes);
        good = same && good >= 0 ? good + alone : -1;
    }
    return good;
}

TEST(many_streams_come_out_as_each_alone) {
    for (uint64_t seed = 0; seed < 20; seed++) {
        make_streams(seed);
        CHECK(answers_agree(BYTES) == STREAMS);
        CHECK(answers_agree(BYTES - 1) == 0);
    }
}

/* Each stream is damaged in another way, so that lanes end and give up at every moment while others go on. */
TEST(damaged_ones_among_them_get_the_same_answer) {
    uint64_t seed = 99;
    make_streams(1);
    for (int round = 0; round < 400; round++) {
        uint8_t kept[STREAMS];
        size_t at[STREAMS], length[STREAMS];
        for (size_t i = 0; i < STREAMS; i++) {
            at[i] = sample_next(&seed) % (round % 2 ? lengths[i] : 120 < lengths[i] ? 120 : lengths[i]);
            kept[i] = streams[i][at[i]];
            length[i] = lengths[i];
            if (i % 4) streams[i][at[i]] ^= (uint8_t)(1 << sample_next(&seed) % 8);
            if (i % 4 == 3) lengths[i] = sample_next(&seed) % (length[i] + 1);
        }
        CHECK(answers_agree(BYTES) >= STREAMS / 4);
        for (size_t i = 0; i < STREAMS; i++) {
            streams[i][at[i]] = kept[i];
            lengths[i] = length[i];
        }
    }
}

TEST(any_number_of_streams_may_be_given) {
    lrb_stream many[STREAMS];
    make_streams(2);
    for (size_t count = 0; count <= STREAMS; count++) {
        for (size_t i = 0; i < count; i++) many[i] = (lrb_stream){streams[i], lengths[i], together[i], false};
        lrb_inflate_many(inflater, many, count, BYTES);
        for (size_t i = 0; i < count; i++) CHECK(many[i].good);
    }
}

/* A change that made lanes refuse what they are for would otherwise cost nothing but speed, unseen. */
TEST(rows_are_what_lanes_take) {
    static lrb_lane lanes[LRB_LANES];
    lrb_stream many[STREAMS];
    int taken = 0;
    make_streams(3);
    for (size_t i = 0; i < STREAMS; i++) many[i] = (lrb_stream){streams[i], lengths[i], together[i], false};
    lrb_inflate_lanes(lanes, many, STREAMS, BYTES);
    for (size_t i = 0; i < STREAMS; i++) taken += many[i].good;
    CHECK(taken >= STREAMS / 2);
}

static void run_many(void) {
    RUN(rows_are_what_lanes_take);
    RUN(many_streams_come_out_as_each_alone);
    RUN(damaged_ones_among_them_get_the_same_answer);
    RUN(any_number_of_streams_may_be_given);
}

TEST(every_failing_allocation_is_survived) {
    lrb_inflater *made = NULL;
    lrb_err err;
    int64_t failed = 0;
    for (int code = LRB_E_NOMEM; code; failed++) {
        lrb_mem_fail_after(failed, false);
        code = lrb_inflater_new(&made, &err);
        lrb_mem_fail_after(-1, false);
        if (code) CHECK_FAILS(code, LRB_E_NOMEM);
    }
    CHECK(failed > 1);
    lrb_inflater_free(made);
}

int main(void) {
    RUN(every_failing_allocation_is_survived);
    lrb_err err;
    if (lrb_inflater_new(&inflater, &err)) return 1;
    RUN(streams_come_out);
    RUN(another_length_is_refused);
    RUN(bytes_behind_the_stream_are_refused);
    RUN(every_truncation_is_refused_and_no_flip_gives_other_bytes);
    for (lrb_cpu level = LRB_CPU_PLAIN; level < LRB_CPU_LEVELS; level++) {
        lrb_cpu_limit(level);
        run_many();
    }
    lrb_inflater_free(inflater);
    lrb_inflater_free(NULL);
    return check_report();
}
