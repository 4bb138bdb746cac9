/* What a backup says of its graph: made, taken over from an earlier snapshot, and never in the backup's way. */
#include "engine/assess.h"

#include "check.h"
#include "jobs.h"
#include "small_graph.h"

static lrb_err err;
static const lrb_validation_options OPTIONS = {.workspace = ""};

static void write_file(const shelf *s, const char *name, const char *text) {
    char path[512];
    fixture_path(path, s->f.source, name);
    FILE *file = fopen(path, "wb");
    if (!file || fputs(text, file) < 0) perror(path), exit(2);
    fclose(file);
}

static void write_graph(const shelf *s) {
    for (int i = 0; i < SMALL_FILES; i++) write_file(s, SMALL_GRAPH[i].name, SMALL_GRAPH[i].text);
}

typedef struct outcome {
    char verdict[LRB_WORD_MAX];
    char facts[8192];
} outcome;

/* A judged backup of the shelf's source with these facts; what is stored of it. */
static int take(shelf *s, const char *facts, const char *verdict, bool validate, outcome *out) {
    lrb_source *source;
    lrb_job *job;
    lrb_backup_options options = fixture_options();
    options.facts = facts;
    options.verdict = verdict;
    options.validate = validate ? &OPTIONS : NULL;
    int code = fixture_list(s->f.source, &source, &err);
    if (!code) code = lrb_backup_new(s->repo, source, &options, &job, &err);
    if (code) return code;
    lrb_job_run(job, &s->f.worker);
    if ((code = job->err.code)) err = job->err;
    char id[LRB_SNAPSHOT_ID_MAX];
    memcpy(id, lrb_backup_result(job)->snapshot_id, sizeof id);
    lrb_job_free(job);
    if (code) return code;
    lrb_repo_reader fetch = {s->repo, s->f.worker.coder};
    lrb_body_reader *reader;
    lrb_body_record record;
    bool done;
    const lrb_snapshot *made = lrb_state_find(lrb_repo_begin_read(s->repo), id);
    lrb_row root = made->body_root;
    snprintf(out->verdict, sizeof out->verdict, "%s", made->verdict);
    lrb_repo_end_read(s->repo);
    if ((code = lrb_body_reader_new(&root, lrb_repo_fetch, &fetch, &reader, &err))) return code;
    code = lrb_body_reader_next(reader, &record, &done, &err);
    if (!code) snprintf(out->facts, sizeof out->facts, "%.*s", (int)record.facts_length, record.facts);
    lrb_body_reader_free(reader);
    return code;
}

TEST(the_verdict_and_the_report_are_stored) {
    shelf s;
    outcome out;
    shelf_open(&s);
    write_graph(&s);
    CHECK_OK(take(&s, "{}", "", true, &out));
    CHECK(!strcmp(out.verdict, "usable") && strstr(out.facts, "{\"validation\": {\"version\": 1, \"verdict\": \"usable\"") == out.facts);
    write_file(&s, "kv_store_text_chunks.json", "{");
    CHECK_OK(take(&s, "{\"a\": \"}\", \"b\": {}}", "", true, &out));
    CHECK(!strcmp(out.verdict, "unusable") && strstr(out.facts, "{\"a\": \"}\", \"b\": {}, \"validation\": {\"version\"") == out.facts);
    CHECK_OK(take(&s, "{}", "", false, &out));
    CHECK(!out.verdict[0] && !strcmp(out.facts, "{}"));
    shelf_close(&s);
}

/* A snapshot whose facts claim something that is not so: with the same data it is believed, which shows that nothing was
 * judged again. */
static void is_taken_over(const char *earlier_facts, const char *earlier_verdict, bool wanted) {
    shelf s;
    outcome out;
    shelf_open(&s);
    write_graph(&s);
    CHECK_OK(take(&s, earlier_facts, earlier_verdict, false, &out));
    CHECK_OK(take(&s, "{}", "", true, &out));
    CHECK(!strcmp(out.verdict, wanted ? "unusable" : "usable"));
    shelf_close(&s);
}

TEST(the_same_data_has_the_same_verdict) {
    is_taken_over("{\"validation\": {\"version\": 1, \"verdict\": \"unusable\", \"findings\": [], \"amounts\": {}}}", "unusable", true);
}

TEST(what_cannot_be_taken_over_is_judged_anew) {
    is_taken_over("{\"validation\": {\"version\": 1, \"verdict\": \"unusable\"}}", "", false); /* the entry has no verdict */
    is_taken_over("{\"validation\": {\"version\": 2, \"verdict\": \"unusable\"}}", "unusable", false);
    is_taken_over("{\"validation\": {\"verdict\": \"unusable\"}}", "unusable", false);
    is_taken_over("{\"validation\": {\"version\": 1, \"verdict\": \"splendid\"}}", "unusable", false);
    is_taken_over("{\"validation\": {\"version\": 1, \"verdict\": \"unusable\", \"findings\": [1]}}", "unusable", false);
    is_taken_over("{\"validation\": [1]}", "unusable", false);
    is_taken_over("{\"validation\": ", "unusable", false);
    is_taken_over("{}", "unusable", false);
}

TEST(memory_running_out_stores_a_snapshot_or_fails_as_such) {
    for (int64_t countdown = 0;; countdown += 3) {
        shelf s;
        outcome out;
        shelf_open(&s);
        write_graph(&s);
        lrb_mem_fail_after(countdown, false);
        int code = take(&s, "{}", "", true, &out);
        bool unharmed = lrb_mem_count() <= countdown;
        lrb_mem_fail_after(-1, false);
        bool judged = !code && out.verdict[0], unjudged = !code && strstr(out.facts, "\"validation\": {\"error\": \"");
        shelf_close(&s);
        CHECK(code == LRB_E_NOMEM || (!code && judged != unjudged));
        if (unharmed) break;
    }
}

int main(void) {
    RUN(the_verdict_and_the_report_are_stored);
    RUN(the_same_data_has_the_same_verdict);
    RUN(what_cannot_be_taken_over_is_judged_anew);
    RUN(memory_running_out_stores_a_snapshot_or_fails_as_such);
    return check_report();
}
