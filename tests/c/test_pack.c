/* Packs: the bytes of the format, reading them back, ceilings, and memory that runs out. */
#include "packs.h"

/* ---- good packs ---- */

/* Golden: computed from pack.h's text by another program. Repositories are full of such bytes: a version that made or
 * read others could not read them. */
TEST(a_pack_has_the_bytes_of_the_format) {
    lrb_pack_builder b;
    lrb_id name;
    char hex[65];
    CHECK_OK(build_small(&b, &name));
    lrb_hex(name.bytes, sizeof name.bytes, hex);
    CHECK(b.bytes.length == 249);
    CHECK(strcmp(hex, "d34d3c7792d8876c46c7730e38017cef57675bbbca0a1365c75ec2cd2b5aa3c4") == 0);
    lrb_pack_builder_clear(&b);
}

TEST(a_parsed_pack_has_the_rows_it_was_built_from) {
    lrb_pack_builder b;
    lrb_id name;
    lrb_pack_row *rows;
    uint32_t count;
    CHECK_OK(build_small(&b, &name));
    CHECK_OK(lrb_pack_parse(b.bytes.data, b.bytes.length, &repository, "packs/test", &rows, &count, &err));
    CHECK(count == 2 && rows[0].kind == LRB_CHUNK_RAW && rows[1].kind == LRB_CHUNK_BODY);
    CHECK(rows[0].offset == 64 && rows[0].stored_length == 5 && rows[1].offset == 69 && rows[1].content_length == 4);
    CHECK(memcmp(b.bytes.data + rows[0].offset, "hello", 5) == 0);
    CHECK(lrb_id_compare(&rows[0].id, &b.rows[0].id) == 0);
    lrb_free(rows);
    lrb_pack_builder_clear(&b);
}

