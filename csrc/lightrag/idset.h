/* Sets of ids too many to keep as text: what is known of each object of a graph, in 32 bytes, and plain membership, in
 * eight.
 *
 * An id is known by its hash under a random key of this run (lrb_idset_hash, 96 bits are kept; of a membership 64):
 * nobody can arrange that two ids are taken for one, and by chance two of ten million ids are with probability 10^-15 (10^-6). Which
 * name an id had is not kept: who has to tell it reads the file again.
 *
 * Any thread may use a set. It is divided into shards, each with its lock, that grow by half of their size, one at a
 * time: a set takes at most 64 bytes per id (16 where only membership is kept) and 40 on average, also while it grows.
 */
#ifndef LRB_LIGHTRAG_IDSET_H
#define LRB_LIGHTRAG_IDSET_H

#include <pthread.h>
#include <stdbool.h>

#include "base/err.h"
#include "codec/siphash.h"

enum { LRB_IDSET_SHARDS = 64 };

typedef struct lrb_id_slot {
    uint64_t id;            /* 0 and id_more 0: free */
    uint32_t id_more;
    uint32_t flags;         /* the owner's, as are the words; all zero when the id is new */
    uint64_t words[2];
} lrb_id_slot;

typedef struct lrb_idset_shard {
    pthread_mutex_t lock;
    void *slots;
    uint64_t room, used;
} lrb_idset_shard;

typedef struct lrb_idset {
    size_t slot_bytes;
    lrb_idset_shard shards[LRB_IDSET_SHARDS];
} lrb_idset;

/* `members` false: a set of slots. True: a set of memberships. No memory is taken before the first id. */
void lrb_idset_init(lrb_idset *set, bool members);
void lrb_idset_clear(lrb_idset *set);
uint64_t lrb_idset_count(lrb_idset *set);

/* ---- slots ---- */
/* The id's slot, with its shard locked until lrb_idset_release; made when missing and `add`. NULL when it is missing, or,
 * with `add`, when there is no memory. Only one slot may be held at a time. */
lrb_id_slot *lrb_idset_hold(lrb_idset *set, const lrb_hash *id, bool add);
void lrb_idset_release(lrb_idset *set, const lrb_hash *id);
/* The flags of an id, 0 when it is not in the set. */
uint32_t lrb_idset_flags(lrb_idset *set, const lrb_hash *id);
/* Sets flags; *before, which may be NULL, is what they were. */
int lrb_idset_mark(lrb_idset *set, const lrb_hash *id, uint32_t flags, uint32_t *before, lrb_err *err);
/* Calls `each` for every slot; nobody else may use the set meanwhile. */
void lrb_idset_each(lrb_idset *set, void (*each)(void *arg, lrb_id_slot *slot), void *arg);

/* ---- memberships ---- */
int lrb_idset_join(lrb_idset *set, const lrb_hash *id, bool *was_in, lrb_err *err);
bool lrb_idset_has(lrb_idset *set, const lrb_hash *id);

#endif
