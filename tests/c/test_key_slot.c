/* Key slots: what opens them, what does not, and what no reader takes for one. */
#include "repo/key_slot.h"

#include "base/mem.h"
#include "check.h"

static const lrb_key master = {{1, 2, 3}}, other = {{1, 2, 4}};
static const lrb_scrypt_cost cheap = {4, 8, 1};
static lrb_err err;

static lrb_passphrase words(const char *text) { return (lrb_passphrase){(const uint8_t *)text, strlen(text)}; }

static int make(const char *text, lrb_key_slot *slot) {
    lrb_passphrase passphrase = words(text);
    return lrb_key_slot_new(&master, &passphrase, cheap, 42, slot, &err);
}

static int parse(const lrb_key_slot *slot, lrb_key_slot *back) {
    return lrb_key_slot_parse(slot->bytes, sizeof slot->bytes, "g/keys/x", back, &err);
}

static int reseal(lrb_key_slot *slot) { return lrb_sha256(slot->bytes, 176, slot->bytes + 176, &err); }

TEST(a_passphrase_opens_its_slot_and_no_other_does) {
    lrb_key_slot slot, back;
    lrb_key key;
    bool opened, genuine;
    CHECK_OK(make("correct horse", &slot));
    CHECK_OK(parse(&slot, &back));
    CHECK(back.kind == LRB_KEY_SLOT_PASSPHRASE && back.created_ns == 42 && back.cost.log2_n == 4);
    CHECK(!memcmp(back.id, slot.id, sizeof slot.id));
    lrb_passphrase right = words("correct horse");
    CHECK_OK(lrb_key_slot_open(&back, &right, &opened, &key, &err));
    CHECK(opened && !memcmp(&key, &master, sizeof key));
    for (const char *const *text = (const char *const[]){"", "correct hors", "correct horsE", "correct horse ", NULL}; *text; text++) {
        lrb_passphrase wrong = words(*text);
        static const lrb_key zero;
        CHECK_OK(lrb_key_slot_open(&back, &wrong, &opened, &key, &err));
        CHECK(!opened && !memcmp(&key, &zero, sizeof key));
    }
    CHECK_OK(lrb_key_slot_check(&back, &master, &genuine, &err));
    CHECK(genuine);
    CHECK_OK(lrb_key_slot_check(&back, &other, &genuine, &err));
    CHECK(!genuine);
}

TEST(a_slot_shows_neither_key_nor_passphrase_and_is_never_twice_the_same) {
    lrb_key_slot a, b;
    CHECK_OK(make("correct horse", &a));
    CHECK_OK(make("correct horse", &b));
    CHECK(memcmp(a.id, b.id, sizeof a.id) != 0 && memcmp(a.bytes + 64, b.bytes + 64, 80) != 0);
    CHECK(!memmem(a.bytes, sizeof a.bytes, "correct", 7) && !memmem(a.bytes, sizeof a.bytes, master.bytes, 32));
}

TEST(key_files_and_removals_have_nothing_to_open) {
    static const uint8_t zero[80];
    lrb_key_slot file, removal, back;
    bool genuine;
    CHECK_OK(lrb_key_slot_new(&master, NULL, cheap, 1, &file, &err));
    CHECK_OK(parse(&file, &back));
    CHECK(back.kind == LRB_KEY_SLOT_FILE && !memcmp(back.bytes + 64, zero, sizeof zero));
    CHECK_OK(lrb_key_slot_removal(&master, &file, 2, &removal, &err));
    CHECK_OK(parse(&removal, &back));
    CHECK(back.kind == LRB_KEY_SLOT_REMOVED && !memcmp(back.id, file.id, sizeof file.id));
    CHECK_OK(lrb_key_slot_check(&back, &master, &genuine, &err));
    CHECK(genuine);
}

TEST(key_ids_tell_keys_apart) {
    uint8_t a[LRB_KEY_ID_BYTES], b[LRB_KEY_ID_BYTES];
    lrb_key_slot slot;
    CHECK_OK(lrb_key_id(&master, a, &err));
    CHECK_OK(lrb_key_id(&other, b, &err));
    CHECK(memcmp(a, b, sizeof a) != 0);
    CHECK_OK(make("x", &slot));
    CHECK(!memcmp(slot.key_id, a, sizeof a));
}

