/* A target's status: what it takes to change it, for every history of findings up to a length. */
#include "check.h"
#include "net/health.h"

static lrb_finding found(lrb_target_status status) {
    lrb_finding finding;
    lrb_finding_clear(&finding);
    lrb_finding_say(&finding, status, "seen");
    return finding;
}

/* H, D and U are findings; the status after them all. */
static lrb_target_status after(const char *history, bool hold) {
    lrb_health health = {0};
    for (; *history; history++) {
        lrb_finding finding = found(*history == 'H' ? LRB_TARGET_HEALTHY : *history == 'D' ? LRB_TARGET_DEGRADED : LRB_TARGET_UNREACHABLE);
        lrb_health_feed(&health, &finding, hold && health.status);
    }
    return health.status;
}

static const struct {
    const char *history;
    lrb_target_status status;
} table[] = {
    {"", LRB_TARGET_UNKNOWN},          {"H", LRB_TARGET_HEALTHY},          {"D", LRB_TARGET_DEGRADED},
    {"U", LRB_TARGET_UNREACHABLE},     {"HU", LRB_TARGET_HEALTHY},         {"HUU", LRB_TARGET_HEALTHY},
    {"HUUU", LRB_TARGET_UNREACHABLE},  {"HUUHUU", LRB_TARGET_HEALTHY},     {"HDD", LRB_TARGET_HEALTHY},
    {"HDDD", LRB_TARGET_DEGRADED},     {"HDDU", LRB_TARGET_UNREACHABLE},   {"HUUD", LRB_TARGET_DEGRADED},
    {"UH", LRB_TARGET_UNREACHABLE},    {"UHH", LRB_TARGET_HEALTHY},        {"UHUHU", LRB_TARGET_UNREACHABLE},
    {"UHD", LRB_TARGET_DEGRADED},      {"DHH", LRB_TARGET_HEALTHY},        {"DUUU", LRB_TARGET_UNREACHABLE},
    {"DUUDUU", LRB_TARGET_DEGRADED},   {"HUUUHHUUU", LRB_TARGET_UNREACHABLE},
};

TEST(a_status_changes_after_two_better_or_three_worse_findings) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (after(table[i].history, false) != table[i].status) printf("%s\n", table[i].history);
        CHECK(after(table[i].history, false) == table[i].status);
    }
}

TEST(a_held_status_stays_and_falls_once_it_is_let_go) {
    CHECK(after("HUUUUU", true) == LRB_TARGET_HEALTHY);
    lrb_health health = {0};
    lrb_finding healthy = found(LRB_TARGET_HEALTHY), unreachable = found(LRB_TARGET_UNREACHABLE);
    CHECK(lrb_health_feed(&health, &healthy, false));
    for (int i = 0; i < LRB_FALL - 1; i++) {
        CHECK(!lrb_health_would_fall(&health, &unreachable));
        CHECK(!lrb_health_feed(&health, &unreachable, true));
    }
    CHECK(lrb_health_would_fall(&health, &unreachable) && !lrb_health_would_fall(&health, &healthy));
    CHECK(!lrb_health_feed(&health, &unreachable, true));
    CHECK(lrb_health_feed(&health, &unreachable, false) && health.status == LRB_TARGET_UNREACHABLE);
    CHECK(!lrb_health_would_fall(&health, &unreachable));
}

TEST(every_status_has_a_name_and_the_last_reason_is_kept) {
    CHECK(!strcmp(lrb_target_status_name(LRB_TARGET_UNKNOWN), "UNKNOWN"));
    CHECK(!strcmp(lrb_target_status_name(LRB_TARGET_UNREACHABLE), "UNREACHABLE"));
    lrb_health health = {0};
    lrb_finding finding = found(LRB_TARGET_DEGRADED);
    CHECK(lrb_health_feed(&health, &finding, false) && !strcmp(health.last.reason, "seen"));
    CHECK(health.last.epoch == -1 && health.last.free_bytes == -1);
}

int main(void) {
    RUN(a_status_changes_after_two_better_or_three_worse_findings);
    RUN(a_held_status_stays_and_falls_once_it_is_let_go);
    RUN(every_status_has_a_name_and_the_last_reason_is_kept);
    return check_report();
}
