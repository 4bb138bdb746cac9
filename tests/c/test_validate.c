/* The validate job: open files and a snapshot of them give the same report; files that change, and jobs that end early. */
#include "engine/validate.h"

#include "check.h"
#include "jobs.h"
#include "small_graph.h"

static lrb_err err;
static const lrb_validation_options OPTIONS = {.workspace = ""};

static void write_file(const char *dir, const char *name, const char *text) {
    char path[512];
    fixture_path(path, dir, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(text, 1, strlen(text), file) != strlen(text)) perror(path), exit(2);
    fclose(file);
}

static void write_graph(const char *dir) {
    for (int i = 0; i < SMALL_FILES; i++) write_file(dir, SMALL_GRAPH[i].name, SMALL_GRAPH[i].text);
    write_file(dir, "notes.txt", "no file of LightRAG's");
}

/* A sealed source with every file of `dir` pinned. */
static int pin_all(const char *dir, lrb_source **out) {
    DIR *names = opendir(dir);
    int code = names ? lrb_source_new(out, &err) : LRB_E_IO;
    for (struct dirent *entry; !code && (entry = readdir(names));) {
        char path[512];
        if (entry->d_name[0] == '.') continue;
        fixture_path(path, dir, entry->d_name);
        code = lrb_source_pin(*out, entry->d_name, open(path, O_RDONLY | O_CLOEXEC), &err);
    }
    if (names) closedir(names);
    return code ? code : lrb_source_seal(*out, &err);
}

/* Runs a job to its end; its report as JSON, NUL-terminated. */
static int run(lrb_job *job, lrb_worker *worker, lrb_buf *json) {
    lrb_job_run(job, worker);
    int code = job->err.code;
    if (code) err = job->err;
    lrb_buf_empty(json);
    if (!code) code = lrb_report_json(lrb_validate_report(job), json, &err);
    if (!code) code = lrb_buf_append(json, "", 1, &err);
    lrb_job_free(job);
    return code;
}

TEST(files_and_their_snapshot_are_judged_alike) {
    shelf s;
    lrb_source *source;
    lrb_job *job;
    lrb_buf live, kept;
    char snapshot[LRB_SNAPSHOT_ID_MAX];
    lrb_buf_init(&live, 1 << 20);
    lrb_buf_init(&kept, 1 << 20);
    shelf_open(&s);
    for (int round = 0; round < 2; round++) {
        write_graph(s.f.source);
        if (round) write_file(s.f.source, "vdb_entities.json", "{\"embedding_dim\": 3, \"data\": [], \"matrix\": \"\"}");
        shelf_backup(&s, snapshot);
        CHECK_OK(pin_all(s.f.source, &source));
        CHECK_OK(lrb_validate_source_new(source, &OPTIONS, &job, &err));
        CHECK_OK(run(job, &s.f.worker, &live));
        CHECK_OK(lrb_validate_snapshot_new(s.repo, snapshot, &OPTIONS, &job, &err));
        CHECK_OK(run(job, &s.f.worker, &kept));
        CHECK(!strcmp((char *)live.data, (char *)kept.data));
        CHECK(!!strstr((char *)live.data, "node_no_vector") == round);
    }
    lrb_buf_clear(&live);
    lrb_buf_clear(&kept);
    shelf_close(&s);
}

TEST(a_file_that_is_rewritten_meanwhile_fails_the_job) {
    shelf s;
    lrb_source *source;
    lrb_job *job;
    lrb_buf json;
    lrb_step next = LRB_STEP_MORE;
    lrb_buf_init(&json, 1 << 20);
    shelf_open(&s);
    write_graph(s.f.source);
    CHECK_OK(pin_all(s.f.source, &source));
    CHECK_OK(lrb_validate_source_new(source, &OPTIONS, &job, &err));
    CHECK_OK(job->ops->step(job, &s.f.worker, &next, &err));
    write_file(s.f.source, "vdb_chunks.json", "{\"embedding_dim\"");
    CHECK_FAILS(run(job, &s.f.worker, &json), LRB_E_CHANGED);
    CHECK(fixture_lies_at(&s.f, "vdb_chunks.json", err.target));
    lrb_buf_clear(&json);
    shelf_close(&s);
}

