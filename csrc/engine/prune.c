#include "engine/prune.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "engine/chain.h"
#include "engine/litter.h"
#include "engine/pack_list.h"
#include "engine/plan.h"
#include "engine/repack.h"
#include "engine/reserve.h"
#include "engine/target.h"

enum { MAX_TRIES = 10, WEIGHED_PER_STEP = 64, UNLINKED_PER_STEP = 16 };

typedef struct prune {
    lrb_job job;
    lrb_repo *repo;
    lrb_prune_options options;
    const char **dropped; /* of the options, sorted: one block, the pointers, then the ids */
    lrb_prune_outcome outcome;

    pthread_mutex_t lock; /* for `phase` and `busy`; all else belongs to the thread that set `busy` */
    lrb_prune_phase phase;
    bool busy;

    unsigned tries;
    int64_t now_ns;
    lrb_chain *chain;
    lrb_plan plan;
    lrb_reach *reach;
    lrb_target *targets;
    size_t target_count, next_target, next_pack;
    bool walking;
    lrb_repack *repack;
} prune;

/* ---- LOG: nothing is pruned by a log with a hole in it ---- */

static int refuse(void *arg, const char *object, const char *message, lrb_err *err) {
    (void)arg;
    return lrb_err_set(err, LRB_E_DAMAGED, "prune", object, "nothing was pruned, because the log is damaged: %s",
                       message);
}

static int refresh(prune *self, lrb_err *err) {
    int code = lrb_repo_refresh(self->repo, err);
    return code ? lrb_err_context(err, "nothing was pruned") : LRB_OK;
}

static int begin_log(prune *self, lrb_err *err) {
    int code = lrb_repo_check_writable(self->repo, err);
    if (!code) code = refresh(self, err);
    const char *alarm = lrb_repo_alarm(self->repo);
    if (!code && alarm) code = refuse(NULL, "log", alarm, err);
    return code ? code : lrb_chain_new(self->repo, refuse, NULL, &self->chain, err);
}

static int step_log(prune *self, bool *done, lrb_err *err) {
    int code = self->chain ? LRB_OK : begin_log(self, err);
    return code ? code : lrb_chain_step(self->chain, done, err);
}

/* ---- LIST, MARK, WEIGH: the plan ---- */

static void drop_plan(prune *self) {
    lrb_repack_free(self->repack); /* before the reach, whose marks it reads */
    lrb_reach_free(self->reach);
    lrb_free(self->targets);
    lrb_plan_clear(&self->plan);
    self->repack = NULL;
    self->reach = NULL;
    self->targets = NULL;
    self->target_count = self->next_target = self->next_pack = 0;
    self->walking = false;
}

static int step_list(prune *self, lrb_worker *worker, lrb_err *err) {
    drop_plan(self);
    self->now_ns = lrb_clock_wall_ns();
    int code = refresh(self, err);
    if (!code) code = lrb_plan_begin(&self->plan, self->repo, err);
    if (!code) code = lrb_target_list(self->repo, worker->coder, NULL, &self->targets, &self->target_count, err);
    if (code) return code;
    self->target_count = lrb_target_leave_out(self->targets, self->target_count, self->options.dropped,
                                              self->options.dropped_count);
    return lrb_reach_new(self->repo, NULL, &self->reach, err);
}

/* Whether somebody else's entry came since the plan was made. */
static int look_for_news(prune *self, bool *news, lrb_err *err) {
    int code = refresh(self, err);
    *news = lrb_repo_begin_read(self->repo)->last_number != self->plan.at;
    lrb_repo_end_read(self->repo);
    return code;
}

/* A body or recipe that cannot be read hides which chunks are live. Unless another prune took it to another pack meanwhile. */
static int check_sight(prune *self, const lrb_target *target, lrb_err *err) {
    bool news;
    if (!lrb_reach_blind_count(self->reach)) return LRB_OK;
    int code = look_for_news(self, &news, err);
    if (code) return code;
    if (news) return lrb_err_set(err, LRB_E_BUSY, "prune", target->id, "the log grew while the snapshot was read");
    return lrb_err_set(err, LRB_E_DAMAGED, "prune", target->id,
                       "nothing was pruned, because it cannot be read what snapshot %s needs: %.90s; use a newer version where verify names one; "
                       "else delete the snapshot, or restore from a copy the packs that verify names", target->id,
                       lrb_reach_blind_reason(self->reach)->message);
}

