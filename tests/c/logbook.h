/* Writes a log in memory for the tests of the order half: each call makes the entry that follows and applies it to a
 * state.
 *
 * Ids are made of a number, so that a test names packs and snapshots by small integers. Entry n has the digest
 * logbook_id(n, 'e') and the claimed time LOGBOOK_TIME_NS + n.
 */
#ifndef LRB_TESTS_LOGBOOK_H
#define LRB_TESTS_LOGBOOK_H

#include <stdio.h>

#include "base/mem.h"
#include "repo/state.h"

#define LOGBOOK_TIME_NS INT64_C(1795000000000000000)
enum { LOGBOOK_ENTRY_BYTES = 500 };

static inline lrb_id logbook_id(uint64_t number, char what) {
    lrb_id id;
    memset(id.bytes, what, sizeof id.bytes);
    lrb_put_u64(id.bytes, number * UINT64_C(0x9e3779b97f4a7c15));
    return id;
}

/* The size of pack `number`: a pack's name fixes it. */
static inline lrb_pack_ref logbook_pack(uint64_t number) {
    return (lrb_pack_ref){logbook_id(number, 'p'), 1000 + number};
}

static inline void logbook_name(uint64_t number, char out[LRB_SNAPSHOT_ID_MAX]) {
    snprintf(out, LRB_SNAPSHOT_ID_MAX, "20261123T130112Z-%08llx", (unsigned long long)number);
}

/* Borrowed metadata; no holders: nothing to clear. */
static inline lrb_snapshot logbook_snapshot(uint64_t number) {
    lrb_snapshot s = {.created_ns = LOGBOOK_TIME_NS - 5, .size_bytes = number * 10, .item_count = 7,
                      .retention_days = 30, .consistency = "gated", .data_hash = logbook_id(number, 'h'),
                      .metadata = (char *)"{\"k\":1}",
                      .body_root = {logbook_id(number, 'b'), LRB_CHUNK_BODY, 3}};
    logbook_name(number, s.id);
    return s;
}

/* The entry that follows the last one applied. Borrows what it is given. */
static inline lrb_entry logbook_next(const lrb_state *state, lrb_entry_kind kind, const lrb_buf *payload) {
    lrb_entry entry = {.kind = kind, .number = state->empty ? 0 : state->last_number + 1,
                       .previous = state->last_digest, .epoch = state->epoch, .graph_id = "graph",
                       .payload = payload ? payload->data : NULL,
                       .payload_length = payload ? payload->length : 0};
    memset(entry.repository_id, 'r', sizeof entry.repository_id);
    entry.time_ns = LOGBOOK_TIME_NS + (int64_t)entry.number;
    return entry;
}

static inline int logbook_apply(lrb_state *state, const lrb_entry *entry, lrb_err *err) {
    lrb_id digest = logbook_id(entry->number, 'e');
    return lrb_state_apply(state, entry, &digest, LOGBOOK_ENTRY_BYTES, err);
}

static inline int logbook_begin(lrb_state *state, lrb_err *err) {
    lrb_entry entry = logbook_next(state, LRB_ENTRY_CHECKPOINT, NULL);
    return logbook_apply(state, &entry, err);
}

static inline int logbook_take(lrb_state *state, uint64_t snapshot, const lrb_pack_ref *packs, uint32_t pack_count,
                               lrb_err *err) {
    lrb_snapshot s = logbook_snapshot(snapshot);
    lrb_buf payload;
    lrb_buf_init(&payload, 1 << 20);
    int code = lrb_snapshot_encode(&s, &payload, err);
    lrb_entry entry = logbook_next(state, LRB_ENTRY_SNAPSHOT, &payload);
    entry.packs = (lrb_pack_ref *)packs;
    entry.pack_count = pack_count;
    if (!code) code = logbook_apply(state, &entry, err);
    lrb_buf_clear(&payload);
    return code;
}

/* hold and release */
static inline int logbook_hold(lrb_state *state, lrb_entry_kind kind, uint64_t snapshot, const char *holder,
                               lrb_err *err) {
    char id[LRB_SNAPSHOT_ID_MAX];
    lrb_buf payload;
    lrb_buf_init(&payload, 1 << 20);
    logbook_name(snapshot, id);
    int code = lrb_field_put_text(&payload, LRB_F_SNAPSHOT_REF, id, err);
    if (!code) code = lrb_field_put_text(&payload, LRB_F_HOLDER, holder, err);
    lrb_entry entry = logbook_next(state, kind, &payload);
    if (!code) code = logbook_apply(state, &entry, err);
    lrb_buf_clear(&payload);
    return code;
}

static inline int logbook_drop(lrb_state *state, const uint64_t *snapshots, size_t count, lrb_err *err) {
    char id[LRB_SNAPSHOT_ID_MAX];
    lrb_buf payload;
    int code = LRB_OK;
    lrb_buf_init(&payload, 1 << 20);
    for (size_t i = 0; !code && i < count; i++) {
        logbook_name(snapshots[i], id);
        code = lrb_field_put_text(&payload, LRB_F_SNAPSHOT_REF, id, err);
    }
    lrb_entry entry = logbook_next(state, LRB_ENTRY_DROP, &payload);
    if (!code) code = logbook_apply(state, &entry, err);
    lrb_buf_clear(&payload);
    return code;
}

/* retire, unretire, sweep, damaged, and repack with `written` in its header */
static inline int logbook_packs(lrb_state *state, lrb_entry_kind kind, const uint64_t *refs, size_t count,
                                const lrb_pack_ref *written, uint32_t written_count, lrb_err *err) {
    lrb_buf payload;
    int code = LRB_OK;
    lrb_buf_init(&payload, 1 << 20);
    for (size_t i = 0; !code && i < count; i++) {
        lrb_id id = logbook_pack(refs[i]).id;
        code = lrb_field_put(&payload, LRB_F_PACK_REF, id.bytes, sizeof id.bytes, err);
    }
    lrb_entry entry = logbook_next(state, kind, &payload);
    entry.packs = (lrb_pack_ref *)written;
    entry.pack_count = written_count;
    if (!code) code = logbook_apply(state, &entry, err);
    lrb_buf_clear(&payload);
    return code;
}

/* What two states of the same log must agree on: everything but room and hash tables. */
static inline bool logbook_same(const lrb_state *a, const lrb_state *b) {
    lrb_buf x, y;
    lrb_err err;
    lrb_buf_init(&x, 1 << 24);
    lrb_buf_init(&y, 1 << 24);
    bool same = !lrb_state_checkpoint(a, &x, &err) && !lrb_state_checkpoint(b, &y, &err) && x.length == y.length &&
                !memcmp(x.data, y.data, x.length) && a->empty == b->empty && a->last_number == b->last_number &&
                a->last_checkpoint == b->last_checkpoint && a->epoch == b->epoch && a->floor == b->floor &&
                !lrb_id_compare(&a->last_digest, &b->last_digest) &&
                !memcmp(a->repository_id, b->repository_id, LRB_REPO_ID_BYTES);
    lrb_buf_clear(&x);
    lrb_buf_clear(&y);
    return same;
}

#endif
