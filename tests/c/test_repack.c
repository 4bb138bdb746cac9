/* Copying live chunks into new packs, as a group and one entry. */
#include "engine/repack.h"

#include "check.h"
#include "jobs.h"

/* A pack of three chunks of which the second is live. */
static lrb_row add_pack(shelf *s, lrb_marks *live, uint64_t seed, lrb_id *pack) {
    static const size_t sizes[] = {100, 5000, 300};
    uint8_t bytes[5000];
    bundle b;
    lrb_err err;
    lrb_row rows[3];
    bundle_begin(&b, s);
    for (size_t i = 0; i < 3; i++) {
        fixture_fill(bytes, sizes[i], seed * 3 + i);
        rows[i] = bundle_add(&b, LRB_CHUNK_RAW, bytes, sizes[i]);
    }
    *pack = bundle_end(&b, true);
    uint32_t position = lrb_state_find_pack(lrb_repo_begin_read(s->repo), pack);
    lrb_repo_end_read(s->repo);
    if (lrb_marks_add(live, (lrb_place){position, 1}, &err)) exit(2);
    return rows[1];
}

static int add(lrb_repack *repack, shelf *s, uint32_t position, bool *copied, lrb_err *err) {
    lrb_job job = {0};
    lrb_id id = shelf_pack(s, position, NULL);
    return lrb_repack_add(repack, &job, &s->f.worker, position, &id, copied, err);
}

TEST(a_group_becomes_one_pack_and_one_entry) {
    enum { PACKS = 5 };
    shelf s;
    lrb_err err;
    lrb_marks live;
    lrb_repack *repack;
    lrb_row rows[PACKS];
    lrb_id pack;
    bool copied;
    shelf_open(&s);
    lrb_marks_init(&live);
    for (unsigned i = 0; i < PACKS; i++) rows[i] = add_pack(&s, &live, i, &pack);
    uint64_t at = shelf_last_number(&s);
    CHECK_OK(lrb_repack_new(s.repo, &live, &repack, &err));
    for (uint32_t i = 0; i < PACKS; i++) {
        CHECK_OK(add(repack, &s, i, &copied, &err));
        CHECK(copied && !lrb_repack_full(repack));
    }
    CHECK(shelf_files(&s, "packs") == PACKS); /* nothing has changed so far */
    CHECK_OK(lrb_repack_commit(repack, &s.f.worker, &at, &err));
    lrb_repack_free(repack);
    CHECK(at == PACKS + 1 && shelf_count(&s, LRB_PACK_KNOWN) == 1 && shelf_count(&s, LRB_PACK_RETIRED) == PACKS);
    for (unsigned i = 0; i < PACKS; i++) {
        lrb_place place;
        bool found;
        CHECK_OK(lrb_repo_find(s.repo, &rows[i].id, &found, &place, &err));
        CHECK(found && place.pack == PACKS);
        CHECK_OK(lrb_repo_read(s.repo, &rows[i].id, LRB_CHUNK_RAW, true, s.f.worker.coder, &s.f.worker.content, &err));
        CHECK(s.f.worker.content.length == 5000);
    }
    lrb_marks_clear(&live);
    shelf_close(&s);
}

TEST(a_group_of_many_small_packs_takes_several_entries) {
    enum { PACKS = 2 * 96 + 8 };
    shelf s;
    lrb_err err;
    lrb_marks live;
    lrb_repack *repack;
    lrb_row rows[PACKS];
    lrb_id pack;
    bool copied;
    shelf_open(&s);
    lrb_marks_init(&live);
    for (unsigned i = 0; i < PACKS; i++) rows[i] = add_pack(&s, &live, i, &pack);
    uint64_t at = shelf_last_number(&s), before = at;
    CHECK_OK(lrb_repack_new(s.repo, &live, &repack, &err));
    for (uint32_t i = 0; i < PACKS; i++) {
        CHECK_OK(add(repack, &s, i, &copied, &err));
        CHECK(copied && !lrb_repack_full(repack));
    }
    CHECK_OK(lrb_repack_commit(repack, &s.f.worker, &at, &err));
    lrb_repack_free(repack);
    CHECK(at == before + 3 && shelf_count(&s, LRB_PACK_KNOWN) == 1 && shelf_count(&s, LRB_PACK_RETIRED) == PACKS);
    for (unsigned i = 0; i < PACKS; i++) {
        lrb_place place;
        bool found;
        CHECK_OK(lrb_repo_find(s.repo, &rows[i].id, &found, &place, &err));
        CHECK(found && place.pack == PACKS);
    }
    lrb_marks_clear(&live);
    shelf_close(&s);
}

