/* Keys of a repository: each its own, and none without a master key. */
#include "repo/vault.h"

#include "base/mem.h"
#include "check.h"

static const uint8_t repository[LRB_REPO_ID_BYTES] = {1, 2, 3}, other_repository[LRB_REPO_ID_BYTES] = {1, 2, 4};
static const lrb_key master = {{7, 8, 9}};
static lrb_err err;

/* Golden: computed from vault.h's text by another program. Sealed repositories cannot be read under other keys. */
TEST(keys_are_those_of_the_format) {
    static const uint8_t salt[LRB_SALT_BYTES] = {5};
    lrb_vault vault;
    lrb_key key;
    char hex[65];
    CHECK_OK(lrb_vault_open(&vault, repository, "g", &master, &err));
    CHECK_OK(lrb_vault_key(&vault, "pack", salt, &key, &err));
    lrb_hex(key.bytes, sizeof key.bytes, hex);
    CHECK(!strcmp(hex, "cc7eedc2fcc6fb2e48bbdff75798587e1c9c08368ae8cead9161563b9f736a93"));
    lrb_hex(vault.cut_seed, sizeof vault.cut_seed, hex);
    CHECK(!strcmp(hex, "db625ec7163e66e45b3ce1c917401acf577b286b0942d021c9767b7c7dda2195"));
    uint8_t id[LRB_DIGEST_BYTES];
    CHECK_OK(lrb_hmac_sha256(lrb_vault_id_key(&vault), "abc", 3, id, &err));
    lrb_hex(id, sizeof id, hex);
    CHECK(!strcmp(hex, "a26124a209ba01e304e2692f9bd3f2c9826cf5fa04c055c6953077b0f41fd9e7"));
    lrb_vault_clear(&vault);
}

TEST(purpose_salt_repository_and_master_all_matter) {
    static const uint8_t salt[LRB_SALT_BYTES] = {5}, other_salt[LRB_SALT_BYTES] = {6};
    static const lrb_key other_master = {{7, 8, 10}};
    lrb_vault a, b, c;
    lrb_key keys[5];
    CHECK_OK(lrb_vault_open(&a, repository, "g", &master, &err));
    CHECK_OK(lrb_vault_open(&b, other_repository, "g", &master, &err));
    CHECK_OK(lrb_vault_open(&c, repository, "g", &other_master, &err));
    CHECK_OK(lrb_vault_key(&a, "pack", salt, &keys[0], &err));
    CHECK_OK(lrb_vault_key(&a, "pack", other_salt, &keys[1], &err));
    CHECK_OK(lrb_vault_key(&a, "entry", salt, &keys[2], &err));
    CHECK_OK(lrb_vault_key(&b, "pack", salt, &keys[3], &err));
    CHECK_OK(lrb_vault_key(&c, "pack", salt, &keys[4], &err));
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < i; j++) CHECK(memcmp(&keys[i], &keys[j], sizeof keys[i]) != 0);
    CHECK(memcmp(&a.id_key, &a.mac_key, sizeof a.id_key) != 0);
    CHECK(memcmp(&a.id_key, &b.id_key, sizeof a.id_key) != 0);
}

TEST(without_a_master_key_nothing_is_keyed) {
    static const uint8_t zero[LRB_DIGEST_BYTES];
    lrb_vault vault;
    CHECK_OK(lrb_vault_open(&vault, repository, "graph", NULL, &err));
    CHECK(!vault.sealed && !lrb_vault_id_key(&vault) && !lrb_vault_id_key(NULL));
    CHECK(!strcmp(vault.graph_id, "graph") && !memcmp(vault.repository_id, repository, sizeof repository));
    CHECK(!memcmp(vault.cut_seed, zero, sizeof zero)); /* the public cuts of the format */
}

TEST(clearing_wipes) {
    lrb_vault vault, zero = {0};
    CHECK_OK(lrb_vault_open(&vault, repository, "g", &master, &err));
    lrb_vault_clear(&vault);
    CHECK(!memcmp(&vault, &zero, sizeof vault));
}

TEST(memory_running_out_is_survived) {
    lrb_vault vault;
    int code = LRB_E_NOMEM;
    for (int n = 0; code; n++) {
        lrb_mem_fail_after(n, false);
        code = lrb_vault_open(&vault, repository, "g", &master, &err);
        lrb_mem_fail_after(-1, false);
        CHECK(!code || code == LRB_E_NOMEM);
    }
}

int main(void) {
    RUN(keys_are_those_of_the_format);
    RUN(purpose_salt_repository_and_master_all_matter);
    RUN(without_a_master_key_nothing_is_keyed);
    RUN(clearing_wipes);
    RUN(memory_running_out_is_survived);
    return check_report();
}