static int step_mark(prune *self, lrb_worker *worker, bool *done, lrb_err *err) {
    *done = self->next_target == self->target_count;
    if (*done) return LRB_OK;
    const lrb_target *target = &self->targets[self->next_target];
    int code = self->walking ? LRB_OK : lrb_reach_begin(self->reach, worker->coder, &target->body_root, err);
    bool complete = false;
    self->walking = true;
    if (!code) code = lrb_reach_step(self->reach, worker->coder, &complete, err);
    if (!code) code = check_sight(self, target, err);
    if (code || !complete) return code;
    self->walking = false;
    self->next_target++;
    bool found; /* the copy of the entry's payload; that it is missing costs nothing but a way to rebuild the log */
    return lrb_reach_keep(self->reach, &target->payload, &found, err);
}

static int step_weigh(prune *self, bool *done, lrb_err *err) {
    int code = LRB_OK;
    for (int i = 0; !code && i < WEIGHED_PER_STEP && self->next_pack < self->plan.count; i++)
        code = lrb_plan_weigh(&self->plan, self->next_pack++, self->repo, self->reach, err);
    *done = self->next_pack == self->plan.count;
    if (code || !*done) return code;
    lrb_plan_rules rules = {self->now_ns, self->options.wait_ns, self->options.repack};
    lrb_plan_decide(&self->plan, &rules);
    if (self->tries == 0) { /* as it was found; later plans know what this run did itself */
        self->outcome.bytes_live = self->plan.bytes_live;
        self->outcome.bytes_total = self->plan.bytes_total;
    }
    return LRB_OK;
}

/* ---- ENTER, REPACK, ENTER_NOW: the entries ---- */

static uint64_t bytes_of(const lrb_plan_pack *pack) {
    return pack->on_disk ? pack->file_bytes : 0;
}

static void count_retired(prune *self, const lrb_plan_pack *pack) {
    self->outcome.packs_retired++;
    self->outcome.bytes_retired += bytes_of(pack);
}

/* Moves a pack on, once its entry is written: a later phase acts on its new fate. */
static void pass_on(prune *self, lrb_plan_pack *pack, lrb_entry_kind kind) {
    if (kind == LRB_ENTRY_RETIRE) count_retired(self, pack);
    if (kind == LRB_ENTRY_SWEEP) self->outcome.packs_swept++;
    bool now = kind == LRB_ENTRY_RETIRE && self->options.wait_ns == 0;
    pack->fate = now ? LRB_FATE_SWEEP : kind == LRB_ENTRY_SWEEP ? LRB_FATE_UNLINK : LRB_FATE_KEEP;
}

/* Enters every pack of one fate. `ids` and `packs` have room for the whole plan. */
static int enter_listed(prune *self, lrb_fate fate, lrb_entry_kind kind, lrb_id *ids, lrb_plan_pack **packs,
                        lrb_err *err) {
    size_t count = 0, entered = 0;
    for (size_t i = 0; i < self->plan.count; i++) {
        if (self->plan.packs[i].fate != fate) continue;
        packs[count] = &self->plan.packs[i];
        ids[count++] = self->plan.packs[i].known.id;
    }
    int code = LRB_OK;
    if (self->options.dry_run) entered = count;
    else code = lrb_pack_list_append(self->repo, kind, NULL, 0, ids, count, &self->plan.at, &entered, err);
    for (size_t i = 0; i < entered; i++) pass_on(self, packs[i], kind);
    return code;
}

static int enter(prune *self, lrb_fate fate, lrb_entry_kind kind, lrb_err *err) {
    lrb_id *ids = lrb_alloc_zero(self->plan.count, sizeof *ids);
    lrb_plan_pack **packs = lrb_alloc_zero(self->plan.count, sizeof *packs);
    int code = ids && packs ? enter_listed(self, fate, kind, ids, packs, err) : lrb_err_nomem(err, "prune");
    lrb_free(packs);
    lrb_free(ids);
    return code;
}

static int step_enter(prune *self, lrb_err *err) {
    int code = enter(self, LRB_FATE_UNRETIRE, LRB_ENTRY_UNRETIRE, err);
    if (!code) code = enter(self, LRB_FATE_SWEEP, LRB_ENTRY_SWEEP, err);
    return code ? code : enter(self, LRB_FATE_RETIRE, LRB_ENTRY_RETIRE, err);
}

/* The packs of the group that was just committed, up to the one looked at last, are retired now. */
static void pass_group(prune *self) {
    for (size_t i = 0; i < self->next_pack; i++) {
        lrb_plan_pack *pack = &self->plan.packs[i];
        if (pack->fate != LRB_FATE_REPACK) continue;
        self->outcome.packs_repacked++;
        self->outcome.bytes_rewritten += pack->live_bytes;
        pass_on(self, pack, LRB_ENTRY_RETIRE);
    }
}

static int commit_group(prune *self, lrb_worker *worker, lrb_err *err) {
    int code = self->options.dry_run ? LRB_OK : lrb_repack_commit(self->repack, worker, &self->plan.at, err);
    if (!code) pass_group(self);
    return code;
}

