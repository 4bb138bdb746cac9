/* What the files of the prober share.
 *
 * prober.c is what its callers see: starting, stopping and the table of targets. prober_turn.c is the thread, which
 * probes those that are due and suspects itself; probe_target.c checks what is told of a target; probe.c makes one
 * request of one target and a finding of its end; schedule.c keeps the targets in the order they are due, prober_news.c
 * those there is news of. Everything here is guarded by the prober's
 * lock, which the thread holds except while it waits.
 */
#ifndef LRB_NET_PROBER_PRIVATE_H
#define LRB_NET_PROBER_PRIVATE_H

#include <curl/curl.h>
#include <pthread.h>

#include "base/buf.h"
#include "net/prober.h"

enum { NS_PER_MS = 1000000 };

typedef enum refusal { /* why no connection was made */
    REFUSED_NOT,
    REFUSED_ADDRESS,
    REFUSED_PRIVATE,
    REFUSED_PLAIN
} refusal;

typedef struct target {
    /* as told */
    char id[LRB_TARGET_ID_BYTES];
    char *url, *header, *ca_file, *certificate, *certificate_key; /* NULL where there is none */
    bool allow_http, allow_private, is_plain, is_name;
    int64_t period_ms, connect_ms, total_ms, slow_ms;

    /* when */
    int64_t due_ns;    /* monotonic */
    int64_t period_at; /* of the fixed phase: when the next regular probe is due */
    size_t place;      /* in the schedule; LRB_NOWHERE: not in it */

    /* what came of it */
    lrb_health health;
    int64_t probed_ns, since_ns; /* wall clock */
    uint64_t probes, asked, asked_by_probe, checked;
    bool is_failing, is_news, is_in_sweep; /* the first: the last probe got no answer */
    struct target *next_news;

    /* the probe under way */
    bool is_under_way;
    CURL *easy; /* made for the first one, and kept; NULL before */
    struct curl_slist *headers;
    lrb_buf body;
    size_t header_bytes;
    int64_t begun_ns;
    refusal refused;
    bool is_resolving, is_too_long, is_own_fault; /* the last: this process ran short of something */
    size_t *resolving; /* the prober's count */
} target;

#define LRB_NOWHERE ((size_t)-1)

/* ---- probe_target.c ---- */
int lrb_probe_target_new(const lrb_probe_target *from, target **out, lrb_err *err); /* INVALID: cannot be used */
void lrb_probe_target_free(target *target);                                         /* no probe may be under way */
int64_t lrb_probe_target_phase_ns(const target *target);                            /* when in its period it is probed */

/* ---- probe.c ---- */
/* Makes the request ready; adding it to a multi handle starts it. */
int lrb_probe_begin(target *target, size_t *resolving, lrb_err *err);
/* Turns the end into a finding. NOMEM: this probe says nothing about the target. */
int lrb_probe_judge(target *target, CURLcode result, lrb_finding *finding, lrb_err *err);
void lrb_probe_end(target *target);   /* the easy handle must be out of its multi handle */
void lrb_probe_clear(target *target); /* none is under way: lets the easy handle go */

/* ---- schedule.c: a heap ---- */
typedef struct schedule {
    target **at;
    size_t count, capacity;
} schedule;

int lrb_schedule_reserve(schedule *schedule, size_t count, lrb_err *err); /* room for so many in all */
void lrb_schedule_put(schedule *schedule, target *target);               /* needs room; moves one that is in it */
void lrb_schedule_remove(schedule *schedule, target *target);            /* nothing where it is not in it */
target *lrb_schedule_first(const schedule *schedule);                    /* NULL: empty */
void lrb_schedule_clear(schedule *schedule);

/* ---- the prober ---- */
struct lrb_prober {
    pthread_mutex_t lock; /* of everything below but the descriptors, which do not change */
    pthread_t thread;
    int epoll_fd, wake_fd, news_fd;
    bool stopping;

    CURLM *multi;
    int64_t timer_ns; /* when libcurl wants to be called; INT64_MAX: not */

    target **targets; /* by id */
    size_t count, capacity;
    schedule schedule;
    size_t resolving;
    uint64_t tickets, sweep, swept; /* given out; the last one for all targets; the last such that is answered */
    size_t sweep_left;              /* targets that `sweep` waits for */

    target *first_news, *last_news;
    size_t answering, failing; /* targets that answer by their status, and those of them that just did not */
    bool isolated;
    int64_t isolated_ns;
    uint64_t isolation_changes;
};

/* ---- prober_news.c: the targets there is news of, each once ---- */
void lrb_news_raise(lrb_prober *prober);
void lrb_news_put(lrb_prober *prober, target *target); /* without raising the flag */
target *lrb_news_take(lrb_prober *prober);              /* NULL: none */
void lrb_news_drop(lrb_prober *prober, target *target); /* nothing where there is none of it */

/* ---- prober_turn.c: what the thread does ---- */
int lrb_turn_connect(lrb_prober *prober, lrb_err *err); /* makes libcurl's side; before the thread starts */
void *lrb_turn_run(void *prober);                       /* until `stopping` */
void lrb_turn_abandon(lrb_prober *prober, target *target);       /* ends the probe under way, if one is */
void lrb_turn_uncount(lrb_prober *prober, const target *target); /* a target that goes takes no part in suspicion */
void lrb_turn_leave_sweep(lrb_prober *prober, target *target);   /* it was probed, or goes */

#endif