TEST(a_replaced_file_is_still_the_one_that_was_pinned) {
    shelf s;
    lrb_source *source;
    lrb_job *job;
    lrb_buf json;
    char from[512], to[512];
    lrb_buf_init(&json, 1 << 20);
    shelf_open(&s);
    write_graph(s.f.source);
    CHECK_OK(pin_all(s.f.source, &source));
    write_file(s.f.source, "new", "{");
    fixture_path(from, s.f.source, "new");
    fixture_path(to, s.f.source, "vdb_chunks.json");
    CHECK(!rename(from, to));
    CHECK_OK(lrb_validate_source_new(source, &OPTIONS, &job, &err));
    CHECK_OK(run(job, &s.f.worker, &json));
    CHECK(strstr((char *)json.data, "\"verdict\": \"usable\", \"findings\": []"));
    lrb_buf_clear(&json);
    shelf_close(&s);
}

TEST(what_is_no_snapshot_and_what_is_cancelled) {
    shelf s;
    lrb_source *source;
    lrb_job *job;
    lrb_buf json;
    lrb_buf_init(&json, 1 << 20);
    shelf_open(&s);
    write_graph(s.f.source);
    CHECK_FAILS(lrb_validate_snapshot_new(s.repo, "../x", &OPTIONS, &job, &err), LRB_E_NOT_FOUND);
    CHECK_OK(lrb_validate_snapshot_new(s.repo, "nobody", &OPTIONS, &job, &err));
    CHECK_FAILS(run(job, &s.f.worker, &json), LRB_E_NOT_FOUND);
    CHECK_OK(pin_all(s.f.source, &source));
    CHECK_OK(lrb_validate_source_new(source, &OPTIONS, &job, &err));
    lrb_job_cancel(job);
    CHECK_FAILS(run(job, &s.f.worker, &json), LRB_E_CANCELLED);
    lrb_buf_clear(&json);
    shelf_close(&s);
}

TEST(damage_in_the_repository_is_an_error_and_no_finding) {
    shelf s;
    lrb_job *job;
    lrb_buf json;
    char snapshot[LRB_SNAPSHOT_ID_MAX];
    lrb_buf_init(&json, 1 << 20);
    shelf_open(&s);
    write_graph(s.f.source);
    shelf_backup(&s, snapshot);
    char packs[512];
    shelf_path(&s, "packs", packs);
    DIR *names = opendir(packs);
    for (struct dirent *entry; (entry = readdir(names));) {
        char path[1024];
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", packs, entry->d_name);
        unlink(path);
    }
    closedir(names);
    shelf_reopen(&s);
    CHECK_OK(lrb_validate_snapshot_new(s.repo, snapshot, &OPTIONS, &job, &err));
    int code = run(job, &s.f.worker, &json);
    CHECK(code == LRB_E_DAMAGED || code == LRB_E_NOT_FOUND);
    lrb_buf_clear(&json);
    shelf_close(&s);
}

TEST(every_failing_allocation_is_survived) {
    shelf s;
    lrb_buf json;
    char snapshot[LRB_SNAPSHOT_ID_MAX];
    lrb_buf_init(&json, 1 << 20);
    shelf_open(&s);
    write_graph(s.f.source);
    shelf_backup(&s, snapshot);
    for (int64_t countdown = 0;; countdown++) {
        lrb_job *job;
        lrb_mem_fail_after(countdown, false);
        int code = lrb_validate_snapshot_new(s.repo, snapshot, &OPTIONS, &job, &err);
        if (!code) code = run(job, &s.f.worker, &json);
        lrb_mem_fail_after(-1, false);
        if (!code) break;
        CHECK_FAILS(code, LRB_E_NOMEM);
    }
    lrb_buf_clear(&json);
    shelf_close(&s);
}

int main(void) {
    RUN(files_and_their_snapshot_are_judged_alike);
    RUN(a_file_that_is_rewritten_meanwhile_fails_the_job);
    RUN(a_replaced_file_is_still_the_one_that_was_pinned);
    RUN(what_is_no_snapshot_and_what_is_cancelled);
    RUN(damage_in_the_repository_is_an_error_and_no_finding);
    RUN(every_failing_allocation_is_survived);
    return check_report();
}