static int repack_next(prune *self, lrb_worker *worker, lrb_err *err) {
    lrb_plan_pack *pack = &self->plan.packs[self->next_pack++];
    if (pack->fate != LRB_FATE_REPACK || self->options.dry_run) return LRB_OK;
    bool copied;
    int code = LRB_OK;
    if (!self->repack) code = lrb_repack_new(self->repo, lrb_reach_live(self->reach), &self->repack, err);
    if (!code) code = lrb_repack_add(self->repack, &self->job, worker, pack->position, &pack->known.id, &copied, err);
    if (code) return code;
    if (!copied) pack->fate = LRB_FATE_KEEP;
    return lrb_repack_full(self->repack) ? commit_group(self, worker, err) : LRB_OK;
}

/* Repacking needs room; without it the rest of the plan is still worth doing. */
static int give_up_repacking(prune *self, lrb_err *err) {
    lrb_err_clear(err);
    lrb_repack_free(self->repack);
    self->repack = NULL;
    for (size_t i = 0; i < self->plan.count; i++)
        if (self->plan.packs[i].fate == LRB_FATE_REPACK) self->plan.packs[i].fate = LRB_FATE_KEEP;
    return LRB_OK;
}

static int step_repack(prune *self, lrb_worker *worker, bool *done, lrb_err *err) {
    int code = LRB_OK;
    *done = self->next_pack == self->plan.count;
    if (!*done) code = repack_next(self, worker, err);
    else if (self->repack || self->options.dry_run) code = commit_group(self, worker, err);
    if (code != LRB_E_NO_SPACE) return code;
    *done = true;
    return give_up_repacking(self, err);
}

/* ---- UNLINK, TIDY ---- */

static int unlink_pack(prune *self, const lrb_plan_pack *pack, lrb_err *err) {
    char name[2 * LRB_DIGEST_BYTES + 1];
    int code = LRB_OK;
    lrb_hex(pack->known.id.bytes, LRB_DIGEST_BYTES, name);
    if (!self->options.dry_run) {
        code = lrb_fs_unlink(lrb_repo_packs_dir(self->repo), name, err);
        lrb_repo_pack_forget(self->repo, pack->position);
    }
    if (!code) self->outcome.bytes_freed += bytes_of(pack);
    return code;
}

static int step_unlink(prune *self, bool *done, lrb_err *err) {
    int code = LRB_OK, unlinked = 0;
    /* A sweep that somebody else entered is visible before it is durable; files go only after that. */
    if (!self->next_pack && !self->options.dry_run) code = lrb_fs_sync(lrb_repo_log_dir(self->repo), "log", err);
    while (!code && unlinked < UNLINKED_PER_STEP && self->next_pack < self->plan.count) {
        const lrb_plan_pack *pack = &self->plan.packs[self->next_pack++];
        if (pack->fate != LRB_FATE_UNLINK) continue;
        code = unlink_pack(self, pack, err);
        unlinked++;
    }
    *done = self->next_pack == self->plan.count;
    return code;
}

static int step_tidy(prune *self, lrb_err *err) {
    int code = lrb_litter_remove(self->repo, self->now_ns, self->options.wait_ns, self->options.dry_run,
                                 &self->outcome.litter_removed, err);
    if (code || self->options.dry_run) return code;
    lrb_reserve_fill(self->repo);
    code = lrb_repo_maybe_checkpoint(self->repo, err);
    if (code == LRB_E_NO_SPACE) {
        lrb_err_clear(err);
        code = LRB_OK;
    }
    return code ? code : lrb_repo_save_index(self->repo, err);
}

/* ---- the job ---- */

static int step_phase(prune *self, lrb_worker *worker, bool *over, lrb_err *err) {
    *over = true;
    switch (self->phase) {
    case LRB_PRUNE_LOG: return step_log(self, over, err);
    case LRB_PRUNE_LIST: return step_list(self, worker, err);
    case LRB_PRUNE_MARK: return step_mark(self, worker, over, err);
    case LRB_PRUNE_WEIGH: return step_weigh(self, over, err);
    case LRB_PRUNE_ENTER: return step_enter(self, err);
    case LRB_PRUNE_REPACK: return step_repack(self, worker, over, err);
    case LRB_PRUNE_ENTER_NOW: return enter(self, LRB_FATE_SWEEP, LRB_ENTRY_SWEEP, err);
    case LRB_PRUNE_UNLINK: return step_unlink(self, over, err);
    case LRB_PRUNE_TIDY: return step_tidy(self, err);
    case LRB_PRUNE_OVER: break;
    }
    return LRB_OK;
}

/* Somebody else's entry came between: everything is computed again from the state it made. Sweeps that are entered are
 * finished by the next plan, which finds them swept and still on the disk. */
