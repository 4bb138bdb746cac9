/* The exchange way of publishing: the staging directory and the target change names at once.
 *
 *   1 whatever in the target is no item is looked at: something in the way of an item, or a mount point, refuses
 *     everything
 *   2 files that are no items are hard-linked into the staging directory
 *   3 a marker is made durable inside the staging directory: a journal (journal.h) of one ASIDE row (the name the old
 *     directory will have), PUT rows (items) and REMOVE rows (names not to carry over)
 *   4 RENAME_EXCHANGE; the parent is fsynced
 *   5 what could not be linked (directories, files under a hard-link ban) is moved over, the old tree removed, last
 *     the marker
 *
 * So a marker at the target means "exchanged, not yet cleaned up", whoever looks; one inside a sibling means nothing
 * happened yet. Between 4 and 5 directories that are no items are missing for a moment; files are not.
 */
#ifndef LRB_ENGINE_SWAP_H
#define LRB_ENGINE_SWAP_H

#include "engine/tree.h"

/* `staging` is beside `leaf` in the directory `parent`. */
int lrb_swap_commit(int parent, const char *leaf, const char *staging, lrb_names items, lrb_names removed,
                    lrb_err *err);
/* Whether the directory has been exchanged in and not been cleaned up behind. */
int lrb_swap_marked(int target, bool *marked, lrb_err *err);
/* Step 5. The caller has the lock of the directory `target`, which is `leaf` of `parent`. */
int lrb_swap_finish(int parent, int target, lrb_err *err);

#endif
