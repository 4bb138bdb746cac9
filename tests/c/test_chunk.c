/* Chunks: ids that tell meanings apart, forms that read back, and stored bytes that lie. */
#include "base/mem.h"
#include "check.h"
#include "repo/chunk.h"
#include "sample.h"

static lrb_err err;
static lrb_coder *coder;
static uint8_t content[LRB_CONTENT_MAX_BYTES], decoded[LRB_CONTENT_MAX_BYTES];

static void fill_text(size_t count) {
    static const char line[] = "{\"id\": \"chunk-0001\", \"content\": \"a graph of words\"}\n";
    for (size_t i = 0; i < count; i++) content[i] = (uint8_t)line[i % (sizeof line - 1)];
}

static int encode(lrb_chunk_kind kind, size_t count, lrb_stored *stored) {
    lrb_id id;
    int code = lrb_chunk_id(coder, NULL, kind, 0, content, count, &id, &err);
    if (!code) code = lrb_chunk_encode(coder, &id, kind, 0, content, count, stored, &err);
    return code;
}

static int round_trip(size_t count, lrb_chunk_codec *codec) {
    lrb_stored stored;
    int code = encode(LRB_CHUNK_RAW, count, &stored);
    if (code) return code;
    *codec = stored.codec;
    memset(decoded, 0xee, sizeof decoded);
    code = lrb_chunk_decode(coder, NULL, &stored, true, decoded, "packs/test", &err);
    if (!code && memcmp(decoded, content, count) != 0) code = LRB_E_INTERNAL;
    return code;
}

TEST(text_is_compressed_and_comes_back) {
    static const size_t sizes[] = {200, 4096, 65536, LRB_CONTENT_MAX_BYTES};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        lrb_chunk_codec codec;
        fill_text(sizes[i]);
        CHECK_OK(round_trip(sizes[i], &codec));
        CHECK(codec == LRB_CODEC_ZSTD);
    }
}

TEST(what_does_not_compress_is_stored_as_it_is) {
    static const size_t sizes[] = {0, 1, 100, 65536, LRB_CONTENT_MAX_BYTES};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        lrb_chunk_codec codec;
        sample_fill(content, sizes[i], 7);
        CHECK_OK(round_trip(sizes[i], &codec));
        CHECK(codec == LRB_CODEC_STORED);
    }
}

/* Golden: ids of stored chunks. Another framing would lose all deduplication against them and make them damaged. */
TEST(an_id_is_the_digest_of_the_framed_content) {
    lrb_id id;
    char hex[65];
    CHECK_OK(lrb_chunk_id(coder, NULL, LRB_CHUNK_RAW, 0, "hello", 5, &id, &err));
    lrb_hex(id.bytes, sizeof id.bytes, hex);
    CHECK(strcmp(hex, "c019345f2b0002409d4193d19e3f7511d3a68085848195433f1e66db65b58d86") == 0);
    CHECK_OK(lrb_chunk_id(coder, NULL, LRB_CHUNK_VECTORS, 384, "hello", 5, &id, &err));
    lrb_hex(id.bytes, sizeof id.bytes, hex);
    CHECK(strcmp(hex, "b3a33ce96294d9ed3bb37d7ce65e476dd5ef02630dd8edc55c39472ff9403918") == 0);
}

TEST(meanings_and_lengths_have_ids_of_their_own) {
    lrb_id raw, recipe, with_dim, longer;
    CHECK_OK(lrb_chunk_id(coder, NULL, LRB_CHUNK_RAW, 0, "\0\0", 1, &raw, &err));
    CHECK_OK(lrb_chunk_id(coder, NULL, LRB_CHUNK_RECIPE, 0, "\0\0", 1, &recipe, &err));
    CHECK_OK(lrb_chunk_id(coder, NULL, LRB_CHUNK_RAW, 8, "\0\0", 1, &with_dim, &err));
    CHECK_OK(lrb_chunk_id(coder, NULL, LRB_CHUNK_RAW, 0, "\0\0", 2, &longer, &err));
    CHECK(lrb_id_compare(&raw, &recipe) && lrb_id_compare(&raw, &with_dim) && lrb_id_compare(&raw, &longer));
}

