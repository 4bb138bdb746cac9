#include "engine/verify.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "engine/loss.h"
#include "engine/pack_list.h"
#include "engine/verify_private.h"
#include "repo/keyring.h"

enum { MAX_WALKS = 100 };

static const char *chosen(const lrb_verify *self) {
    return self->snapshot_id[0] ? self->snapshot_id : NULL;
}

/* ---- LOG ---- */

static int report_defect(void *arg, const char *object, const char *message, lrb_err *err) {
    return lrb_findings_add(arg, object, message, err);
}

/* A log that cannot be followed to its end is no reason not to look at what is known of it. */
static int refresh(lrb_verify *self, lrb_err *err) {
    int code = lrb_repo_refresh(self->repo, err);
    if (code == LRB_E_NOMEM) return code;
    if (code) {
        lrb_err reason = *err;
        lrb_err_clear(err);
        code = lrb_findings_add(&self->findings, reason.target, reason.message, err);
    }
    return code;
}

/* Opening passes over a key slot that cannot be read, as long as anything else gives the key. */
static int look_at_slots(lrb_verify *self, lrb_err *err) {
    lrb_keyring_sight slots;
    const lrb_vault *vault = lrb_repo_vault(self->repo);
    int code = lrb_keyring_look(lrb_repo_root_dir(self->repo), vault->sealed ? &vault->master : NULL, &slots, err);
    if (!code && slots.foreign[0])
        code = lrb_findings_add(&self->findings, slots.foreign, "this was not made with the key of this storage path, and is passed over: remove the file", err);
    if (code || !slots.unreadable[0]) return code;
    return lrb_findings_add(&self->findings, slots.unreadable, "the key slot cannot be read: the next backup restores it from another graph's copy; "
                            "without one restore the file from a copy, or add the passphrase again and remove it", err);
}

static int begin_log(lrb_verify *self, lrb_err *err) {
    int code = refresh(self, err);
    if (!code) code = look_at_slots(self, err);
    const char *alarm = lrb_repo_alarm(self->repo);
    if (!code && alarm) code = lrb_findings_add(&self->findings, "log", alarm, err);
    return code ? code : lrb_chain_new(self->repo, report_defect, &self->findings, &self->chain, err);
}

/* What is known of the packs now: later entries are for the next verify. */
static int copy_packs(lrb_verify *self, lrb_err *err) {
    const lrb_state *state = lrb_repo_begin_read(self->repo);
    self->packs = lrb_alloc_zero(state->pack_count, sizeof *self->packs);
    self->parked = lrb_alloc_zero(state->pack_count, sizeof *self->parked);
    if (self->packs && self->parked) {
        self->pack_count = state->pack_count;
        for (uint32_t i = 0; i < state->pack_count; i++) {
            self->packs[i].known = state->packs[i];
            /* A pack without a size was never part of the repository: prune found it in packs/ and retired it. */
            self->packs[i].skip = state->packs[i].status == LRB_PACK_SWEPT || !state->packs[i].size_bytes;
        }
    }
    lrb_repo_end_read(self->repo);
    return self->packs && self->parked ? LRB_OK : lrb_err_nomem(err, "list the packs");
}

static int step_log(lrb_verify *self, lrb_worker *worker, bool *done, lrb_err *err) {
    int code = self->chain ? LRB_OK : begin_log(self, err);
    if (!code) code = lrb_chain_step(self->chain, done, err);
    if (code || !*done) return code;
    if ((code = copy_packs(self, err))) return code;
    return lrb_target_list(self->repo, worker->coder, chosen(self), &self->targets, &self->target_count, err);
}

/* ---- walking, for NEEDED, PACKS and ITEMS ---- */

static int begin_walk(lrb_verify *self, lrb_err *err) {
    self->walk_at = lrb_repo_begin_read(self->repo)->last_number;
    lrb_repo_end_read(self->repo);
    int code = lrb_reach_new(self->repo, self->phase == LRB_VERIFY_ITEMS ? &self->bad : NULL, &self->reach, err);
    if (!code) lrb_reach_add_up(self->reach);
    return code;
}

/* One step of the walk over all targets. *ended: the target whose walk is complete now. */
static int walk(lrb_verify *self, lrb_worker *worker, bool *done, const lrb_target **ended, lrb_err *err) {
    int code = self->reach ? LRB_OK : begin_walk(self, err);
    *ended = NULL;
    *done = self->next_target == self->target_count;
    if (code || *done) return code;
    const lrb_target *target = &self->targets[self->next_target];
    bool complete = false;
    if (!self->walking) code = lrb_reach_begin(self->reach, worker->coder, &target->body_root, err);
    self->walking = true;
    if (!code) code = lrb_reach_step(self->reach, worker->coder, &complete, err);
    if (code || !complete) return code;
    self->walking = false;
    self->next_target++;
    *ended = target;
    return LRB_OK;
}

static lrb_loss loss_of(lrb_verify *self) {
    return (lrb_loss){self->repo, &self->job, self->reach, &self->bad, &self->newer, &self->findings};
}

/* One step of the walk before anything is known of packs. When all of them are found whole, and here nothing is missing, it
 * has said all there is to say of the items. */
