/* The client beside a real server on loopback: what it sends, what becomes of an answer, and that every request comes
 * back, whatever happens. test_client_objects: in parts; test_client_lines: over which connections, and how fast. */
#include <inttypes.h>
#include <sys/resource.h>

#include "asking.h"
#include "base/mem.h"
#include "check.h"
#include "hearing.h"
#include "net/connection.h"
#include "parts.h"

static lrb_err err;
static hearing server;
static lrb_client *client;

static const char *url_of(const char *path) {
    static char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", server.port, path);
    return url;
}

/* ---- the server's side ---- */

static const struct {
    const char *path, *raw; /* what is sent to the letter; the connection is closed behind it */
    lrb_trouble trouble;
    const char *text;
} answers[] = {
    {"/reason", "HTTP/1.1 503 Not quite  now \r\ndate: Thu, 26 Nov 2026 20:00:00 GMT\r\nRETRY-AFTER:\t 7 \r\nContent-Length: 3\r\n\r\nbye", LRB_TROUBLE_NONE, "Not quite  now"},
    {"/bare", "HTTP/1.1 204\r\n\r\n", LRB_TROUBLE_NONE, ""},
    {"/interim", "HTTP/1.1 100 Continue\r\nDate: never\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", LRB_TROUBLE_NONE, "OK"},
    {"/close", "", LRB_TROUBLE_UNREACHED, "the connection was closed"},
    {"/ssh", "SSH-2.0-OpenSSH_9.2\r\n", LRB_TROUBLE_NO_HTTP, "HTTP"},
    {"/short", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", LRB_TROUBLE_UNREACHED, "broke off"},
    {"/chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", LRB_TROUBLE_UNREACHED, "broke off"},
    {"/gzip", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\nno gzip!", LRB_TROUBLE_UNREACHED, "cannot be decoded"},
    {"/coding", "HTTP/1.1 200 OK\r\nContent-Encoding: shorthand\r\nContent-Length: 2\r\n\r\nab", LRB_TROUBLE_UNREACHED, "cannot be decoded"},
};

/* Headers or a body that are longer than anybody should read; its end shows whether somebody did. */
static bool pour(const char *begin, const char *line, int fd) {
    bool all = hearing_send(fd, begin, strlen(begin));
    for (int i = 0; all && i < 20000; i++) all = hearing_send(fd, line, strlen(line));
    return false;
}

static bool answer(const heard *request, int fd) {
    const char *path = strchr(request->head, ' ') + 1;
    if (!strncmp(path, "/good ", 6)) return hearing_say(fd, "200 OK", "", "{}");
    if (!strncmp(path, "/object/", 8)) return parts_answer(request, fd);
    if (!strncmp(path, "/hang ", 6)) return true;
    if (!strncmp(path, "/body ", 6)) return pour("HTTP/1.1 200 OK\r\n\r\n", "more and more of it ", fd);
    if (!strncmp(path, "/headers ", 9)) return pour("HTTP/1.1 200 OK\r\n", "X-More: and more of it\r\n", fd);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        size_t length = strlen(answers[i].path);
        if (!strncmp(path, answers[i].path, length) && path[length] == ' ') return hearing_send(fd, answers[i].raw, strlen(answers[i].raw)) && false;
    }
    return false;
}

/* ---- answers, and troubles in their place ---- */

TEST(what_is_answered_is_told_apart) {
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        lrb_asked asked = asking_of("GET", url_of(answers[i].path));
        ask one;
        CHECK(asking_run(client, &asked, &one) && !one.code);
        bool right = one.said.trouble == answers[i].trouble && (*answers[i].text ? strstr(one.said.text, answers[i].text) != NULL : !*one.said.text);
        if (!right) printf("%s: %d, %s\n", answers[i].path, one.said.trouble, one.said.text);
        CHECK(right);
        lrb_request_free(one.request);
    }
}

