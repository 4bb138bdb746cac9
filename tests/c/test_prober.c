/* The prober beside a real server on loopback: what it finds, when it asks, what it refuses to connect to, and that
 * targets may come, change and go while probes are under way. */
#include <curl/curl.h>
#include <poll.h>

#include "base/clock.h"
#include "base/mem.h"
#include "check.h"
#include "net/prober.h"
#include "small_server.h"

static lrb_err err;
static small_server server;

enum { HOUR_MS = 3600 * 1000, LONG_MS = 20000 };

static lrb_probe_target target_of(const char *id, const char *base_url) {
    return (lrb_probe_target){.id = id, .base_url = base_url, .key = "secret", .period_ms = HOUR_MS, .connect_ms = LONG_MS, .total_ms = LONG_MS};
}

static const char *url_of(const char *path) {
    static char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/%s", server.port, path);
    return url;
}

static bool set(lrb_prober *prober, const char *id, const char *path) {
    lrb_probe_target target = target_of(id, url_of(path));
    return lrb_prober_set(prober, &target, &err) == LRB_OK;
}

/* Waits on the descriptor, as an event loop does, until the target's news answers the ticket. */
static bool wait_for(lrb_prober *prober, const char *id, uint64_t ticket, lrb_prober_news *news) {
    for (int64_t until = lrb_clock_monotonic_ns() + LONG_MS * INT64_C(1000000); lrb_clock_monotonic_ns() < until;) {
        struct pollfd readable = {.fd = lrb_prober_fd(prober), .events = POLLIN};
        lrb_prober_news any;
        while (lrb_prober_next(prober, &any)) continue;
        if (lrb_prober_look(prober, id, news) && news->checked >= ticket) return true;
        poll(&readable, 1, 100);
    }
    return false;
}

static lrb_prober_news check(lrb_prober *prober, const char *id) {
    lrb_prober_news news = {0};
    uint64_t ticket;
    if (!lrb_prober_check(prober, id, &ticket) || !wait_for(prober, id, ticket, &news)) printf("%s was not probed\n", id);
    return news;
}

static lrb_prober_news probe_once(const lrb_probe_target *target) {
    lrb_prober *prober;
    lrb_prober_news news = {0};
    if (lrb_prober_start(&prober, &err)) return news;
    if (lrb_prober_set(prober, target, &err)) printf("%s\n", err.message);
    else news = check(prober, target->id);
    lrb_prober_stop(prober);
    return news;
}

/* ---- what is found ---- */

static const struct {
    const char *path;
    lrb_target_status status;
    const char *reason;
} answers[] = {
    {"good", LRB_TARGET_HEALTHY, "ready"},           {"good/", LRB_TARGET_HEALTHY, "ready"},
    {"plain", LRB_TARGET_DEGRADED, "cannot receive"}, {"moved", LRB_TARGET_DEGRADED, "not followed"},
    {"long", LRB_TARGET_DEGRADED, "64 KiB"},         {"close", LRB_TARGET_UNREACHABLE, "without an answer"},
};

TEST(every_kind_of_answer_is_told_apart) {
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        lrb_probe_target target = target_of("t", url_of(answers[i].path));
        lrb_prober_news news = probe_once(&target);
        if (news.status != answers[i].status) printf("%s: %d, %s\n", answers[i].path, news.status, news.last.reason);
        CHECK(news.status == answers[i].status && strstr(news.last.reason, answers[i].reason));
        CHECK(news.probes == 1 && news.probed_ns > 0 && news.since_ns == news.probed_ns && !strcmp(news.id, "t"));
    }
}

TEST(a_wrong_key_and_a_missing_one_are_told_apart) {
    lrb_probe_target target = target_of("t", url_of("good"));
    target.key = "wrong";
    CHECK(strstr(probe_once(&target).last.reason, "refuses the API key"));
    target.key = NULL;
    CHECK(strstr(probe_once(&target).last.reason, "wants an API key"));
}

TEST(a_server_that_hangs_costs_its_deadline_and_no_more) {
    lrb_probe_target target = target_of("t", url_of("hang"));
    target.total_ms = 150;
    lrb_prober_news news = probe_once(&target);
    CHECK(news.status == LRB_TARGET_UNREACHABLE && strstr(news.last.reason, "no answer within"));
    CHECK(news.last.took_ms >= 150);
}

TEST(where_nothing_listens_it_is_said) {
    lrb_probe_target target = target_of("t", "http://127.0.0.1:1");
    CHECK(strstr(probe_once(&target).last.reason, "nothing listens there"));
}

