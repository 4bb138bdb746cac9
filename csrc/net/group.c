#include "base/clock.h"
#include "base/mem.h"
#include "net/prober_private.h"

/* ---- what libcurl asks ---- */

static int watch(CURL *easy, curl_socket_t fd, int what, void *arg, void *watched) {
    (void)easy;
    const group *group = arg;
    int epoll_fd = group->prober->epoll_fd;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    struct epoll_event event = {.data.u64 = (uint64_t)group->place << 32 | (uint32_t)fd};
    if (what & CURL_POLL_IN) event.events |= EPOLLIN;
    if (what & CURL_POLL_OUT) event.events |= EPOLLOUT;
    if (epoll_ctl(epoll_fd, watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event)) return -1;
    curl_multi_assign(group->multi, fd, arg);
    return 0;
}

static int set_timer(CURLM *multi, long timeout_ms, void *arg) {
    (void)multi;
    group *group = arg;
    group->timer_ns = timeout_ms < 0 ? INT64_MAX : lrb_clock_monotonic_ns() + (int64_t)timeout_ms * NS_PER_MS;
    return 0;
}

/* ---- making one ---- */

static bool open_multi(group *group) {
    CURLM *multi = group->multi = curl_multi_init();
    return multi && curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, group) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERDATA, group) == CURLM_OK;
}

static void drop(group *group) {
    if (group->multi) curl_multi_cleanup(group->multi);
    lrb_free(group);
}

static int add(lrb_prober *prober, group **out, lrb_err *err) {
    if (prober->group_count == prober->group_capacity) {
        size_t capacity = prober->group_capacity ? prober->group_capacity * 2 : 4;
        group **groups = lrb_resize_array(prober->groups, capacity, sizeof *groups);
        if (!groups) return lrb_err_nomem(err, "add a target");
        prober->groups = groups;
        prober->group_capacity = capacity;
    }
    group *made = lrb_alloc_zero(1, sizeof *made);
    if (!made) return lrb_err_nomem(err, "add a target");
    *made = (group){.prober = prober, .place = prober->group_count, .timer_ns = INT64_MAX};
    if (!open_multi(made)) {
        drop(made);
        return lrb_err_nomem(err, "add a target");
    }
    *out = prober->groups[prober->group_count++] = made;
    return LRB_OK;
}

/* What all may keep is shared among them. */
static void limit(const lrb_prober *prober) {
    size_t each = LRB_PROBE_MAX_KEPT / prober->group_count;
    for (size_t i = 0; i < prober->group_count; i++) curl_multi_setopt(prober->groups[i]->multi, CURLMOPT_MAXCONNECTS, (long)(each ? each : 1));
}

int lrb_group_with_room(lrb_prober *prober, group **out, lrb_err *err) {
    for (size_t i = prober->group_count; i-- > 0;) { /* most often the last one has */
        *out = prober->groups[i];
        if ((*out)->targets < LRB_GROUP_TARGETS) return LRB_OK;
    }
    int code = add(prober, out, err);
    if (!code) limit(prober);
    return code;
}

void lrb_groups_clear(lrb_prober *prober) {
    for (size_t i = 0; i < prober->group_count; i++) drop(prober->groups[i]);
    lrb_free(prober->groups);
}

/* ---- acting ---- */

int64_t lrb_groups_timer_ns(const lrb_prober *prober) {
    int64_t earliest = INT64_MAX;
    for (size_t i = 0; i < prober->group_count; i++)
        if (prober->groups[i]->timer_ns < earliest) earliest = prober->groups[i]->timer_ns;
    return earliest;
}

static void act(group *group, curl_socket_t fd, int what) {
    int running;
    curl_multi_socket_action(group->multi, fd, what, &running);
    lrb_turn_end_done(group);
}

void lrb_groups_act(lrb_prober *prober, const struct epoll_event *event) {
    int what = 0;
    if (event->events & (EPOLLIN | EPOLLHUP)) what |= CURL_CSELECT_IN;
    if (event->events & EPOLLOUT) what |= CURL_CSELECT_OUT;
    if (event->events & EPOLLERR) what |= CURL_CSELECT_ERR;
    act(prober->groups[event->data.u64 >> 32], (curl_socket_t)(uint32_t)event->data.u64, what);
}

void lrb_groups_act_in_time(lrb_prober *prober) {
    int64_t now_ns = lrb_clock_monotonic_ns();
    for (size_t i = 0; i < prober->group_count; i++) {
        group *group = prober->groups[i];
        if (group->timer_ns > now_ns) continue;
        group->timer_ns = INT64_MAX;
        act(group, CURL_SOCKET_TIMEOUT, 0);
    }
}
