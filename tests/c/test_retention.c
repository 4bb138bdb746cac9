/* Retention: each rule by itself, rules together, holds, safety snapshots, clocks that lie, the calendar against libc,
 * and speed.
 *
 * Times are written in hours since 2026-01-01 00:00 UTC, a Thursday. A case is a list of items and the string of what
 * becomes of them, a letter each: the first letter of the reason, capitals for the calendar, '-' for dropped.
 */
#include <time.h>

#include "base/mem.h"
#include "check.h"
#include "repo/retention.h"

enum { MOST = 64 };
#define HOUR INT64_C(3600000000000)
#define BASE (INT64_C(1767225600) * 1000000000)
#define AT(hours) (BASE + (int64_t)((hours) * (double)HOUR))

static lrb_err err;

static const char letters[LRB_RETENTION_REASONS] = {
    [LRB_DROP_EXPIRED] = '-', [LRB_KEEP_HELD] = 'h', [LRB_KEEP_MINIMUM] = 'm', [LRB_KEEP_FOREVER] = 'f',
    [LRB_KEEP_DAYS] = 'd', [LRB_KEEP_LAST] = 'l', [LRB_KEEP_WITHIN] = 'w', [LRB_KEEP_HOURLY] = 'H',
    [LRB_KEEP_DAILY] = 'D', [LRB_KEEP_WEEKLY] = 'W', [LRB_KEEP_MONTHLY] = 'M', [LRB_KEEP_YEARLY] = 'Y',
    [LRB_KEEP_IMPLAUSIBLE] = 'i',
};

static bool becomes(const lrb_retention_item *items, size_t count, lrb_retention_policy policy, double now_hours,
                    const char *wanted) {
    lrb_retention_reason reasons[MOST];
    char got[MOST + 1] = {0};
    if (lrb_retention_scan(items, count, &policy, AT(now_hours), reasons, &err)) return false;
    for (size_t i = 0; i < count; i++) got[i] = letters[reasons[i]];
    if (!strcmp(got, wanted)) return true;
    printf("got %s, wanted %s\n", got, wanted);
    return false;
}

/* Items of 30 days at these hours. */
#define CASE(policy, now, wanted, ...) do { \
        const double hours_[] = {__VA_ARGS__}; \
        lrb_retention_item items_[MOST] = {{0}}; \
        const size_t count_ = sizeof hours_ / sizeof *hours_; \
        for (size_t i_ = 0; i_ < count_; i_++) items_[i_] = (lrb_retention_item){AT(hours_[i_]), 30, false, false}; \
        CHECK(becomes(items_, count_, policy, now, wanted)); } while (0)

#define POLICY(...) ((lrb_retention_policy){__VA_ARGS__})

/* ---- rules by themselves ---- */

TEST(no_rule_keeps_nothing) {
    CASE(POLICY(0), 10, "---", 1, 2, 3);
    CHECK(becomes(NULL, 0, POLICY(.keep_last = 3, .keep_daily = 3), 10, ""));
}

TEST(days_are_each_snapshots_own) {
    const lrb_retention_item items[] = {{AT(0), 30, false, false}, {AT(0), 0, false, false}, {AT(0), 31, false, false},
                                        {AT(0), UINT32_MAX, false, false}};
    CHECK(becomes(items, 4, POLICY(.use_days = true), 30 * 24 - 0.001, "dfdd"));
    CHECK(becomes(items, 4, POLICY(.use_days = true), 30 * 24, "-fdd"));
    CHECK(becomes(items, 4, POLICY(.use_days = true), 31 * 24, "-f-d"));
    CHECK(becomes(items, 4, POLICY(0), 1, "----"));
}

TEST(last_counts_log_order) {
    CASE(POLICY(.keep_last = 2), 100, "--ll", 1, 2, 3, 4);
    CASE(POLICY(.keep_last = 2), 100, "--ll", 1, 4, 3, 2);
    CASE(POLICY(.keep_last = 9), 100, "lll", 1, 2, 3);
}

TEST(within_is_an_age) {
    CASE(POLICY(.keep_within_ns = 5 * HOUR), 10, "--ww", 4, 5, 5.001, 9);
    CASE(POLICY(.keep_within_ns = INT64_MAX), 10, "ww", 4, 5);
    CASE(POLICY(.keep_within_ns = -1), 10, "--", 4, 5);
}

TEST(hourly_keeps_the_last_of_each_hour) {
    CASE(POLICY(.keep_hourly = 2), 100, "---H-H", 1, 2.1, 3.1, 3.9, 5.2, 5.3);
}

TEST(daily_keeps_the_last_of_each_day) {
    CASE(POLICY(.keep_daily = 3), 200, "-D-DD", 1, 23.9, 24, 47.99, 100);
}