TEST(every_flip_and_every_other_length_is_seen) {
    lrb_key_slot slot, back;
    CHECK_OK(make("x", &slot));
    for (size_t bit = 0; bit < sizeof slot.bytes * 8; bit++) {
        slot.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        int code = parse(&slot, &back);
        CHECK(code == LRB_E_DAMAGED || code == LRB_E_UNSUPPORTED);
        slot.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t length = 0; length < sizeof slot.bytes; length++)
        CHECK(lrb_key_slot_parse(slot.bytes, length, "k", &back, &err) == LRB_E_DAMAGED);
}

/* One byte changed, the digest made to fit. */
static int parse_with(size_t at, uint8_t value) {
    lrb_key_slot slot, back;
    int code = make("x", &slot);
    slot.bytes[at] = value;
    if (!code) code = reseal(&slot);
    return code ? code : parse(&slot, &back);
}

TEST(costs_without_end_are_not_paid) {
    CHECK_OK(parse_with(11, 17));
    CHECK_FAILS(parse_with(11, 19), LRB_E_LIMIT); /* 2^19 * 8 * 128 is 512 MiB */
    CHECK_FAILS(parse_with(11, 255), LRB_E_LIMIT);
    CHECK_FAILS(parse_with(12, 33), LRB_E_LIMIT);
    CHECK_FAILS(parse_with(13, 17), LRB_E_LIMIT);
    CHECK_FAILS(parse_with(11, 0), LRB_E_DAMAGED);
    CHECK_FAILS(parse_with(12, 0), LRB_E_DAMAGED);
    CHECK_FAILS(parse_with(13, 0), LRB_E_DAMAGED);
}

TEST(versions_and_kinds_of_the_future_are_refused_by_name) {
    CHECK_FAILS(parse_with(8, 2), LRB_E_UNSUPPORTED);
    CHECK(strstr(err.message, "version 2"));
    CHECK_FAILS(parse_with(10, 4), LRB_E_UNSUPPORTED);
    CHECK(strstr(err.message, "kind 4"));
    CHECK_FAILS(parse_with(10, 0), LRB_E_UNSUPPORTED);
    CHECK_FAILS(parse_with(10, 2), LRB_E_DAMAGED); /* a key file's slot wraps nothing */
    CHECK_FAILS(parse_with(14, 1), LRB_E_DAMAGED);
    CHECK_FAILS(parse_with(56, 1), LRB_E_DAMAGED);
}

TEST(a_passphrase_must_be_there_and_end) {
    static uint8_t long_one[LRB_PASSPHRASE_MAX_BYTES + 1];
    lrb_passphrase endless = {long_one, sizeof long_one};
    lrb_key_slot slot;
    CHECK_FAILS(make("", &slot), LRB_E_INVALID);
    CHECK_FAILS(lrb_key_slot_new(&master, &endless, cheap, 0, &slot, &err), LRB_E_INVALID);
}

TEST(memory_running_out_is_survived) {
    int code = LRB_E_NOMEM;
    for (int n = 0; code; n++) {
        lrb_key_slot slot;
        lrb_key key;
        bool opened = false;
        lrb_passphrase passphrase = words("x");
        lrb_mem_fail_after(n, false);
        code = make("x", &slot);
        if (!code) code = lrb_key_slot_open(&slot, &passphrase, &opened, &key, &err);
        lrb_mem_fail_after(-1, false);
        CHECK(code ? code == LRB_E_NOMEM : opened);
    }
}

int main(void) {
    RUN(a_passphrase_opens_its_slot_and_no_other_does);
    RUN(a_slot_shows_neither_key_nor_passphrase_and_is_never_twice_the_same);
    RUN(key_files_and_removals_have_nothing_to_open);
    RUN(key_ids_tell_keys_apart);
    RUN(every_flip_and_every_other_length_is_seen);
    RUN(costs_without_end_are_not_paid);
    RUN(versions_and_kinds_of_the_future_are_refused_by_name);
    RUN(a_passphrase_must_be_there_and_end);
    RUN(memory_running_out_is_survived);
    return check_report();
}
