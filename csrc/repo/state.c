#include "repo/state.h"

#include "base/mem.h"
#include "repo/checkpoint.h"
#include "repo/state_table.h"

#include <inttypes.h>
#include <stdio.h>

static const lrb_shape hold_shape = {
    .once = LRB_FIELD_BIT(LRB_F_SNAPSHOT_REF) | LRB_FIELD_BIT(LRB_F_HOLDER) | LRB_FIELD_BIT(LRB_F_REASON),
    .required = LRB_FIELD_BIT(LRB_F_SNAPSHOT_REF) | LRB_FIELD_BIT(LRB_F_HOLDER),
};
static const lrb_shape drop_shape = {
    .once = LRB_FIELD_BIT(LRB_F_REASON),
    .many = LRB_FIELD_BIT(LRB_F_SNAPSHOT_REF),
};
static const lrb_shape packs_shape = {
    .once = LRB_FIELD_BIT(LRB_F_REASON),
    .many = LRB_FIELD_BIT(LRB_F_PACK_REF),
};

/* Gaps are closed within a batch too once they are most of the array: memory follows the living snapshots. */
enum { GAPS_TOLERATED = 1024 };

void lrb_state_init(lrb_state *state) {
    memset(state, 0, sizeof *state);
    state->empty = true;
}

void lrb_state_clear(lrb_state *state) {
    for (size_t i = 0; i < state->snapshot_count; i++) lrb_snapshot_clear(&state->snapshots[i]);
    lrb_free(state->snapshots);
    lrb_free(state->snapshot_slots);
    lrb_free(state->packs);
    lrb_free(state->pack_slots);
    lrb_state_init(state);
}

const lrb_snapshot *lrb_state_find(const lrb_state *state, const char *snapshot_id) {
    return lrb_table_find_snapshot(state, snapshot_id);
}

uint32_t lrb_state_find_pack(const lrb_state *state, const lrb_id *id) {
    const lrb_state_pack *pack = lrb_table_find_pack(state, id);
    return pack ? (uint32_t)(pack - state->packs) : LRB_NO_PACK;
}

void lrb_state_begin_batch(lrb_state *state) {
    state->batch = true;
}

void lrb_state_end_batch(lrb_state *state) {
    state->batch = false;
    lrb_table_close_gaps(state);
}

static int contradicts(const char *label, const char *what, lrb_err *err) {
    return lrb_err_set(err, LRB_E_DAMAGED, "apply", label, "log entry %s", what);
}

/* ---- packs ---- */

static void set_status(lrb_state_pack *pack, lrb_pack_status status, const lrb_entry *entry) {
    if (pack->status == status) return;
    pack->status = status;
    pack->since_entry = entry->number;
    pack->since_ns = entry->time_ns;
}

/* Packs that may stand in an entry's header: with a size, and with the one size they always had. */
static int check_written(const lrb_state *state, const lrb_entry *entry, const char *label, lrb_err *err) {
    for (uint32_t i = 0; i < entry->pack_count; i++) {
        const lrb_state_pack *pack = lrb_table_find_pack(state, &entry->packs[i].id);
        uint64_t size_bytes = entry->packs[i].size_bytes;
        if (!size_bytes || (pack && pack->size_bytes && pack->size_bytes != size_bytes))
            return contradicts(label, "names a pack with an impossible size", err);
    }
    return LRB_OK;
}

static void know_written(lrb_state *state, const lrb_entry *entry) {
    for (uint32_t i = 0; i < entry->pack_count; i++) {
        lrb_state_pack *pack = lrb_table_find_pack(state, &entry->packs[i].id);
        if (!pack) {
            pack = lrb_table_add_pack(state, &entry->packs[i].id);
            set_status(pack, LRB_PACK_KNOWN, entry);
        }
        pack->size_bytes = entry->packs[i].size_bytes;
    }
}