TEST(chunks_come_back_from_a_file) {
    lrb_pack_builder b;
    lrb_pack *pack;
    lrb_id name;
    CHECK_OK(lrb_pack_builder_init(&b, &repository, &err));
    CHECK_OK(add_samples(&b, 1000));
    CHECK_OK(lrb_pack_builder_finish(&b, digest, &name, &err));
    CHECK_OK(write_file(&name, b.bytes.data, b.bytes.length));
    CHECK_OK(lrb_pack_open(dir, &name, b.bytes.length, &repository, &pack, &err));
    CHECK(pack->count == 1000 && pack->size_bytes == b.bytes.length && strncmp(pack->label, "packs/", 6) == 0);
    CHECK_OK(compare_samples(pack));
    lrb_buf none;
    lrb_buf_init(&none, 10);
    CHECK_FAILS(lrb_pack_read(pack, 1000, coder, true, &none, &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_pack_read(pack, 100, coder, true, &none, &err), LRB_E_LIMIT);
    CHECK_FAILS(lrb_pack_read_many(pack, (uint32_t[]){1, 1000}, 2, coder, &none, &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_pack_read_many(pack, (uint32_t[]){5, 6}, 2, coder, &none, &err), LRB_E_LIMIT);
    CHECK(!none.length);
    lrb_buf_clear(&none);
    lrb_pack_close(pack);
    lrb_pack_builder_clear(&b);
}

TEST(a_reset_builder_makes_the_same_pack) {
    lrb_pack_builder b;
    lrb_id first, second;
    CHECK_OK(build_small(&b, &first));
    CHECK_OK(lrb_pack_builder_reset(&b, &err));
    CHECK_OK(lrb_pack_builder_set_salt(&b, no_salt, &err));
    CHECK_OK(add(&b, LRB_CHUNK_RAW, "hello", 5));
    CHECK_OK(add(&b, LRB_CHUNK_BODY, "body", 4));
    CHECK_OK(lrb_pack_builder_finish(&b, digest, &second, &err));
    CHECK(lrb_id_compare(&first, &second) == 0);
    lrb_pack_builder_clear(&b);
}

TEST(a_salt_gives_the_same_chunks_another_name) {
    static const uint8_t salt[LRB_SALT_BYTES] = {1, [31] = 2};
    lrb_pack_builder b;
    lrb_id plain, salted;
    CHECK_OK(build_small(&b, &plain));
    CHECK_OK(lrb_pack_builder_reset(&b, &err));
    CHECK_OK(lrb_pack_builder_set_salt(&b, salt, &err));
    CHECK_OK(add(&b, LRB_CHUNK_RAW, "hello", 5));
    CHECK_OK(add(&b, LRB_CHUNK_BODY, "body", 4));
    CHECK_OK(lrb_pack_builder_finish(&b, digest, &salted, &err));
    CHECK_FAILS(lrb_pack_builder_set_salt(&b, salt, &err), LRB_E_INTERNAL);
    CHECK(lrb_id_compare(&plain, &salted) != 0);
    CHECK(memcmp(b.bytes.data + 32, salt, sizeof salt) == 0);
    CHECK_OK(parse(b.bytes.data, b.bytes.length));
    lrb_pack_builder_clear(&b);
}

TEST(a_pack_without_chunks_is_not_made) {
    lrb_pack_builder b;
    lrb_id name;
    CHECK_OK(lrb_pack_builder_init(&b, &repository, &err));
    CHECK_FAILS(lrb_pack_builder_finish(&b, digest, &name, &err), LRB_E_INVALID);
    lrb_pack_builder_clear(&b);
}

/* ---- ceilings ---- */

TEST(a_full_pack_still_fits_and_then_no_more) {
    static uint8_t content[LRB_CONTENT_MAX_BYTES];
    lrb_pack_builder b;
    lrb_id name;
    sample_fill(content, sizeof content, 1);
    CHECK_OK(lrb_pack_builder_init(&b, &repository, &err));
    for (int i = 0; i < 3; i++) {
        CHECK(lrb_pack_builder_full(&b) == (i == 2));
        CHECK_OK(add(&b, LRB_CHUNK_RAW, content, sizeof content));
    }
    CHECK_FAILS(add(&b, LRB_CHUNK_RAW, content, sizeof content), LRB_E_LIMIT);
    CHECK(b.count == 3);
    CHECK_OK(lrb_pack_builder_finish(&b, digest, &name, &err));
    CHECK(b.bytes.length <= LRB_PACK_MAX_BYTES);
    CHECK_OK(parse(b.bytes.data, b.bytes.length));
    lrb_pack_builder_clear(&b);
}

TEST(rows_have_a_ceiling_of_their_own) {
    lrb_pack_builder b;
    lrb_id name;
    lrb_stored stored = {.kind = LRB_CHUNK_RAW, .bytes = (const uint8_t *)"x", .content_length = 1, .stored_length = 1};
    uint32_t ordinal;
    CHECK_OK(lrb_pack_builder_init(&b, &repository, &err));
    while (!lrb_pack_builder_full(&b)) CHECK_OK(lrb_pack_builder_add(&b, &stored, &ordinal, &err));
    CHECK(b.count == LRB_PACK_MAX_CHUNKS && ordinal == LRB_PACK_MAX_CHUNKS - 1);
    CHECK_FAILS(lrb_pack_builder_add(&b, &stored, &ordinal, &err), LRB_E_LIMIT);
    CHECK_OK(lrb_pack_builder_finish(&b, digest, &name, &err));
    CHECK_OK(parse(b.bytes.data, b.bytes.length));
    lrb_pack_builder_clear(&b);
}

/* ---- memory ---- */

static int build_write_and_read(void) {
    lrb_pack_builder b;
    lrb_pack *pack = NULL;
    lrb_buf content;
    lrb_id name;
    lrb_buf_init(&content, 100);
    int code = build_small(&b, &name);
    if (!code) code = parse(b.bytes.data, b.bytes.length);
    if (!code) code = write_file(&name, b.bytes.data, b.bytes.length);
    if (!code) code = lrb_pack_open(dir, &name, 0, &repository, &pack, &err);
    if (!code) code = lrb_pack_read(pack, 0, coder, true, &content, &err);
    lrb_buf_clear(&content);
    if (!code) code = lrb_pack_read_many(pack, (uint32_t[]){1, 0}, 2, coder, &content, &err);
    lrb_pack_close(pack);
    lrb_buf_clear(&content);
    lrb_pack_builder_clear(&b);
    return code;
}

TEST(memory_running_out_is_survived) {
    int code = LRB_E_NOMEM;
    for (int n = 0; code; n++) {
        lrb_mem_fail_after(n, false);
        code = build_write_and_read();
        lrb_mem_fail_after(-1, false);
        CHECK(!code || code == LRB_E_NOMEM);
    }
}

/* A pack's memory is all there from its start: what was added is not lost for want of some for the trailer. */
TEST(finishing_asks_for_no_memory) {
    lrb_pack_builder b;
    lrb_id name, again;
    CHECK_OK(build_small(&b, &name));
    CHECK_OK(lrb_pack_builder_reset(&b, &err));
    CHECK_OK(lrb_pack_builder_set_salt(&b, no_salt, &err));
    CHECK_OK(add(&b, LRB_CHUNK_RAW, "hello", 5));
    CHECK_OK(add(&b, LRB_CHUNK_BODY, "body", 4));
    lrb_mem_fail_after(0, true);
    int code = lrb_pack_builder_finish(&b, digest, &again, &err);
    lrb_mem_fail_after(-1, false);
    CHECK_OK(code);
    CHECK(lrb_id_compare(&name, &again) == 0);
    lrb_pack_builder_clear(&b);
}

int main(void) {
    if (packs_begin()) return 1;
    RUN(a_pack_has_the_bytes_of_the_format);
    RUN(a_parsed_pack_has_the_rows_it_was_built_from);
    RUN(chunks_come_back_from_a_file);
    RUN(a_reset_builder_makes_the_same_pack);
    RUN(a_salt_gives_the_same_chunks_another_name);
    RUN(a_pack_without_chunks_is_not_made);
    RUN(a_full_pack_still_fits_and_then_no_more);
    RUN(rows_have_a_ceiling_of_their_own);
    RUN(memory_running_out_is_survived);
    RUN(finishing_asks_for_no_memory);
    return packs_end();
}
