/* The whole of the C test framework: a failing CHECK prints where and what, and the program goes on with the next test.
 *
 *   TEST(name) { CHECK(...); }        int main(void) { RUN(name); return check_report(); }
 *
 * CHECK leaves the test function on failure. Counts are printed so that a program that ran nothing is seen.
 */
#ifndef LRB_TESTS_CHECK_H
#define LRB_TESTS_CHECK_H

#include <stdio.h>
#include <string.h>

#include "base/err.h"

static int check_failures, check_failed_tests, check_tests;

#define TEST(name) static void name(void)
#define RUN(name) do { int before_ = check_failures; name(); check_tests++; \
        if (check_failures != before_) check_failed_tests++, printf("FAILED %s\n", #name); } while (0)

#define CHECK(condition) do { if (!(condition)) { check_failures++; \
        printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); return; } } while (0)
/* A call that must succeed; prints its error. Needs an `lrb_err err` in scope. */
#define CHECK_OK(call) do { if ((call) != LRB_OK) { check_failures++; \
        printf("%s:%d: %s: %s: %s\n", __FILE__, __LINE__, #call, err.target, err.message); return; } } while (0)
/* A call that must fail with this code. */
#define CHECK_FAILS(call, wanted) do { int got_ = (call); if (got_ != (wanted)) { check_failures++; \
        printf("%s:%d: %s: got %s, wanted %s\n", __FILE__, __LINE__, #call, lrb_code_symbol(got_), lrb_code_symbol(wanted)); return; } } while (0)

__attribute__((unused)) static int check_report(void) {
    printf("%d passed, %d failed\n", check_tests - check_failed_tests, check_failed_tests);
    fflush(stdout); /* a sanitizer may end the program before exit() does */
    return check_failures || !check_tests;
}

#endif
