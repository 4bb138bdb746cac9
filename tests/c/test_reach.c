/* The walk over what snapshots need: what is live, what is lost, and who is to blame. */
#include "engine/reach.h"

#include "check.h"
#include "jobs.h"

static int walk(lrb_reach *reach, lrb_coder *coder, const lrb_row *root, lrb_err *err) {
    bool done = false;
    int code = lrb_reach_begin(reach, coder, root, err);
    while (!code && !done) code = lrb_reach_step(reach, coder, &done, err);
    return code;
}

static int walk_once(shelf *s, const lrb_marks *bad, const lrb_row *root, lrb_reach **out, lrb_err *err) {
    int code = lrb_reach_new(s->repo, bad, out, err);
    if (!code && (code = walk(*out, s->f.worker.coder, root, err))) lrb_reach_free(*out);
    return code;
}

static lrb_row body_root(shelf *s, size_t position) {
    lrb_row root = lrb_repo_begin_read(s->repo)->snapshots[position].body_root;
    lrb_repo_end_read(s->repo);
    return root;
}

/* Chunks of all packs; `payloads`: those nothing names. */
static uint32_t stored_chunks(shelf *s, uint32_t *payloads) {
    uint32_t count = 0;
    *payloads = 0;
    uint32_t packs = lrb_repo_begin_read(s->repo)->pack_count;
    lrb_repo_end_read(s->repo);
    for (uint32_t i = 0; i < packs; i++) {
        lrb_pack *pack;
        lrb_err err;
        if (lrb_repo_pack_acquire(s->repo, i, &pack, &err)) exit(2);
        count += pack->count;
        for (uint32_t k = 0; k < pack->count; k++) *payloads += pack->rows[k].kind == LRB_CHUNK_PAYLOAD;
        lrb_repo_pack_release(s->repo, pack);
    }
    return count;
}

static uint32_t count_marks(const lrb_marks *marks) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < marks->pack_count; i++)
        for (uint32_t k = 0; k < marks->packs[i].word_count; k++)
            count += (uint32_t)__builtin_popcountll(marks->packs[i].words[k]);
    return count;
}

static bool is_live(shelf *s, lrb_reach *reach, const lrb_id *pack, uint32_t ordinal) {
    uint32_t position = lrb_state_find_pack(lrb_repo_begin_read(s->repo), pack);
    lrb_repo_end_read(s->repo);
    return lrb_marks_has(lrb_reach_live(reach), (lrb_place){position, ordinal});
}

TEST(all_that_the_only_snapshot_stored_is_live) {
    shelf s;
    lrb_err err;
    lrb_reach *reach;
    uint32_t payloads;
    shelf_open(&s);
    fixture_write(s.f.source, "small", 100, 1);
    fixture_write(s.f.source, "big", 9 << 20, 2);
    fixture_write(s.f.source, "empty", 0, 3);
    shelf_backup(&s, NULL);
    lrb_row root = body_root(&s, 0);
    CHECK_OK(walk_once(&s, NULL, &root, &reach, &err));
    uint32_t stored = stored_chunks(&s, &payloads);
    CHECK(payloads == 1 && count_marks(lrb_reach_live(reach)) + payloads == stored);
    CHECK(lrb_reach_lost_count(reach) == 0 && lrb_reach_blind_count(reach) == 0);
    lrb_reach_free(reach);
    shelf_close(&s);
}

TEST(a_second_walk_adds_only_what_differs) {
    shelf s;
    lrb_err err;
    lrb_reach *reach;
    shelf_open(&s);
    fixture_write(s.f.source, "same", 3 << 20, 1);
    shelf_backup(&s, NULL);
    fixture_write(s.f.source, "other", 100, 2);
    shelf_backup(&s, NULL);
    lrb_row first = body_root(&s, 0), second = body_root(&s, 1);
    CHECK_OK(walk_once(&s, NULL, &first, &reach, &err));
    uint32_t before = count_marks(lrb_reach_live(reach));
    CHECK_OK(walk(reach, s.f.worker.coder, &first, &err));
    CHECK(count_marks(lrb_reach_live(reach)) == before);
    CHECK_OK(walk(reach, s.f.worker.coder, &second, &err));
    uint32_t added = count_marks(lrb_reach_live(reach)) - before;
    CHECK(added >= 2 && added <= 5); /* the new item, a body chunk, the body's recipe, facts */
    lrb_reach_free(reach);
    shelf_close(&s);
}

