/* What somebody without the key puts among the slots: it opens nothing, closes nothing, costs little and is named. */
#include "repo/key_opening.h"

#include "base/mem.h"
#include "locked.h"

/* Takes an object's MAC away and makes its digest agree; whoever can write to the storage path can do that. */
static void forge(lrb_key_slot *object) {
    memset(object->bytes + 144, 7, 32);
    CHECK_OK(lrb_sha256(object->bytes, 176, object->bytes + 176, &err));
}

static int put_in(const char *graph, const lrb_key_slot *object, const lrb_key *key) {
    lrb_key_store r;
    int code = lrb_key_store_open(&r, f.storage, NULL, false, &err);
    if (code) return code;
    code = lrb_key_store_put(&r, graph, object, key, &err);
    lrb_key_store_close(&r);
    return code;
}

/* "graph/keys/<id><suffix>" */
static const char *named(const char *graph, const uint8_t *id, const char *suffix) {
    static char name[128];
    char hex[2 * LRB_KEY_SLOT_ID_BYTES + 1];
    lrb_hex(id, LRB_KEY_SLOT_ID_BYTES, hex);
    snprintf(name, sizeof name, "%s/keys/%s%s", graph, hex, suffix);
    return name;
}

/* In the own graph, where it is read first, beside a whole slot and in the way of the true removal. */
TEST(a_removal_that_the_key_did_not_make_closes_nothing_and_is_named) {
    lrb_unlocked made, other, out;
    lrb_key_slot slot = {0}, forged, added;
    lrb_keyring_listing here;
    fixture_open(&f);
    CHECK_OK(sealed_graph("one", &made));
    CHECK_OK(sealed_graph("two", &other));
    CHECK(!made.forged[0]);
    memcpy(slot.id, made.slot, sizeof slot.id);
    CHECK_OK(lrb_key_slot_removal(&made.key, &slot, 5, &forged, &err));
    forge(&forged);
    CHECK_OK(put_in("one", &forged, &made.key));
    CHECK_OK(with_passphrase("one", false, "right", &out));
    CHECK(!strcmp(out.forged, named("one", made.slot, ".removed")));
    CHECK_OK(with_key(NULL, false, &made.key, &out)); /* the recovery kit */
    CHECK(!strcmp(out.forged, named("one", made.slot, ".removed")));
    CHECK_OK(lrb_keyring_list(f.storage, NULL, &here, &err));
    CHECK(!here.count && here.sealed);
    lrb_free(here.slots);
    CHECK_OK(lrb_keyring_list(f.storage, &made.key, &here, &err));
    CHECK(here.count == 1 && here.sealed && !memcmp(here.slots[0].id, made.slot, sizeof made.slot));
    lrb_free(here.slots);
    CHECK_FAILS(lrb_keyring_remove(f.storage, &made.key, made.slot, &err), LRB_E_INVALID); /* the last one */

    lrb_key_slot copy;
    lrb_key_store r;
    CHECK_OK(lrb_key_store_open(&r, f.storage, NULL, false, &err));
    copy = *(r.objects[0].kind == LRB_KEY_SLOT_PASSPHRASE ? &r.objects[0] : &r.objects[1]);
    lrb_key_store_close(&r);
    CHECK_OK(lrb_keyring_add(f.storage, &made.key, &(lrb_passphrase){(const uint8_t *)"new", 3}, &added, &err));
    CHECK_OK(lrb_keyring_remove(f.storage, &made.key, made.slot, &err));
    CHECK_OK(with_passphrase("one", false, "new", &out));
    CHECK(!out.forged[0]); /* the true one is in its place */
    remove_below("two/keys");
    CHECK_OK(put_in("two", &copy, &made.key));
    CHECK_FAILS(with_passphrase("two", true, "right", &out), LRB_E_LOCKED);
    CHECK(strstr(err.message, "the passphrase was removed"));
    fixture_close(&f);
}