/* ---- what is not connected to, or not told the key ---- */

static const struct {
    const char *url;
    bool with_key, allow_http, allow_private;
    const char *reason;
    lrb_target_status status;
} refused[] = {
    {"http://169.254.169.254", false, true, true, "never connected to", LRB_TARGET_UNREACHABLE},
    {"https://[fe80::1]", true, true, true, "never connected to", LRB_TARGET_UNREACHABLE},
    {"http://0.0.0.0:80", true, true, true, "never connected to", LRB_TARGET_UNREACHABLE},
    {"http://0xa9fea9fe/", true, true, true, "never connected to", LRB_TARGET_UNREACHABLE},
    {"http://[::ffff:169.254.169.254]", true, true, true, "never connected to", LRB_TARGET_UNREACHABLE},
    {"https://10.0.0.1", true, false, false, "private one", LRB_TARGET_UNREACHABLE},
    {"http://192.168.1.1:9621", true, true, false, "private one", LRB_TARGET_UNREACHABLE},
    {"http://8.8.8.8", true, false, false, "would send the key unencrypted", LRB_TARGET_DEGRADED},
    {"http://10.0.0.1", true, false, true, "would send the key unencrypted", LRB_TARGET_DEGRADED},
};

TEST(an_address_is_judged_before_anything_is_sent) {
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        lrb_probe_target target = target_of("t", refused[i].url);
        target.key = refused[i].with_key ? "secret" : NULL;
        target.allow_http = refused[i].allow_http;
        target.allow_private = refused[i].allow_private;
        lrb_prober_news news = probe_once(&target);
        bool right = news.status == refused[i].status && strstr(news.last.reason, refused[i].reason);
        if (!right) printf("%s: %s\n", refused[i].url, news.last.reason);
        CHECK(right);
    }
}

TEST(a_name_is_judged_by_what_it_resolves_to) {
    char url[64];
    snprintf(url, sizeof url, "http://localhost:%d/good", server.port);
    lrb_probe_target target = target_of("t", url);
    CHECK(probe_once(&target).status == LRB_TARGET_HEALTHY);
}

static const char *const bad_urls[] = {"", "127.0.0.1", "ftp://host", "file:///etc/passwd", "http://", "http://user@host", "http://u:p@host",
                                       "http://host/?a=b", "http://host/#a", "http://host:99999", "http://a b/", "https://host\n/"};

TEST(what_cannot_be_used_is_refused_with_a_sentence) {
    lrb_prober *prober;
    CHECK_OK(lrb_prober_start(&prober, &err));
    for (size_t i = 0; i < sizeof bad_urls / sizeof bad_urls[0]; i++) {
        lrb_probe_target target = target_of("t", bad_urls[i]);
        int code = lrb_prober_set(prober, &target, &err);
        if (code != LRB_E_INVALID) printf("%s\n", bad_urls[i]);
        CHECK(code == LRB_E_INVALID && err.message[0]);
    }
    lrb_probe_target target = target_of("", "http://host");
    CHECK_FAILS(lrb_prober_set(prober, &target, &err), LRB_E_INVALID);
    target = target_of("t", "http://host");
    target.key = "two\r\nX: y";
    CHECK_FAILS(lrb_prober_set(prober, &target, &err), LRB_E_INVALID);
    target.key = "";
    CHECK_FAILS(lrb_prober_set(prober, &target, &err), LRB_E_INVALID);
    target = target_of("t", "http://host");
    target.total_ms = 0;
    CHECK_FAILS(lrb_prober_set(prober, &target, &err), LRB_E_INVALID);
    target = target_of("t", "http://host");
    target.ca_file = "";
    CHECK_FAILS(lrb_prober_set(prober, &target, &err), LRB_E_INVALID);
    lrb_prober_news news;
    uint64_t ticket;
    CHECK(!lrb_prober_look(prober, "t", &news) && !lrb_prober_check(prober, "t", &ticket) && !lrb_prober_remove(prober, "t"));
    lrb_prober_stop(prober);
}

/* ---- when ---- */

TEST(targets_are_probed_by_themselves_once_a_period) {
    lrb_prober *prober;
    lrb_prober_news news = {0};
    CHECK_OK(lrb_prober_start(&prober, &err));
    lrb_probe_target target = target_of("t", url_of("good"));
    target.period_ms = 20;
    CHECK_OK(lrb_prober_set(prober, &target, &err));
    while (lrb_prober_look(prober, "t", &news) && news.probes < 2 * LRB_PROBE_COLD_EVERY) poll(NULL, 0, 5);
    CHECK(news.status == LRB_TARGET_HEALTHY && news.checked == 0);
    lrb_prober_stop(prober);
}