TEST(an_answer_comes_with_what_it_says_of_itself) {
    lrb_asked asked = asking_of("GET", url_of("/reason"));
    ask one;
    CHECK(asking_run(client, &asked, &one) && !one.code && one.said.status == 503 && !one.said.is_too_long);
    CHECK(!strcmp(one.said.date, "Thu, 26 Nov 2026 20:00:00 GMT") && !strcmp(one.said.retry_after, "7"));
    CHECK(one.said.body_bytes == 3 && !memcmp(one.said.body, "bye", 3));
    lrb_request_free(one.request);
    asked.url = url_of("/interim");
    CHECK(asking_run(client, &asked, &one) && one.said.status == 200 && !*one.said.date && !*one.said.retry_after && !one.said.body_bytes);
    lrb_request_free(one.request);
}

TEST(of_an_answer_that_is_too_long_only_that_is_said) {
    static const char *const paths[] = {"/body", "/headers"};
    for (size_t i = 0; i < 2; i++) {
        lrb_asked asked = asking_of("GET", url_of(paths[i]));
        ask one;
        CHECK(asking_run(client, &asked, &one) && !one.code && !one.said.trouble);
        CHECK(one.said.status == 200 && one.said.is_too_long && !one.said.body_bytes);
        lrb_request_free(one.request);
    }
}

static const struct {
    const char *url; /* NULL: the server's, by TLS */
    const char *ca_file;
    bool has_key, allow_http, allow_private;
    lrb_trouble trouble;
    const char *text;
} elsewhere[] = {
    {"http://169.254.169.254/", NULL, true, true, true, LRB_TROUBLE_ADDRESS, "not allowed"},
    {"http://0x00000000/", NULL, true, true, true, LRB_TROUBLE_ADDRESS, "not allowed"},
    {"http://10.0.0.1/", NULL, false, true, false, LRB_TROUBLE_PRIVATE, "not allowed"},
    {"https://[fc00::1]/", NULL, true, true, false, LRB_TROUBLE_PRIVATE, "not allowed"},
    {"http://10.0.0.1/", NULL, true, false, true, LRB_TROUBLE_PLAIN, "not allowed"},
    {"http://8.8.8.8/", NULL, true, false, false, LRB_TROUBLE_PLAIN, "not allowed"},
    {"http://127.0.0.1:1/", NULL, true, false, false, LRB_TROUBLE_UNREACHED, "Connection refused"},
    {"https://127.0.0.1:1/", "/nowhere/ca.pem", true, false, false, LRB_TROUBLE_UNREACHED, "Connection refused"},
    {NULL, NULL, true, false, false, LRB_TROUBLE_TLS, ""},
    {NULL, "/nowhere/ca.pem", true, false, false, LRB_TROUBLE_OWN_FILES, ""},
};

TEST(who_may_not_or_cannot_be_talked_to_is_told_apart) {
    char tls[64];
    snprintf(tls, sizeof tls, "https://127.0.0.1:%d/", server.port);
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
        lrb_asked asked = asking_of("GET", elsewhere[i].url ? elsewhere[i].url : tls);
        asked.has_key = elsewhere[i].has_key;
        asked.ca_file = elsewhere[i].ca_file;
        asked.allow_http = elsewhere[i].allow_http;
        asked.allow_private = elsewhere[i].allow_private;
        ask one;
        int before = server.requests;
        CHECK(asking_run(client, &asked, &one) && !one.code);
        bool right = one.said.trouble == elsewhere[i].trouble && strstr(one.said.text, elsewhere[i].text) && !one.said.status && server.requests == before;
        if (!right) printf("row %zu, %s: %d, %s\n", i, asked.url, one.said.trouble, one.said.text);
        CHECK(right);
        lrb_request_free(one.request);
    }
}

/* The system connects, and nobody is there to speak TLS. */
TEST(a_connection_that_is_not_made_in_time_is_given_up) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof here;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(!bind(fd, (struct sockaddr *)&here, length) && !listen(fd, 1) && !getsockname(fd, (struct sockaddr *)&here, &length));
    char url[64];
    snprintf(url, sizeof url, "https://127.0.0.1:%d/", ntohs(here.sin_port));
    lrb_asked asked = asking_of("GET", url);
    asked.connect_ms = 100;
    ask one;
    int64_t begun_ns = lrb_clock_monotonic_ns();
    CHECK(asking_run(client, &asked, &one) && one.said.trouble == LRB_TROUBLE_UNREACHED && strstr(one.said.text, "in the time"));
    CHECK(lrb_clock_monotonic_ns() - begun_ns >= 99 * INT64_C(1000000));
    lrb_request_free(one.request);
    close(fd);
}

