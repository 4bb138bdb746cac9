/* What the parts of the world share among themselves: trees, what is done, restoring, judging. */
#ifndef LRB_TESTS_WORLD_PRIVATE_H
#define LRB_TESTS_WORLD_PRIVATE_H

#include "check.h"
#include "restoring.h"
#include "world.h"

/* What the harness itself needs and does not test. */
static inline void must(bool ok, const char *what) {
    if (ok) return;
    perror(what);
    abort();
}

/* Sealed or not, as world_key says. */
int world_open_repo(const char *storage, bool create, lrb_repo **repo, lrb_err *err);
int world_prune_in(world *w, const char *storage, int64_t wait_ns, bool dry_run, lrb_prune_outcome *out, lrb_err *err);
int world_verify_with(world *w, lrb_repo *repo, uint64_t *findings, bool mark, lrb_finding *first, lrb_err *err);
int world_run_job(world *w, lrb_job *job, lrb_err *err);
int world_restore_into(world *w, lrb_repo *repo, const char *id, const lrb_restore_stage_options *options, lrb_restore_list **list,
                        lrb_err *err);
/* As world_copy_tree; `by_links`: files get a second name, for trees whose files nobody rewrites. */
void world_copy_tree_as(const char *from, const char *to, bool by_links);

#endif
