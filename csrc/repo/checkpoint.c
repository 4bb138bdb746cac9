#include "repo/checkpoint.h"

#include "base/mem.h"
#include "repo/state_table.h"

static const lrb_shape checkpoint_shape = {
    .once = LRB_FIELD_BIT(LRB_F_CHECKPOINT_FLOOR),
    .many = LRB_FIELD_BIT(LRB_F_CHECKPOINT_SNAPSHOT) | LRB_FIELD_BIT(LRB_F_CHECKPOINT_PACK),
};

/* ---- writing ---- */

static void put_pack_row(uint8_t row[LRB_CHECKPOINT_PACK_BYTES], const lrb_state_pack *pack) {
    memset(row, 0, LRB_CHECKPOINT_PACK_BYTES);
    memcpy(row, pack->id.bytes, LRB_DIGEST_BYTES);
    lrb_put_u64(row + 32, pack->size_bytes);
    row[40] = (uint8_t)pack->status;
    lrb_put_u64(row + 48, pack->since_entry);
    lrb_put_u64(row + 56, (uint64_t)pack->since_ns);
}

static int put_packs(const lrb_state *state, lrb_buf *out, lrb_err *err) {
    int code = LRB_OK;
    for (uint32_t i = 0; !code && i < state->pack_count; i++) {
        uint8_t row[LRB_CHECKPOINT_PACK_BYTES];
        put_pack_row(row, &state->packs[i]);
        code = lrb_field_put(out, LRB_F_CHECKPOINT_PACK, row, sizeof row, err);
    }
    return code;
}

static int put_snapshot(const lrb_snapshot *snapshot, lrb_buf *nested, lrb_err *err) {
    int code = lrb_field_put_u64(nested, LRB_F_ENTRY_NUMBER, snapshot->number, err);
    if (!code) code = lrb_field_put_u64(nested, LRB_F_STORED_BYTES, snapshot->stored_bytes, err);
    for (uint32_t i = 0; !code && i < snapshot->holder_count; i++)
        code = lrb_field_put_text(nested, LRB_F_HOLDER, snapshot->holders[i], err);
    if (!code) code = lrb_snapshot_encode(snapshot, nested, err);
    return code;
}

int lrb_state_checkpoint(const lrb_state *state, lrb_buf *payload, lrb_err *err) {
    size_t before = payload->length;
    lrb_buf nested;
    lrb_buf_init(&nested, LRB_ENTRY_MAX_BYTES);
    int code = lrb_field_put_u64(payload, LRB_F_CHECKPOINT_FLOOR, state->floor, err);
    for (size_t i = 0; !code && i < state->snapshot_count; i++) {
        lrb_buf_empty(&nested);
        code = put_snapshot(&state->snapshots[i], &nested, err);
        if (!code) code = lrb_field_put(payload, LRB_F_CHECKPOINT_SNAPSHOT, nested.data, nested.length, err);
    }
    if (!code) code = put_packs(state, payload, err);
    lrb_buf_clear(&nested);
    if (code) payload->length = before;
    return code;
}

/* ---- loading ---- */

static int damaged(const char *label, const char *what, lrb_err *err) {
    return lrb_err_set(err, LRB_E_DAMAGED, "parse", label, "checkpoint %s", what);
}

static int take_floor(const lrb_field *field, const lrb_entry *entry, uint64_t *floor, const char *label,
                      lrb_err *err) {
    if (!lrb_field_u64(field, floor)) return lrb_payload_refuse(field->tag, label, err);
    return *floor <= entry->number ? LRB_OK : damaged(label, "has a floor above its own number", err);
}

static int take_pack(const lrb_field *field, const lrb_entry *entry, const char *label, lrb_state *state,
                     lrb_err *err) {
    static const uint8_t zero[7];
    uint8_t row[LRB_CHECKPOINT_PACK_BYTES];
    lrb_state_pack pack = {0};
    if (!lrb_field_fixed(field, row, sizeof row)) return lrb_payload_refuse(field->tag, label, err);
    memcpy(pack.id.bytes, row, LRB_DIGEST_BYTES);
    pack.size_bytes = lrb_get_u64(row + 32);
    pack.status = (lrb_pack_status)row[40];
    pack.since_entry = lrb_get_u64(row + 48);
    pack.since_ns = (int64_t)lrb_get_u64(row + 56);
    if (row[40] < LRB_PACK_KNOWN || row[40] > LRB_PACK_SWEPT || memcmp(row + 41, zero, sizeof zero) ||
        pack.since_entry >= entry->number || (pack.status == LRB_PACK_KNOWN && !pack.size_bytes))
        return damaged(label, "holds a pack that cannot be", err);
    if (lrb_table_find_pack(state, &pack.id)) return damaged(label, "names a pack twice", err);
    int code = lrb_table_reserve(state, 0, 1, err);
    if (!code) *lrb_table_add_pack(state, &pack.id) = pack;
    return code;
}