/* 2026-01-04 is a Sunday: hour 95.9 is its last, hour 96 the first of Monday. */
TEST(weekly_turns_on_monday) {
    CASE(POLICY(.keep_weekly = 9), 300, "-W-W", 10, 95.9, 96, 200);
}

TEST(monthly_and_yearly_keep_the_last_of_each) {
    CASE(POLICY(.keep_monthly = 9), 9000, "-M-MM", 0, 743.9, 744, 1415.9, 1416);
    CASE(POLICY(.keep_yearly = 9), 18000, "Y-YY", -0.1, 0, 8759.9, 8760);
}

TEST(the_minimum_stands_above_all) {
    CASE(POLICY(.minimum = 2, .use_days = true), 99999, "--mm", 1, 2, 3, 4);
    CASE(POLICY(.minimum = 2, .keep_last = 3), 99999, "-lmm", 1, 2, 3, 4);
}

/* Small steps back in time, as when clocks are set or runs overlap: a bucket is counted once, and the last in log order
 * is it. */
TEST(a_bucket_takes_one_place_whatever_the_order) {
    CASE(POLICY(.keep_daily = 1), 100, "--D-", 25, 23, 26, 22);
    CASE(POLICY(.keep_daily = 2), 100, "--DD", 23, 25, 22, 24.5);
}

/* ---- rules together ---- */

TEST(rules_add_up_and_the_first_is_named) {
    CASE(POLICY(.keep_last = 1, .keep_daily = 2, .keep_yearly = 5), 100, "-Dl", 1, 2, 30);
    CASE(POLICY(.use_days = true, .keep_last = 2, .keep_daily = 9, .minimum = 1), 760, "-Ddm", 1, 2, 50, 60);
    CASE(POLICY(.keep_daily = 1, .keep_weekly = 1, .keep_monthly = 2), 1000, "M--D", 10, 760, 780, 781);
}

TEST(held_snapshots_use_up_no_place) {
    const lrb_retention_item items[] = {{AT(1), 1, false, false}, {AT(2), 1, false, false}, {AT(26), 1, false, false},
                                        {AT(27), 1, true, false}, {AT(28), 1, true, false}};
    CHECK(becomes(items, 5, POLICY(.keep_last = 1), 999, "--lhh"));
    CHECK(becomes(items, 5, POLICY(.keep_daily = 2), 999, "-DDhh"));
    CHECK(becomes(items, 5, POLICY(.minimum = 2), 999, "-mmhh"));
    CHECK(becomes(items, 5, POLICY(0), 999, "---hh"));
}

TEST(safety_snapshots_follow_their_own_days_alone) {
    const lrb_retention_item items[] = {{AT(1), 7, false, false}, {AT(2), 7, false, true}, {AT(3), 0, false, true},
                                        {AT(4), 7, true, true}};
    CHECK(becomes(items, 4, POLICY(.keep_last = 2, .keep_daily = 2, .minimum = 1), 10, "mdfh"));
    CHECK(becomes(items, 4, POLICY(.keep_last = 2, .keep_daily = 2, .keep_within_ns = INT64_MAX), 170, "l-fh"));
    CHECK(becomes(items, 4, POLICY(0), 10, "-dfh"));
}

/* ---- clocks that lie ---- */

/* The odd one displaces nothing, in whichever direction its clock was wrong; rules over log order keep it beside the
 * others. */
TEST(an_implausible_time_takes_no_place) {
    CASE(POLICY(.keep_last = 2), 300, "-lll", 1, 2, 99999, 4);           /* far ahead of now */
    CASE(POLICY(.keep_last = 2), 300, "-lll", 1, 2, -490000, 4);         /* 1970 */
    CASE(POLICY(.keep_daily = 2), 300, "D--D", 1, 290, 30, 31);          /* ahead of the next, though not of now */
    CASE(POLICY(.keep_daily = 3), 300, "DD-D", 101, 130, 2, 150);        /* back */
}

TEST(one_that_jumped_and_came_back_is_found) {
    CASE(POLICY(.keep_daily = 9), 2000, "DD-DDD", 1, 25, 900, 50, 75, 100);
    CASE(POLICY(.keep_daily = 9), 2000, "DDD--DDD", 1, 25, 50, 900, 901, 75, 100, 125);
    CASE(POLICY(.keep_daily = 9), 2000, "DD--DD", 1001, 1025, 3, 4, 1050, 1075);
}

/* A day's disorder is no lie. */
TEST(a_small_step_back_is_believed) {
    CASE(POLICY(.keep_last = 4), 100, "llll", 50, 27, 28, 51);
    CASE(POLICY(.keep_hourly = 4), 100, "HHHH", 50, 27, 28, 51);
}

