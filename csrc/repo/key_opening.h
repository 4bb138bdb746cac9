/* Which of the slots of a storage path gives its master key. For keyring.c.
 *
 * Until a secret has given the key nobody can tell who made a slot or a removal, and each slot costs a derivation. So each
 * different slot is tried once, the one this host opened last before all others, then those that nothing closes, the
 * cheapest first, and no more of them than
 * LRB_UNLOCK_WORK in all (N * r * p of scrypt): twice what as many slots as there may be ask for, and as much as the dearest
 * that is read at all. A removal counts once the slot it names has given the key and the key made the removal.
 */
#ifndef LRB_REPO_KEY_OPENING_H
#define LRB_REPO_KEY_OPENING_H

#include "repo/key_store.h"
#include "repo/keyring.h"

enum { LRB_UNLOCK_WORK = 1 << 25 };

/* LOCKED, in one sentence. */
int lrb_key_open_by_passphrase(const lrb_key_store *r, const lrb_secret *secret, lrb_unlocked *out, lrb_err *err);
int lrb_key_open_by_key(const lrb_key_store *r, const lrb_key *key, lrb_unlocked *out, lrb_err *err);

#endif
