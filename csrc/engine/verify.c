#include "engine/verify.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "engine/chain.h"
#include "engine/findings.h"
#include "engine/loss.h"
#include "engine/pack_check.h"
#include "engine/pack_list.h"
#include "engine/reach.h"
#include "repo/keyring.h"

typedef struct pack_record {
    lrb_state_pack known;
    bool skip;     /* nobody needs it */
    bool reported; /* a finding names it */
    bool rotten;   /* to be entered as damaged */
} pack_record;

typedef struct verify {
    lrb_job job;
    lrb_repo *repo;
    char snapshot_id[LRB_SNAPSHOT_ID_MAX]; /* "": all */
    lrb_verify_level level;
    bool mark;
    lrb_findings findings;
    lrb_findings notes;        /* of packs that were entered as damaged before */

    pthread_mutex_t lock;      /* for all below */
    lrb_verify_phase phase;
    bool busy;                 /* a thread is inside a phase for one */
    unsigned checking;         /* threads inside a pack check */
    lrb_pack_check **parked;   /* begun checks nobody works on; room for one per pack */
    uint32_t parked_count;
    pack_record *packs;        /* by position */
    uint32_t pack_count, next_pack;
    const lrb_marks *only;     /* the chunks one snapshot needs; NULL: all */
    lrb_marks bad;
    lrb_marks newer;           /* packs of which a newer version understands more */
    uint64_t packs_checked, chunks, bytes;

    /* the phases for one */
    lrb_chain *chain;
    lrb_reach *reach;
    lrb_target *targets;
    size_t target_count, next_target;
    bool walking;
    uint64_t walk_at;          /* the log's last entry when the walk began */
    unsigned walks;            /* begun anew because the log had grown */
} verify;

enum {
    MAX_WALKS = 100,
    LAST_PACKS = 8 /* that are checked in step: more than there are threads, where there are few */
};

static const char *chosen(const verify *self) {
    return self->snapshot_id[0] ? self->snapshot_id : NULL;
}

/* ---- LOG ---- */

static int report_defect(void *arg, const char *object, const char *message, lrb_err *err) {
    return lrb_findings_add(arg, object, message, err);
}

