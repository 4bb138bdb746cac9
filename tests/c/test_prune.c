/* The prune job over real repositories: what is dead goes, in two steps or at once; what is alive stays. */
#include "engine/prune.h"

#include "check.h"
#include "pruning.h"

static const int64_t HOUR = INT64_C(3600) * 1000000000;

TEST(nothing_to_do_changes_nothing) {
    shelf s;
    lrb_err err;
    lrb_prune_outcome out;
    shelf_with_garbage(&s, NULL, NULL);
    uint64_t last = shelf_last_number(&s);
    unsigned files = shelf_files(&s, "packs");
    CHECK_OK(run_prune(&s, 0, false, true, &out, &err));
    CHECK(!out.packs_retired && !out.packs_swept && !out.packs_repacked && !out.bytes_freed && !out.litter_removed);
    CHECK(shelf_last_number(&s) == last && shelf_files(&s, "packs") == files && sound(&s));
    CHECK(out.bytes_total > 500 << 10 && out.bytes_live > 500 << 10 && out.bytes_live < out.bytes_total);
    shelf_close(&s);
}

TEST(garbage_is_retired_first_and_swept_later) {
    shelf s;
    lrb_err err;
    lrb_prune_outcome out;
    char first[LRB_SNAPSHOT_ID_MAX];
    shelf_with_garbage(&s, first, NULL);
    unsigned files = shelf_files(&s, "packs");
    CHECK_OK(shelf_drop(&s, first, &err));
    CHECK_OK(run_prune(&s, HOUR, false, false, &out, &err));
    CHECK(out.packs_retired == 1 && out.bytes_retired > 300 << 10 && !out.packs_swept && !out.bytes_freed);
    CHECK(shelf_count(&s, LRB_PACK_RETIRED) == 1 && shelf_files(&s, "packs") == files && sound(&s));
    CHECK_OK(run_prune(&s, HOUR, false, false, &out, &err));
    CHECK(!out.packs_retired && !out.packs_swept);
    CHECK_OK(run_prune(&s, 1, false, false, &out, &err));
    CHECK(!out.packs_retired && out.packs_swept == 1 && out.bytes_freed > 300 << 10);
    CHECK(shelf_files(&s, "packs") == files - 1 && tidy(&s) && sound(&s));
    shelf_reopen(&s);
    CHECK(sound(&s));
    shelf_close(&s);
}

TEST(without_waiting_all_goes_at_once) {
    shelf s;
    lrb_err err;
    lrb_prune_outcome out;
    char first[LRB_SNAPSHOT_ID_MAX];
    shelf_with_garbage(&s, first, NULL);
    CHECK_OK(shelf_drop(&s, first, &err));
    CHECK_OK(run_prune(&s, 0, false, true, &out, &err));
    CHECK(out.packs_retired == 1 && out.packs_swept == 1 && out.bytes_freed == out.bytes_retired);
    CHECK(tidy(&s) && sound(&s));
    shelf_close(&s);
}

TEST(the_last_snapshot_leaves_an_empty_repository_that_works) {
    shelf s;
    lrb_err err;
    lrb_prune_outcome out;
    char id[LRB_SNAPSHOT_ID_MAX];
    shelf_open(&s);
    fixture_write(s.f.source, "file", 200 << 10, 1);
    shelf_backup(&s, id);
    CHECK_OK(shelf_drop(&s, id, &err));
    CHECK_OK(run_prune(&s, 0, false, true, &out, &err));
    CHECK(out.packs_swept == 1 && !shelf_files(&s, "packs") && !out.bytes_live);
    CHECK_OK(run_prune(&s, 0, false, true, &out, &err));
    shelf_backup(&s, NULL); /* the same bytes again, under another pack's name */
    CHECK(shelf_files(&s, "packs") == 1 && sound(&s));
    shelf_close(&s);
}

