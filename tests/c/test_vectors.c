#include "codec/vectors.h"

#include <stdlib.h>

#include "base/mem.h"
#include "check.h"
#include "codec/cpu.h"
#include "codec/digest.h"
#include "rows.h"

enum { MOST_DIM = 1100, ROOM = 1 << 20 };

static lrb_vector_coder *coder;
static uint8_t content[ROOM], stored[ROOM], back[ROOM], halves[2 * MOST_DIM], scratch[4 * MOST_DIM];

/* Rows as in a file; returns the content's length. */
static size_t make_content(uint32_t dim, uint32_t rows, float length, uint64_t seed) {
    lrb_err err;
    lrb_vectors_shape shape;
    size_t stream_bytes = 2 * (size_t)dim + 11;
    if (lrb_vectors_shape_of(dim, rows, rows * stream_bytes, &shape, &err)) return 0;
    lrb_put_u32(content, rows);
    for (uint32_t i = 0; i < rows; i++) {
        lrb_canonical_path path;
        uint8_t *row = content + shape.values + 4 * (size_t)dim * i, made[4 * MOST_DIM];
        row_make(&seed, dim, length, halves, made);
        lrb_row_canonical(made, dim, row, scratch, &path);
        lrb_put_u32(content + shape.lengths + 4 * i, (uint32_t)stream_bytes);
        row_stream(halves, 2 * (size_t)dim, content + shape.streams + i * stream_bytes);
    }
    return shape.total;
}

/* Through memory of exact sizes, so that the sanitizer sees what goes beyond. */
static bool comes_back(size_t count, uint32_t dim, size_t *written) {
    lrb_err err;
    if (lrb_vectors_encode(coder, content, count, dim, stored, sizeof stored, written, &err) || !*written) return false;
    uint8_t *exact = lrb_alloc(*written), *out = lrb_alloc(count);
    bool same = exact && out;
    if (same) memcpy(exact, stored, *written);
    same = same && !lrb_vectors_decode(coder, exact, *written, dim, out, count, &err) && !memcmp(out, content, count);
    lrb_free(exact);
    lrb_free(out);
    return same;
}

TEST(contents_of_many_shapes_come_back) {
    static const uint32_t dims[] = {1, 2, 3, 7, 8, 63, 64, 65, 100, 384, 1000, 1024};
    size_t written;
    for (size_t d = 3; d < sizeof dims / sizeof *dims; d++) {
        for (uint32_t rows = 1; rows < 10; rows += 4) {
            size_t count = make_content(dims[d], rows, 1, d + rows);
            CHECK(comes_back(count, dims[d], &written) && written < count);
        }
    }
}

/* 16 bits of float16 and about 13 of what it rounded off. */
TEST(unit_vectors_take_little_more_than_their_entropy) {
    size_t written, count = make_content(1024, 8, 1, 5);
    CHECK(comes_back(count, 1024, &written));
    CHECK(written <= 8 * 1024 * (16 + 14) / 8 + 8 * 80);
}

TEST(content_that_is_none_or_does_not_pay_is_not_encoded) {
    lrb_err err;
    size_t written = 1, count = make_content(64, 2, 1, 6);
    CHECK_OK(lrb_vectors_encode(coder, content, count - 1, 64, stored, sizeof stored, &written, &err));
    CHECK(written == 0);
    CHECK_OK(lrb_vectors_encode(coder, content, count, 63, stored, sizeof stored, &written, &err));
    CHECK(written == 0);
    CHECK_OK(lrb_vectors_encode(coder, content, count, 64, stored, 100, &written, &err));
    CHECK(written == 0);
    sample_fill(content + 12, 2 * 4 * 64, 7);
    for (size_t i = 0; i < 2; i++) content[12 + 2 * 4 * 64 + 139 * i + 1] = 0x01; /* no stored block of zlib's usual level */
    CHECK_OK(lrb_vectors_encode(coder, content, count, 64, stored, sizeof stored, &written, &err));
    CHECK(written == 0);
}

