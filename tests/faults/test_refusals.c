/* The n-th call to the kernel goes wrong, for n = 0, 1, 2 … until the work ends without meeting it.
 *
 * Each piece of work (a first backup, a later one, also of a graph that is judged, dropping and pruning, holding,
 * verifying, restoring in each of the three ways) is done once per call and per kind of trouble: every errno a device in trouble gives, from the n-th call
 * on (the disk has gone) or for that call alone; the call made and its answer lost; the call interrupted; a read or a
 * write cut short. Interrupted and short calls must not be noticed. Otherwise the work succeeds, or fails with one error
 * that says what and where; and whichever it was: what was committed is there, the repository opens, is whole, can be
 * cleaned, and the next run succeeds. Nothing is leaked: not a descriptor, and (AddressSanitizer) not a byte.
 *
 * Sealed repositories make the same calls and some more; of theirs every SEALED_STEP-th is tried.
 *
 * LRB_REFUSALS_STEP: every so many calls only (default 1).
 */
#include <dirent.h>
#include <errno.h>

#include "check.h"
#include "world.h"

static size_t states; /* judged */

typedef enum trouble { ONCE, FOR_GOOD, ANSWER_LOST, INTERRUPTED, SHORT, TROUBLES } trouble;

static const char *const trouble_names[TROUBLES] = {"refused once", "refused from then on", "done and its answer lost", "interrupted",
                                                    "cut short"};

static struct {
    trouble kind;
    size_t at, seen;   /* the call that goes wrong; calls so far */
    size_t which;      /* of its errnos */
    bool met, over;    /* the trouble was met; `which` is beyond this call's errnos */
    char call[PATH_MAX + 32];
    int sys_errno;
} plan;

static seam_verdict go_wrong(const seam_call *call, int *sys_errno) {
    size_t number = plan.seen++, count;
    const int *errnos = seam_errnos(call->kind, &count);
    bool hit = number == plan.at || (plan.kind == FOR_GOOD && number > plan.at);
    if (!hit) return SEAM_PASS;
    if (number == plan.at) {
        snprintf(plan.call, sizeof plan.call, "%s %s", seam_names[call->kind], call->path);
        plan.met = true;
        plan.over = plan.which >= count;
    }
    plan.sys_errno = *sys_errno = plan.kind == INTERRUPTED ? EINTR : errnos[plan.which < count ? plan.which : 0];
    switch (plan.kind) {
    case SHORT: return SEAM_SHORTEN;
    case INTERRUPTED: return seam_can_interrupt(call->kind) ? SEAM_REFUSE : SEAM_PASS;
    case ANSWER_LOST: return SEAM_LOSE_ANSWER;
    default: return SEAM_REFUSE;
    }
}

/* ---- the pieces of work ---- */

typedef struct work {
    const char *name;
    unsigned runs; /* there before */
    int (*run)(world *w, lrb_err *err);
    bool restores, present, shared; /* to place/target, where run 0 may be, and another workspace beside it */
    bool graph;                     /* of a graph, which is judged */
} work;

enum { OLD = 0, NEW = 1 };

static void target_path(const world *w, char out[512]) {
    fixture_path(out, w->root, "place/target");
}

static int do_backup(world *w, lrb_err *err) {
    int run;
    return world_backup(w, NULL, &run, err);
}

static int do_prune(world *w, lrb_err *err) {
    int code = world_drop(w, 0, err);
    if (!code) code = world_drop(w, 3, err);
    return code ? code : world_prune(w, 0, err);
}

static int do_hold(world *w, lrb_err *err) {
    int code = world_hold(w, 1, true, err);
    return code ? code : world_hold(w, 1, false, err);
}

/* A disk that cannot be read is no damage to what is on it: nothing may be found, and nothing entered as damaged. */
static int do_verify(world *w, lrb_err *err) {
    uint64_t findings;
    return world_verify(w, w->storage, &findings, true, err);
}

static int restore_to_target(world *w, bool shared, lrb_err *err) {
    char target[512];
    target_path(w, target);
    return world_restore(w, w->storage, w->runs[NEW].id, target, shared, err);
}

static int do_restore(world *w, lrb_err *err) { return restore_to_target(w, false, err); }
static int do_restore_shared(world *w, lrb_err *err) { return restore_to_target(w, true, err); }