/* Each asks for all the work there is; one of them lies in two graphs, one has the name of the true slot. */
TEST(hostile_slots_ask_for_no_more_work_than_there_is) {
    static const lrb_scrypt_cost cheap = {1, 1, 1};
    lrb_unlocked made, other, out;
    lrb_key_slot hostile;
    fixture_open(&f);
    CHECK_OK(sealed_graph("one", &made));
    CHECK_OK(sealed_graph("two", &other));
    remove_below("one/keys");
    for (int i = 0; i < 200; i++) {
        CHECK_OK(lrb_key_slot_new(&made.key, &(lrb_passphrase){(const uint8_t *)"?", 1}, cheap, i, &hostile, &err));
        if (i == 0) memcpy(hostile.bytes + 16, made.slot, sizeof made.slot), memcpy(hostile.id, made.slot, sizeof made.slot);
        hostile.cost = i < 6 ? (lrb_scrypt_cost){18, 8, 16} : cheap;
        memcpy(hostile.bytes + 11, (uint8_t[]){hostile.cost.log2_n, hostile.cost.r, hostile.cost.p}, 3);
        forge(&hostile);
        CHECK_OK(put_in("one", &hostile, &made.key));
        if (i == 1) CHECK_OK(put_in("two", &hostile, &made.key));
    }
    CHECK_OK(with_passphrase("one", false, "right", &out));
    CHECK(!memcmp(&out.key, &made.key, sizeof out.key) && out.forged[0]);
    CHECK_FAILS(with_passphrase("one", false, "wrong", &out), LRB_E_LOCKED);
    CHECK(strstr(err.message, "it opens none of the key slots here; not tried, for the work they ask for together is too much: 6, such as "));
    CHECK_OK(with_passphrase("one", true, "right", &out)); /* who writes brings the true slot back into its place */
    lrb_keyring_listing here;
    CHECK_OK(lrb_keyring_list(f.storage, &made.key, &here, &err));
    CHECK(here.count == 1);
    lrb_free(here.slots);
    remove_below("two/keys");
    CHECK_OK(with_passphrase("one", false, "right", &out));
    fixture_close(&f);
}

/* More of them than there is work for, each cheaper than the true one, which besides seems removed: who has opened that once
 * before asks for it alone. A passphrase it does not fit costs what it always did. */
TEST(who_has_opened_a_slot_before_is_not_kept_out_by_others) {
    static const lrb_scrypt_cost cheap = {1, 1, 1};
    lrb_unlocked made, out;
    lrb_key_slot hostile, slot = {0}, removal;
    lrb_passphrase right = {(const uint8_t *)"right", 5};
    fixture_open(&f);
    CHECK_OK(sealed_graph("g", &made));
    for (int i = 0; i < 300; i++) {
        CHECK_OK(lrb_key_slot_new(&made.key, &(lrb_passphrase){(const uint8_t *)"?", 1}, cheap, i, &hostile, &err));
        memcpy(hostile.bytes + 11, (uint8_t[]){14, 8, 1}, 3);
        forge(&hostile);
        CHECK_OK(put_in("g", &hostile, &made.key));
    }
    memcpy(slot.id, made.slot, sizeof slot.id);
    CHECK_OK(lrb_key_slot_removal(&made.key, &slot, 5, &removal, &err));
    forge(&removal);
    CHECK_OK(put_in("g", &removal, &made.key));
    lrb_secret secret = {.passphrase = &right, .first = made.slot_digest};
    CHECK_OK(lrb_keyring_unlock(f.storage, "g", false, &secret, &out, &err));
    CHECK(!memcmp(&out.key, &made.key, sizeof out.key) && out.forged[0]);
    CHECK(!memcmp(out.slot_digest, made.slot_digest, sizeof out.slot_digest));
    fixture_close(&f);
}

TEST(memory_running_out_is_survived) {
    lrb_unlocked made, out;
    lrb_key_store r;
    lrb_key_slot slot;
    int code = LRB_E_NOMEM;
    fixture_open(&f);
    CHECK_OK(sealed_graph("g", &made));
    CHECK_OK(lrb_key_slot_new(&(lrb_key){{3}}, &(lrb_passphrase){(const uint8_t *)"right", 5}, (lrb_scrypt_cost){1, 1, 1}, 1, &slot, &err));
    CHECK_OK(put_in("g", &slot, &made.key)); /* of another storage path, and cheaper: logs are asked */
    CHECK_OK(lrb_key_store_open(&r, f.storage, NULL, false, &err));
    for (int n = 0; code; n++) {
        lrb_mem_fail_after(n, false);
        code = lrb_key_open_by_passphrase(&r, &(lrb_secret){.passphrase = &(lrb_passphrase){(const uint8_t *)"right", 5}}, &out, &err);
        if (!code) code = lrb_key_open_by_key(&r, &made.key, &out, &err);
        lrb_mem_fail_after(-1, false);
        CHECK(!code || code == LRB_E_NOMEM);
    }
    CHECK(!memcmp(&out.key, &made.key, sizeof out.key));
    lrb_key_store_close(&r);
    fixture_close(&f);
}

int main(void) {
    RUN(a_removal_that_the_key_did_not_make_closes_nothing_and_is_named);
    RUN(hostile_slots_ask_for_no_more_work_than_there_is);
    RUN(who_has_opened_a_slot_before_is_not_kept_out_by_others);
    RUN(memory_running_out_is_survived);
    return check_report();
}
