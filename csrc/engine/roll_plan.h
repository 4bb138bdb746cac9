/* The first half of the journal way: is there anything that could stop the steps, and which steps are they?
 *
 * Looks only. Everything a later step could meet and not get past is refused here, before the journal exists:
 * something that is no item in the way of one, a directory with more in it than the restore takes away, a mount point
 * where something would be replaced or removed (obstacle.h).
 */
#ifndef LRB_ENGINE_ROLL_PLAN_H
#define LRB_ENGINE_ROLL_PLAN_H

#include "base/buf.h"
#include "engine/tree.h"

/* Initialises `bytes` and fills it with the journal's rows, ready for lrb_journal_save; the caller clears it. */
int lrb_roll_plan(int target, int staging, lrb_names items, lrb_names removed, lrb_buf *bytes, lrb_err *err);
/* Whether removing a directory failed because something is in it. */
bool lrb_roll_not_empty(const lrb_err *err);

#endif
