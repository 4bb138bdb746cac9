/* Packs: built, parsed in memory, opened from a file; and every way in which a pack can lie. */
#include <fcntl.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/wire.h"
#include "check.h"
#include "repo/pack.h"
#include "sample.h"

static const lrb_vault repository = {.repository_id = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
static const lrb_vault other_repository = {.repository_id = {99}};
static const uint8_t no_salt[LRB_SALT_BYTES];
static lrb_err err;
static lrb_coder *coder;
static lrb_digest *digest;
static int dir;

static int add(lrb_pack_builder *b, lrb_chunk_kind kind, const void *content, size_t count) {
    lrb_stored stored;
    lrb_id id;
    uint32_t ordinal;
    int code = lrb_chunk_id(coder, &repository, kind, 0, content, count, &id, &err);
    if (!code) code = lrb_chunk_encode(coder, &id, kind, 0, content, count, &stored, &err);
    if (!code) code = lrb_pack_builder_add(b, &stored, &ordinal, &err);
    return code || ordinal + 1 == b->count ? code : LRB_E_INTERNAL;
}

/* The golden pack: two chunks, small enough to be stored as they are, so that no compressor has a say in it. */
static int build_small(lrb_pack_builder *b, lrb_id *name) {
    int code = lrb_pack_builder_init(b, &repository, &err);
    if (!code) code = lrb_pack_builder_set_salt(b, no_salt, &err);
    if (!code) code = add(b, LRB_CHUNK_RAW, "hello", 5);
    if (!code) code = add(b, LRB_CHUNK_BODY, "body", 4);
    if (!code) code = lrb_pack_builder_finish(b, digest, name, &err);
    return code;
}

static int parse(const uint8_t *bytes, size_t count) {
    lrb_pack_row *rows = NULL;
    uint32_t row_count;
    int code = lrb_pack_parse(bytes, count, &repository, "packs/test", &rows, &row_count, &err);
    if (!code) lrb_free(rows);
    return code;
}

static int write_file(const lrb_id *name, const uint8_t *bytes, size_t count) {
    char hex[65];
    int fd = -1;
    lrb_hex(name->bytes, sizeof name->bytes, hex);
    int code = lrb_fs_unlink(dir, hex, &err);
    if (!code) code = lrb_fs_create(dir, hex, 0640, &fd, &err);
    if (!code) code = lrb_fs_write(fd, bytes, count, hex, &err);
    lrb_fs_close(fd);
    return code;
}

static int open_close(const lrb_id *name, uint64_t expected_size_bytes) {
    lrb_pack *pack = NULL;
    int code = lrb_pack_open(dir, name, expected_size_bytes, &repository, &pack, &err);
    if (!code) lrb_pack_close(pack);
    return code;
}

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

static int add_samples(lrb_pack_builder *b, unsigned count) {
    uint8_t content[300];
    int code = LRB_OK;
    for (unsigned i = 0; !code && i < count; i++) {
        sample_fill(content, sizeof content, i);
        if (i % 2) memset(content, 'x', 200);
        code = add(b, LRB_CHUNK_RAW, content, i % sizeof content);
    }
    return code;
}

static int compare_samples(const lrb_pack *pack) {
    uint8_t content[300];
    lrb_buf read;
    lrb_buf_init(&read, LRB_CONTENT_MAX_BYTES);
    int code = LRB_OK;
    for (unsigned i = 0; !code && i < pack->count; i++) {
        sample_fill(content, sizeof content, i);
        if (i % 2) memset(content, 'x', 200);
        code = lrb_pack_read(pack, i, coder, true, &read, &err);
        bool same = read.length == i % sizeof content && !(read.length && memcmp(read.data, content, read.length));
        if (!code && !same)
            code = lrb_err_set(&err, LRB_E_INTERNAL, "compare", "", "chunk %u was another", i);
    }
    lrb_buf_clear(&read);
    return code;
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

/* ---- sealed packs ---- */

static lrb_vault sealed;

static int build_sealed(lrb_pack_builder *b, lrb_id *name) {
    int code = lrb_pack_builder_init(b, &sealed, &err);
    if (!code) code = add(b, LRB_CHUNK_RAW, "hello, this is what nobody may read", 35);
    if (!code) code = add(b, LRB_CHUNK_BODY, "", 0);
    if (!code) code = lrb_pack_builder_finish(b, digest, name, &err);
    if (!code) code = write_file(name, b->bytes.data, b->bytes.length);
    return code;
}

static int open_and_read(const lrb_id *name, const lrb_vault *vault, lrb_buf *content) {
    lrb_pack *pack = NULL;
    int code = lrb_pack_open(dir, name, 0, vault, &pack, &err);
    if (!code) code = lrb_pack_read(pack, 1, coder, false, content, &err);
    if (!code) code = lrb_pack_read(pack, 0, coder, false, content, &err);
    lrb_pack_close(pack);
    return code;
}

TEST(a_sealed_pack_opens_with_its_key_alone) {
    lrb_vault other_key, other_graph;
    lrb_key wrong = {{1, 2, 3, 5}};
    lrb_pack_builder b;
    lrb_id name;
    lrb_buf content;
    lrb_buf_init(&content, LRB_CONTENT_MAX_BYTES);
    CHECK_OK(build_sealed(&b, &name));
    CHECK_OK(open_and_read(&name, &sealed, &content));
    CHECK(content.length == 35 && !memcmp(content.data, "hello, this", 11));
    CHECK(!memmem(b.bytes.data, b.bytes.length, "hello", 5));
    for (uint32_t i = 0; i < b.count; i++) CHECK(!memmem(b.bytes.data, b.bytes.length, b.rows[i].id.bytes, 32));
    CHECK_OK(lrb_vault_open(&other_key, sealed.repository_id, "graph", &wrong, &err));
    CHECK_FAILS(open_and_read(&name, &other_key, &content), LRB_E_DAMAGED);
    CHECK_OK(lrb_vault_open(&other_graph, sealed.repository_id, "other", &sealed.master, &err));
    CHECK_FAILS(open_and_read(&name, &other_graph, &content), LRB_E_DAMAGED);
    CHECK_FAILS(open_and_read(&name, &repository, &content), LRB_E_DAMAGED);
    lrb_buf_clear(&content);
    lrb_pack_builder_clear(&b);
}

TEST(an_unsealed_pack_is_none_of_a_sealed_repository) {
    lrb_pack_builder b;
    lrb_id name;
    lrb_vault open = sealed;
    open.sealed = false;
    CHECK_OK(lrb_pack_builder_init(&b, &open, &err));
    CHECK_OK(add(&b, LRB_CHUNK_RAW, "hello", 5));
    CHECK_OK(lrb_pack_builder_finish(&b, digest, &name, &err));
    lrb_pack_row *rows;
    uint32_t count;
    CHECK_FAILS(lrb_pack_parse(b.bytes.data, b.bytes.length, &sealed, "packs/test", &rows, &count, &err), LRB_E_DAMAGED);
    lrb_pack_builder_clear(&b);
}

TEST(every_flip_in_a_sealed_pack_is_seen) {
    lrb_pack_builder b;
    lrb_id name;
    lrb_buf content;
    lrb_buf_init(&content, LRB_CONTENT_MAX_BYTES);
    CHECK_OK(build_sealed(&b, &name));
    for (size_t i = 0; i < b.bytes.length; i++) {
        b.bytes.data[i] ^= 0x01;
        CHECK_OK(write_file(&name, b.bytes.data, b.bytes.length));
        b.bytes.data[i] ^= 0x01;
        int code = open_and_read(&name, &sealed, &content);
        CHECK(code == LRB_E_DAMAGED || code == LRB_E_UNSUPPORTED || code == LRB_E_FOREIGN);
    }
    lrb_buf_clear(&content);
    lrb_pack_builder_clear(&b);
}

/* Equal chunks of one pack are different bytes, and so is the same pack made again. */
TEST(nothing_is_sealed_twice_the_same) {
    lrb_pack_builder b;
    lrb_id first, second;
    enum { CHUNK = 21 };
    uint8_t before[CHUNK];
    CHECK_OK(lrb_pack_builder_init(&b, &sealed, &err));
    CHECK_OK(add(&b, LRB_CHUNK_RAW, "hello", 5));
    CHECK_OK(add(&b, LRB_CHUNK_RAW, "hello", 5));
    CHECK(b.rows[1].offset - b.rows[0].offset == CHUNK);
    CHECK(memcmp(b.bytes.data + b.rows[0].offset, b.bytes.data + b.rows[1].offset, CHUNK) != 0);
    memcpy(before, b.bytes.data + b.rows[0].offset, CHUNK);
    CHECK_OK(lrb_pack_builder_finish(&b, digest, &first, &err));
    CHECK_OK(lrb_pack_builder_reset(&b, &err));
    CHECK_OK(add(&b, LRB_CHUNK_RAW, "hello", 5));
    CHECK(memcmp(before, b.bytes.data + b.rows[0].offset, CHUNK) != 0);
    CHECK_OK(add(&b, LRB_CHUNK_RAW, "hello", 5));
    CHECK_OK(lrb_pack_builder_finish(&b, digest, &second, &err));
    CHECK(lrb_id_compare(&first, &second) != 0);
    lrb_pack_builder_clear(&b);
}

TEST(a_full_sealed_pack_still_fits) {
    static uint8_t content[LRB_CONTENT_MAX_BYTES];
    lrb_pack_builder b;
    lrb_id name;
    lrb_pack_row *rows;
    uint32_t count;
    sample_fill(content, sizeof content, 1);
    CHECK_OK(lrb_pack_builder_init(&b, &sealed, &err));
    for (int i = 0; i < 3; i++) CHECK_OK(add(&b, LRB_CHUNK_RAW, content, sizeof content));
    CHECK_OK(lrb_pack_builder_finish(&b, digest, &name, &err));
    CHECK_OK(lrb_pack_parse(b.bytes.data, b.bytes.length, &sealed, "packs/test", &rows, &count, &err));
    CHECK(count == 3 && rows[2].stored_length == LRB_CONTENT_MAX_BYTES + LRB_TAG_BYTES);
    lrb_free(rows);
    lrb_pack_builder_clear(&b);
}

/* ---- memory ---- */

TEST(memory_running_out_while_sealing_is_survived) {
    int code = LRB_E_NOMEM;
    for (int n = 0; code; n++) {
        lrb_pack_builder b;
        lrb_id name;
        lrb_buf content;
        lrb_buf_init(&content, 100);
        lrb_mem_fail_after(n, false);
        code = build_sealed(&b, &name);
        if (!code) code = open_and_read(&name, &sealed, &content);
        lrb_mem_fail_after(-1, false);
        lrb_buf_clear(&content);
        lrb_pack_builder_clear(&b);
        CHECK(!code || code == LRB_E_NOMEM);
    }
}

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

static void run_all(void) {
    RUN(a_pack_has_the_bytes_of_the_format);
    RUN(a_parsed_pack_has_the_rows_it_was_built_from);
    RUN(chunks_come_back_from_a_file);
    RUN(a_reset_builder_makes_the_same_pack);
    RUN(a_salt_gives_the_same_chunks_another_name);
    RUN(a_pack_without_chunks_is_not_made);
    RUN(a_full_pack_still_fits_and_then_no_more);
    RUN(rows_have_a_ceiling_of_their_own);
    RUN(every_flip_outside_salt_and_chunks_is_seen_by_parsing);
    RUN(every_flip_in_a_file_is_seen_by_opening_and_reading);
    RUN(a_pack_cut_or_lengthened_anywhere_is_damaged);
    RUN(a_pack_of_another_repository_is_foreign);
    RUN(a_newer_version_or_a_seal_is_refused_by_name);
    RUN(a_missing_file_or_one_of_another_size_is_named);
    RUN(rows_that_lie_are_damage);
    RUN(footers_that_lie_are_damage);
    RUN(an_unknown_kind_spoils_its_own_chunk_only);
    RUN(a_sealed_pack_opens_with_its_key_alone);
    RUN(an_unsealed_pack_is_none_of_a_sealed_repository);
    RUN(every_flip_in_a_sealed_pack_is_seen);
    RUN(nothing_is_sealed_twice_the_same);
    RUN(a_full_sealed_pack_still_fits);
    RUN(memory_running_out_while_sealing_is_survived);
    RUN(memory_running_out_is_survived);
    RUN(finishing_asks_for_no_memory);
}

int main(void) {
    char path[] = "/tmp/lrb_test_pack.XXXXXX";
    if (!mkdtemp(path) || lrb_fs_open_dir(AT_FDCWD, path, &dir, &err)) return 1;
    if (lrb_coder_new(&coder, &err) || lrb_digest_new(&digest, &err)) return 1;
    if (lrb_vault_open(&sealed, repository.repository_id, "graph", &(lrb_key){{1, 2, 3}}, &err)) return 1;
    run_all();
    lrb_digest_free(digest);
    lrb_coder_free(coder);
    lrb_fs_close(dir);
    if (lrb_fs_remove_tree(AT_FDCWD, path, &err)) return 1;
    return check_report();
}
