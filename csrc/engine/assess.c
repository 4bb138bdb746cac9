#include "engine/assess.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "lightrag/json.h"

enum { LOOK_BACK = 64, REPORT_MAX_BYTES = LRB_FACTS_MAX_BYTES / 2 };

struct lrb_assess {
    lrb_repo *repo;
    lrb_job *job;
    const lrb_source *source;
    lrb_validation_options options;
    char *workspace;
    lrb_judge *judge;
    lrb_buf report;               /* NUL-terminated */
    char verdict[LRB_WORD_MAX];
    pthread_mutex_t lock;
    bool failed;                  /* under the lock: `why` says how */
    lrb_err why;
};

/* ---- what an earlier snapshot says ---- */

typedef struct earlier { /* the "validation" of its facts */
    uint64_t from, to;  /* bytes of the facts; the same when there is none */
    bool current;       /* made by the same checks */
    bool rows_clean;    /* no number of a vector file was wrong */
    char verdict[LRB_WORD_MAX];
} earlier;

static int read_check(lrb_json *json, const lrb_json_value *value, earlier *e, lrb_err *err) {
    lrb_json_text text;
    if (!lrb_json_key_is(value, "check") || value->kind != LRB_JSON_STRING) return lrb_json_skip(json, value, err);
    int code = lrb_json_text_of(json, 64, &text, err);
    bool row = text.length > 4 && !memcmp(text.at, "row_", 4), matrix = text.length > 7 && !memcmp(text.at, "matrix_", 7);
    if (row || matrix) e->rows_clean = false;
    return code;
}

/* The findings: objects, of which the names of the checks matter. */
static int read_findings(lrb_json *json, earlier *e, lrb_err *err) {
    lrb_json_value finding, member;
    for (;;) {
        int code = lrb_json_next(json, &finding, err);
        if (code || finding.kind == LRB_JSON_ARRAY_END) return code;
        if (finding.kind != LRB_JSON_OBJECT) return lrb_err_set(err, LRB_E_INVALID, "parse", "", "no finding");
        while (!(code = lrb_json_next(json, &member, err)) && member.kind != LRB_JSON_OBJECT_END)
            if ((code = read_check(json, &member, e, err))) break;
        if (code) return code;
    }
}

static int read_member(lrb_json *json, const lrb_json_value *value, earlier *e, lrb_err *err) {
    int64_t version;
    lrb_json_text text;
    if (lrb_json_key_is(value, "version")) e->current = lrb_json_integer(value, &version) && version == LRB_REPORT_VERSION;
    if (lrb_json_key_is(value, "findings") && value->kind == LRB_JSON_ARRAY) return read_findings(json, e, err);
    if (!lrb_json_key_is(value, "verdict") || value->kind != LRB_JSON_STRING) return lrb_json_skip(json, value, err);
    int code = lrb_json_text_of(json, sizeof e->verdict - 1, &text, err);
    if (!code) snprintf(e->verdict, sizeof e->verdict, "%.*s", (int)text.length, text.at);
    return code;
}

static int read_facts(lrb_json *json, earlier *e, lrb_err *err) {
    lrb_json_value value;
    int code = lrb_json_next(json, &value, err);
    while (!code) {
        if ((code = lrb_json_next(json, &value, err)) || value.kind == LRB_JSON_OBJECT_END || value.kind == LRB_JSON_END) break;
        if (!lrb_json_key_is(&value, "validation") || value.kind != LRB_JSON_OBJECT) {
            code = lrb_json_skip(json, &value, err);
            continue;
        }
        e->from = value.offset;
        while (!(code = lrb_json_next(json, &value, err)) && value.kind != LRB_JSON_OBJECT_END)
            if ((code = read_member(json, &value, e, err))) break;
        e->to = lrb_json_offset(json);
    }
    return code;
}

static bool is_verdict(const char *word) {
    for (int i = LRB_VERDICT_USABLE; i <= LRB_VERDICT_UNUSABLE; i++)
        if (!strcmp(word, lrb_verdict_name((lrb_verdict)i))) return true;
    return false;
}

