/* The journal way of publishing: item by item, rolled forward.
 *
 *   <target>/.lrb_restore/new        the staged items
 *   <target>/.lrb_restore/journal    journal.h; from its rename on the restore will be finished
 *
 *   1 everything that could stop the steps is looked for: things in the way, mount points; it refuses before anything
 *     changed
 *   2 the journal is made durable: REMOVE rows, deepest first; then DIRECTORY, PARENT and PUT rows, parents before
 *     what they hold
 *   3 the rows are done in order; a row already done is recognised by what is there, so this may be repeated from the
 *     start
 *   4 directories get their modes and times; everything is made durable
 *   5 the journal is removed, then the staging directory
 *
 * A PUT whose staged file is gone was done before: staged files were durable before the journal was.
 */
#ifndef LRB_ENGINE_ROLL_H
#define LRB_ENGINE_ROLL_H

#include "engine/tree.h"

/* Makes <target>/.lrb_restore/new, empty, and locks it: *staging is its descriptor. Leftovers of a dead process are
 * replaced; BUSY for a living one, UNFINISHED where a journal waits. */
int lrb_roll_stage(int target, int *staging, lrb_err *err);
int lrb_roll_commit(int target, lrb_names items, lrb_names removed, lrb_err *err);
/* Whether something else than a directory has the name of this module's own. */
int lrb_roll_disguised(int target, bool *disguised, lrb_err *err);
/* Whether a journal waits, and whether there is litter that nobody holds. */
int lrb_roll_look(int target, bool *journal, bool *litter, lrb_err *err);
/* Finishes what look saw: BUSY for a journal that a living process works on. */
int lrb_roll_finish(int target, bool *finished, lrb_err *err);
/* Removes the staging directory; UNFINISHED where a journal waits. For its owner, who holds the lock. */
int lrb_roll_abandon(int target, lrb_err *err);

#endif