/* What an entry of `kind` makes of a pack in status `status` (0: not named by the log so far). */
static lrb_pack_status next_status(lrb_entry_kind kind, lrb_pack_status status, uint64_t size_bytes) {
    bool unnamed = status == 0;
    switch (kind) {
    case LRB_ENTRY_RETIRE:
    case LRB_ENTRY_REPACK: return unnamed || status == LRB_PACK_KNOWN ? LRB_PACK_RETIRED : status;
    case LRB_ENTRY_UNRETIRE: return status == LRB_PACK_RETIRED && size_bytes ? LRB_PACK_KNOWN : status;
    case LRB_ENTRY_SWEEP: return status == LRB_PACK_RETIRED || status == LRB_PACK_DAMAGED ? LRB_PACK_SWEPT : status;
    case LRB_ENTRY_DAMAGED: return status == LRB_PACK_SWEPT ? status : LRB_PACK_DAMAGED;
    default: return status;
    }
}

static int check_refs(const lrb_entry *entry, size_t *count, const char *label, lrb_err *err) {
    lrb_view view = lrb_view_of(entry->payload, entry->payload_length);
    lrb_field field;
    int code = lrb_payload_check(entry->payload, entry->payload_length, &packs_shape, label, err);
    for (*count = 0; !code && lrb_field_next(&view, &field);) {
        if (field.tag != LRB_F_PACK_REF) continue;
        if (field.value.left != LRB_DIGEST_BYTES) code = lrb_payload_refuse(field.tag, label, err);
        (*count)++;
    }
    return code;
}

static void change_refs(lrb_state *state, const lrb_entry *entry) {
    lrb_view view = lrb_view_of(entry->payload, entry->payload_length);
    lrb_field field;
    lrb_id id;
    while (lrb_field_next(&view, &field)) {
        if (field.tag != LRB_F_PACK_REF || !lrb_field_fixed(&field, id.bytes, sizeof id.bytes)) continue;
        lrb_state_pack *pack = lrb_table_find_pack(state, &id);
        lrb_pack_status next = next_status(entry->kind, pack ? pack->status : 0, pack ? pack->size_bytes : 0);
        if (!pack && next) pack = lrb_table_add_pack(state, &id);
        if (pack) set_status(pack, next, entry);
    }
}

static int apply_packs(lrb_state *state, const lrb_entry *entry, const char *label, lrb_err *err) {
    size_t refs;
    int code = check_refs(entry, &refs, label, err);
    if (!code) code = check_written(state, entry, label, err);
    if (!code) code = lrb_table_reserve(state, 0, refs + entry->pack_count, err);
    if (code) return code;
    if (!state->replica) change_refs(state, entry);
    know_written(state, entry); /* last: a repack may have written the very bytes of a pack that it retires */
    return LRB_OK;
}

/* ---- snapshots ---- */

static int stored_bytes(const lrb_entry *entry, size_t entry_bytes, uint64_t *sum, const char *label, lrb_err *err) {
    *sum = entry_bytes;
    for (uint32_t i = 0; i < entry->pack_count; i++)
        if (__builtin_add_overflow(*sum, entry->packs[i].size_bytes, sum))
            return contradicts(label, "names a pack with an impossible size", err);
    return LRB_OK;
}

static int apply_snapshot(lrb_state *state, const lrb_entry *entry, size_t entry_bytes, const char *label,
                          lrb_err *err) {
    lrb_snapshot snapshot;
    int code = lrb_payload_check(entry->payload, entry->payload_length, &lrb_snapshot_shape, label, err);
    if (!code) code = lrb_snapshot_decode(entry->payload, entry->payload_length, label, &snapshot, err);
    if (code) return code;
    snapshot.number = entry->number;
    code = stored_bytes(entry, entry_bytes, &snapshot.stored_bytes, label, err);
    if (!code && lrb_table_find_snapshot(state, snapshot.id))
        code = contradicts(label, "repeats the id of an earlier snapshot", err);
    if (!code) code = check_written(state, entry, label, err);
    if (!code) code = lrb_table_reserve(state, 1, entry->pack_count, err);
    if (code) {
        lrb_snapshot_clear(&snapshot);
        return code;
    }
    lrb_table_add_snapshot(state, &snapshot);
    know_written(state, entry);
    return LRB_OK;
}

