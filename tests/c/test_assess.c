/* What a backup says of its graph: made, taken over from an earlier snapshot, and never in the backup's way. */
#include "engine/assess.h"

#include "check.h"
#include "jobs.h"
#include "sample.h"
#include "small_graph.h"
#include "vector_file.h"

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
    char facts[32 << 10];
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
    CHECK(!strcmp(out.verdict, "usable") && strstr(out.facts, "{\"validation\": {\"version\": 4, \"verdict\": \"usable\"") == out.facts);
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
    is_taken_over("{\"validation\": {\"version\": 4, \"verdict\": \"unusable\", \"findings\": [], \"amounts\": {}}}", "unusable", true);
}

TEST(what_cannot_be_taken_over_is_judged_anew) {
    is_taken_over("{\"validation\": {\"version\": 4, \"verdict\": \"unusable\"}}", "", false); /* the entry has no verdict */
    is_taken_over("{\"validation\": {\"version\": 1, \"verdict\": \"unusable\"}}", "unusable", false);
    is_taken_over("{\"validation\": {\"verdict\": \"unusable\"}}", "unusable", false);
    is_taken_over("{\"validation\": {\"version\": 4, \"verdict\": \"splendid\"}}", "unusable", false);
    is_taken_over("{\"validation\": {\"version\": 4, \"verdict\": \"unusable\", \"findings\": [1]}}", "unusable", false);
    is_taken_over("{\"validation\": [1]}", "unusable", false);
    is_taken_over("{\"validation\": ", "unusable", false);
    is_taken_over("{\"validation\": {\"version\": 4, \"verdict\": \"unusable\", \"findings\": [{\"check\": \"x\"", "unusable", false);
    is_taken_over("{\"validation\": {\"version\": 4, \"verdict\": \"a word longer than any verdict there is\"}}", "unusable", false);
    is_taken_over("[]", "unusable", false);
    is_taken_over("{}", "unusable", false);
}

static char *flip_a_row(const char *text) { /* of the matrix, so that its norm is no longer one */
    char *changed = strdup(text), *at = strstr(changed, "\"matrix\": \"");
    memcpy(at + strlen("\"matrix\": \""), "AACA", 4);
    return changed;
}

/* A vector file with a wrong row that an earlier verdict called clean. When the rest of the graph changes, the file is
 * believed again, unless that verdict was about its rows: then they are compared. */
static bool rows_are_compared(const char *earlier_findings) {
    shelf s;
    outcome out = {.verdict = ""};
    char facts[600];
    shelf_open(&s);
    write_graph(&s);
    for (int i = 0; i < SMALL_FILES; i++) {
        if (strcmp(SMALL_GRAPH[i].name, "vdb_entities.json")) continue;
        char *changed = flip_a_row(SMALL_GRAPH[i].text);
        write_file(&s, SMALL_GRAPH[i].name, changed);
        free(changed);
    }
    snprintf(facts, sizeof facts, "{\"validation\": {\"version\": 4, \"verdict\": \"usable\", \"findings\": %s}}", earlier_findings);
    int code = take(&s, facts, "usable", false, &out);
    write_file(&s, "kv_store_llm_response_cache.json", "{}");
    if (!code) code = take(&s, "{}", "", true, &out);
    shelf_close(&s);
    if (code) printf("%s\n", err.message), check_failures++;
    return strstr(out.facts, "\"row_norm\"") != NULL;
}

TEST(rows_are_believed_only_where_none_was_wrong) {
    CHECK(!rows_are_compared("[]"));
    CHECK(!rows_are_compared("[{\"invariant\": 1, \"check\": \"file_missing\", \"ids\": [\"x\"]}, {\"check\": \"row\"}, {\"check\": 7}, {}]"));
    CHECK(rows_are_compared("[{\"check\": \"file_missing\"}, {\"check\": \"row_norm\"}]"));
    CHECK(rows_are_compared("[{\"check\": \"matrix_text\", \"ids\": []}]"));
    CHECK(rows_are_compared("[{\"check\": \"row_and a name longer than any check has, by a good many characters indeed\"}]"));
    CHECK(rows_are_compared("[[]]"));
}

/* Of several judged snapshots the newest with the same data speaks; one with other data only when there is none. */
TEST(the_newest_snapshot_with_the_same_data_is_asked) {
    shelf s;
    outcome out;
    shelf_open(&s);
    write_graph(&s);
    CHECK_OK(take(&s, "{\"validation\": {\"version\": 4, \"verdict\": \"repairable\"}}", "repairable", false, &out));
    CHECK_OK(take(&s, "{\"validation\": {\"version\": 4, \"verdict\": \"unusable\"}}", "unusable", false, &out));
    write_file(&s, "kv_store_llm_response_cache.json", "{}");
    CHECK_OK(take(&s, "{\"validation\": {\"version\": 4, \"verdict\": \"usable\"}}", "usable", false, &out));
    CHECK_OK(take(&s, "{}", "", false, &out));
    write_graph(&s);
    CHECK_OK(take(&s, "{}", "", true, &out));
    CHECK(!strcmp(out.verdict, "unusable"));
    shelf_close(&s);
}