TEST(a_name_is_judged_by_what_it_resolves_to) {
    char url[64];
    snprintf(url, sizeof url, "http://localhost:%d/good", server.port);
    lrb_asked asked = asking_of("GET", url);
    asked.has_key = true;
    ask one;
    CHECK(asking_run(client, &asked, &one) && !one.said.trouble && one.said.status == 200);
    lrb_request_free(one.request);
}

TEST(what_cannot_be_asked_is_refused_with_a_sentence) {
    static const char *const urls[] = {"", "127.0.0.1", "http://", "http://host:99999", "http://a b/", "https://host\n/", "ftp://host/", "file:///etc/passwd"};
    static const char *const broken[] = {"X-A: b\r\nX-C: d"};
    lrb_request *request = NULL;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        lrb_asked asked = asking_of("GET", urls[i]);
        int code = lrb_request_new(&asked, NULL, &request, &err);
        if (code != LRB_E_INVALID) printf("%s\n", urls[i]);
        CHECK(code == LRB_E_INVALID && err.message[0]);
    }
    lrb_asked good = asking_of("PUT", "http://127.0.0.1/"), asked = good;
    asked.headers = broken;
    asked.header_count = 1;
    CHECK_FAILS(lrb_request_new(&asked, NULL, &request, &err), LRB_E_INVALID);
    asked = good;
    asked.ca_file = "";
    CHECK_FAILS(lrb_request_new(&asked, NULL, &request, &err), LRB_E_INVALID);
    asked = good;
    asked.connect_ms = 0;
    CHECK_FAILS(lrb_request_new(&asked, NULL, &request, &err), LRB_E_INVALID);
    asked = good;
    asked.is_object = true;
    CHECK_FAILS(lrb_request_new(&asked, NULL, &request, &err), LRB_E_INVALID);
    asked.part_bytes = 10;
    asked.offset = 1;
    CHECK_FAILS(lrb_request_new(&asked, NULL, &request, &err), LRB_E_INVALID);
}

/* ---- what is sent ---- */

TEST(a_request_is_what_was_told_and_no_more) {
    static const char *const headers[] = {"X-API-Key: secret", "User-Agent: a test"};
    lrb_asked asked = asking_of("DELETE", url_of("/good"));
    asked.headers = headers;
    asked.header_count = 2;
    ask one;
    uint64_t sent, reached;
    CHECK(asking_run(client, &asked, &one) && one.said.status == 200);
    const heard *request = hearing_last(&server, 0);
    CHECK(!strncmp(request->head, "DELETE /good HTTP/1.1\r\n", 23) && !request->body_bytes);
    CHECK(!strcmp(hearing_header(request, "X-API-Key"), "secret") && !strcmp(hearing_header(request, "User-Agent"), "a test"));
    CHECK(!*hearing_header(request, "Expect") && !*hearing_header(request, "Content-Length") && !*hearing_header(request, "Upload-Offset"));
    lrb_request_look(one.request, &sent, &reached);
    CHECK(!sent && !reached);
    lrb_request_free(one.request);
}

TEST(a_body_goes_as_it_is_if_an_empty_one) {
    static const size_t sizes[] = {0, 1, 3 << 20};
    uint8_t *bytes = malloc(sizes[2]);
    for (size_t i = 0; i < sizes[2]; i++) bytes[i] = (uint8_t)(i * 7 >> 4);
    for (size_t i = 0; i < 3; i++) {
        lrb_asked asked = asking_of("POST", url_of("/good"));
        asked.body = sizes[i] ? bytes : NULL;
        asked.has_body = true;
        asked.size = sizes[i];
        ask one;
        uint64_t sent, reached;
        CHECK(asking_run(client, &asked, &one) && one.said.status == 200);
        const heard *request = hearing_last(&server, 0);
        CHECK(!strncmp(request->head, "POST /good HTTP/1.1\r\n", 21) && *hearing_header(request, "Content-Length"));
        CHECK(request->body_bytes == sizes[i] && !memcmp(request->body, bytes, sizes[i]));
        CHECK(!*hearing_header(request, "Expect") && !*hearing_header(request, "Transfer-Encoding") && !*hearing_header(request, "Upload-Offset"));
        lrb_request_look(one.request, &sent, &reached);
        CHECK(sent == sizes[i] && !reached);
        lrb_request_free(one.request);
    }
    free(bytes);
}

