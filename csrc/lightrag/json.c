#include "lightrag/json.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "lightrag/text_run.h"

enum { NUMBER_KEPT = 48, LEVEL_WORDS = (LRB_JSON_MAX_DEPTH + 64) / 64, TEXT_MAX_BYTES = 64 << 20, WINDOW_SPARE = 64 };

typedef enum place { /* where in its container the scanner stands */
    BEFORE_FIRST,
    BEHIND_VALUE,
} place;

struct lrb_json {
    lrb_bytes bytes;
    void *thread;
    uint64_t base;                /* of window[0] */
    size_t at, end;
    bool drained;                 /* no byte is left behind the window */
    unsigned depth;
    uint64_t objects[LEVEL_WORDS]; /* a bit per level: 1 for an object */
    place place;
    bool in_string;               /* a string's text is not passed over yet */
    lrb_buf key, text;
    uint8_t escaped[4];           /* the text of an escape */
    char number[NUMBER_KEPT];
    size_t room;
    uint8_t window[];             /* `room` bytes */
};

int lrb_json_new(const lrb_bytes *bytes, void *thread, lrb_json **out, lrb_err *err) {
    size_t room = bytes->length < LRB_JSON_WINDOW_BYTES ? (size_t)bytes->length + WINDOW_SPARE : LRB_JSON_WINDOW_BYTES;
    lrb_json *j = lrb_alloc(sizeof *j + room);
    if (!j) return lrb_err_nomem(err, "scan JSON");
    memset(j, 0, sizeof *j);
    j->room = room;
    j->bytes = *bytes;
    j->thread = thread;
    lrb_buf_init(&j->key, LRB_JSON_MAX_KEY_BYTES + 1);
    lrb_buf_init(&j->text, TEXT_MAX_BYTES);
    *out = j;
    return LRB_OK;
}

void lrb_json_free(lrb_json *j) {
    if (!j) return;
    lrb_buf_clear(&j->key);
    lrb_buf_clear(&j->text);
    lrb_free(j);
}

void lrb_json_thread(lrb_json *j, void *thread) {
    j->thread = thread;
}

void lrb_json_reopen(lrb_json *j, uint64_t offset) {
    j->base = offset;
    j->at = j->end = 0;
    j->drained = false;
    j->in_string = true;
}

uint64_t lrb_json_offset(const lrb_json *j) {
    return j->base + j->at;
}

static int refuse(const lrb_json *j, lrb_err *err, const char *what) {
    return lrb_err_set(err, LRB_E_INVALID, "parse", "", "byte %llu: %s", (unsigned long long)lrb_json_offset(j), what);
}

/* ---- the window ---- */

/* Brings `want` bytes into the window, or all that are left. What lies before j->at is gone. */
static int fill(lrb_json *j, size_t want, lrb_err *err) {
    size_t kept = j->end - j->at;
    if (kept >= want || j->drained) return LRB_OK;
    if (kept) memmove(j->window, j->window + j->at, kept);
    j->base += j->at;
    j->at = 0;
    j->end = kept;
    size_t got;
    int code = j->bytes.read(&j->bytes, j->thread, j->base + kept, j->window + kept, j->room - kept, &got, err);
    if (code) return code;
    j->end += got;
    j->drained = j->end < j->room;
    return LRB_OK;
}

static inline int peek(lrb_json *j, int *c, lrb_err *err) { /* *c is -1 at the end */
    if (j->at == j->end) {
        int code = fill(j, 1, err);
        if (code) return code;
    }
    *c = j->at < j->end ? j->window[j->at] : -1;
    return LRB_OK;
}

static inline bool is_space(int c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static int pass_space(lrb_json *j, int *c, lrb_err *err) {
    for (;;) {
        int code = peek(j, c, err);
        if (code || !is_space(*c)) return code;
        j->at++;
    }
}

/* ---- strings ---- */

static int hex4(const uint8_t *at, uint32_t *out) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t c = at[i], lower = c | 0x20;
        if (c >= '0' && c <= '9') value = value << 4 | (uint32_t)(c - '0');
        else if (lower >= 'a' && lower <= 'f') value = value << 4 | (uint32_t)(lower - 'a' + 10);
        else return -1;
    }
    *out = value;
    return 0;
}

