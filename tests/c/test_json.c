/* The JSON scanner: what is JSON and what is not, at every place of the window, and in any amount of memory. */
#include "base/buf.h"
#include "base/mem.h"
#include "check.h"
#include "lightrag/json.h"

static lrb_err err;

/* ---- a scan written down: one letter per value, with keys and texts ---- */

static int put(lrb_buf *out, const char *text, size_t count) {
    return lrb_buf_append(out, text, count, &err);
}

static int put_string(lrb_json *j, lrb_buf *out) {
    lrb_json_text text;
    int code = lrb_json_text_of(j, 1 << 20, &text, &err);
    if (!code) code = put(out, "'", 1);
    if (!code) code = put(out, text.at, text.length);
    return code ? code : put(out, "'", 1);
}

static int put_value(lrb_json *j, const lrb_json_value *value, lrb_buf *out) {
    int code = LRB_OK;
    if (value->key_length) {
        code = put(out, value->key, value->key_length);
        if (!code) code = put(out, ":", 1);
    }
    if (code) return code;
    switch (value->kind) {
    case LRB_JSON_STRING: return put_string(j, out);
    case LRB_JSON_NUMBER: return put(out, value->number, strlen(value->number));
    default: return put(out, &".{}[]  TFN"[value->kind], 1);
    }
}

/* The scan of `bytes`, NUL-terminated, in out. */
static int scan(const lrb_bytes *bytes, lrb_buf *out) {
    lrb_json *j;
    lrb_json_value value = {.kind = LRB_JSON_NULL};
    lrb_buf_empty(out);
    int code = lrb_json_new(bytes, NULL, &j, &err);
    if (code) return code;
    while (!code && value.kind != LRB_JSON_END) {
        code = lrb_json_next(j, &value, &err);
        if (!code) code = put_value(j, &value, out);
        if (!code) code = put(out, " ", 1);
    }
    lrb_json_free(j);
    return code ? code : put(out, "", 1);
}

static int scan_text(const char *text, lrb_buf *out) {
    lrb_bytes bytes = lrb_bytes_of_memory(text, strlen(text));
    return scan(&bytes, out);
}

static void scans_as(const char *text, const char *wanted) {
    lrb_buf out;
    lrb_buf_init(&out, 1 << 22);
    CHECK_OK(scan_text(text, &out));
    if (strcmp((char *)out.data, wanted)) printf("%s gave %s\n", text, (char *)out.data);
    CHECK(!strcmp((char *)out.data, wanted));
    lrb_buf_clear(&out);
}

static void is_refused(const char *text, const char *because) {
    lrb_buf out;
    lrb_buf_init(&out, 1 << 22);
    int code = scan_text(text, &out);
    lrb_buf_clear(&out);
    if (code != LRB_E_INVALID || !strstr(err.message, because)) printf("%s: %s\n", text, code ? err.message : "accepted");
    CHECK(code == LRB_E_INVALID && strstr(err.message, because));
}

TEST(values_of_every_kind) {
    scans_as("{}", "{ } . ");
    scans_as(" [ ] \n", "[ ] . ");
    scans_as("\"a\"", "'a' . ");
    scans_as("[true,false,null]", "[ T F N ] . ");
    scans_as("{\"a\":1,\"b\":[{\"c\":\"d\"},\"\"], \"e\" : -0.5e+7}", "{ a:1 b:[ { c:'d' } '' ] e:-0.5e+7 } . ");
    scans_as("[0,-0,1.5,1e9,1E-9,123456789012345678901234567890]", "[ 0 -0 1.5 1e9 1E-9 123456789012345678901234567890 ] . ");
    scans_as("\t\r\n 7 ", "7 . ");
}

