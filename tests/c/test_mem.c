#include "base/mem.h"

#include "check.h"

TEST(nothing_is_a_pointer_of_its_own) {
    void *a = lrb_alloc(0), *b = lrb_alloc_zero(0, 8), *c = lrb_resize_array(NULL, 8, 0);
    CHECK(a && b && c && a != b && b != c);
    lrb_free(a);
    lrb_free(b);
    lrb_free(c);
    lrb_free(NULL);
}

TEST(zeroed_memory_is_zero) {
    unsigned char *bytes = lrb_alloc_zero(100, 10);
    CHECK(bytes);
    for (int i = 0; i < 1000; i++) CHECK(bytes[i] == 0);
    lrb_free(bytes);
}

TEST(products_that_overflow_are_refused) {
    int *kept = lrb_resize_array(NULL, 4, sizeof *kept);
    CHECK(kept);
    kept[3] = 42;
    CHECK(!lrb_alloc_zero(SIZE_MAX / 2 + 1, 2));
    CHECK(!lrb_resize_array(kept, SIZE_MAX / 2 + 1, 2));
    CHECK(kept[3] == 42);
    lrb_free(kept);
}

TEST(an_array_keeps_its_content) {
    int *array = NULL;
    for (size_t count = 1; count <= 1000; count++) {
        array = lrb_resize_array(array, count, sizeof *array);
        CHECK(array);
        array[count - 1] = (int)count;
    }
    for (int i = 0; i < 1000; i++) CHECK(array[i] == i + 1);
    lrb_free(array);
}

TEST(pages_keep_their_content_and_grow_with_zeros) {
    size_t size = 100;
    unsigned char *pages = lrb_resize_pages(NULL, 0, size);
    CHECK(pages && pages[99] == 0);
    pages[99] = 42;
    while (size < 40 << 20) {
        unsigned char *grown = lrb_resize_pages(pages, size, size * 8);
        CHECK(grown && grown[99] == 42 && grown[size * 8 - 1] == 0);
        pages = grown;
        size *= 8;
    }
    CHECK(!lrb_resize_pages(pages, size, SIZE_MAX / 2));
    lrb_mem_fail_after(0, false);
    void *refused = lrb_resize_pages(pages, size, 2 * size);
    lrb_mem_fail_after(-1, false);
    CHECK(!refused && pages[99] == 42);
    lrb_free_pages(pages, size);
    lrb_free_pages(NULL, 0);
}

TEST(a_string_is_copied) {
    char *copy = lrb_copy_string("text");
    CHECK(copy && !strcmp(copy, "text"));
    lrb_free(copy);
}

TEST(one_allocation_fails) {
    lrb_mem_fail_after(2, false);
    void *a = lrb_alloc(1), *b = lrb_alloc_zero(1, 1), *c = lrb_alloc(1), *d = lrb_alloc(1);
    lrb_mem_fail_after(-1, false);
    CHECK(a && b && !c && d);
    lrb_free(a);
    lrb_free(b);
    lrb_free(d);
}

TEST(every_later_allocation_fails) {
    lrb_mem_fail_after(1, true);
    void *a = lrb_alloc(1);
    bool refused = !lrb_resize_array(a, 2, 1) && !lrb_alloc_zero(1, 1) && !lrb_copy_string("x") && !lrb_alloc(1);
    CHECK(lrb_mem_count() == 5);
    lrb_mem_fail_after(-1, false);
    CHECK(a && refused);
    lrb_free(a);
    CHECK(lrb_mem_count() == 0);
}

TEST(refusals_are_counted) {
    int64_t before = lrb_mem_refusals();
    lrb_free(lrb_alloc(1));
    CHECK(lrb_mem_refusals() == before);
    lrb_mem_fail_after(0, true);
    bool refused = !lrb_alloc(1) && !lrb_alloc_zero(1, 1) && !lrb_resize_array(NULL, 1, 1);
    lrb_mem_fail_after(-1, false);
    CHECK(refused && !lrb_alloc_zero(SIZE_MAX, 2) && lrb_mem_refusals() == before + 4);
}

TEST(checked_arithmetic) {
    size_t out = 7;
    CHECK(lrb_add_fits(2, 3, &out) && out == 5);
    CHECK(lrb_mul_fits(2, 3, &out) && out == 6);
    CHECK(!lrb_add_fits(SIZE_MAX, 1, &out) && !lrb_mul_fits(SIZE_MAX, 2, &out) && out == 6);
}

int main(void) {
    RUN(nothing_is_a_pointer_of_its_own);
    RUN(zeroed_memory_is_zero);
    RUN(products_that_overflow_are_refused);
    RUN(an_array_keeps_its_content);
    RUN(pages_keep_their_content_and_grow_with_zeros);
    RUN(a_string_is_copied);
    RUN(one_allocation_fails);
    RUN(every_later_allocation_fails);
    RUN(refusals_are_counted);
    RUN(checked_arithmetic);
    return check_report();
}
