#include "net/prober.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/thread.h"
#include "net/prober_private.h"

static void wake(lrb_prober *prober) {
    (void)eventfd_write(prober->wake_fd, 1);
}

/* ---- starting and stopping ---- */

static int open_descriptors(lrb_prober *prober, lrb_err *err) {
    prober->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    prober->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    prober->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (prober->epoll_fd < 0 || prober->wake_fd < 0 || prober->news_fd < 0) return lrb_err_sys(err, errno, "start", "the prober");
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = LRB_WAKE};
    if (epoll_ctl(prober->epoll_fd, EPOLL_CTL_ADD, prober->wake_fd, &event)) return lrb_err_sys(err, errno, "start", "the prober");
    return LRB_OK;
}

static void release(lrb_prober *prober) {
    for (size_t i = 0; i < prober->count; i++) {
        lrb_turn_abandon(prober->targets[i]);
        lrb_probe_target_free(prober->targets[i]);
    }
    lrb_free(prober->targets);
    lrb_schedule_clear(&prober->schedule);
    lrb_groups_clear(prober);
    lrb_prober_forget(prober);
    pthread_mutex_destroy(&prober->lock);
    lrb_free(prober);
}

int lrb_prober_start(lrb_prober **out, lrb_err *err) {
    lrb_prober *prober = lrb_alloc_zero(1, sizeof *prober);
    if (!prober) return lrb_err_nomem(err, "start");
    prober->epoll_fd = prober->wake_fd = prober->news_fd = -1;
    pthread_mutex_init(&prober->lock, NULL);
    int code = open_descriptors(prober, err);
    if (!code) code = lrb_curl_begin(err);
    if (!code) code = lrb_thread_start(&prober->thread, lrb_turn_run, prober, "the prober's thread", err);
    if (code) release(prober);
    else *out = prober;
    return code;
}

void lrb_prober_stop(lrb_prober *prober) {
    if (!prober) return;
    pthread_mutex_lock(&prober->lock);
    prober->stopping = true;
    wake(prober);
    pthread_mutex_unlock(&prober->lock);
    pthread_join(prober->thread, NULL);
    release(prober);
}

void lrb_prober_forget(lrb_prober *prober) {
    if (prober->epoll_fd >= 0) lrb_fs_close(prober->epoll_fd);
    if (prober->wake_fd >= 0) lrb_fs_close(prober->wake_fd);
    if (prober->news_fd >= 0) lrb_fs_close(prober->news_fd);
}

/* ---- the table ---- */

static void tell(const target *target, lrb_prober_news *out) {
    memcpy(out->id, target->id, sizeof out->id);
    out->status = target->health.status;
    out->last = target->health.last;
    out->probed_ns = target->probed_ns;
    out->since_ns = target->since_ns;
    out->probes = target->probes;
    out->checked = target->checked;
}

static size_t place_of(const lrb_prober *prober, const char *id, bool *found) {
    size_t low = 0, high = prober->count;
    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(prober->targets[middle]->id, id);
        if (!order) *found = true;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return low;
}

static target *find(const lrb_prober *prober, const char *id) {
    bool found;
    size_t place = place_of(prober, id, &found);
    return found ? prober->targets[place] : NULL;
}

static int reserve(lrb_prober *prober, lrb_err *err) {
    int code = lrb_schedule_reserve(&prober->schedule, prober->count + 1, err);
    if (code || prober->count < prober->capacity) return code;
    size_t capacity = prober->capacity ? prober->capacity * 2 : 16;
    target **targets = lrb_resize_array(prober->targets, capacity, sizeof *targets);
    if (!targets) return lrb_err_nomem(err, "add a target");
    prober->targets = targets;
    prober->capacity = capacity;
    return LRB_OK;
}

/* Lets a target go that stands in the table no more. */
static void drop(lrb_prober *prober, target *target) {
    lrb_turn_uncount(prober, target);
    lrb_turn_abandon(target);
    lrb_news_drop(prober, target);
    lrb_turn_leave_sweep(prober, target);
    lrb_schedule_remove(&prober->schedule, target);
    target->group->targets--;
    lrb_probe_target_free(target);
}

