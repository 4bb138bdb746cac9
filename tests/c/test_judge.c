/* A graph judged within a job: trusted files, and what every caller hears at the end. */
#include "engine/judge.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "check.h"
#include "jobs.h"
#include "small_graph.h"

static lrb_err err;
static const lrb_validation_options OPTIONS = {.workspace = ""};

static int source_of(const char *dir, lrb_source **out) {
    for (int i = 0; i < SMALL_FILES; i++) {
        char path[512];
        fixture_path(path, dir, SMALL_GRAPH[i].name);
        FILE *file = fopen(path, "wb");
        if (!file || fputs(SMALL_GRAPH[i].text, file) < 0) perror(path), exit(2);
        fclose(file);
    }
    return fixture_list(dir, out, &err);
}

static const lrb_job_ops NO_OPS = {NULL, NULL, NULL};

TEST(done_is_said_to_everyone) {
    fixture f;
    lrb_job job;
    lrb_source *source;
    lrb_judge *judge;
    lrb_step next = LRB_STEP_MORE;
    fixture_open(&f);
    lrb_job_init(&job, &NO_OPS);
    CHECK_OK(source_of(f.source, &source));
    CHECK_OK(lrb_judge_new(&job, true, &OPTIONS, &judge, &err));
    CHECK_OK(lrb_judge_open_source(judge, source, &err));
    CHECK(atomic_load(&job.counters.items_total) == SMALL_FILES);
    while (next != LRB_STEP_DONE) CHECK_OK(lrb_judge_step(judge, &f.worker, &next, &err));
    CHECK_OK(lrb_judge_step(judge, &f.worker, &next, &err));
    CHECK(next == LRB_STEP_DONE && lrb_report_verdict(lrb_judge_report(judge)) == LRB_VERDICT_USABLE);
    CHECK(atomic_load(&job.counters.bytes_in) <= atomic_load(&job.counters.bytes_total));
    lrb_judge_close(judge);
    CHECK(lrb_judge_report(judge)->amounts[LRB_AMOUNT_NODES] == 2);
    lrb_judge_free(judge);
    lrb_source_free(source);
    fixture_close(&f);
}

/* A snapshot leaves it out, so that what comes back is whole. */
TEST(a_fifo_in_the_place_of_a_file_is_found_where_lightrag_works) {
    fixture f;
    lrb_job job;
    lrb_source *source;
    char path[512];
    fixture_open(&f);
    lrb_job_init(&job, &NO_OPS);
    CHECK_OK(source_of(f.source, &source));
    lrb_source_free(source);
    fixture_path(path, f.source, "kv_store_llm_response_cache.json");
    CHECK(!unlink(path) && !mkfifo(path, 0600));
    CHECK_OK(fixture_list(f.source, &source, &err));
    for (int live = 0; live < 2; live++) {
        lrb_judge *judge;
        lrb_step next = LRB_STEP_MORE;
        CHECK_OK(lrb_judge_new(&job, false, &(lrb_validation_options){.workspace = "", .live = live}, &judge, &err));
        CHECK_OK(lrb_judge_open_source(judge, source, &err));
        while (next != LRB_STEP_DONE) CHECK_OK(lrb_judge_step(judge, &f.worker, &next, &err));
        CHECK(lrb_judge_report(judge)->lines[LRB_CHECK_CACHE_BROKEN].count == (uint64_t)live);
        lrb_judge_free(judge);
    }
    lrb_source_free(source);
    fixture_close(&f);
}

static int judge_all(fixture *f, const lrb_source *source, bool live, lrb_judge **judge) {
    lrb_job job;
    lrb_step next = LRB_STEP_MORE;
    lrb_job_init(&job, &NO_OPS);
    *judge = NULL;
    int code = lrb_judge_new(&job, true, &(lrb_validation_options){.workspace = "", .live = live}, judge, &err);
    if (!code) code = lrb_judge_open_source(*judge, source, &err);
    while (!code && next != LRB_STEP_DONE) code = lrb_judge_step(*judge, &f->worker, &next, &err);
    return code;
}

