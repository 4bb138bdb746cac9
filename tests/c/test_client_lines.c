/* The client over connections that are kept, judged again, or closed meanwhile; at the pace it was given; asked by many
 * threads at once; and in a process that forks. */
#include <fcntl.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <net/if.h>
#include <sys/wait.h>

#include "asking.h"
#include "check.h"
#include "hearing.h"
#include "net/address.h"
#include "net/connection.h"

static lrb_err err;
static hearing server;
static lrb_client *client;
static uint8_t bytes[3 << 20];

/* What is said at /leaves is the last thing said there; at /once only the first request of a connection is answered. */
static bool answer(const heard *request, int fd) {
    const char *path = strchr(request->head, ' ') + 1;
    if (!strncmp(path, "/hang ", 6)) return true;
    if (!strncmp(path, "/once ", 6) && request->nth) return false;
    return hearing_say(fd, "200 OK", "", "{}") && strncmp(path, "/leaves ", 8);
}

static const char *url_at(const char *host, const char *path) {
    static _Thread_local char url[128];
    snprintf(url, sizeof url, "http://%s:%d%s", host, server.port, path);
    return url;
}

static const char *url_of(const char *path) { return url_at("127.0.0.1", path); }

static lrb_asked body_of(const char *path, size_t count) {
    lrb_asked asked = asking_of("PUT", url_of(path));
    asked.has_body = true;
    asked.body = bytes;
    asked.size = count;
    return asked;
}

static uint64_t sent_bytes(const lrb_request *request) {
    uint64_t sent, reached;
    lrb_request_look(request, &sent, &reached);
    return sent;
}

/* ---- connections ---- */

TEST(a_connection_is_kept_and_used_again) {
    lrb_asked asked = asking_of("GET", url_of("/good"));
    ask one;
    int before = server.lines;
    for (int nth = 0; nth < 20; nth++) { /* of bodies and of none */
        asked = nth % 2 ? body_of("/good", 100) : asking_of("GET", url_of("/good"));
        CHECK(asking_run(client, &asked, &one) && one.said.status == 200);
        lrb_request_free(one.request);
    }
    CHECK(server.lines <= before + 1);
}

TEST(a_connection_that_was_closed_meanwhile_is_no_trouble) {
    ask one;
    for (int i = 0; i < 10; i++) {
        lrb_asked asked = body_of("/leaves", 300000);
        CHECK(asking_run(client, &asked, &one) && !one.said.trouble && one.said.status == 200);
        CHECK(hearing_last(&server, 0)->body_bytes == asked.size && !memcmp(hearing_last(&server, 0)->body, bytes, asked.size));
        CHECK(sent_bytes(one.request) == asked.size);
        lrb_request_free(one.request);
    }
}

/* The server closes it when the second request is there already: all of it goes again, over another one. */
TEST(a_request_that_met_a_closed_connection_goes_again_from_its_beginning) {
    static const size_t sizes[] = {0, 100000, sizeof bytes};
    lrb_pace quick;
    lrb_pace_init(&quick, 1e12, lrb_clock_monotonic_ns());
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        lrb_asked asked = body_of("/once", sizes[i]);
        asked.paces[0] = &quick;
        ask first, second;
        CHECK(asking_run(client, &asked, &first) && first.said.status == 200);
        int before = server.requests, line = hearing_last(&server, 0)->line;
        CHECK(asking_run(client, &asked, &second) && !second.said.trouble && second.said.status == 200);
        CHECK(server.requests == before + 2 && hearing_last(&server, 1)->line == line && hearing_last(&server, 0)->line != line);
        CHECK(hearing_last(&server, 0)->body_bytes == asked.size && !memcmp(hearing_last(&server, 0)->body, bytes, asked.size));
        CHECK(sent_bytes(second.request) == asked.size);
        lrb_request_free(first.request);
        lrb_request_free(second.request);
    }
    lrb_pace_clear(&quick);
}

/* An address of this machine that is a private one. */
static bool find_private(char host[64]) {
    struct ifaddrs *all = NULL;
    bool found = false;
    if (getifaddrs(&all)) return false;
    for (struct ifaddrs *one = all; one && !found; one = one->ifa_next) {
        if (!one->ifa_addr || !(one->ifa_flags & IFF_UP)) continue;
        bool is_six = one->ifa_addr->sa_family == AF_INET6;
        char text[INET6_ADDRSTRLEN] = "";
        socklen_t length = is_six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
        if (lrb_address_reach(one->ifa_addr, length) != LRB_REACH_PRIVATE) continue;
        const void *at = is_six ? (const void *)&((struct sockaddr_in6 *)(void *)one->ifa_addr)->sin6_addr : &((struct sockaddr_in *)(void *)one->ifa_addr)->sin_addr;
        found = inet_ntop(one->ifa_addr->sa_family, at, text, sizeof text) != NULL;
        snprintf(host, 64, is_six ? "[%s]" : "%s", text);
    }
    freeifaddrs(all);
    return found;
}

