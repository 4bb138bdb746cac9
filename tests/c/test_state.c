/* The state: each rule of the log by itself, what is refused, and the speed of reading a long log. Random logs against
 * a model are in test_state_model.c. */
#include <time.h>

#include "base/mem.h"
#include "check.h"
#include "logbook.h"

static lrb_err err;

/* ---- rules, one by one ---- */

static lrb_pack_status status_of(const lrb_state *state, uint64_t pack) {
    lrb_id id = logbook_pack(pack).id;
    uint32_t position = lrb_state_find_pack(state, &id);
    return position == LRB_NO_PACK ? 0 : state->packs[position].status;
}

static int change(lrb_state *state, lrb_entry_kind kind, uint64_t pack) {
    return logbook_packs(state, kind, &pack, 1, NULL, 0, &err);
}

/* Entry 0, and entry 1: snapshot 1 with packs 1 and 2. */
static int open_log(lrb_state *state) {
    const lrb_pack_ref packs[] = {logbook_pack(1), logbook_pack(2)};
    lrb_state_init(state);
    int code = logbook_begin(state, &err);
    return code ? code : logbook_take(state, 1, packs, 2, &err);
}

TEST(a_snapshot_is_listed_with_what_the_log_adds) {
    lrb_state state;
    char id[LRB_SNAPSHOT_ID_MAX];
    CHECK_OK(open_log(&state));
    logbook_name(1, id);
    const lrb_snapshot *s = lrb_state_find(&state, id);
    CHECK(s && s == state.snapshots && state.snapshot_count == 1 && s->number == 1 && !s->holder_count);
    CHECK(s->stored_bytes == LOGBOOK_ENTRY_BYTES + 1001 + 1002);
    CHECK(status_of(&state, 1) == LRB_PACK_KNOWN && state.packs[0].since_entry == 1);
    CHECK(state.packs[1].size_bytes == 1002 && state.packs[1].since_ns == LOGBOOK_TIME_NS + 1);
    CHECK(!lrb_state_find(&state, "nobody") && !lrb_state_find(&state, "") && !status_of(&state, 3));
    lrb_state_clear(&state);
    CHECK(state.empty && !lrb_state_find(&state, id));
}

TEST(a_held_snapshot_is_not_dropped) {
    lrb_state state;
    const uint64_t one = 1, unknown = 9;
    CHECK_OK(open_log(&state));
    CHECK_OK(logbook_hold(&state, LRB_ENTRY_HOLD, 1, "user", &err));
    CHECK_OK(logbook_hold(&state, LRB_ENTRY_HOLD, 1, "recovery:1", &err));
    CHECK_OK(logbook_drop(&state, &one, 1, &err));
    CHECK(state.snapshot_count == 1 && state.snapshots[0].holder_count == 2);
    CHECK_OK(logbook_hold(&state, LRB_ENTRY_RELEASE, 1, "user", &err));
    CHECK_OK(logbook_drop(&state, &one, 1, &err));
    CHECK(state.snapshot_count == 1);
    CHECK_OK(logbook_hold(&state, LRB_ENTRY_RELEASE, 1, "recovery:1", &err));
    CHECK_OK(logbook_drop(&state, &unknown, 1, &err));
    CHECK(state.snapshot_count == 1);
    CHECK_OK(logbook_drop(&state, &one, 1, &err));
    CHECK(!state.snapshot_count);
    lrb_state_clear(&state);
}

/* An overtaken hold or release finds nothing to act on. */
TEST(holds_of_unknown_snapshots_do_nothing) {
    lrb_state state;
    CHECK_OK(open_log(&state));
    CHECK_OK(logbook_hold(&state, LRB_ENTRY_HOLD, 8, "user", &err));
    CHECK_OK(logbook_hold(&state, LRB_ENTRY_RELEASE, 8, "user", &err));
    CHECK_OK(logbook_hold(&state, LRB_ENTRY_RELEASE, 1, "user", &err));
    CHECK(state.last_number == 4 && !state.snapshots[0].holder_count);
    lrb_state_clear(&state);
}

