/* The slot objects of a storage path, gathered from the keys directories of all its graphs, and ways to put more there.
 *
 * For keyring.c. An object is a slot or the removal of one; each stands here once, wherever it lies. One that cannot be
 * read in one graph may be whole in another: it stops nothing, and the first such is remembered for messages.
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
} lrb_key_store;

/* Gathers. On failure there is nothing to close. */
int lrb_key_store_open(lrb_key_store *r, const char *storage_path, const char *own, bool create, lrb_err *err);
void lrb_key_store_close(lrb_key_store *r);
int lrb_key_store_gather(lrb_key_store *r, lrb_err *err); /* again */
/* The objects in one open keys directory. */
int lrb_key_store_read(lrb_key_store *r, int keys_dir, const char *graph, lrb_err *err);

/* Takes an object in; a second time is nothing. */
int lrb_key_store_add(lrb_key_store *r, const lrb_key_slot *object, lrb_err *err);
/* Whether it is a slot that no removal names. */
bool lrb_key_store_is_open(const lrb_key_store *r, const lrb_key_slot *object);
size_t lrb_key_store_count_open(const lrb_key_store *r);

/* Makes an object durable in one graph, or in all; where it is already it stays. What is broken under its name is replaced. */
int lrb_key_store_put(const lrb_key_store *r, const char *graph, const lrb_key_slot *object, lrb_err *err);
int lrb_key_store_put_everywhere(const lrb_key_store *r, const lrb_key_slot *object, lrb_err *err);
/* Brings all graphs up to date: removals first, so that no moment has a slot without its removal; files of closed slots
 * are unlinked, because they hold the key for whoever knows the old passphrase. What was not made with the key is not
 * carried on. What lies in the caller's own graph is durable afterwards, whoever made it. */
int lrb_key_store_spread(const lrb_key_store *r, const lrb_key *key, lrb_err *err);

#endif
