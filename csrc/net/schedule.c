#include "base/mem.h"
#include "net/prober_private.h"

int lrb_schedule_reserve(schedule *schedule, size_t count, lrb_err *err) {
    if (count <= schedule->capacity) return LRB_OK;
    size_t capacity = schedule->capacity ? schedule->capacity : 16;
    while (capacity < count)
        if (!lrb_mul_fits(capacity, 2, &capacity)) return lrb_err_nomem(err, "add a target");
    target **at = lrb_resize_array(schedule->at, capacity, sizeof *at);
    if (!at) return lrb_err_nomem(err, "add a target");
    schedule->at = at;
    schedule->capacity = capacity;
    return LRB_OK;
}

static void put_at(schedule *schedule, size_t place, target *target) {
    schedule->at[place] = target;
    target->place = place;
}

static void rise(schedule *schedule, target *target) {
    size_t place = target->place;
    for (; place > 0; place = (place - 1) / 2) {
        struct target *above = schedule->at[(place - 1) / 2];
        if (above->due_ns <= target->due_ns) break;
        put_at(schedule, place, above);
    }
    put_at(schedule, place, target);
}

static void sink(schedule *schedule, target *target) {
    size_t place = target->place;
    for (;;) {
        size_t below = place * 2 + 1;
        if (below >= schedule->count) break;
        if (below + 1 < schedule->count && schedule->at[below + 1]->due_ns < schedule->at[below]->due_ns) below++;
        if (schedule->at[below]->due_ns >= target->due_ns) break;
        put_at(schedule, place, schedule->at[below]);
        place = below;
    }
    put_at(schedule, place, target);
}

void lrb_schedule_put(schedule *schedule, target *target) {
    if (target->place == LRB_NOWHERE) put_at(schedule, schedule->count++, target);
    rise(schedule, target);
    sink(schedule, target);
}

void lrb_schedule_remove(schedule *schedule, target *target) {
    if (target->place == LRB_NOWHERE) return;
    struct target *last = schedule->at[--schedule->count];
    if (last != target) {
        last->place = target->place;
        rise(schedule, last);
        sink(schedule, last);
    }
    target->place = LRB_NOWHERE;
}

target *lrb_schedule_first(const schedule *schedule) {
    return schedule->count ? schedule->at[0] : NULL;
}

void lrb_schedule_clear(schedule *schedule) {
    lrb_free(schedule->at);
    *schedule = (struct schedule){0};
}
