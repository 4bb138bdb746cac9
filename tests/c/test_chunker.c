#include "codec/chunker.h"

#include "base/mem.h"
#include "base/wire.h"
#include "check.h"

enum { MIB = 1 << 20, CUTS_MAX = 1024 };

static lrb_chunker unsealed; /* with the zero seed */
static const uint8_t zero_seed[32];

/* xorshift64, written little-endian: the same bytes everywhere and for ever. */
static void fill_random(uint8_t *bytes, size_t count, uint64_t seed) {
    uint8_t word[8];
    for (size_t i = 0; i < count; i++) {
        if (i % 8 == 0) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            lrb_put_u64(word, seed);
        }
        bytes[i] = word[i % 8];
    }
}

/* Ends of all chunks, as offsets; returns how many. */
static size_t cut_all(const lrb_chunker *chunker, const uint8_t *bytes, size_t count, size_t ends[CUTS_MAX]) {
    size_t n = 0;
    for (size_t at = 0; at < count && n < CUTS_MAX; n++) {
        at += lrb_chunker_cut(chunker, bytes + at, count - at);
        ends[n] = at;
    }
    return n;
}

/* Cuts everything with both loops; false where they differ or a length is out of bounds. */
static bool loops_agree(const uint8_t *bytes, size_t count) {
    for (size_t at = 0; at < count;) {
        size_t left = count - at, cut = lrb_chunker_cut(&unsealed, bytes + at, left);
        if (cut != lrb_chunker_cut_reference(&unsealed, bytes + at, left)) return false;
        if (cut == 0 || cut > left || cut > LRB_CHUNK_MAX_BYTES) return false;
        if (cut < left && cut < LRB_CHUNK_MIN_BYTES) return false;
        at += cut;
    }
    return true;
}

/* These may never change: stored chunks are found again by them. The list was made by an independent program from
 * the description in the header. */
TEST(golden_cuts) {
    static const size_t lengths[] = {74306, 71198, 80744, 52629, 73970, 120272, 68099, 73466,
                                     73215, 65668, 68579, 90314, 65762, 65844,  4510};
    static uint8_t bytes[MIB];
    size_t ends[CUTS_MAX], at = 0;
    fill_random(bytes, sizeof bytes, 1);
    CHECK(unsealed.gear[0] == 0x393a075768344435 && unsealed.gear[255] == 0xcc995fcb6c5b5aac);
    CHECK(cut_all(&unsealed, bytes, sizeof bytes, ends) == sizeof lengths / sizeof *lengths);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        at += lengths[i];
        CHECK(ends[i] == at);
    }
}

TEST(fast_equals_reference_on_random_bytes) {
    static uint8_t bytes[MIB];
    for (uint64_t seed = 1; seed <= 16; seed++) {
        fill_random(bytes, sizeof bytes, seed);
        CHECK(loops_agree(bytes, sizeof bytes));
    }
}

/* Few byte values and short periods: some never meet the condition, some meet it at once. */
TEST(fast_equals_reference_on_degenerate_bytes) {
    static uint8_t bytes[MIB];
    for (int value = 0; value < 256; value++) {
        memset(bytes, value, sizeof bytes);
        CHECK(loops_agree(bytes, LRB_CHUNK_MAX_BYTES + LRB_CHUNK_MIN_BYTES));
    }
    for (size_t period = 2; period <= 64; period++) {
        fill_random(bytes, period, period);
        for (size_t i = period; i < sizeof bytes; i++) bytes[i] = bytes[i - period];
        CHECK(loops_agree(bytes, LRB_CHUNK_MAX_BYTES + LRB_CHUNK_MIN_BYTES));
    }
}

/* Heap copies of the exact length: a look beyond the end is seen by the address sanitizer. */
TEST(fast_equals_reference_around_every_threshold) {
    const size_t thresholds[] = {1, LRB_CHUNK_MIN_BYTES, LRB_CHUNK_AVERAGE_BYTES, LRB_CHUNK_MAX_BYTES};
    for (size_t t = 0; t < 4; t++) {
        for (size_t extra = 0; extra < 20; extra++) {
            size_t count = thresholds[t] + extra > 10 ? thresholds[t] + extra - 10 : 1;
            uint8_t *bytes = lrb_alloc(count);
            CHECK(bytes);
            fill_random(bytes, count, 99 + extra);
            CHECK(loops_agree(bytes, count));
            memset(bytes, 0, count);
            CHECK(loops_agree(bytes, count));
            lrb_free(bytes);
        }
    }
}

