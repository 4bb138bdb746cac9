/* Checkpoints: a state that is folded and unfolded is the same state, and hostile folds are refused. */
#include "check.h"
#include "logbook.h"
#include "repo/checkpoint.h"

static lrb_err err;

/* A state with a bit of everything: six entries, two snapshots (one held twice), packs of every status. */
static int make_state(lrb_state *state) {
    const lrb_pack_ref first[] = {logbook_pack(1), logbook_pack(2)}, second[] = {logbook_pack(3), logbook_pack(4)};
    lrb_state_init(state);
    int code = logbook_begin(state, &err);
    if (!code) code = logbook_take(state, 1, first, 2, &err);
    if (!code) code = logbook_take(state, 2, second, 2, &err);
    if (!code) code = logbook_hold(state, LRB_ENTRY_HOLD, 1, "user", &err);
    if (!code) code = logbook_hold(state, LRB_ENTRY_HOLD, 1, "recovery:7", &err);
    if (!code) code = logbook_packs(state, LRB_ENTRY_RETIRE, (const uint64_t[]){2, 3, 9}, 3, NULL, 0, &err);
    if (!code) code = logbook_packs(state, LRB_ENTRY_SWEEP, (const uint64_t[]){2}, 1, NULL, 0, &err);
    if (!code) code = logbook_packs(state, LRB_ENTRY_DAMAGED, (const uint64_t[]){4}, 1, NULL, 0, &err);
    return code;
}

static int fold(const lrb_state *state, lrb_buf *payload) {
    lrb_buf_init(payload, LRB_ENTRY_MAX_BYTES);
    return lrb_state_checkpoint(state, payload, &err);
}

/* Starts an empty state from a checkpoint entry of number 8 with this payload. */
static int unfold(const void *bytes, size_t count, lrb_state *state) {
    lrb_state_init(state);
    lrb_entry entry = logbook_next(state, LRB_ENTRY_CHECKPOINT, NULL);
    entry.number = 8;
    entry.previous = logbook_id(7, 'e');
    entry.payload = bytes;
    entry.payload_length = count;
    return logbook_apply(state, &entry, &err);
}

TEST(folding_and_unfolding_is_the_same_state) {
    lrb_state state, back;
    lrb_buf payload;
    CHECK_OK(make_state(&state));
    CHECK_OK(fold(&state, &payload));
    CHECK_OK(unfold(payload.data, payload.length, &back));
    lrb_entry entry = logbook_next(&state, LRB_ENTRY_CHECKPOINT, &payload);
    CHECK_OK(logbook_apply(&state, &entry, &err));
    CHECK(logbook_same(&state, &back));
    CHECK(back.snapshot_count == 2 && back.snapshots[0].holder_count == 2 && back.pack_count == 5);
    CHECK(back.packs[1].status == LRB_PACK_SWEPT && back.packs[4].status == LRB_PACK_RETIRED &&
          !back.packs[4].size_bytes);
    CHECK(lrb_state_find(&back, back.snapshots[1].id) == &back.snapshots[1]);
    CHECK(lrb_state_find_pack(&back, &back.packs[3].id) == 3);
    lrb_buf_clear(&payload);
    lrb_state_clear(&state);
    lrb_state_clear(&back);
}

TEST(the_checkpoint_of_nothing_starts_a_log) {
    lrb_state empty, back;
    lrb_buf payload;
    lrb_state_init(&empty);
    CHECK_OK(fold(&empty, &payload));
    CHECK_OK(unfold(payload.data, payload.length, &back));
    CHECK(!back.empty && !back.snapshot_count && !back.pack_count && back.last_checkpoint == 8);
    lrb_state_clear(&back);
    lrb_buf_clear(&payload);
}

/* A cut between fields is a shorter good payload at this level: the entry's digest guards the whole. */
TEST(no_truncated_or_flipped_payload_crashes_and_a_refused_one_leaves_nothing) {
    lrb_state state, back;
    lrb_buf payload;
    CHECK_OK(make_state(&state));
    CHECK_OK(fold(&state, &payload));
    for (size_t length = 0; length < payload.length; length++) {
        if (unfold(payload.data, length, &back)) CHECK(back.empty && !back.snapshots && !back.packs);
        lrb_state_clear(&back);
    }
    for (size_t at = 0; at < payload.length; at++) {
        payload.data[at] ^= 0xff;
        if (unfold(payload.data, payload.length, &back)) CHECK(back.empty && !back.snapshots && !back.packs);
        lrb_state_clear(&back);
        payload.data[at] ^= 0xff;
    }
    lrb_buf_clear(&payload);
    lrb_state_clear(&state);
}

static int unfold_row(const uint8_t row[LRB_CHECKPOINT_PACK_BYTES], int times) {
    lrb_buf payload;
    lrb_state back;
    int code = LRB_OK;
    lrb_buf_init(&payload, 1000);
    while (!code && times--)
        code = lrb_field_put(&payload, LRB_F_CHECKPOINT_PACK, row, LRB_CHECKPOINT_PACK_BYTES, &err);
    if (!code) code = unfold(payload.data, payload.length, &back);
    if (!code) lrb_state_clear(&back);
    lrb_buf_clear(&payload);
    return code;
}

