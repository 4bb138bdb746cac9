/* AES-256-GCM against a published vector, and everything that must not open. */
#include "codec/seal.h"

#include "base/mem.h"
#include "check.h"
#include "codec/digest.h"

static lrb_err err;
static lrb_sealer *sealer;

/* McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 13 and 14: key and nonce of zeros. */
TEST(known_messages_are_sealed_as_published) {
    static const uint8_t key[LRB_KEY_BYTES];
    uint8_t bytes[16] = {0}, tag[LRB_TAG_BYTES];
    char hex[33];
    lrb_sealer_set_key(sealer, key);
    CHECK_OK(lrb_sealer_seal(sealer, 0, NULL, 0, bytes, 0, tag, &err));
    lrb_hex(tag, sizeof tag, hex);
    CHECK(!strcmp(hex, "530f8afbc74536b9a963b4f1c4cb738b"));
    CHECK_OK(lrb_sealer_seal(sealer, 0, NULL, 0, bytes, sizeof bytes, tag, &err));
    lrb_hex(bytes, sizeof bytes, hex);
    CHECK(!strcmp(hex, "cea7403d4d606b6e074ec5d3baf39d18"));
    lrb_hex(tag, sizeof tag, hex);
    CHECK(!strcmp(hex, "d0d1c8a799996bf0265b98b5d48ab919"));
}

typedef struct message {
    uint8_t key[LRB_KEY_BYTES], bytes[100], tag[LRB_TAG_BYTES], associated[20];
    uint32_t number;
} message;

static message sealed_message(void) {
    message m = {.key = {1}, .associated = {2}, .number = 77};
    for (size_t i = 0; i < sizeof m.bytes; i++) m.bytes[i] = (uint8_t)i;
    lrb_sealer_set_key(sealer, m.key);
    if (lrb_sealer_seal(sealer, m.number, m.associated, sizeof m.associated, m.bytes, sizeof m.bytes, m.tag, &err)) m.number = 0;
    return m;
}

static int open_message(message *m) {
    lrb_sealer_set_key(sealer, m->key);
    return lrb_sealer_unseal(sealer, m->number, m->associated, sizeof m->associated, m->bytes, sizeof m->bytes, m->tag, &err);
}

TEST(what_is_opened_to_another_place_stays_as_it_was) {
    message m = sealed_message(), before = m;
    uint8_t out[sizeof m.bytes];
    for (int whole = 1; whole >= 0; whole--) {
        if (!whole) before.tag[0] ^= 1;
        int code = lrb_sealer_unseal_to(sealer, m.number, m.associated, sizeof m.associated, m.bytes, out, sizeof out, before.tag, &err);
        CHECK(code == (whole ? LRB_OK : LRB_E_DAMAGED) && !memcmp(m.bytes, before.bytes, sizeof m.bytes));
        for (size_t i = 0; i < sizeof out; i++) CHECK(out[i] == (whole ? (uint8_t)i : 0));
    }
}

TEST(pieces_have_the_tag_of_the_whole) {
    static const size_t cuts[] = {1, 15, 16, 17, 64, 4096, 9999};
    static uint8_t bytes[10000];
    uint8_t key[LRB_KEY_BYTES] = {3}, nothing[1], whole[LRB_TAG_BYTES], pieces[LRB_TAG_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * i >> 3);
    lrb_sealer_set_key(sealer, key);
    CHECK_OK(lrb_sealer_seal(sealer, 5, bytes, sizeof bytes, nothing, 0, whole, &err));
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        CHECK_OK(lrb_sealer_tag_begin(sealer, 5, &err));
        for (size_t at = 0; at < sizeof bytes; at += cuts[i])
            CHECK_OK(lrb_sealer_tag_add(sealer, bytes + at, sizeof bytes - at < cuts[i] ? sizeof bytes - at : cuts[i], &err));
        CHECK_OK(lrb_sealer_tag_end(sealer, pieces, &err));
        CHECK(!memcmp(pieces, whole, sizeof whole));
    }
    CHECK_OK(lrb_sealer_tag_begin(sealer, 6, &err));
    CHECK_OK(lrb_sealer_tag_add(sealer, bytes, sizeof bytes, &err));
    CHECK_OK(lrb_sealer_tag_end(sealer, pieces, &err));
    CHECK(memcmp(pieces, whole, sizeof whole));
}