static void insert(lrb_prober *prober, target *target, group *group) {
    bool found;
    target->group = group;
    group->targets++;
    size_t place = place_of(prober, target->id, &found);
    if (found) {
        target->asked = prober->targets[place]->asked; /* who waits for an answer gets the new one's */
        target->asked_alone = prober->targets[place]->asked_alone;
        target->checked = prober->targets[place]->checked;
        target->is_in_sweep = prober->targets[place]->is_in_sweep;
        prober->sweep_left += target->is_in_sweep;
        drop(prober, prober->targets[place]);
    } else {
        memmove(prober->targets + place + 1, prober->targets + place, (prober->count++ - place) * sizeof *prober->targets);
    }
    prober->targets[place] = target;
    target->period_at = lrb_clock_monotonic_ns() + lrb_probe_target_phase_ns(target);
    target->due_ns = target->asked > target->checked ? 0 : target->period_at;
    lrb_schedule_put(&prober->schedule, target);
}

int lrb_prober_set(lrb_prober *prober, const lrb_probe_target *from, lrb_err *err) {
    target *target;
    int code = lrb_probe_target_new(from, &target, err);
    if (code) return code;
    pthread_mutex_lock(&prober->lock);
    group *group;
    code = reserve(prober, err);
    if (!code) code = lrb_group_with_room(prober, &group, err);
    if (code) lrb_probe_target_free(target);
    else insert(prober, target, group);
    wake(prober);
    pthread_mutex_unlock(&prober->lock);
    return code;
}

bool lrb_prober_remove(lrb_prober *prober, const char *id) {
    bool found;
    pthread_mutex_lock(&prober->lock);
    size_t place = place_of(prober, id, &found);
    if (found) {
        drop(prober, prober->targets[place]);
        prober->count--;
        memmove(prober->targets + place, prober->targets + place + 1, (prober->count - place) * sizeof *prober->targets);
    }
    pthread_mutex_unlock(&prober->lock);
    return found;
}

bool lrb_prober_check(lrb_prober *prober, const char *id, uint64_t *ticket) {
    pthread_mutex_lock(&prober->lock);
    target *target = find(prober, id);
    if (target) {
        lrb_turn_ask(prober, target, *ticket = ++prober->tickets);
        target->asked_alone = *ticket;
        wake(prober);
    }
    pthread_mutex_unlock(&prober->lock);
    return target != NULL;
}

uint64_t lrb_prober_check_all(lrb_prober *prober) {
    pthread_mutex_lock(&prober->lock);
    uint64_t ticket = ++prober->tickets;
    if (prober->sweep_left || prober->next_sweep) prober->next_sweep = ticket;
    else lrb_turn_sweep(prober, ticket);
    wake(prober);
    pthread_mutex_unlock(&prober->lock);
    return ticket;
}

uint64_t lrb_prober_swept(lrb_prober *prober) {
    pthread_mutex_lock(&prober->lock);
    uint64_t swept = prober->swept;
    pthread_mutex_unlock(&prober->lock);
    return swept;
}

bool lrb_prober_look(lrb_prober *prober, const char *id, lrb_prober_news *out) {
    pthread_mutex_lock(&prober->lock);
    target *target = find(prober, id);
    if (target) tell(target, out);
    pthread_mutex_unlock(&prober->lock);
    return target != NULL;
}

size_t lrb_prober_look_after(lrb_prober *prober, const char *after, lrb_prober_news *out, size_t room) {
    size_t count = 0;
    bool found;
    pthread_mutex_lock(&prober->lock);
    size_t place = place_of(prober, after, &found) + found;
    for (; place < prober->count && count < room; place++) tell(prober->targets[place], &out[count++]);
    pthread_mutex_unlock(&prober->lock);
    return count;
}

int lrb_prober_fd(const lrb_prober *prober) {
    return prober->news_fd;
}

bool lrb_prober_next(lrb_prober *prober, lrb_prober_news *out) {
    pthread_mutex_lock(&prober->lock);
    target *target = lrb_news_take(prober);
    if (target) tell(target, out);
    pthread_mutex_unlock(&prober->lock);
    return target != NULL;
}

bool lrb_prober_isolated(lrb_prober *prober, uint64_t *changes) {
    pthread_mutex_lock(&prober->lock);
    bool isolated = prober->isolated;
    *changes = prober->isolation_changes;
    pthread_mutex_unlock(&prober->lock);
    return isolated;
}