/* Facts are the host's: without room for a report, or no object, they stay as they are and the verdict alone is added. */
TEST(a_report_that_has_no_room_leaves_the_facts_alone) {
    static char long_facts[LRB_FACTS_MAX_BYTES + 1];
    shelf s;
    outcome out;
    shelf_open(&s);
    write_graph(&s);
    memset(long_facts, ' ', sizeof long_facts - 1);
    memcpy(long_facts, "{\"a\": 1", 7);
    long_facts[sizeof long_facts - 2] = '}';
    CHECK_OK(take(&s, long_facts, "", true, &out));
    CHECK(!strcmp(out.verdict, "usable") && !strstr(out.facts, "validation"));
    CHECK_OK(take(&s, "[]", "", true, &out));
    CHECK(!strcmp(out.verdict, "usable") && !strcmp(out.facts, "[]"));
    shelf_close(&s);
}

TEST(options_that_do_not_fit_are_refused) {
    static char long_text[LRB_FACTS_MAX_BYTES + LRB_METADATA_MAX_BYTES + 2];
    char long_word[LRB_WORD_MAX + 1] = "";
    memset(long_text, ' ', sizeof long_text - 1);
    memset(long_word, 'w', LRB_WORD_MAX);
    for (int i = 0; i < 4; i++) {
        shelf s;
        lrb_source *source;
        lrb_job *job;
        lrb_backup_options options = fixture_options();
        const char **field[] = {&options.consistency, &options.verdict, &options.metadata, &options.facts};
        *field[i] = i < 2 ? long_word : long_text;
        shelf_open(&s);
        CHECK_OK(fixture_list(s.f.source, &source, &err));
        CHECK_FAILS(lrb_backup_new(s.repo, source, &options, &job, &err), i < 2 ? LRB_E_INVALID : LRB_E_LIMIT);
        shelf_close(&s);
    }
}

/* ---- rows compared while they are encoded ---- */

static void write_vectors(const shelf *s, const char *name, const vector_file *f) {
    char path[512];
    fixture_path(path, s->f.source, name);
    unlink(path);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(f->bytes.data, 1, f->bytes.length, file) != f->bytes.length) perror(path), exit(2);
    fclose(file);
}

/* The facts as they must be, from a validation that knows of no backup and reads every row itself. */
static void judge_alone(shelf *s, char *facts, size_t room, uint64_t *wrong_rows) {
    static const lrb_job_ops NO_OPS;
    lrb_job job;
    lrb_source *source;
    lrb_judge *judge;
    lrb_step next = LRB_STEP_MORE;
    lrb_buf json;
    lrb_buf_init(&json, 1 << 20);
    lrb_job_init(&job, &NO_OPS);
    CHECK_OK(fixture_list(s->f.source, &source, &err));
    CHECK_OK(lrb_judge_new(&job, false, &OPTIONS, &judge, &err));
    CHECK_OK(lrb_judge_open_source(judge, source, &err));
    while (next != LRB_STEP_DONE) CHECK_OK(lrb_judge_step(judge, &s->f.worker, &next, &err));
    const lrb_report *report = lrb_judge_report(judge);
    CHECK_OK(lrb_report_json(report, &json, &err));
    snprintf(facts, room, "{\"validation\": %.*s}", (int)json.length, (char *)json.data);
    *wrong_rows = report->lines[LRB_CHECK_ROW_NOT_FINITE].count + report->lines[LRB_CHECK_ROW_NORM].count +
                  report->lines[LRB_CHECK_ROW_VECTOR].count + report->lines[LRB_CHECK_ROW_COSINE].count;
    lrb_buf_clear(&json);
    lrb_judge_free(judge);
    lrb_source_free(source);
}

/* Changes some characters: digits of base64 into others, which leave the file a vector file, or any byte into any. */
static void damage(vector_file *f, uint64_t *state) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t first = sample_next(state) % 2 ? f->matrix_at : 0;
    for (uint64_t n = sample_next(state) % 4; n; n--) {
        uint8_t *at = f->bytes.data + first + sample_next(state) % (f->bytes.length - first);
        bool digit = *at && strchr(digits, *at);
        *at = digit && sample_next(state) % 8 ? (uint8_t)digits[sample_next(state) % 64] : (uint8_t)sample_next(state);
    }
}

/* Whatever is wrong with vector files, and whether they are new, known or mended: the verdict is that of a validation by
 * itself. */
TEST(the_report_is_that_of_a_validation_by_itself) {
    enum { ROUNDS = 200 };
    static outcome out;
    static char facts[sizeof out.facts];
    unsigned clean = 0, wrong = 0;
    shelf s;
    shelf_open(&s);
    write_graph(&s);
    for (uint64_t round = 0, state = 11; round < ROUNDS; round++) {
        uint64_t wrong_rows;
        vector_file f = vector_file_of(1 + (uint32_t)(round * 7 % 40), 80 + round % 50);
        if (round % 5) damage(&f, &state);
        write_vectors(&s, round % 2 ? "vdb_entities.json" : "vdb_relationships.json", &f);
        judge_alone(&s, facts, sizeof facts, &wrong_rows);
        CHECK_OK(take(&s, "{}", "", true, &out));
        CHECK(!strcmp(out.facts, facts));
        clean += !wrong_rows;
        wrong += wrong_rows > 0;
        lrb_buf_clear(&f.bytes);
    }
    CHECK(clean > ROUNDS / 10 && wrong > ROUNDS / 10);
    shelf_close(&s);
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
    RUN(rows_are_believed_only_where_none_was_wrong);
    RUN(the_newest_snapshot_with_the_same_data_is_asked);
    RUN(a_report_that_has_no_room_leaves_the_facts_alone);
    RUN(options_that_do_not_fit_are_refused);
    RUN(the_report_is_that_of_a_validation_by_itself);
    RUN(memory_running_out_stores_a_snapshot_or_fails_as_such);
    return check_report();
}