TEST(a_group_that_comes_too_late_is_taken_back) {
    shelf s;
    lrb_err err;
    lrb_marks live;
    lrb_repack *repack;
    lrb_id pack;
    bool copied;
    shelf_open(&s);
    lrb_marks_init(&live);
    add_pack(&s, &live, 1, &pack);
    uint64_t at = shelf_last_number(&s) - 1;
    CHECK_OK(lrb_repack_new(s.repo, &live, &repack, &err));
    CHECK_OK(add(repack, &s, 0, &copied, &err));
    CHECK_FAILS(lrb_repack_commit(repack, &s.f.worker, &at, &err), LRB_E_BUSY);
    lrb_repack_free(repack);
    CHECK(shelf_files(&s, "packs") == 1 && !shelf_files(&s, "tmp") && shelf_count(&s, LRB_PACK_KNOWN) == 1);
    lrb_marks_clear(&live);
    shelf_close(&s);
}

TEST(a_pack_with_a_rotten_live_chunk_is_no_part_of_the_group) {
    shelf s;
    lrb_err err;
    lrb_marks live;
    lrb_repack *repack;
    lrb_id pack;
    char path[512];
    bool copied;
    shelf_open(&s);
    lrb_marks_init(&live);
    add_pack(&s, &live, 1, &pack);
    add_pack(&s, &live, 2, &pack);
    add_pack(&s, &live, 3, &pack);
    shelf_pack(&s, 0, path);
    flip_byte(path, 64 + 100 + 40); /* live */
    shelf_pack(&s, 1, path);
    flip_byte(path, 64 + 7);       /* dead: nobody misses it */
    shelf_pack(&s, 2, path);
    CHECK(unlink(path) == 0);
    shelf_reopen(&s);
    uint64_t at = shelf_last_number(&s);
    CHECK_OK(lrb_repack_new(s.repo, &live, &repack, &err));
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_OK(add(repack, &s, i, &copied, &err));
        CHECK(copied == (i == 1));
    }
    CHECK_OK(lrb_repack_commit(repack, &s.f.worker, &at, &err));
    lrb_repack_free(repack);
    CHECK(shelf_count(&s, LRB_PACK_RETIRED) == 1 && shelf_count(&s, LRB_PACK_KNOWN) == 3);
    lrb_marks_clear(&live);
    shelf_close(&s);
}

TEST(an_empty_group_writes_nothing) {
    shelf s;
    lrb_err err;
    lrb_marks live;
    lrb_repack *repack;
    uint64_t at = 0;
    shelf_open(&s);
    lrb_marks_init(&live);
    CHECK_OK(lrb_repack_new(s.repo, &live, &repack, &err));
    CHECK_OK(lrb_repack_commit(repack, &s.f.worker, &at, &err));
    lrb_repack_free(repack);
    CHECK(at == 0 && shelf_last_number(&s) == 0 && !shelf_files(&s, "packs"));
    shelf_close(&s);
}

TEST(running_out_of_memory_is_survived) {
    lrb_err err;
    int code = LRB_E_NOMEM;
    for (int64_t n = 0; code == LRB_E_NOMEM; n++) {
        shelf s;
        lrb_marks live;
        lrb_repack *repack = NULL;
        lrb_id pack;
        bool copied;
        shelf_open(&s);
        lrb_marks_init(&live);
        lrb_row row = add_pack(&s, &live, 1, &pack);
        uint64_t at = shelf_last_number(&s);
        lrb_mem_fail_after(n, false);
        code = lrb_repack_new(s.repo, &live, &repack, &err);
        if (!code) code = add(repack, &s, 0, &copied, &err);
        if (!code) code = lrb_repack_commit(repack, &s.f.worker, &at, &err);
        lrb_mem_fail_after(-1, false);
        lrb_repack_free(repack);
        CHECK(!code || code == LRB_E_NOMEM);
        CHECK_OK(lrb_repo_refresh(s.repo, &err));
        CHECK_OK(lrb_repo_read(s.repo, &row.id, LRB_CHUNK_RAW, true, s.f.worker.coder, &s.f.worker.content, &err));
        CHECK(!shelf_files(&s, "tmp"));
        lrb_marks_clear(&live);
        shelf_close(&s);
    }
}

static void run_all(void) {
    RUN(a_group_becomes_one_pack_and_one_entry);
    RUN(a_group_of_many_small_packs_takes_several_entries);
    RUN(a_group_that_comes_too_late_is_taken_back);
    RUN(a_pack_with_a_rotten_live_chunk_is_no_part_of_the_group);
    RUN(an_empty_group_writes_nothing);
    RUN(running_out_of_memory_is_survived);
}

int main(void) {
    run_all();
    fixture_key = &fixture_some_key;
    run_all();
    return check_report();
}