TEST(without_a_believed_one_after_it_nothing_proves_it_old) {
    CASE(POLICY(.use_days = true), 99, "i", -490000);
    CASE(POLICY(.use_days = true), 99, "ii", 99999, 99998);
    CASE(POLICY(.use_days = true), 99, "di", 50, 99999);
    CASE(POLICY(.keep_last = 1), 99, "-ll", 49, 50, -490000);
    CASE(POLICY(.keep_daily = 1), 99, "-Di", 49, 50, -490000);
}

/* It is dropped by the age of the next believed one, whatever it claims itself... */
TEST(an_impossible_time_ages_with_its_successor) {
    CASE(POLICY(.use_days = true), 720 + 49, "dd", -490000, 50);
    CASE(POLICY(.use_days = true), 720 + 50, "--", -490000, 50);
    CASE(POLICY(.use_days = true), 720 + 50, "dd", 99999, 51);
    CASE(POLICY(.use_days = true), 720 + 51, "--", 99999, 51);
    CASE(POLICY(.keep_within_ns = 10 * HOUR), 60, "ww", -490000, 51);
    CASE(POLICY(.minimum = 2), 9999, "mmm", 1, -490000, 3);
}

/* ... unless that is possible and later: then nobody can blame a wrong clock for an early loss. */
TEST(a_possible_time_can_only_delay_its_own_drop) {
    CASE(POLICY(.use_days = true), 800, "ddd", 700, 100, 101);
    CASE(POLICY(.use_days = true), 1000, "d--", 700, 100, 101);
    CASE(POLICY(.use_days = true), 1420, "---", 700, 100, 101);
}

/* Of two the later is believed: a clock that lost its battery falls back. */
TEST(of_equally_long_runs_the_later_is_believed) {
    CASE(POLICY(.use_days = true), 50000, "di", 49990, 10);
    CASE(POLICY(.keep_daily = 9), 2000, "DDii", 1001, 1025, 3, 4);
}

/* Two in a row after a clock had lost its battery may outvote one; they must not take it with them. */
TEST(a_wrong_majority_drops_no_young_snapshot) {
    CASE(POLICY(.use_days = true), 50000, "d--", 49990, 10, 11);
}

TEST(extreme_times_overflow_nothing) {
    static const int64_t extremes[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX};
    enum { COUNT = sizeof extremes / sizeof *extremes };
    const lrb_retention_policy policy = {.use_days = true, .keep_last = 1, .keep_hourly = UINT32_MAX,
                                         .keep_daily = UINT32_MAX, .keep_weekly = 1, .keep_monthly = 1,
                                         .keep_yearly = 1, .keep_within_ns = INT64_MAX, .minimum = UINT32_MAX};
    lrb_retention_item items[COUNT];
    lrb_retention_reason reasons[COUNT];
    for (size_t i = 0; i < COUNT; i++) items[i] = (lrb_retention_item){extremes[i], UINT32_MAX, false, i % 2 == 0};
    for (size_t i = 0; i < COUNT; i++) CHECK_OK(lrb_retention_scan(items, COUNT, &policy, extremes[i], reasons, &err));
}

/* ---- the calendar against libc ---- */

static bool same_bucket(time_t a, time_t b, char what) {
    struct tm x, y;
    gmtime_r(&a, &x);
    gmtime_r(&b, &y);
    if (what == 'Y') return x.tm_year == y.tm_year;
    if (what == 'M') return x.tm_year == y.tm_year && x.tm_mon == y.tm_mon;
    return y.tm_wday != 1; /* b is midnight, a second after a: a new week only on Monday */
}

/* The last second of one day and the first of the next. */
static bool agrees_at(time_t midnight, lrb_retention_policy policy, char what) {
    const int64_t second = 1000000000, now_ns = (int64_t)midnight * second;
    const lrb_retention_item items[] = {{now_ns - second, 1, false, false}, {now_ns, 1, false, false}};
    lrb_retention_reason reasons[2];
    if (lrb_retention_scan(items, 2, &policy, now_ns, reasons, &err)) return false;
    bool one_bucket = reasons[0] == LRB_DROP_EXPIRED;
    return reasons[1] != LRB_DROP_EXPIRED && one_bucket == same_bucket(midnight - 1, midnight, what);
}

/* Every midnight from 2020 past 2100 (no leap year) to 2140. */
TEST(the_calendar_is_that_of_libc) {
    for (time_t day = 18264; day < 62100; day++) {
        CHECK(agrees_at(day * 86400, POLICY(.keep_weekly = 2), 'W'));
        CHECK(agrees_at(day * 86400, POLICY(.keep_monthly = 2), 'M'));
        CHECK(agrees_at(day * 86400, POLICY(.keep_yearly = 2), 'Y'));
    }
}

/* ---- texts, failures, speed ---- */

