/* The needs job: which packs a snapshot needs, so that a replica that has those, and the log, can bring it back.
 *
 * Every chunk below the snapshot's body, and the copy of its entry's payload, lies in one of them. Of several copies of a chunk one
 * is taken (reach.h), so the list is not the only one possible, but it is sufficient. DAMAGED when something of the snapshot
 * is lost here: then there is nothing whole to send.
 */
#ifndef LRB_ENGINE_NEEDS_H
#define LRB_ENGINE_NEEDS_H

#include "engine/job.h"
#include "repo/repo.h"

/* NOT_FOUND, by the job, for an unknown snapshot. */
int lrb_needs_new(lrb_repo *repo, const char *snapshot_id, lrb_job **out, lrb_err *err);
/* After success: the packs in the order of the log, and the number of the snapshot's entry. They live in the job. */
const lrb_pack_ref *lrb_needs_packs(const lrb_job *job, size_t *count);
uint64_t lrb_needs_number(const lrb_job *job);

#endif