TEST(a_dry_run_predicts_and_changes_nothing) {
    const int64_t waits[] = {0, 1, HOUR};
    for (size_t i = 0; i < 3; i++)
        for (int repack = 0; repack < 2; repack++) {
            shelf s;
            lrb_err err;
            lrb_prune_outcome dry, real;
            char first[LRB_SNAPSHOT_ID_MAX], second[LRB_SNAPSHOT_ID_MAX];
            shelf_with_garbage(&s, first, second);
            CHECK_OK(shelf_drop(&s, first, &err));
            CHECK_OK(run_prune(&s, HOUR, false, false, &real, &err)); /* something retired already */
            CHECK_OK(shelf_drop(&s, second, &err));
            shelf_remove_source(&s, "new");
            uint64_t last = shelf_last_number(&s);
            unsigned files = shelf_files(&s, "packs");
            CHECK_OK(run_prune(&s, waits[i], true, repack, &dry, &err));
            CHECK(shelf_last_number(&s) == last && shelf_files(&s, "packs") == files);
            CHECK_OK(run_prune(&s, waits[i], false, repack, &real, &err));
            CHECK(!memcmp(&dry, &real, sizeof dry) && dry.packs_retired > 0 && sound(&s));
            shelf_close(&s);
        }
}

/* The ids in any order, with one too long and one that is unknown among them. */
TEST(a_dry_run_predicts_what_dropped_snapshots_would_free) {
    for (int second_too = 0; second_too < 2; second_too++) {
        shelf s;
        lrb_err err;
        lrb_prune_outcome dry, real;
        char first[LRB_SNAPSHOT_ID_MAX], second[LRB_SNAPSHOT_ID_MAX], longest[2 * LRB_SNAPSHOT_ID_MAX];
        shelf_with_garbage(&s, first, second);
        memset(longest, '9', sizeof longest);
        longest[sizeof longest - 1] = 0;
        const char *dropped[] = {longest, "unknown", first, second};
        lrb_prune_options options = {HOUR, true, true, dropped, second_too ? 4 : 3};
        CHECK_OK(run_prune(&s, HOUR, true, true, &real, &err));
        CHECK_OK(run_prune_with(&s, &options, &dry, &err));
        CHECK(dry.bytes_retired > real.bytes_retired && sound(&s));
        CHECK_OK(shelf_drop(&s, first, &err));
        if (second_too) CHECK_OK(shelf_drop(&s, second, &err));
        CHECK_OK(run_prune(&s, HOUR, false, true, &real, &err));
        CHECK(!memcmp(&dry, &real, sizeof dry));
        shelf_close(&s);
    }
}

TEST(only_a_dry_run_takes_snapshots_for_dropped) {
    shelf s;
    lrb_err err;
    lrb_prune_outcome out;
    char id[LRB_SNAPSHOT_ID_MAX];
    shelf_open(&s);
    fixture_write(s.f.source, "file", 1000, 1);
    shelf_backup(&s, id);
    const char *dropped[] = {id};
    lrb_prune_options options = {0, false, true, dropped, 1};
    CHECK_FAILS(run_prune_with(&s, &options, &out, &err), LRB_E_INVALID);
    CHECK(shelf_files(&s, "packs") == 1 && sound(&s));
    shelf_close(&s);
}

TEST(orphans_are_retired_when_they_are_old) {
    shelf s;
    lrb_err err;
    lrb_prune_outcome out;
    bundle b;
    char path[512], below[80] = "packs/";
    shelf_with_garbage(&s, NULL, NULL);
    bundle_begin(&b, &s);
    bundle_add(&b, LRB_CHUNK_RAW, "never named", 11);
    lrb_id orphan = bundle_end(&b, false);
    lrb_hex(orphan.bytes, sizeof orphan.bytes, below + 6);
    shelf_path(&s, below, path);
    CHECK_OK(run_prune(&s, HOUR, false, true, &out, &err));
    CHECK(!out.packs_retired); /* perhaps a backup is just about to name it */
    struct timespec times[2] = {{1600000000, 0}, {1600000000, 0}};
    utimensat(AT_FDCWD, path, times, 0);
    CHECK_OK(run_prune(&s, HOUR, false, true, &out, &err));
    CHECK(out.packs_retired == 1 && shelf_count(&s, LRB_PACK_RETIRED) == 1 && access(path, F_OK) == 0);
    CHECK_OK(run_prune(&s, 0, false, true, &out, &err));
    CHECK(out.packs_swept == 1 && access(path, F_OK) != 0 && sound(&s));
    shelf_close(&s);
}

