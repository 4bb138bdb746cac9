/* Packs that are not what they must be: flipped, cut, foreign, newer, or lying about their rows. */
#include "packs.h"

/* ---- packs that are not what they must be ---- */

/* Only the pack's name covers the salt: nothing hangs on it while packs are not sealed. */
static bool is_salt(size_t at) {
    return at >= 32 && at < 32 + LRB_SALT_BYTES;
}

TEST(every_flip_outside_salt_and_chunks_is_seen_by_parsing) {
    lrb_pack_builder b;
    lrb_id name;
    CHECK_OK(build_small(&b, &name));
    for (size_t i = 0; i < b.bytes.length; i++) {
        bool unseen = is_salt(i) || (i >= LRB_PACK_HEADER_BYTES && i < LRB_PACK_HEADER_BYTES + 9);
        for (unsigned bit = 0; bit < 8; bit++) {
            b.bytes.data[i] ^= (uint8_t)(1 << bit);
            int code = parse(b.bytes.data, b.bytes.length);
            b.bytes.data[i] ^= (uint8_t)(1 << bit);
            CHECK(unseen ? !code : code == LRB_E_DAMAGED || code == LRB_E_UNSUPPORTED || code == LRB_E_FOREIGN);
            CHECK(unseen || strcmp(err.target, "packs/test") == 0);
        }
    }
    lrb_pack_builder_clear(&b);
}

TEST(every_flip_in_a_file_is_seen_by_opening_and_reading) {
    lrb_pack_builder b;
    lrb_id name;
    lrb_buf content;
    lrb_buf_init(&content, LRB_CONTENT_MAX_BYTES);
    CHECK_OK(build_small(&b, &name));
    for (size_t i = 0; i < b.bytes.length; i++) {
        lrb_pack *pack = NULL;
        if (is_salt(i)) continue;
        b.bytes.data[i] ^= 0x40;
        CHECK_OK(write_file(&name, b.bytes.data, b.bytes.length));
        b.bytes.data[i] ^= 0x40;
        int code = lrb_pack_open(dir, &name, 0, &repository, &pack, &err);
        if (!code) code = lrb_pack_read(pack, 0, coder, true, &content, &err);
        if (!code) code = lrb_pack_read(pack, 1, coder, true, &content, &err);
        lrb_pack_close(pack);
        CHECK(code == LRB_E_DAMAGED || code == LRB_E_UNSUPPORTED || code == LRB_E_FOREIGN);
        CHECK(strncmp(err.target, "packs/", 6) == 0);
    }
    lrb_buf_clear(&content);
    lrb_pack_builder_clear(&b);
}

TEST(a_pack_cut_or_lengthened_anywhere_is_damaged) {
    lrb_pack_builder b;
    lrb_id name;
    CHECK_OK(build_small(&b, &name));
    CHECK_OK(lrb_buf_append(&b.bytes, "x", 1, &err));
    for (size_t length = 0; length <= b.bytes.length; length++) {
        if (length == b.bytes.length - 1) continue;
        uint8_t *exact = malloc(length ? length : 1); /* so that a read over the end is seen */
        memcpy(exact, b.bytes.data, length);
        int code = parse(exact, length);
        free(exact);
        CHECK(code == LRB_E_DAMAGED);
        CHECK_OK(write_file(&name, b.bytes.data, length));
        CHECK_FAILS(open_close(&name, 0), LRB_E_DAMAGED);
    }
    lrb_pack_builder_clear(&b);
}

TEST(a_pack_of_another_repository_is_foreign) {
    lrb_pack_builder b;
    lrb_id name;
    lrb_pack *pack;
    CHECK_OK(build_small(&b, &name));
    CHECK_OK(write_file(&name, b.bytes.data, b.bytes.length));
    CHECK_FAILS(lrb_pack_open(dir, &name, 0, &other_repository, &pack, &err), LRB_E_FOREIGN);
    lrb_pack_builder_clear(&b);
}

TEST(a_newer_version_or_a_seal_is_refused_by_name) {
    lrb_pack_builder b;
    lrb_id name;
    CHECK_OK(build_small(&b, &name));
    b.bytes.data[8] = 2;
    CHECK_FAILS(parse(b.bytes.data, b.bytes.length), LRB_E_UNSUPPORTED);
    CHECK(strstr(err.message, "version 2"));
    b.bytes.data[8] = 1;
    b.bytes.data[10] = 2;
    CHECK_FAILS(parse(b.bytes.data, b.bytes.length), LRB_E_UNSUPPORTED);
    CHECK(strstr(err.message, "algorithm 2"));
    b.bytes.data[10] = LRB_SEAL_AES256_GCM;
    CHECK_FAILS(parse(b.bytes.data, b.bytes.length), LRB_E_DAMAGED);
    CHECK(strstr(err.message, "sealed while its repository is not"));
    lrb_pack_builder_clear(&b);
}

TEST(a_missing_file_or_one_of_another_size_is_named) {
    lrb_pack_builder b;
    lrb_id name, missing = {{0xab}};
    CHECK_OK(build_small(&b, &name));
    CHECK_OK(write_file(&name, b.bytes.data, b.bytes.length));
    CHECK_OK(open_close(&name, b.bytes.length));
    CHECK_FAILS(open_close(&name, b.bytes.length + 1), LRB_E_DAMAGED);
    CHECK(strstr(err.message, "249") && strstr(err.message, "250"));
    CHECK_FAILS(open_close(&missing, 0), LRB_E_NOT_FOUND);
    CHECK(strstr(err.message, "packs/ab00"));
    lrb_pack_builder_clear(&b);
}

