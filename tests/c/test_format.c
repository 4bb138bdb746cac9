/* The names behind the format's numbers, and ids. The numbers themselves are on disk and may never change. */
#include "check.h"
#include "repo/format.h"

TEST(kinds_have_their_numbers_and_names) {
    CHECK(strcmp(lrb_chunk_kind_name(0), "none") == 0);
    CHECK(strcmp(lrb_chunk_kind_name(1), "raw") == 0);
    CHECK(strcmp(lrb_chunk_kind_name(2), "text") == 0);
    CHECK(strcmp(lrb_chunk_kind_name(3), "vectors") == 0);
    CHECK(strcmp(lrb_chunk_kind_name(4), "corrections") == 0);
    CHECK(strcmp(lrb_chunk_kind_name(7), "frame") == 0);
    CHECK(strcmp(lrb_chunk_kind_name(32), "recipe") == 0);
    CHECK(strcmp(lrb_chunk_kind_name(33), "body") == 0);
    CHECK(strcmp(lrb_chunk_kind_name(34), "payload") == 0);
}

TEST(numbers_without_meaning_are_unknown) {
    CHECK(strcmp(lrb_chunk_kind_name(8), "unknown") == 0);
    CHECK(strcmp(lrb_chunk_kind_name(35), "unknown") == 0);
    CHECK(strcmp(lrb_chunk_kind_name(255), "unknown") == 0);
    CHECK(strcmp(lrb_chunk_codec_name(3), "unknown") == 0);
    CHECK(strcmp(lrb_entry_kind_name(0), "unknown") == 0);
    CHECK(strcmp(lrb_entry_kind_name(12), "unknown") == 0);
}

TEST(other_numbers_have_names) {
    CHECK(strcmp(lrb_chunk_codec_name(0), "stored") == 0);
    CHECK(strcmp(lrb_chunk_codec_name(1), "zstd") == 0);
    CHECK(strcmp(lrb_chunk_codec_name(2), "vector") == 0);
    CHECK(strcmp(lrb_entry_kind_name(1), "snapshot") == 0);
    CHECK(strcmp(lrb_entry_kind_name(10), "checkpoint") == 0);
}

TEST(reserved_kinds_and_none_are_not_usable) {
    for (unsigned kind = 0; kind < 256; kind++) {
        bool usable = (kind >= LRB_CHUNK_RAW && kind <= LRB_CHUNK_CORRECTIONS) || kind == LRB_CHUNK_FRAME ||
                      (kind >= LRB_CHUNK_RECIPE && kind <= LRB_CHUNK_PAYLOAD);
        CHECK(lrb_chunk_kind_usable(kind) == usable);
        CHECK(lrb_chunk_kind_has_dim(kind) == (kind == LRB_CHUNK_VECTORS || kind == LRB_CHUNK_CORRECTIONS));
    }
}

TEST(ids_compare_as_byte_strings) {
    lrb_id low = {{1, 2}}, high = {{1, 200}};
    CHECK(lrb_id_compare(&low, &low) == 0);
    CHECK(lrb_id_compare(&low, &high) < 0);
    CHECK(lrb_id_compare(&high, &low) > 0);
}

TEST(a_prefix_is_sixteen_digits) {
    char prefix[17];
    lrb_id id = {{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xff}};
    lrb_id_prefix(&id, prefix);
    CHECK(strcmp(prefix, "0123456789abcdef") == 0);
}

int main(void) {
    RUN(kinds_have_their_numbers_and_names);
    RUN(numbers_without_meaning_are_unknown);
    RUN(other_numbers_have_names);
    RUN(reserved_kinds_and_none_are_not_usable);
    RUN(ids_compare_as_byte_strings);
    RUN(a_prefix_is_sixteen_digits);
    return check_report();
}