static int take_hold(const lrb_entry *entry, char id[LRB_SNAPSHOT_ID_MAX], char holder[LRB_HOLDER_MAX],
                     const char *label, lrb_err *err) {
    lrb_view view = lrb_view_of(entry->payload, entry->payload_length);
    lrb_field field;
    int code = lrb_payload_check(entry->payload, entry->payload_length, &hold_shape, label, err);
    while (!code && lrb_field_next(&view, &field)) {
        if (field.tag == LRB_F_SNAPSHOT_REF) code = lrb_payload_text(&field, id, LRB_SNAPSHOT_ID_MAX, label, err);
        if (field.tag == LRB_F_HOLDER) code = lrb_payload_text(&field, holder, LRB_HOLDER_MAX, label, err);
    }
    return code;
}

static int apply_hold(lrb_state *state, const lrb_entry *entry, const char *label, lrb_err *err) {
    char id[LRB_SNAPSHOT_ID_MAX], holder[LRB_HOLDER_MAX];
    int code = take_hold(entry, id, holder, label, err);
    lrb_snapshot *snapshot = code ? NULL : lrb_table_find_snapshot(state, id);
    if (!snapshot) return code;
    if (entry->kind == LRB_ENTRY_HOLD) return lrb_snapshot_hold(snapshot, holder, err);
    lrb_snapshot_release(snapshot, holder);
    return LRB_OK;
}

static int check_drop(const lrb_entry *entry, const char *label, lrb_err *err) {
    lrb_view view = lrb_view_of(entry->payload, entry->payload_length);
    lrb_field field;
    char id[LRB_SNAPSHOT_ID_MAX];
    int code = lrb_payload_check(entry->payload, entry->payload_length, &drop_shape, label, err);
    while (!code && lrb_field_next(&view, &field))
        if (field.tag == LRB_F_SNAPSHOT_REF) code = lrb_payload_text(&field, id, sizeof id, label, err);
    return code;
}

static int apply_drop(lrb_state *state, const lrb_entry *entry, const char *label, lrb_err *err) {
    lrb_view view = lrb_view_of(entry->payload, entry->payload_length);
    lrb_field field;
    char id[LRB_SNAPSHOT_ID_MAX];
    int code = check_drop(entry, label, err);
    if (code || state->replica) return code;
    while (lrb_field_next(&view, &field)) {
        if (field.tag != LRB_F_SNAPSHOT_REF || lrb_payload_text(&field, id, sizeof id, label, err)) continue;
        lrb_snapshot *snapshot = lrb_table_find_snapshot(state, id);
        if (snapshot && !snapshot->holder_count) lrb_table_remove_snapshot(state, snapshot);
    }
    if (!state->batch || (state->gaps > GAPS_TOLERATED && state->gaps > state->snapshot_count / 2))
        lrb_table_close_gaps(state);
    return LRB_OK;
}

/* ---- entries ---- */

/* Starts an empty state. It is built aside, so that a checkpoint that breaks off leaves nothing behind. */
static int begin_with(lrb_state *state, const lrb_entry *entry, const char *label, lrb_err *err) {
    static const lrb_id nothing;
    lrb_state fresh;
    if (entry->kind != LRB_ENTRY_CHECKPOINT)
        return contradicts(label, "is no checkpoint, and a log is read from one", err);
    if (entry->pack_count) return contradicts(label, "names written packs, which only snapshots and repacks do", err);
    if (!entry->number && lrb_id_compare(&entry->previous, &nothing))
        return contradicts(label, "is the first but follows another", err);
    lrb_state_init(&fresh);
    int code = lrb_checkpoint_load(entry, label, &fresh, err);
    if (code) return code;
    memcpy(fresh.repository_id, entry->repository_id, LRB_REPO_ID_BYTES);
    fresh.empty = false;
    fresh.replica = state->replica;
    fresh.batch = state->batch;
    *state = fresh;
    return LRB_OK;
}

static int check_follows(const lrb_state *state, const lrb_entry *entry, const char *label, lrb_err *err) {
    if (state->last_number == UINT64_MAX || entry->number != state->last_number + 1)
        return lrb_err_set(err, LRB_E_DAMAGED, "apply", label, "log entry does not follow entry %" PRIu64,
                           state->last_number);
    if (memcmp(entry->repository_id, state->repository_id, LRB_REPO_ID_BYTES))
        return lrb_err_set(err, LRB_E_FOREIGN, "apply", label, "log entry belongs to another repository");
    if (lrb_id_compare(&entry->previous, &state->last_digest))
        return contradicts(label, "does not follow the entry before it: one of the two was replaced", err);
    if (entry->epoch < state->epoch) return contradicts(label, "goes back to an earlier epoch", err);
    if (entry->pack_count && entry->kind != LRB_ENTRY_SNAPSHOT && entry->kind != LRB_ENTRY_REPACK)
        return contradicts(label, "names written packs, which only snapshots and repacks do", err);
    return LRB_OK;
}

