/* The reserve: 64 KiB beside the log that are given up when the disk is full, so that entries which free space
 * (drop, retire, sweep) can still be written.
 *
 * A full disk must not keep anyone from making room on it. No state; any thread.
 */
#ifndef LRB_ENGINE_RESERVE_H
#define LRB_ENGINE_RESERVE_H

#include "repo/repo.h"

enum { LRB_RESERVE_BYTES = 64 << 10 };

/* lrb_repo_append that, on NO_SPACE, gives the reserve up and tries once more. */
int lrb_reserve_append(lrb_repo *repo, const lrb_draft *draft, lrb_repo_precommit precommit, void *arg,
                       uint64_t *number, lrb_err *err);
/* Makes the reserve when it is missing. Failing is no error: there is none, then. */
void lrb_reserve_fill(lrb_repo *repo);

#endif