TEST(what_was_sealed_comes_back) {
    message m = sealed_message();
    CHECK(m.bytes[0] != 0 || m.bytes[1] != 1 || m.bytes[2] != 2);
    CHECK_OK(open_message(&m));
    for (size_t i = 0; i < sizeof m.bytes; i++) CHECK(m.bytes[i] == i);
}

TEST(every_flipped_bit_anywhere_is_seen_and_leaves_nothing) {
    static const uint8_t zero[100];
    enum { KEY = 0, BYTES = KEY + 32, TAG = BYTES + 100, ASSOCIATED = TAG + 16, NUMBER = ASSOCIATED + 20, END = NUMBER + 4 };
    for (unsigned bit = 0; bit < END * 8; bit++) {
        message m = sealed_message();
        unsigned at = bit / 8;
        uint8_t flip = (uint8_t)(1u << bit % 8);
        if (at < BYTES) m.key[at - KEY] ^= flip;
        else if (at < TAG) m.bytes[at - BYTES] ^= flip;
        else if (at < ASSOCIATED) m.tag[at - TAG] ^= flip;
        else if (at < NUMBER) m.associated[at - ASSOCIATED] ^= flip;
        else m.number ^= 1u << (bit - NUMBER * 8);
        CHECK_FAILS(open_message(&m), LRB_E_DAMAGED);
        CHECK(!memcmp(m.bytes, zero, sizeof zero));
    }
    message m = sealed_message();
    CHECK_OK(open_message(&m));
}

TEST(a_key_may_change_and_come_back_between_messages) {
    message a = sealed_message();
    uint8_t other[LRB_KEY_BYTES] = {9}, byte = 1, tag[LRB_TAG_BYTES];
    lrb_sealer_set_key(sealer, other);
    CHECK_OK(lrb_sealer_seal(sealer, 0, "x", 1, &byte, 1, tag, &err));
    CHECK_OK(open_message(&a));
    lrb_sealer_set_key(sealer, other);
    CHECK_OK(lrb_sealer_unseal(sealer, 0, "x", 1, &byte, 1, tag, &err));
    CHECK(byte == 1);
}

TEST(a_sealer_without_a_key_seals_nothing) {
    lrb_sealer *fresh;
    uint8_t byte = 1, tag[LRB_TAG_BYTES];
    CHECK_OK(lrb_sealer_new(&fresh, &err));
    CHECK_FAILS(lrb_sealer_seal(fresh, 0, NULL, 0, &byte, 1, tag, &err), LRB_E_INTERNAL);
    lrb_sealer_free(fresh);
    lrb_sealer_free(NULL);
}

TEST(memory_running_out_is_told) {
    lrb_sealer *none;
    lrb_mem_fail_after(0, false);
    int code = lrb_sealer_new(&none, &err);
    lrb_mem_fail_after(-1, false);
    CHECK(code == LRB_E_NOMEM);
}

int main(void) {
    if (lrb_sealer_new(&sealer, &err)) return 1;
    RUN(known_messages_are_sealed_as_published);
    RUN(what_is_opened_to_another_place_stays_as_it_was);
    RUN(pieces_have_the_tag_of_the_whole);
    RUN(what_was_sealed_comes_back);
    RUN(every_flipped_bit_anywhere_is_seen_and_leaves_nothing);
    RUN(a_key_may_change_and_come_back_between_messages);
    RUN(a_sealer_without_a_key_seals_nothing);
    RUN(memory_running_out_is_told);
    lrb_sealer_free(sealer);
    return check_report();
}
