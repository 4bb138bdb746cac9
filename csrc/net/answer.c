#include "net/answer.h"

#include <inttypes.h>
#include <string.h>

#include "lightrag/json.h"

enum { TEXT_BYTES = 120 };

typedef struct capabilities {
    char product[32], version[LRB_VERSION_BYTES], instance_id[LRB_INSTANCE_BYTES], reason[TEXT_BYTES];
    int64_t protocol, epoch, free_bytes;
    bool authenticated, ready, busy, low_space;
} capabilities;

/* ---- reading the document ---- */

static int take_text(lrb_json *json, char *into, size_t room, lrb_err *err) {
    lrb_json_text text;
    int code = lrb_json_text_of(json, room - 1, &text, err);
    if (code) return code;
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.at[i];
        into[i] = c < ' ' || c == 0x7f ? ' ' : (char)c;
    }
    into[text.length] = 0;
    return LRB_OK;
}

typedef struct member {
    const char *name;
    lrb_json_kind kind; /* TRUE stands for both */
    void *into;
    size_t room; /* of a text */
} member;

static int take_member(lrb_json *json, const lrb_json_value *value, const member *known, lrb_err *err) {
    if (known->kind == LRB_JSON_TRUE && (value->kind == LRB_JSON_TRUE || value->kind == LRB_JSON_FALSE)) {
        *(bool *)known->into = value->kind == LRB_JSON_TRUE;
        return LRB_OK;
    }
    if (known->kind == LRB_JSON_NUMBER && value->kind == LRB_JSON_NUMBER) {
        int64_t number;
        if (lrb_json_integer(value, &number) && number >= 0) *(int64_t *)known->into = number;
        return LRB_OK;
    }
    if (known->kind == LRB_JSON_STRING && value->kind == LRB_JSON_STRING) return take_text(json, known->into, known->room, err);
    return lrb_json_skip(json, value, err);
}

/* The scanner itself goes a thousand levels down; what a stranger nests deeper than our own documents is refused. */
static int skip_shallow(lrb_json *json, const lrb_json_value *value, lrb_err *err) {
    bool open = value->kind == LRB_JSON_OBJECT || value->kind == LRB_JSON_ARRAY;
    int depth = open ? 2 : 1; /* within the document's own object */
    while (depth > 1) {
        lrb_json_value inner;
        int code = lrb_json_next(json, &inner, err);
        if (code) return code;
        if (inner.kind == LRB_JSON_OBJECT || inner.kind == LRB_JSON_ARRAY) depth++;
        if (inner.kind == LRB_JSON_OBJECT_END || inner.kind == LRB_JSON_ARRAY_END) depth--;
        if (depth > LRB_ANSWER_MAX_DEPTH) return lrb_err_set(err, LRB_E_INVALID, "read", "answer", "the answer is nested too deeply");
    }
    return LRB_OK;
}

static int take_one(lrb_json *json, const lrb_json_value *value, capabilities *said, lrb_err *err) {
    const member known[] = {
        {"product", LRB_JSON_STRING, said->product, sizeof said->product},
        {"version", LRB_JSON_STRING, said->version, sizeof said->version},
        {"instance_id", LRB_JSON_STRING, said->instance_id, sizeof said->instance_id},
        {"reason", LRB_JSON_STRING, said->reason, sizeof said->reason},
        {"protocol", LRB_JSON_NUMBER, &said->protocol, 0},
        {"epoch", LRB_JSON_NUMBER, &said->epoch, 0},
        {"free_bytes", LRB_JSON_NUMBER, &said->free_bytes, 0},
        {"authenticated", LRB_JSON_TRUE, &said->authenticated, 0},
        {"ready", LRB_JSON_TRUE, &said->ready, 0},
        {"busy", LRB_JSON_TRUE, &said->busy, 0},
        {"low_space", LRB_JSON_TRUE, &said->low_space, 0},
    };
    bool simple = value->kind != LRB_JSON_OBJECT && value->kind != LRB_JSON_ARRAY;
    for (size_t i = 0; simple && i < sizeof known / sizeof known[0]; i++)
        if (lrb_json_key_is(value, known[i].name)) return take_member(json, value, &known[i], err);
    return skip_shallow(json, value, err);
}

static int read_members(lrb_json *json, capabilities *said, lrb_err *err) {
    lrb_json_value value;
    int code = lrb_json_next(json, &value, err);
    if (code) return code;
    if (value.kind != LRB_JSON_OBJECT) return lrb_err_set(err, LRB_E_INVALID, "read", "answer", "the answer is no JSON object");
    while (!(code = lrb_json_next(json, &value, err)) && value.kind != LRB_JSON_OBJECT_END)
        if ((code = take_one(json, &value, said, err))) return code;
    return code ? code : lrb_json_next(json, &value, err); /* nothing may follow */
}

