/* Tags of segments: what is another segment, another place or another key has another tag. */
#include "codec/fingerprint.h"

#include <stdlib.h>

#include "check.h"

enum { SEGMENTS = 3, COUNT = (SEGMENTS - 1) * LRB_SEGMENT_BYTES + 777 };

static lrb_err err;
static lrb_sealer *sealer;
static uint8_t key[LRB_KEY_BYTES] = {1, 2, 3};
static uint8_t *bytes;
static lrb_tag tags[SEGMENTS];

static bool same(const lrb_tag *a, const lrb_tag *b) { return !memcmp(a, b, sizeof *a); }

TEST(a_file_has_a_segment_for_each_half_mebibyte_begun_up_to_half_a_tebibyte) {
    const uint64_t most = (uint64_t)LRB_SEGMENTS_MAX * LRB_SEGMENT_BYTES;
    CHECK(lrb_segment_count(0) == 0 && lrb_segment_count(1) == 1);
    CHECK(lrb_segment_count(LRB_SEGMENT_BYTES) == 1 && lrb_segment_count(LRB_SEGMENT_BYTES + 1) == 2);
    CHECK(lrb_segment_count(COUNT) == SEGMENTS);
    CHECK(lrb_segment_count(most) == LRB_SEGMENTS_MAX);
    CHECK(lrb_segment_count(most + 1) == 0 && lrb_segment_count(UINT64_MAX) == 0);
}

TEST(together_or_one_by_one_the_tags_are_the_same) {
    for (size_t i = 0; i < SEGMENTS; i++) {
        size_t at = i * LRB_SEGMENT_BYTES, length = COUNT - at < LRB_SEGMENT_BYTES ? COUNT - at : LRB_SEGMENT_BYTES;
        lrb_tag alone;
        CHECK_OK(lrb_segment_tags(sealer, key, i, bytes + at, length, &alone, &err));
        CHECK(same(&alone, &tags[i]));
    }
}

TEST(a_changed_bit_anywhere_changes_its_segments_tag_alone) {
    static const size_t places[] = {0, 15, 16, LRB_SEGMENT_BYTES - 1, LRB_SEGMENT_BYTES, 2 * LRB_SEGMENT_BYTES, COUNT - 1};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            lrb_tag now[SEGMENTS];
            bytes[places[i]] ^= (uint8_t)(1 << bit);
            CHECK_OK(lrb_segment_tags(sealer, key, 0, bytes, COUNT, now, &err));
            bytes[places[i]] ^= (uint8_t)(1 << bit);
            for (size_t k = 0; k < SEGMENTS; k++) CHECK(same(&now[k], &tags[k]) == (k != places[i] / LRB_SEGMENT_BYTES));
        }
}

TEST(the_same_bytes_have_another_tag_elsewhere_under_another_key_and_with_another_length) {
    uint8_t other[LRB_KEY_BYTES] = {1, 2, 4};
    lrb_tag now;
    CHECK_OK(lrb_segment_tags(sealer, key, 1, bytes, LRB_SEGMENT_BYTES, &now, &err));
    CHECK(!same(&now, &tags[0]));
    CHECK_OK(lrb_segment_tags(sealer, other, 0, bytes, LRB_SEGMENT_BYTES, &now, &err));
    CHECK(!same(&now, &tags[0]));
    memset(bytes + COUNT, 0, 1); /* a zero more */
    CHECK_OK(lrb_segment_tags(sealer, key, SEGMENTS - 1, bytes + (SEGMENTS - 1) * LRB_SEGMENT_BYTES, 778, &now, &err));
    CHECK(!same(&now, &tags[SEGMENTS - 1]));
}

int main(void) {
    bytes = malloc(COUNT + 1);
    if (!bytes || lrb_sealer_new(&sealer, &err)) return 2;
    for (size_t i = 0; i < COUNT; i++) bytes[i] = (uint8_t)(i * i >> 7);
    if (lrb_segment_tags(sealer, key, 0, bytes, COUNT, tags, &err)) return 2;
    RUN(a_file_has_a_segment_for_each_half_mebibyte_begun_up_to_half_a_tebibyte);
    RUN(together_or_one_by_one_the_tags_are_the_same);
    RUN(a_changed_bit_anywhere_changes_its_segments_tag_alone);
    RUN(the_same_bytes_have_another_tag_elsewhere_under_another_key_and_with_another_length);
    lrb_sealer_free(sealer);
    free(bytes);
    return check_report();
}
