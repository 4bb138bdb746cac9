#include "base/buf.h"

#include "base/mem.h"
#include "check.h"

TEST(appends_follow_each_other) {
    lrb_err err;
    lrb_buf buf;
    lrb_buf_init(&buf, 1 << 20);
    for (unsigned i = 0; i < 100000; i++) {
        uint8_t byte = (uint8_t)(i * 7);
        CHECK_OK(lrb_buf_append(&buf, &byte, 1, &err));
    }
    CHECK(buf.length == 100000 && buf.capacity <= buf.ceiling);
    for (unsigned i = 0; i < 100000; i++) CHECK(buf.data[i] == (uint8_t)(i * 7));
    lrb_buf_clear(&buf);
    CHECK(!buf.data && buf.length == 0 && buf.capacity == 0 && buf.ceiling == 1 << 20);
}

TEST(growth_doubles) {
    lrb_err err;
    lrb_buf buf;
    lrb_buf_init(&buf, SIZE_MAX);
    lrb_mem_fail_after(-1, false);
    for (int i = 0; i < 100000; i++) CHECK_OK(lrb_buf_append(&buf, "x", 1, &err));
    CHECK(lrb_mem_count() < 20);
    lrb_buf_clear(&buf);
}

TEST(the_ceiling_can_be_reached_and_not_passed) {
    lrb_err err;
    lrb_buf buf;
    lrb_buf_init(&buf, 100);
    CHECK_OK(lrb_buf_append(&buf, "0123456789", 10, &err));
    CHECK_OK(lrb_buf_reserve(&buf, 90, &err));
    CHECK(buf.capacity == 100);
    CHECK_FAILS(lrb_buf_reserve(&buf, 91, &err), LRB_E_LIMIT);
    CHECK_FAILS(lrb_buf_reserve(&buf, SIZE_MAX, &err), LRB_E_LIMIT);
    CHECK(strstr(err.message, "100"));
    CHECK(buf.length == 10 && !memcmp(buf.data, "0123456789", 10));
    lrb_buf_clear(&buf);
}

TEST(nothing_can_be_appended) {
    lrb_err err;
    lrb_buf buf;
    lrb_buf_init(&buf, 0);
    CHECK_OK(lrb_buf_append(&buf, NULL, 0, &err));
    CHECK_FAILS(lrb_buf_append(&buf, "x", 1, &err), LRB_E_LIMIT);
    CHECK(buf.length == 0);
    lrb_buf_clear(&buf);
}

TEST(emptying_keeps_the_memory) {
    lrb_err err;
    lrb_buf buf;
    lrb_buf_init(&buf, 1000);
    CHECK_OK(lrb_buf_append(&buf, "abc", 3, &err));
    const uint8_t *before = buf.data;
    lrb_buf_empty(&buf);
    CHECK_OK(lrb_buf_append(&buf, "d", 1, &err));
    CHECK(buf.data == before && buf.length == 1 && buf.data[0] == 'd');
    lrb_buf_clear(&buf);
}

TEST(a_failed_allocation_changes_nothing) {
    lrb_err err;
    lrb_buf buf;
    char big[500] = {0};
    lrb_buf_init(&buf, 1000);
    CHECK_OK(lrb_buf_append(&buf, "abc", 3, &err));
    lrb_mem_fail_after(0, true);
    int code = lrb_buf_append(&buf, big, sizeof big, &err);
    lrb_mem_fail_after(-1, false);
    CHECK_FAILS(code, LRB_E_NOMEM);
    CHECK(buf.length == 3 && !memcmp(buf.data, "abc", 3));
    CHECK_OK(lrb_buf_append(&buf, big, sizeof big, &err));
    lrb_buf_clear(&buf);
}

int main(void) {
    RUN(appends_follow_each_other);
    RUN(growth_doubles);
    RUN(the_ceiling_can_be_reached_and_not_passed);
    RUN(nothing_can_be_appended);
    RUN(emptying_keeps_the_memory);
    RUN(a_failed_allocation_changes_nothing);
    return check_report();
}
