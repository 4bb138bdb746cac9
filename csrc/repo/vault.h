/* Which repository objects belong to, and the keys that seal them: what packs, chunks and entries ask.
 *
 * A repository is sealed as a whole or not at all. All keys come from one master key of 32 bytes, the same for all
 * graphs of a storage path, by HKDF-SHA256 with a salt and info = "lightrag-bkp " | what for | 0 | repository id[16]:
 *
 *   pack     salt: the pack's         seals its chunks, nonce = ordinal, and its trailer, nonce = 2^32 - 1
 *   entry    salt: the entry's        seals its payload, nonce = 0
 *   mac      salt: none               HMAC-SHA256 over entries
 *   id       salt: none               chunk ids are HMAC-SHA256, so that nobody can tell what was stored by hashing
 *   cuts     salt: none               the chunker's seed, so that lengths of chunks tell nothing
 *   cache    salt: the file's         seals what lies in cache/
 *
 * Salts are 32 random bytes, drawn for each object: no key seals two objects, whatever process dies or forks when.
 * Plain memory, constant once opened, so any thread may read it; lrb_vault_clear wipes it.
 */
#ifndef LRB_REPO_VAULT_H
#define LRB_REPO_VAULT_H

#include "codec/seal.h"
#include "repo/format.h"

typedef struct lrb_key { uint8_t bytes[LRB_KEY_BYTES]; } lrb_key;

typedef struct lrb_vault {
    uint8_t repository_id[LRB_REPO_ID_BYTES];
    char graph_id[129];
    bool sealed;
    lrb_key master;              /* from here on: zero when not sealed */
    lrb_hmac_key id_key, mac_key;
    uint8_t cut_seed[LRB_DIGEST_BYTES];
} lrb_vault;

/* `master` NULL: not sealed; nothing can fail then. */
int lrb_vault_open(lrb_vault *vault, const uint8_t repository_id[LRB_REPO_ID_BYTES], const char *graph_id,
                   const lrb_key *master, lrb_err *err);
void lrb_vault_clear(lrb_vault *vault);

/* The key of one object of a sealed repository. `purpose`: a word of the table above. */
int lrb_vault_key(const lrb_vault *vault, const char *purpose, const uint8_t salt[LRB_SALT_BYTES], lrb_key *key,
                  lrb_err *err);

/* The key of chunk ids; NULL when not sealed, and for no vault at all. */
const lrb_hmac_key *lrb_vault_id_key(const lrb_vault *vault);

#endif
