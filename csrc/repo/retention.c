#include "repo/retention.h"

#include "base/mem.h"

#include <string.h>

#define SECOND_NS INT64_C(1000000000)
#define HOUR_NS (3600 * SECOND_NS)
#define DAY_NS (24 * HOUR_NS)
#define EARLIEST_NS (18262 * DAY_NS) /* 2020-01-01 */

typedef struct dated {
    int64_t time_ns;
    size_t index;
} dated;

typedef struct scan {
    const lrb_retention_item *items;
    size_t count;
    const lrb_retention_policy *policy;
    int64_t now_ns, latest_ns;       /* latest_ns: the last possible time */
    lrb_retention_reason *reasons;
    bool *believed;
    dated *dated;                    /* working memory, one per item */
} scan;

/* ---- which times are believed ---- */

static bool possible(const scan *s, int64_t time_ns) {
    return time_ns >= EARLIEST_NS && time_ns <= s->latest_ns;
}

/* How many of the runs in `tails`, whose starts go back in time, start at or after `time_ns`. Mostly all of them: times
 * mostly rise, and the runs are built from the newest snapshot to the oldest. */
static size_t runs_after(const dated *tails, size_t count, int64_t time_ns) {
    size_t low = 0, high = count;
    if (count && tails[count - 1].time_ns >= time_ns) return count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (tails[middle].time_ns >= time_ns) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* The longest run of possible times that never goes back (patience sorting): ranks[i] receives the length of the
 * longest run that starts with item i, 0 for an impossible time. Returns the greatest. */
static size_t rank_times(const scan *s, size_t *ranks) {
    size_t longest = 0;
    for (size_t i = s->count; i-- > 0;) {
        int64_t time_ns = s->items[i].created_ns;
        ranks[i] = 0;
        if (!possible(s, time_ns)) continue;
        size_t rank = runs_after(s->dated, longest, time_ns);
        s->dated[rank].time_ns = time_ns; /* the latest start of any run of rank + 1 items met so far */
        ranks[i] = rank + 1;
        if (rank == longest) longest++;
    }
    return longest;
}

/* Marks the run. In log order, items of one rank go back in time. So the first one of a rank after an item already in
 * the run is the latest of them: it fits if any does, and taking it makes the run that of the latest times. */
static void mark_run(const scan *s, const size_t *ranks, size_t longest) {
    for (size_t i = 0, rank = longest; rank; i++) {
        if (ranks[i] != rank) continue;
        s->believed[i] = true;
        rank--;
    }
}

/* Adds the times that nearly fit: clocks are set back a little, and runs side by side end in another order than they
 * began. */
static void mark_near(const scan *s) {
    int64_t before = EARLIEST_NS, after = s->latest_ns;
    for (size_t i = s->count; i-- > 0;) { /* dated[i].time_ns: the run's next time after item i */
        s->dated[i].time_ns = after;
        if (s->believed[i]) after = s->items[i].created_ns;
    }
    for (size_t i = 0; i < s->count; i++) {
        int64_t time_ns = s->items[i].created_ns;
        if (s->believed[i]) before = time_ns;
        else if (possible(s, time_ns) && time_ns >= before - DAY_NS && time_ns - DAY_NS <= s->dated[i].time_ns)
            s->believed[i] = true;
    }
}

static int find_believed(const scan *s, lrb_err *err) {
    size_t *ranks = lrb_alloc_zero(s->count, sizeof *ranks);
    if (!ranks) return lrb_err_nomem(err, "judge snapshot times");
    mark_run(s, ranks, rank_times(s, ranks));
    mark_near(s);
    lrb_free(ranks);
    return LRB_OK;
}

/* ---- rules over log order and age ---- */

static void keep(const scan *s, size_t index, lrb_retention_reason reason) {
    lrb_retention_reason *at = &s->reasons[index];
    if (*at == LRB_DROP_EXPIRED || reason < *at) *at = reason;
}

static bool younger_than_days(const scan *s, int64_t time_ns, uint32_t days) {
    return (s->now_ns - time_ns) / DAY_NS < (int64_t)days; /* a negative age, of a day at most, is young */
}

static void keep_by_age(const scan *s, size_t index, int64_t time_ns) {
    const lrb_retention_item *item = &s->items[index];
    if (s->policy->use_days || item->safety) {
        if (!item->retention_days) keep(s, index, LRB_KEEP_FOREVER);
        else if (younger_than_days(s, time_ns, item->retention_days)) keep(s, index, LRB_KEEP_DAYS);
    }
    if (!item->safety && s->policy->keep_within_ns > 0 && s->now_ns - time_ns < s->policy->keep_within_ns)
        keep(s, index, LRB_KEEP_WITHIN);
}

/* From the newest to the oldest: `after` counts the believed ones met that use up a place, `next_ns` is the time of the
 * last believed one met. */
static void keep_newest(const scan *s) {
    size_t after = 0;
    int64_t next_ns = INT64_MIN;
    for (size_t i = s->count; i-- > 0;) {
        const lrb_retention_item *item = &s->items[i];
        int64_t time_ns = item->created_ns;
        if (!s->believed[i] && next_ns == INT64_MIN) keep(s, i, LRB_KEEP_IMPLAUSIBLE);
        if (!s->believed[i] && (!possible(s, time_ns) || time_ns < next_ns)) time_ns = next_ns;
        if (item->held) keep(s, i, LRB_KEEP_HELD);
        if (time_ns != INT64_MIN) keep_by_age(s, i, time_ns);
        if (!item->held && !item->safety) {
            if (after < s->policy->minimum) keep(s, i, LRB_KEEP_MINIMUM);
            if (after < s->policy->keep_last) keep(s, i, LRB_KEEP_LAST);
            after += s->believed[i];
        }
        if (s->believed[i]) next_ns = item->created_ns;
    }
}

/* ---- calendar rules ---- */

/* Days since 1970 to months since year 0, in the proleptic Gregorian calendar. Years are counted from March, so that
 * the leap day is the last of its year and a month's start is a linear function of its number: month m (0 is March)
 * starts at day (153 m + 2) / 5. Eras of 400 years are all 146097 days long. */
static int64_t month_of_day(int64_t day) {
    int64_t shifted = day + 719468; /* days since 0000-03-01 */
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097, of_era = shifted - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    return (era * 400 + year) * 12 + (5 * of_year + 2) / 153 + 2; /* March is month 2 of its year */
}

/* Believed times are after 1970, so plain division rounds down. */
static int64_t hour_of(int64_t time_ns) { return time_ns / HOUR_NS; }
static int64_t day_of(int64_t time_ns) { return time_ns / DAY_NS; }
static int64_t week_of(int64_t time_ns) { return (time_ns / DAY_NS + 3) / 7; } /* 1970-01-01 was a Thursday */
static int64_t month_of(int64_t time_ns) { return month_of_day(time_ns / DAY_NS); }
static int64_t year_of(int64_t time_ns) { return month_of(time_ns) / 12; }

/* Sorts in time order by merging, `spare` being as long as `rows`; rows in order already are only looked at. */
static void sort_by_time(dated *rows, size_t count, dated *spare) {
    size_t left = count / 2, a = 0, b = left;
    if (count < 2) return;
    sort_by_time(rows, left, spare);
    sort_by_time(rows + left, count - left, spare);
    if (rows[left - 1].time_ns <= rows[left].time_ns) return;
    memcpy(spare, rows, left * sizeof *rows);
    for (size_t to = 0; a < left; to++)
        rows[to] = b < count && rows[b].time_ns < spare[a].time_ns ? rows[b++] : spare[a++];
}

/* Those the calendar looks at, oldest time first. */
static size_t collect_dated(const scan *s, dated *spare) {
    size_t count = 0;
    for (size_t i = 0; i < s->count; i++)
        if (s->believed[i] && !s->items[i].held && !s->items[i].safety)
            s->dated[count++] = (dated){s->items[i].created_ns, i};
    sort_by_time(s->dated, count, spare);
    return count;
}

static void keep_buckets(const scan *s, size_t count, uint32_t places, int64_t (*bucket_of)(int64_t),
                         lrb_retention_reason reason) {
    for (size_t i = count; i > 0 && places; places--) {
        int64_t bucket = bucket_of(s->dated[i - 1].time_ns);
        size_t last = s->dated[i - 1].index;
        for (i--; i > 0 && bucket_of(s->dated[i - 1].time_ns) == bucket; i--)
            if (s->dated[i - 1].index > last) last = s->dated[i - 1].index;
        keep(s, last, reason);
    }
}

static int keep_by_calendar(const scan *s, lrb_err *err) {
    const lrb_retention_policy *p = s->policy;
    dated *spare = lrb_alloc_zero(s->count, sizeof *spare);
    if (!spare) return lrb_err_nomem(err, "sort snapshot times");
    size_t count = collect_dated(s, spare);
    lrb_free(spare);
    keep_buckets(s, count, p->keep_hourly, hour_of, LRB_KEEP_HOURLY);
    keep_buckets(s, count, p->keep_daily, day_of, LRB_KEEP_DAILY);
    keep_buckets(s, count, p->keep_weekly, week_of, LRB_KEEP_WEEKLY);
    keep_buckets(s, count, p->keep_monthly, month_of, LRB_KEEP_MONTHLY);
    keep_buckets(s, count, p->keep_yearly, year_of, LRB_KEEP_YEARLY);
    return LRB_OK;
}

/* ---- the whole ---- */

int lrb_retention_scan(const lrb_retention_item *items, size_t count, const lrb_retention_policy *policy,
                       int64_t now_ns, lrb_retention_reason *reasons, lrb_err *err) {
    scan s = {.items = items, .count = count, .policy = policy, .now_ns = now_ns, .reasons = reasons,
              .latest_ns = now_ns < INT64_MAX - DAY_NS ? now_ns + DAY_NS : INT64_MAX,
              .believed = lrb_alloc_zero(count, sizeof *s.believed), .dated = lrb_alloc_zero(count, sizeof *s.dated)};
    int code = LRB_OK;
    for (size_t i = 0; i < count; i++) reasons[i] = LRB_DROP_EXPIRED;
    if (!s.believed || !s.dated) code = lrb_err_nomem(err, "judge snapshots");
    if (!code) code = find_believed(&s, err);
    if (!code) keep_newest(&s);
    if (!code) code = keep_by_calendar(&s, err);
    lrb_free(s.believed);
    lrb_free(s.dated);
    return code;
}

const char *lrb_retention_reason_text(lrb_retention_reason reason) {
    static const char *const texts[LRB_RETENTION_REASONS] = {
        [LRB_DROP_EXPIRED] = "expired", [LRB_KEEP_HELD] = "held", [LRB_KEEP_MINIMUM] = "minimum",
        [LRB_KEEP_FOREVER] = "forever", [LRB_KEEP_DAYS] = "days", [LRB_KEEP_LAST] = "last",
        [LRB_KEEP_WITHIN] = "within", [LRB_KEEP_HOURLY] = "hourly", [LRB_KEEP_DAILY] = "daily",
        [LRB_KEEP_WEEKLY] = "weekly", [LRB_KEEP_MONTHLY] = "monthly", [LRB_KEEP_YEARLY] = "yearly",
        [LRB_KEEP_IMPLAUSIBLE] = "implausible",
    };
    return (unsigned)reason < LRB_RETENTION_REASONS ? texts[reason] : "?";
}