static const struct {
    bool allow_http, allow_private, has_key;
    lrb_trouble trouble;
} rules[] = {
    {true, true, true, LRB_TROUBLE_NONE},  {true, false, true, LRB_TROUBLE_PRIVATE}, {false, true, true, LRB_TROUBLE_PLAIN},
    {false, true, false, LRB_TROUBLE_NONE}, {false, false, false, LRB_TROUBLE_PRIVATE}, {true, true, true, LRB_TROUBLE_NONE},
};

TEST(a_connection_that_was_kept_is_judged_by_the_rules_of_who_would_use_it) {
    char host[64];
    if (!find_private(host)) {
        printf("skipped: this machine has no private address\n");
        return;
    }
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        lrb_asked asked = asking_of("GET", url_at(host, "/good"));
        asked.allow_http = rules[i].allow_http;
        asked.allow_private = rules[i].allow_private;
        asked.has_key = rules[i].has_key;
        ask one;
        int before = server.requests;
        CHECK(asking_run(client, &asked, &one) && !one.code);
        if (one.said.trouble != rules[i].trouble) printf("row %zu at %s: %d, %s\n", i, host, one.said.trouble, one.said.text);
        CHECK(one.said.trouble == rules[i].trouble && server.requests == before + !rules[i].trouble);
        lrb_request_free(one.request);
    }
}

/* ---- how fast ---- */

enum { SOME = 3, EACH = 400000 };

static const struct {
    double own, common;
    int count; /* of requests at once */
} speeds[] = {{1e6, 1e12, 1}, {1e12, 1e6, 1}, {1e6, 1e6, SOME}, {6e5, 1e6, SOME}};

/* Ends all of them. Whether no more arrived at any time than a burst and what came in since they began. */
static bool keep_to(double bytes_per_s, int count, int64_t begun_ns, size_t before) {
    bool kept = true;
    for (int over = 0; over < count;) {
        size_t arrived = server.body_bytes - before; /* before the clock is looked at: whatever delays this thread only allows more */
        double s = (double)(lrb_clock_monotonic_ns() - begun_ns) / 1e9;
        kept = kept && (double)arrived <= bytes_per_s * (s + 1) + 1;
        (void)asking_is_readable(client, 1);
        over += asking_take_news(client);
    }
    return kept;
}

TEST(no_more_goes_out_than_every_pace_allows) {
    for (size_t row = 0; row < sizeof speeds / sizeof *speeds; row++) {
        lrb_pace own[SOME], common;
        ask asks[SOME];
        int count = speeds[row].count;
        size_t each = speeds[row].count > 1 ? EACH : SOME * EACH, before = server.body_bytes;
        double slowest = speeds[row].own * count < speeds[row].common ? speeds[row].own * count : speeds[row].common;
        int64_t begun_ns = lrb_clock_monotonic_ns();
        lrb_pace_init(&common, speeds[row].common, begun_ns);
        for (int i = 0; i < count; i++) {
            lrb_pace_init(&own[i], speeds[row].own, begun_ns);
            lrb_asked asked = body_of("/good", each);
            asked.paces[0] = &own[i], asked.paces[1] = &common;
            CHECK(asking_begin(client, &asked, &asks[i]));
        }
        CHECK(keep_to(slowest, count, begun_ns, before));
        double took_s = (double)(lrb_clock_monotonic_ns() - begun_ns) / 1e9;
        CHECK(took_s >= (double)each * count / slowest - 1);
        for (int i = 0; i < count; i++) {
            CHECK(asking_end(client, &asks[i]) && asks[i].said.status == 200 && sent_bytes(asks[i].request) == each);
            lrb_request_free(asks[i].request);
            lrb_pace_clear(&own[i]);
        }
        CHECK(server.body_bytes - before == each * (size_t)count);
        lrb_pace_clear(&common);
    }
}

/* Who is held back is told that he waits, gives up at once, and has sent what the pace let go and no more. */
TEST(a_request_that_is_held_back_can_be_given_up) {
    for (int by_stop = 0; by_stop < 2; by_stop++) {
        lrb_client *own = client;
        lrb_pace slow;
        ask one;
        size_t before = server.body_bytes;
        if (by_stop) CHECK_OK(lrb_client_start(&client, &err));
        lrb_pace_init(&slow, 0.001, lrb_clock_monotonic_ns());
        lrb_asked asked = body_of("/good", 1000);
        asked.paces[0] = &slow;
        CHECK(asking_begin(client, &asked, &one));
        while (!one.moved && !one.is_over) (void)asking_is_readable(client, ASKING_LONG_MS), asking_take_news(client);
        if (by_stop) lrb_client_stop(client);
        else lrb_client_cancel(client, one.request);
        CHECK(asking_end(client, &one) && one.said.trouble == LRB_TROUBLE_CANCELLED);
        CHECK(!sent_bytes(one.request) && server.body_bytes == before);
        lrb_request_free(one.request);
        lrb_pace_clear(&slow);
        if (by_stop) lrb_client_free(client);
        client = own;
    }
}

