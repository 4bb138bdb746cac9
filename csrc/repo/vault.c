#include "repo/vault.h"

#include <stdio.h>
#include <string.h>

static int derive(const lrb_vault *vault, const char *purpose, const uint8_t *salt, size_t salt_bytes,
                  uint8_t out[LRB_KEY_BYTES], lrb_err *err) {
    uint8_t info[64];
    size_t length = (size_t)snprintf((char *)info, sizeof info - LRB_REPO_ID_BYTES, "lightrag-bkp %s", purpose) + 1;
    memcpy(info + length, vault->repository_id, LRB_REPO_ID_BYTES);
    return lrb_hkdf(vault->master.bytes, salt, salt_bytes, info, length + LRB_REPO_ID_BYTES, out, err);
}

static int derive_hmac(const lrb_vault *vault, const char *purpose, lrb_hmac_key *out, lrb_err *err) {
    uint8_t secret[LRB_KEY_BYTES];
    int code = derive(vault, purpose, (const uint8_t *)"", 0, secret, err);
    if (!code) lrb_hmac_key_set(out, secret);
    lrb_bytes_wipe(secret, sizeof secret);
    return code;
}

int lrb_vault_open(lrb_vault *vault, const uint8_t repository_id[LRB_REPO_ID_BYTES], const char *graph_id,
                   const lrb_key *master, lrb_err *err) {
    memset(vault, 0, sizeof *vault);
    memcpy(vault->repository_id, repository_id, LRB_REPO_ID_BYTES);
    snprintf(vault->graph_id, sizeof vault->graph_id, "%s", graph_id);
    if (!master) return LRB_OK;
    vault->sealed = true;
    vault->master = *master;
    int code = derive_hmac(vault, "id", &vault->id_key, err);
    if (!code) code = derive_hmac(vault, "mac", &vault->mac_key, err);
    if (!code) code = derive(vault, "cuts", (const uint8_t *)"", 0, vault->cut_seed, err);
    if (code) lrb_vault_clear(vault);
    return code;
}

void lrb_vault_clear(lrb_vault *vault) { lrb_bytes_wipe(vault, sizeof *vault); }

int lrb_vault_key(const lrb_vault *vault, const char *purpose, const uint8_t salt[LRB_SALT_BYTES], lrb_key *key,
                  lrb_err *err) {
    return derive(vault, purpose, salt, LRB_SALT_BYTES, key->bytes, err);
}

const lrb_hmac_key *lrb_vault_id_key(const lrb_vault *vault) {
    return vault && vault->sealed ? &vault->id_key : NULL;
}