TEST(every_reason_has_its_text) {
    for (int i = 0; i < LRB_RETENTION_REASONS; i++)
        for (int j = 0; j < i; j++)
            CHECK(strcmp(lrb_retention_reason_text((lrb_retention_reason)i),
                         lrb_retention_reason_text((lrb_retention_reason)j)));
    CHECK(!strcmp(lrb_retention_reason_text(LRB_DROP_EXPIRED), "expired"));
    CHECK(!strcmp(lrb_retention_reason_text(LRB_KEEP_DAILY), "daily"));
    CHECK(!strcmp(lrb_retention_reason_text(LRB_RETENTION_REASONS), "?"));
}

TEST(every_failing_allocation_is_survived) {
    const lrb_retention_policy policy = {.keep_daily = 3};
    const lrb_retention_item items[] = {{AT(1), 1, false, false}, {AT(2), 1, false, false}};
    lrb_retention_reason reasons[2];
    int code = LRB_E_NOMEM;
    for (int64_t n = 0; code; n++) {
        lrb_mem_fail_after(n, false);
        code = lrb_retention_scan(items, 2, &policy, AT(9), reasons, &err);
        lrb_mem_fail_after(-1, false);
        CHECK(!code || code == LRB_E_NOMEM);
    }
    CHECK(reasons[0] == LRB_DROP_EXPIRED && reasons[1] == LRB_KEEP_DAILY);
}

/* In CPU time, so that other work on the machine does not count. */
static double scan_ms(const lrb_retention_item *items, size_t count, lrb_retention_reason *reasons) {
    const lrb_retention_policy policy = {.use_days = true, .keep_last = 10, .keep_hourly = 100000, .keep_daily = 100000,
                                         .keep_weekly = 100000, .keep_monthly = 100000, .keep_yearly = 100000,
                                         .minimum = 3};
    struct timespec start, end;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    if (lrb_retention_scan(items, count, &policy, AT(0), reasons, &err)) return 1e9;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    return (double)(end.tv_sec - start.tv_sec) * 1e3 + (double)(end.tv_nsec - start.tv_nsec) / 1e6;
}

/* A hundred thousand: in order, as one would have them, and in random order, the worst there is. */
TEST(a_hundred_thousand_are_judged_within_fifty_ms) {
    enum { COUNT = 100000 };
    lrb_retention_item *items = lrb_alloc_zero(COUNT, sizeof *items);
    lrb_retention_reason *reasons = lrb_alloc_zero(COUNT, sizeof *reasons);
    uint32_t random = 1;
    CHECK(items && reasons);
    for (int i = 0; i < COUNT; i++) items[i] = (lrb_retention_item){AT(0) - (COUNT - i) * HOUR / 2, 30, false, false};
    double ordered_ms = scan_ms(items, COUNT, reasons);
    for (int i = 0; i < COUNT; i++) {
        random = random * 1664525 + 1013904223;
        items[i].created_ns = AT(0) - (int64_t)(random >> 8) % (COUNT / 2) * HOUR;
    }
    double random_ms = scan_ms(items, COUNT, reasons);
    printf("%d snapshots judged in %.1f ms in order, %.1f ms in random order\n", COUNT, ordered_ms, random_ms);
    CHECK(ordered_ms < 50 && random_ms < 200);
    lrb_free(items);
    lrb_free(reasons);
}

int main(void) {
    RUN(no_rule_keeps_nothing);
    RUN(days_are_each_snapshots_own);
    RUN(last_counts_log_order);
    RUN(within_is_an_age);
    RUN(hourly_keeps_the_last_of_each_hour);
    RUN(daily_keeps_the_last_of_each_day);
    RUN(weekly_turns_on_monday);
    RUN(monthly_and_yearly_keep_the_last_of_each);
    RUN(the_minimum_stands_above_all);
    RUN(a_bucket_takes_one_place_whatever_the_order);
    RUN(rules_add_up_and_the_first_is_named);
    RUN(held_snapshots_use_up_no_place);
    RUN(safety_snapshots_follow_their_own_days_alone);
    RUN(an_implausible_time_takes_no_place);
    RUN(one_that_jumped_and_came_back_is_found);
    RUN(a_small_step_back_is_believed);
    RUN(without_a_believed_one_after_it_nothing_proves_it_old);
    RUN(an_impossible_time_ages_with_its_successor);
    RUN(a_possible_time_can_only_delay_its_own_drop);
    RUN(of_equally_long_runs_the_later_is_believed);
    RUN(a_wrong_majority_drops_no_young_snapshot);
    RUN(extreme_times_overflow_nothing);
    RUN(the_calendar_is_that_of_libc);
    RUN(every_reason_has_its_text);
    RUN(every_failing_allocation_is_survived);
    RUN(a_hundred_thousand_are_judged_within_fifty_ms);
    return check_report();
}