/* INVALID where it is no document of ours. */
static int read_capabilities(const lrb_answer *answer, capabilities *said, lrb_err *err) {
    *said = (capabilities){.protocol = -1, .epoch = -1, .free_bytes = -1};
    lrb_bytes bytes = lrb_bytes_of_memory(answer->body, answer->body_bytes);
    lrb_json *json;
    int code = lrb_json_new(&bytes, NULL, &json, err);
    if (code) return code;
    code = read_members(json, said, err);
    lrb_json_free(json);
    if (code) return code;
    if (strcmp(said->product, "lightrag-bkp") || !said->instance_id[0] || said->protocol < 0)
        return lrb_err_set(err, LRB_E_INVALID, "read", "answer", "the answer is not a receiver's");
    return LRB_OK;
}

/* ---- judging ---- */

/* Our receiver knows the key, which was made for something else. Others say 403 to a wrong one. */
static bool is_for_something_else(const lrb_answer *answer) {
    static const char code[] = "\"OTHER_SCOPE\"";
    return answer->http_status == 403 && answer->body_bytes && memmem(answer->body, answer->body_bytes, code, sizeof code - 1);
}

static void judge_stranger(const lrb_answer *answer, lrb_finding *finding) {
    long status = answer->http_status;
    if (is_for_something_else(answer))
        lrb_finding_say(finding, LRB_TARGET_DEGRADED, "this key may not replicate (HTTP 403): give this target one that was made there for that (key add)");
    else if (status == 401 || status == 403)
        lrb_finding_say(finding, LRB_TARGET_DEGRADED, "it %s (HTTP %ld)",
                        answer->with_key ? "refuses the API key: give this target the key made for it there"
                                         : "wants an API key: give this target the key made for it there",
                        status);
    else if (status >= 300 && status < 400)
        lrb_finding_say(finding, LRB_TARGET_DEGRADED,
                        "it sends on to another address (HTTP %ld), which is not followed: give the final address", status);
    else if (status == 429)
        lrb_finding_say(finding, LRB_TARGET_DEGRADED, "it is busy: it wants fewer requests (HTTP 429)");
    else if (status >= 500)
        lrb_finding_say(finding, LRB_TARGET_DEGRADED, "it answers with an error of its own (HTTP %ld)", status);
    else
        lrb_finding_say(finding, LRB_TARGET_DEGRADED,
                        "it cannot receive: something answers there (HTTP %ld), but no receiver of lightrag-bkp", status);
}

static void judge_receiver(const lrb_answer *answer, const capabilities *said, lrb_finding *finding) {
    const char *because = said->reason[0] ? ": " : "";
    if (said->protocol != LRB_PROTOCOL)
        lrb_finding_say(finding, LRB_TARGET_DEGRADED, "it speaks version %" PRId64 " of the protocol, and this program version %d: bring the %s one up to date",
                        said->protocol, LRB_PROTOCOL, said->protocol < LRB_PROTOCOL ? "other" : "local");
    else if (!said->authenticated)
        lrb_finding_say(finding, LRB_TARGET_DEGRADED, "it did not look at the API key, and hence would take nothing");
    else if (said->low_space)
        lrb_finding_say(finding, LRB_TARGET_DEGRADED, "it is low on space: %" PRId64 " MB are left there", said->free_bytes < 0 ? 0 : said->free_bytes / 1000000);
    else if (!said->ready || answer->http_status >= 300)
        lrb_finding_say(finding, LRB_TARGET_DEGRADED, "it is not ready to receive%s%s", because, said->reason);
    else if (said->busy)
        lrb_finding_say(finding, LRB_TARGET_DEGRADED, "it is busy%s%s", because, said->reason);
    else if (answer->slow_ms > 0 && answer->took_ms > answer->slow_ms)
        lrb_finding_say(finding, LRB_TARGET_DEGRADED, "it answers slowly: %" PRId64 " ms, and %" PRId64 " are allowed", answer->took_ms, answer->slow_ms);
    else
        lrb_finding_say(finding, LRB_TARGET_HEALTHY, "it is ready to receive");
    memcpy(finding->instance_id, said->instance_id, sizeof finding->instance_id);
    memcpy(finding->version, said->version, sizeof finding->version);
    finding->epoch = said->epoch;
    finding->free_bytes = said->free_bytes;
}

/* A refusal of the key is one whatever comes with it. */
static bool may_be_ours(const lrb_answer *answer) {
    return answer->http_status == 200 || answer->http_status == 503;
}

int lrb_answer_judge(const lrb_answer *answer, lrb_finding *finding, lrb_err *err) {
    capabilities said;
    lrb_finding_clear(finding);
    finding->took_ms = answer->took_ms;
    int code = may_be_ours(answer) ? read_capabilities(answer, &said, err) : LRB_E_INVALID;
    if (code == LRB_E_NOMEM) return code;
    if (code) judge_stranger(answer, finding);
    else judge_receiver(answer, &said, finding);
    return LRB_OK;
}