/* Facts come from a repository, where anybody may have written them: what cannot be read says nothing. NOMEM only. */
static int parse_facts(const char *facts, size_t length, earlier *e, lrb_err *err) {
    lrb_bytes bytes = lrb_bytes_of_memory(facts, length);
    lrb_json *json;
    *e = (earlier){.rows_clean = true};
    int code = lrb_json_new(&bytes, NULL, &json, err);
    if (code) return code;
    code = read_facts(json, e, err);
    lrb_json_free(json);
    if (code == LRB_E_NOMEM) return code;
    if (code || !e->current || !is_verdict(e->verdict)) *e = (earlier){.rows_clean = false};
    return LRB_OK;
}

/* ---- which snapshot to ask ---- */

typedef struct candidate {
    lrb_row root;
    bool same_data;
} candidate;

/* The newest judged snapshot with the same data, or else the newest judged one. */
static bool choose(lrb_repo *repo, const uint8_t data_hash[LRB_DIGEST_BYTES], candidate *best) {
    const lrb_state *state = lrb_repo_begin_read(repo);
    size_t count = state->snapshot_count, least = count > LOOK_BACK ? count - LOOK_BACK : 0;
    bool found = false;
    best->same_data = false;
    for (size_t i = count; i > least && !best->same_data; i--) {
        const lrb_snapshot *s = &state->snapshots[i - 1];
        bool same = !memcmp(s->data_hash.bytes, data_hash, LRB_DIGEST_BYTES);
        if (!s->verdict[0] || (found && !same)) continue;
        *best = (candidate){s->body_root, same};
        found = true;
    }
    lrb_repo_end_read(repo);
    return found;
}

/* Items stand in name order in both. */
static void trust_item(lrb_assess *a, const lrb_intake *intake, const lrb_body_item *item, size_t *position) {
    size_t count = lrb_source_count(a->source);
    while (*position < count) {
        const lrb_source_item *now = lrb_source_at(a->source, *position);
        int order = lrb_name_compare(now->name, now->name_length, item->name, item->name_length);
        if (order > 0) return;
        if (!order && !memcmp(lrb_intake_result(intake, *position)->sha256, item->sha256, sizeof item->sha256))
            lrb_judge_trust(a->judge, now->name);
        ++*position;
    }
}

static int take_over(lrb_assess *a, const lrb_body_record *record, const earlier *e, bool *known, lrb_err *err) {
    lrb_buf_empty(&a->report);
    int code = lrb_buf_append(&a->report, record->facts + e->from, (size_t)(e->to - e->from), err);
    if (!code) code = lrb_buf_append(&a->report, "", 1, err);
    snprintf(a->verdict, sizeof a->verdict, "%s", e->verdict);
    *known = !code;
    return code;
}

static int ask(lrb_assess *a, const candidate *whom, const lrb_intake *intake, lrb_worker *worker, bool *known, lrb_err *err) {
    lrb_repo_reader fetch = {a->repo, worker->coder};
    lrb_body_reader *reader;
    earlier e = {.rows_clean = false};
    size_t position = 0;
    bool done = false;
    int code = lrb_body_reader_new(&whom->root, lrb_repo_fetch, &fetch, &reader, err);
    if (code) return code;
    while (!code && !done && !*known) {
        lrb_body_record record;
        if ((code = lrb_body_reader_next(reader, &record, &done, err)) || done) break;
        if (record.type == LRB_BODY_FACTS) {
            code = parse_facts(record.facts, record.facts_length, &e, err);
            if (!code && whom->same_data && e.to > e.from) code = take_over(a, &record, &e, known, err);
            if (!e.rows_clean) break;
        } else if (record.type == LRB_BODY_ITEM && record.item.type == LRB_FILE_REGULAR) {
            trust_item(a, intake, &record.item, &position);
        }
    }
    lrb_body_reader_free(reader);
    return code;
}

/* ---- failing ---- */

/* Whether the backup has to fail, too. */
static bool is_fatal(int code) {
    return code == LRB_E_CANCELLED || code == LRB_E_CHANGED;
}

static void give_up(lrb_assess *a, lrb_err *err) {
    pthread_mutex_lock(&a->lock);
    if (!a->failed) a->why = *err;
    a->failed = true;
    pthread_mutex_unlock(&a->lock);
    lrb_err_clear(err);
}

static bool gave_up(lrb_assess *a) {
    pthread_mutex_lock(&a->lock);
    bool failed = a->failed;
    pthread_mutex_unlock(&a->lock);
    return failed;
}