TEST(one_failure_changes_nothing_and_three_do) {
    lrb_prober *prober;
    CHECK_OK(lrb_prober_start(&prober, &err));
    CHECK(set(prober, "t", "good"));
    CHECK(check(prober, "t").status == LRB_TARGET_HEALTHY);
    server.down = true;
    for (int i = 1; i <= LRB_FALL; i++) {
        lrb_prober_news news = check(prober, "t");
        CHECK(news.status == (i < LRB_FALL ? LRB_TARGET_HEALTHY : LRB_TARGET_UNREACHABLE));
        CHECK(news.last.status == LRB_TARGET_UNREACHABLE);
    }
    server.down = false;
    CHECK(check(prober, "t").status == LRB_TARGET_UNREACHABLE);
    CHECK(check(prober, "t").status == LRB_TARGET_HEALTHY);
    lrb_prober_stop(prober);
}

/* ---- cut off ---- */

enum { SOME = 5 };
static const char *const some[SOME] = {"a", "b", "c", "d", "e"};

static bool start_some(lrb_prober **prober, int64_t period_ms) {
    if (lrb_prober_start(prober, &err)) return false;
    for (int i = 0; i < SOME; i++) {
        lrb_probe_target target = target_of(some[i], url_of("good"));
        target.period_ms = period_ms;
        if (lrb_prober_set(*prober, &target, &err) || check(*prober, some[i]).status != LRB_TARGET_HEALTHY) return false;
    }
    return true;
}

static int count_of(lrb_prober *prober, lrb_target_status status) {
    int count = 0;
    lrb_prober_news news;
    for (int i = 0; i < SOME; i++) count += lrb_prober_look(prober, some[i], &news) && news.status == status;
    return count;
}

TEST(when_all_fail_at_once_the_prober_suspects_itself) {
    lrb_prober *prober;
    uint64_t changes;
    CHECK(start_some(&prober, HOUR_MS));
    server.down = true;
    for (int round = 0; round < LRB_FALL + 2; round++)
        for (int i = 0; i < SOME; i++) CHECK(check(prober, some[i]).status == LRB_TARGET_HEALTHY);
    CHECK(lrb_prober_isolated(prober, &changes) && changes == 1);
    server.down = false;
    for (int i = 0; i < SOME; i++) CHECK(check(prober, some[i]).status == LRB_TARGET_HEALTHY);
    CHECK(!lrb_prober_isolated(prober, &changes) && changes == 2);
    lrb_prober_stop(prober);
}

TEST(targets_that_stay_silent_fall_after_all) {
    lrb_prober *prober;
    uint64_t changes;
    CHECK(start_some(&prober, 30));
    server.down = true;
    while (count_of(prober, LRB_TARGET_UNREACHABLE) < SOME) poll(NULL, 0, 5);
    CHECK(!lrb_prober_isolated(prober, &changes) && changes == 2);
    server.down = false;
    while (count_of(prober, LRB_TARGET_HEALTHY) < SOME) poll(NULL, 0, 5);
    lrb_prober_stop(prober);
}

TEST(a_minority_falls_as_ever) {
    lrb_prober *prober;
    uint64_t changes;
    CHECK(start_some(&prober, HOUR_MS));
    for (int i = 0; i < 2; i++) { /* the same target elsewhere: its status starts anew */
        CHECK(set(prober, some[i], "plain") && check(prober, some[i]).status == LRB_TARGET_DEGRADED);
    }
    server.down = true;
    for (int round = 0; round < LRB_FALL; round++)
        for (int i = 0; i < 2; i++) check(prober, some[i]);
    CHECK(count_of(prober, LRB_TARGET_UNREACHABLE) == 2 && !lrb_prober_isolated(prober, &changes) && changes == 0);
    server.down = false;
    lrb_prober_stop(prober);
}

/* ---- coming and going ---- */

