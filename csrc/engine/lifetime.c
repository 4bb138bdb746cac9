#include "engine/lifetime.h"

#include <string.h>

#include "engine/reserve.h"
#include "repo/field.h"

enum { ENTRY_BYTES = 4096, FIELD_HEAD_BYTES = 6 };
/* What one entry's payload may take: the rest is its header, a graph id of the greatest length and its digest. */
enum { PAYLOAD_BYTES = ENTRY_BYTES - LRB_ENTRY_HEADER_BYTES - 128 - LRB_DIGEST_BYTES };
enum { MAX_DROPS = PAYLOAD_BYTES / (FIELD_HEAD_BYTES + 1) };

/* What readers of the log take as text. An entry they would refuse must never be written: it would end the log for
 * everyone. */
static bool is_text(const char *text, size_t max_bytes) {
    size_t length = 0;
    for (; text[length]; length++)
        if (length == max_bytes || (unsigned char)text[length] < 0x20 || text[length] == 0x7f) return false;
    return true;
}

/* Appends an entry unless the precommit says through *nothing that there is nothing to say. A checkpoint only makes
 * later opens faster, so one that cannot be written now is left to the next writer. */
static int append(lrb_repo *repo, lrb_entry_kind kind, lrb_repo_precommit precommit, void *arg, bool *nothing,
                  lrb_err *err) {
    lrb_draft draft = {.kind = kind};
    lrb_err ignored;
    uint64_t number;
    *nothing = false;
    /* Letting go makes room, so it may use the room kept for that; holding does not. */
    bool frees = kind != LRB_ENTRY_HOLD;
    int code = (frees ? lrb_reserve_append : lrb_repo_append)(repo, &draft, precommit, arg, &number, err);
    if (code && *nothing) {
        lrb_err_clear(err);
        return LRB_OK;
    }
    if (!code) lrb_repo_maybe_checkpoint(repo, &ignored);
    return code;
}

static int refuse_as_needless(bool *nothing, const char *id, lrb_err *err) {
    *nothing = true;
    return lrb_err_set(err, LRB_E_EXISTS, "append", id, "nothing is left to do");
}

static int use_payload(lrb_draft *draft, const lrb_buf *payload) {
    draft->payload = payload->data;
    draft->payload_length = payload->length;
    return LRB_OK;
}

/* ---- drop ---- */

typedef struct drop_batch {
    const char *const *ids;
    size_t first, count;      /* the batch: ids[first .. first + count - 1] */
    const char *reason;
    bool *dropped;
    lrb_buf payload;
    bool nothing;
} drop_batch;

static bool named_before(const drop_batch *batch, size_t position) {
    for (size_t i = batch->first; i < position; i++)
        if (batch->dropped[i] && !strcmp(batch->ids[i], batch->ids[position])) return true;
    return false;
}

static bool may_drop(const drop_batch *batch, const lrb_state *state, size_t position) {
    const lrb_snapshot *snapshot = lrb_state_find(state, batch->ids[position]);
    return snapshot && snapshot->holder_count == 0 && !named_before(batch, position);
}

static int put_drops(void *arg, const lrb_state *state, lrb_draft *draft, lrb_err *err) {
    drop_batch *batch = arg;
    int code = LRB_OK;
    batch->nothing = true;
    lrb_buf_empty(&batch->payload);
    for (size_t i = batch->first; i < batch->first + batch->count && !code; i++) {
        batch->dropped[i] = may_drop(batch, state, i);
        if (!batch->dropped[i]) continue;
        batch->nothing = false;
        code = lrb_field_put_text(&batch->payload, LRB_F_SNAPSHOT_REF, batch->ids[i], err);
    }
    if (!code && batch->nothing) return refuse_as_needless(&batch->nothing, batch->ids[batch->first], err);
    if (!code) code = lrb_field_put_text(&batch->payload, LRB_F_REASON, batch->reason, err);
    return code ? code : use_payload(draft, &batch->payload);
}