TEST(packs_go_their_way) {
    lrb_state state;
    const lrb_pack_ref again = logbook_pack(1);
    CHECK_OK(open_log(&state));
    CHECK_OK(change(&state, LRB_ENTRY_SWEEP, 1)); /* not retired: nothing */
    CHECK(status_of(&state, 1) == LRB_PACK_KNOWN && state.packs[0].since_entry == 1);
    CHECK_OK(change(&state, LRB_ENTRY_RETIRE, 1));
    CHECK(status_of(&state, 1) == LRB_PACK_RETIRED && state.packs[0].since_entry == 3);
    CHECK_OK(change(&state, LRB_ENTRY_RETIRE, 1)); /* keeps the time of the first */
    CHECK(state.packs[0].since_entry == 3);
    CHECK_OK(change(&state, LRB_ENTRY_UNRETIRE, 1));
    CHECK(status_of(&state, 1) == LRB_PACK_KNOWN);
    CHECK_OK(change(&state, LRB_ENTRY_DAMAGED, 1));
    CHECK_OK(change(&state, LRB_ENTRY_RETIRE, 1)); /* what is rotten stays rotten */
    CHECK_OK(change(&state, LRB_ENTRY_UNRETIRE, 1));
    CHECK(status_of(&state, 1) == LRB_PACK_DAMAGED);
    CHECK_OK(change(&state, LRB_ENTRY_SWEEP, 1));
    CHECK_OK(change(&state, LRB_ENTRY_UNRETIRE, 1)); /* a sweep is for ever */
    CHECK_OK(change(&state, LRB_ENTRY_DAMAGED, 1));
    CHECK(status_of(&state, 1) == LRB_PACK_SWEPT);
    CHECK_OK(logbook_take(&state, 2, &again, 1, &err)); /* also for a writer that names the pack again */
    CHECK(status_of(&state, 1) == LRB_PACK_SWEPT && state.pack_count == 2);
    lrb_state_clear(&state);
}

TEST(an_orphan_that_was_retired_is_not_known_by_being_named) {
    lrb_state state;
    const lrb_pack_ref orphan = logbook_pack(5);
    CHECK_OK(open_log(&state));
    CHECK_OK(change(&state, LRB_ENTRY_UNRETIRE, 5));
    CHECK_OK(change(&state, LRB_ENTRY_SWEEP, 5));
    CHECK(!status_of(&state, 5));
    CHECK_OK(change(&state, LRB_ENTRY_RETIRE, 5));
    CHECK(status_of(&state, 5) == LRB_PACK_RETIRED && !state.packs[2].size_bytes);
    CHECK_OK(change(&state, LRB_ENTRY_UNRETIRE, 5));
    CHECK(status_of(&state, 5) == LRB_PACK_RETIRED);
    CHECK_OK(logbook_take(&state, 2, &orphan, 1, &err));
    CHECK(status_of(&state, 5) == LRB_PACK_RETIRED && state.packs[2].size_bytes == 1005);
    CHECK_OK(change(&state, LRB_ENTRY_UNRETIRE, 5));
    CHECK(status_of(&state, 5) == LRB_PACK_KNOWN);
    lrb_state_clear(&state);
}

TEST(a_repack_names_its_own_packs_and_retires_others) {
    lrb_state state;
    const uint64_t refs[] = {1, 2};
    const lrb_pack_ref written = logbook_pack(3);
    CHECK_OK(open_log(&state));
    CHECK_OK(logbook_packs(&state, LRB_ENTRY_REPACK, refs, 2, &written, 1, &err));
    CHECK(status_of(&state, 1) == LRB_PACK_RETIRED && status_of(&state, 2) == LRB_PACK_RETIRED);
    CHECK(status_of(&state, 3) == LRB_PACK_KNOWN);
    lrb_state_clear(&state);
}

/* ---- what no race can explain ---- */

static int apply_changed(lrb_state *state, void (*alter)(lrb_entry *entry)) {
    lrb_entry entry = logbook_next(state, LRB_ENTRY_RETIRE, NULL);
    alter(&entry);
    return logbook_apply(state, &entry, &err);
}

static void skip_number(lrb_entry *e) { e->number++; }
static void repeat_number(lrb_entry *e) { e->number--; }
static void break_chain(lrb_entry *e) { e->previous.bytes[31] ^= 1; }
static void change_repository(lrb_entry *e) { e->repository_id[0] ^= 1; }
static void use_unknown_kind(lrb_entry *e) { e->kind = (lrb_entry_kind)99; }
static void name_packs(lrb_entry *e) {
    static lrb_pack_ref pack = {{{1}}, 1};
    e->packs = &pack;
    e->pack_count = 1;
}
static void raise_epoch(lrb_entry *e) { e->epoch = 5; }
static void lower_epoch(lrb_entry *e) { e->epoch = 4; }