/* The fields a checkpoint has beyond the snapshot's own. */
static int take_log_fields(const lrb_field *nested, lrb_snapshot *snapshot, const char *label, lrb_err *err) {
    lrb_view view = nested->value;
    lrb_field field;
    char holder[LRB_HOLDER_MAX];
    int code = LRB_OK;
    while (!code && lrb_field_next(&view, &field)) {
        if (field.tag == LRB_F_HOLDER) {
            code = lrb_payload_text(&field, holder, sizeof holder, label, err);
            if (!code) code = lrb_snapshot_hold(snapshot, holder, err);
        } else if ((field.tag == LRB_F_ENTRY_NUMBER && !lrb_field_u64(&field, &snapshot->number)) ||
                   (field.tag == LRB_F_STORED_BYTES && !lrb_field_u64(&field, &snapshot->stored_bytes)))
            code = lrb_payload_refuse(field.tag, label, err);
    }
    return code;
}

static int check_order(const lrb_snapshot *snapshot, const lrb_entry *entry, const lrb_state *state, const char *label,
                       lrb_err *err) {
    uint64_t before = state->snapshot_count ? state->snapshots[state->snapshot_count - 1].number : 0;
    if (snapshot->number <= before || snapshot->number >= entry->number)
        return damaged(label, "holds a snapshot out of order", err);
    if (lrb_table_find_snapshot(state, snapshot->id)) return damaged(label, "holds a snapshot twice", err);
    return LRB_OK;
}

static int take_snapshot(const lrb_field *field, const lrb_entry *entry, const char *label, lrb_state *state,
                         lrb_err *err) {
    const uint64_t added = LRB_FIELD_BIT(LRB_F_ENTRY_NUMBER) | LRB_FIELD_BIT(LRB_F_STORED_BYTES);
    const lrb_shape shape = {.once = lrb_snapshot_shape.once | added, .many = LRB_FIELD_BIT(LRB_F_HOLDER),
                             .required = lrb_snapshot_shape.required | added};
    lrb_snapshot snapshot;
    int code = lrb_payload_check(field->value.at, field->value.left, &shape, label, err);
    if (!code) code = lrb_snapshot_decode(field->value.at, field->value.left, label, &snapshot, err);
    if (code) return code;
    code = take_log_fields(field, &snapshot, label, err);
    if (!code) code = check_order(&snapshot, entry, state, label, err);
    if (!code) code = lrb_table_reserve(state, 1, 0, err);
    if (!code) lrb_table_add_snapshot(state, &snapshot);
    else lrb_snapshot_clear(&snapshot);
    return code;
}

int lrb_checkpoint_load(const lrb_entry *entry, const char *label, lrb_state *state, lrb_err *err) {
    lrb_view view = lrb_view_of(entry->payload, entry->payload_length);
    lrb_field field;
    int code = lrb_payload_check(entry->payload, entry->payload_length, &checkpoint_shape, label, err);
    while (!code && lrb_field_next(&view, &field)) {
        if (field.tag == LRB_F_CHECKPOINT_FLOOR) code = take_floor(&field, entry, &state->floor, label, err);
        else if (field.tag == LRB_F_CHECKPOINT_PACK) code = take_pack(&field, entry, label, state, err);
        else if (field.tag == LRB_F_CHECKPOINT_SNAPSHOT) code = take_snapshot(&field, entry, label, state, err);
    }
    if (code) lrb_state_clear(state);
    return code;
}

int lrb_checkpoint_compare(const lrb_entry *entry, const char *label, const lrb_state *state, uint64_t *floor,
                           lrb_err *err) {
    lrb_view view = lrb_view_of(entry->payload, entry->payload_length);
    lrb_field field;
    size_t snapshots = 0, packs = 0;
    *floor = 0;
    int code = lrb_payload_check(entry->payload, entry->payload_length, &checkpoint_shape, label, err);
    while (!code && lrb_field_next(&view, &field)) {
        if (field.tag == LRB_F_CHECKPOINT_FLOOR) code = take_floor(&field, entry, floor, label, err);
        snapshots += field.tag == LRB_F_CHECKPOINT_SNAPSHOT;
        packs += field.tag == LRB_F_CHECKPOINT_PACK;
    }
    if (code) return code;
    if (snapshots != state->snapshot_count - state->gaps || packs != state->pack_count || *floor < state->floor)
        return damaged(label, "does not agree with the entries before it", err);
    return LRB_OK;
}
