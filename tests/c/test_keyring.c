/* Passphrases and key files of a storage path, with real repositories behind them. */
#include "repo/keyring.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "locked.h"

TEST(the_first_passphrase_makes_the_key_and_opens_it_again) {
    lrb_unlocked made, again;
    fixture_open(&f);
    CHECK_FAILS(with_passphrase("g", false, "right", &made), LRB_E_NOT_FOUND);
    CHECK_OK(sealed_graph("g", &made));
    CHECK(made.by_slot);
    CHECK_OK(with_passphrase("g", false, "right", &again));
    CHECK(!memcmp(&made.key, &again.key, sizeof made.key) && !memcmp(made.slot, again.slot, sizeof made.slot));
    CHECK_OK(open_and_close("g", false, &again.key));
    CHECK_FAILS(with_passphrase("g", false, "wrong", &again), LRB_E_LOCKED);
    CHECK(strstr(err.message, "passphrase is wrong"));
    CHECK_OK(with_key(NULL, false, &made.key, &again)); /* what a recovery kit holds */
    CHECK_FAILS(with_key(NULL, false, &(lrb_key){{9}}, &again), LRB_E_LOCKED);
    fixture_close(&f);
}

TEST(a_key_file_is_the_key_itself) {
    static const lrb_key key = {{7, 7, 7}}, wrong = {{8}};
    lrb_unlocked out;
    lrb_keyring_listing here;
    fixture_open(&f);
    CHECK_OK(with_key("g", true, &key, &out));
    CHECK(!memcmp(&out.key, &key, sizeof key) && !out.by_slot);
    CHECK_OK(open_and_close("g", true, &key));
    CHECK_OK(lrb_keyring_list(f.storage, NULL, &here, &err));
    CHECK(here.count == 1 && here.slots[0].kind == LRB_KEY_SLOT_FILE);
    lrb_free(here.slots);
    CHECK_FAILS(with_key("g", false, &wrong, &out), LRB_E_LOCKED);
    CHECK_FAILS(with_passphrase("g", false, "right", &out), LRB_E_LOCKED);
    CHECK_FAILS(open_and_close("g", false, &wrong), LRB_E_LOCKED);
    CHECK(strstr(err.message, "another key"));
    CHECK_FAILS(lrb_keyring_remove(f.storage, &key, (uint8_t[16]){1}, &err), LRB_E_NOT_FOUND);
    fixture_close(&f);
}

TEST(all_graphs_have_one_key_and_the_same_slots) {
    lrb_unlocked one, two;
    fixture_open(&f);
    CHECK_OK(sealed_graph("one", &one));
    CHECK_FAILS(with_passphrase("two", true, "another", &two), LRB_E_LOCKED);
    CHECK_OK(sealed_graph("two", &two));
    CHECK(!memcmp(&one.key, &two.key, sizeof one.key));
    remove_below("one/keys");
    CHECK_OK(with_passphrase("one", false, "right", &one)); /* from the other graph's copy */
    CHECK_OK(open_and_close("one", false, &one.key));
    CHECK_OK(with_passphrase("one", true, "right", &one)); /* who writes brings it back */
    remove_below("two/keys");
    CHECK_OK(with_passphrase("two", false, "right", &two));
    fixture_close(&f);
}

TEST(passphrases_come_and_go_in_all_graphs) {
    lrb_unlocked one, two, out;
    lrb_key_slot added;
    lrb_keyring_listing here;
    fixture_open(&f);
    CHECK_OK(sealed_graph("one", &one));
    CHECK_OK(sealed_graph("two", &two));
    CHECK_FAILS(lrb_keyring_remove(f.storage, &one.key, one.slot, &err), LRB_E_INVALID);
    CHECK(strstr(err.message, "last way"));
    lrb_passphrase second = {(const uint8_t *)"second", 6};
    CHECK_OK(lrb_keyring_add(f.storage, &one.key, &second, &added, &err));
    CHECK_OK(with_passphrase(NULL, false, "second", &out));
    CHECK(!memcmp(out.slot, added.id, sizeof out.slot) && !memcmp(&out.key, &one.key, sizeof out.key));
    CHECK_OK(lrb_keyring_remove(f.storage, &one.key, one.slot, &err));
    CHECK_FAILS(with_passphrase(NULL, false, "right", &out), LRB_E_LOCKED);
    CHECK_FAILS(lrb_keyring_remove(f.storage, &one.key, one.slot, &err), LRB_E_NOT_FOUND);
    CHECK_OK(lrb_keyring_list(f.storage, NULL, &here, &err));
    CHECK(here.count == 1 && !memcmp(here.slots[0].id, added.id, sizeof added.id));
    lrb_free(here.slots);
    remove_below("one/keys"); /* the removal is known from the other graph */
    CHECK_FAILS(with_passphrase("one", false, "right", &out), LRB_E_LOCKED);
    CHECK_OK(with_passphrase("one", false, "second", &out));
    fixture_close(&f);
}

