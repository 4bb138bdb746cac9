#include "repo/state_table.h"

#include "base/mem.h"

enum { SMALLEST_TABLE = 64 };

/* ---- hashes ---- */

static uint64_t hash_text(const char *text) { /* FNV-1a */
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *text; text++) hash = (hash ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

static uint64_t hash_id(const lrb_id *id) {
    return lrb_get_u64(id->bytes); /* a SHA-256: uniform already */
}

/* A power of two that `rows` fill to half at most. False when there is none. */
static bool table_size(size_t rows, size_t *size) {
    size_t wanted, slots = SMALLEST_TABLE;
    if (!lrb_mul_fits(rows, 2, &wanted)) return false;
    while (slots < wanted)
        if (!lrb_mul_fits(slots, 2, &slots)) return false;
    *size = slots;
    return true;
}

/* Room for `more` rows behind `count`: grows by doubling. */
static int grow(void **rows, size_t row_bytes, size_t count, size_t more, size_t *room, lrb_err *err) {
    size_t needed, doubled;
    if (!lrb_add_fits(count, more, &needed)) return lrb_err_nomem(err, "read the log");
    if (needed <= *room) return LRB_OK;
    if (lrb_mul_fits(count, 2, &doubled) && doubled > needed) needed = doubled;
    void *grown = lrb_resize_array(*rows, needed, row_bytes);
    if (!grown) return lrb_err_nomem(err, "read the log");
    *rows = grown;
    *room = needed;
    return LRB_OK;
}

/* ---- snapshots ---- */

/* The place of the snapshot of entry `number`, or NULL. Gaps keep their number and so the order. */
static lrb_snapshot *at_number(const lrb_state *state, uint64_t number) {
    size_t low = 0, high = state->snapshot_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (state->snapshots[middle].number < number) low = middle + 1;
        else high = middle;
    }
    return low < state->snapshot_count && state->snapshots[low].number == number ? &state->snapshots[low] : NULL;
}

static bool is_gap(const lrb_snapshot *snapshot) {
    return !snapshot->id[0];
}

static void fill_snapshot_slot(uint64_t *slots, size_t slot_count, const lrb_snapshot *snapshot) {
    size_t at = hash_text(snapshot->id) & (slot_count - 1);
    while (slots[at]) at = (at + 1) & (slot_count - 1);
    slots[at] = snapshot->number;
}

static int reserve_snapshots(lrb_state *state, size_t more, lrb_err *err) {
    void *rows = state->snapshots;
    size_t used, size;
    int code = grow(&rows, sizeof *state->snapshots, state->snapshot_count, more, &state->snapshot_room, err);
    state->snapshots = rows;
    if (code) return code;
    if (lrb_add_fits(state->snapshot_slots_used, more, &used) && used <= state->snapshot_slot_count / 4 * 3)
        return LRB_OK;

    if (!lrb_add_fits(state->snapshot_count - state->gaps, more, &used) || !table_size(used, &size))
        return lrb_err_nomem(err, "read the log");
    uint64_t *slots = lrb_alloc_zero(size, sizeof *slots);
    if (!slots) return lrb_err_nomem(err, "read the log");
    for (size_t i = 0; i < state->snapshot_count; i++)
        if (!is_gap(&state->snapshots[i])) fill_snapshot_slot(slots, size, &state->snapshots[i]);
    lrb_free(state->snapshot_slots);
    state->snapshot_slots = slots;
    state->snapshot_slot_count = size;
    state->snapshot_slots_used = state->snapshot_count - state->gaps;
    return LRB_OK;
}

void lrb_table_add_snapshot(lrb_state *state, lrb_snapshot *snapshot) {
    state->snapshots[state->snapshot_count++] = *snapshot;
    fill_snapshot_slot(state->snapshot_slots, state->snapshot_slot_count, snapshot);
    state->snapshot_slots_used++;
    memset(snapshot, 0, sizeof *snapshot);
}

lrb_snapshot *lrb_table_find_snapshot(const lrb_state *state, const char *id) {
    if (!state->snapshot_slot_count || !id[0]) return NULL;
    size_t mask = state->snapshot_slot_count - 1;
    for (size_t at = hash_text(id) & mask; state->snapshot_slots[at]; at = (at + 1) & mask) {
        lrb_snapshot *candidate = at_number(state, state->snapshot_slots[at]);
        if (candidate && !strcmp(candidate->id, id)) return candidate;
    }
    return NULL;
}

void lrb_table_remove_snapshot(lrb_state *state, lrb_snapshot *snapshot) {
    uint64_t number = snapshot->number;
    lrb_snapshot_clear(snapshot);
    snapshot->number = number;
    state->gaps++;
}

void lrb_table_close_gaps(lrb_state *state) {
    size_t kept = 0;
    if (!state->gaps) return;
    for (size_t i = 0; i < state->snapshot_count; i++)
        if (!is_gap(&state->snapshots[i])) state->snapshots[kept++] = state->snapshots[i];
    state->snapshot_count = kept;
    state->gaps = 0;
}

/* ---- packs ---- */

static void fill_pack_slot(uint32_t *slots, uint32_t slot_count, const lrb_id *id, uint32_t position) {
    uint32_t at = (uint32_t)hash_id(id) & (slot_count - 1);
    while (slots[at]) at = (at + 1) & (slot_count - 1);
    slots[at] = position + 1;
}

static int reserve_packs(lrb_state *state, size_t more, lrb_err *err) {
    void *rows = state->packs;
    size_t room = state->pack_room, size, needed;
    if (!lrb_add_fits(state->pack_count, more, &needed) || needed >= UINT32_MAX / 4)
        return lrb_err_set(err, LRB_E_LIMIT, "read", "log", "the log names more packs than a repository can have");
    int code = grow(&rows, sizeof *state->packs, state->pack_count, more, &room, err);
    state->packs = rows;
    state->pack_room = (uint32_t)room;
    if (code || needed <= state->pack_slot_count / 4 * 3) return code;

    if (!table_size(needed, &size)) return lrb_err_nomem(err, "read the log");
    uint32_t *slots = lrb_alloc_zero(size, sizeof *slots);
    if (!slots) return lrb_err_nomem(err, "read the log");
    for (uint32_t i = 0; i < state->pack_count; i++) fill_pack_slot(slots, (uint32_t)size, &state->packs[i].id, i);
    lrb_free(state->pack_slots);
    state->pack_slots = slots;
    state->pack_slot_count = (uint32_t)size;
    return LRB_OK;
}

lrb_state_pack *lrb_table_add_pack(lrb_state *state, const lrb_id *id) {
    lrb_state_pack *pack = &state->packs[state->pack_count];
    memset(pack, 0, sizeof *pack);
    pack->id = *id;
    fill_pack_slot(state->pack_slots, state->pack_slot_count, id, state->pack_count);
    state->pack_count++;
    return pack;
}

lrb_state_pack *lrb_table_find_pack(const lrb_state *state, const lrb_id *id) {
    if (!state->pack_slot_count) return NULL;
    uint32_t mask = state->pack_slot_count - 1;
    for (uint32_t at = (uint32_t)hash_id(id) & mask; state->pack_slots[at]; at = (at + 1) & mask) {
        lrb_state_pack *pack = &state->packs[state->pack_slots[at] - 1];
        if (!lrb_id_compare(&pack->id, id)) return pack;
    }
    return NULL;
}

int lrb_table_reserve(lrb_state *state, size_t snapshots, size_t packs, lrb_err *err) {
    int code = snapshots ? reserve_snapshots(state, snapshots, err) : LRB_OK;
    if (!code && packs) code = reserve_packs(state, packs, err);
    return code;
}
