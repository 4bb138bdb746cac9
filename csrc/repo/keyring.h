/* The key slots (key_slot.h) of a storage path, as one set: graphs/<graph_id>/keys/<slot id>, and <slot id>.removed.
 *
 * One storage path has one master key. Its slots lie in every graph, so that a graph that is copied away, or the only one
 * that is left, still opens; a slot that is missing in one graph is found in another. What lies where is therefore no
 * statement: the slots there are all of all graphs, less those that a removal in any graph names and that was made with
 * the key: who has none can neither add nor close a slot. A removed slot does not come back from a copy made before. Objects are created whole (written aside, linked to their name) and never changed; one
 * that is broken is replaced by a whole copy. Mode 0600 in a directory of 0750; a slot's own file is unlinked once its removal is in every graph.
 *
 * Whoever unlocks to write brings every graph up to date. Only slots and removals made with the key are copied on.
 *
 * The first slot is made under a lock on graphs/: two creators would make two keys. Nothing else rests on it.
 */
#ifndef LRB_REPO_KEYRING_H
#define LRB_REPO_KEYRING_H

#include "repo/key_slot.h"

typedef struct lrb_secret { /* one of the two */
    const lrb_passphrase *passphrase;
    const lrb_key *key; /* what is in a key file */
    const uint8_t *first; /* digest of the slot that this host opened last, to be tried before others; NULL: none known */
} lrb_secret;

typedef struct lrb_unlocked {
    lrb_key key;
    bool by_slot;                           /* a passphrase opened `slot` */
    uint8_t slot[LRB_KEY_SLOT_ID_BYTES];
    uint8_t slot_digest[LRB_DIGEST_BYTES];
    char forged[200];                       /* "graph/keys/<name>" of the first object here that the key did not make; "": none */
} lrb_unlocked;

/* The master key of a storage path. With `create` also the first one, in a slot of `graph_id`, when nothing is there yet
 * that is not sealed. LOCKED, in one sentence, for a secret that does not fit and where nothing is sealed; NOT_FOUND when
 * there is neither a slot nor a graph `graph_id` (NULL: none in particular). Who is done wipes the key. */
int lrb_keyring_unlock(const char *storage_path, const char *graph_id, bool create, const lrb_secret *secret,
                       lrb_unlocked *unlocked, lrb_err *err);

typedef struct lrb_keyring_listing {
    lrb_key_slot *slots; /* open ones, oldest first, from lrb_alloc, also after a failure */
    size_t count;
    bool sealed;         /* whether anything here is: slots, removals, what cannot be read, or logs say so */
} lrb_keyring_listing;

/* Without a key (NULL) what the slots and removals say of themselves; with it only what was made with it. */
int lrb_keyring_list(const char *storage_path, const lrb_key *key, lrb_keyring_listing *listing, lrb_err *err);

/* Adds a passphrase to all graphs. LIMIT when there are very many already. */
int lrb_keyring_add(const char *storage_path, const lrb_key *key, const lrb_passphrase *passphrase, lrb_key_slot *added,
                    lrb_err *err);
/* Closes a slot in all graphs. INVALID for the last one; NOT_FOUND. */
int lrb_keyring_remove(const char *storage_path, const lrb_key *key, const uint8_t slot_id[LRB_KEY_SLOT_ID_BYTES],
                       lrb_err *err);

/* ---- for repo.c ---- */

/* Whether a graph below graphs/ has a slot. */
int lrb_keyring_any(int graphs_dir, bool *any, lrb_err *err);
/* What the slots in a graph's own directory say. One that cannot be read speaks neither for a key nor against it. */
typedef struct lrb_keyring_sight {
    bool any;             /* there are some, readable or not */
    bool another;         /* none was made with this key */
    char foreign[64];     /* "keys/<name>" of the first that was not made with this key; "": none */
    char unreadable[64];  /* "keys/<name>" of the first that cannot be read; "": none */
} lrb_keyring_sight;
int lrb_keyring_look(int graph_dir, const lrb_key *key, lrb_keyring_sight *sight, lrb_err *err);

#endif