/* ---- many at once ---- */

enum { ASKERS = 4, ASKS = 60 };
static ask many[ASKERS][ASKS];
static atomic_int failures;

static void *ask_often(void *arg) {
    ask *mine = arg;
    for (int i = 0; i < ASKS; i++) {
        lrb_asked asked = i % 3 == 2 ? asking_of("GET", url_of("/hang")) : body_of(i % 3 ? "/good" : "/leaves", 1000 + (size_t)i);
        if (!asking_begin(client, &asked, &mine[i])) failures++;
        else if (i % 3 == 2) lrb_client_cancel(client, mine[i].request);
        uint64_t sent = sent_bytes(mine[i].request);
        if (sent > asked.size) failures++;
    }
    return NULL;
}

TEST(many_threads_ask_look_and_give_up_at_once) {
    pthread_t askers[ASKERS];
    for (int i = 0; i < ASKERS; i++) CHECK(!pthread_create(&askers[i], NULL, ask_often, many[i]));
    for (int over = 0; over < ASKERS * ASKS;) {
        (void)asking_is_readable(client, 100);
        over += asking_take_news(client);
    }
    for (int i = 0; i < ASKERS; i++) pthread_join(askers[i], NULL);
    CHECK(!failures);
    for (int i = 0; i < ASKERS * ASKS; i++) {
        ask *one = &many[i / ASKS][i % ASKS];
        CHECK(asking_end(client, one) && !one->code);
        CHECK(i % ASKS % 3 == 2 ? one->said.trouble == LRB_TROUBLE_CANCELLED : one->said.status == 200);
        lrb_request_free(one->request);
    }
    CHECK(!asking_is_readable(client, 0));
}

/* ---- a process that forks ---- */

__attribute__((unused)) static int live_in_child(void) {
    int news_fd = lrb_client_fd(client);
    lrb_client_forget(client);
    if (fcntl(news_fd, F_GETFD) != -1) return 1;
    lrb_asked asked = body_of("/good", 5000);
    ask one;
    if (lrb_client_start(&client, &err)) return 3;
    if (!asking_run(client, &asked, &one) || one.said.status != 200) return 2;
    lrb_request_free(one.request);
    lrb_client_stop(client);
    lrb_client_free(client);
    return 0;
}

__attribute__((unused)) TEST(a_child_forgets_what_is_under_way_and_asks_anew) {
    lrb_asked asked = asking_of("GET", url_of("/hang"));
    ask hanging;
    int before = server.requests, status;
    CHECK(asking_begin(client, &asked, &hanging));
    while (server.requests == before) poll(NULL, 0, 1);
    pid_t child = fork();
    if (!child) _exit(live_in_child());
    CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
    if (WEXITSTATUS(status)) printf("the child ended with %d\n", WEXITSTATUS(status));
    CHECK(!WEXITSTATUS(status) && !hanging.is_over);
    lrb_client_cancel(client, hanging.request);
    CHECK(asking_end(client, &hanging) && hanging.said.trouble == LRB_TROUBLE_CANCELLED);
    lrb_request_free(hanging.request);
}

int main(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT); /* before the client does: so libcurl's blocks are malloc's, and AddressSanitizer sees them */
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 7 >> 5);
    hearing_start(&server, answer);
    if (lrb_client_start(&client, &err)) return 2;
    RUN(a_connection_is_kept_and_used_again);
    RUN(a_connection_that_was_closed_meanwhile_is_no_trouble);
    RUN(a_request_that_met_a_closed_connection_goes_again_from_its_beginning);
    RUN(a_connection_that_was_kept_is_judged_by_the_rules_of_who_would_use_it);
    RUN(no_more_goes_out_than_every_pace_allows);
    RUN(a_request_that_is_held_back_can_be_given_up);
    RUN(many_threads_ask_look_and_give_up_at_once);
#ifndef __SANITIZE_THREAD__ /* which lets no child of several threads start one of its own */
    RUN(a_child_forgets_what_is_under_way_and_asks_anew);
#endif
    lrb_client_stop(client);
    lrb_client_free(client);
    hearing_stop(&server);
    return check_report();
}
