/* What the files of the prober share.
 *
 * prober.c is what its callers see: starting, stopping and the table of targets. prober_turn.c is the thread, which
 * probes those that are due and suspects itself; probe_target.c checks what is told of a target; probe.c makes one
 * request of one target and a finding of its end; group.c is libcurl's side of some of the targets; schedule.c keeps the
 * targets in the order they are due, prober_news.c those there is news of. Everything here is guarded by the prober's
 * lock, which the thread holds except while it waits.
 */
#ifndef LRB_NET_PROBER_PRIVATE_H
#define LRB_NET_PROBER_PRIVATE_H

#include <curl/curl.h>
#include <pthread.h>
#include <sys/epoll.h>

#include "base/buf.h"
#include "net/connection.h"
#include "net/prober.h"

enum { NS_PER_MS = 1000000 };
#define LRB_WAKE UINT64_MAX /* what epoll says of wake_fd */

typedef struct target {
    /* as told */
    char id[LRB_TARGET_ID_BYTES];
    CURLU *origin; /* the URL without its path: libcurl takes a URL apart, and writes its path anew, at every probe */
    char *path, *header; /* the latter shows the key; NULL: none */
    lrb_connection connection;
    int64_t period_ms, total_ms, slow_ms;

    /* when */
    int64_t due_ns;    /* monotonic */
    int64_t period_at; /* of the fixed phase: when the next regular probe is due */
    size_t place;      /* in the schedule; LRB_NOWHERE: not in it */

    /* what came of it */
    lrb_health health;
    int64_t probed_ns, since_ns; /* wall clock */
    uint64_t probes;
    uint64_t asked, asked_alone, checked;          /* tickets: the last, the last that was of no sweep, the last that is answered */
    uint64_t asked_by_probe, asked_alone_by_probe; /* the former two when the last probe began */
    bool is_failing, is_news, is_in_sweep; /* the first: the last probe got no answer */
    struct target *next_news;

    /* the probe under way */
    struct group *group;
    bool is_under_way;
    CURL *easy; /* made for the first one, and kept; NULL before */
    struct curl_slist *headers;
    lrb_buf body;
    size_t header_bytes;
    int64_t refusals_before; /* of memory, when it began */
    int64_t begun_ns;
    lrb_refusal refused;
    bool is_resolving, is_too_long, is_own_fault; /* the last: this process ran short of something */
} target;

#define LRB_NOWHERE ((size_t)-1)

/* ---- probe_target.c ---- */
int lrb_probe_target_new(const lrb_probe_target *from, target **out, lrb_err *err); /* INVALID: cannot be used */
void lrb_probe_target_free(target *target);                                         /* no probe may be under way */
int64_t lrb_probe_target_phase_ns(const target *target);                            /* when in its period it is probed */

/* ---- probe.c ---- */
/* Makes the request ready; adding it to a multi handle starts it. */
int lrb_probe_begin(target *target, lrb_err *err);
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

/* ---- group.c: some of the targets, and libcurl's side of them ---- */

/* libcurl walks the connections of a multi handle at the end of every transfer, and keeps their timers in one tree: in
 * groups, what a probe costs does not grow with the number of targets. */
enum { LRB_GROUP_TARGETS = 16 };

typedef struct group {
    lrb_prober *prober;
    size_t place; /* among the prober's */
    CURLM *multi;
    size_t targets;
    int64_t timer_ns; /* when libcurl wants to be called; INT64_MAX: not */
} group;

int lrb_group_with_room(lrb_prober *prober, group **out, lrb_err *err); /* an empty one where all are full */
void lrb_groups_clear(lrb_prober *prober);                              /* no probe may be under way */
int64_t lrb_groups_timer_ns(const lrb_prober *prober);                  /* the earliest */
void lrb_groups_act(lrb_prober *prober, const struct epoll_event *event); /* on what epoll told of a connection */
void lrb_groups_act_in_time(lrb_prober *prober);                        /* on what is due */

/* ---- the prober ---- */
struct lrb_prober {
    pthread_mutex_t lock; /* of everything below but the descriptors, which do not change */
    pthread_t thread;
    int epoll_fd, wake_fd, news_fd;
    bool stopping;

    group **groups;
    size_t group_count, group_capacity;
    target **targets; /* by id */
    size_t count, capacity;
    schedule schedule;
    size_t under_way, resolving; /* targets that are probed, and those of them whose names are looked up */
    uint64_t tickets, sweep, swept; /* given out; the last one for all targets; the last such that is answered */
    uint64_t next_sweep;            /* waits for `sweep` to end; 0: none does */
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
void *lrb_turn_run(void *prober);                                /* until `stopping` */
void lrb_turn_end_done(group *group);                            /* after every action of libcurl's */
void lrb_turn_abandon(target *target);                           /* ends the probe under way, if one is */
void lrb_turn_uncount(lrb_prober *prober, const target *target); /* a target that goes takes no part in suspicion */
void lrb_turn_ask(lrb_prober *prober, target *target, uint64_t ticket);
void lrb_turn_sweep(lrb_prober *prober, uint64_t ticket);        /* asks all; none may be under way */
void lrb_turn_leave_sweep(lrb_prober *prober, target *target);   /* it was probed, or goes */

#endif