TEST(of_several_copies_one_is_live) {
    shelf s;
    lrb_err err;
    lrb_reach *reach;
    bundle a, b;
    shelf_open(&s);
    bundle_begin(&a, &s);
    lrb_row row = bundle_add(&a, LRB_CHUNK_RAW, "twice", 5);
    lrb_id first = bundle_end(&a, true);
    bundle_begin(&b, &s);
    bundle_add(&b, LRB_CHUNK_RAW, "twice", 5);
    lrb_row root = bundle_recipe(&b, (lrb_row[]){row, row}, 2);
    lrb_id second = bundle_end(&b, true);
    CHECK_OK(walk_once(&s, NULL, &root, &reach, &err));
    CHECK(is_live(&s, reach, &first, 0) + is_live(&s, reach, &second, 0) == 1 && is_live(&s, reach, &second, 1));
    lrb_reach_free(reach);
    /* A known copy is preferred to a retired one, whichever comes first. */
    for (int turn = 0; turn < 2; turn++) {
        CHECK_OK(shelf_name_pack(&s, LRB_ENTRY_RETIRE, turn ? &first : &second, &err));
        CHECK_OK(walk_once(&s, NULL, &root, &reach, &err));
        CHECK(is_live(&s, reach, turn ? &second : &first, 0) && !is_live(&s, reach, turn ? &first : &second, 0));
        lrb_reach_free(reach);
        CHECK_OK(shelf_name_pack(&s, LRB_ENTRY_UNRETIRE, turn ? &first : &second, &err));
    }
    shelf_close(&s);
}

TEST(a_bad_copy_counts_as_none_and_is_blamed) {
    shelf s;
    lrb_err err;
    lrb_reach *reach;
    lrb_blame blame;
    lrb_marks bad;
    bundle b;
    bool lost;
    shelf_open(&s);
    bundle_begin(&b, &s);
    lrb_row rows[] = {bundle_add(&b, LRB_CHUNK_RAW, "good", 4), bundle_add(&b, LRB_CHUNK_RAW, "evil", 4)};
    lrb_row inner = bundle_recipe(&b, rows, 2), good = bundle_recipe(&b, rows, 1);
    lrb_row root = bundle_recipe(&b, (lrb_row[]){good, inner}, 2);
    bundle_end(&b, true);
    lrb_marks_init(&bad);
    CHECK_OK(lrb_marks_add(&bad, (lrb_place){0, 1}, &err));
    CHECK_OK(walk_once(&s, &bad, &root, &reach, &err));
    CHECK(lrb_reach_lost_count(reach) == 1 && lrb_reach_blind_count(reach) == 0);
    CHECK_OK(lrb_reach_is_lost(reach, &root, &lost, &err));
    CHECK(lost);
    CHECK_OK(lrb_reach_is_lost(reach, &good, &lost, &err));
    CHECK(!lost);
    CHECK_OK(lrb_reach_blame(reach, s.f.worker.coder, &root, &blame, &err));
    CHECK(!lrb_id_compare(&blame.chunk, &rows[1].id) && blame.placed && blame.pack == 0);
    lrb_reach_free(reach);
    /* Another copy makes it whole. */
    bundle_begin(&b, &s);
    bundle_add(&b, LRB_CHUNK_RAW, "evil", 4);
    bundle_end(&b, true);
    CHECK_OK(walk_once(&s, &bad, &root, &reach, &err));
    CHECK_OK(lrb_reach_is_lost(reach, &root, &lost, &err));
    CHECK(!lost && lrb_reach_lost_count(reach) == 0);
    lrb_reach_free(reach);
    lrb_marks_clear(&bad);
    shelf_close(&s);
}

TEST(a_chunk_in_no_pack_is_lost_and_a_node_makes_the_walk_blind) {
    shelf s;
    lrb_err err;
    lrb_reach *reach;
    lrb_blame blame;
    bundle b;
    shelf_open(&s);
    bundle_begin(&b, &s);
    lrb_row gone = {.kind = LRB_CHUNK_RAW, .count = 4};
    lrb_row root = bundle_recipe(&b, &gone, 1);
    bundle_end(&b, true);
    CHECK_OK(walk_once(&s, NULL, &root, &reach, &err));
    CHECK(lrb_reach_lost_count(reach) == 1 && lrb_reach_blind_count(reach) == 0);
    CHECK(lrb_reach_lacks(reach, &gone.id) && !lrb_reach_lacks(reach, &root.id));
    CHECK_OK(lrb_reach_blame(reach, s.f.worker.coder, &root, &blame, &err));
    CHECK(!blame.placed && !lrb_id_compare(&blame.chunk, &gone.id));
    lrb_reach_free(reach);
    gone.kind = LRB_CHUNK_RECIPE;
    CHECK_OK(walk_once(&s, NULL, &gone, &reach, &err));
    CHECK(lrb_reach_blind_count(reach) == 1 && lrb_reach_blind_reason(reach)->code == LRB_E_DAMAGED);
    lrb_reach_free(reach);
    shelf_close(&s);
}

static uint64_t blind_below(shelf *s, const lrb_row *root) {
    lrb_reach *reach;
    lrb_err err;
    if (walk_once(s, NULL, root, &reach, &err)) return UINT64_MAX;
    uint64_t count = lrb_reach_blind_count(reach);
    lrb_reach_free(reach);
    return count;
}

