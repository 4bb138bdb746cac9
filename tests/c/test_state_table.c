/* The tables inside a state: reserved room is enough, removed rows are gone, and coming and going costs no memory. */
#include "check.h"
#include "logbook.h"
#include "repo/state_table.h"

static lrb_err err;

static int add(lrb_state *state, uint64_t number) {
    lrb_snapshot s = logbook_snapshot(number);
    int code = lrb_table_reserve(state, 1, 0, &err);
    if (code) return code;
    s.number = number;
    s.metadata = lrb_copy_string("{}");
    lrb_table_add_snapshot(state, &s);
    return LRB_OK;
}

static lrb_snapshot *find(const lrb_state *state, uint64_t number) {
    char id[LRB_SNAPSHOT_ID_MAX];
    logbook_name(number, id);
    return lrb_table_find_snapshot(state, id);
}

/* Through gaps, through closing them and through a rebuilt hash table. */
TEST(removed_snapshots_are_not_found_and_the_others_are) {
    lrb_state state;
    lrb_state_init(&state);
    for (uint64_t i = 1; i <= 1000; i++) CHECK_OK(add(&state, i));
    for (uint64_t i = 1; i <= 1000; i++)
        if (i % 3) lrb_table_remove_snapshot(&state, find(&state, i));
    for (uint64_t i = 1; i <= 1000; i++) CHECK(!find(&state, i) == (i % 3 != 0));
    lrb_table_close_gaps(&state);
    CHECK(state.snapshot_count == 333 && !state.gaps);
    for (uint64_t i = 1001; i <= 3000; i++) CHECK_OK(add(&state, i));
    for (uint64_t i = 1; i <= 3000; i++) {
        lrb_snapshot *found = find(&state, i);
        CHECK(!found == (i <= 1000 && i % 3 != 0));
        CHECK(!found || found->number == i);
    }
    lrb_state_clear(&state);
}

TEST(a_table_of_few_that_come_and_go_stays_small) {
    lrb_state state;
    lrb_state_init(&state);
    for (uint64_t i = 1; i <= 20000; i++) {
        CHECK_OK(add(&state, i));
        if (i > 10) lrb_table_remove_snapshot(&state, find(&state, i - 10));
        lrb_table_close_gaps(&state);
    }
    CHECK(state.snapshot_count == 10 && state.snapshot_slot_count <= 64 && state.snapshot_room <= 64);
    lrb_state_clear(&state);
}

TEST(packs_keep_their_positions) {
    lrb_state state;
    lrb_state_init(&state);
    for (uint32_t i = 0; i < 3000; i++) {
        lrb_id id = logbook_pack(i).id;
        if (i % 100 == 0) CHECK_OK(lrb_table_reserve(&state, 0, 100, &err));
        CHECK(!lrb_table_find_pack(&state, &id));
        lrb_table_add_pack(&state, &id)->size_bytes = i;
    }
    for (uint32_t i = 0; i < 3000; i++) {
        lrb_id id = logbook_pack(i).id;
        CHECK(lrb_table_find_pack(&state, &id) == &state.packs[i] && state.packs[i].size_bytes == i);
    }
    lrb_state_clear(&state);
}

TEST(impossible_room_is_refused) {
    lrb_state state;
    lrb_state_init(&state);
    CHECK_FAILS(lrb_table_reserve(&state, SIZE_MAX, 0, &err), LRB_E_NOMEM);
    CHECK_FAILS(lrb_table_reserve(&state, SIZE_MAX / 4, 0, &err), LRB_E_NOMEM);
    CHECK_FAILS(lrb_table_reserve(&state, 0, SIZE_MAX, &err), LRB_E_LIMIT);
    CHECK_FAILS(lrb_table_reserve(&state, 0, UINT32_MAX, &err), LRB_E_LIMIT);
    CHECK(!state.snapshot_count && !state.pack_count);
    lrb_state_clear(&state);
}

TEST(every_failing_allocation_is_survived) {
    int code = LRB_E_NOMEM;
    for (int64_t n = 0; code; n++) {
        lrb_state state;
        lrb_state_init(&state);
        CHECK_OK(add(&state, 1));
        lrb_mem_fail_after(n, false);
        code = lrb_table_reserve(&state, 200, 200, &err);
        lrb_mem_fail_after(-1, false);
        CHECK(!code || code == LRB_E_NOMEM);
        CHECK(find(&state, 1) == state.snapshots && state.snapshot_count == 1);
        CHECK_OK(add(&state, 2));
        lrb_state_clear(&state);
    }
}

int main(void) {
    RUN(removed_snapshots_are_not_found_and_the_others_are);
    RUN(a_table_of_few_that_come_and_go_stays_small);
    RUN(packs_keep_their_positions);
    RUN(impossible_room_is_refused);
    RUN(every_failing_allocation_is_survived);
    return check_report();
}