/* "\uXXXX", and its second half where it is the first half of a pair. */
static int unicode_escape(lrb_json *j, size_t *length, lrb_err *err) {
    uint32_t first, second;
    int code = fill(j, 12, err);
    if (code) return code;
    const uint8_t *at = j->window + j->at;
    size_t left = j->end - j->at;
    if (left < 6 || hex4(at + 2, &first)) return refuse(j, err, "\\u without four hexadecimal digits");
    j->at += 6;
    if (first >= 0xD800 && first < 0xDC00 && left >= 12 && at[6] == '\\' && at[7] == 'u' && !hex4(at + 8, &second) &&
        second >= 0xDC00 && second < 0xE000) {
        j->at += 6;
        first = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    }
    *length = lrb_text_encode(first, j->escaped);
    return LRB_OK;
}

static int escape(lrb_json *j, size_t *length, lrb_err *err) {
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    int code = fill(j, 2, err);
    if (code) return code;
    int c = j->end - j->at >= 2 ? j->window[j->at + 1] : 0;
    if (c == 'u') return unicode_escape(j, length, err);
    const char *known = c ? strchr(names, c) : NULL;
    if (!known) return refuse(j, err, "a backslash in front of nothing it can stand in front of");
    j->escaped[0] = (uint8_t)meant[known - names];
    *length = 1;
    j->at += 2;
    return LRB_OK;
}

/* The next stretch of text that stands in the window as it is; *from == j->at when what follows is none. */
static int run(lrb_json *j, size_t *from, lrb_err *err) {
    *from = j->at;
    for (;;) {
        j->at += lrb_text_plain(j->window + j->at, j->end - j->at);
        if (j->at == j->end || j->window[j->at] < 0x80) return LRB_OK;
        int length = lrb_text_utf8(j->window + j->at, j->end - j->at);
        if (length < 0 || (length == 0 && j->drained)) return refuse(j, err, "bytes that are no UTF-8");
        if (length == 0) return LRB_OK;
        j->at += (size_t)length;
    }
}

int lrb_json_piece(lrb_json *j, const char **at, size_t *length, bool *done, lrb_err *err) {
    *length = 0;
    *at = "";
    *done = !j->in_string;
    while (!*done) {
        size_t from;
        int code = fill(j, 4, err); /* a UTF-8 sequence is seen whole */
        if (!code) code = run(j, &from, err);
        if (code) return code;
        *at = (const char *)j->window + from;
        *length = j->at - from;
        bool closed = j->at < j->end && j->window[j->at] == '"';
        if (closed) {
            j->at++;
            j->in_string = false;
            *done = true;
        }
        if (*length || closed) return LRB_OK;
        if (j->at == j->end) return refuse(j, err, "the file ended within a string");
        if (j->window[j->at] < 0x20) return refuse(j, err, "a control character within a string");
        *at = (const char *)j->escaped;
        return escape(j, length, err);
    }
    return LRB_OK;
}

static int pass_string(lrb_json *j, lrb_err *err) {
    bool done = false;
    int code = LRB_OK;
    while (!code && !done) {
        const char *at;
        size_t length;
        code = lrb_json_piece(j, &at, &length, &done, err);
    }
    return code;
}

/* How many of the first `count` bytes to keep so that no character is cut at `max`. */
static size_t whole_characters(const char *at, size_t max) {
    while (max && ((uint8_t)at[max] & 0xC0) == 0x80) max--;
    return max;
}

int lrb_json_text_of(lrb_json *j, size_t max_bytes, lrb_json_text *text, lrb_err *err) {
    bool done = false;
    *text = (lrb_json_text){"", 0, true};
    if (max_bytes > TEXT_MAX_BYTES) max_bytes = TEXT_MAX_BYTES;
    lrb_buf_empty(&j->text);
    while (!done) {
        const char *at;
        size_t length;
        int code = lrb_json_piece(j, &at, &length, &done, err);
        if (code) return code;
        if (!text->whole) continue;
        size_t room = max_bytes - j->text.length;
        if (length > room) {
            text->whole = false;
            length = whole_characters(at, room);
        }
        if (done && !j->text.length && text->whole) { /* nearly always: it stands in the window from end to end */
            text->at = at;
            text->length = length;
            return LRB_OK;
        }
        if (length && (code = lrb_buf_append(&j->text, at, length, err))) return code;
    }
    text->at = j->text.data ? (const char *)j->text.data : "";
    text->length = j->text.length;
    return LRB_OK;
}