TEST(targets_change_and_go_while_a_probe_is_under_way) {
    lrb_prober *prober;
    uint64_t ticket;
    lrb_prober_news news;
    CHECK_OK(lrb_prober_start(&prober, &err));
    int before = server.requests;
    CHECK(set(prober, "t", "hang") && lrb_prober_check(prober, "t", &ticket));
    while (server.requests == before) poll(NULL, 0, 1);
    CHECK(set(prober, "t", "good") && wait_for(prober, "t", ticket, &news) && news.status == LRB_TARGET_HEALTHY);
    before = server.requests;
    CHECK(set(prober, "u", "hang") && lrb_prober_check(prober, "u", &ticket));
    while (server.requests == before) poll(NULL, 0, 1);
    CHECK(lrb_prober_remove(prober, "u") && !lrb_prober_look(prober, "u", &news));
    CHECK(set(prober, "v", "hang") && lrb_prober_check(prober, "v", &ticket));
    lrb_prober_stop(prober);
}

TEST(news_of_a_removed_target_is_gone_with_it) {
    lrb_prober *prober;
    lrb_prober_news news;
    CHECK_OK(lrb_prober_start(&prober, &err));
    for (int i = 0; i < SOME; i++) {
        uint64_t ticket;
        CHECK(set(prober, some[i], "good") && lrb_prober_check(prober, some[i], &ticket));
        do CHECK(lrb_prober_look(prober, some[i], &news)); while (news.checked < ticket && !poll(NULL, 0, 1));
    }
    CHECK(lrb_prober_remove(prober, "c") && lrb_prober_remove(prober, "a") && lrb_prober_remove(prober, "e"));
    CHECK(lrb_prober_next(prober, &news) && !strcmp(news.id, "b"));
    CHECK(lrb_prober_next(prober, &news) && !strcmp(news.id, "d"));
    struct pollfd readable = {.fd = lrb_prober_fd(prober), .events = POLLIN};
    CHECK(!lrb_prober_next(prober, &news) && poll(&readable, 1, 0) == 0);
    lrb_prober_stop(prober);
}

static bool is_readable(lrb_prober *prober, int timeout_ms) {
    struct pollfd readable = {.fd = lrb_prober_fd(prober), .events = POLLIN};
    return poll(&readable, 1, timeout_ms) == 1;
}

TEST(a_sweep_ends_with_its_last_target_whatever_becomes_of_it) {
    lrb_prober *prober;
    lrb_prober_news news;
    CHECK_OK(lrb_prober_start(&prober, &err));
    uint64_t none = lrb_prober_check_all(prober);
    CHECK(lrb_prober_swept(prober) == none && is_readable(prober, 0) && !lrb_prober_next(prober, &news));
    CHECK(set(prober, "changed", "hang") && set(prober, "removed", "hang") && set(prober, "good", "good"));
    check(prober, "good");
    while (lrb_prober_next(prober, &news)) continue;
    uint64_t first = lrb_prober_check_all(prober), second = lrb_prober_check_all(prober);
    do CHECK(lrb_prober_look(prober, "good", &news)); while (news.checked < first && !poll(NULL, 0, 1));
    CHECK(lrb_prober_remove(prober, "removed") && lrb_prober_swept(prober) == none);
    CHECK(set(prober, "changed", "good"));
    while (lrb_prober_swept(prober) < second) CHECK(is_readable(prober, LONG_MS));
    CHECK(first < second && lrb_prober_look(prober, "changed", &news) && news.status == LRB_TARGET_HEALTHY);
    int told = 0;
    for (lrb_prober_news next; lrb_prober_next(prober, &next); told++) news = next;
    CHECK(told == 1 && !strcmp(news.id, "changed")); /* the sweep itself tells of no target */
    lrb_prober_stop(prober);
}

TEST(who_asks_often_is_answered_too) {
    lrb_prober *prober;
    lrb_prober_news news;
    uint64_t first, again;
    CHECK_OK(lrb_prober_start(&prober, &err));
    lrb_probe_target slow = target_of("slow", url_of("hang"));
    slow.total_ms = 500;
    CHECK_OK(lrb_prober_set(prober, &slow, &err));
    check(prober, "slow"); /* what comes later changes nothing, and is told because it was asked for */
    CHECK(lrb_prober_check(prober, "slow", &first) && set(prober, "good", "good"));
    check(prober, "good"); /* so that the other is under way */
    CHECK(lrb_prober_check(prober, "slow", &again));
    CHECK(is_readable(prober, LONG_MS) && lrb_prober_next(prober, &news) && news.checked == first);
    CHECK(is_readable(prober, LONG_MS) && lrb_prober_next(prober, &news) && news.checked == again);
    uint64_t sweep = lrb_prober_check_all(prober), last = sweep;
    while (lrb_prober_swept(prober) < sweep) last = lrb_prober_check_all(prober), poll(NULL, 0, 10);
    CHECK(lrb_prober_swept(prober) == sweep && last > sweep);
    while (lrb_prober_swept(prober) < last) CHECK(is_readable(prober, LONG_MS));
    lrb_prober_stop(prober);
}