/* ---- the assessment ---- */

int lrb_assess_new(lrb_repo *repo, lrb_job *job, const lrb_source *source, const lrb_validation_options *options, lrb_assess **out,
                   lrb_err *err) {
    lrb_assess *a = lrb_alloc_zero(1, sizeof *a);
    if (!a) return lrb_err_nomem(err, "judge the graph");
    pthread_mutex_init(&a->lock, NULL);
    lrb_buf_init(&a->report, REPORT_MAX_BYTES);
    a->repo = repo;
    a->job = job;
    a->source = source;
    a->options = *options;
    a->options.workspace = a->workspace = lrb_copy_string(options->workspace);
    if (!a->workspace) {
        lrb_assess_free(a);
        return lrb_err_nomem(err, "judge the graph");
    }
    *out = a;
    return LRB_OK;
}

void lrb_assess_free(lrb_assess *a) {
    if (!a) return;
    lrb_judge_free(a->judge);
    lrb_buf_clear(&a->report);
    pthread_mutex_destroy(&a->lock);
    lrb_free(a->workspace);
    lrb_free(a);
}

static void tell_rows_seen(lrb_assess *a, const lrb_intake *intake) {
    for (size_t i = 0, count = lrb_source_count(a->source); i < count; i++) {
        const lrb_rows_seen *seen = lrb_intake_rows_seen(intake, i);
        if (seen) lrb_judge_rows_seen(a->judge, lrb_source_at(a->source, i)->name, seen);
    }
}

int lrb_assess_begin(lrb_assess *a, const lrb_intake *intake, const uint8_t data_hash[LRB_DIGEST_BYTES], lrb_worker *worker,
                     bool *known, lrb_err *err) {
    candidate whom;
    *known = false;
    int code = lrb_judge_new(a->job, false, &a->options, &a->judge, err);
    if (!code && choose(a->repo, data_hash, &whom)) {
        code = ask(a, &whom, intake, worker, known, err);
        if (code && code != LRB_E_NOMEM) { /* what cannot be read is only no help */
            lrb_err_clear(err);
            code = LRB_OK;
        }
    }
    if (!code && !*known) tell_rows_seen(a, intake);
    if (!code && !*known) code = lrb_judge_open_source(a->judge, a->source, err);
    if (!code || is_fatal(code)) return code;
    give_up(a, err);
    return LRB_OK;
}

int lrb_assess_step(lrb_assess *a, lrb_worker *worker, lrb_step *next, lrb_err *err) {
    *next = LRB_STEP_DONE;
    if (gave_up(a)) return LRB_OK;
    int code = lrb_judge_step(a->judge, worker, next, err);
    if (!code || is_fatal(code)) return code;
    give_up(a, err);
    *next = LRB_STEP_DONE;
    return LRB_OK;
}

static int put_reason(lrb_assess *a, lrb_err *err) {
    char text[sizeof a->why.message * 2 + 32];
    size_t length = (size_t)snprintf(text, sizeof text, "{\"error\": \"");
    for (const char *c = a->why.message; *c && length < sizeof text - 4; c++) {
        if (*c == '"' || *c == '\\') text[length++] = '\\';
        text[length++] = *c >= 0x20 && *c < 0x7F ? *c : '?';
    }
    length += (size_t)snprintf(text + length, sizeof text - length, "\"}");
    return lrb_buf_append(&a->report, text, length + 1, err);
}

int lrb_assess_finish(lrb_assess *a, lrb_err *err) {
    if (a->verdict[0]) return LRB_OK;
    lrb_buf_empty(&a->report);
    if (gave_up(a)) return put_reason(a, err);
    const lrb_report *report = lrb_judge_report(a->judge);
    int code = lrb_report_json(report, &a->report, err);
    if (!code) code = lrb_buf_append(&a->report, "", 1, err);
    if (!code) snprintf(a->verdict, sizeof a->verdict, "%s", lrb_verdict_name(lrb_report_verdict(report)));
    return code;
}

const char *lrb_assess_verdict(const lrb_assess *a) {
    return a->verdict;
}

const char *lrb_assess_report(const lrb_assess *a) {
    return (const char *)a->report.data;
}
