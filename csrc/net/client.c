#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/thread.h"
#include "net/client_private.h"

enum { NEWS_MS = 100, SLEEP_MS = 60000, SPARES = 8 };

struct lrb_client {
    pthread_t thread;
    int news_fd;
    CURLM *multi;

    /* the thread's own */
    lrb_request *under_way;
    lrb_means spares[SPARES];
    size_t spare_count;

    pthread_mutex_t lock; /* of what follows, and of what a request says is guarded */
    bool stopping, is_asked; /* the latter: somebody was cancelled */
    lrb_request *to_begin;
    lrb_request *first_news, *last_news;
};

/* ---- news ---- */

static void put_news(lrb_client *client, lrb_request *request) {
    if (request->is_news) return;
    request->is_news = true;
    request->next_news = NULL;
    if (client->last_news) client->last_news->next_news = request;
    else client->first_news = request;
    client->last_news = request;
    (void)eventfd_write(client->news_fd, 1);
}

lrb_request *lrb_client_next(lrb_client *client, bool *is_over) {
    eventfd_t count;
    pthread_mutex_lock(&client->lock);
    lrb_request *request = client->first_news;
    if (request) {
        client->first_news = request->next_news;
        if (!client->first_news) client->last_news = NULL;
        request->is_news = false;
        *is_over = request->is_over;
    }
    if (!client->first_news) (void)eventfd_read(client->news_fd, &count);
    pthread_mutex_unlock(&client->lock);
    return request;
}

/* Its means are the next one's. */
static void take_means(lrb_client *client, lrb_request *request) {
    if (client->spare_count == SPARES || !request->own.easy) return;
    curl_easy_reset(request->own.easy);
    client->spares[client->spare_count++] = request->own;
    request->own = (lrb_means){0};
}

static void tell_over(lrb_client *client, lrb_request *request) {
    take_means(client, request);
    pthread_mutex_lock(&client->lock);
    request->is_over = true;
    put_news(client, request);
    pthread_mutex_unlock(&client->lock);
}

/* A request that moved is news when it was none for a while. */
static void tell_moved(lrb_client *client, int64_t now_ns) {
    pthread_mutex_lock(&client->lock);
    for (lrb_request *request = client->under_way; request; request = request->next) {
        if (now_ns - request->told_ns < NEWS_MS * (int64_t)NS_PER_MS) continue;
        lrb_request_measure(request);
        if (!request->has_moved) continue;
        request->has_moved = false;
        request->told_ns = now_ns;
        put_news(client, request);
    }
    pthread_mutex_unlock(&client->lock);
}

/* ---- the thread: requests come, go, and are over ---- */

static void give_up(lrb_client *client, lrb_request *request) {
    lrb_request_give_up(request);
    tell_over(client, request);
}

static void go(lrb_client *client, lrb_request *request) {
    if (curl_multi_add_handle(client->multi, request->own.easy) != CURLM_OK) {
        lrb_request_lacks_memory(request);
        tell_over(client, request);
        return;
    }
    request->next = client->under_way;
    client->under_way = request;
}

static void leave(lrb_client *client, lrb_request *request) {
    lrb_request **at = &client->under_way;
    while (*at != request) at = &(*at)->next;
    *at = request->next;
    curl_multi_remove_handle(client->multi, request->own.easy);
}

static void begin(lrb_client *client, lrb_request *request) {
    lrb_means means = client->spare_count ? client->spares[--client->spare_count] : (lrb_means){0};
    if (lrb_request_begin(request, means)) go(client, request);
    else tell_over(client, request);
}

/* Moves those that were cancelled from one list to another: all of them where the client stops. */
static void take_cancelled(const lrb_client *client, lrb_request **from, lrb_request **to) {
    while (*from) {
        lrb_request *request = *from;
        if (!request->is_cancelled && !client->stopping) {
            from = &request->next;
            continue;
        }
        *from = request->next;
        request->next = *to;
        *to = request;
    }
}

/* What callers asked for since the last turn. Returns whether to go on. */
static bool take_asked(lrb_client *client) {
    lrb_request *new, *cancelled = NULL, *stopped = NULL;
    pthread_mutex_lock(&client->lock);
    bool goes_on = !client->stopping;
    new = client->to_begin;
    client->to_begin = NULL;
    take_cancelled(client, &new, &cancelled);
    if (client->is_asked) take_cancelled(client, &client->under_way, &stopped);
    client->is_asked = false;
    pthread_mutex_unlock(&client->lock);
    for (lrb_request *next; stopped; stopped = next) {
        next = stopped->next;
        lrb_request_measure(stopped);
        curl_multi_remove_handle(client->multi, stopped->own.easy);
        give_up(client, stopped);
    }
    for (lrb_request *next; cancelled; cancelled = next) {
        next = cancelled->next;
        give_up(client, cancelled);
    }
    for (lrb_request *next; new; new = next) {
        next = new->next;
        begin(client, new);
    }
    return goes_on;
}