TEST(hundreds_are_probed_at_once) {
    enum { MANY = 300 };
    lrb_prober *prober;
    char id[16];
    uint64_t tickets[MANY];
    CHECK_OK(lrb_prober_start(&prober, &err));
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "t%d", i * 7919 % MANY);
        lrb_probe_target target = target_of(id, url_of(i % 2 ? "good" : "hang"));
        target.total_ms = i % 2 ? LONG_MS : 500;
        CHECK_OK(lrb_prober_set(prober, &target, &err));
    }
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "t%d", i);
        CHECK(lrb_prober_check(prober, id, &tickets[i]));
    }
    int healthy = 0;
    for (int i = 0; i < MANY; i++) {
        lrb_prober_news news;
        snprintf(id, sizeof id, "t%d", i);
        CHECK(wait_for(prober, id, tickets[i], &news));
        healthy += news.status == LRB_TARGET_HEALTHY;
    }
    CHECK(healthy == MANY / 2);
    lrb_prober_news page[7];
    char last[LRB_TARGET_ID_BYTES] = "";
    size_t seen = 0;
    for (size_t count; (count = lrb_prober_look_after(prober, last, page, 7)); seen += count) {
        for (size_t i = 0; i < count; i++) CHECK(strcmp(i ? page[i - 1].id : last, page[i].id) < 0 && page[i].probes == 1);
        memcpy(last, page[count - 1].id, sizeof last);
    }
    CHECK(seen == MANY);
    lrb_prober_stop(prober);
}

TEST(without_memory_starting_and_adding_fail_cleanly) {
    lrb_prober *prober;
    lrb_probe_target target = target_of("t", "https://host");
    target.ca_file = target.certificate = target.certificate_key = "/ca.pem";
    for (int64_t countdown = 0;; countdown++) {
        lrb_mem_fail_after(countdown, false);
        int code = lrb_prober_start(&prober, &err);
        if (!code) {
            code = lrb_prober_set(prober, &target, &err);
            lrb_mem_fail_after(-1, false);
            lrb_prober_stop(prober);
        }
        lrb_mem_fail_after(-1, false);
        if (!code) break;
        CHECK(code == LRB_E_NOMEM);
    }
}

TEST(a_probe_without_memory_is_made_again) {
    lrb_prober *prober;
    CHECK_OK(lrb_prober_start(&prober, &err));
    CHECK(set(prober, "t", "good"));
    lrb_mem_fail_after(0, false);
    lrb_prober_news news = check(prober, "t");
    lrb_mem_fail_after(-1, false);
    CHECK(news.status == LRB_TARGET_HEALTHY && news.probes == 1);
    lrb_prober_stop(prober);
}

int main(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT); /* before the prober does: so libcurl's blocks are malloc's, and AddressSanitizer sees them */
    small_server_start(&server);
    RUN(every_kind_of_answer_is_told_apart);
    RUN(a_wrong_key_and_a_missing_one_are_told_apart);
    RUN(a_server_that_hangs_costs_its_deadline_and_no_more);
    RUN(where_nothing_listens_it_is_said);
    RUN(an_address_is_judged_before_anything_is_sent);
    RUN(a_name_is_judged_by_what_it_resolves_to);
    RUN(what_cannot_be_used_is_refused_with_a_sentence);
    RUN(targets_are_probed_by_themselves_once_a_period);
    RUN(one_failure_changes_nothing_and_three_do);
    RUN(when_all_fail_at_once_the_prober_suspects_itself);
    RUN(targets_that_stay_silent_fall_after_all);
    RUN(a_minority_falls_as_ever);
    RUN(targets_change_and_go_while_a_probe_is_under_way);
    RUN(news_of_a_removed_target_is_gone_with_it);
    RUN(a_sweep_ends_with_its_last_target_whatever_becomes_of_it);
    RUN(who_asks_often_is_answered_too);
    RUN(hundreds_are_probed_at_once);
    RUN(without_memory_starting_and_adding_fail_cleanly);
    RUN(a_probe_without_memory_is_made_again);
    small_server_stop(&server);
    return check_report();
}