static const work works[] = {
    {.name = "a first backup", .runs = 0, .run = do_backup},
    {.name = "a later backup", .runs = 3, .run = do_backup},
    {.name = "drop and prune", .runs = 5, .run = do_prune},
    {.name = "hold and release", .runs = 2, .run = do_hold},
    {.name = "verify", .runs = 2, .run = do_verify},
    {.name = "restore to a new place", .runs = 2, .run = do_restore, .restores = true},
    {.name = "restore by exchange", .runs = 2, .run = do_restore, .restores = true, .present = true},
    {.name = "restore item by item", .runs = 2, .run = do_restore_shared, .restores = true, .present = true, .shared = true},
    {.name = "a first backup of a graph", .runs = 0, .run = do_backup, .graph = true},
    {.name = "a later backup of a graph", .runs = 2, .run = do_backup, .graph = true},
    {.name = "restore of a graph", .runs = 2, .run = do_restore, .restores = true, .graph = true},
};

/* ---- one try ---- */

static bool must_not_be_noticed(void) {
    return plan.kind == INTERRUPTED || plan.kind == SHORT;
}

static void complain(const work *is, const char *wrong) {
    printf("%s, call %zu (%s) %s with %s: %s\n", is->name, plan.at, plan.call, trouble_names[plan.kind], strerrorname_np(plan.sys_errno),
           wrong);
    check_failures++;
}

/* Whoever is to mend what the system refused has to find it. */
static bool says_where(const lrb_err *err) {
    bool refused = err->sys_errno && (err->code == LRB_E_IO || err->code == LRB_E_NO_SPACE);
    return refused ? err->target[0] == '/' : err->target[0] || err->op[0];
}

static bool clear_error(const lrb_err *err) {
    return err->code != LRB_E_INTERNAL && err->message[0] && says_where(err);
}

/* Names that only a restore makes, in the target and beside it. */
static int leftovers(const world *w, const char *below) {
    char path[512];
    int count = 0;
    fixture_path(path, w->root, below);
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) count += lrb_publish_reserved(entry->d_name);
    if (dir) closedir(dir);
    return count;
}

static void judge_target(world *w, const work *is, int code) {
    char target[512], another[512];
    lrb_err err;
    bool finished;
    target_path(w, target);
    fixture_path(another, target, "another/file");
    if (lrb_publish_finish(target, &finished, &err)) complain(is, err.message);
    bool absent = access(target, F_OK) != 0, times = !is->present; /* item by item, an equal file stays as it is */
    bool is_new = !absent && world_is_run(w, NEW, target, times);
    bool is_old = is->present ? !absent && world_is_run(w, OLD, target, times) : absent;
    if (!is_new && !is_old) complain(is, "the target is neither old nor new");
    if (!code && !is_new) complain(is, "the restore succeeded and the target is not new");
    if (is->shared && access(another, F_OK)) complain(is, "another workspace is gone");
    if (leftovers(w, "place") || leftovers(w, "place/target")) complain(is, "something of the restore was left behind");
    if (is->run(w, &err)) complain(is, err.message);
    else if (!world_is_run(w, NEW, target, times)) complain(is, "the next restore does not bring the new state");
}

static void judge_answer(const work *is, int code, const lrb_err *err) {
    char text[700];
    snprintf(text, sizeof text, "%s: %s: %s: %s", lrb_code_symbol(code), err->op, err->target, err->message);
    if (code && must_not_be_noticed()) complain(is, text);
    if (code && !clear_error(err)) complain(is, text);
    if (code == LRB_E_DAMAGED && plan.sys_errno != EIO) complain(is, text); /* a medium may answer EIO; the rest is no damage */
}

static void judge_state(world *w, const work *is, int code) {
    world_demand demand = {.since = SIZE_MAX, .deep = true, .maybe_absent = !is->runs};
    if (is->restores) judge_target(w, is, code);
    const char *wrong = world_judge(w, w->storage, &demand);
    if (*wrong) complain(is, wrong);
}

