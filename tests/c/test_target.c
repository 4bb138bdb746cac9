/* Copying the snapshots out of the state. */
#include "engine/target.h"

#include "check.h"
#include "jobs.h"

TEST(all_or_one_in_log_order) {
    shelf s;
    lrb_err err;
    lrb_target *targets;
    size_t count;
    char ids[3][LRB_SNAPSHOT_ID_MAX];
    shelf_open(&s);
    lrb_coder *coder = s.f.worker.coder;
    CHECK_OK(lrb_target_list(s.repo, coder, NULL, &targets, &count, &err));
    CHECK(count == 0);
    lrb_free(targets);
    for (unsigned i = 0; i < 3; i++) {
        fixture_write(s.f.source, "file", 100, i);
        shelf_backup(&s, ids[i]);
    }
    CHECK_OK(lrb_target_list(s.repo, coder, NULL, &targets, &count, &err));
    CHECK(count == 3);
    for (size_t i = 0; i < 3; i++) CHECK(!strcmp(targets[i].id, ids[i]) && targets[i].number == i + 1);
    lrb_free(targets);
    CHECK_OK(lrb_target_list(s.repo, coder, ids[1], &targets, &count, &err));
    CHECK(count == 1 && !strcmp(targets[0].id, ids[1]));
    lrb_free(targets);
    CHECK_OK(lrb_target_list(s.repo, coder, NULL, &targets, &count, &err));
    CHECK(lrb_target_leave_out(targets, count, NULL, 0) == 3);
    CHECK(lrb_target_leave_out(targets, count, (const char *[]){ids[1]}, 1) == 2);
    CHECK(targets[0].number == 1 && targets[1].number == 3);
    lrb_free(targets);
    CHECK_FAILS(lrb_target_list(s.repo, coder, "unknown", &targets, &count, &err), LRB_E_NOT_FOUND);
    shelf_close(&s);
}

/* Nothing names the copy of an entry's payload, so its id must be found from the state alone. */
TEST(the_payload_copy_is_found) {
    shelf s;
    lrb_err err;
    lrb_target *targets;
    size_t count;
    bool found;
    lrb_place place;
    shelf_open(&s);
    fixture_write(s.f.source, "file", 100, 1);
    shelf_backup(&s, NULL);
    shelf_reopen(&s);
    CHECK_OK(lrb_target_list(s.repo, s.f.worker.coder, NULL, &targets, &count, &err));
    CHECK_OK(lrb_repo_find(s.repo, &targets[0].payload, &found, &place, &err));
    CHECK(found);
    lrb_free(targets);
    shelf_close(&s);
}

TEST(running_out_of_memory_is_survived) {
    shelf s;
    lrb_err err;
    lrb_target *targets;
    size_t count;
    shelf_open(&s);
    fixture_write(s.f.source, "file", 100, 1);
    shelf_backup(&s, NULL);
    int code = LRB_E_NOMEM;
    for (int64_t n = 0; code == LRB_E_NOMEM; n++) {
        lrb_mem_fail_after(n, false);
        code = lrb_target_list(s.repo, s.f.worker.coder, NULL, &targets, &count, &err);
        lrb_mem_fail_after(-1, false);
    }
    CHECK(code == LRB_OK && count == 1);
    lrb_free(targets);
    shelf_close(&s);
}

int main(void) {
    RUN(all_or_one_in_log_order);
    RUN(the_payload_copy_is_found);
    RUN(running_out_of_memory_is_survived);
    return check_report();
}
