/* Backup, verify and prune on several threads: what one thread alone makes and finds. */
#include "check.h"
#include "comparing.h"
#include "crew.h"
#include "pruning.h"

TEST(a_backup_stores_what_one_thread_stores) {
    fixture f;
    lrb_err err;
    lrb_repo *repo;
    crew c;
    lrb_source *source;
    lrb_job *job;
    lrb_backup_outcome alone;
    lrb_backup_options options = fixture_options();
    options.use_source_cache = false;
    size_t items;
    fixture_open(&f);
    make_source(&f);
    fixture_write(f.source, "huge", 40 << 20, 11);
    CHECK_OK(fixture_repo_open(f.storage, "g", true, &repo, &err));
    crew_start(&c, 4, 4);
    CHECK_OK(fixture_list(f.source, &source, &err));
    CHECK_OK(lrb_backup_new(repo, source, &options, &job, &err));
    CHECK_OK(crew_run(&c, job, &err));
    lrb_job_free(job);
    crew_stop(&c);
    CHECK_OK(compare_all(&f, repo, &items, &err));
    CHECK_OK(fixture_backup(&f, repo, &alone, &err));
    CHECK(alone.stored_bytes <= 4096); /* one thread alone finds every chunk and every recipe node known */
    lrb_repo_close(repo);
    fixture_close(&f);
}

/* Whether the big file's recipe was reused; the snapshot holds what the files do now. */
static int back_up_again(fixture *f, lrb_repo *repo, const crew *c, bool *reused, lrb_err *err) {
    lrb_source *source;
    lrb_job *job;
    lrb_backup_options options = fixture_options();
    size_t items;
    int code = fixture_list(f->source, &source, err);
    if (!code) code = lrb_backup_new(repo, source, &options, &job, err);
    if (code) return code;
    code = crew_run(c, job, err);
    *reused = !code && lrb_backup_result(job)->items_reused == 1;
    lrb_job_free(job);
    return code ? code : compare_all(f, repo, &items, err);
}

TEST(what_was_written_anew_is_compared_by_all_threads) {
    enum { SIZE = (10 << 20) + 333 };
    fixture f;
    lrb_err err;
    lrb_repo *repo;
    crew c;
    bool reused;
    char path[512];
    fixture_open(&f);
    fixture_path(path, f.source, "big");
    CHECK_OK(fixture_repo_open(f.storage, "g", true, &repo, &err));
    crew_start(&c, 4, 4);
    for (int again = 0; again < 2; again++) {
        fixture_write(f.source, "big", SIZE, 1);
        CHECK_OK(back_up_again(&f, repo, &c, &reused, &err));
        CHECK(reused == again);
    }
    FILE *file = fopen(path, "rb+");
    CHECK(!fseek(file, SIZE / 2, SEEK_SET) && fputs("another", file) >= 0 && !fclose(file));
    CHECK_OK(back_up_again(&f, repo, &c, &reused, &err));
    CHECK(!reused);
    crew_stop(&c);
    lrb_repo_close(repo);
    fixture_close(&f);
}

TEST(verify_finds_what_one_thread_finds) {
    shelf s;
    lrb_err err;
    crew c;
    lrb_job *job;
    uint64_t objects, chunks, bytes, total;
    shelf_open(&s);
    fixture_write(s.f.source, "big", 40 << 20, 1);
    fixture_write(s.f.source, "small", 1000, 2);
    shelf_backup(&s, NULL);
    CHECK(shelf_count(&s, LRB_PACK_KNOWN) >= 5);
    CHECK(spoil_chunk(&s, 2, LRB_CHUNK_RAW) && spoil_chunk(&s, 3, LRB_CHUNK_RAW));
    crew_start(&c, 3, 2);
    for (int turn = 0; turn < 3; turn++) {
        CHECK_OK(lrb_verify_new(s.repo, NULL, LRB_VERIFY_DIGESTS, turn == 1, &job, &err));
        CHECK_OK(crew_run(&c, job, &err));
        lrb_verify_totals(job, &objects, &chunks, &bytes, &total);
        CHECK(total == (turn < 2 ? 3u : 1u) && bytes > 40 << 20); /* two packs and "big"; then the packs are entered */
        CHECK(job->counters.items_done == job->counters.items_total);
        lrb_job_free(job);
    }
    crew_stop(&c);
    shelf_close(&s);
}

TEST(prune_keeps_and_removes_what_one_thread_does) {
    shelf s;
    lrb_err err;
    crew c;
    lrb_job *job;
    lrb_prune_options options = {.repack = true};
    shelf_to_repack(&s);
    crew_start(&c, 3, 2);
    CHECK_OK(lrb_prune_new(s.repo, &options, &job, &err));
    CHECK_OK(crew_run(&c, job, &err));
    CHECK(lrb_prune_result(job)->packs_repacked == 1);
    lrb_job_free(job);
    crew_stop(&c);
    CHECK(tidy(&s) && sound(&s));
    shelf_close(&s);
}

static void run_all(void) {
    RUN(a_backup_stores_what_one_thread_stores);
    RUN(what_was_written_anew_is_compared_by_all_threads);
    RUN(verify_finds_what_one_thread_finds);
    RUN(prune_keeps_and_removes_what_one_thread_does);
}

int main(void) {
    run_all();
    fixture_key = &fixture_some_key;
    run_all();
    return check_report();
}