/* How many ids from `first` on fit into one entry. One longer than any snapshot's is never found: it takes no room. */
static size_t batch_length(const char *const *ids, size_t first, size_t count, size_t reason_length) {
    size_t room = PAYLOAD_BYTES - FIELD_HEAD_BYTES - reason_length, taken = 0;
    while (first + taken < count && taken < MAX_DROPS) {
        size_t length = strlen(ids[first + taken]);
        size_t needed = length < LRB_SNAPSHOT_ID_MAX ? FIELD_HEAD_BYTES + length : 0;
        if (needed > room) break;
        room -= needed;
        taken++;
    }
    return taken;
}

int lrb_lifetime_drop(lrb_repo *repo, const char *const *ids, size_t count, const char *reason, bool *dropped,
                      lrb_err *err) {
    for (size_t i = 0; i < count; i++) dropped[i] = false;
    if (!is_text(reason, LRB_REASON_MAX_BYTES))
        return lrb_err_set(err, LRB_E_INVALID, "drop", "reason",
                           "a reason has at most %d bytes and no control characters", LRB_REASON_MAX_BYTES);
    drop_batch batch = {.ids = ids, .reason = reason, .dropped = dropped};
    lrb_buf_init(&batch.payload, PAYLOAD_BYTES);
    int code = LRB_OK;
    for (size_t first = 0; first < count && !code; first += batch.count) {
        batch.first = first;
        batch.count = batch_length(ids, first, count, strlen(reason));
        code = append(repo, LRB_ENTRY_DROP, put_drops, &batch, &batch.nothing, err);
    }
    if (code)
        for (size_t i = batch.first; i < batch.first + batch.count; i++) dropped[i] = false;
    lrb_buf_clear(&batch.payload);
    return code;
}

/* ---- hold and release ---- */

typedef struct holding {
    const char *snapshot_id, *holder;
    bool hold;                /* or release */
    lrb_buf payload;
    bool nothing;
} holding;

static bool holds(const lrb_snapshot *snapshot, const char *holder) {
    for (uint32_t i = 0; i < snapshot->holder_count; i++)
        if (!strcmp(snapshot->holders[i], holder)) return true;
    return false;
}

static int put_holding(void *arg, const lrb_state *state, lrb_draft *draft, lrb_err *err) {
    holding *self = arg;
    const lrb_snapshot *snapshot = lrb_state_find(state, self->snapshot_id);
    if (!snapshot)
        return lrb_err_set(err, LRB_E_NOT_FOUND, self->hold ? "hold" : "release", self->snapshot_id,
                           "there is no such snapshot");
    if (holds(snapshot, self->holder) == self->hold) return refuse_as_needless(&self->nothing, self->snapshot_id, err);
    lrb_buf_empty(&self->payload);
    int code = lrb_field_put_text(&self->payload, LRB_F_SNAPSHOT_REF, self->snapshot_id, err);
    if (!code) code = lrb_field_put_text(&self->payload, LRB_F_HOLDER, self->holder, err);
    return code ? code : use_payload(draft, &self->payload);
}

static int change_holding(lrb_repo *repo, bool hold, const char *snapshot_id, const char *holder, bool *changed,
                          lrb_err *err) {
    if (!holder[0] || !is_text(holder, LRB_HOLDER_MAX - 1))
        return lrb_err_set(err, LRB_E_INVALID, hold ? "hold" : "release", snapshot_id,
                           "a holder's name has 1 to %d bytes and no control characters", LRB_HOLDER_MAX - 1);
    holding self = {.snapshot_id = snapshot_id, .holder = holder, .hold = hold};
    lrb_buf_init(&self.payload, PAYLOAD_BYTES);
    int code = append(repo, hold ? LRB_ENTRY_HOLD : LRB_ENTRY_RELEASE, put_holding, &self, &self.nothing, err);
    *changed = !code && !self.nothing;
    lrb_buf_clear(&self.payload);
    return code;
}

int lrb_lifetime_hold(lrb_repo *repo, const char *snapshot_id, const char *holder, bool *changed, lrb_err *err) {
    return change_holding(repo, true, snapshot_id, holder, changed, err);
}

int lrb_lifetime_release(lrb_repo *repo, const char *snapshot_id, const char *holder, bool *changed, lrb_err *err) {
    return change_holding(repo, false, snapshot_id, holder, changed, err);
}
