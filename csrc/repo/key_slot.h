/* Key slots: objects that say how to come to a storage path's master key, and which ways are closed.
 *
 *   0 "lrbkey01" | 8 version u16 | 10 kind u8 | 11 log2 N u8 | 12 r u8 | 13 p u8 | 14 zero[2] | 16 slot id[16]
 *   32 key id[16] | 48 created i64 (ns since 1970, claimed) | 56 zero[8] | 64 salt[32] | 96 wrapped key[32] | 128 tag[16]
 *   144 MAC[32] | 176 SHA-256 of all before[32]
 *
 *   1 passphrase   scrypt(passphrase, salt, N, r, p) opens the wrapped key: AES-256-GCM, nonce 0, bytes 0 to 95 associated
 *   2 key file     the key is not in it: whoever has the key file has the key. Cost, salt and wrapped key are zero
 *   3 removed      the slot of this id is closed for ever. Cost, salt and wrapped key are zero
 *
 * key id = the first 16 bytes of HKDF-SHA256(master key, no salt, "lightrag-bkp key id"): tells two master keys apart and
 * nothing else. MAC = HMAC-SHA256 of bytes 0 to 143 under HKDF-SHA256(master key, no salt, "lightrag-bkp slot"): only who
 * has the key makes, removes or copies slots. The digest tells damage from a wrong passphrase.
 *
 * Stored costs have ceilings (2^20, 32, 16, and 256 MiB in all), so that no slot makes a reader work or allocate without
 * end. Pure functions over bytes; no state, any thread.
 */
#ifndef LRB_REPO_KEY_SLOT_H
#define LRB_REPO_KEY_SLOT_H

#include "repo/vault.h"

enum { LRB_KEY_SLOT_BYTES = 208, LRB_KEY_SLOT_ID_BYTES = 16, LRB_KEY_ID_BYTES = 16, LRB_PASSPHRASE_MAX_BYTES = 4096 };

typedef enum lrb_key_slot_kind {
    LRB_KEY_SLOT_PASSPHRASE = 1,
    LRB_KEY_SLOT_FILE = 2,
    LRB_KEY_SLOT_REMOVED = 3
} lrb_key_slot_kind;

typedef struct lrb_key_slot {
    lrb_key_slot_kind kind;
    uint8_t id[LRB_KEY_SLOT_ID_BYTES], key_id[LRB_KEY_ID_BYTES];
    int64_t created_ns;
    lrb_scrypt_cost cost;
    uint8_t bytes[LRB_KEY_SLOT_BYTES]; /* the object itself */
    const char *graph;                 /* where a key store found it, whose name it is; NULL: not in one */
} lrb_key_slot;

/* SHA-256 of all that is in a slot, which its bytes end with: no other slot has it, whoever made that. */
const uint8_t *lrb_key_slot_digest(const lrb_key_slot *slot);

/* What a passphrase costs: about a tenth of a second and 32 MiB. */
extern const lrb_scrypt_cost lrb_passphrase_cost;

typedef struct lrb_passphrase { const uint8_t *bytes; size_t count; } lrb_passphrase; /* borrowed */

int lrb_key_id(const lrb_key *key, uint8_t out[LRB_KEY_ID_BYTES], lrb_err *err);
/* HKDF-SHA256(master key, no salt, "lightrag-bkp state"): seals what a database beside the repositories tells of them. */
int lrb_key_for_state(const lrb_key *key, uint8_t out[LRB_KEY_BYTES], lrb_err *err);

/* A new slot with a random id. `passphrase` NULL: a slot of kind FILE. INVALID for an empty or endless passphrase. */
int lrb_key_slot_new(const lrb_key *key, const lrb_passphrase *passphrase, lrb_scrypt_cost cost, int64_t created_ns,
                     lrb_key_slot *slot, lrb_err *err);
/* The removal of a slot. */
int lrb_key_slot_removal(const lrb_key *key, const lrb_key_slot *of, int64_t created_ns, lrb_key_slot *slot, lrb_err *err);

/* DAMAGED or UNSUPPORTED, naming `label`, for what is no slot. */
int lrb_key_slot_parse(const uint8_t *bytes, size_t count, const char *label, lrb_key_slot *slot, lrb_err *err);

/* *opened: whether the passphrase gave the key. Takes its tenth of a second either way. */
int lrb_key_slot_open(const lrb_key_slot *slot, const lrb_passphrase *passphrase, bool *opened, lrb_key *key,
                      lrb_err *err);
/* Whether somebody who had the key made this slot. */
int lrb_key_slot_check(const lrb_key_slot *slot, const lrb_key *key, bool *genuine, lrb_err *err);

#endif