TEST(entries_that_do_not_follow_are_refused) {
    lrb_state state;
    CHECK_OK(open_log(&state));
    CHECK_FAILS(apply_changed(&state, skip_number), LRB_E_DAMAGED);
    CHECK_FAILS(apply_changed(&state, repeat_number), LRB_E_DAMAGED);
    CHECK_FAILS(apply_changed(&state, break_chain), LRB_E_DAMAGED);
    CHECK(!strcmp(err.target, "log/00000000000000000002"));
    CHECK_FAILS(apply_changed(&state, change_repository), LRB_E_FOREIGN);
    CHECK_FAILS(apply_changed(&state, use_unknown_kind), LRB_E_UNSUPPORTED);
    CHECK_FAILS(apply_changed(&state, name_packs), LRB_E_DAMAGED);
    CHECK_OK(apply_changed(&state, raise_epoch));
    CHECK_FAILS(apply_changed(&state, lower_epoch), LRB_E_DAMAGED);
    CHECK(state.epoch == 5 && state.last_number == 2);
    lrb_state_clear(&state);
}

TEST(a_log_begins_with_a_checkpoint) {
    lrb_state state;
    lrb_state_init(&state);
    CHECK_FAILS(logbook_take(&state, 1, NULL, 0, &err), LRB_E_DAMAGED);
    lrb_entry entry = logbook_next(&state, LRB_ENTRY_CHECKPOINT, NULL);
    entry.previous.bytes[0] = 1;
    CHECK_FAILS(logbook_apply(&state, &entry, &err), LRB_E_DAMAGED);
    name_packs(&entry);
    CHECK_FAILS(logbook_apply(&state, &entry, &err), LRB_E_DAMAGED);
    CHECK(state.empty);
    CHECK_OK(logbook_begin(&state, &err));
    CHECK(!state.empty && state.last_number == 0 && state.last_checkpoint == 0);
    lrb_state_clear(&state);
}

TEST(contradictions_are_damage) {
    lrb_state state, twin;
    lrb_pack_ref other_size = logbook_pack(1), no_size = logbook_pack(7), huge[] = {logbook_pack(7), logbook_pack(8)};
    other_size.size_bytes++;
    no_size.size_bytes = 0;
    huge[0].size_bytes = huge[1].size_bytes = UINT64_MAX;
    CHECK_OK(open_log(&state));
    CHECK_OK(open_log(&twin));
    CHECK_FAILS(logbook_take(&state, 1, NULL, 0, &err), LRB_E_DAMAGED);
    CHECK_FAILS(logbook_take(&state, 2, &other_size, 1, &err), LRB_E_DAMAGED);
    CHECK_FAILS(logbook_take(&state, 2, &no_size, 1, &err), LRB_E_DAMAGED);
    CHECK_FAILS(logbook_take(&state, 2, huge, 2, &err), LRB_E_DAMAGED);
    CHECK_FAILS(logbook_packs(&state, LRB_ENTRY_REPACK, NULL, 0, &other_size, 1, &err), LRB_E_DAMAGED);
    CHECK(logbook_same(&state, &twin));
    lrb_state_clear(&state);
    lrb_state_clear(&twin);
}

/* A payload that breaks off or has a wrong field refuses the whole entry, whatever stood before the defect. */
TEST(a_defect_anywhere_in_a_payload_refuses_all_of_it) {
    static const lrb_entry_kind kinds[] = {LRB_ENTRY_SNAPSHOT, LRB_ENTRY_HOLD, LRB_ENTRY_RELEASE, LRB_ENTRY_DROP,
                                           LRB_ENTRY_RETIRE, LRB_ENTRY_REPACK, LRB_ENTRY_DAMAGED};
    lrb_state state, twin;
    lrb_buf payload;
    char id[LRB_SNAPSHOT_ID_MAX];
    CHECK_OK(open_log(&state));
    CHECK_OK(open_log(&twin));
    logbook_name(1, id);
    lrb_buf_init(&payload, 1000);
    CHECK_OK(lrb_field_put_text(&payload, LRB_F_SNAPSHOT_REF, id, &err));
    CHECK_OK(lrb_field_put(&payload, LRB_F_PACK_REF, logbook_pack(1).id.bytes, 32, &err));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        lrb_entry entry = logbook_next(&state, kinds[i], &payload);
        CHECK(logbook_apply(&state, &entry, &err)); /* one of the two fields has no place in any of these kinds */
        entry.payload_length--;
        CHECK(logbook_apply(&state, &entry, &err));
    }
    lrb_buf_empty(&payload);
    CHECK_OK(lrb_field_put(&payload, LRB_F_PACK_REF, logbook_pack(1).id.bytes, 32, &err));
    CHECK_OK(lrb_field_put(&payload, LRB_F_PACK_REF, "short", 5, &err));
    lrb_entry entry = logbook_next(&state, LRB_ENTRY_RETIRE, &payload);
    CHECK_FAILS(logbook_apply(&state, &entry, &err), LRB_E_DAMAGED);
    entry = logbook_next(&state, LRB_ENTRY_RECORD, &payload);
    CHECK_FAILS(logbook_apply(&state, &entry, &err), LRB_E_FOREIGN); /* of a recovery point */
    CHECK(logbook_same(&state, &twin));
    lrb_buf_clear(&payload);
    lrb_state_clear(&state);
    lrb_state_clear(&twin);
}

