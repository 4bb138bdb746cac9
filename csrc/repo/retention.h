/* Which snapshots a policy keeps, and why. A pure function over times: no clock, no files.
 *
 * Snapshots come in log order (oldest first); `latest` means last in log order, never newest by clock. Rules add up: a
 * snapshot is kept when any rule keeps it. Buckets are UTC: hours, days, ISO weeks (Monday), months, years of the
 * claimed time; of each bucket the last in log order counts, newest buckets first. `days` keeps every snapshot younger
 * than its own retention_days (0 days: forever). Held snapshots are kept and use up no place. Safety snapshots follow
 * their own retention_days alone, whatever the policy says, and use up no place.
 *
 * Which claimed times are believed: those from 2020 to one day after `now` are possible, and of the possible ones the
 * longest run that never goes back in log order is right (of equally long runs the one with the latest times). Any
 * other possible time is believed when it lies within a day of fitting between its neighbours in that run.
 *
 * A snapshot whose time is not believed is implausible and displaces nothing. It is kept by no calendar rule; `last`
 * and `minimum` keep it as long as fewer than their number of believed ones come after it; `days` and `within` take for
 * its time that of the next believed one, or its own where that is possible and later. With no believed one after it,
 * nothing proves it old: it is kept.
 *
 * `minimum`: at least this many of the newest (by log order; held and safety ones not counted) are always kept.
 */
#ifndef LRB_REPO_RETENTION_H
#define LRB_REPO_RETENTION_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct lrb_retention_policy {
    bool use_days;          /* honour each snapshot's own retention_days */
    uint32_t keep_last, keep_hourly, keep_daily, keep_weekly, keep_monthly, keep_yearly;
    int64_t keep_within_ns; /* 0: off */
    uint32_t minimum;
} lrb_retention_policy;

typedef struct lrb_retention_item {
    int64_t created_ns;
    uint32_t retention_days;
    bool held, safety;
} lrb_retention_item;

typedef enum lrb_retention_reason {
    LRB_DROP_EXPIRED = 0,       /* older than its retention_days, or no rule keeps it */
    LRB_KEEP_HELD, LRB_KEEP_MINIMUM, LRB_KEEP_FOREVER, LRB_KEEP_DAYS, LRB_KEEP_LAST, LRB_KEEP_WITHIN,
    LRB_KEEP_HOURLY, LRB_KEEP_DAILY, LRB_KEEP_WEEKLY, LRB_KEEP_MONTHLY, LRB_KEEP_YEARLY,
    LRB_KEEP_IMPLAUSIBLE,       /* its claimed time cannot be believed and nothing proves it old */
    LRB_RETENTION_REASONS
} lrb_retention_reason;

/* reasons[count] receives the first rule, in the enum's order, that keeps each item. O(n log n), O(n) when the times
 * are in order. NOMEM only; then `reasons` means nothing. */
int lrb_retention_scan(const lrb_retention_item *items, size_t count, const lrb_retention_policy *policy,
                       int64_t now_ns, lrb_retention_reason *reasons, lrb_err *err);
/* "kept: last 7 daily" without the number: "daily"; "expired" for a dropped one. */
const char *lrb_retention_reason_text(lrb_retention_reason reason);

#endif