static int walk_early(lrb_verify *self, lrb_worker *worker, bool *done, lrb_err *err) {
    const lrb_target *ended;
    bool lost = false;
    int code = walk(self, worker, done, &ended, err);
    lrb_loss loss = loss_of(self);
    if (!code && ended) code = lrb_loss_any(&loss, worker, ended, &lost, err);
    if (lost) self->lacks = true;
    return code;
}

static int step_needed(lrb_verify *self, lrb_worker *worker, bool *done, lrb_err *err) {
    int code = walk_early(self, worker, done, err);
    if (code || !*done) return code;
    self->only = lrb_reach_live(self->reach);
    for (uint32_t i = 0; i < self->pack_count; i++)
        if (!lrb_marks_touch(self->only, i)) self->packs[i].skip = true;
    return LRB_OK;
}

/* ---- ITEMS ---- */

/* It may have been dropped, and its packs swept, during the walk. *moved: the log has grown since the walk began. */
static bool still_exists(lrb_verify *self, const lrb_target *target, bool *moved) {
    lrb_err ignored; /* LOG has reported it */
    lrb_repo_refresh(self->repo, &ignored);
    const lrb_state *state = lrb_repo_begin_read(self->repo);
    bool exists = lrb_state_find(state, target->id);
    *moved = state->last_number != self->walk_at;
    lrb_repo_end_read(self->repo);
    return exists;
}

/* What seemed lost may have been copied to another pack and swept from its old one between two looks: it is looked for again, in
 * the newest state, from this target on. */
static void walk_again(lrb_verify *self) {
    lrb_reach_free(self->reach);
    self->reach = NULL;
    self->next_target--;
    self->walks++;
}

static int step_items(lrb_verify *self, lrb_worker *worker, bool *done, lrb_err *err) {
    const lrb_target *ended;
    bool lost = false, moved;
    int code = walk(self, worker, done, &ended, err);
    lrb_loss loss = loss_of(self);
    if (!code && ended) code = lrb_loss_any(&loss, worker, ended, &lost, err);
    if (code || !lost || !still_exists(self, ended, &moved)) return code;
    if (moved && self->walks < MAX_WALKS) {
        walk_again(self);
        return LRB_OK;
    }
    return lrb_loss_report(&loss, worker, ended, err);
}

/* ---- ENTER ---- */

/* The rotten packs that still count as whole, in the newest state. *at: that state's last entry. */
static size_t list_rotten(lrb_verify *self, lrb_id *ids, uint64_t *at) {
    size_t count = 0;
    const lrb_state *state = lrb_repo_begin_read(self->repo);
    *at = state->last_number;
    for (uint32_t i = 0; i < self->pack_count; i++) {
        lrb_pack_status status = state->packs[i].status;
        if (self->packs[i].rotten && (status == LRB_PACK_KNOWN || status == LRB_PACK_RETIRED))
            ids[count++] = state->packs[i].id;
    }
    lrb_repo_end_read(self->repo);
    return count;
}

static int enter_rotten(lrb_verify *self, lrb_id *ids, lrb_err *err) {
    enum { MAX_TRIES = 10 };
    int code = LRB_OK;
    for (int tries = 0; tries < MAX_TRIES; tries++) {
        uint64_t at;
        size_t entered, count = list_rotten(self, ids, &at);
        code = lrb_pack_list_append(self->repo, LRB_ENTRY_DAMAGED, NULL, 0, ids, count, &at, &entered, err);
        if (code != LRB_E_BUSY) break;
    }
    return code;
}

/* Not being able to write does not unsay what was found. */
static int step_enter(lrb_verify *self, lrb_err *err) {
    lrb_id *ids = lrb_alloc_zero(self->pack_count, sizeof *ids);
    if (!ids) return lrb_err_nomem(err, "enter damaged packs");
    int code = self->mark ? enter_rotten(self, ids, err) : LRB_OK;
    lrb_free(ids);
    if (!code || code == LRB_E_NOMEM) return code;
    char message[320];
    snprintf(message, sizeof message, "the damaged packs could not be entered: %.240s", err->message);
    lrb_err_clear(err);
    return lrb_findings_add(&self->findings, "log", message, err);
}

/* ---- the job ---- */

static int step_for_one(lrb_verify *self, lrb_worker *worker, bool *over, lrb_err *err) {
    *over = true;
    switch (self->phase) {
    case LRB_VERIFY_LOG: return step_log(self, worker, over, err);
    case LRB_VERIFY_NEEDED: return step_needed(self, worker, over, err);
    case LRB_VERIFY_PACKS: return walk_early(self, worker, over, err);
    case LRB_VERIFY_ITEMS: return step_items(self, worker, over, err);
    case LRB_VERIFY_ENTER: return step_enter(self, err);
    case LRB_VERIFY_OVER: break;
    }
    return LRB_OK;
}

static lrb_verify_phase phase_after(const lrb_verify *self) {
    if (self->phase == LRB_VERIFY_LOG && !chosen(self)) return LRB_VERIFY_PACKS;
    if (self->phase == LRB_VERIFY_PACKS && !self->lacks && !self->bad.pack_count) return LRB_VERIFY_ENTER;
    return self->phase + 1;
}