TEST(sealed_and_unsealed_do_not_mix_unnoticed) {
    lrb_unlocked out;
    fixture_open(&f);
    CHECK_OK(open_and_close("plain", true, NULL));
    CHECK_FAILS(with_passphrase("plain", false, "right", &out), LRB_E_LOCKED);
    CHECK(strstr(err.message, "not sealed"));
    CHECK_FAILS(with_passphrase("plain", true, "right", &out), LRB_E_LOCKED);
    CHECK_FAILS(with_passphrase("new", true, "right", &out), LRB_E_LOCKED);
    CHECK_FAILS(open_and_close("plain", true, &(lrb_key){{1}}), LRB_E_LOCKED);
    CHECK_OK(open_and_close("plain", false, NULL));
    fixture_close(&f);

    fixture_open(&f);
    CHECK_OK(sealed_graph("g", &out));
    CHECK_FAILS(open_and_close("g", true, NULL), LRB_E_LOCKED);
    CHECK(strstr(err.message, "is sealed"));
    CHECK_FAILS(open_and_close("beside", true, NULL), LRB_E_LOCKED);
    char path[400];
    struct stat found;
    snprintf(path, sizeof path, "%s/graphs/beside", f.storage);
    CHECK(stat(path, &found)); /* not even begun */
    fixture_close(&f);
}

TEST(without_any_slot_only_the_key_itself_opens) {
    lrb_unlocked made, out;
    fixture_open(&f);
    CHECK_OK(sealed_graph("g", &made));
    remove_below("g/keys");
    CHECK_FAILS(with_passphrase("g", false, "right", &out), LRB_E_LOCKED);
    CHECK(strstr(err.message, "slots of this storage path are gone"));
    CHECK_FAILS(open_and_close("g", false, NULL), LRB_E_DAMAGED);
    CHECK_OK(with_key("g", false, &made.key, &out));
    CHECK_OK(open_and_close("g", false, &out.key));
    CHECK_FAILS(open_and_close("g", false, &(lrb_key){{3}}), LRB_E_DAMAGED); /* nothing says it is another key */
    fixture_close(&f);
}

TEST(many_first_creators_agree_on_one_key) {
    enum { CREATORS = 6 };
    pid_t children[CREATORS];
    lrb_unlocked out;
    char graph[8];
    fixture_open(&f);
    for (int i = 0; i < CREATORS; i++) {
        if (!(children[i] = fork())) {
            snprintf(graph, sizeof graph, "g%d", i % 3);
            int code = sealed_graph(graph, &out);
            if (code) printf("%s: %s\n", err.target, err.message);
            fflush(stdout);
            _exit(code);
        }
    }
    int failed = 0, status;
    for (int i = 0; i < CREATORS; i++) failed += waitpid(children[i], &status, 0) < 0 || status;
    CHECK(!failed);
    CHECK_OK(with_passphrase(NULL, false, "right", &out));
    for (int i = 0; i < 3; i++) {
        snprintf(graph, sizeof graph, "g%d", i);
        CHECK_OK(open_and_close(graph, false, &out.key));
    }
    fixture_close(&f);
}

static const lrb_key file_key = {{7}};

static int add_passphrase(const char *text, lrb_key_slot *added) {
    return lrb_keyring_add(f.storage, &file_key, &(lrb_passphrase){(const uint8_t *)text, strlen(text)}, added, &err);
}

TEST(slots_are_listed_by_age_and_the_key_file_stays) {
    lrb_unlocked out;
    lrb_key_slot second, third;
    lrb_keyring_listing here;
    fixture_open(&f);
    CHECK_OK(with_key("g", true, &file_key, &out));
    CHECK_OK(add_passphrase("second", &second));
    CHECK_OK(add_passphrase("third", &third));
    CHECK_OK(lrb_keyring_list(f.storage, NULL, &here, &err));
    CHECK(here.count == 3 && here.slots[0].kind == LRB_KEY_SLOT_FILE && !memcmp(here.slots[1].id, second.id, sizeof second.id) &&
          !memcmp(here.slots[2].id, third.id, sizeof third.id));
    CHECK_FAILS(lrb_keyring_remove(f.storage, &file_key, here.slots[0].id, &err), LRB_E_INVALID);
    CHECK(strstr(err.message, "stands for the key file"));
    lrb_free(here.slots);
    CHECK_OK(with_passphrase("g", false, "third", &out));
    CHECK(!memcmp(out.slot, third.id, sizeof third.id));
    fixture_close(&f);
}

TEST(there_are_only_so_many_slots) {
    enum { MOST = 64 };
    lrb_unlocked out;
    lrb_key_slot slot;
    lrb_key_store store;
    fixture_open(&f);
    CHECK_OK(with_key("g", true, &file_key, &out)); /* one slot */
    CHECK_OK(lrb_key_store_open(&store, f.storage, NULL, false, &err));
    for (int i = 1; i < MOST; i++) { /* cheap ones: what a slot costs is not what is tested */
        lrb_passphrase passphrase = {(const uint8_t *)"cheap", 5};
        CHECK_OK(lrb_key_slot_new(&file_key, &passphrase, (lrb_scrypt_cost){4, 1, 1}, 1, &slot, &err));
        CHECK_OK(lrb_key_store_put_everywhere(&store, &slot, &file_key, &err));
    }
    lrb_key_store_close(&store);
    CHECK_FAILS(add_passphrase("one more", &slot), LRB_E_LIMIT);
    CHECK(strstr(err.message, "64 key slots already: remove one first"));
    fixture_close(&f);
}

