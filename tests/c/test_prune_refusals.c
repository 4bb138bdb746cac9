/* What keeps the prune job from being sure, and that nothing goes then that may be needed. */
#include "engine/prune.h"

#include "check.h"
#include "pruning.h"

/* Nothing may have changed. */
static bool refuses(shelf *s, int code, const char *named) {
    lrb_prune_outcome out;
    lrb_err err;
    uint64_t last = shelf_last_number(s);
    unsigned files = shelf_files(s, "packs");
    int got = run_prune(s, 0, false, true, &out, &err);
    if (got != code || (!strstr(err.target, named) && !strstr(err.message, named))) {
        printf("%s: %s: %s\n", lrb_code_symbol(got), err.target, err.message);
        return false;
    }
    return shelf_last_number(s) == last && shelf_files(s, "packs") == files &&
           strstr(err.message, "nothing was pruned");
}

TEST(a_hole_in_the_log_refuses_everything) {
    shelf s;
    lrb_err err;
    char first[LRB_SNAPSHOT_ID_MAX], path[512];
    shelf_with_garbage(&s, first, NULL);
    CHECK_OK(shelf_drop(&s, first, &err));
    for (unsigned i = 0; i <= 4; i++) {
        char below[40];
        snprintf(below, sizeof below, "log/%020u", i);
        shelf_path(&s, below, path);
        flip_byte(path, file_size(path) / 2);
        CHECK(refuses(&s, LRB_E_DAMAGED, below));
        flip_byte(path, file_size(path) / 2);
    }
    CHECK(unlink(path) == 0);
    CHECK(refuses(&s, LRB_E_DAMAGED, "log/00000000000000000004"));
    shelf_close(&s);
}

TEST(a_log_that_went_back_refuses_everything) {
    shelf s;
    lrb_err err;
    char first[LRB_SNAPSHOT_ID_MAX], path[512];
    shelf_with_garbage(&s, first, NULL);
    CHECK_OK(shelf_drop(&s, first, &err));
    shelf_path(&s, "log/00000000000000000004", path);
    CHECK(unlink(path) == 0);
    shelf_reopen(&s);
    CHECK(refuses(&s, LRB_E_DAMAGED, "log"));
    shelf_close(&s);
}

TEST(an_empty_listing_is_no_evidence) {
    shelf s;
    char path[512], aside[512];
    shelf_with_garbage(&s, NULL, NULL);
    shelf_path(&s, "packs", path);
    shelf_path(&s, "aside", aside);
    CHECK(rename(path, aside) == 0 && mkdir(path, 0750) == 0);
    shelf_reopen(&s);
    CHECK(refuses(&s, LRB_E_DAMAGED, "packs"));
    CHECK(rmdir(path) == 0 && rename(aside, path) == 0);
    shelf_reopen(&s);
    CHECK(sound(&s));
    shelf_close(&s);
}

TEST(a_snapshot_whose_needs_cannot_be_read_refuses_everything) {
    const lrb_chunk_kind kinds[] = {LRB_CHUNK_BODY, LRB_CHUNK_RECIPE};
    for (size_t turn = 0; turn < 2; turn++) {
        shelf s;
        lrb_err err;
        char first[LRB_SNAPSHOT_ID_MAX], path[512];
        shelf_with_garbage(&s, first, NULL);
        CHECK_OK(shelf_drop(&s, first, &err));
        lrb_pack *pack;
        shelf_pack(&s, 0, path);
        CHECK_OK(lrb_repo_pack_acquire(s.repo, 0, &pack, &err));
        for (uint32_t i = 0; i < pack->count; i++)
            if (pack->rows[i].kind == kinds[turn]) flip_byte(path, pack->rows[i].offset);
        lrb_repo_pack_release(s.repo, pack);
        CHECK(refuses(&s, LRB_E_DAMAGED, "snapshot"));
        shelf_close(&s);
    }
}

/* A pack that cannot be read now may hold what is missing: it must survive, while what is surely dead may go. */
TEST(a_pack_that_cannot_be_read_stays_while_data_is_lost) {
    shelf s;
    lrb_err err;
    lrb_prune_outcome out;
    char path[512], first[LRB_SNAPSHOT_ID_MAX];
    bundle b;
    shelf_open(&s);
    bundle_begin(&b, &s); /* the only copy of what "file" holds, but for recipes and body */
    uint8_t bytes[1000];
    fixture_fill(bytes, sizeof bytes, 1);
    bundle_add(&b, LRB_CHUNK_RAW, bytes, sizeof bytes);
    bundle_end(&b, true);
    fixture_write(s.f.source, "file", sizeof bytes, 1);
    shelf_backup(&s, NULL);
    fixture_write(s.f.source, "other", 1000, 2);
    shelf_backup(&s, first);
    CHECK_OK(shelf_drop(&s, first, &err));
    shelf_pack(&s, 0, path);
    flip_byte(path, file_size(path) - 100); /* in the trailer */
    shelf_reopen(&s);
    CHECK_OK(run_prune(&s, 0, false, true, &out, &err));
    CHECK(out.packs_swept == 1 && access(path, F_OK) == 0);
    flip_byte(path, file_size(path) - 100);
    shelf_reopen(&s);
    CHECK(sound(&s));
    shelf_close(&s);
}

/* As above, but the pack can be read again when it is weighed: what was not found is in it, and it must not count as
 * dead. */
TEST(a_pack_that_comes_back_during_the_run_stays) {
    for (int at = 1; at < 6; at++) {
        shelf s;
        lrb_err err;
        lrb_job *job;
        lrb_step next = LRB_STEP_MORE;
        lrb_prune_options options = {.repack = true};
        bundle b;
        uint8_t bytes[1000];
        char path[512];
        shelf_open(&s);
        bundle_begin(&b, &s);
        fixture_fill(bytes, sizeof bytes, 1);
        bundle_add(&b, LRB_CHUNK_RAW, bytes, sizeof bytes);
        bundle_end(&b, true);
        fixture_write(s.f.source, "file", sizeof bytes, 1);
        shelf_backup(&s, NULL);
        shelf_pack(&s, 0, path);
        flip_byte(path, file_size(path) - 100);
        shelf_reopen(&s);
        CHECK_OK(lrb_prune_new(s.repo, &options, &job, &err));
        for (int i = 0; next != LRB_STEP_DONE; i++) {
            if (i == at) flip_byte(path, file_size(path) - 100);
            CHECK_OK(job->ops->step(job, &s.f.worker, &next, &err));
        }
        lrb_job_free(job);
        shelf_reopen(&s);
        CHECK(sound(&s));
        shelf_close(&s);
    }
}

static void run_all(void) {
    RUN(a_hole_in_the_log_refuses_everything);
    RUN(a_log_that_went_back_refuses_everything);
    RUN(an_empty_listing_is_no_evidence);
    RUN(a_snapshot_whose_needs_cannot_be_read_refuses_everything);
    RUN(a_pack_that_cannot_be_read_stays_while_data_is_lost);
    RUN(a_pack_that_comes_back_during_the_run_stays);
}

int main(void) {
    run_all();
    fixture_key = &fixture_some_key;
    run_all();
    return check_report();
}