/* A pack whose writer lies consistently: the first row is changed and the trailer's digest made to fit. */
static int parse_with_row(size_t at, uint32_t value) {
    lrb_pack_builder b;
    lrb_id name;
    int code = build_small(&b, &name);
    if (code) return code;
    uint8_t *footer = b.bytes.data + b.bytes.length - LRB_PACK_FOOTER_BYTES;
    uint8_t *trailer = footer - 2 * LRB_PACK_ROW_BYTES;
    lrb_put_u32(trailer + at, value);
    code = lrb_sha256(trailer, 2 * LRB_PACK_ROW_BYTES, footer + 16, &err);
    if (!code) code = parse(b.bytes.data, b.bytes.length);
    lrb_pack_builder_clear(&b);
    return code;
}

TEST(rows_that_lie_are_damage) {
    enum { OFFSET = 32, STORED = 36, CONTENT = 40, TAIL = 50 };
    CHECK_OK(parse_with_row(CONTENT, 5));
    CHECK_FAILS(parse_with_row(OFFSET, 65), LRB_E_DAMAGED);
    CHECK_FAILS(parse_with_row(OFFSET, 0), LRB_E_DAMAGED);
    CHECK_FAILS(parse_with_row(OFFSET, UINT32_MAX), LRB_E_DAMAGED);
    CHECK_FAILS(parse_with_row(STORED, 4), LRB_E_DAMAGED);
    CHECK_FAILS(parse_with_row(STORED, 6), LRB_E_DAMAGED);
    CHECK_FAILS(parse_with_row(STORED, UINT32_MAX), LRB_E_DAMAGED);
    CHECK_FAILS(parse_with_row(CONTENT, LRB_CONTENT_MAX_BYTES + 1), LRB_E_DAMAGED);
    CHECK_FAILS(parse_with_row(TAIL, 1), LRB_E_DAMAGED);
}

static int parse_with_footer(size_t at, uint32_t value) {
    lrb_pack_builder b;
    lrb_id name;
    int code = build_small(&b, &name);
    if (code) return code;
    lrb_put_u32(b.bytes.data + b.bytes.length - LRB_PACK_FOOTER_BYTES + at, value);
    code = parse(b.bytes.data, b.bytes.length);
    lrb_pack_builder_clear(&b);
    return code;
}

TEST(footers_that_lie_are_damage) {
    CHECK_OK(parse_with_footer(4, 2));
    CHECK_FAILS(parse_with_footer(4, 0), LRB_E_DAMAGED);
    CHECK_FAILS(parse_with_footer(4, 1), LRB_E_DAMAGED);
    CHECK_FAILS(parse_with_footer(4, UINT32_MAX), LRB_E_DAMAGED);
    CHECK_FAILS(parse_with_footer(0, UINT32_MAX), LRB_E_DAMAGED);
    CHECK_FAILS(parse_with_footer(12, 1), LRB_E_DAMAGED);
}

/* Chunks of later versions do not make their neighbours unreadable. */
TEST(an_unknown_kind_spoils_its_own_chunk_only) {
    lrb_pack_builder b;
    lrb_id name;
    lrb_pack *pack;
    lrb_buf content;
    uint32_t ordinal;
    lrb_stored later = {
        .kind = (lrb_chunk_kind)77, .bytes = (const uint8_t *)"?", .content_length = 1, .stored_length = 1};
    lrb_buf_init(&content, 100);
    CHECK_OK(lrb_pack_builder_init(&b, &repository, &err));
    CHECK_OK(lrb_pack_builder_add(&b, &later, &ordinal, &err));
    CHECK_OK(add(&b, LRB_CHUNK_RAW, "hello", 5));
    CHECK_OK(lrb_pack_builder_finish(&b, digest, &name, &err));
    CHECK_OK(write_file(&name, b.bytes.data, b.bytes.length));
    CHECK_OK(lrb_pack_open(dir, &name, 0, &repository, &pack, &err));
    CHECK_FAILS(lrb_pack_read(pack, 0, coder, true, &content, &err), LRB_E_UNSUPPORTED);
    CHECK_OK(lrb_pack_read(pack, 1, coder, true, &content, &err));
    CHECK(content.length == 5);
    lrb_pack_close(pack);
    lrb_buf_clear(&content);
    lrb_pack_builder_clear(&b);
}

int main(void) {
    if (packs_begin()) return 1;
    RUN(every_flip_outside_salt_and_chunks_is_seen_by_parsing);
    RUN(every_flip_in_a_file_is_seen_by_opening_and_reading);
    RUN(a_pack_cut_or_lengthened_anywhere_is_damaged);
    RUN(a_pack_of_another_repository_is_foreign);
    RUN(a_newer_version_or_a_seal_is_refused_by_name);
    RUN(a_missing_file_or_one_of_another_size_is_named);
    RUN(rows_that_lie_are_damage);
    RUN(footers_that_lie_are_damage);
    RUN(an_unknown_kind_spoils_its_own_chunk_only);
    return packs_end();
}