static void take_ended(lrb_client *client) {
    CURLMsg *message;
    for (int left; (message = curl_multi_info_read(client->multi, &left));) {
        lrb_request *request = NULL;
        CURLcode result = message->data.result;
        if (message->msg != CURLMSG_DONE || curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &request) != CURLE_OK) continue;
        leave(client, request);
        if (lrb_request_goes_on(request, result)) go(client, request);
        else tell_over(client, request);
    }
}

static void resume_due(lrb_client *client, int64_t now_ns) {
    for (lrb_request *request = client->under_way; request; request = request->next) {
        if (!request->resume_ns || request->resume_ns > now_ns) continue;
        request->resume_ns = 0;
        curl_easy_pause(request->own.easy, CURLPAUSE_CONT);
    }
}

/* Since the turn began: a newer libcurl (8.21) takes the waking along when it performs. */
static bool is_asked_again(lrb_client *client) {
    pthread_mutex_lock(&client->lock);
    bool is_asked = client->to_begin || client->is_asked;
    pthread_mutex_unlock(&client->lock);
    return is_asked;
}

/* Until the paces let somebody go, whatever comes. */
static int sleep_ms(lrb_client *client, int64_t now_ns) {
    if (is_asked_again(client)) return 0;
    int64_t until_ns = now_ns + SLEEP_MS * (int64_t)NS_PER_MS;
    for (const lrb_request *request = client->under_way; request; request = request->next)
        if (request->resume_ns && request->resume_ns < until_ns) until_ns = request->resume_ns;
    return until_ns <= now_ns ? 0 : (int)((until_ns - now_ns - 1) / NS_PER_MS + 1);
}

static void *run(void *arg) {
    lrb_client *client = arg;
    while (take_asked(client)) {
        int running, ready;
        resume_due(client, lrb_clock_monotonic_ns());
        curl_multi_perform(client->multi, &running);
        take_ended(client);
        int64_t now_ns = lrb_clock_monotonic_ns();
        tell_moved(client, now_ns);
        curl_multi_poll(client->multi, NULL, 0, sleep_ms(client, now_ns), &ready);
    }
    return NULL;
}

/* ---- its callers' side ---- */

bool lrb_client_begin(lrb_client *client, lrb_request *request) {
    pthread_mutex_lock(&client->lock);
    bool begins = !client->stopping;
    if (begins) {
        request->next = client->to_begin;
        client->to_begin = request;
        curl_multi_wakeup(client->multi);
    }
    pthread_mutex_unlock(&client->lock);
    return begins;
}

void lrb_client_cancel(lrb_client *client, lrb_request *request) {
    pthread_mutex_lock(&client->lock);
    request->is_cancelled = client->is_asked = true;
    if (!client->stopping) curl_multi_wakeup(client->multi);
    pthread_mutex_unlock(&client->lock);
}

int lrb_client_fd(const lrb_client *client) {
    return client->news_fd;
}

int lrb_client_start(lrb_client **out, lrb_err *err) {
    int code = lrb_curl_begin(err);
    if (code) return code;
    lrb_client *client = lrb_alloc_zero(1, sizeof *client);
    if (!client) return lrb_err_nomem(err, "start");
    pthread_mutex_init(&client->lock, NULL);
    client->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    code = client->news_fd < 0 ? lrb_err_sys(err, errno, "start", "requests") : LRB_OK;
    if (!code && !(client->multi = curl_multi_init())) code = lrb_err_nomem(err, "start");
    if (!code) code = lrb_thread_start(&client->thread, run, client, "the thread of requests", err);
    if (code) lrb_client_free(client);
    else *out = client;
    return code;
}

void lrb_client_stop(lrb_client *client) {
    pthread_mutex_lock(&client->lock);
    client->stopping = client->is_asked = true;
    curl_multi_wakeup(client->multi);
    pthread_mutex_unlock(&client->lock);
    pthread_join(client->thread, NULL);
}

void lrb_client_free(lrb_client *client) {
    if (!client) return;
    while (client->spare_count) lrb_means_clear(&client->spares[--client->spare_count]);
    if (client->multi) curl_multi_cleanup(client->multi);
    lrb_client_forget(client);
    pthread_mutex_destroy(&client->lock);
    lrb_free(client);
}

void lrb_client_forget(lrb_client *client) {
    lrb_fs_close(client->news_fd);
}