static int start_again(prune *self, lrb_prune_phase *next, lrb_err *err) {
    if (++self->tries == MAX_TRIES)
        return lrb_err_set(err, LRB_E_BUSY, "prune", lrb_repo_graph_id(self->repo),
                           "the graph is being written to; prune again later");
    lrb_err_clear(err);
    *next = LRB_PRUNE_LIST;
    return LRB_OK;
}

static int run_phase(prune *self, lrb_worker *worker, lrb_prune_phase *next, lrb_err *err) {
    bool over;
    int code = step_phase(self, worker, &over, err);
    *next = self->phase;
    if (code == LRB_E_BUSY) return start_again(self, next, err);
    if (code || !over) return code;
    *next = self->phase + 1;
    if (*next == LRB_PRUNE_WEIGH || *next == LRB_PRUNE_REPACK || *next == LRB_PRUNE_UNLINK) self->next_pack = 0;
    return LRB_OK;
}

static int step(lrb_job *job, lrb_worker *worker, lrb_step *next, lrb_err *err) {
    prune *self = (prune *)job;
    int code = lrb_job_check(job, err);
    if (code) return code;
    pthread_mutex_lock(&self->lock);
    bool mine = !self->busy && self->phase != LRB_PRUNE_OVER;
    if (mine) self->busy = true;
    pthread_mutex_unlock(&self->lock);
    *next = LRB_STEP_IDLE;
    if (!mine) return LRB_OK;

    lrb_prune_phase following;
    code = run_phase(self, worker, &following, err);
    pthread_mutex_lock(&self->lock);
    self->phase = following;
    self->busy = false;
    pthread_mutex_unlock(&self->lock);
    atomic_store_explicit(&job->counters.phase, following, memory_order_relaxed);
    *next = following == LRB_PRUNE_OVER ? LRB_STEP_DONE : LRB_STEP_MORE;
    return code;
}

/* Takes back what a failed or cancelled run has written and not entered. */
static void finish(lrb_job *job, lrb_worker *worker) {
    (void)worker;
    drop_plan((prune *)job);
    lrb_repo_rest(((prune *)job)->repo);
}

static void free_prune(lrb_job *job) {
    prune *self = (prune *)job;
    drop_plan(self);
    lrb_chain_free(self->chain);
    pthread_mutex_destroy(&self->lock);
    lrb_free(self->dropped);
    lrb_free(self);
}

static const lrb_job_ops prune_ops = {.step = step, .finish = finish, .free = free_prune};

static int compare_ids(const void *left, const void *right) {
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* One that is longer than any snapshot's id is copied cut, and is no snapshot's either. */
static int copy_dropped(prune *self, lrb_err *err) {
    size_t count = self->options.dropped_count;
    char (*ids)[LRB_SNAPSHOT_ID_MAX];
    if (!count) return LRB_OK;
    self->dropped = lrb_alloc_zero(count, sizeof *self->dropped + sizeof *ids);
    if (!self->dropped) return lrb_err_nomem(err, "prune");
    ids = (char (*)[LRB_SNAPSHOT_ID_MAX])(self->dropped + count);
    for (size_t i = 0; i < count; i++) {
        memcpy(ids[i], self->options.dropped[i], strnlen(self->options.dropped[i], sizeof *ids - 1));
        self->dropped[i] = ids[i];
    }
    qsort(self->dropped, count, sizeof *self->dropped, compare_ids);
    self->options.dropped = self->dropped;
    return LRB_OK;
}

int lrb_prune_new(lrb_repo *repo, const lrb_prune_options *options, lrb_job **out, lrb_err *err) {
    if (options->wait_ns < 0)
        return lrb_err_set(err, LRB_E_INVALID, "prune", lrb_repo_graph_id(repo), "the waiting time cannot be negative");
    if (options->dropped_count && !options->dry_run)
        return lrb_err_set(err, LRB_E_INVALID, "prune", lrb_repo_graph_id(repo),
                           "only a dry run takes snapshots for dropped: drop them first");
    prune *self = lrb_alloc_zero(1, sizeof *self);
    if (!self) return lrb_err_nomem(err, "prune");
    lrb_job_init(&self->job, &prune_ops);
    self->repo = repo;
    self->options = *options;
    self->phase = LRB_PRUNE_LOG;
    atomic_store_explicit(&self->job.counters.phase, LRB_PRUNE_LOG, memory_order_relaxed);
    pthread_mutex_init(&self->lock, NULL);
    int code = copy_dropped(self, err);
    if (code) free_prune(&self->job);
    else *out = &self->job;
    return code;
}

const lrb_prune_outcome *lrb_prune_result(const lrb_job *job) {
    return &((const prune *)job)->outcome;
}
