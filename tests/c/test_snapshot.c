/* A snapshot's payload: what goes in comes back, and nothing that could not have been written is believed. */
#include "check.h"
#include "logbook.h"

static lrb_err err;

static int encode(const lrb_snapshot *s, lrb_buf *out) {
    lrb_buf_init(out, 1 << 20);
    return lrb_snapshot_encode(s, out, &err);
}

static int decode(const uint8_t *bytes, size_t count, lrb_snapshot *s) {
    int code = lrb_payload_check(bytes, count, &lrb_snapshot_shape, "log/x", &err);
    return code ? code : lrb_snapshot_decode(bytes, count, "log/x", s, &err);
}

static bool same(const lrb_snapshot *a, const lrb_snapshot *b) {
    return !strcmp(a->id, b->id) && a->created_ns == b->created_ns && a->size_bytes == b->size_bytes &&
           a->item_count == b->item_count && !lrb_id_compare(&a->data_hash, &b->data_hash) && a->safety == b->safety &&
           !strcmp(a->consistency, b->consistency) && !strcmp(a->verdict, b->verdict) &&
           !strcmp(a->metadata, b->metadata) &&
           a->retention_days == b->retention_days && !lrb_id_compare(&a->body_root.id, &b->body_root.id) &&
           a->body_root.kind == b->body_root.kind && a->body_root.count == b->body_root.count;
}

static bool comes_back(const lrb_snapshot *s) {
    lrb_buf bytes;
    lrb_snapshot back;
    bool equal = !encode(s, &bytes) && !decode(bytes.data, bytes.length, &back);
    if (equal) {
        equal = same(s, &back);
        lrb_snapshot_clear(&back);
    }
    lrb_buf_clear(&bytes);
    return equal;
}

TEST(a_snapshot_comes_back) {
    lrb_snapshot s = logbook_snapshot(5);
    CHECK(comes_back(&s));
    s.safety = true;
    s.created_ns = -1;
    s.retention_days = 0;
    snprintf(s.verdict, sizeof s.verdict, "usable_with_reprocessing");
    s.metadata = (char *)"{}";
    CHECK(comes_back(&s));
    s.body_root = (lrb_row){.kind = LRB_CHUNK_NONE};
    CHECK(comes_back(&s));
}

TEST(absent_metadata_is_an_empty_object) {
    lrb_snapshot s = logbook_snapshot(5), back;
    lrb_buf bytes;
    s.metadata = NULL;
    CHECK_OK(encode(&s, &bytes));
    CHECK_OK(decode(bytes.data, bytes.length, &back));
    CHECK(!strcmp(back.metadata, "{}"));
    lrb_snapshot_clear(&back);
    lrb_buf_clear(&bytes);
}

TEST(what_could_not_be_read_back_is_not_written) {
    static char long_text[LRB_METADATA_MAX_BYTES + 2];
    lrb_snapshot s = logbook_snapshot(5);
    lrb_buf bytes;
    memset(long_text, 'x', sizeof long_text - 1);
    s.metadata = long_text;
    CHECK_FAILS(encode(&s, &bytes), LRB_E_LIMIT);
    s.metadata = long_text + 1;
    CHECK(comes_back(&s));
    s = logbook_snapshot(5);
    s.id[0] = 0;
    CHECK_FAILS(encode(&s, &bytes), LRB_E_INVALID);
    memcpy(s.id, "a/b", 4);
    CHECK_FAILS(encode(&s, &bytes), LRB_E_INVALID);
    memset(s.id, 'a', sizeof s.id); /* no final NUL */
    CHECK_FAILS(encode(&s, &bytes), LRB_E_INVALID);
    s = logbook_snapshot(5);
    s.consistency[0] = 0;
    CHECK_FAILS(encode(&s, &bytes), LRB_E_INVALID);
    s = logbook_snapshot(5);
    memcpy(s.verdict, "Good", 5);
    CHECK_FAILS(encode(&s, &bytes), LRB_E_INVALID);
    CHECK(!bytes.length);
    lrb_buf_clear(&bytes);
}

/* There is no digest at this level: a changed byte may be another good snapshot, but never a crash. Every cut is
 * refused. */
TEST(no_truncation_passes_and_no_byte_crashes) {
    lrb_snapshot s = logbook_snapshot(5), back;
    lrb_buf bytes;
    s.safety = true;
    CHECK_OK(encode(&s, &bytes));
    size_t required = bytes.length - (6 + strlen(s.metadata)) - (6 + 1);
    for (size_t length = 0; length < required; length++) CHECK(decode(bytes.data, length, &back));
    for (size_t at = 0; at < bytes.length; at++)
        for (unsigned flip = 1; flip < 256; flip *= 2) {
            bytes.data[at] ^= (uint8_t)flip;
            if (!decode(bytes.data, bytes.length, &back)) lrb_snapshot_clear(&back);
            bytes.data[at] ^= (uint8_t)flip;
        }
    lrb_buf_clear(&bytes);
}

