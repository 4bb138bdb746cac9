/* The snapshots a job works on, copied from the state: verify and prune walk them long after the lock on the state is
 * gone. */
#ifndef LRB_ENGINE_TARGET_H
#define LRB_ENGINE_TARGET_H

#include "repo/repo.h"

typedef struct lrb_target {
    char id[LRB_SNAPSHOT_ID_MAX];
    uint64_t number;
    lrb_row body_root;
    uint64_t items, size_bytes;
    lrb_id payload; /* of the copy of its entry's payload, which packs keep and nothing names */
} lrb_target;

/* All snapshots in log order, or the one called `only`: NOT_FOUND. The list is from lrb_alloc. */
int lrb_target_list(lrb_repo *repo, lrb_coder *coder, const char *only, lrb_target **out, size_t *count, lrb_err *err);
/* Takes those out that are called one of `ids`, which strcmp has sorted; the order stays. Returns how many are left. */
size_t lrb_target_leave_out(lrb_target *targets, size_t count, const char *const *ids, size_t id_count);

#endif