/* ---- keys, numbers and words ---- */

static int take_key(lrb_json *j, lrb_json_value *value, lrb_err *err) {
    bool done = false;
    j->in_string = true;
    lrb_buf_empty(&j->key);
    while (!done) {
        const char *at;
        size_t length;
        int code = lrb_json_piece(j, &at, &length, &done, err);
        if (code) return code;
        if (length > LRB_JSON_MAX_KEY_BYTES - j->key.length) return refuse(j, err, "a key of more than 1 MiB");
        if ((code = lrb_buf_append(&j->key, at, length, err))) return code;
    }
    int code = lrb_buf_append(&j->key, "", 1, err);
    value->key = (const char *)j->key.data;
    value->key_length = j->key.length - 1;
    return code;
}

static int take_digits(lrb_json *j, lrb_json_value *value, int *c, lrb_err *err) {
    bool any = false;
    for (;;) {
        int code = peek(j, c, err);
        if (code) return code;
        if (*c < '0' || *c > '9') return any ? LRB_OK : refuse(j, err, "a number without a digit where one must be");
        if (value->number_length == LRB_JSON_MAX_NUMBER) return refuse(j, err, "a number of more than 4300 characters");
        if (value->number_length < NUMBER_KEPT - 1) j->number[value->number_length] = (char)*c;
        value->number_length++;
        j->at++;
        any = true;
    }
}

/* Takes one character of a number: a sign, the point, the e. */
static int take_mark(lrb_json *j, lrb_json_value *value, int *c, lrb_err *err) {
    if (value->number_length < NUMBER_KEPT - 1) j->number[value->number_length] = (char)*c;
    value->number_length++;
    j->at++;
    return peek(j, c, err);
}

static int take_exponent(lrb_json *j, lrb_json_value *value, int *c, lrb_err *err) {
    int code = take_mark(j, value, c, err);
    if (!code && (*c == '+' || *c == '-')) code = take_mark(j, value, c, err);
    return code ? code : take_digits(j, value, c, err);
}

static int take_number(lrb_json *j, lrb_json_value *value, int c, lrb_err *err) {
    int code = LRB_OK;
    if (c == '-') code = take_mark(j, value, &c, err);
    if (code) return code;
    bool zero = c == '0';
    size_t before = value->number_length;
    if ((code = take_digits(j, value, &c, err))) return code;
    if (zero && value->number_length > before + 1) return refuse(j, err, "a number that begins with a needless zero");
    if (c == '.') {
        code = take_mark(j, value, &c, err);
        if (!code) code = take_digits(j, value, &c, err);
    }
    if (!code && (c == 'e' || c == 'E')) code = take_exponent(j, value, &c, err);
    j->number[value->number_length < NUMBER_KEPT ? value->number_length : NUMBER_KEPT - 1] = '\0';
    value->number = j->number;
    return code;
}

static int take_word(lrb_json *j, const char *word, lrb_err *err) {
    size_t length = strlen(word);
    int code = fill(j, length, err);
    if (code) return code;
    if (j->end - j->at < length || memcmp(j->window + j->at, word, length)) return refuse(j, err, "no JSON value");
    j->at += length;
    return LRB_OK;
}

/* ---- values ---- */

static int enter(lrb_json *j, bool object, lrb_err *err) {
    if (j->depth == LRB_JSON_MAX_DEPTH) return refuse(j, err, "more than 1000 levels of objects and arrays");
    uint64_t bit = UINT64_C(1) << (j->depth % 64), *word = &j->objects[j->depth / 64];
    *word = object ? *word | bit : *word & ~bit;
    j->depth++;
    j->at++;
    j->place = BEFORE_FIRST;
    return LRB_OK;
}

static inline bool in_object(const lrb_json *j) {
    return j->objects[(j->depth - 1) / 64] >> ((j->depth - 1) % 64) & 1;
}

