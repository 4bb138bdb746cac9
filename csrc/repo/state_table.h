/* The two tables inside a state: packs by id and snapshots by id. For state.c and checkpoint.c only.
 *
 * Making room and changing are apart: lrb_table_reserve may fail and changes nothing a reader can see; after it, adding
 * as many rows as were reserved cannot fail. That is how an entry is applied wholly or not at all.
 *
 * A snapshot's hash slot holds its entry number, not its place: the array is in order of numbers, so the place is
 * found by bisection, and closing a gap disturbs no slot. The slot of a dropped snapshot leads to no place and is
 * passed over until the table is rebuilt.
 */
#ifndef LRB_REPO_STATE_TABLE_H
#define LRB_REPO_STATE_TABLE_H

#include "repo/state.h"

int lrb_table_reserve(lrb_state *state, size_t snapshots, size_t packs, lrb_err *err);

/* Takes over what `snapshot` owns. Its number is above all others and its id is new. */
void lrb_table_add_snapshot(lrb_state *state, lrb_snapshot *snapshot);
lrb_snapshot *lrb_table_find_snapshot(const lrb_state *state, const char *id);
/* Leaves a gap. lrb_table_close_gaps makes the array dense again. */
void lrb_table_remove_snapshot(lrb_state *state, lrb_snapshot *snapshot);
void lrb_table_close_gaps(lrb_state *state);

/* The id is new. */
lrb_state_pack *lrb_table_add_pack(lrb_state *state, const lrb_id *id);
lrb_state_pack *lrb_table_find_pack(const lrb_state *state, const lrb_id *id); /* NULL: unknown */

#endif
