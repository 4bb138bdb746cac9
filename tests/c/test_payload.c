/* Shapes of payloads: what is missing, repeated, unknown or cut off is named; optional fields are passed over. */
#include "check.h"
#include "repo/payload.h"

static lrb_err err;
static const lrb_shape shape = {
    .once = LRB_FIELD_BIT(1) | LRB_FIELD_BIT(2), .many = LRB_FIELD_BIT(63),
    .required = LRB_FIELD_BIT(1) | LRB_FIELD_BIT(63),
};

/* Checks a payload of empty fields with these tags, ended by 0. */
static int check_tags(const uint16_t *tags) {
    lrb_buf payload;
    int code = LRB_OK;
    lrb_buf_init(&payload, 1000);
    for (; !code && *tags; tags++) code = lrb_field_put(&payload, *tags, NULL, 0, &err);
    if (!code) code = lrb_payload_check(payload.data, payload.length, &shape, "log/x", &err);
    lrb_buf_clear(&payload);
    return code;
}

TEST(a_shape_says_what_fits) {
    CHECK_OK(check_tags((const uint16_t[]){1, 63, 0}));
    CHECK_OK(check_tags((const uint16_t[]){63, 2, 63, 1, 63, 0}));
    CHECK_OK(check_tags((const uint16_t[]){1, 63, 0x8000, 0x8001, 0x8001, 0}));
}

TEST(what_does_not_fit_is_named) {
    CHECK_FAILS(check_tags((const uint16_t[]){0}), LRB_E_DAMAGED);
    CHECK_FAILS(check_tags((const uint16_t[]){1, 0}), LRB_E_DAMAGED);
    CHECK(strstr(err.message, "63 is missing") && !strcmp(err.target, "log/x"));
    CHECK_FAILS(check_tags((const uint16_t[]){1, 63, 1, 0}), LRB_E_DAMAGED);
    CHECK(strstr(err.message, "1 appears twice"));
    CHECK_FAILS(check_tags((const uint16_t[]){1, 63, 3, 0}), LRB_E_UNSUPPORTED);
    CHECK(strstr(err.message, "field 3 "));
    CHECK_FAILS(check_tags((const uint16_t[]){1, 63, 64, 0}), LRB_E_UNSUPPORTED);
    CHECK_FAILS(check_tags((const uint16_t[]){1, 63, 0x7fff, 0}), LRB_E_UNSUPPORTED);
}

TEST(a_cut_field_is_damage) {
    CHECK_FAILS(lrb_payload_check("\1\0\5\0\0\0abcd", 10, &shape, "log/x", &err), LRB_E_DAMAGED);
    CHECK_FAILS(lrb_payload_check("\1\0\xff\xff\xff\xff", 6, &shape, "log/x", &err), LRB_E_DAMAGED);
}

static int take(const char *text, size_t count, char *out, size_t room) {
    lrb_field field = {1, lrb_view_of(text, count)};
    return lrb_payload_text(&field, out, room, "log/x", &err);
}

TEST(texts_are_printable_and_fit) {
    char out[5];
    CHECK_OK(take("abcd", 4, out, sizeof out));
    CHECK(!strcmp(out, "abcd"));
    CHECK_OK(take("\xc3\xa9", 2, out, sizeof out));
    CHECK_FAILS(take("abcde", 5, out, sizeof out), LRB_E_DAMAGED);
    CHECK_FAILS(take("", 0, out, sizeof out), LRB_E_DAMAGED);
    CHECK_FAILS(take("a\0b", 3, out, sizeof out), LRB_E_DAMAGED);
    CHECK_FAILS(take("a\nb", 3, out, sizeof out), LRB_E_DAMAGED);
    CHECK_FAILS(take("a\x7f", 2, out, sizeof out), LRB_E_DAMAGED);
}

int main(void) {
    RUN(a_shape_says_what_fits);
    RUN(what_does_not_fit_is_named);
    RUN(a_cut_field_is_damage);
    RUN(texts_are_printable_and_fit);
    return check_report();
}