/* Most calls that fail leave what another one left: judged once. What was promised is part of the state. */
static bool is_new_state(const world *w, const work *is, int code) {
    static uint64_t seen[1 << 14];
    static size_t count;
    char place[512];
    fixture_path(place, w->root, "place");
    uint64_t state = world_hash(w->storage) * 31 + (uint64_t)(is - works) * 7 + (code != 0);
    if (is->restores) state = state * 31 + world_hash(place);
    for (int i = 0; i < w->run_count; i++) state = state * 31 + w->runs[i].made * 2u + w->runs[i].dropping;
    for (size_t i = 0; i < count; i++)
        if (seen[i] == state) return false;
    if (count < sizeof seen / sizeof *seen) seen[count++] = state;
    states++;
    return true;
}

/* False when the work ended before call number `at`. */
static bool try_once(world *w, const work *is, trouble kind, size_t at, size_t which) {
    lrb_err err = {0};
    world before = *w;
    world_load(w, "before");
    if (is->restores) {
        char place[512], saved[512];
        fixture_path(place, w->root, "place");
        fixture_path(saved, w->root, "place-before");
        world_remove_tree(place);
        world_copy_tree(saved, place);
    }
    plan = (__typeof__(plan)){.kind = kind, .at = at, .which = which};
    int descriptors = world_descriptors();
    world_repeat(1);
    snprintf(seam.root, sizeof seam.root, "%s", w->root);
    seam.before = go_wrong;
    int code = is->run(w, &err);
    seam.before = NULL;
    seam.root[0] = '\0';
    if (world_descriptors() != descriptors) complain(is, "a descriptor was left open");
    if (plan.met && !plan.over) {
        judge_answer(is, code, &err);
        if (is_new_state(w, is, code)) judge_state(w, is, code);
    }
    bool met = plan.met, over = plan.over;
    world_forget(w, &before);
    return met && !over;
}

static int prepare_place(world *w, const work *is, lrb_err *err) {
    char path[512];
    fixture_path(path, w->root, "place-before");
    mkdir(path, 0755);
    fixture_path(path, w->root, "place-before/target");
    int code = is->present ? world_restore(w, w->storage, w->runs[OLD].id, path, false, err) : LRB_OK;
    if (code || !is->shared) return code;
    fixture_path(path, w->root, "place-before/target/another");
    mkdir(path, 0755);
    fixture_write(path, "file", 10, 1);
    return LRB_OK;
}

enum { SEALED_STEP = 7 };

static size_t step(void) {
    const char *said = getenv("LRB_REFUSALS_STEP");
    return (said && atol(said) > 0 ? (size_t)atol(said) : 1) * (world_key ? SEALED_STEP : 1);
}

static void refuse_everywhere(const work *is) {
    world w;
    lrb_err err;
    int run;
    size_t calls = 0, tries = 0;
    states = 0;
    world_open(&w);
    w.graph = is->graph;
    if (!is->runs) mkdir(w.storage, 0750);
    for (unsigned turn = 0; turn < is->runs; turn++) {
        world_change(&w, turn);
        CHECK_OK(world_backup(&w, NULL, &run, &err));
    }
    world_change(&w, is->runs);
    world_save(&w, "before");
    if (is->restores) CHECK_OK(prepare_place(&w, is, &err));
    for (int kind = 0; kind < TROUBLES; kind++) {
        bool met = true;
        for (size_t at = 0; met && check_failures < 20; at += step())
            for (size_t which = 0; check_failures < 20; which++, tries++) {
                bool more = try_once(&w, is, (trouble)kind, at, which);
                if (!which) met = plan.met;
                if (plan.seen > calls) calls = plan.seen;
                if (!more || kind >= INTERRUPTED) break;
            }
    }
    printf("%s: %zu calls, %zu tries, %zu states\n", is->name, calls, tries, states);
    fflush(stdout);
    world_close(&w);
}

TEST(every_call_of_the_repository) {
    for (size_t i = 0; i < sizeof works / sizeof *works; i++) refuse_everywhere(&works[i]);
}

TEST(calls_of_a_sealed_repository) {
    world_key = &fixture_some_key;
    for (size_t i = 0; i < sizeof works / sizeof *works; i++) refuse_everywhere(&works[i]);
    world_key = NULL;
}

int main(void) {
    RUN(every_call_of_the_repository);
    RUN(calls_of_a_sealed_repository);
    return check_report();
}