/* ---- speed ---- */

/* CPU time, so that other work on the machine does not count. */
static double seconds_since(const struct timespec *start) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

/* 7,500 snapshots with a pack each, 2,500 drops of one each, in an order that leaves gaps everywhere. Encoding the
 * payloads is in the time. */
TEST(ten_thousand_entries_are_read_at_once) {
    enum { COUNT = 7500, DROPS = 2500 };
    lrb_state state;
    struct timespec start;
    lrb_state_init(&state);
    CHECK_OK(logbook_begin(&state, &err));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    lrb_state_begin_batch(&state);
    for (uint64_t i = 0; i < COUNT; i++) {
        lrb_pack_ref pack = logbook_pack(i);
        CHECK_OK(logbook_take(&state, i, &pack, 1, &err));
    }
    for (uint64_t i = 0; i < DROPS; i++) {
        uint64_t snapshot = i * 2999 % COUNT;
        CHECK_OK(logbook_drop(&state, &snapshot, 1, &err));
    }
    lrb_state_end_batch(&state);
    printf("10,000 entries applied in %.1f ms\n", seconds_since(&start) * 1000);
    CHECK(state.snapshot_count == COUNT - DROPS && state.pack_count == COUNT);
    for (size_t i = 1; i < state.snapshot_count; i++) CHECK(state.snapshots[i - 1].number < state.snapshots[i].number);
    lrb_state_clear(&state);
}

/* The log of open_log and a little more, each entry tried again when memory was short: the state is as before then, so
 * that it ends like one that never was. */
TEST(every_failing_allocation_leaves_the_state_as_it_was) {
    const lrb_pack_ref packs[] = {logbook_pack(1), logbook_pack(2)};
    const uint64_t one = 1;
    lrb_state state;
    int64_t failed = 0;
    for (bool over = false; !over; failed++) {
        lrb_state_init(&state);
        lrb_mem_fail_after(failed, false);
        int code = logbook_begin(&state, &err), codes = code;
        if (code) {
            CHECK(state.empty);
            CHECK_OK(logbook_begin(&state, &err));
        }
        codes += code = logbook_take(&state, 1, packs, 2, &err);
        if (code) {
            CHECK(!state.snapshot_count && !state.pack_count && !status_of(&state, 1));
            CHECK_OK(logbook_take(&state, 1, packs, 2, &err));
        }
        codes += code = logbook_hold(&state, LRB_ENTRY_HOLD, 1, "user", &err);
        if (code) {
            CHECK(!state.snapshots[0].holder_count);
            CHECK_OK(logbook_hold(&state, LRB_ENTRY_HOLD, 1, "user", &err));
        }
        codes += code = logbook_packs(&state, LRB_ENTRY_RETIRE, &one, 1, NULL, 0, &err);
        if (code) {
            CHECK(status_of(&state, 1) == LRB_PACK_KNOWN);
            CHECK_OK(logbook_packs(&state, LRB_ENTRY_RETIRE, &one, 1, NULL, 0, &err));
        }
        lrb_mem_fail_after(-1, false);
        CHECK(!codes || codes == LRB_E_NOMEM);
        CHECK(state.snapshot_count == 1 && state.snapshots[0].holder_count == 1 && state.last_number == 3);
        CHECK(status_of(&state, 1) == LRB_PACK_RETIRED && status_of(&state, 2) == LRB_PACK_KNOWN);
        lrb_state_clear(&state);
        over = !codes;
    }
    CHECK(failed > 8);
}

int main(void) {
    RUN(every_failing_allocation_leaves_the_state_as_it_was);
    RUN(a_snapshot_is_listed_with_what_the_log_adds);
    RUN(a_held_snapshot_is_not_dropped);
    RUN(holds_of_unknown_snapshots_do_nothing);
    RUN(packs_go_their_way);
    RUN(an_orphan_that_was_retired_is_not_known_by_being_named);
    RUN(a_repack_names_its_own_packs_and_retires_others);
    RUN(entries_that_do_not_follow_are_refused);
    RUN(a_log_begins_with_a_checkpoint);
    RUN(contradictions_are_damage);
    RUN(a_defect_anywhere_in_a_payload_refuses_all_of_it);
    RUN(ten_thousand_entries_are_read_at_once);
    return check_report();
}
