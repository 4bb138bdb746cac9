#include "net/health.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void lrb_finding_clear(lrb_finding *finding) {
    memset(finding, 0, sizeof *finding);
    finding->epoch = finding->free_bytes = -1;
}

void lrb_finding_say(lrb_finding *finding, lrb_target_status status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(finding->reason, sizeof finding->reason, format, args);
    va_end(args);
    finding->status = status;
}

static void count(lrb_health *health, lrb_target_status seen) {
    health->worse = seen > health->status ? health->worse + 1 : 0;
    health->better = seen < health->status ? health->better + 1 : 0;
}

static bool is_due(const lrb_health *health) {
    return health->status == LRB_TARGET_UNKNOWN || health->worse >= LRB_FALL || health->better >= LRB_RISE;
}

bool lrb_health_feed(lrb_health *health, const lrb_finding *finding, bool hold) {
    health->last = *finding;
    count(health, finding->status);
    if (hold || !is_due(health)) return false;
    health->worse = health->better = 0;
    bool changed = health->status != finding->status;
    health->status = finding->status;
    return changed;
}

bool lrb_health_would_fall(const lrb_health *health, const lrb_finding *finding) {
    bool answered = health->status == LRB_TARGET_HEALTHY || health->status == LRB_TARGET_DEGRADED;
    return answered && finding->status == LRB_TARGET_UNREACHABLE && health->worse + 1 >= LRB_FALL;
}

const char *lrb_target_status_name(lrb_target_status status) {
    static const char *const names[] = {"UNKNOWN", "HEALTHY", "DEGRADED", "UNREACHABLE"};
    return names[status];
}