TEST(short_input_is_one_chunk) {
    static uint8_t bytes[LRB_CHUNK_MIN_BYTES];
    fill_random(bytes, sizeof bytes, 5);
    for (size_t count = 1; count < sizeof bytes; count += 511) {
        CHECK(lrb_chunker_cut(&unsealed, bytes, count) == count);
    }
    CHECK(lrb_chunker_cut(&unsealed, bytes, sizeof bytes) == sizeof bytes);
}

TEST(a_chunk_alone_is_the_same_chunk) {
    static uint8_t bytes[MIB];
    fill_random(bytes, sizeof bytes, 7);
    for (size_t at = 0; at < sizeof bytes;) {
        size_t cut = lrb_chunker_cut(&unsealed, bytes + at, sizeof bytes - at);
        CHECK(lrb_chunker_cut(&unsealed, bytes + at, cut) == cut);
        at += cut;
    }
}

TEST(cuts_realign_after_an_insertion) {
    static uint8_t before[8 * MIB], after[8 * MIB + 1];
    size_t ends[CUTS_MAX], moved[CUTS_MAX], same = 0;
    fill_random(before, sizeof before, 11);
    memcpy(after, before, 1000);
    after[1000] = 'x';
    memcpy(after + 1001, before + 1000, sizeof before - 1000);
    size_t count = cut_all(&unsealed, before, sizeof before, ends);
    size_t moved_count = cut_all(&unsealed, after, sizeof after, moved);
    while (same < count && same < moved_count && ends[count - 1 - same] + 1 == moved[moved_count - 1 - same]) same++;
    CHECK(count > 90 && same >= count - 10);
}

TEST(the_mean_is_near_the_average) {
    static uint8_t bytes[8 * MIB];
    size_t ends[CUTS_MAX];
    fill_random(bytes, sizeof bytes, 13);
    size_t mean = sizeof bytes / cut_all(&unsealed, bytes, sizeof bytes, ends);
    CHECK(mean > LRB_CHUNK_AVERAGE_BYTES && mean < LRB_CHUNK_AVERAGE_BYTES * 5 / 4);
}

TEST(another_seed_cuts_elsewhere) {
    static uint8_t bytes[MIB];
    const uint8_t seed[32] = {1};
    lrb_err err;
    lrb_chunker other;
    CHECK_OK(lrb_chunker_init(&other, seed, &err));
    fill_random(bytes, sizeof bytes, 1);
    CHECK(lrb_chunker_cut(&other, bytes, sizeof bytes) != lrb_chunker_cut(&unsealed, bytes, sizeof bytes));
}

TEST(failed_allocations_are_told) {
    lrb_err err;
    lrb_chunker chunker;
    int code = LRB_E_NOMEM, failures = -1;
    for (int n = 0; code == LRB_E_NOMEM; n++, failures++) {
        lrb_mem_fail_after(n, true);
        code = lrb_chunker_init(&chunker, zero_seed, &err);
        lrb_mem_fail_after(-1, false);
    }
    CHECK_OK(code);
    CHECK(failures > 0 && !memcmp(&chunker, &unsealed, sizeof chunker));
}

int main(void) {
    lrb_err err;
    if (lrb_chunker_init(&unsealed, zero_seed, &err)) return 1;
    RUN(golden_cuts);
    RUN(fast_equals_reference_on_random_bytes);
    RUN(fast_equals_reference_on_degenerate_bytes);
    RUN(fast_equals_reference_around_every_threshold);
    RUN(short_input_is_one_chunk);
    RUN(a_chunk_alone_is_the_same_chunk);
    RUN(cuts_realign_after_an_insertion);
    RUN(the_mean_is_near_the_average);
    RUN(another_seed_cuts_elsewhere);
    RUN(failed_allocations_are_told);
    return check_report();
}