static int apply_checkpoint(lrb_state *state, const lrb_entry *entry, const char *label, lrb_err *err) {
    uint64_t floor;
    if (state->replica) return LRB_OK; /* it says what is left at the sender's */
    int code = lrb_checkpoint_compare(entry, label, state, &floor, err);
    if (!code) state->floor = floor;
    return code;
}

static int apply_kind(lrb_state *state, const lrb_entry *entry, size_t entry_bytes, const char *label, lrb_err *err) {
    switch (entry->kind) {
    case LRB_ENTRY_SNAPSHOT: return apply_snapshot(state, entry, entry_bytes, label, err);
    case LRB_ENTRY_HOLD:
    case LRB_ENTRY_RELEASE: return apply_hold(state, entry, label, err);
    case LRB_ENTRY_DROP: return apply_drop(state, entry, label, err);
    case LRB_ENTRY_RETIRE:
    case LRB_ENTRY_UNRETIRE:
    case LRB_ENTRY_SWEEP:
    case LRB_ENTRY_REPACK:
    case LRB_ENTRY_DAMAGED: return apply_packs(state, entry, label, err);
    case LRB_ENTRY_CHECKPOINT: return apply_checkpoint(state, entry, label, err);
    case LRB_ENTRY_RECORD: return lrb_err_set(err, LRB_E_FOREIGN, "apply", label, "log entry belongs to a recovery point");
    }
    return lrb_err_set(err, LRB_E_UNSUPPORTED, "apply", label, "log entry has kind %u, which this build does not know",
                       (unsigned)entry->kind);
}

static void step_to(lrb_state *state, const lrb_entry *entry, const lrb_id *digest) {
    state->last_number = entry->number;
    state->last_digest = *digest;
    state->epoch = entry->epoch;
    if (entry->kind == LRB_ENTRY_CHECKPOINT) state->last_checkpoint = entry->number;
}

int lrb_state_apply(lrb_state *state, const lrb_entry *entry, const lrb_id *digest, size_t entry_bytes, lrb_err *err) {
    char label[32];
    int code;
    snprintf(label, sizeof label, "log/%020" PRIu64, entry->number);
    if (state->empty) {
        code = begin_with(state, entry, label, err);
    } else {
        code = check_follows(state, entry, label, err);
        if (!code) code = apply_kind(state, entry, entry_bytes, label, err);
    }
    if (!code) step_to(state, entry, digest);
    return code;
}

int lrb_state_apply_beyond(lrb_state *state, const lrb_entry *entry, const lrb_id *digest, size_t entry_bytes, lrb_err *err) {
    char label[32];
    snprintf(label, sizeof label, "log/%020" PRIu64, entry->number);
    if (state->empty && entry->kind == LRB_ENTRY_CHECKPOINT) return lrb_state_apply(state, entry, digest, entry_bytes, err);
    if (!state->empty && entry->number <= state->last_number) return contradicts(label, "comes too late", err);
    int code = entry->kind == LRB_ENTRY_CHECKPOINT ? LRB_OK : apply_kind(state, entry, entry_bytes, label, err);
    if (code) return code;
    if (state->empty) memcpy(state->repository_id, entry->repository_id, LRB_REPO_ID_BYTES);
    state->empty = false;
    step_to(state, entry, digest);
    return LRB_OK;
}

int lrb_state_add_found_pack(lrb_state *state, const lrb_id *id, uint64_t size_bytes, lrb_err *err) {
    if (lrb_table_find_pack(state, id)) return LRB_OK;
    int code = lrb_table_reserve(state, 0, 1, err);
    if (code) return code;
    lrb_state_pack *pack = lrb_table_add_pack(state, id);
    pack->size_bytes = size_bytes;
    pack->status = LRB_PACK_RETIRED;
    pack->since_entry = state->last_number;
    return LRB_OK;
}