/* ---- who gives up ---- */

static bool begin_hanging(ask *one) {
    lrb_asked asked = asking_of("GET", url_of("/hang"));
    int before = server.requests;
    if (!asking_begin(client, &asked, one)) return false;
    while (server.requests == before) poll(NULL, 0, 1);
    return true;
}

TEST(a_request_is_cancelled_whenever_somebody_likes) {
    lrb_asked asked = asking_of("GET", url_of("/hang"));
    ask one;
    for (int i = 0; i < 50; i++) { /* before the thread saw it, most often */
        CHECK(asking_begin(client, &asked, &one));
        lrb_client_cancel(client, one.request);
        CHECK(asking_end(client, &one) && !one.code && one.said.trouble == LRB_TROUBLE_CANCELLED && !one.said.status && *one.said.text);
        lrb_request_free(one.request);
    }
    CHECK(begin_hanging(&one));
    lrb_client_cancel(client, one.request);
    lrb_client_cancel(client, one.request);
    CHECK(asking_end(client, &one) && one.said.trouble == LRB_TROUBLE_CANCELLED);
    lrb_request_free(one.request);
    asked.url = url_of("/good");
    CHECK(asking_begin(client, &asked, &one) && asking_is_readable(client, ASKING_LONG_MS)); /* it is over, or will be */
    lrb_client_cancel(client, one.request);
    CHECK(asking_end(client, &one) && one.said.trouble == LRB_TROUBLE_NONE && one.said.status == 200);
    lrb_client_cancel(client, one.request);
    CHECK(!asking_is_readable(client, 0) && !lrb_request_answer(one.request, &one.said, &err) && one.said.status == 200);
    lrb_request_free(one.request);
}

TEST(stopping_ends_what_is_under_way_and_what_did_not_begin) {
    enum { SOME = 5 };
    ask all[2 * SOME], late = {0};
    lrb_client *own = client;
    lrb_asked asked = asking_of("GET", url_of("/hang"));
    CHECK_OK(lrb_client_start(&client, &err));
    for (int i = 0; i < SOME; i++) CHECK(begin_hanging(&all[i]));
    for (int i = SOME; i < 2 * SOME; i++) CHECK(asking_begin(client, &asked, &all[i]));
    lrb_client_stop(client);
    CHECK(!asking_begin(client, &asked, &late) && late.request);
    asking_take_news(client);
    for (int i = 0; i < 2 * SOME; i++) {
        CHECK(all[i].is_over && !lrb_request_answer(all[i].request, &all[i].said, &err) && all[i].said.trouble == LRB_TROUBLE_CANCELLED);
        lrb_client_cancel(client, all[i].request); /* as somebody does who has not heard of it */
        lrb_request_free(all[i].request);
    }
    lrb_request_free(late.request);
    lrb_client_free(client);
    lrb_client_free(NULL);
    lrb_request_free(NULL);
    client = own;
}

/* ---- what is short here ---- */

TEST(a_socket_this_process_cannot_have_is_told_from_a_server_that_is_not_there) {
    lrb_asked asked = asking_of("GET", url_of("/good"));
    struct rlimit before, none;
    ask one;
    CHECK(!getrlimit(RLIMIT_NOFILE, &before));
    lrb_client *own = client; /* with no connection that was kept */
    CHECK_OK(lrb_client_start(&client, &err));
    none = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
    CHECK(!setrlimit(RLIMIT_NOFILE, &none));
    bool ended = asking_run(client, &asked, &one);
    CHECK(!setrlimit(RLIMIT_NOFILE, &before) && ended);
    CHECK(one.said.trouble == LRB_TROUBLE_UNREACHED && !strcmp(one.said.text, "Too many open files"));
    lrb_request_free(one.request);
    lrb_client_stop(client);
    lrb_client_free(client);
    client = own;
}

