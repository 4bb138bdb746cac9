/* Copies the live chunks of mostly dead packs into new packs, in groups: some packs in, one `repack` entry out.
 *
 * Stored bytes are copied as they are, after a decode has shown that they still give the content with their id. A
 * pack with a live chunk that does not is left alone: verify says what is wrong with it. Until commit() nothing but
 * new files has changed; what is not committed is unlinked again. One thread.
 */
#ifndef LRB_ENGINE_REPACK_H
#define LRB_ENGINE_REPACK_H

#include "engine/job.h"
#include "engine/marks.h"

typedef struct lrb_repack lrb_repack;

/* `live` is borrowed. */
int lrb_repack_new(lrb_repo *repo, const lrb_marks *live, lrb_repack **out, lrb_err *err);
void lrb_repack_free(lrb_repack *repack);

/* Copies what is live in one pack of the state. *copied false: it cannot be copied, and is no part of the group. */
int lrb_repack_add(lrb_repack *repack, const lrb_job *job, lrb_worker *worker, uint32_t position, const lrb_id *id,
                   bool *copied, lrb_err *err);
bool lrb_repack_full(const lrb_repack *repack); /* whether the group is worth an entry of its own */
/* Makes the group's packs durable and enters them, with the old ones retired. BUSY as in pack_list.h: nothing was
 * entered. An empty group: nothing. */
int lrb_repack_commit(lrb_repack *repack, lrb_worker *worker, uint64_t *at, lrb_err *err);

#endif