TEST(impossible_packs_are_refused) {
    uint8_t row[LRB_CHECKPOINT_PACK_BYTES] = {1}, known = LRB_PACK_KNOWN;
    row[32] = 1;
    row[40] = known;
    row[48] = 7;
    CHECK_OK(unfold_row(row, 1));
    CHECK_FAILS(unfold_row(row, 2), LRB_E_DAMAGED);
    row[48] = 8; /* since an entry that is not before the checkpoint */
    CHECK_FAILS(unfold_row(row, 1), LRB_E_DAMAGED);
    row[48] = 7;
    row[41] = 1;
    CHECK_FAILS(unfold_row(row, 1), LRB_E_DAMAGED);
    row[41] = 0;
    row[32] = 0; /* known, but of no size */
    CHECK_FAILS(unfold_row(row, 1), LRB_E_DAMAGED);
    row[40] = LRB_PACK_RETIRED;
    CHECK_OK(unfold_row(row, 1));
    row[40] = 0;
    CHECK_FAILS(unfold_row(row, 1), LRB_E_DAMAGED);
    row[40] = 5;
    CHECK_FAILS(unfold_row(row, 1), LRB_E_DAMAGED);
}

static int put_nested(lrb_buf *payload, uint64_t snapshot, uint64_t number) {
    lrb_snapshot s = logbook_snapshot(snapshot);
    lrb_buf nested;
    lrb_buf_init(&nested, 10000);
    int code = lrb_field_put_u64(&nested, LRB_F_ENTRY_NUMBER, number, &err);
    if (!code) code = lrb_field_put_u64(&nested, LRB_F_STORED_BYTES, 1, &err);
    if (!code) code = lrb_snapshot_encode(&s, &nested, &err);
    if (!code) code = lrb_field_put(payload, LRB_F_CHECKPOINT_SNAPSHOT, nested.data, nested.length, &err);
    lrb_buf_clear(&nested);
    return code;
}

/* Two snapshots with these ids and entry numbers. */
static int unfold_two(uint64_t a, uint64_t a_number, uint64_t b, uint64_t b_number) {
    lrb_buf payload;
    lrb_state back;
    lrb_buf_init(&payload, 10000);
    int code = put_nested(&payload, a, a_number);
    if (!code) code = put_nested(&payload, b, b_number);
    if (!code) code = unfold(payload.data, payload.length, &back);
    if (!code) lrb_state_clear(&back);
    lrb_buf_clear(&payload);
    return code;
}

TEST(impossible_snapshots_are_refused) {
    CHECK_OK(unfold_two(1, 1, 2, 7));
    CHECK_FAILS(unfold_two(1, 0, 2, 7), LRB_E_DAMAGED);
    CHECK_FAILS(unfold_two(1, 1, 2, 8), LRB_E_DAMAGED);
    CHECK_FAILS(unfold_two(1, 3, 2, 3), LRB_E_DAMAGED);
    CHECK_FAILS(unfold_two(1, 3, 2, 2), LRB_E_DAMAGED);
    CHECK_FAILS(unfold_two(1, 1, 1, 2), LRB_E_DAMAGED);
}

TEST(a_checkpoint_in_mid_log_changes_only_the_floor) {
    lrb_state state, twin;
    lrb_buf payload;
    CHECK_OK(make_state(&state));
    CHECK_OK(fold(&state, &payload));
    lrb_put_u64(payload.data + 6, 3); /* the floor is the first field */
    lrb_entry entry = logbook_next(&state, LRB_ENTRY_CHECKPOINT, &payload);
    CHECK_OK(logbook_apply(&state, &entry, &err));
    CHECK(state.floor == 3 && state.last_checkpoint == 8 && state.snapshot_count == 2 && state.pack_count == 5);
    CHECK_OK(unfold(payload.data, payload.length, &twin));
    CHECK(logbook_same(&state, &twin));

    entry.number = 9;
    entry.previous = logbook_id(8, 'e');
    lrb_put_u64(payload.data + 6, 2); /* a floor never falls */
    CHECK_FAILS(logbook_apply(&state, &entry, &err), LRB_E_DAMAGED);
    lrb_put_u64(payload.data + 6, 10); /* nor is it above its checkpoint */
    CHECK_FAILS(logbook_apply(&state, &entry, &err), LRB_E_DAMAGED);
    lrb_put_u64(payload.data + 6, 3);
    entry.payload_length -= 6 + LRB_CHECKPOINT_PACK_BYTES; /* one pack short */
    CHECK_FAILS(logbook_apply(&state, &entry, &err), LRB_E_DAMAGED);
    CHECK(!strcmp(err.target, "log/00000000000000000009") && state.last_number == 8);
    lrb_buf_clear(&payload);
    lrb_state_clear(&twin);
    lrb_state_clear(&state);
}

TEST(every_failing_allocation_is_survived) {
    lrb_state state, back;
    lrb_buf payload;
    int code = LRB_E_NOMEM;
    CHECK_OK(make_state(&state));
    for (int64_t n = 0; code; n++) {
        lrb_mem_fail_after(n, false);
        code = fold(&state, &payload);
        if (!code) code = unfold(payload.data, payload.length, &back);
        lrb_mem_fail_after(-1, false);
        lrb_buf_clear(&payload);
        CHECK(!code || code == LRB_E_NOMEM);
    }
    lrb_state_clear(&back);
    lrb_state_clear(&state);
}

int main(void) {
    RUN(folding_and_unfolding_is_the_same_state);
    RUN(the_checkpoint_of_nothing_starts_a_log);
    RUN(no_truncated_or_flipped_payload_crashes_and_a_refused_one_leaves_nothing);
    RUN(impossible_packs_are_refused);
    RUN(impossible_snapshots_are_refused);
    RUN(a_checkpoint_in_mid_log_changes_only_the_floor);
    RUN(every_failing_allocation_is_survived);
    return check_report();
}