static int take_value(lrb_json *j, int c, lrb_json_value *value, lrb_err *err) {
    value->offset = lrb_json_offset(j);
    j->place = BEHIND_VALUE;
    switch (c) {
    case '"':
        value->kind = LRB_JSON_STRING;
        value->offset++;
        j->at++;
        j->in_string = true;
        return LRB_OK;
    case '{': value->kind = LRB_JSON_OBJECT; return enter(j, true, err);
    case '[': value->kind = LRB_JSON_ARRAY; return enter(j, false, err);
    case 't': value->kind = LRB_JSON_TRUE; return take_word(j, "true", err);
    case 'f': value->kind = LRB_JSON_FALSE; return take_word(j, "false", err);
    case 'n': value->kind = LRB_JSON_NULL; return take_word(j, "null", err);
    case -1: return refuse(j, err, "the file ended where a value must be");
    default:
        if (c != '-' && (c < '0' || c > '9')) return refuse(j, err, "no JSON value");
        value->kind = LRB_JSON_NUMBER;
        return take_number(j, value, c, err);
    }
}

static int take_member(lrb_json *j, int c, lrb_json_value *value, lrb_err *err) {
    if (c != '"') return refuse(j, err, "no key where one must be");
    j->at++;
    int code = take_key(j, value, err);
    if (!code) code = pass_space(j, &c, err);
    if (code) return code;
    if (c != ':') return refuse(j, err, "no colon behind a key");
    j->at++;
    code = pass_space(j, &c, err);
    return code ? code : take_value(j, c, value, err);
}

static int at_top(lrb_json *j, int c, lrb_json_value *value, lrb_err *err) {
    if (j->place == BEFORE_FIRST) return take_value(j, c, value, err);
    if (c != -1) return refuse(j, err, "more bytes behind the value");
    value->kind = LRB_JSON_END;
    value->offset = lrb_json_offset(j);
    return LRB_OK;
}

int lrb_json_next(lrb_json *j, lrb_json_value *value, lrb_err *err) {
    int c, code = j->in_string ? pass_string(j, err) : LRB_OK;
    *value = (lrb_json_value){.key = "", .number = ""};
    if (!code) code = pass_space(j, &c, err);
    if (code) return code;
    if (!j->depth) return at_top(j, c, value, err);
    bool object = in_object(j);
    if (c == (object ? '}' : ']')) {
        value->kind = object ? LRB_JSON_OBJECT_END : LRB_JSON_ARRAY_END;
        value->offset = lrb_json_offset(j);
        j->at++;
        j->depth--;
        j->place = BEHIND_VALUE;
        return LRB_OK;
    }
    if (j->place == BEHIND_VALUE) {
        if (c != ',') return refuse(j, err, c < 0 ? "the file ended within an object or array" : "no comma between values");
        j->at++;
        if ((code = pass_space(j, &c, err))) return code;
    }
    return object ? take_member(j, c, value, err) : take_value(j, c, value, err);
}

int lrb_json_skip(lrb_json *j, const lrb_json_value *value, lrb_err *err) {
    if (value->kind != LRB_JSON_OBJECT && value->kind != LRB_JSON_ARRAY) return LRB_OK;
    unsigned outside = j->depth - 1;
    while (j->depth > outside) {
        lrb_json_value inner;
        int code = lrb_json_next(j, &inner, err);
        if (code) return code;
    }
    return LRB_OK;
}

bool lrb_json_integer(const lrb_json_value *value, int64_t *out) {
    if (value->kind != LRB_JSON_NUMBER || value->number_length > 20 || strpbrk(value->number, ".eE")) return false;
    bool negative = value->number[0] == '-';
    uint64_t size = 0, most = (uint64_t)INT64_MAX + negative;
    for (const char *c = value->number + negative; *c; c++) {
        unsigned digit = (unsigned)(*c - '0');
        if (size > (most - digit) / 10) return false;
        size = size * 10 + digit;
    }
    *out = (int64_t)(negative ? 0 - size : size);
    return true;
}

bool lrb_json_key_is(const lrb_json_value *value, const char *key) {
    return strlen(key) == value->key_length && !memcmp(key, value->key, value->key_length);
}