TEST(a_malformed_node_makes_the_walk_blind) {
    shelf s;
    bundle b;
    shelf_open(&s);
    bundle_begin(&b, &s);
    lrb_row data = bundle_add(&b, LRB_CHUNK_RAW, "data", 4);
    lrb_row node = bundle_recipe(&b, &data, 1);
    lrb_row mixed = bundle_recipe(&b, (lrb_row[]){data, node}, 2);
    bundle_end(&b, true);
    CHECK(blind_below(&s, &node) == 0 && blind_below(&s, &mixed) == 1);
    shelf_close(&s);
}

/* A row that names a node as data must not make the node count as visited. */
TEST(a_node_named_as_data_is_still_opened_as_a_node) {
    shelf s;
    lrb_err err;
    lrb_reach *reach;
    bundle b;
    shelf_open(&s);
    bundle_begin(&b, &s);
    lrb_row data = bundle_add(&b, LRB_CHUNK_RAW, "data", 4), node = bundle_recipe(&b, &data, 1), disguised = node;
    disguised.kind = LRB_CHUNK_RAW;
    lrb_row liar = bundle_recipe(&b, &disguised, 1);
    lrb_id pack = bundle_end(&b, true);
    CHECK_OK(walk_once(&s, NULL, &liar, &reach, &err));
    CHECK(!is_live(&s, reach, &pack, 0));
    CHECK_OK(walk(reach, s.f.worker.coder, &node, &err));
    CHECK(is_live(&s, reach, &pack, 0));
    lrb_reach_free(reach);
    shelf_close(&s);
}

TEST(depth_is_bounded_and_repetition_costs_nothing) {
    shelf s;
    lrb_err err;
    lrb_reach *reach;
    bundle b;
    shelf_open(&s);
    bundle_begin(&b, &s);
    lrb_row row = bundle_add(&b, LRB_CHUNK_RAW, "laugh", 5), shallow = row;
    for (int level = 0; level < 100; level++) {
        lrb_row many[64];
        for (int i = 0; i < 64; i++) many[i] = row;
        row = bundle_recipe(&b, many, 64); /* 64 to the power of 100 rows in all */
        if (level == 30) shallow = row;
    }
    bundle_end(&b, true);
    CHECK_OK(walk_once(&s, NULL, &shallow, &reach, &err));
    CHECK(count_marks(lrb_reach_live(reach)) == 32 && lrb_reach_blind_count(reach) == 0);
    lrb_reach_free(reach);
    CHECK(blind_below(&s, &row) > 0);
    shelf_close(&s);
}

TEST(a_chunk_nothing_names_can_be_kept) {
    shelf s;
    lrb_err err;
    lrb_reach *reach;
    bundle b;
    bool found;
    shelf_open(&s);
    bundle_begin(&b, &s);
    lrb_row row = bundle_add(&b, LRB_CHUNK_PAYLOAD, "entry", 5);
    lrb_id pack = bundle_end(&b, true), nothing = {{1}};
    CHECK_OK(lrb_reach_new(s.repo, NULL, &reach, &err));
    CHECK_OK(lrb_reach_keep(reach, &row.id, &found, &err));
    CHECK(found && is_live(&s, reach, &pack, 0));
    CHECK_OK(lrb_reach_keep(reach, &nothing, &found, &err));
    CHECK(!found);
    lrb_reach_free(reach);
    shelf_close(&s);
}

TEST(running_out_of_memory_is_survived) {
    shelf s;
    lrb_err err;
    lrb_reach *reach;
    shelf_open(&s);
    fixture_write(s.f.source, "file", 1 << 20, 1);
    shelf_backup(&s, NULL);
    lrb_row root = body_root(&s, 0);
    int code = LRB_E_NOMEM;
    int64_t n = 0;
    for (; code == LRB_E_NOMEM; n++) {
        shelf_reopen(&s);
        lrb_mem_fail_after(n, false);
        code = walk_once(&s, NULL, &root, &reach, &err);
        lrb_mem_fail_after(-1, false);
    }
    CHECK(code == LRB_OK && n > 5 && lrb_reach_lost_count(reach) == 0);
    lrb_reach_free(reach);
    shelf_close(&s);
}

int main(void) {
    RUN(all_that_the_only_snapshot_stored_is_live);
    RUN(a_second_walk_adds_only_what_differs);
    RUN(of_several_copies_one_is_live);
    RUN(a_bad_copy_counts_as_none_and_is_blamed);
    RUN(a_chunk_in_no_pack_is_lost_and_a_node_makes_the_walk_blind);
    RUN(a_malformed_node_makes_the_walk_blind);
    RUN(a_node_named_as_data_is_still_opened_as_a_node);
    RUN(depth_is_bounded_and_repetition_costs_nothing);
    RUN(a_chunk_nothing_names_can_be_kept);
    RUN(running_out_of_memory_is_survived);
    return check_report();
}
