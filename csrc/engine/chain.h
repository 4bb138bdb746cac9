/* The log as it lies on disk, re-read from its oldest entry to its newest.
 *
 * Opening a repository starts at the newest checkpoint; this reads everything: names without a gap, every entry
 * whole, each chained to the one before it, and nothing gone that was seen before. What does not hold is reported and
 * the reading goes on behind it: after an entry that is missing or broken the next one is believed on its own.
 * Entries below the floor of the newest checkpoint may be missing; those that are there are read like all others.
 * What says nothing about the log (err.h: lrb_err_is_own) is an error and no defect.
 *
 * Cut into steps; one thread at a time.
 */
#ifndef LRB_ENGINE_CHAIN_H
#define LRB_ENGINE_CHAIN_H

#include "repo/repo.h"

typedef struct lrb_chain lrb_chain;

/* Receives one defect of `object` ("log/00000000000000000042"); a non-zero return stops and is passed up. */
typedef int (*lrb_chain_report)(void *arg, const char *object, const char *message, lrb_err *err);

/* Lists the log. The state of `repo` should be fresh: entries it has read must be there. */
int lrb_chain_new(lrb_repo *repo, lrb_chain_report report, void *arg, lrb_chain **out, lrb_err *err);
void lrb_chain_free(lrb_chain *chain);
/* Reads about a MiB of entries. */
int lrb_chain_step(lrb_chain *chain, bool *done, lrb_err *err);
uint64_t lrb_chain_entries(const lrb_chain *chain); /* looked at so far */
uint64_t lrb_chain_bytes(const lrb_chain *chain);

#endif