TEST(files_that_are_no_packs_are_left_alone) {
    shelf s;
    lrb_err err;
    lrb_prune_outcome out;
    char path[512];
    shelf_with_garbage(&s, NULL, NULL);
    shelf_path(&s, "packs/README", path);
    FILE *file = fopen(path, "w");
    CHECK(file);
    fclose(file);
    CHECK_OK(run_prune(&s, 0, false, true, &out, &err));
    CHECK(!out.packs_retired && access(path, F_OK) == 0);
    shelf_close(&s);
}

TEST(a_mostly_dead_pack_is_repacked) {
    shelf s;
    lrb_err err;
    lrb_prune_outcome out;
    shelf_to_repack(&s);
    CHECK_OK(run_prune(&s, HOUR, false, false, &out, &err));
    CHECK(!out.packs_repacked && !out.packs_retired);
    CHECK_OK(run_prune(&s, HOUR, false, true, &out, &err));
    CHECK(out.packs_repacked == 1 && out.packs_retired == 1);
    CHECK(out.bytes_rewritten >= 200 << 10 && out.bytes_rewritten < 220 << 10);
    CHECK(shelf_count(&s, LRB_PACK_RETIRED) == 1 && sound(&s));
    CHECK_OK(run_prune(&s, 1, false, true, &out, &err));
    CHECK(out.packs_swept == 1 && !out.packs_repacked && out.bytes_freed > 3 << 20 && tidy(&s));
    shelf_reopen(&s);
    CHECK(sound(&s));
    uint64_t last = shelf_last_number(&s);
    CHECK_OK(run_prune(&s, 1, false, true, &out, &err)); /* and is not repacked again and again */
    CHECK(shelf_last_number(&s) == last);
    shelf_close(&s);
}

TEST(repacking_many_packs_makes_few) {
    shelf s;
    lrb_err err;
    lrb_prune_outcome out;
    char id[LRB_SNAPSHOT_ID_MAX], first[LRB_SNAPSHOT_ID_MAX] = "";
    shelf_open(&s);
    for (unsigned i = 0; i < 8; i++) { /* each pack: one small file that stays, one big that goes */
        char name[16];
        snprintf(name, sizeof name, "small%u", i);
        fixture_write(s.f.source, name, 100 << 10, 100 + i);
        fixture_write(s.f.source, "big", 1 << 20, i);
        shelf_backup(&s, id);
        if (first[0]) CHECK_OK(shelf_drop(&s, first, &err));
        memcpy(first, id, sizeof first);
    }
    unsigned files = shelf_files(&s, "packs");
    CHECK_OK(run_prune(&s, 0, false, true, &out, &err));
    CHECK(out.packs_repacked >= 6 && shelf_files(&s, "packs") <= files - 5 && tidy(&s) && sound(&s));
    shelf_close(&s);
}

TEST(a_rotten_pack_is_not_repacked) {
    shelf s;
    lrb_err err;
    lrb_prune_outcome out;
    char path[512];
    shelf_to_repack(&s);
    shelf_pack(&s, 0, path);
    lrb_pack *pack;
    CHECK_OK(lrb_repo_pack_acquire(s.repo, 0, &pack, &err));
    uint32_t last_raw = 0;
    for (uint32_t i = 0; i < pack->count; i++)
        if (pack->rows[i].kind == LRB_CHUNK_RAW) last_raw = i; /* of "small": items are stored in name order */
    flip_byte(path, pack->rows[last_raw].offset);
    lrb_repo_pack_release(s.repo, pack);
    CHECK_OK(run_prune(&s, 0, false, true, &out, &err));
    CHECK(!out.packs_repacked && !out.packs_retired && shelf_count(&s, LRB_PACK_KNOWN) == 2);
    CHECK(count_findings(&s, NULL, LRB_VERIFY_DIGESTS) == 2);
    shelf_close(&s);
}

