#include "engine/needs.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "engine/reach.h"
#include "engine/target.h"

typedef struct needs {
    lrb_job job;
    lrb_repo *repo;
    char snapshot_id[LRB_SNAPSHOT_ID_MAX];

    pthread_mutex_t lock; /* for the next two; the rest belongs to the one thread that is busy */
    bool busy, over;
    lrb_target *target;   /* NULL: not begun */
    lrb_reach *reach;
    bool walking;
    lrb_pack_ref *packs;
    size_t count;
} needs;

static int begin(needs *self, lrb_worker *worker, lrb_err *err) {
    size_t count;
    int code = lrb_repo_refresh(self->repo, err);
    if (!code) code = lrb_target_list(self->repo, worker->coder, self->snapshot_id, &self->target, &count, err);
    return code ? code : lrb_reach_new(self->repo, NULL, &self->reach, err);
}

static int walk(needs *self, lrb_worker *worker, bool *done, lrb_err *err) {
    int code = self->walking ? LRB_OK : lrb_reach_begin(self->reach, worker->coder, &self->target->body_root, err);
    self->walking = true;
    return code ? code : lrb_reach_step(self->reach, worker->coder, done, err);
}

static int check_whole(const needs *self, lrb_err *err) {
    if (!lrb_reach_lost_count(self->reach) && !lrb_reach_blind_count(self->reach)) return LRB_OK;
    return lrb_err_set(err, LRB_E_DAMAGED, "list packs", self->snapshot_id,
                       "something this snapshot needs is lost here: verify says what");
}

static int list_packs(needs *self, lrb_err *err) {
    const lrb_marks *live = lrb_reach_live(self->reach);
    const lrb_state *state = lrb_repo_begin_read(self->repo);
    self->packs = lrb_alloc_zero(state->pack_count, sizeof *self->packs);
    for (uint32_t i = 0; self->packs && i < state->pack_count; i++)
        if (lrb_marks_touch(live, i)) self->packs[self->count++] = (lrb_pack_ref){state->packs[i].id, state->packs[i].size_bytes};
    lrb_repo_end_read(self->repo);
    return self->packs ? LRB_OK : lrb_err_nomem(err, "list packs");
}

static int step_alone(needs *self, lrb_worker *worker, bool *done, lrb_err *err) {
    bool found;
    int code = self->target ? LRB_OK : begin(self, worker, err);
    if (!code) code = walk(self, worker, done, err);
    if (code || !*done) return code;
    code = check_whole(self, err);
    if (!code) code = lrb_reach_keep(self->reach, &self->target->payload, &found, err); /* one that is missing costs a way to rebuild the log */
    return code ? code : list_packs(self, err);
}

static int step(lrb_job *job, lrb_worker *worker, lrb_step *next, lrb_err *err) {
    needs *self = (needs *)job;
    bool done = false;
    int code = lrb_job_check(job, err);
    if (code) return code;
    pthread_mutex_lock(&self->lock);
    bool mine = !self->busy && !self->over;
    if (mine) self->busy = true;
    pthread_mutex_unlock(&self->lock);
    *next = LRB_STEP_IDLE;
    if (!mine) return LRB_OK;
    code = step_alone(self, worker, &done, err);
    pthread_mutex_lock(&self->lock);
    self->busy = false;
    self->over = done;
    pthread_mutex_unlock(&self->lock);
    *next = done ? LRB_STEP_DONE : LRB_STEP_MORE;
    return code;
}

static void finish(lrb_job *job, lrb_worker *worker) {
    (void)worker;
    lrb_repo_rest(((needs *)job)->repo);
}

static void free_needs(lrb_job *job) {
    needs *self = (needs *)job;
    lrb_free(self->target);
    lrb_free(self->packs);
    lrb_reach_free(self->reach);
    pthread_mutex_destroy(&self->lock);
    lrb_free(self);
}

static const lrb_job_ops needs_ops = {.step = step, .finish = finish, .free = free_needs};

int lrb_needs_new(lrb_repo *repo, const char *snapshot_id, lrb_job **out, lrb_err *err) {
    size_t length = strnlen(snapshot_id, LRB_SNAPSHOT_ID_MAX);
    if (!length || length == LRB_SNAPSHOT_ID_MAX)
        return lrb_err_set(err, LRB_E_NOT_FOUND, "list packs", snapshot_id, "no snapshot can have this id");
    needs *self = lrb_alloc_zero(1, sizeof *self);
    if (!self) return lrb_err_nomem(err, "list packs");
    lrb_job_init(&self->job, &needs_ops);
    self->repo = repo;
    memcpy(self->snapshot_id, snapshot_id, length);
    pthread_mutex_init(&self->lock, NULL);
    *out = &self->job;
    return LRB_OK;
}

const lrb_pack_ref *lrb_needs_packs(const lrb_job *job, size_t *count) {
    const needs *self = (const needs *)job;
    *count = self->count;
    return self->packs;
}

uint64_t lrb_needs_number(const lrb_job *job) {
    return ((const needs *)job)->target->number;
}