/* One file by a link, and a pair of Faiss files of which only the index is new; both are said, and out of memory, too. */
TEST(links_and_pairs_of_two_times_are_told) {
    static const char *const pair[] = {"faiss_index_chunks.index.meta.json", "faiss_index_chunks.index"};
    fixture f;
    lrb_judge *judge;
    lrb_source *source;
    char path[512];
    fixture_open(&f);
    CHECK_OK(source_of(f.source, &source));
    lrb_source_free(source);
    fixture_path(path, f.source, "vdb_chunks.json");
    CHECK(!unlink(path));
    fixture_path(path, f.source, "vdb_entities.json");
    CHECK(!unlink(path) && !symlink("/dev/null", path));
    for (int newer = -1; newer <= 1; newer++) {
        for (int i = 0; i < 2; i++) {
            struct timespec times[2] = {{.tv_sec = 7}, {.tv_sec = 1000, .tv_nsec = 10 + i * newer}};
            fixture_path(path, f.source, pair[i]);
            FILE *file = fopen(path, "wb");
            CHECK(file && fputs("{}", file) >= 0 && !fclose(file) && !utimensat(AT_FDCWD, path, times, 0));
        }
        CHECK_OK(fixture_list(f.source, &source, &err));
        for (int64_t countdown = 0;; countdown++) {
            lrb_mem_fail_after(countdown, false);
            int code = judge_all(&f, source, true, &judge);
            lrb_mem_fail_after(-1, false);
            if (!code) break;
            CHECK_FAILS(code, LRB_E_NOMEM);
            lrb_judge_free(judge);
        }
        const lrb_report_line *lines = lrb_judge_report(judge)->lines;
        CHECK(lines[LRB_CHECK_FAISS_TIMES].count == (newer > 0));
        CHECK(newer < 1 || !strcmp(lines[LRB_CHECK_FAISS_TIMES].ids[0], "faiss_index_chunks.index newer than its .meta.json"));
        CHECK(lines[LRB_CHECK_VECTORS_LINKED].count == 1 && !lines[LRB_CHECK_VECTORS_MISSING].count);
        CHECK(!strncmp(lines[LRB_CHECK_VECTORS_LINKED].ids[0], "vdb_entities.json: it is a symbolic link", 40));
        lrb_judge_free(judge);
        lrb_source_free(source);
    }
    fixture_close(&f);
}

/* The file's matrix is wrong, and nobody looks; its records are read all the same. */
TEST(a_trusted_file_is_read_for_its_records) {
    fixture f;
    lrb_job job;
    lrb_source *source;
    char path[512];
    fixture_open(&f);
    lrb_job_init(&job, &NO_OPS);
    CHECK_OK(source_of(f.source, &source));
    lrb_source_free(source);
    fixture_path(path, f.source, "vdb_chunks.json");
    FILE *file = fopen(path, "r+b");
    CHECK(file);
    fseek(file, -18, SEEK_END); /* the matrix's sixteen characters, a quote and a brace */
    fputs("AAAAAAAAAAAAAAAA", file);
    fclose(file);
    for (int trust = 0; trust < 2; trust++) {
        lrb_judge *judge;
        lrb_step next = LRB_STEP_MORE;
        CHECK_OK(fixture_list(f.source, &source, &err));
        CHECK_OK(lrb_judge_new(&job, false, &OPTIONS, &judge, &err));
        CHECK_OK(lrb_judge_open_source(judge, source, &err));
        if (trust) lrb_judge_trust(judge, "vdb_chunks.json"), lrb_judge_trust(judge, "notes.txt");
        while (next != LRB_STEP_DONE) CHECK_OK(lrb_judge_step(judge, &f.worker, &next, &err));
        const lrb_report *report = lrb_judge_report(judge);
        CHECK(report->lines[LRB_CHECK_ROW_NORM].count == !trust && report->amounts[LRB_AMOUNT_CHUNK_VECTORS] == 1);
        CHECK((lrb_report_verdict(report) == LRB_VERDICT_USABLE) == trust);
        lrb_judge_free(judge);
        lrb_source_free(source);
    }
    fixture_close(&f);
}

TEST(every_failing_allocation_is_survived) {
    fixture f;
    lrb_source *source;
    fixture_open(&f);
    CHECK_OK(source_of(f.source, &source));
    for (int64_t countdown = 0;; countdown++) {
        lrb_judge *judge;
        lrb_mem_fail_after(countdown, false);
        int code = judge_all(&f, source, false, &judge);
        lrb_mem_fail_after(-1, false);
        lrb_judge_free(judge);
        if (!code) break;
        CHECK_FAILS(code, LRB_E_NOMEM);
    }
    lrb_source_free(source);
    fixture_close(&f);
}

int main(void) {
    RUN(done_is_said_to_everyone);
    RUN(a_trusted_file_is_read_for_its_records);
    RUN(a_fifo_in_the_place_of_a_file_is_found_where_lightrag_works);
    RUN(links_and_pairs_of_two_times_are_told);
    RUN(every_failing_allocation_is_survived);
    return check_report();
}
