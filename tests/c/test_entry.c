/* Log entries as bytes: golden layout, round trip, and no damaged, foreign or hostile byte string that passes. */
#include "base/mem.h"
#include "base/wire.h"
#include "check.h"
#include "repo/entry.h"

static lrb_err err;
static lrb_pack_ref packs[2] = {{{{1, 2, 3}}, 0x1122334455667788u}, {{{9}}, 5}};

static lrb_entry sample(void) {
    lrb_entry entry = {.kind = LRB_ENTRY_SNAPSHOT, .repository_id = "0123456789abcde", .number = 77, .epoch = 3,
                       .nonce = "nonce", .time_ns = -5, .previous = {{8, 8}}, .graph_id = "my.graph-1", .packs = packs,
                       .pack_count = 2, .payload = (const uint8_t *)"payload", .payload_length = 7};
    return entry;
}

static int encode(const lrb_entry *entry, lrb_buf *out) {
    lrb_buf_init(out, LRB_ENTRY_MAX_BYTES);
    return lrb_entry_encode(entry, NULL, out, &err);
}

/* Makes the final digest fit again after a test has changed what is before it. */
static int reseal(lrb_buf *bytes) {
    size_t before = bytes->length - LRB_DIGEST_BYTES;
    return lrb_sha256(bytes->data, before, bytes->data + before, &err);
}

TEST(an_entry_comes_back) {
    lrb_entry entry = sample(), back;
    lrb_buf bytes;
    CHECK_OK(encode(&entry, &bytes));
    CHECK_OK(lrb_entry_decode(bytes.data, bytes.length, NULL, "log/x", &back, &err));
    CHECK(back.kind == entry.kind && back.number == 77 && back.epoch == 3 && back.time_ns == -5 &&
          back.pack_count == 2);
    CHECK(!memcmp(back.repository_id, entry.repository_id, 16) && !memcmp(back.nonce, entry.nonce, 16));
    CHECK(!lrb_id_compare(&back.previous, &entry.previous) && !strcmp(back.graph_id, "my.graph-1"));
    CHECK(!lrb_id_compare(&back.packs[1].id, &packs[1].id) && back.packs[0].size_bytes == packs[0].size_bytes);
    CHECK(back.payload_length == 7 && !memcmp(back.payload, "payload", 7));
    lrb_entry_clear(&back);
    lrb_buf_clear(&bytes);
}

/* Golden: places that may never move. */
TEST(the_layout_is_fixed) {
    lrb_entry entry = sample();
    lrb_buf bytes;
    CHECK_OK(encode(&entry, &bytes));
    CHECK(bytes.length == 152 + 10 + 2 * 40 + 7 + 32);
    CHECK(!memcmp(bytes.data, "lrblog01\1\0\1\0\0\0\0\0" "0123456789abcde", 32));
    CHECK(bytes.data[32] == 77 && bytes.data[40] == 3 && !memcmp(bytes.data + 48, "nonce", 6));
    CHECK(lrb_get_u64(bytes.data + 64) == (uint64_t)-5 && bytes.data[72] == 8 && bytes.data[136] == 10);
    CHECK(bytes.data[140] == 2 && bytes.data[144] == 7 && !memcmp(bytes.data + 152, "my.graph-1\1\2\3", 13));
    CHECK(lrb_get_u64(bytes.data + 162 + 32) == packs[0].size_bytes && !memcmp(bytes.data + 242, "payload", 7));
    lrb_buf_clear(&bytes);
}

TEST(an_entry_needs_no_packs_and_no_payload) {
    lrb_entry entry = sample(), back;
    lrb_buf bytes;
    entry.pack_count = 0;
    entry.packs = NULL;
    entry.payload = NULL;
    entry.payload_length = 0;
    CHECK_OK(encode(&entry, &bytes));
    CHECK_OK(lrb_entry_decode(bytes.data, bytes.length, NULL, "log/x", &back, &err));
    CHECK(!back.packs && !back.pack_count && !back.payload_length);
    lrb_entry_clear(&back);
    lrb_buf_clear(&bytes);
}

