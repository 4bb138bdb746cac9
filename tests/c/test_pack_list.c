/* Log entries that name packs: short, and only right behind the state they were computed from. */
#include "engine/pack_list.h"

#include "check.h"
#include "jobs.h"

enum { PACKS = 250 };

static void make_ids(lrb_id *ids, size_t count) {
    for (size_t i = 0; i < count; i++) fixture_fill(ids[i].bytes, sizeof ids[i].bytes, i + 1);
}

TEST(long_lists_are_split_below_4_KiB) {
    shelf s;
    lrb_err err;
    lrb_id ids[PACKS];
    uint64_t at;
    size_t entered;
    shelf_open(&s);
    make_ids(ids, PACKS);
    at = shelf_last_number(&s);
    CHECK_OK(lrb_pack_list_append(s.repo, LRB_ENTRY_RETIRE, NULL, 0, ids, PACKS, &at, &entered, &err));
    CHECK(entered == PACKS && at == 3 && shelf_last_number(&s) == 3 && shelf_count(&s, LRB_PACK_RETIRED) == PACKS);
    for (unsigned i = 1; i <= 3; i++) {
        char below[40], path[512];
        snprintf(below, sizeof below, "log/%020u", i);
        shelf_path(&s, below, path);
        CHECK(file_size(path) <= 4096 - 127); /* the longest graph id is 127 bytes longer than this one's */
    }
    shelf_close(&s);
}

TEST(an_empty_list_writes_nothing) {
    shelf s;
    lrb_err err;
    uint64_t at = 77;
    size_t entered;
    shelf_open(&s);
    CHECK_OK(lrb_pack_list_append(s.repo, LRB_ENTRY_RETIRE, NULL, 0, NULL, 0, &at, &entered, &err));
    CHECK(entered == 0 && at == 77 && shelf_last_number(&s) == 0);
    shelf_close(&s);
}

TEST(another_entry_in_between_is_busy) {
    shelf s;
    lrb_err err;
    lrb_repo *other;
    lrb_id id = {{1}};
    uint64_t at = 0;
    size_t entered;
    shelf_open(&s);
    CHECK_OK(lrb_repo_open(s.f.storage, "g", false, &other, &err));
    CHECK_OK(shelf_append(other, LRB_ENTRY_DROP, LRB_F_SNAPSHOT_REF, "none", 4, &err));
    CHECK_FAILS(lrb_pack_list_append(s.repo, LRB_ENTRY_RETIRE, NULL, 0, &id, 1, &at, &entered, &err), LRB_E_BUSY);
    CHECK(entered == 0 && at == 0 && shelf_last_number(&s) == 1 && shelf_count(&s, LRB_PACK_RETIRED) == 0);
    at = 1;
    CHECK_OK(lrb_pack_list_append(s.repo, LRB_ENTRY_RETIRE, NULL, 0, &id, 1, &at, &entered, &err));
    CHECK(entered == 1 && at == 2);
    lrb_repo_close(other);
    shelf_close(&s);
}

TEST(written_packs_become_known_with_the_first_entry) {
    shelf s;
    lrb_err err;
    enum { COUNT = LRB_PACK_LIST_MAX + 1 };
    lrb_id ids[COUNT];
    lrb_pack_ref written = {.id = {{9}}, .size_bytes = 1234};
    uint64_t at = 0;
    size_t entered;
    shelf_open(&s);
    make_ids(ids, COUNT);
    CHECK_OK(lrb_pack_list_append(s.repo, LRB_ENTRY_REPACK, &written, 1, ids, COUNT, &at, &entered, &err));
    CHECK(at == 2 && shelf_count(&s, LRB_PACK_KNOWN) == 1 && shelf_count(&s, LRB_PACK_RETIRED) == COUNT);
    shelf_close(&s);
}

TEST(running_out_of_memory_enters_a_prefix) {
    lrb_id ids[PACKS];
    make_ids(ids, PACKS);
    int code = LRB_E_NOMEM;
    for (int64_t n = 0; code == LRB_E_NOMEM; n++) {
        shelf s;
        lrb_err err;
        uint64_t at = 0;
        size_t entered;
        shelf_open(&s);
        lrb_mem_fail_after(n, false);
        code = lrb_pack_list_append(s.repo, LRB_ENTRY_RETIRE, NULL, 0, ids, PACKS, &at, &entered, &err);
        lrb_mem_fail_after(-1, false);
        CHECK_OK(lrb_repo_refresh(s.repo, &err));
        CHECK(entered <= shelf_count(&s, LRB_PACK_RETIRED) && (code || entered == PACKS));
        shelf_close(&s);
    }
}

int main(void) {
    RUN(long_lists_are_split_below_4_KiB);
    RUN(an_empty_list_writes_nothing);
    RUN(another_entry_in_between_is_busy);
    RUN(written_packs_become_known_with_the_first_entry);
    RUN(running_out_of_memory_enters_a_prefix);
    return check_report();
}
