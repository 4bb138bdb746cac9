/* Is one pack what the log says it is? In pieces, each read once, so that one thread never disappears into it.
 *
 * Always: it exists with its exact size, and header and trailer hold. With `digests` besides: the SHA-256 of its
 * bytes is its name, and the chunks asked for decode to content with their id; those that do not are collected in
 * `bad`. A pack whose file differs somewhere may still hold every chunk. One thread at a time; no state in the
 * repository changes.
 */
#ifndef LRB_ENGINE_PACK_CHECK_H
#define LRB_ENGINE_PACK_CHECK_H

#include "engine/job.h"
#include "engine/marks.h"

typedef struct lrb_pack_check {
    lrb_repo *repo;
    uint32_t position;
    lrb_state_pack known;
    bool digests;
    const lrb_marks *only;  /* chunks to decode; NULL: all */

    lrb_pack *pack;
    lrb_digest *digest;
    uint64_t hashed;        /* bytes */
    uint32_t next;          /* ordinal */

    uint32_t *bad;          /* ordinals, ascending */
    uint32_t bad_count, bad_room;
    bool unreadable;        /* nothing of it can be used: missing, or no trailer that holds */
    bool refused;           /* the machine refused the reading: says nothing about the pack */
    lrb_err problem;        /* the first one; code 0: none */
    uint64_t chunks, bytes; /* decoded; read */
} lrb_pack_check;

int lrb_pack_check_new(lrb_repo *repo, uint32_t position, const lrb_state_pack *known, bool digests,
                       const lrb_marks *only, lrb_pack_check **out, lrb_err *err);
void lrb_pack_check_free(lrb_pack_check *check);
/* Errors are the machine's; what is wrong with the pack is in the struct once *done. */
int lrb_pack_check_step(lrb_pack_check *check, const lrb_job *job, lrb_worker *worker, bool *done, lrb_err *err);
uint64_t lrb_pack_check_left(const lrb_pack_check *check); /* bytes of the file not read yet */
/* Whether its only problem is that a newer version wrote it: its bytes have its name, and it is not damaged. */
bool lrb_pack_check_is_newer(const lrb_pack_check *check);
/* One sentence about a pack with a problem. */
void lrb_pack_check_message(const lrb_pack_check *check, char *out, size_t room);

#endif
