/* Tagged fields: what is put comes back, and bytes that do not fit are seen before they are used. */
#include "base/mem.h"
#include "check.h"
#include "repo/field.h"

static lrb_err err;

static int put_one_of_each(lrb_buf *out) {
    int code = lrb_field_put_text(out, LRB_F_SNAPSHOT_ID, "abc", &err);
    if (!code) code = lrb_field_put_u32(out, LRB_F_RETENTION_DAYS, 0xfedcba98u, &err);
    if (!code) code = lrb_field_put_u64(out, LRB_F_SIZE_BYTES, 0xfedcba9876543210u, &err);
    if (!code) code = lrb_field_put(out, LRB_F_REASON, NULL, 0, &err);
    return code;
}

static size_t count_fields(lrb_view *view) {
    size_t count = 0;
    lrb_field field;
    while (lrb_field_next(view, &field)) count++;
    return count;
}

TEST(what_is_put_comes_back) {
    lrb_buf buf;
    lrb_field field;
    uint32_t small = 0;
    uint64_t large = 0;
    lrb_buf_init(&buf, 1000);
    CHECK_OK(put_one_of_each(&buf));
    lrb_view view = lrb_view_of(buf.data, buf.length);
    CHECK(lrb_field_next(&view, &field) && field.tag == LRB_F_SNAPSHOT_ID);
    CHECK(field.value.left == 3 && memcmp(field.value.at, "abc", 3) == 0);
    CHECK(lrb_field_next(&view, &field) && field.tag == LRB_F_RETENTION_DAYS);
    CHECK(lrb_field_u32(&field, &small) && small == 0xfedcba98u);
    CHECK(lrb_field_next(&view, &field) && field.tag == LRB_F_SIZE_BYTES);
    CHECK(lrb_field_u64(&field, &large) && large == 0xfedcba9876543210u);
    CHECK(lrb_field_next(&view, &field) && field.tag == LRB_F_REASON && field.value.left == 0);
    CHECK(!lrb_field_next(&view, &field) && !view.bad);
    lrb_buf_clear(&buf);
}

/* Golden: the layout is on disk in every entry and body record. */
TEST(the_layout_is_tag_length_value) {
    static const uint8_t golden[] = {0x30, 0x00, 0x02, 0x00, 0x00, 0x00, 'h', 'i'};
    lrb_buf buf;
    lrb_buf_init(&buf, 100);
    CHECK_OK(lrb_field_put_text(&buf, LRB_F_NAME, "hi", &err));
    CHECK(buf.length == sizeof golden && memcmp(buf.data, golden, sizeof golden) == 0);
    lrb_buf_clear(&buf);
}

TEST(a_field_cut_anywhere_is_bad) {
    lrb_buf buf;
    lrb_buf_init(&buf, 100);
    CHECK_OK(lrb_field_put_text(&buf, LRB_F_NAME, "name", &err));
    for (size_t length = 1; length < buf.length; length++) {
        lrb_view view = lrb_view_of(buf.data, length);
        CHECK(count_fields(&view) == 0 && view.bad);
    }
    lrb_buf_clear(&buf);
}

TEST(a_length_beyond_the_end_is_bad) {
    const uint8_t bytes[] = {1, 0, 0xff, 0xff, 0xff, 0xff, 'x'};
    lrb_view view = lrb_view_of(bytes, sizeof bytes);
    CHECK(count_fields(&view) == 0 && view.bad);
    lrb_field field;
    CHECK(!lrb_field_next(&view, &field) && view.bad);
}

TEST(fixed_values_of_another_length_are_refused) {
    lrb_field field = {.tag = 1, .value = lrb_view_of("12345", 5)};
    uint32_t small = 7;
    uint64_t large = 7;
    uint8_t bytes[4] = {7, 7, 7, 7};
    CHECK(!lrb_field_u32(&field, &small) && small == 7);
    CHECK(!lrb_field_u64(&field, &large) && large == 7);
    CHECK(!lrb_field_fixed(&field, bytes, sizeof bytes) && bytes[0] == 7);
}

TEST(a_field_above_the_ceiling_leaves_the_buffer) {
    lrb_buf buf;
    lrb_buf_init(&buf, 20);
    CHECK_OK(lrb_field_put_text(&buf, LRB_F_NAME, "12345678", &err));
    CHECK_FAILS(lrb_field_put_text(&buf, LRB_F_NAME, "1", &err), LRB_E_LIMIT);
    CHECK(buf.length == 14);
    CHECK_OK(lrb_field_put(&buf, LRB_F_NAME, "", 0, &err));
    lrb_buf_clear(&buf);
}

TEST(memory_running_out_is_survived) {
    int code = LRB_E_NOMEM;
    for (int n = 0; code; n++) {
        lrb_buf buf;
        lrb_buf_init(&buf, 1000);
        lrb_mem_fail_after(n, false);
        code = put_one_of_each(&buf);
        lrb_mem_fail_after(-1, false);
        CHECK(!code || code == LRB_E_NOMEM);
        lrb_view view = lrb_view_of(buf.data, buf.length);
        CHECK((count_fields(&view) == 4) == !code && !view.bad);
        lrb_buf_clear(&buf);
    }
}

int main(void) {
    RUN(what_is_put_comes_back);
    RUN(the_layout_is_tag_length_value);
    RUN(a_field_cut_anywhere_is_bad);
    RUN(a_length_beyond_the_end_is_bad);
    RUN(fixed_values_of_another_length_are_refused);
    RUN(a_field_above_the_ceiling_leaves_the_buffer);
    RUN(memory_running_out_is_survived);
    return check_report();
}
