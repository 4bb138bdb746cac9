/* Which pack holds a chunk: an open-addressing table of 16-byte slots, derived from pack trailers.
 *
 *   slot: first 8 bytes of the chunk id u64 | pack position u32 | ordinal in the pack u32   (pack UINT32_MAX: free)
 *
 * A slot is a hint: the caller compares the full id with the pack's trailer row, so a wrong index can cost
 * deduplication or a rebuild, never a wrong chunk. The same id may stand in several packs (raced, healed, repacked):
 * lookups walk all candidates.
 *
 * Prefixes are uniform, so the home of one is prefix * homes >> 64, and probing is linear. Taken slots are in the order
 * of their prefixes, also within a run, and runs do not wrap around: behind the last home there are some slots more.
 * That order is what lets the table grow in place: every slot moves up or stays, so growing needs no second table. At
 * most 5/6 of the homes are taken and a full table grows by an eighth: 19 to 22 bytes per chunk, also while it grows.
 * Chosen prefixes cost time, never correctness. Not thread-safe: owners lock.
 */
#ifndef LRB_REPO_INDEX_H
#define LRB_REPO_INDEX_H

#include "repo/format.h"

typedef struct lrb_slot { uint64_t prefix; uint32_t pack, ordinal; } lrb_slot;

typedef struct lrb_index {
    lrb_slot *slots;
    uint64_t capacity, homes, used; /* slots in all; those that are some prefix's home; taken */
} lrb_index;

void lrb_index_init(lrb_index *index);
void lrb_index_clear(lrb_index *index);
/* Room for this many in all without growing. */
int lrb_index_reserve(lrb_index *index, uint64_t chunks, lrb_err *err);
/* On failure the index is as before. */
int lrb_index_add(lrb_index *index, const lrb_id *id, uint32_t pack, uint32_t ordinal, lrb_err *err);

/* Candidates for `id`, one at a time: start with cursor = UINT64_MAX; true while there is one. */
bool lrb_index_next(const lrb_index *index, const lrb_id *id, uint64_t *cursor, uint32_t *pack, uint32_t *ordinal);

#endif
