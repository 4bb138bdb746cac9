/* Which chunks the snapshots need, and where they lie: the walk behind prune and verify.
 *
 * From a root (a snapshot's body, an item's recipe) every chunk below is visited; a node that was visited before,
 * from whatever root, is not read again, so ten thousand snapshots that share nearly everything cost little more than
 * one. "Visited" is a bit per place in a pack (marks.h), not a set of ids: an id is looked up with its full 32 bytes
 * compared, and two ids never share a place, so no collision can pass a live chunk over. A bounded memo of ids found
 * whole saves most look-ups.
 *
 * Of several copies of a chunk one is live: a copy already live, else one in a known pack, else in a retired, else in
 * a damaged one. Copies in `bad` count as not there. A chunk without a good copy makes every node and root above it
 * lost. A node that is lost or cannot be read hides what is below it: the walk is then blind, and nobody may conclude
 * that an unmarked chunk is dead.
 *
 * Long walks are cut into steps. One thread at a time. Statuses of packs are those at lrb_reach_new. After a failed
 * call a reach can only be freed: the walk it broke off has marked nodes whose chunks it has not.
 */
#ifndef LRB_ENGINE_REACH_H
#define LRB_ENGINE_REACH_H

#include "engine/marks.h"
#include "engine/tally.h"

typedef struct lrb_reach lrb_reach;

/* `bad`: places whose bytes are known to be rotten; NULL: none. Borrowed, and constant while the reach lives. */
int lrb_reach_new(lrb_repo *repo, const lrb_marks *bad, lrb_reach **out, lrb_err *err);
void lrb_reach_free(lrb_reach *reach);
/* From now on lists are added up (tally.h); to be called before the first walk. */
void lrb_reach_add_up(lrb_reach *reach);

/* Starts the walk below `root` (the walk before is done), then goes on with it for some milliseconds at a time until
 * *done. Errors: NOMEM and those of the machine; stored objects that are lost or malformed are results. */
int lrb_reach_begin(lrb_reach *reach, lrb_coder *coder, const lrb_row *root, lrb_err *err);
int lrb_reach_step(lrb_reach *reach, lrb_coder *coder, bool *done, lrb_err *err);

/* Makes one chunk live that nothing names (the copy of an entry's payload). *found false: no pack has it. */
int lrb_reach_keep(lrb_reach *reach, const lrb_id *id, bool *found, lrb_err *err);

/* The live chunks of all walks so far: one place each. */
const lrb_marks *lrb_reach_live(const lrb_reach *reach);
/* How many times a chunk was not found or only bad copies of it were; how many of these were nodes (blind walks), and
 * what was wrong with the first of those. */
uint64_t lrb_reach_lost_count(const lrb_reach *reach);
uint64_t lrb_reach_blind_count(const lrb_reach *reach);
const lrb_err *lrb_reach_blind_reason(const lrb_reach *reach);

/* Whether a data chunk with this id was lost. When very many were, the answer is always yes. */
bool lrb_reach_lacks(lrb_reach *reach, const lrb_id *id);

/* Whether something below a row that was walked is lost. */
int lrb_reach_is_lost(lrb_reach *reach, const lrb_row *row, bool *lost, lrb_err *err);

/* What a row that was walked, and is not lost, adds up to: a file, or a body. */
int lrb_reach_tally(lrb_reach *reach, lrb_coder *coder, const lrb_row *row, lrb_tally *tally, lrb_err *err);

typedef struct lrb_blame {
    lrb_id chunk;        /* the first lost chunk */
    lrb_chunk_kind kind;
    bool placed;         /* a pack has a (bad) copy: `pack` is its position */
    uint32_t pack;
} lrb_blame;
/* The first lost chunk below a lost row. */
int lrb_reach_blame(lrb_reach *reach, lrb_coder *coder, const lrb_row *row, lrb_blame *blame, lrb_err *err);

#endif
