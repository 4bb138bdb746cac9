#include "lightrag/report.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "lightrag/text_run.h"

static const lrb_check_info CHECKS[] = {
#define LRB_CHECK(symbol, invariant, severity, remedy, text) \
    {#symbol, invariant, LRB_SEVERITY_##severity, LRB_REMEDY_##remedy, text},
#include "lightrag/check.def"
#undef LRB_CHECK
};

const lrb_check_info *lrb_check_of(lrb_check check) {
    return &CHECKS[check];
}

const char *lrb_severity_name(lrb_severity severity) {
    static const char *const names[] = {"info", "warning", "error"};
    return names[severity];
}

const char *lrb_remedy_name(lrb_remedy remedy) {
    static const char *const names[] = {
        [LRB_REMEDY_NONE] = "",
        [LRB_REMEDY_RERUN] = "none needed: LightRAG processes them again when it starts",
        [LRB_REMEDY_RETRY] = "POST /documents/reprocess_failed",
        [LRB_REMEDY_VECTORS] = "lightrag-rebuild-vdb",
        [LRB_REMEDY_UNLINK] = "replace the link by the file itself",
        [LRB_REMEDY_ANCHORS] = "python -m lightrag.tools.kg_integrity_repair --apply",
        [LRB_REMEDY_REFILL] = "move the file away: LightRAG fills it from the graph when it starts",
        [LRB_REMEDY_CACHE] = "move the file away: LightRAG asks the LLM again",
        [LRB_REMEDY_LOST] = "",
    };
    return names[remedy];
}

const char *lrb_verdict_name(lrb_verdict verdict) {
    static const char *const names[] = {"usable", "usable_with_reprocessing", "repairable", "unusable"};
    return names[verdict];
}

/* ---- adding ---- */

void lrb_report_init(lrb_report *report) {
    memset(report, 0, sizeof *report);
    pthread_mutex_init(&report->lock, NULL);
}

void lrb_report_clear(lrb_report *report) {
    for (int i = 0; i < LRB_CHECK_COUNT; i++) lrb_free(report->lines[i].ids);
    pthread_mutex_destroy(&report->lock);
    memset(report, 0, sizeof *report);
}

static size_t cut_length(const char *id, size_t length) {
    if (length <= LRB_REPORT_ID_BYTES) return length;
    length = LRB_REPORT_ID_BYTES;
    while (length && ((uint8_t)id[length] & 0xC0) == 0x80) length--;
    return length;
}

/* Where an id belongs among those kept; LRB_REPORT_IDS: behind them all. */
static unsigned place_of(const lrb_report_line *line, const char *id) {
    unsigned at = line->kept;
    while (at && strcmp(line->ids[at - 1], id) > 0) at--;
    return at;
}

static int keep_id(lrb_report_line *line, const char *id, lrb_err *err) {
    if (!line->ids) line->ids = lrb_alloc_zero(LRB_REPORT_IDS, sizeof *line->ids);
    if (!line->ids) return lrb_err_nomem(err, "note a finding");
    unsigned at = place_of(line, id);
    if (at == LRB_REPORT_IDS) return LRB_OK;
    unsigned behind = line->kept - at;
    if (line->kept == LRB_REPORT_IDS) behind--;
    else line->kept++;
    memmove(line->ids[at + 1], line->ids[at], behind * sizeof *line->ids);
    snprintf(line->ids[at], sizeof *line->ids, "%s", id);
    return LRB_OK;
}

int lrb_report_add(lrb_report *report, lrb_check check, const char *id, size_t length, lrb_err *err) {
    char text[LRB_REPORT_ID_BYTES + 1];
    length = cut_length(id, length);
    for (size_t i = 0; i < length; i++) text[i] = id[i] ? id[i] : ' ';
    text[length] = '\0';
    pthread_mutex_lock(&report->lock);
    lrb_report_line *line = &report->lines[check];
    line->count++;
    int code = keep_id(line, text, err);
    pthread_mutex_unlock(&report->lock);
    return code;
}

int lrb_report_addf(lrb_report *report, lrb_check check, lrb_err *err, const char *format, ...) {
    char text[2 * LRB_REPORT_ID_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0) length = 0;
    return lrb_report_add(report, check, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1, err);
}

void lrb_report_count(lrb_report *report, lrb_amount amount, uint64_t by) {
    pthread_mutex_lock(&report->lock);
    report->amounts[amount] += by;
    pthread_mutex_unlock(&report->lock);
}

/* ---- what follows ---- */

lrb_verdict lrb_report_verdict(const lrb_report *report) {
    lrb_verdict verdict = LRB_VERDICT_USABLE;
    for (int i = 0; i < LRB_CHECK_COUNT; i++) {
        if (!report->lines[i].count) continue;
        lrb_verdict least = LRB_VERDICT_USABLE;
        if (CHECKS[i].severity == LRB_SEVERITY_ERROR)
            least = CHECKS[i].remedy == LRB_REMEDY_LOST ? LRB_VERDICT_UNUSABLE : LRB_VERDICT_REPAIRABLE;
        else if (CHECKS[i].remedy == LRB_REMEDY_RERUN) least = LRB_VERDICT_REPROCESSING;
        if (least > verdict) verdict = least;
    }
    return verdict;
}

/* ---- JSON ---- */

static int put(lrb_buf *out, const char *text, lrb_err *err) {
    return lrb_buf_append(out, text, strlen(text), err);
}

static int put_number(lrb_buf *out, uint64_t number, lrb_err *err) {
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    return put(out, text, err);
}

/* The code point that begins at `at`, and its length; a byte that begins none stands for itself. */
static uint32_t code_point(const uint8_t *at, size_t count, size_t *length) {
    int sequence = *at < 0x80 ? 1 : lrb_text_utf8(at, count);
    if (sequence == -1 && count >= 3 && at[0] == 0xED) sequence = 3; /* a lone surrogate: json.h */
    *length = sequence < 1 ? 1 : (size_t)sequence;
    switch (*length) {
    case 2: return (uint32_t)(at[0] & 0x1F) << 6 | (at[1] & 0x3F);
    case 3: return (uint32_t)(at[0] & 0x0F) << 12 | (uint32_t)(at[1] & 0x3F) << 6 | (at[2] & 0x3F);
    case 4:
        return (uint32_t)(at[0] & 0x07) << 18 | (uint32_t)(at[1] & 0x3F) << 12 | (uint32_t)(at[2] & 0x3F) << 6 |
               (at[3] & 0x3F);
    default: return *at;
    }
}

static int put_character(lrb_buf *out, uint32_t c, lrb_err *err) {
    char text[16];
    if (c >= 0x10000)
        snprintf(text, sizeof text, "\\u%04x\\u%04x", 0xD800 + ((c - 0x10000) >> 10), 0xDC00 + ((c - 0x10000) & 0x3FF));
    else if (c < 0x20 || c >= 0x7F) snprintf(text, sizeof text, "\\u%04x", c);
    else if (c == '"' || c == '\\') snprintf(text, sizeof text, "\\%c", (int)c);
    else snprintf(text, sizeof text, "%c", (int)c);
    return put(out, text, err);
}

static int put_string(lrb_buf *out, const char *text, lrb_err *err) {
    size_t left = strlen(text), length;
    int code = put(out, "\"", err);
    for (const uint8_t *at = (const uint8_t *)text; !code && left; at += length, left -= length)
        code = put_character(out, code_point(at, left, &length), err);
    return code ? code : put(out, "\"", err);
}

static int put_member(lrb_buf *out, const char *key, const char *text, lrb_err *err) {
    int code = put(out, ", \"", err);
    if (!code) code = put(out, key, err);
    if (!code) code = put(out, "\": ", err);
    return code ? code : put_string(out, text, err);
}

static int put_finding(lrb_buf *out, const lrb_check_info *check, const lrb_report_line *line, lrb_err *err) {
    char name[32];
    size_t i = 0;
    for (; check->name[i] && i < sizeof name - 1; i++) name[i] = (char)tolower((unsigned char)check->name[i]);
    name[i] = '\0';
    int code = put(out, "{\"invariant\": ", err);
    if (!code) code = put_number(out, check->invariant, err);
    if (!code) code = put_member(out, "check", name, err);
    if (!code) code = put_member(out, "severity", lrb_severity_name(check->severity), err);
    if (!code) code = put_member(out, "text", check->text, err);
    if (!code) code = put_member(out, "remedy", lrb_remedy_name(check->remedy), err);
    if (!code) code = put(out, ", \"count\": ", err);
    if (!code) code = put_number(out, line->count, err);
    if (!code) code = put(out, ", \"ids\": [", err);
    for (unsigned id = 0; !code && id < line->kept; id++) {
        if (id) code = put(out, ", ", err);
        if (!code) code = put_string(out, line->ids[id], err);
    }
    return code ? code : put(out, "]}", err);
}

static int put_findings(lrb_buf *out, const lrb_report *report, lrb_err *err) {
    bool any = false;
    int code = LRB_OK;
    for (int severity = LRB_SEVERITY_ERROR; severity >= LRB_SEVERITY_INFO; severity--)
        for (int i = 0; !code && i < LRB_CHECK_COUNT; i++) {
            if (!report->lines[i].count || (int)CHECKS[i].severity != severity) continue;
            if (any) code = put(out, ", ", err);
            if (!code) code = put_finding(out, &CHECKS[i], &report->lines[i], err);
            any = true;
        }
    return code;
}

static int put_amounts(lrb_buf *out, const lrb_report *report, lrb_err *err) {
    static const char *const names[] = {"nodes",         "edges",  "entity_vectors", "relation_vectors",
                                        "chunk_vectors", "embedding_dim", "chunks", "documents", "processed",
                                        "in_flight",     "failed", "llm_answers"};
    int code = LRB_OK;
    for (int i = 0; !code && i < LRB_AMOUNT_COUNT; i++) {
        code = put(out, i ? ", \"" : "\"", err);
        if (!code) code = put(out, names[i], err);
        if (!code) code = put(out, "\": ", err);
        if (!code) code = put_number(out, report->amounts[i], err);
    }
    return code;
}

int lrb_report_json(const lrb_report *report, lrb_buf *out, lrb_err *err) {
    size_t before = out->length;
    int code = put(out, "{\"version\": ", err);
    if (!code) code = put_number(out, LRB_REPORT_VERSION, err);
    if (!code) code = put(out, ", \"verdict\": ", err);
    if (!code) code = put_string(out, lrb_verdict_name(lrb_report_verdict(report)), err);
    if (!code) code = put(out, ", \"findings\": [", err);
    if (!code) code = put_findings(out, report, err);
    if (!code) code = put(out, "], \"amounts\": {", err);
    if (!code) code = put_amounts(out, report, err);
    if (!code) code = put(out, "}}", err);
    if (code) out->length = before;
    return code;
}
