/* Bytes that can be read anywhere, here those of memory. */
#include "check.h"
#include "lightrag/bytes.h"

static lrb_err err;

TEST(memory_is_read_at_any_place) {
    char into[8] = "";
    size_t got;
    lrb_bytes bytes = lrb_bytes_of_memory("0123456789", 10);
    CHECK(bytes.length == 10);
    CHECK_OK(bytes.read(&bytes, NULL, 4, into, 4, &got, &err));
    CHECK(got == 4 && !memcmp(into, "4567", 4));
    CHECK_OK(bytes.read(&bytes, NULL, 8, into, 4, &got, &err));
    CHECK(got == 2 && !memcmp(into, "89", 2));
    CHECK_OK(bytes.read(&bytes, NULL, 11, into, 4, &got, &err));
    CHECK(got == 0);
}

TEST(an_early_end_is_an_error_where_all_is_needed) {
    char into[8];
    lrb_bytes bytes = lrb_bytes_of_memory("0123", 4);
    CHECK_OK(lrb_bytes_read_exact(&bytes, NULL, 1, into, 3, &err));
    CHECK_FAILS(lrb_bytes_read_exact(&bytes, NULL, 2, into, 3, &err), LRB_E_DAMAGED);
}

int main(void) {
    RUN(memory_is_read_at_any_place);
    RUN(an_early_end_is_an_error_where_all_is_needed);
    return check_report();
}
