#include "base/wire.h"

#include "base/mem.h"
#include "check.h"

static const uint8_t stored[15] = {0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0xFF,
                                   0xFE, 0xFD, 0xFC, 0xFB, 0xFA, 0xF9, 0xF8};

static int write_all(lrb_buf *out, lrb_err *err) {
    int code = lrb_wire_u8(out, 0x01, err);
    if (!code) code = lrb_wire_u16(out, 0x0203, err);
    if (!code) code = lrb_wire_u32(out, 0x04050607, err);
    if (!code) code = lrb_wire_u64(out, 0xF8F9FAFBFCFDFEFF, err);
    return code;
}

TEST(numbers_are_little_endian) {
    lrb_err err;
    lrb_buf out;
    lrb_buf_init(&out, 100);
    CHECK_OK(write_all(&out, &err));
    CHECK(out.length == sizeof stored && !memcmp(out.data, stored, sizeof stored));
    lrb_buf_clear(&out);
}

TEST(numbers_come_back) {
    lrb_view view = lrb_view_of(stored, sizeof stored);
    CHECK(lrb_view_u8(&view) == 0x01);
    CHECK(lrb_view_u16(&view) == 0x0203);
    CHECK(lrb_view_u32(&view) == 0x04050607);
    CHECK(lrb_view_u64(&view) == 0xF8F9FAFBFCFDFEFF);
    CHECK(!view.bad && view.left == 0);
}

/* Heap copies of the exact length: an over-read is seen by the address sanitizer. */
TEST(every_truncation_is_bad) {
    for (size_t length = 0; length < sizeof stored; length++) {
        uint8_t *copy = lrb_alloc(length);
        CHECK(copy);
        memcpy(copy, stored, length);
        lrb_view view = lrb_view_of(copy, length);
        lrb_view_u8(&view);
        lrb_view_u16(&view);
        lrb_view_u32(&view);
        lrb_view_u64(&view);
        CHECK(view.bad && view.left == 0);
        lrb_free(copy);
    }
}

TEST(a_bad_view_stays_bad) {
    lrb_view view = lrb_view_of(stored, 3);
    CHECK(lrb_view_u32(&view) == 0 && view.bad);
    CHECK(lrb_view_u8(&view) == 0 && lrb_view_u16(&view) == 0 && lrb_view_u64(&view) == 0);
    CHECK(!lrb_view_bytes(&view, 0) && !lrb_view_bytes(&view, 1));
}

TEST(bytes_are_lent_not_copied) {
    lrb_view view = lrb_view_of(stored, sizeof stored);
    CHECK(lrb_view_bytes(&view, 4) == stored && lrb_view_bytes(&view, 0) == stored + 4);
    CHECK(lrb_view_bytes(&view, 11) == stored + 4 && !view.bad);
    CHECK(!lrb_view_bytes(&view, SIZE_MAX) && view.bad);
}

TEST(an_empty_view_of_nothing) {
    lrb_view view = lrb_view_of(NULL, 0);
    lrb_view_bytes(&view, 0);
    CHECK(!view.bad);
    CHECK(lrb_view_u8(&view) == 0 && view.bad);
}

TEST(the_writer_survives_failed_allocations_and_its_ceiling) {
    lrb_err err;
    lrb_buf out;
    lrb_buf_init(&out, sizeof stored - 1);
    lrb_mem_fail_after(0, true);
    int code = write_all(&out, &err);
    lrb_mem_fail_after(-1, false);
    CHECK_FAILS(code, LRB_E_NOMEM);
    CHECK_FAILS(write_all(&out, &err), LRB_E_LIMIT);
    CHECK(out.length == 7);
    lrb_buf_clear(&out);
}

int main(void) {
    RUN(numbers_are_little_endian);
    RUN(numbers_come_back);
    RUN(every_truncation_is_bad);
    RUN(a_bad_view_stays_bad);
    RUN(bytes_are_lent_not_copied);
    RUN(an_empty_view_of_nothing);
    RUN(the_writer_survives_failed_allocations_and_its_ceiling);
    return check_report();
}