/* A log that cannot be followed to its end is no reason not to look at what is known of it. */
static int refresh(verify *self, lrb_err *err) {
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
static int look_at_slots(verify *self, lrb_err *err) {
    lrb_keyring_sight slots;
    const lrb_vault *vault = lrb_repo_vault(self->repo);
    int code = lrb_keyring_look(lrb_repo_root_dir(self->repo), vault->sealed ? &vault->master : NULL, &slots, err);
    if (!code && slots.foreign[0])
        code = lrb_findings_add(&self->findings, slots.foreign, "this was not made with the key of this storage path, and is passed over: remove the file", err);
    if (code || !slots.unreadable[0]) return code;
    return lrb_findings_add(&self->findings, slots.unreadable, "the key slot cannot be read: the next backup restores it from another graph's copy; "
                            "without one restore the file from a copy, or add the passphrase again and remove it", err);
}

static int begin_log(verify *self, lrb_err *err) {
    int code = refresh(self, err);
    if (!code) code = look_at_slots(self, err);
    const char *alarm = lrb_repo_alarm(self->repo);
    if (!code && alarm) code = lrb_findings_add(&self->findings, "log", alarm, err);
    return code ? code : lrb_chain_new(self->repo, report_defect, &self->findings, &self->chain, err);
}

/* What is known of the packs now: later entries are for the next verify. */
static int copy_packs(verify *self, lrb_err *err) {
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

static int step_log(verify *self, lrb_worker *worker, bool *done, lrb_err *err) {
    int code = self->chain ? LRB_OK : begin_log(self, err);
    if (!code) code = lrb_chain_step(self->chain, done, err);
    if (code || !*done) return code;
    if ((code = copy_packs(self, err))) return code;
    return lrb_target_list(self->repo, worker->coder, chosen(self), &self->targets, &self->target_count, err);
}

/* ---- walking, for NEEDED and ITEMS ---- */

static int begin_walk(verify *self, const lrb_marks *bad, lrb_err *err) {
    self->walk_at = lrb_repo_begin_read(self->repo)->last_number;
    lrb_repo_end_read(self->repo);
    int code = lrb_reach_new(self->repo, bad, &self->reach, err);
    if (!code && bad) lrb_reach_add_up(self->reach);
    return code;
}

/* One step of the walk over all targets. *ended: the target whose walk is complete now. */
static int walk(verify *self, lrb_worker *worker, bool *done, const lrb_target **ended, lrb_err *err) {
    const lrb_marks *bad = self->phase == LRB_VERIFY_ITEMS ? &self->bad : NULL;
    int code = self->reach ? LRB_OK : begin_walk(self, bad, err);
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

static int step_needed(verify *self, lrb_worker *worker, bool *done, lrb_err *err) {
    const lrb_target *ended;
    int code = walk(self, worker, done, &ended, err);
    if (code || !*done) return code;
    self->only = lrb_reach_live(self->reach);
    for (uint32_t i = 0; i < self->pack_count; i++)
        if (!lrb_marks_touch(self->only, i)) self->packs[i].skip = true;
    return LRB_OK;
}

/* ---- PACKS ---- */

/* Another process may have swept the pack while it was looked at. */
static int still_there(verify *self, uint32_t position, bool *there, lrb_err *err) {
    int code = lrb_repo_refresh(self->repo, err);
    if (code == LRB_E_NOMEM) return code;
    lrb_err_clear(err); /* LOG has reported it */
    const lrb_state *state = lrb_repo_begin_read(self->repo);
    *there = state->packs[position].status != LRB_PACK_SWEPT;
    lrb_repo_end_read(self->repo);
    return LRB_OK;
}

/* A pack that is already entered as damaged is noted only: what it costs, the items' findings say. */
static int report_pack(verify *self, const lrb_pack_check *check, pack_record *record, lrb_err *err) {
    lrb_finding finding;
    if (record->reported) return LRB_OK;
    record->reported = true;
    bool known = record->known.status == LRB_PACK_DAMAGED;
    record->rotten = !known && !check->refused && !lrb_pack_check_is_newer(check);
    snprintf(finding.object, sizeof finding.object, "packs/");
    lrb_hex(record->known.id.bytes, LRB_DIGEST_BYTES, finding.object + 6);
    lrb_pack_check_message(check, finding.message, sizeof finding.message);
    return lrb_findings_add(known ? &self->notes : &self->findings, finding.object, finding.message, err);
}

/* Under the lock. */
static int note_pack(verify *self, const lrb_pack_check *check, bool there, lrb_err *err) {
    pack_record *record = &self->packs[check->position];
    self->packs_checked++;
    self->chunks += check->chunks;
    self->bytes += check->bytes;
    atomic_store_explicit(&self->job.counters.items_done, self->packs_checked, memory_order_relaxed);
    atomic_store_explicit(&self->job.counters.bytes_in, self->bytes, memory_order_relaxed);
    if (!check->problem.code) return LRB_OK;
    int code = LRB_OK;
    if (lrb_pack_check_is_newer(check)) code = lrb_marks_add_pack(&self->newer, check->position, err);
    if (!code && check->unreadable) code = lrb_marks_add_pack(&self->bad, check->position, err);
    for (uint32_t i = 0; !code && i < check->bad_count; i++)
        code = lrb_marks_add(&self->bad, (lrb_place){check->position, check->bad[i]}, err);
    return code || !there ? code : report_pack(self, check, record, err);
}

/* Takes the check out of those parked of which the most is left. NULL: none is parked. */
static lrb_pack_check *take_longest(verify *self) {
    uint32_t longest = 0;
    if (!self->parked_count) return NULL;
    for (uint32_t i = 1; i < self->parked_count; i++)
        if (lrb_pack_check_left(self->parked[i]) > lrb_pack_check_left(self->parked[longest])) longest = i;
    lrb_pack_check *taken = self->parked[longest];
    self->parked[longest] = self->parked[--self->parked_count];
    return taken;
}

/* A check to work on, or *out NULL when all are begun and in other threads' hands, or done. Packs are finished before others
 * are begun, but for the last ones: those are begun at once and go on in step, so that no thread is left alone with one that
 * it began as the others ended. Under the lock. */
static int take_check(verify *self, lrb_pack_check **out, lrb_err *err) {
    bool last = self->pack_count - self->next_pack <= LAST_PACKS;
    *out = last ? NULL : take_longest(self);
    while (!*out && self->next_pack < self->pack_count) {
        uint32_t position = self->next_pack++;
        const pack_record *record = &self->packs[position];
        if (record->skip) continue;
        bool digests = self->level == LRB_VERIFY_DIGESTS || record->known.status == LRB_PACK_DAMAGED;
        return lrb_pack_check_new(self->repo, position, &record->known, digests, self->only, out, err);
    }
    if (!*out) *out = take_longest(self);
    return LRB_OK;
}

/* For one snapshot only what it needs was read. When some of that is bad another copy may be good: then all is read. */
static bool widen(verify *self) {
    bool any_bad = self->bad.pack_count > 0;
    if (!self->only || !any_bad) return false;
    self->only = NULL;
    self->next_pack = 0;
    for (uint32_t i = 0; i < self->pack_count; i++)
        self->packs[i].skip = self->packs[i].known.status == LRB_PACK_SWEPT || !self->packs[i].known.size_bytes;
    return true;
}

/* Works on one check for a while, without the lock. */
static int work_on(verify *self, lrb_pack_check *check, lrb_worker *worker, bool *done, bool *there, lrb_err *err) {
    *there = true;
    int code = lrb_pack_check_step(check, &self->job, worker, done, err);
    if (!code && *done && check->problem.code) code = still_there(self, check->position, there, err);
    return code;
}

/* Enters and leaves with the lock held. */
static int step_packs(verify *self, lrb_worker *worker, lrb_step *next, bool *over, lrb_err *err) {
    lrb_pack_check *check;
    bool done = false, there;
    int code = take_check(self, &check, err);
    if (code) return code;
    if (!check) {
        if (self->checking) *next = LRB_STEP_IDLE;
        else *over = !widen(self);
        return LRB_OK;
    }
    self->checking++;
    pthread_mutex_unlock(&self->lock);
    code = work_on(self, check, worker, &done, &there, err);
    pthread_mutex_lock(&self->lock);
    self->checking--;
    if (!code && !done) {
        self->parked[self->parked_count++] = check;
        return LRB_OK;
    }
    if (!code) code = note_pack(self, check, there, err);
    lrb_pack_check_free(check);
    return code;
}

static void count_packs(verify *self) {
    uint64_t packs = 0, bytes = 0;
    for (uint32_t i = 0; i < self->pack_count; i++) {
        if (self->packs[i].skip) continue;
        packs++;
        if (self->level == LRB_VERIFY_DIGESTS) bytes += self->packs[i].known.size_bytes;
    }
    atomic_store_explicit(&self->job.counters.items_total, packs, memory_order_relaxed);
    atomic_store_explicit(&self->job.counters.bytes_total, bytes, memory_order_relaxed);
}

/* ---- ITEMS ---- */

/* It may have been dropped, and its packs swept, during the walk. *moved: the log has grown since the walk began. */
static bool still_exists(verify *self, const lrb_target *target, bool *moved) {
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
static void walk_again(verify *self) {
    lrb_reach_free(self->reach);
    self->reach = NULL;
    self->next_target--;
    self->walks++;
}

static int step_items(verify *self, lrb_worker *worker, bool *done, lrb_err *err) {
    const lrb_target *ended;
    bool lost = false, moved;
    int code = walk(self, worker, done, &ended, err);
    lrb_loss loss = {self->repo, &self->job, self->reach, &self->bad, &self->newer, &self->findings};
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
static size_t list_rotten(verify *self, lrb_id *ids, uint64_t *at) {
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

static int enter_rotten(verify *self, lrb_id *ids, lrb_err *err) {
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
static int step_enter(verify *self, lrb_err *err) {
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

static int step_for_one(verify *self, lrb_worker *worker, bool *over, lrb_err *err) {
    *over = true;
    switch (self->phase) {
    case LRB_VERIFY_LOG: return step_log(self, worker, over, err);
    case LRB_VERIFY_NEEDED: return step_needed(self, worker, over, err);
    case LRB_VERIFY_ITEMS: return step_items(self, worker, over, err);
    case LRB_VERIFY_ENTER: return step_enter(self, err);
    case LRB_VERIFY_PACKS:
    case LRB_VERIFY_OVER: break;
    }
    return LRB_OK;
}

/* Under the lock. */
static void next_phase(verify *self, lrb_step *next) {
    self->phase = self->phase == LRB_VERIFY_LOG && !chosen(self) ? LRB_VERIFY_PACKS : self->phase + 1;
    atomic_store_explicit(&self->job.counters.phase, self->phase, memory_order_relaxed);
    if (self->phase == LRB_VERIFY_PACKS) count_packs(self);
    if (self->phase == LRB_VERIFY_ITEMS) {
        lrb_reach_free(self->reach);
        self->reach = NULL;
        self->next_target = 0;
    }
    if (self->phase == LRB_VERIFY_OVER) *next = LRB_STEP_DONE;
}

static int step(lrb_job *job, lrb_worker *worker, lrb_step *next, lrb_err *err) {
    verify *self = (verify *)job;
    bool over = false;
    int code = lrb_job_check(job, err);
    if (code) return code;
    pthread_mutex_lock(&self->lock);
    *next = LRB_STEP_MORE;
    if (self->phase == LRB_VERIFY_PACKS) {
        code = step_packs(self, worker, next, &over, err);
    } else if (self->busy || self->phase == LRB_VERIFY_OVER) {
        *next = LRB_STEP_IDLE;
    } else {
        self->busy = true;
        pthread_mutex_unlock(&self->lock);
        code = step_for_one(self, worker, &over, err);
        pthread_mutex_lock(&self->lock);
        self->busy = false;
    }
    if (!code && over) next_phase(self, next);
    pthread_mutex_unlock(&self->lock);
    return code;
}

static void finish(lrb_job *job, lrb_worker *worker) {
    (void)worker;
    lrb_repo_rest(((verify *)job)->repo);
}

static void free_verify(lrb_job *job) {
    verify *self = (verify *)job;
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
    verify *self = lrb_alloc_zero(1, sizeof *self);
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
    return ((const verify *)job)->findings.count;
}

const lrb_finding *lrb_verify_finding_at(const lrb_job *job, size_t position) {
    return &((const verify *)job)->findings.list[position];
}

size_t lrb_verify_note_count(const lrb_job *job) {
    return ((const verify *)job)->notes.count;
}

const lrb_finding *lrb_verify_note_at(const lrb_job *job, size_t position) {
    return &((const verify *)job)->notes.list[position];
}

void lrb_verify_totals(const lrb_job *job, uint64_t *objects, uint64_t *chunks, uint64_t *bytes, uint64_t *findings) {
    const verify *self = (const verify *)job;
    *objects = self->packs_checked + (self->chain ? lrb_chain_entries(self->chain) : 0);
    *chunks = self->chunks;
    *bytes = self->bytes + (self->chain ? lrb_chain_bytes(self->chain) : 0);
    *findings = self->findings.total;
}