TEST(impossible_shapes_are_refused) {
    lrb_err err;
    lrb_vectors_shape shape;
    lrb_vectors v;
    CHECK_FAILS(lrb_vectors_shape_of(0, 1, 0, &shape, &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_vectors_shape_of(LRB_VECTORS_MAX_DIM + 1, 1, 0, &shape, &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_vectors_shape_of(1, 0, 0, &shape, &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_vectors_shape_of(65535, 17, 0, &shape, &err), LRB_E_LIMIT);
    CHECK_FAILS(lrb_vectors_shape_of(65535, 2, SIZE_MAX, &shape, &err), LRB_E_LIMIT);
    size_t count = make_content(8, 3, 1, 8);
    CHECK_OK(lrb_vectors_open(content, count, 8, &v, &err));
    for (size_t length = 0; length < count; length++)
        CHECK_FAILS(lrb_vectors_open(content, length, 8, &v, &err), LRB_E_DAMAGED);
    CHECK_FAILS(lrb_vectors_open(content, count + 1, 8, &v, &err), LRB_E_DAMAGED);
    lrb_put_u32(content + 4, 0xFFFFFFFF);
    CHECK_FAILS(lrb_vectors_open(content, count, 8, &v, &err), LRB_E_DAMAGED);
}

TEST(every_truncation_and_other_length_is_damage) {
    lrb_err err;
    size_t written, count = make_content(64, 3, 1, 9);
    CHECK(comes_back(count, 64, &written));
    for (size_t length = 0; length < written; length++) {
        uint8_t *cut = lrb_alloc(length);
        CHECK(cut);
        memcpy(cut, stored, length);
        CHECK_FAILS(lrb_vectors_decode(coder, cut, length, 64, back, count, &err), LRB_E_DAMAGED);
        lrb_free(cut);
    }
    CHECK_FAILS(lrb_vectors_decode(coder, stored, written + 1, 64, back, count, &err), LRB_E_DAMAGED);
    CHECK_FAILS(lrb_vectors_decode(coder, stored, written, 64, back, count - 1, &err), LRB_E_DAMAGED);
    CHECK_FAILS(lrb_vectors_decode(coder, stored, written, 64, back, count + 1, &err), LRB_E_DAMAGED);
    CHECK_FAILS(lrb_vectors_decode(coder, stored, written, 0, back, count, &err), LRB_E_DAMAGED);
    CHECK_FAILS(lrb_vectors_decode(coder, stored, written, 65, back, count, &err), LRB_E_DAMAGED);
}

TEST(every_flip_is_damage_or_stays_in_its_room) {
    lrb_err err;
    size_t written, count = make_content(24, 3, 1, 10);
    CHECK(comes_back(count, 24, &written));
    for (size_t bit = 0; bit < 8 * written; bit++) {
        stored[bit / 8] ^= (uint8_t)(1 << bit % 8);
        memset(back + count, 0xAA, 64);
        int code = lrb_vectors_decode(coder, stored, written, 24, back, count, &err);
        CHECK(code == LRB_OK || code == LRB_E_DAMAGED);
        for (size_t i = 0; i < 64; i++) CHECK(back[count + i] == 0xAA);
        stored[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* The stored form of some contents, as a digest: it is the same on every processor and in every variant, and may never
 * change unnoticed. Streams are not split here, so that no zstd has a say. */
static bool stored_is(uint32_t dim, float length, const char *expected) {
    char text[2 * LRB_DIGEST_BYTES + 1];
    uint8_t sum[LRB_DIGEST_BYTES];
    lrb_err err;
    size_t written, count = make_content(dim, 5, length, dim), stream_bytes = 2 * (size_t)dim + 11;
    for (size_t i = 0; i < 5; i++) content[4 + 5 * 4 + 5 * 4 * (size_t)dim + stream_bytes * i + 1] = 0x01;
    if (lrb_vectors_encode(coder, content, count, dim, stored, sizeof stored, &written, &err) || !written) return false;
    if (lrb_sha256(stored, written, sum, &err)) return false;
    lrb_hex(sum, sizeof sum, text);
    bool same = !strcmp(text, expected) && !lrb_vectors_decode(coder, stored, written, dim, back, count, &err) &&
                !memcmp(back, content, count);
    if (!same) printf("dim %u: %s\n", (unsigned)dim, text);
    return same;
}

TEST(the_stored_form_never_changes) {
    for (lrb_cpu level = LRB_CPU_PLAIN; level < LRB_CPU_LEVELS; level++) {
        lrb_cpu_limit(level);
        bool same = stored_is(61, 1, "3da355409607be241a7c53ac4ffccebf219623d9ade71ba03b040523af0ac1e9") &&
                    stored_is(384, 1, "9d8e405eb741f2c86e1aa2850f86d83efb58b888002ceecc8581a342bcc99560") &&
                    stored_is(1000, 1.37f, "e6dc9da741d4868e404f1fc4fc48b7f5395a4fa98b5d636a70381882583343de") &&
                    stored_is(1024, 20, "ae3c93a308747415c9dd74c1d1a7dd6746ac9e3f01679c1b2c69d16c38cf316b");
        lrb_cpu_limit(LRB_CPU_LEVELS);
        CHECK(same);
    }
}

TEST(what_streams_hold_is_the_same_encoded_or_inflated) {
    lrb_err err;
    lrb_vectors vectors;
    const lrb_stream *known, *again;
    static uint8_t held[4][2 * 100];
    size_t written, count = make_content(100, 4, 1, 5);
    CHECK_OK(lrb_vectors_open(content, count, 100, &vectors, &err));
    content[count - 1] ^= 1; /* the last one's checksum */
    CHECK_OK(lrb_vectors_encode(coder, content, count, 100, stored, sizeof stored, &written, &err));
    known = lrb_vectors_inflated(coder, 4);
    CHECK(written && known && !lrb_vectors_inflated(coder, 3));
    for (int i = 0; i < 4; i++) memcpy(held[i], known[i].out, sizeof held[i]);
    CHECK_OK(lrb_vectors_decode(coder, stored, written, 100, back, count, &err));
    CHECK(!lrb_vectors_inflated(coder, 4)); /* they may be another content's now */
    CHECK_OK(lrb_vectors_inflate(coder, &vectors, &again, &err));
    for (int i = 0; i < 4; i++) CHECK(again[i].good == (i < 3) && !memcmp(again[i].out, held[i], sizeof held[i]));
    CHECK_OK(lrb_vectors_encode(coder, content, count - 1, 100, stored, sizeof stored, &written, &err));
    CHECK(!written && !lrb_vectors_inflated(coder, 4));
}

enum { MANY = 6 };

/* Contents of 1 to MANY rows, encoded one behind the other: their stored forms, with a place for each content in `back`. */
static bool encode_many(uint32_t dim, lrb_vectors_stored many[MANY], uint8_t *contents) {
    lrb_err err;
    size_t at = 0, out = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        size_t written, count = make_content(dim, i + 1, 1, 90 + i);
        if (lrb_vectors_encode(coder, content, count, dim, stored + at, sizeof stored - at, &written, &err) || !written) return false;
        memcpy(contents + out, content, count);
        many[i] = (lrb_vectors_stored){stored + at, written, back + out, count};
        at += written;
        out += count;
    }
    return true;
}

TEST(many_are_decoded_as_each_and_damage_of_any_is_told) {
    static uint8_t contents[ROOM];
    lrb_vectors_stored many[MANY];
    lrb_err err;
    CHECK(encode_many(64, many, contents));
    size_t total = (size_t)(many[MANY - 1].out - back) + many[MANY - 1].expected;
    for (size_t count = 1; count <= MANY; count++) {
        memset(back, 0xAA, total);
        CHECK_OK(lrb_vectors_decode_many(coder, many, count, 64, &err));
        size_t made = (size_t)(many[count - 1].out - back) + many[count - 1].expected;
        CHECK(!memcmp(back, contents, made) && (made == total || back[made] == 0xAA));
    }
    for (size_t i = 0; i < MANY; i++) {
        many[i].count--;
        CHECK_FAILS(lrb_vectors_decode_many(coder, many, MANY, 64, &err), LRB_E_DAMAGED);
        many[i].count++;
        many[i].expected++;
        CHECK_FAILS(lrb_vectors_decode_many(coder, many, MANY, 64, &err), LRB_E_DAMAGED);
        many[i].expected--;
    }
    CHECK_OK(lrb_vectors_decode_many(coder, many, MANY, 64, &err));
    CHECK(!memcmp(back, contents, total));
    CHECK_FAILS(lrb_vectors_decode_many(coder, many, MANY, 0, &err), LRB_E_DAMAGED);
    CHECK_FAILS(lrb_vectors_decode_many(coder, many, MANY, 65, &err), LRB_E_DAMAGED);
}

TEST(failed_allocations_are_told) {
    lrb_err err;
    size_t written, count = make_content(64, 3, 1, 11);
    lrb_vectors vectors;
    const lrb_stream *streams;
    lrb_vectors_stored twice[2];
    int code = LRB_E_NOMEM;
    for (int64_t n = 0; code && n < 50; n++) {
        lrb_vector_coder *made = NULL;
        lrb_mem_fail_after(n, true);
        code = lrb_vector_coder_new(&made, &err);
        if (!code) code = lrb_vectors_open(content, count, 64, &vectors, &err);
        if (!code) code = lrb_vectors_inflate(made, &vectors, &streams, &err);
        if (!code) code = lrb_vectors_encode(made, content, count, 64, stored, sizeof stored, &written, &err);
        for (size_t i = 0; !code && i < 2; i++) twice[i] = (lrb_vectors_stored){stored, written, back + i * count, count};
        if (!code) code = lrb_vectors_decode_many(made, twice, 2, 64, &err);
        lrb_mem_fail_after(-1, false);
        CHECK(code == LRB_OK || code == LRB_E_NOMEM);
        lrb_vector_coder_free(made);
    }
    CHECK_OK(code);
}

int main(void) {
    lrb_err err;
    if (lrb_vector_coder_new(&coder, &err)) return 1;
    RUN(contents_of_many_shapes_come_back);
    RUN(unit_vectors_take_little_more_than_their_entropy);
    RUN(content_that_is_none_or_does_not_pay_is_not_encoded);
    RUN(impossible_shapes_are_refused);
    RUN(every_truncation_and_other_length_is_damage);
    RUN(every_flip_is_damage_or_stays_in_its_room);
    RUN(the_stored_form_never_changes);
    RUN(what_streams_hold_is_the_same_encoded_or_inflated);
    RUN(many_are_decoded_as_each_and_damage_of_any_is_told);
    RUN(failed_allocations_are_told);
    lrb_vector_coder_free(coder);
    return check_report();
}
