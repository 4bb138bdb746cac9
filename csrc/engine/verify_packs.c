#include <stdio.h>

#include "engine/verify_private.h"

enum {
    LAST_PACKS = 8 /* that are checked in step: more than there are threads, where there are few */
};

/* Another process may have swept the pack while it was looked at. */
static int still_there(lrb_verify *self, uint32_t position, bool *there, lrb_err *err) {
    int code = lrb_repo_refresh(self->repo, err);
    if (code == LRB_E_NOMEM) return code;
    lrb_err_clear(err); /* LOG has reported it */
    const lrb_state *state = lrb_repo_begin_read(self->repo);
    *there = state->packs[position].status != LRB_PACK_SWEPT;
    lrb_repo_end_read(self->repo);
    return LRB_OK;
}

/* A pack that is already entered as damaged is noted only: what it costs, the items' findings say. */
static int report_pack(lrb_verify *self, const lrb_pack_check *check, lrb_pack_record *record, lrb_err *err) {
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
static int note_pack(lrb_verify *self, const lrb_pack_check *check, bool there, lrb_err *err) {
    lrb_pack_record *record = &self->packs[check->position];
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
static lrb_pack_check *take_longest(lrb_verify *self) {
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
static int take_check(lrb_verify *self, lrb_pack_check **out, lrb_err *err) {
    bool last = self->pack_count - self->next_pack <= LAST_PACKS;
    *out = last ? NULL : take_longest(self);
    while (!*out && self->next_pack < self->pack_count) {
        uint32_t position = self->next_pack++;
        const lrb_pack_record *record = &self->packs[position];
        if (record->skip) continue;
        bool digests = self->level == LRB_VERIFY_DIGESTS || record->known.status == LRB_PACK_DAMAGED;
        return lrb_pack_check_new(self->repo, position, &record->known, digests, self->only, out, err);
    }
    if (!*out) *out = take_longest(self);
    return LRB_OK;
}

/* For one snapshot only what it needs was read. When some of that is bad another copy may be good: then all is read. */
static bool widen(lrb_verify *self) {
    bool any_bad = self->bad.pack_count > 0;
    if (!self->only || !any_bad) return false;
    self->only = NULL;
    self->next_pack = 0;
    for (uint32_t i = 0; i < self->pack_count; i++)
        self->packs[i].skip = self->packs[i].known.status == LRB_PACK_SWEPT || !self->packs[i].known.size_bytes;
    return true;
}

/* Works on one check for a while, without the lock. */
static int work_on(lrb_verify *self, lrb_pack_check *check, lrb_worker *worker, bool *done, bool *there, lrb_err *err) {
    *there = true;
    int code = lrb_pack_check_step(check, &self->job, worker, done, err);
    if (!code && *done && check->problem.code) code = still_there(self, check->position, there, err);
    return code;
}

int lrb_verify_step_packs(lrb_verify *self, lrb_worker *worker, lrb_step *next, bool *over, lrb_err *err) {
    lrb_pack_check *check;
    bool done = false, there;
    int code = take_check(self, &check, err);
    if (code) return code;
    if (!check) {
        if (self->checking || self->busy) *next = LRB_STEP_IDLE;
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

void lrb_verify_count_packs(lrb_verify *self) {
    uint64_t packs = 0, bytes = 0;
    for (uint32_t i = 0; i < self->pack_count; i++) {
        if (self->packs[i].skip) continue;
        packs++;
        if (self->level == LRB_VERIFY_DIGESTS) bytes += self->packs[i].known.size_bytes;
    }
    atomic_store_explicit(&self->job.counters.items_total, packs, memory_order_relaxed);
    atomic_store_explicit(&self->job.counters.bytes_total, bytes, memory_order_relaxed);
}