TEST(second_copies_die) {
    shelf s;
    lrb_err err;
    lrb_prune_outcome out;
    bundle b;
    uint8_t bytes[1000];
    shelf_open(&s);
    fixture_write(s.f.source, "file", sizeof bytes, 1);
    shelf_backup(&s, NULL);
    fixture_fill(bytes, sizeof bytes, 1);
    bundle_begin(&b, &s);
    bundle_add(&b, LRB_CHUNK_RAW, bytes, sizeof bytes);
    bundle_end(&b, true);
    CHECK_OK(run_prune(&s, 0, false, true, &out, &err));
    CHECK(out.packs_swept >= 1 && shelf_files(&s, "packs") <= 2 && sound(&s));
    CHECK_OK(run_prune(&s, 0, false, true, &out, &err));
    CHECK(sound(&s) && tidy(&s));
    shelf_close(&s);
}

TEST(a_retired_pack_that_is_needed_comes_back) {
    shelf s;
    lrb_err err;
    lrb_prune_outcome out;
    shelf_with_garbage(&s, NULL, NULL);
    lrb_id pack = shelf_pack(&s, 0, NULL);
    CHECK_OK(shelf_name_pack(&s, LRB_ENTRY_RETIRE, &pack, &err));
    CHECK_OK(run_prune(&s, 0, false, true, &out, &err));
    CHECK(!out.packs_swept && shelf_count(&s, LRB_PACK_RETIRED) == 0 && sound(&s));
    shelf_close(&s);
}

TEST(a_damaged_pack_goes_when_it_is_healed_and_not_before) {
    shelf s;
    lrb_err err;
    lrb_prune_outcome out;
    shelf_open(&s);
    fixture_write(s.f.source, "file", 200 << 10, 1);
    shelf_backup(&s, NULL);
    lrb_id pack = shelf_pack(&s, 0, NULL);
    CHECK_OK(shelf_name_pack(&s, LRB_ENTRY_DAMAGED, &pack, &err));
    CHECK_OK(run_prune(&s, 0, false, true, &out, &err));
    CHECK(!out.packs_swept && shelf_count(&s, LRB_PACK_DAMAGED) == 1);
    shelf_backup(&s, NULL);
    CHECK_OK(run_prune(&s, 0, false, true, &out, &err));
    CHECK(out.packs_swept == 1 && shelf_count(&s, LRB_PACK_DAMAGED) == 0 && tidy(&s) && sound(&s));
    shelf_close(&s);
}

TEST(anyone_finishes_a_sweep) {
    shelf s;
    lrb_err err;
    lrb_prune_outcome out;
    char first[LRB_SNAPSHOT_ID_MAX], path[512];
    shelf_with_garbage(&s, first, NULL);
    CHECK_OK(shelf_drop(&s, first, &err));
    lrb_id pack = shelf_pack(&s, 1, path);
    CHECK_OK(shelf_name_pack(&s, LRB_ENTRY_RETIRE, &pack, &err));
    CHECK_OK(shelf_name_pack(&s, LRB_ENTRY_SWEEP, &pack, &err));
    CHECK_OK(run_prune(&s, HOUR, false, true, &out, &err));
    CHECK(!out.packs_swept && out.bytes_freed > 300 << 10 && access(path, F_OK) != 0 && tidy(&s) && sound(&s));
    shelf_close(&s);
}

TEST(old_litter_goes) {
    shelf s;
    lrb_err err;
    lrb_prune_outcome out;
    shelf_with_garbage(&s, NULL, NULL);
    fixture_write(s.f.storage, "graphs/g/tmp/old", 10, 1);
    fixture_age(s.f.storage, "graphs/g/tmp/old");
    CHECK_OK(run_prune(&s, 0, true, true, &out, &err));
    CHECK(out.litter_removed == 1 && shelf_files(&s, "tmp") == 1);
    CHECK_OK(run_prune(&s, 0, false, true, &out, &err));
    CHECK(out.litter_removed == 1 && !shelf_files(&s, "tmp"));
    shelf_close(&s);
}