/* Replaces one field of a good payload by `count` bytes of `value`. */
static int decode_with(uint16_t tag, const void *value, size_t count) {
    lrb_snapshot s = logbook_snapshot(5), back;
    lrb_buf bytes, changed;
    lrb_field field;
    lrb_buf_init(&changed, 1 << 20);
    int code = encode(&s, &bytes);
    lrb_view view = lrb_view_of(bytes.data, bytes.length);
    while (!code && lrb_field_next(&view, &field))
        if (field.tag != tag) code = lrb_field_put(&changed, field.tag, field.value.at, field.value.left, &err);
    if (!code) code = lrb_field_put(&changed, tag, value, count, &err);
    if (!code) code = decode(changed.data, changed.length, &back);
    if (!code) lrb_snapshot_clear(&back);
    lrb_buf_clear(&changed);
    lrb_buf_clear(&bytes);
    return code;
}

TEST(fields_of_the_wrong_length_or_value_are_named) {
    static const uint16_t fixed[] = {LRB_F_CREATED_NS, LRB_F_SIZE_BYTES, LRB_F_DATA_HASH, LRB_F_RETENTION_DAYS,
                                     LRB_F_BODY_ROOT, LRB_F_ITEM_COUNT, LRB_F_SAFETY};
    static const char zeros[LRB_METADATA_MAX_BYTES + 1];
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        CHECK_FAILS(decode_with(fixed[i], "123", 3), LRB_E_DAMAGED);
    CHECK_FAILS(decode_with(LRB_F_SAFETY, "\2", 1), LRB_E_DAMAGED);
    CHECK_FAILS(decode_with(LRB_F_SNAPSHOT_ID, "a b", 3), LRB_E_DAMAGED);
    CHECK_FAILS(decode_with(LRB_F_SNAPSHOT_ID, "0123456789012345678901234567890123456789", 40), LRB_E_DAMAGED);
    CHECK_FAILS(decode_with(LRB_F_CONSISTENCY, "Gated", 5), LRB_E_DAMAGED);
    CHECK_FAILS(decode_with(LRB_F_VERDICT, "", 0), LRB_E_DAMAGED);
    CHECK_FAILS(decode_with(LRB_F_METADATA, "{\0}", 3), LRB_E_DAMAGED);
    CHECK_FAILS(decode_with(LRB_F_METADATA, zeros, sizeof zeros), LRB_E_DAMAGED);
    CHECK_FAILS(decode_with(LRB_F_BODY_ROOT, "12345678901234567890123456789012\xff\0\0\0\1\0\0\0", 40),
                LRB_E_UNSUPPORTED);
}

TEST(holders_are_a_set) {
    lrb_snapshot s = {0};
    CHECK_OK(lrb_snapshot_hold(&s, "user", &err));
    CHECK_OK(lrb_snapshot_hold(&s, "recovery:1", &err));
    CHECK_OK(lrb_snapshot_hold(&s, "user", &err));
    CHECK(s.holder_count == 2);
    lrb_snapshot_release(&s, "nobody");
    lrb_snapshot_release(&s, "user");
    CHECK(s.holder_count == 1 && !strcmp(s.holders[0], "recovery:1"));
    lrb_snapshot_clear(&s);
}

static int round_trip_and_hold(void) {
    lrb_snapshot s = logbook_snapshot(5), back;
    lrb_buf bytes;
    int code = encode(&s, &bytes);
    if (!code) code = decode(bytes.data, bytes.length, &back);
    if (!code) {
        code = lrb_snapshot_hold(&back, "user", &err);
        lrb_snapshot_clear(&back);
    }
    lrb_buf_clear(&bytes);
    return code;
}

TEST(every_failing_allocation_is_survived) {
    int code = LRB_E_NOMEM;
    for (int64_t n = 0; code; n++) {
        lrb_mem_fail_after(n, false);
        code = round_trip_and_hold();
        lrb_mem_fail_after(-1, false);
        CHECK(!code || code == LRB_E_NOMEM);
    }
}

int main(void) {
    RUN(a_snapshot_comes_back);
    RUN(absent_metadata_is_an_empty_object);
    RUN(what_could_not_be_read_back_is_not_written);
    RUN(no_truncation_passes_and_no_byte_crashes);
    RUN(fields_of_the_wrong_length_or_value_are_named);
    RUN(holders_are_a_set);
    RUN(every_failing_allocation_is_survived);
    return check_report();
}
