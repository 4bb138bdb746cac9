/* The slot objects of a storage path, gathered from the keys directories of all its graphs, and ways to put more there.
 *
 * For keyring.c. An object is a slot or the removal of one; each stands here once, wherever it lies. One that cannot be
 * read in one graph may be whole in another: it stops nothing, and the first such is remembered for messages. Whose they are is known only once the
 * key is: until lrb_key_store_judge, slots and removals are claims, and two may have one name.
 */
#ifndef LRB_REPO_KEY_STORE_H
#define LRB_REPO_KEY_STORE_H

#include "repo/key_slot.h"
#include "repo/storage.h"

typedef struct lrb_key_store {
    const char *path;      /* the storage path, for messages */
    int graphs_dir;
    lrb_graph_names graphs;
    const char *own;       /* the graph whose objects come first; NULL: none */
    lrb_key_slot *objects;
    size_t count, room;
    char problem[200];     /* "graph/keys/name" of the first object that could not be read; "": none */
    char forged[200];      /* of the first that lrb_key_store_judge threw out; "": none */
} lrb_key_store;

/* Gathers. On failure there is nothing to close. */
int lrb_key_store_open(lrb_key_store *r, const char *storage_path, const char *own, bool create, lrb_err *err);
void lrb_key_store_close(lrb_key_store *r);
int lrb_key_store_gather(lrb_key_store *r, lrb_err *err); /* again */
/* The objects in one open keys directory. */
int lrb_key_store_read(lrb_key_store *r, int keys_dir, const char *graph, lrb_err *err);

/* Throws out what was not made with the key, slots and removals alike. */
int lrb_key_store_judge(lrb_key_store *r, const lrb_key *key, lrb_err *err);

/* Takes an object in; the same bytes a second time are nothing. */
int lrb_key_store_add(lrb_key_store *r, const lrb_key_slot *object, lrb_err *err);
/* Whether it is a slot that no removal names. */
bool lrb_key_store_is_open(const lrb_key_store *r, const lrb_key_slot *object);
size_t lrb_key_store_count_open(const lrb_key_store *r);
bool lrb_key_store_has_slots(const lrb_key_store *r); /* open or closed */
/* Whether one of the removals of a slot was made with the key. */
int lrb_key_store_is_removed(const lrb_key_store *r, const lrb_key_slot *slot, const lrb_key *key, bool *removed, lrb_err *err);
/* "graph/keys/name" */
void lrb_key_store_name(const lrb_key_slot *object, char *out, size_t room);

/* Makes an object durable in one graph, or in all; where it is already it stays. What under its name is broken, or was not made
 * with the key, is replaced. */
int lrb_key_store_put(const lrb_key_store *r, const char *graph, const lrb_key_slot *object, const lrb_key *key, lrb_err *err);
int lrb_key_store_put_everywhere(const lrb_key_store *r, const lrb_key_slot *object, const lrb_key *key, lrb_err *err);
/* Judges, and brings all graphs up to date: removals first, so that no moment has a slot without its removal; files of closed slots
 * are unlinked, because they hold the key for whoever knows the old passphrase. What was not made with the key is not
 * carried on. What lies in the caller's own graph is durable afterwards, whoever made it. */
int lrb_key_store_spread(lrb_key_store *r, const lrb_key *key, lrb_err *err);

#endif
