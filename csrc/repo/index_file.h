/* cache/index: the index on disk, so that opening a repository need not read every trailer. Disposable: missing, stale
 * or flipped it is ignored and rebuilt.
 *
 *   0 "lrbindx1" | 8 version u16 | 10 zero[6] | 16 repository id[16] | 32 number u64 | 40 digest of that entry[32]
 *   72 packs u32 | 76 zero[4] | 80 slots u64 | packs x id[32] | slots x (prefix u64 | pack u32 | ordinal u32)
 *   SHA-256 of all before[32]
 *
 * Only taken slots are written, in the order of the table; loading puts them into a table of its own. Slots name packs
 * by their place in the file's own list; loading translates them to positions of the state, and packs the state does
 * not have (swept, or never named by the log) translate to nothing: the index never makes a pack known. A file made for
 * another repository, by a log that has gone back since, or for another entry of the same number is not used.
 *
 * Two processes may save at the same moment: what is left is one of the two, or a mix that the digest gives away.
 */
#ifndef LRB_REPO_INDEX_FILE_H
#define LRB_REPO_INDEX_FILE_H

#include "repo/index.h"
#include "repo/state.h"

/* Writes cache/index for `state` without fsync, by rename. `covered` says for each pack position whether its rows are
 * in. */
int lrb_index_save(const lrb_index *index, const lrb_state *state, const bool *covered, int cache_dir, lrb_err *err);

/* Loads into an empty index and marks the packs it covers in covered[state->pack_count]. Any defect: *loaded false,
 * nothing changed, no error; errors are NOMEM only. */
int lrb_index_load(lrb_index *index, const lrb_state *state, bool *covered, int cache_dir, bool *loaded, lrb_err *err);

#endif
