/* Asking through net/client.h as an event loop does: begins requests, waits on the descriptor, notes what came out. */
#ifndef LRB_TESTS_ASKING_H
#define LRB_TESTS_ASKING_H

#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "net/client.h"

enum { ASKING_LONG_MS = 20000, ASKING_ANSWER_BYTES = 1000 };

typedef struct ask { /* the owner of a request */
    lrb_request *request;
    bool is_over;
    int moved; /* how often it was said to */
    int code;  /* from here on once it is over */
    lrb_answered said;
    lrb_err err;
} ask;

static lrb_asked asking_of(const char *method, const char *url) {
    return (lrb_asked){.method = method, .url = url, .fd = -1, .connect_ms = ASKING_LONG_MS, .answer_max_bytes = ASKING_ANSWER_BYTES};
}

static bool asking_begin(lrb_client *client, const lrb_asked *asked, ask *one) {
    *one = (ask){0};
    one->code = lrb_request_new(asked, one, &one->request, &one->err);
    return !one->code && lrb_client_begin(client, one->request);
}

static bool asking_is_readable(const lrb_client *client, int timeout_ms) {
    struct pollfd readable = {.fd = lrb_client_fd(client), .events = POLLIN};
    return poll(&readable, 1, timeout_ms) == 1;
}

/* Takes the news there is: how many are over. */
static int asking_take_news(lrb_client *client) {
    bool is_over;
    int over = 0;
    for (lrb_request *request; (request = lrb_client_next(client, &is_over)); over += is_over) {
        ask *one = lrb_request_owner(request);
        if (is_over) one->is_over = true;
        else one->moved++;
    }
    return over;
}

/* Whether it ended before long; then `said` and `code` are what became of it. */
static bool asking_end(lrb_client *client, ask *one) {
    int64_t until = lrb_clock_monotonic_ns() + ASKING_LONG_MS * INT64_C(1000000);
    while (!one->is_over && lrb_clock_monotonic_ns() < until) {
        (void)asking_is_readable(client, 100);
        asking_take_news(client);
    }
    if (!one->is_over) return false;
    one->code = lrb_request_answer(one->request, &one->said, &one->err);
    return true;
}

static bool asking_run(lrb_client *client, const lrb_asked *asked, ask *one) {
    return asking_begin(client, asked, one) && asking_end(client, one);
}

#endif