TEST(strings_are_decoded) {
    scans_as("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "'\"\\/\b\f\n\r\t' . ");
    scans_as("\"\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\"", "'A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80' . ");
    scans_as("\"\\ud800x\\udc00\"", "'\xed\xa0\x80x\xed\xb0\x80' . ");
    scans_as("{\"\\u006bey\":\"\xe4\xb8\xad\xe6\x96\x87\"}", "{ key:'\xe4\xb8\xad\xe6\x96\x87' } . ");
}

TEST(what_is_no_json) {
    is_refused("", "byte 0: the file ended where a value must be");
    is_refused("  ", "byte 2: the file ended");
    is_refused("\xef\xbb\xbf{}", "byte 0: no JSON value");
    is_refused("{", "no key");
    is_refused("[1", "the file ended within an object or array");
    is_refused("[1 2]", "byte 3: no comma");
    is_refused("[1,]", "byte 3: no JSON value");
    is_refused("[,1]", "byte 1: no JSON value");
    is_refused("{\"a\":1,}", "no key");
    is_refused("{\"a\"}", "no colon");
    is_refused("{\"a\":}", "no JSON value");
    is_refused("{a:1}", "no key");
    is_refused("[1}", "no comma");
    is_refused("{} {}", "byte 3: more bytes behind the value");
    is_refused("nul", "no JSON value");
    is_refused("NaN", "no JSON value");
    is_refused("-Infinity", "a number without a digit");
    is_refused("[01]", "needless zero");
    is_refused("[1.]", "a number without a digit");
    is_refused("[.5]", "no JSON value");
    is_refused("[1e]", "a number without a digit");
    is_refused("[+1]", "no JSON value");
    is_refused("[-]", "a number without a digit");
    is_refused("'a'", "no JSON value");
    is_refused("\"a", "the file ended within a string");
    is_refused("\"a\nb\"", "byte 2: a control character");
    is_refused("\"\\x\"", "a backslash");
    is_refused("\"\\", "a backslash");
    is_refused("\"\\u12g4\"", "four hexadecimal digits");
    is_refused("\"\\u12", "four hexadecimal digits");
    is_refused("\"\xff\"", "byte 1: bytes that are no UTF-8");
    is_refused("\"\xe4\xb8", "no UTF-8");
    is_refused("\"\xed\xa0\x80\"", "no UTF-8");
    is_refused("// no comments\n1", "no JSON value");
}

/* ---- ceilings ---- */

static char *repeated(const char *front, const char *what, size_t times, const char *back) {
    size_t length = strlen(what);
    char *text = lrb_alloc(strlen(front) + times * length + strlen(back) + 1), *at = text;
    if (!text) return NULL;
    at = stpcpy(at, front);
    for (size_t i = 0; i < times; i++, at += length) memcpy(at, what, length);
    stpcpy(at, back);
    return text;
}

TEST(ceilings_are_said) {
    lrb_buf out;
    lrb_buf_init(&out, 1 << 24);
    char *deep = repeated("", "[", LRB_JSON_MAX_DEPTH, ""), *deeper = repeated("", "[{\"a\":", 5000000, "");
    char *long_number = repeated("[", "1", LRB_JSON_MAX_NUMBER, "]"), *longer_number = repeated("[", "1", LRB_JSON_MAX_NUMBER + 1, "]");
    char *long_key = repeated("{\"", "k", LRB_JSON_MAX_KEY_BYTES, "\":1}"), *longer_key = repeated("{\"", "k", LRB_JSON_MAX_KEY_BYTES + 1, "\":1}");
    CHECK(deep && deeper && long_number && longer_number && long_key && longer_key);
    is_refused(deep, "the file ended");
    is_refused(deeper, "more than 1000 levels");
    is_refused(longer_number, "a number of more than 4300 characters");
    is_refused(longer_key, "a key of more than 1 MiB");
    CHECK_OK(scan_text(long_number, &out));
    CHECK_OK(scan_text(long_key, &out));
    lrb_free(deep), lrb_free(deeper), lrb_free(long_number), lrb_free(longer_number), lrb_free(long_key), lrb_free(longer_key);
    lrb_buf_clear(&out);
}

TEST(only_integers_that_fit_are_integers) {
    static const struct { const char *text; bool is; int64_t value; } cases[] = {
        {"0", true, 0}, {"-1", true, -1}, {"9223372036854775807", true, INT64_MAX}, {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0}, {"-9223372036854775809", false, 0}, {"99999999999999999999", false, 0},
        {"1.0", false, 0}, {"1e3", false, 0}, {"\"1\"", false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lrb_bytes bytes = lrb_bytes_of_memory(cases[i].text, strlen(cases[i].text));
        lrb_json *j;
        lrb_json_value value;
        int64_t integer = 0;
        CHECK_OK(lrb_json_new(&bytes, NULL, &j, &err));
        CHECK_OK(lrb_json_next(j, &value, &err));
        CHECK(lrb_json_integer(&value, &integer) == cases[i].is && integer == cases[i].value);
        lrb_json_free(j);
    }
}

/* ---- the window ---- */

static const char sample[] = "{\"k\\u00e9y\xe4\xb8\xad\":[\"\\ud83d\\ude00 te\xf0\x9f\x98\x80xt\\n\", -12.5e-3, true,false,null,{}],\"\":\"plain\"}";

/* The same text in front of, across and behind the window's end is the same. */
TEST(nothing_depends_on_where_the_window_ends) {
    enum { ROOM = LRB_JSON_WINDOW_BYTES + 2 * sizeof sample };
    static char text[ROOM];
    lrb_buf wanted, out;
    lrb_buf_init(&wanted, 1 << 12);
    lrb_buf_init(&out, 1 << 12);
    CHECK_OK(scan_text(sample, &wanted));
    for (size_t pad = LRB_JSON_WINDOW_BYTES - sizeof sample - 2; pad < LRB_JSON_WINDOW_BYTES + 2; pad++) {
        memset(text, ' ', pad);
        memcpy(text + pad, sample, sizeof sample);
        CHECK_OK(scan_text(text, &out));
        CHECK(!strcmp((char *)out.data, (char *)wanted.data));
    }
    lrb_buf_clear(&wanted);
    lrb_buf_clear(&out);
}

TEST(every_beginning_is_refused) {
    char text[sizeof sample];
    lrb_buf out;
    lrb_buf_init(&out, 1 << 12);
    for (size_t count = 0; count < sizeof sample - 1; count++) {
        lrb_bytes bytes = lrb_bytes_of_memory(sample, count);
        CHECK_FAILS(scan(&bytes, &out), LRB_E_INVALID);
    }
    for (size_t at = 0; at < sizeof sample - 1; at++) { /* one byte more or another one: an answer, whichever */
        memcpy(text, sample, sizeof sample);
        for (unsigned c = 0; c < 256; c++) {
            text[at] = (char)c;
            int code = scan_text(text, &out);
            CHECK(!code || code == LRB_E_INVALID);
        }
    }
    lrb_buf_clear(&out);
}

/* A string across many windows, with an escape in each of them. */
static char *long_string(size_t times) {
    return repeated("[\"", "abcdefghijklmnopqrstuvwxyz0123456789+/AB\\/\xe4\xb8\xad", times, "\", 1]");
}

TEST(long_strings_come_in_pieces_or_cut) {
    enum { TIMES = 20000, DECODED = 44 };
    char *text = long_string(TIMES);
    lrb_bytes bytes = lrb_bytes_of_memory(text, strlen(text));
    lrb_json *j;
    lrb_json_value value;
    lrb_json_text cut;
    const char *piece;
    size_t length, total = 0;
    bool done = false;
    CHECK_OK(lrb_json_new(&bytes, NULL, &j, &err));
    CHECK_OK(lrb_json_next(j, &value, &err));
    CHECK_OK(lrb_json_next(j, &value, &err));
    CHECK(value.kind == LRB_JSON_STRING && value.offset == 2);
    while (!done) {
        CHECK_OK(lrb_json_piece(j, &piece, &length, &done, &err));
        total += length;
    }
    CHECK(total == (size_t)TIMES * DECODED);
    CHECK_OK(lrb_json_next(j, &value, &err));
    CHECK(value.kind == LRB_JSON_NUMBER);
    lrb_json_reopen(j, 2);
    CHECK_OK(lrb_json_text_of(j, DECODED - 1, &cut, &err)); /* within the last character of a round */
    CHECK(!cut.whole && cut.length == DECODED - 3 && !memcmp(cut.at + DECODED - 5, "B/", 2));
    lrb_json_reopen(j, 2);
    CHECK_OK(lrb_json_text_of(j, SIZE_MAX, &cut, &err));
    CHECK(cut.whole && cut.length == (size_t)TIMES * DECODED);
    lrb_json_free(j);
    lrb_free(text);
}

TEST(a_skipped_string_is_checked_all_the_same) {
    char *text = long_string(20000);
    lrb_bytes bytes = lrb_bytes_of_memory(text, strlen(text));
    lrb_json *j;
    lrb_json_value value;
    text[strlen(text) - 10] = '\x01';
    CHECK_OK(lrb_json_new(&bytes, NULL, &j, &err));
    CHECK_OK(lrb_json_next(j, &value, &err));
    CHECK_FAILS(lrb_json_skip(j, &value, &err), LRB_E_INVALID);
    lrb_json_free(j);
    lrb_free(text);
}

TEST(skipping_leads_behind_the_end) {
    static const char text[] = "{\"a\":{\"b\":[1,[2,{}],\"]}\"]},\"c\":3}";
    lrb_bytes bytes = lrb_bytes_of_memory(text, sizeof text - 1);
    lrb_json *j;
    lrb_json_value value;
    CHECK_OK(lrb_json_new(&bytes, NULL, &j, &err));
    CHECK_OK(lrb_json_next(j, &value, &err));
    CHECK_OK(lrb_json_next(j, &value, &err));
    CHECK(lrb_json_key_is(&value, "a") && !lrb_json_key_is(&value, "ab") && !lrb_json_key_is(&value, ""));
    CHECK_OK(lrb_json_skip(j, &value, &err));
    CHECK_OK(lrb_json_next(j, &value, &err));
    CHECK(lrb_json_key_is(&value, "c") && value.kind == LRB_JSON_NUMBER);
    CHECK_OK(lrb_json_skip(j, &value, &err));
    CHECK_OK(lrb_json_next(j, &value, &err));
    CHECK(value.kind == LRB_JSON_OBJECT_END);
    lrb_json_free(j);
}

/* ---- what else can go wrong ---- */

static int failing_read(const lrb_bytes *self, void *thread, uint64_t offset, void *into, size_t room, size_t *got, lrb_err *error) {
    (void)self, (void)into, (void)room;
    if (offset || thread != &err) return lrb_err_set(error, LRB_E_IO, "read", "disk", "no such sector");
    memset(into, '[', 1);
    *got = room;
    memset(into, ' ', room);
    return LRB_OK;
}

TEST(a_failing_read_is_no_bad_json) {
    lrb_bytes bytes = {.read = failing_read, .length = UINT64_MAX};
    lrb_json *j;
    lrb_json_value value;
    CHECK_OK(lrb_json_new(&bytes, NULL, &j, &err));
    lrb_json_thread(j, &err);
    CHECK_FAILS(lrb_json_next(j, &value, &err), LRB_E_IO);
    lrb_json_free(j);
}

TEST(every_failing_allocation_is_survived) {
    char *text = long_string(9000);
    lrb_buf out;
    lrb_buf_init(&out, 1 << 20);
    for (int64_t countdown = 0;; countdown++) {
        lrb_mem_fail_after(countdown, false);
        int code = scan_text(text, &out);
        lrb_mem_fail_after(-1, false);
        if (!code) break;
        CHECK_FAILS(code, LRB_E_NOMEM);
    }
    lrb_buf_clear(&out);
    lrb_free(text);
}

int main(void) {
    RUN(values_of_every_kind);
    RUN(strings_are_decoded);
    RUN(what_is_no_json);
    RUN(ceilings_are_said);
    RUN(only_integers_that_fit_are_integers);
    RUN(nothing_depends_on_where_the_window_ends);
    RUN(every_beginning_is_refused);
    RUN(long_strings_come_in_pieces_or_cut);
    RUN(a_skipped_string_is_checked_all_the_same);
    RUN(skipping_leads_behind_the_end);
    RUN(a_failing_read_is_no_bad_json);
    RUN(every_failing_allocation_is_survived);
    return check_report();
}
