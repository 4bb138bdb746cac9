/* JSON: the same answer whether strings are taken, taken in pieces or passed over, and a text that was seen once is
 * found again at its offset. */
#include "fuzz.h"
#include "lightrag/json.h"

enum { MAX_TEXT = 1 << 16 };
typedef enum manner { TAKE, PIECES, PASS } manner;

static void take_again(const lrb_bytes *bytes, uint64_t offset, const lrb_json_text *text) {
    lrb_json *j;
    lrb_json_text again;
    lrb_err err;
    MUST_OK(lrb_json_new(bytes, NULL, &j, &err));
    lrb_json_reopen(j, offset);
    MUST_OK(lrb_json_text_of(j, MAX_TEXT, &again, &err));
    MUST(again.whole == text->whole && again.length == text->length && !memcmp(again.at, text->at, text->length));
    lrb_json_free(j);
}

static int string(lrb_json *j, const lrb_bytes *bytes, uint64_t offset, manner how, lrb_err *err) {
    lrb_json_text text;
    int code = LRB_OK;
    if (how == TAKE) {
        code = lrb_json_text_of(j, MAX_TEXT, &text, err);
        if (!code) take_again(bytes, offset, &text);
    }
    for (bool done = how != PIECES; !code && !done;) {
        const char *at;
        size_t length;
        code = lrb_json_piece(j, &at, &length, &done, err);
    }
    return code;
}

/* The outcome of a whole scan; *values: how many there were. */
static int scan(const lrb_bytes *bytes, manner how, size_t *values, lrb_err *out) {
    lrb_json *j;
    lrb_err err;
    lrb_json_value value = {.kind = LRB_JSON_NULL};
    *values = 0;
    MUST_OK(lrb_json_new(bytes, NULL, &j, &err));
    int code = LRB_OK;
    for (; !code && value.kind != LRB_JSON_END; ++*values) {
        uint64_t before = lrb_json_offset(j);
        code = lrb_json_next(j, &value, out);
        MUST(code || lrb_json_offset(j) > before || value.kind == LRB_JSON_END);
        if (!code && value.kind == LRB_JSON_STRING) code = string(j, bytes, value.offset, how, out);
    }
    MUST(code || lrb_json_offset(j) == bytes->length);
    lrb_json_free(j);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *copy = fuzz_copy(data, size);
    lrb_bytes bytes = lrb_bytes_of_memory(copy, size);
    lrb_err err;
    size_t values, again;
    int code = scan(&bytes, TAKE, &values, &err);
    MUST(!code || (code == LRB_E_INVALID && err.message[0]));
    MUST(scan(&bytes, PIECES, &again, &err) == code && again == values);
    MUST(scan(&bytes, PASS, &again, &err) == code);
    lrb_free(copy);
    return 0;
}
