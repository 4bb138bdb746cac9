#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "net/prober_private.h"

enum { EVENTS_AT_ONCE = 128, MIN_SUSPICIOUS = 3, RETRY_MS = 1000, RESOLVE_AGAIN_MS = 20, GATHER_MS = 1 };

/* ---- whether it is we who are cut off ---- */

static bool answers(const target *target) {
    return target->health.status == LRB_TARGET_HEALTHY || target->health.status == LRB_TARGET_DEGRADED;
}

void lrb_turn_uncount(lrb_prober *prober, const target *target) {
    prober->answering -= answers(target);
    prober->failing -= answers(target) && target->is_failing;
}

static void count(lrb_prober *prober, const target *target) {
    prober->answering += answers(target);
    prober->failing += answers(target) && target->is_failing;
}

static bool is_suspicious(const lrb_prober *prober) {
    return prober->answering >= MIN_SUSPICIOUS && prober->failing * 2 > prober->answering;
}

static void set_isolated(lrb_prober *prober, bool isolated, int64_t now_ns) {
    if (prober->isolated == isolated) return;
    prober->isolated = isolated;
    prober->isolated_ns = now_ns;
    prober->isolation_changes++;
    lrb_news_raise(prober);
}

/* Whether the status stays as it is, although this finding would change it. */
static bool suspects_itself(lrb_prober *prober, const target *target, const lrb_finding *finding, int64_t now_ns) {
    if (!lrb_health_would_fall(&target->health, finding)) return false;
    if (is_suspicious(prober)) set_isolated(prober, true, now_ns);
    return prober->isolated && now_ns - prober->isolated_ns < LRB_FALL * target->period_ms * NS_PER_MS;
}

/* ---- sweeps: one after the other, or who asks often would keep the one under way from ever ending ---- */

void lrb_turn_ask(lrb_prober *prober, target *target, uint64_t ticket) {
    target->asked = ticket;
    target->due_ns = (int64_t)target->group->place; /* long ago, and a sweep goes group by group */
    if (!target->is_under_way) lrb_schedule_put(&prober->schedule, target);
}

void lrb_turn_sweep(lrb_prober *prober, uint64_t ticket) {
    prober->sweep = ticket;
    prober->sweep_left = prober->count;
    for (size_t i = 0; i < prober->count; i++) {
        lrb_turn_ask(prober, prober->targets[i], ticket);
        prober->targets[i]->is_in_sweep = true;
    }
    if (prober->count) return;
    prober->swept = ticket;
    lrb_news_raise(prober);
}

static void begin_next_sweep(lrb_prober *prober) {
    uint64_t ticket = prober->next_sweep;
    if (!ticket || prober->sweep_left) return;
    prober->next_sweep = 0;
    lrb_turn_sweep(prober, ticket);
}

void lrb_turn_leave_sweep(lrb_prober *prober, target *target) {
    if (!target->is_in_sweep) return;
    target->is_in_sweep = false;
    if (--prober->sweep_left) return;
    prober->swept = prober->sweep;
    lrb_news_raise(prober);
    (void)eventfd_write(prober->wake_fd, 1); /* the next one may wait, and this may be a caller's thread */
}

/* ---- one target's probe ---- */

static void plan_next(lrb_prober *prober, target *target, int64_t now_ns) {
    int64_t period_ns = target->period_ms * NS_PER_MS;
    if (target->period_at <= now_ns) target->period_at += ((now_ns - target->period_at) / period_ns + 1) * period_ns;
    target->due_ns = target->asked > target->checked ? now_ns : target->period_at;
    lrb_schedule_put(&prober->schedule, target);
}

static void postpone(lrb_prober *prober, target *target, int64_t delay_ms) {
    target->due_ns = lrb_clock_monotonic_ns() + delay_ms * NS_PER_MS;
    lrb_schedule_put(&prober->schedule, target);
}

void lrb_turn_abandon(target *target) {
    if (!target->is_under_way) return;
    curl_multi_remove_handle(target->group->multi, target->easy);
    lrb_probe_end(target);
}

static void begin(lrb_prober *prober, target *target) {
    if (target->connection.is_name && prober->resolving >= LRB_PROBE_MAX_RESOLVING) {
        postpone(prober, target, RESOLVE_AGAIN_MS);
        return;
    }
    lrb_err err;
    lrb_schedule_remove(&prober->schedule, target);
    target->asked_by_probe = target->asked;
    target->asked_alone_by_probe = target->asked_alone;
    if (lrb_probe_begin(target, &err)) {
        postpone(prober, target, RETRY_MS);
    } else if (curl_multi_add_handle(target->group->multi, target->easy) != CURLM_OK) {
        lrb_probe_end(target);
        postpone(prober, target, RETRY_MS);
    }
}