/* A slot that has rotten is passed over where another graph has it whole; where none has, the message names it. */
TEST(a_slot_that_has_rotten_is_named_once_no_copy_is_left) {
    lrb_unlocked made, out;
    lrb_key_slot added;
    char path[400], hex[2 * LRB_KEY_SLOT_ID_BYTES + 1];
    fixture_open(&f);
    CHECK_OK(sealed_graph("one", &made));
    CHECK_OK(sealed_graph("two", &made));
    lrb_hex(made.slot, sizeof made.slot, hex);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(with_passphrase("one", false, "right", &out));
        snprintf(path, sizeof path, "%s/graphs/%s/keys/%s", f.storage, i ? "two" : "one", hex);
        chmod(path, 0600);
        CHECK(!truncate(path, 20));
    }
    CHECK_FAILS(with_passphrase("one", false, "right", &out), LRB_E_LOCKED);
    CHECK(strstr(err.message, "slots of this storage path are gone; unreadable is one/keys/"));
    CHECK_OK(lrb_keyring_add(f.storage, &made.key, &(lrb_passphrase){(const uint8_t *)"new", 3}, &added, &err)); /* by the recovery kit */
    CHECK_OK(with_passphrase("two", false, "new", &out));
    CHECK(!memcmp(&out.key, &made.key, sizeof out.key));
    CHECK_FAILS(with_passphrase("one", false, "right", &out), LRB_E_LOCKED);
    CHECK(strstr(err.message, "the passphrase is wrong: it opens none of the key slots here; unreadable is one/keys/"));
    fixture_close(&f);
}

/* Slots of another storage path, opened by the same passphrase, on both sides of the right one; and memory that runs out then. */
TEST(a_slot_of_another_storage_path_is_passed_over) {
    static const lrb_scrypt_cost cheap = {4, 1, 1};
    lrb_key_slot foreign;
    lrb_key_store r;
    lrb_unlocked made, out;
    fixture_open(&f);
    CHECK_OK(sealed_graph("g", &made));
    CHECK_OK(lrb_key_store_open(&r, f.storage, NULL, false, &err));
    for (int i = 0; i < 8; i++) {
        CHECK_OK(lrb_key_slot_new(&file_key, &(lrb_passphrase){(const uint8_t *)"right", 5}, cheap, i, &foreign, &err));
        CHECK_OK(lrb_key_store_put(&r, "g", &foreign, &file_key, &err));
    }
    lrb_key_store_close(&r);
    int code = LRB_E_NOMEM;
    for (int n = 0; code; n += n > 30 ? 4 : 1) {
        lrb_mem_fail_after(n, false);
        code = with_passphrase("g", true, "right", &out);
        lrb_mem_fail_after(-1, false);
        CHECK(!code || code == LRB_E_NOMEM);
    }
    CHECK(!memcmp(&out.key, &made.key, sizeof out.key) && !memcmp(out.slot, made.slot, sizeof out.slot));
    fixture_close(&f);
}

/* All that looks after slots, from a storage path that has none. */
static int look_after_slots(void) {
    lrb_unlocked out;
    lrb_key_slot added;
    lrb_keyring_listing here = {0};
    int code = with_key("h", true, &file_key, &out);
    if (!code) code = open_and_close("h", true, &file_key);
    if (!code) code = add_passphrase("another", &added);
    if (!code) code = with_passphrase("h", false, "another", &out);
    if (!code) code = lrb_keyring_list(f.storage, NULL, &here, &err);
    lrb_free(here.slots);
    if (code) return code;
    return lrb_keyring_remove(f.storage, &file_key, added.id, &err);
}

TEST(memory_running_out_is_survived) {
    int code = LRB_E_NOMEM;
    for (int n = 0; code; n++) {
        fixture_open(&f);
        lrb_mem_fail_after(n, false);
        code = look_after_slots();
        lrb_mem_fail_after(-1, false);
        CHECK(!code || code == LRB_E_NOMEM);
        CHECK_OK(look_after_slots());
        fixture_close(&f);
        n += n > 30 ? 4 : 0; /* derivations are slow, and the first calls have them all */
    }
}

int main(void) {
    RUN(the_first_passphrase_makes_the_key_and_opens_it_again);
    RUN(a_key_file_is_the_key_itself);
    RUN(all_graphs_have_one_key_and_the_same_slots);
    RUN(passphrases_come_and_go_in_all_graphs);
    RUN(sealed_and_unsealed_do_not_mix_unnoticed);
    RUN(without_any_slot_only_the_key_itself_opens);
    RUN(many_first_creators_agree_on_one_key);
    RUN(slots_are_listed_by_age_and_the_key_file_stays);
    RUN(there_are_only_so_many_slots);
    RUN(a_slot_that_has_rotten_is_named_once_no_copy_is_left);
    RUN(a_slot_of_another_storage_path_is_passed_over);
    RUN(memory_running_out_is_survived);
    return check_report();
}