/* Under the lock. */
static void next_phase(lrb_verify *self, lrb_step *next) {
    if (self->phase == LRB_VERIFY_NEEDED) self->walked = true;
    self->phase = phase_after(self);
    atomic_store_explicit(&self->job.counters.phase, self->phase, memory_order_relaxed);
    if (self->phase == LRB_VERIFY_PACKS) lrb_verify_count_packs(self);
    if (self->phase == LRB_VERIFY_ITEMS) {
        lrb_reach_free(self->reach);
        self->reach = NULL;
        self->next_target = 0;
    }
    if (self->phase == LRB_VERIFY_OVER) *next = LRB_STEP_DONE;
}

static int step(lrb_job *job, lrb_worker *worker, lrb_step *next, lrb_err *err) {
    lrb_verify *self = (lrb_verify *)job;
    bool over = false;
    int code = lrb_job_check(job, err);
    if (code) return code;
    pthread_mutex_lock(&self->lock);
    *next = LRB_STEP_MORE;
    bool packs = self->phase == LRB_VERIFY_PACKS;
    if (packs && (self->walked || self->busy)) { /* before that one thread walks, and the others look at packs */
        code = lrb_verify_step_packs(self, worker, next, &over, err);
    } else if (self->busy || self->phase == LRB_VERIFY_OVER) {
        *next = LRB_STEP_IDLE;
    } else {
        self->busy = true;
        pthread_mutex_unlock(&self->lock);
        code = step_for_one(self, worker, &over, err);
        pthread_mutex_lock(&self->lock);
        self->busy = false;
        if (packs && over) self->walked = true;
        if (packs) over = false; /* that is for the packs to say */
    }
    if (!code && over) next_phase(self, next);
    pthread_mutex_unlock(&self->lock);
    return code;
}

static void finish(lrb_job *job, lrb_worker *worker) {
    (void)worker;
    lrb_repo_rest(((lrb_verify *)job)->repo);
}

static void free_verify(lrb_job *job) {
    lrb_verify *self = (lrb_verify *)job;
    while (self->parked_count) lrb_pack_check_free(self->parked[--self->parked_count]);
    lrb_free(self->parked);
    lrb_free(self->packs);
    lrb_free(self->targets);
    lrb_marks_clear(&self->bad);
    lrb_marks_clear(&self->newer);
    lrb_chain_free(self->chain);
    lrb_reach_free(self->reach);
    lrb_findings_clear(&self->findings);
    lrb_findings_clear(&self->notes);
    pthread_mutex_destroy(&self->lock);
    lrb_free(self);
}

static const lrb_job_ops verify_ops = {.step = step, .finish = finish, .free = free_verify};

int lrb_verify_new(lrb_repo *repo, const char *snapshot_id, lrb_verify_level level, bool mark, lrb_job **out,
                   lrb_err *err) {
    if (snapshot_id && (!snapshot_id[0] || strlen(snapshot_id) >= LRB_SNAPSHOT_ID_MAX))
        return lrb_err_set(err, LRB_E_NOT_FOUND, "verify", snapshot_id, "no snapshot can have this id");
    lrb_verify *self = lrb_alloc_zero(1, sizeof *self);
    if (!self) return lrb_err_nomem(err, "verify");
    lrb_job_init(&self->job, &verify_ops);
    self->repo = repo;
    if (snapshot_id) memcpy(self->snapshot_id, snapshot_id, strlen(snapshot_id));
    self->level = level;
    self->mark = mark;
    self->phase = LRB_VERIFY_LOG;
    atomic_store_explicit(&self->job.counters.phase, LRB_VERIFY_LOG, memory_order_relaxed);
    lrb_findings_init(&self->findings);
    lrb_findings_init(&self->notes);
    lrb_marks_init(&self->bad);
    lrb_marks_init(&self->newer);
    pthread_mutex_init(&self->lock, NULL);
    *out = &self->job;
    return LRB_OK;
}

size_t lrb_verify_finding_count(const lrb_job *job) {
    return ((const lrb_verify *)job)->findings.count;
}

const lrb_finding *lrb_verify_finding_at(const lrb_job *job, size_t position) {
    return &((const lrb_verify *)job)->findings.list[position];
}

size_t lrb_verify_note_count(const lrb_job *job) {
    return ((const lrb_verify *)job)->notes.count;
}

const lrb_finding *lrb_verify_note_at(const lrb_job *job, size_t position) {
    return &((const lrb_verify *)job)->notes.list[position];
}

void lrb_verify_totals(const lrb_job *job, uint64_t *objects, uint64_t *chunks, uint64_t *bytes, uint64_t *findings) {
    const lrb_verify *self = (const lrb_verify *)job;
    *objects = self->packs_checked + (self->chain ? lrb_chain_entries(self->chain) : 0);
    *chunks = self->chunks;
    *bytes = self->bytes + (self->chain ? lrb_chain_bytes(self->chain) : 0);
    *findings = self->findings.total;
}