TEST(the_reserve_is_made_again) {
    shelf s;
    lrb_err err;
    lrb_prune_outcome out;
    char path[512];
    shelf_with_garbage(&s, NULL, NULL);
    shelf_path(&s, "reserve", path);
    unlink(path);
    CHECK_OK(run_prune(&s, HOUR, true, true, &out, &err));
    CHECK(access(path, F_OK) != 0);
    CHECK_OK(run_prune(&s, HOUR, false, true, &out, &err));
    struct stat status;
    CHECK(stat(path, &status) == 0 && status.st_size == 64 << 10 && status.st_blocks > 0);
    shelf_close(&s);
}

TEST(a_negative_waiting_time_is_refused) {
    shelf s;
    lrb_err err;
    lrb_prune_outcome out;
    shelf_open(&s);
    CHECK_FAILS(run_prune(&s, -1, false, true, &out, &err), LRB_E_INVALID);
    shelf_close(&s);
}

TEST(running_out_of_memory_is_survived) {
    lrb_err err;
    int code = LRB_E_NOMEM;
    for (int64_t n = 0; code; n++) {
        shelf s;
        lrb_prune_outcome out;
        shelf_to_repack(&s);
        shelf_reopen(&s);
        lrb_mem_fail_after(n, false);
        code = run_prune(&s, 0, false, true, &out, &err);
        lrb_mem_fail_after(-1, false);
        CHECK(!code || code == LRB_E_NOMEM);
        CHECK(sound(&s) && !shelf_files(&s, "tmp"));
        CHECK_OK(run_prune(&s, 0, false, true, &out, &err));
        CHECK(tidy(&s) && sound(&s) && shelf_files(&s, "packs") == 2);
        shelf_close(&s);
    }
}

TEST(a_dry_run_survives_running_out_of_memory) {
    shelf s;
    lrb_err err;
    lrb_prune_outcome out;
    char first[LRB_SNAPSHOT_ID_MAX], second[LRB_SNAPSHOT_ID_MAX];
    shelf_with_garbage(&s, first, second);
    const char *dropped[] = {second, first};
    lrb_prune_options options = {0, true, true, dropped, 2};
    int code = LRB_E_NOMEM;
    for (int64_t n = 0; code == LRB_E_NOMEM; n++) {
        lrb_mem_fail_after(n, false);
        code = run_prune_with(&s, &options, &out, &err);
        lrb_mem_fail_after(-1, false);
    }
    CHECK(code == LRB_OK && out.bytes_freed > 0 && sound(&s));
    shelf_close(&s);
}

static void run_all(void) {
    RUN(nothing_to_do_changes_nothing);
    RUN(garbage_is_retired_first_and_swept_later);
    RUN(without_waiting_all_goes_at_once);
    RUN(the_last_snapshot_leaves_an_empty_repository_that_works);
    RUN(a_dry_run_predicts_and_changes_nothing);
    RUN(a_dry_run_predicts_what_dropped_snapshots_would_free);
    RUN(only_a_dry_run_takes_snapshots_for_dropped);
    RUN(orphans_are_retired_when_they_are_old);
    RUN(files_that_are_no_packs_are_left_alone);
    RUN(a_mostly_dead_pack_is_repacked);
    RUN(repacking_many_packs_makes_few);
    RUN(a_rotten_pack_is_not_repacked);
    RUN(second_copies_die);
    RUN(a_retired_pack_that_is_needed_comes_back);
    RUN(a_damaged_pack_goes_when_it_is_healed_and_not_before);
    RUN(anyone_finishes_a_sweep);
    RUN(old_litter_goes);
    RUN(the_reserve_is_made_again);
    RUN(a_negative_waiting_time_is_refused);
    RUN(running_out_of_memory_is_survived);
    RUN(a_dry_run_survives_running_out_of_memory);
}

int main(void) {
    run_all();
    fixture_key = &fixture_some_key;
    run_all();
    return check_report();
}