TEST(no_truncation_and_no_flipped_bit_passes) {
    lrb_entry entry = sample(), back;
    lrb_buf bytes;
    CHECK_OK(encode(&entry, &bytes));
    for (size_t length = 0; length < bytes.length; length++) {
        CHECK(lrb_entry_decode(bytes.data, length, NULL, "log/x", &back, &err) == LRB_E_DAMAGED);
        CHECK(!strcmp(err.target, "log/x"));
    }
    for (size_t bit = 0; bit < bytes.length * 8; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK(lrb_entry_decode(bytes.data, bytes.length, NULL, "log/x", &back, &err));
        CHECK(err.code == LRB_E_DAMAGED || (err.code == LRB_E_LOCKED && bit == 12 * 8)); /* one that says it is sealed */
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    lrb_buf_clear(&bytes);
}

/* Sets one number of an otherwise good entry, makes the digest fit and decodes it. */
static int decode_with(size_t at, size_t width, uint64_t value) {
    lrb_entry entry = sample(), back;
    lrb_buf bytes;
    uint8_t number[8];
    int code = encode(&entry, &bytes);
    lrb_put_u64(number, value);
    if (!code) memcpy(bytes.data + at, number, width);
    if (!code) code = reseal(&bytes);
    if (!code) code = lrb_entry_decode(bytes.data, bytes.length, NULL, "log/x", &back, &err);
    if (!code) lrb_entry_clear(&back);
    lrb_buf_clear(&bytes);
    return code;
}

TEST(unknown_numbers_are_refused_by_name) {
    CHECK_FAILS(decode_with(8, 2, 2), LRB_E_UNSUPPORTED);
    CHECK(strstr(err.message, "version 2"));
    CHECK_FAILS(decode_with(10, 2, 12), LRB_E_UNSUPPORTED);
    CHECK(strstr(err.message, "kind 12"));
    CHECK_FAILS(decode_with(10, 2, 0), LRB_E_UNSUPPORTED);
    CHECK_FAILS(decode_with(12, 1, 2), LRB_E_UNSUPPORTED);
    CHECK(strstr(err.message, "algorithm 2"));
    CHECK_FAILS(decode_with(12, 1, 1), LRB_E_LOCKED);
}

TEST(hostile_numbers_with_a_good_digest_are_damage) {
    static const uint64_t lengths[] = {0, 1, 9, 11, 128, 129, 0xffff};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        CHECK_FAILS(decode_with(136, 2, lengths[i]), LRB_E_DAMAGED);
    static const uint64_t counts[] = {0, 1, 3, 0x06666667, 0x80000000, 0xffffffff};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        CHECK_FAILS(decode_with(140, 4, counts[i]), LRB_E_DAMAGED);
    CHECK_FAILS(decode_with(144, 4, 0xffffffff), LRB_E_DAMAGED);
    CHECK_FAILS(decode_with(13, 1, 1), LRB_E_DAMAGED);
    CHECK_FAILS(decode_with(138, 2, 1), LRB_E_DAMAGED);
    CHECK_FAILS(decode_with(148, 4, 1), LRB_E_DAMAGED);
    CHECK_FAILS(decode_with(104, 1, 1), LRB_E_DAMAGED);
    CHECK_FAILS(decode_with(152, 1, '/'), LRB_E_DAMAGED);
    CHECK_FAILS(decode_with(155, 1, 0), LRB_E_DAMAGED);
}

TEST(what_could_not_be_read_back_is_not_written) {
    lrb_entry entry = sample();
    lrb_buf bytes;
    entry.kind = (lrb_entry_kind)12;
    CHECK_FAILS(encode(&entry, &bytes), LRB_E_INVALID);
    entry = sample();
    memcpy(entry.graph_id, "../x", 5);
    CHECK_FAILS(encode(&entry, &bytes), LRB_E_INVALID);
    entry = sample();
    entry.payload_length = LRB_ENTRY_MAX_BYTES;
    CHECK_FAILS(encode(&entry, &bytes), LRB_E_LIMIT);
    CHECK(!bytes.length);
    lrb_buf_clear(&bytes);
}

TEST(encoding_appends_and_a_failure_appends_nothing) {
    lrb_entry entry = sample(), back;
    lrb_buf bytes;
    lrb_buf_init(&bytes, 100);
    CHECK_OK(lrb_buf_append(&bytes, "before", 6, &err));
    CHECK_FAILS(lrb_entry_encode(&entry, NULL, &bytes, &err), LRB_E_LIMIT);
    CHECK(bytes.length == 6);
    bytes.ceiling = 1000;
    CHECK_OK(lrb_entry_encode(&entry, NULL, &bytes, &err));
    CHECK(!memcmp(bytes.data, "before", 6));
    CHECK_OK(lrb_entry_decode(bytes.data + 6, bytes.length - 6, NULL, "log/x", &back, &err));
    lrb_entry_clear(&back);
    lrb_buf_clear(&bytes);
}

static int round_trip(void) {
    lrb_entry entry = sample(), back;
    lrb_buf bytes;
    int code = encode(&entry, &bytes);
    if (!code) code = lrb_entry_decode(bytes.data, bytes.length, NULL, "log/x", &back, &err);
    if (!code) lrb_entry_clear(&back);
    lrb_buf_clear(&bytes);
    return code;
}

/* ---- sealed entries ---- */

static lrb_vault sealed, stranger;

static int encode_sealed(const lrb_entry *entry, lrb_buf *out) {
    lrb_buf_init(out, LRB_ENTRY_MAX_BYTES);
    return lrb_entry_encode(entry, &sealed, out, &err);
}

TEST(a_sealed_payload_is_read_with_its_key_alone) {
    lrb_entry entry = sample(), back;
    lrb_buf bytes, again;
    CHECK_OK(encode_sealed(&entry, &bytes));
    CHECK_OK(encode_sealed(&entry, &again));
    CHECK(bytes.length == again.length && memcmp(bytes.data, again.data, bytes.length) != 0);
    CHECK(!memmem(bytes.data, bytes.length, entry.payload, entry.payload_length));
    CHECK_FAILS(lrb_entry_decode(bytes.data, bytes.length, NULL, "log/x", &back, &err), LRB_E_LOCKED);
    CHECK_FAILS(lrb_entry_decode(bytes.data, bytes.length, &stranger, "log/x", &back, &err), LRB_E_DAMAGED);
    CHECK(strstr(err.message, "MAC"));
    CHECK_OK(lrb_entry_decode(bytes.data, bytes.length, &sealed, "log/x", &back, &err));
    CHECK(back.payload_length == entry.payload_length && !memcmp(back.payload, entry.payload, entry.payload_length));
    CHECK(back.pack_count == entry.pack_count && !strcmp(back.graph_id, entry.graph_id));
    lrb_entry_clear(&back);
    lrb_buf_clear(&bytes);
    lrb_buf_clear(&again);
}

TEST(an_unsealed_entry_is_none_of_a_sealed_repository) {
    lrb_entry entry = sample(), back;
    lrb_buf bytes;
    CHECK_OK(encode(&entry, &bytes));
    CHECK_FAILS(lrb_entry_decode(bytes.data, bytes.length, &sealed, "log/x", &back, &err), LRB_E_DAMAGED);
    lrb_buf_clear(&bytes);
}

TEST(every_flip_in_a_sealed_entry_is_seen) {
    lrb_entry entry = sample(), back;
    lrb_buf bytes;
    CHECK_OK(encode_sealed(&entry, &bytes));
    for (size_t length = 0; length < bytes.length; length++)
        CHECK(lrb_entry_decode(bytes.data, length, &sealed, "log/x", &back, &err) == LRB_E_DAMAGED);
    for (size_t bit = 0; bit < bytes.length * 8; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK(lrb_entry_decode(bytes.data, bytes.length, &sealed, "log/x", &back, &err));
        CHECK(err.code == LRB_E_DAMAGED || err.code == LRB_E_UNSUPPORTED);
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    lrb_buf_clear(&bytes);
}

TEST(every_failing_allocation_while_sealing_is_survived) {
    lrb_entry entry = sample(), back;
    lrb_buf bytes;
    int code = LRB_E_NOMEM;
    for (int n = 0; code; n++) {
        lrb_mem_fail_after(n, false);
        code = encode_sealed(&entry, &bytes);
        if (!code) code = lrb_entry_decode(bytes.data, bytes.length, &sealed, "log/x", &back, &err);
        lrb_mem_fail_after(-1, false);
        if (!code) lrb_entry_clear(&back);
        lrb_buf_clear(&bytes);
        CHECK(!code || code == LRB_E_NOMEM);
    }
}

TEST(the_clear_header_can_be_looked_at) {
    lrb_entry entry = sample();
    lrb_entry_peek peek;
    lrb_buf bytes;
    CHECK_OK(encode_sealed(&entry, &bytes));
    CHECK_OK(lrb_entry_peek_at(bytes.data, "log/x", &peek, &err));
    CHECK(peek.sealed && peek.kind == entry.kind && !memcmp(peek.repository_id, entry.repository_id, 16));
    bytes.data[12] = 0;
    CHECK_OK(lrb_entry_peek_at(bytes.data, "log/x", &peek, &err));
    CHECK(!peek.sealed);
    bytes.data[12] = 9;
    CHECK_FAILS(lrb_entry_peek_at(bytes.data, "log/x", &peek, &err), LRB_E_UNSUPPORTED);
    bytes.data[0] = 'L';
    CHECK_FAILS(lrb_entry_peek_at(bytes.data, "log/x", &peek, &err), LRB_E_DAMAGED);
    lrb_buf_clear(&bytes);
}

TEST(every_failing_allocation_is_survived) {
    int code = LRB_E_NOMEM;
    for (int64_t n = 0; code; n++) {
        lrb_mem_fail_after(n, false);
        code = round_trip();
        lrb_mem_fail_after(-1, false);
        CHECK(!code || code == LRB_E_NOMEM);
    }
}

int main(void) {
    const uint8_t *repository = (const uint8_t *)"0123456789abcde";
    if (lrb_vault_open(&sealed, repository, "my.graph-1", &(lrb_key){{1}}, &err) ||
        lrb_vault_open(&stranger, repository, "my.graph-1", &(lrb_key){{2}}, &err))
        return 1;
    RUN(an_entry_comes_back);
    RUN(the_layout_is_fixed);
    RUN(an_entry_needs_no_packs_and_no_payload);
    RUN(no_truncation_and_no_flipped_bit_passes);
    RUN(unknown_numbers_are_refused_by_name);
    RUN(hostile_numbers_with_a_good_digest_are_damage);
    RUN(what_could_not_be_read_back_is_not_written);
    RUN(encoding_appends_and_a_failure_appends_nothing);
    RUN(a_sealed_payload_is_read_with_its_key_alone);
    RUN(an_unsealed_entry_is_none_of_a_sealed_repository);
    RUN(every_flip_in_a_sealed_entry_is_seen);
    RUN(every_failing_allocation_while_sealing_is_survived);
    RUN(the_clear_header_can_be_looked_at);
    RUN(every_failing_allocation_is_survived);
    return check_report();
}