static void take_finding(lrb_prober *prober, target *target, const lrb_finding *finding, int64_t now_ns) {
    lrb_turn_uncount(prober, target);
    target->is_failing = finding->status == LRB_TARGET_UNREACHABLE;
    count(prober, target);
    bool hold = suspects_itself(prober, target, finding, now_ns);
    lrb_turn_uncount(prober, target);
    bool changed = lrb_health_feed(&target->health, finding, hold);
    count(prober, target);
    if (prober->isolated && !is_suspicious(prober)) set_isolated(prober, false, now_ns);
    target->probes++;
    target->probed_ns = lrb_clock_wall_ns();
    if (changed) target->since_ns = target->probed_ns;
    bool answers_one = target->checked < target->asked_alone_by_probe;
    target->checked = target->asked_by_probe;
    if (target->checked >= prober->sweep) lrb_turn_leave_sweep(prober, target);
    if (!changed && !answers_one) return;
    lrb_news_put(prober, target);
    lrb_news_raise(prober);
}

static void end(lrb_prober *prober, target *target, CURLcode result) {
    lrb_finding finding;
    lrb_err err;
    int code = lrb_probe_judge(target, result, &finding, &err);
    lrb_turn_abandon(target);
    int64_t now_ns = lrb_clock_monotonic_ns();
    if (code) {
        postpone(prober, target, RETRY_MS);
        return;
    }
    take_finding(prober, target, &finding, now_ns);
    plan_next(prober, target, now_ns);
}

/* ---- the thread ---- */

/* One group's, which the next turn begins with: what it touches is then still near the processor. */
static void begin_due(lrb_prober *prober) {
    int64_t now_ns = lrb_clock_monotonic_ns();
    target *next = lrb_schedule_first(&prober->schedule);
    const group *group = next ? next->group : NULL;
    for (; next && next->due_ns <= now_ns && next->group == group; next = lrb_schedule_first(&prober->schedule)) begin(prober, next);
}

void lrb_turn_end_done(group *group) {
    CURLMsg *message;
    for (int left; (message = curl_multi_info_read(group->multi, &left));) {
        target *target = NULL;
        CURLcode result = message->data.result;
        if (message->msg != CURLMSG_DONE || curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &target) != CURLE_OK) continue;
        end(group->prober, target, result);
    }
}

/* When something is to be done whatever comes; INT64_MAX: never. */
static int64_t next_due_ns(const lrb_prober *prober) {
    const target *first = lrb_schedule_first(&prober->schedule);
    int64_t timer_ns = lrb_groups_timer_ns(prober);
    return first && first->due_ns < timer_ns ? first->due_ns : timer_ns;
}

static int sleep_ms(int64_t due_ns) {
    if (due_ns == INT64_MAX) return -1;
    int64_t left_ns = due_ns - lrb_clock_monotonic_ns();
    int64_t left_ms = left_ns <= 0 ? 0 : (left_ns - 1) / NS_PER_MS + 1;
    return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

/* Where answers come and many are waited for, more are to be expected: one waking for all of GATHER_MS instead of one for
 * each. A few do not wait for one another. */
static bool expects_more(const lrb_prober *prober, int count) {
    return count > 0 && prober->under_way > LRB_GROUP_TARGETS;
}

/* Lets answers gather, unless a caller wants something. What is due soon keeps a distance of as long again: after its
 * deadline libcurl would refuse an answer that had come in time. */
static void gather(const lrb_prober *prober, int64_t due_ns) {
    struct pollfd wakes = {.fd = prober->wake_fd, .events = POLLIN};
    if (due_ns - lrb_clock_monotonic_ns() >= 2 * GATHER_MS * NS_PER_MS) (void)poll(&wakes, 1, GATHER_MS);
}

static void turn(lrb_prober *prober, const struct epoll_event *events, int count) {
    for (int i = 0; i < count; i++) {
        eventfd_t wakes;
        if (events[i].data.u64 == LRB_WAKE) (void)eventfd_read(prober->wake_fd, &wakes);
        else lrb_groups_act(prober, &events[i]);
    }
}

void *lrb_turn_run(void *arg) {
    lrb_prober *prober = arg;
    struct epoll_event events[EVENTS_AT_ONCE];
    int count = 0;
    pthread_mutex_lock(&prober->lock);
    while (!prober->stopping) {
        begin_next_sweep(prober);
        begin_due(prober);
        lrb_groups_act_in_time(prober);
        int64_t due_ns = next_due_ns(prober);
        bool more = expects_more(prober, count);
        pthread_mutex_unlock(&prober->lock);
        if (more) gather(prober, due_ns);
        count = epoll_wait(prober->epoll_fd, events, EVENTS_AT_ONCE, more ? 0 : sleep_ms(due_ns));
        pthread_mutex_lock(&prober->lock);
        turn(prober, events, count);
    }
    pthread_mutex_unlock(&prober->lock);
    return NULL;
}
