/* The folded state as the payload of a checkpoint entry. For state.c.
 *
 *   LRB_F_CHECKPOINT_FLOOR      u64
 *   LRB_F_CHECKPOINT_SNAPSHOT   nested, in log order: entry number, stored bytes, holders, and a snapshot's fields
 *   LRB_F_CHECKPOINT_PACK       64 bytes, in the order the log named them:
 *                               id[32] | size u64 | status u8 | zero[7] | since entry u64 | since time i64
 *
 * An empty payload is the checkpoint of nothing. Writing one is lrb_state_checkpoint (state.h).
 */
#ifndef LRB_REPO_CHECKPOINT_H
#define LRB_REPO_CHECKPOINT_H

#include "repo/state.h"

enum { LRB_CHECKPOINT_PACK_BYTES = 64 };

/* Fills the empty `state` with what `entry` holds: snapshots, packs and floor. On failure the state is empty again.
 * Memory follows what was read, not what a count claims. */
int lrb_checkpoint_load(const lrb_entry *entry, const char *label, lrb_state *state, lrb_err *err);

/* A checkpoint met in mid-log: DAMAGED unless it holds as many snapshots and packs as `state` and its floor, which may
 * have risen, is possible. Cheap: what is nested is not looked at. */
int lrb_checkpoint_compare(const lrb_entry *entry, const char *label, const lrb_state *state, uint64_t *floor,
                           lrb_err *err);

#endif