TEST(what_no_reader_could_read_is_not_written) {
    lrb_stored stored;
    lrb_id id = {{1}};
    CHECK_FAILS(lrb_chunk_encode(coder, &id, LRB_CHUNK_NONE, 0, "x", 1, &stored, &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_chunk_encode(coder, &id, LRB_CHUNK_VECTORS, 0, "x", 1, &stored, &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_chunk_encode(coder, &id, LRB_CHUNK_RAW, 4, "x", 1, &stored, &err), LRB_E_INVALID);
    size_t too_long = sizeof content + 1;
    CHECK_FAILS(lrb_chunk_encode(coder, &id, LRB_CHUNK_RAW, 0, content, too_long, &stored, &err), LRB_E_LIMIT);
}

static int decode(const lrb_stored *stored) {
    return lrb_chunk_decode(coder, NULL, stored, true, decoded, "packs/test", &err);
}

TEST(unknown_kinds_and_codecs_are_refused_by_name) {
    lrb_stored good, bad;
    CHECK_OK(encode(LRB_CHUNK_RAW, 100, &good));
    bad = good;
    bad.kind = LRB_CHUNK_RECORDS;
    CHECK_FAILS(decode(&bad), LRB_E_UNSUPPORTED);
    CHECK(strstr(err.message, "records (5)") && strcmp(err.target, "packs/test") == 0);
    bad.kind = (lrb_chunk_kind)99;
    CHECK_FAILS(decode(&bad), LRB_E_UNSUPPORTED);
    CHECK(strstr(err.message, "unknown (99)"));
    bad = good;
    bad.codec = (lrb_chunk_codec)3;
    CHECK_FAILS(decode(&bad), LRB_E_UNSUPPORTED);
    CHECK(strstr(err.message, "unknown (3)"));
}

/* Rows of zeros, whose streams are no zlib streams: stored as they are, and smaller all the same. */
TEST(vectors_have_a_codec_of_their_own) {
    lrb_stored good, bad;
    lrb_id id;
    const uint32_t dim = 500, rows = 3, count = 4 + 4 * rows + 4 * rows * dim + rows;
    memset(content, 0, count);
    content[0] = (uint8_t)rows;
    for (uint32_t i = 0; i < rows; i++) content[4 + 4 * i] = 1;
    CHECK_OK(lrb_chunk_id(coder, NULL, LRB_CHUNK_VECTORS, dim, content, count, &id, &err));
    CHECK_OK(lrb_chunk_encode(coder, &id, LRB_CHUNK_VECTORS, dim, content, count, &good, &err));
    CHECK_OK(decode(&good));
    CHECK(!memcmp(decoded, content, count) && good.stored_length < count);
    bad = good;
    bad.dim = 0;
    CHECK_FAILS(decode(&bad), LRB_E_DAMAGED);
    bad = good;
    bad.kind = LRB_CHUNK_RAW;
    bad.dim = 0;
    bad.codec = LRB_CODEC_VECTOR;
    CHECK_FAILS(decode(&bad), LRB_E_DAMAGED);
}

/* Vectors of two dims among others: each comes to its place, and what is wrong with any is told. */
TEST(many_are_decoded_as_each) {
    enum { COUNT = 7, ROOM = 8000 };
    static uint8_t contents[COUNT][ROOM], forms[COUNT][ROOM];
    lrb_stored many[COUNT];
    uint8_t *outs[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t dim = i == 3 ? 0 : i < 5 ? 500 : 400, rows = 3, count = 4 + 4 * rows + 4 * rows * dim + rows;
        lrb_chunk_kind kind = dim ? LRB_CHUNK_VECTORS : LRB_CHUNK_RAW;
        contents[i][0] = (uint8_t)rows;
        for (uint32_t k = 0; k < rows; k++) contents[i][4 + 4 * k] = 1;
        contents[i][count - 1] = (uint8_t)i;
        CHECK_OK(lrb_chunk_id(coder, NULL, kind, dim, contents[i], count, &many[i].id, &err));
        lrb_id id = many[i].id;
        CHECK_OK(lrb_chunk_encode(coder, &id, kind, dim, contents[i], count, &many[i], &err));
        memcpy(forms[i], many[i].bytes, many[i].stored_length);
        many[i].bytes = forms[i];
        outs[i] = decoded + ROOM * i;
    }
    CHECK_OK(lrb_chunk_decode_many(coder, many, outs, COUNT, "packs/test", &err));
    for (size_t i = 0; i < COUNT; i++) CHECK(!memcmp(outs[i], contents[i], many[i].content_length));
    for (size_t i = 0; i < COUNT; i++) {
        many[i].stored_length--;
        CHECK_FAILS(lrb_chunk_decode_many(coder, many, outs, COUNT, "packs/test", &err), LRB_E_DAMAGED);
        many[i].stored_length++;
        lrb_chunk_kind kind = many[i].kind;
        many[i].kind = LRB_CHUNK_RECORDS;
        CHECK_FAILS(lrb_chunk_decode_many(coder, many, outs, COUNT, "packs/test", &err), LRB_E_UNSUPPORTED);
        many[i].kind = kind;
    }
}

TEST(ids_of_many_are_those_of_each) {
    lrb_content contents[LRB_CHUNK_IDS_MAX];
    lrb_id ids[LRB_CHUNK_IDS_MAX], one;
    sample_fill(content, 100000, 5);
    for (size_t i = 0; i < LRB_CHUNK_IDS_MAX; i++) contents[i] = (lrb_content){i % 5 ? LRB_CHUNK_VECTORS : LRB_CHUNK_RAW, i % 5 ? 9 : 0, content + 7 * i, 1000 * i + i % 3};
    CHECK_OK(lrb_chunk_ids(coder, NULL, contents, LRB_CHUNK_IDS_MAX, ids, &err));
    for (size_t i = 0; i < LRB_CHUNK_IDS_MAX; i++) {
        CHECK_OK(lrb_chunk_id(coder, NULL, contents[i].kind, contents[i].dim, contents[i].bytes, contents[i].count, &one, &err));
        CHECK(!lrb_id_compare(&one, &ids[i]));
    }
}

TEST(lengths_that_do_not_fit_are_damage) {
    lrb_stored good, bad;
    sample_fill(content, 100, 1);
    CHECK_OK(encode(LRB_CHUNK_RAW, 100, &good));
    bad = good;
    bad.content_length = 99;
    CHECK_FAILS(decode(&bad), LRB_E_DAMAGED);
    bad.content_length = LRB_CONTENT_MAX_BYTES + 1;
    CHECK_FAILS(decode(&bad), LRB_E_DAMAGED);
    bad = good;
    bad.dim = 1;
    CHECK_FAILS(decode(&bad), LRB_E_DAMAGED);
    fill_text(1000);
    CHECK_OK(encode(LRB_CHUNK_RAW, 1000, &good));
    bad = good;
    bad.content_length = 999;
    CHECK_FAILS(decode(&bad), LRB_E_DAMAGED);
    bad = good;
    bad.stored_length--;
    CHECK_FAILS(decode(&bad), LRB_E_DAMAGED);
}

/* A flip in a compressed form either breaks it or gives other content; one that changes nothing (an unused bit) may
 * pass. */
static void flip_every_bit(size_t count) {
    lrb_stored good;
    static uint8_t bytes[1000];
    CHECK_OK(encode(LRB_CHUNK_RAW, count, &good));
    CHECK(good.stored_length <= sizeof bytes);
    memcpy(bytes, good.bytes, good.stored_length);
    good.bytes = bytes;
    for (size_t bit = 0; bit < 8 * (size_t)good.stored_length; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        int code = decode(&good);
        CHECK(code == LRB_E_DAMAGED || (!code && memcmp(decoded, content, count) == 0));
        CHECK(!code || strstr(err.message, "chunk "));
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

TEST(flipped_bits_never_come_back_as_content) {
    sample_fill(content, 200, 3);
    flip_every_bit(200);
    fill_text(1000);
    flip_every_bit(1000);
}

TEST(every_flip_of_an_uncompressed_chunk_is_seen) {
    lrb_stored stored;
    uint8_t bytes[50];
    sample_fill(content, sizeof bytes, 3);
    CHECK_OK(encode(LRB_CHUNK_RAW, sizeof bytes, &stored));
    memcpy(bytes, stored.bytes, sizeof bytes);
    stored.bytes = bytes;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] ^= 1;
        CHECK_FAILS(decode(&stored), LRB_E_DAMAGED);
        bytes[i] ^= 1;
    }
    CHECK_OK(decode(&stored));
}

TEST(without_check_the_id_is_not_looked_at) {
    lrb_stored stored;
    sample_fill(content, 50, 3);
    CHECK_OK(encode(LRB_CHUNK_RAW, 50, &stored));
    stored.id.bytes[0] ^= 1;
    CHECK_OK(lrb_chunk_decode(coder, NULL, &stored, false, decoded, "packs/test", &err));
    CHECK_FAILS(decode(&stored), LRB_E_DAMAGED);
}

static int work_from_nothing(void) {
    lrb_coder *own = NULL, *shared = coder;
    lrb_chunk_codec codec;
    int code = lrb_coder_new(&own, &err);
    if (code) return code;
    coder = own;
    code = round_trip(5000, &codec);
    coder = shared;
    lrb_coder_free(own);
    return code;
}

TEST(memory_running_out_is_survived) {
    int code = LRB_E_NOMEM;
    fill_text(5000);
    for (int n = 0; code; n++) {
        lrb_mem_fail_after(n, false);
        code = work_from_nothing();
        lrb_mem_fail_after(-1, false);
        CHECK(!code || code == LRB_E_NOMEM);
    }
}

int main(void) {
    if (lrb_coder_new(&coder, &err)) return 1;
    RUN(text_is_compressed_and_comes_back);
    RUN(what_does_not_compress_is_stored_as_it_is);
    RUN(an_id_is_the_digest_of_the_framed_content);
    RUN(meanings_and_lengths_have_ids_of_their_own);
    RUN(what_no_reader_could_read_is_not_written);
    RUN(unknown_kinds_and_codecs_are_refused_by_name);
    RUN(vectors_have_a_codec_of_their_own);
    RUN(many_are_decoded_as_each);
    RUN(ids_of_many_are_those_of_each);
    RUN(lengths_that_do_not_fit_are_damage);
    RUN(flipped_bits_never_come_back_as_content);
    RUN(every_flip_of_an_uncompressed_chunk_is_seen);
    RUN(without_check_the_id_is_not_looked_at);
    RUN(memory_running_out_is_survived);
    lrb_coder_free(coder);
    return check_report();
}
