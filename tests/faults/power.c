#include "power.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct power {
    world *w;
    disk *d;
    power_judge judge;
    uint64_t *seen;      /* a hash table of states already judged */
    size_t seen_room, states, cuts;
    uint8_t *harm;
    uint64_t seed;
    int complaints;
} power;

enum { COMPLAINTS_MAX = 5, DEEP_EVERY = 3 };

static bool is_new(power *p, uint64_t state) {
    for (size_t at = state & (p->seen_room - 1);; at = (at + 1) & (p->seen_room - 1)) {
        if (p->seen[at] == state) return false;
        if (p->seen[at]) continue;
        p->seen[at] = state;
        return true;
    }
}

static void complain(power *p, size_t cut, const char *wrong) {
    printf("power cut before %zu (%s): %s\n", cut, disk_event(p->d, cut), wrong);
    for (size_t i = 0; i < disk_operations(p->d); i++)
        if (p->harm[i]) printf("  harm %d to operation %zu: %s\n", p->harm[i], i, disk_operation(p->d, i));
    for (size_t i = cut > 12 ? cut - 12 : 0; i < cut; i++) printf("  event %zu: %s\n", i, disk_event(p->d, i));
    p->complaints++;
}

/* How much was promised by then. */
static uint64_t promises(const world *w, size_t cut) {
    uint64_t count = cut >= w->restored_at;
    for (int i = 0; i < w->run_count; i++) count += w->runs[i].made && w->runs[i].made_at <= cut;
    return count;
}

/* A state that was good while less was promised is judged again. */
static void judge_state(power *p, size_t cut) {
    char into[512];
    uint64_t state = disk_cut(p->d, cut, p->harm) + promises(p->w, cut) * 0x9e3779b97f4a7c15u;
    if (p->complaints >= COMPLAINTS_MAX || !is_new(p, state ? state : 1)) return;
    if (++p->states * 2 > p->seen_room) abort();
    fixture_path(into, p->w->root, "state");
    if (mkdir(into, 0750)) abort();
    disk_write(p->d, into);
    const char *wrong = p->judge(p->w, into, cut, p->states % DEEP_EVERY == 0);
    if (*wrong) complain(p, cut, wrong);
    world_remove_tree(into);
}

/* Every harm to operation `at`, and with it every harm to one of those before it. */
static void harm_up_to_two(power *p, size_t cut, const size_t *uncertain, size_t at) {
    for (disk_harm harm = DISK_LOST; harm < DISK_HARMS; harm++) {
        if (!disk_possible(p->d, cut, uncertain[at], harm)) continue;
        p->harm[uncertain[at]] = (uint8_t)harm;
        judge_state(p, cut);
        for (size_t other = 0; other < at; other++) {
            for (disk_harm second = DISK_LOST; second < DISK_HARMS; second++) {
                if (!disk_possible(p->d, cut, uncertain[other], second)) continue;
                p->harm[uncertain[other]] = (uint8_t)second;
                judge_state(p, cut);
            }
            p->harm[uncertain[other]] = DISK_WHOLE;
        }
    }
    p->harm[uncertain[at]] = DISK_WHOLE;
}

static void harm_at_random(power *p, size_t cut, const size_t *uncertain, size_t count, long states) {
    for (long i = 0; i < states && count; i++) {
        for (size_t k = 0; k < count; k++) {
            disk_harm harm = (disk_harm)(seam_random(&p->seed) % DISK_HARMS);
            p->harm[uncertain[k]] = disk_possible(p->d, cut, uncertain[k], harm) ? (uint8_t)harm : DISK_WHOLE;
        }
        judge_state(p, cut);
    }
    for (size_t k = 0; k < count; k++) p->harm[uncertain[k]] = DISK_WHOLE;
}

static void lose_all(power *p, size_t cut, const size_t *uncertain, size_t count) {
    for (size_t k = 0; k < count; k++)
        p->harm[uncertain[k]] = disk_possible(p->d, cut, uncertain[k], DISK_LOST) ? DISK_LOST : DISK_BOTH_NAMES;
    judge_state(p, cut);
    for (size_t k = 0; k < count; k++) p->harm[uncertain[k]] = DISK_WHOLE;
}

long power_setting(const char *name, long usual) {
    const char *said = getenv(name);
    return said ? atol(said) : usual;
}

bool power_cut_everywhere(world *w, disk *d, power_judge judge, bool pairs, power_count *count_out) {
    size_t uncertain[UNCERTAIN_MAX];
    disk_pause(d);
    power p = {.w = w, .d = d, .judge = judge, .seen_room = 1 << 22, .seed = 1};
    p.seen = calloc(p.seen_room, sizeof *p.seen);
    p.harm = calloc(disk_operations(d) + 1, 1);
    for (size_t cut = 0; cut <= disk_events(d); cut++) {
        size_t count = disk_uncertain(d, cut, uncertain, UNCERTAIN_MAX);
        if (count == UNCERTAIN_MAX) abort();
        judge_state(&p, cut);
        lose_all(&p, cut, uncertain, count);
        for (size_t i = 0; i < count; i++) {
            if (pairs) harm_up_to_two(&p, cut, uncertain, i);
            else for (disk_harm harm = DISK_LOST; harm < DISK_HARMS; harm++) {
                if (!disk_possible(d, cut, uncertain[i], harm)) continue;
                p.harm[uncertain[i]] = (uint8_t)harm;
                judge_state(&p, cut);
                p.harm[uncertain[i]] = DISK_WHOLE;
            }
        }
        harm_at_random(&p, cut, uncertain, count, pairs ? power_setting("LRB_POWER_RANDOM", 20) : 0);
    }
    free(p.seen);
    free(p.harm);
    count_out->events += disk_events(d);
    count_out->states += p.states;
    return !p.complaints;
}

void power_report(const char *what, const power_count *count) {
    printf("%s: %zu events, %zu states\n", what, count->events, count->states);
    fflush(stdout);
}

/* ---- a storage ---- */

const char *power_judge_storage(world *w, const char *state, size_t cut, bool deep) {
    char storage[512];
    fixture_path(storage, state, "storage");
    world_demand demand = {.since = cut, .deep = deep, .maybe_absent = true};
    for (int i = 0; i < w->run_count; i++) demand.maybe_absent &= !(w->runs[i].made && w->runs[i].made_at <= cut);
    return world_judge(w, storage, &demand);
}

disk *power_watch_storage(world *w) {
    char root[512], storage[512];
    fixture_path(root, w->root, "disk");
    fixture_path(storage, root, "storage");
    mkdir(root, 0750);
    if (access(w->storage, F_OK) == 0 && rename(w->storage, storage)) abort();
    snprintf(w->storage, sizeof w->storage, "%s", storage);
    return disk_begin(root);
}

int power_backup(world *w, disk *d, lrb_err *err) {
    int run, code = world_backup(w, NULL, &run, err);
    if (!code) w->runs[run].made_at = disk_events(d);
    return code;
}

void power_runs_before(world *w, unsigned turns) {
    lrb_err err;
    int run;
    for (unsigned turn = 0; turn < turns; turn++) {
        world_change(w, turn);
        if (world_backup(w, NULL, &run, &err)) printf("%s\n", err.message), abort();
    }
}