/* Begins and ends one request while memory runs out somewhere: LRB_OK, NOMEM, or what must not be. *ran_out: it did. */
static int run_without(const lrb_asked *asked, int64_t countdown, bool stays, bool *ran_out) {
    lrb_client *started = NULL;
    ask one = {0};
    lrb_mem_fail_after(countdown, stays);
    int code = lrb_client_start(&started, &err);
    if (!code) code = !asking_begin(started, asked, &one) ? one.code : asking_end(started, &one) ? one.code : LRB_E_INTERNAL;
    *ran_out = lrb_mem_count() > countdown;
    lrb_mem_fail_after(-1, false);
    bool looked_up = strstr(asked->url, "localhost") && one.said.trouble == LRB_TROUBLE_UNREACHED; /* libcurl takes it for a name nobody knows */
    if (!code && looked_up) code = LRB_E_NOMEM;
    if (!code && (one.said.trouble || !one.said.status)) {
        printf("after %" PRId64 " allocations: %d, %s\n", countdown, one.said.trouble, one.said.text);
        code = LRB_E_INVALID;
    }
    if (code != LRB_E_INTERNAL) lrb_request_free(one.request);
    if (started) lrb_client_stop(started), lrb_client_free(started);
    return code;
}

TEST(without_memory_every_request_comes_back) {
    static const char *const headers[] = {"X-API-Key: secret"};
    int fd = file_of(object, SIZE);
    char url[64], named[64];
    snprintf(url, sizeof url, "%s", url_of("/reason"));
    snprintf(named, sizeof named, "http://localhost:%d/good", server.port);
    lrb_asked kinds[] = {asking_of("GET", url), asking_of("GET", named), parts_asked(server.port, -1, BEGINS, SIZE, PART), parts_asked(server.port, fd, BEGINS, SIZE, PART)};
    kinds[0].headers = headers;
    kinds[0].header_count = 1;
    kinds[0].ca_file = kinds[0].certificate = kinds[0].certificate_key = "/unused";
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++)
        for (int stays = 0; stays < 2; stays++) {
            bool ran_out = true;
            for (int64_t countdown = 0; ran_out; countdown++) {
                int code = run_without(&kinds[kind], countdown, stays, &ran_out);
                if (code && code != LRB_E_NOMEM) printf("kind %zu, after %" PRId64 " allocations: %s\n", kind, countdown, lrb_code_symbol(code));
                CHECK(!code || code == LRB_E_NOMEM);
            }
        }
    close(fd);
}

int main(void) {
    lrb_mem_fail_after(0, false); /* the place for blocks: so libcurl's are base/mem's one by one, and malloc's */
    if (lrb_curl_begin(&err)) return 2;
    lrb_mem_fail_after(-1, false);
    parts_fill();
    hearing_start(&server, answer);
    if (lrb_client_start(&client, &err)) return 2;
    RUN(what_is_answered_is_told_apart);
    RUN(an_answer_comes_with_what_it_says_of_itself);
    RUN(of_an_answer_that_is_too_long_only_that_is_said);
    RUN(who_may_not_or_cannot_be_talked_to_is_told_apart);
    RUN(a_connection_that_is_not_made_in_time_is_given_up);
    RUN(a_name_is_judged_by_what_it_resolves_to);
    RUN(what_cannot_be_asked_is_refused_with_a_sentence);
    RUN(a_request_is_what_was_told_and_no_more);
    RUN(a_body_goes_as_it_is_if_an_empty_one);
    RUN(a_request_is_cancelled_whenever_somebody_likes);
    RUN(stopping_ends_what_is_under_way_and_what_did_not_begin);
    RUN(a_socket_this_process_cannot_have_is_told_from_a_server_that_is_not_there);
    RUN(without_memory_every_request_comes_back);
    lrb_client_stop(client);
    lrb_client_free(client);
    hearing_stop(&server);
    return check_report();
}
