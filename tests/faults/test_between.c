/* Somebody else works to the end between any two calls of one's own: every order there is of one whole and another.
 *
 * The first one works on a handle of its own; before its n-th call to the kernel, for n = 0, 1, 2 …, the other one opens
 * the repository, does all its work and closes it. Both must succeed, or fail with the error that says that the other was
 * faster; then the repository is judged (world.h).
 */
#include "check.h"
#include "world.h"

typedef int (*work)(world *w, lrb_err *err);

static struct {
    world *w;
    work other;
    size_t at, seen;
    bool met;
    int code;
    lrb_err err;
    char call[PATH_MAX + 32];
} between;

static seam_verdict let_other_work(const seam_call *call, int *sys_errno) {
    (void)sys_errno;
    if (between.seen++ != between.at) return SEAM_PASS;
    between.met = true;
    snprintf(between.call, sizeof between.call, "%s %s", seam_names[call->kind], call->path);
    seam.before = NULL;
    between.w->within = 1;
    between.code = between.other(between.w, &between.err);
    between.w->within = 0;
    seam.before = let_other_work;
    return SEAM_PASS;
}

/* ---- the works ---- */

static int backup(world *w, lrb_err *err) {
    int run;
    return world_backup(w, NULL, &run, err);
}

static int prune(world *w, lrb_err *err) { return world_prune(w, 0, err); }

static int drop_and_prune(world *w, lrb_err *err) {
    int code = world_drop(w, 0, err);
    return code ? code : world_prune(w, 0, err);
}

/* What a stopped writer relies on goes altogether. */
static int drop_all_and_prune(world *w, lrb_err *err) {
    int code = LRB_OK, runs = w->run_count;
    for (int run = 0; run < runs && !code; run++)
        if (w->runs[run].made) code = world_drop(w, run, err);
    return code ? code : world_prune(w, 0, err);
}

/* A hold that came too late finds no snapshot; one that succeeded keeps it. */
static int hold_first(world *w, lrb_err *err) {
    int code = world_hold(w, 0, true, err);
    if (!code) w->runs[0].dropping = false;
    return code == LRB_E_NOT_FOUND ? LRB_OK : code;
}

static int hold_second(world *w, lrb_err *err) { return world_hold(w, 1, true, err); }
static int hold_third(world *w, lrb_err *err) { return world_hold(w, 2, true, err); }

static int verify(world *w, lrb_err *err) {
    uint64_t findings = 0;
    int code = world_verify(w, w->storage, &findings, true, err);
    if (!code && findings) code = lrb_err_set(err, LRB_E_DAMAGED, "verify", "", "it found %d things", (int)findings);
    return code;
}

/* The packs that a prune takes out of use stay for readers under way, unless it is told not to wait: then a restore may
 * fail, but never bring anything else. */
static int restore_second(world *w, lrb_err *err) {
    char target[512];
    fixture_path(target, w->root, "target");
    world_remove_tree(target);
    int code = world_restore(w, w->storage, w->runs[1].id, target, false, err);
    if (!code && !world_is_run(w, 1, target, true)) code = lrb_err_set(err, LRB_E_INTERNAL, "restore", "", "it brought something else");
    return code;
}

static int restore_second_or_fail(world *w, lrb_err *err) {
    int code = restore_second(w, err);
    return code == LRB_E_DAMAGED || code == LRB_E_NOT_FOUND ? LRB_OK : code;
}

static int drop_and_prune_later(world *w, lrb_err *err) {
    int code = world_drop(w, 0, err);
    return code ? code : world_prune(w, INT64_C(3600) * 1000000000, err);
}

/* ---- every order of two ---- */

static void complain(const char *what, const char *wrong) {
    printf("%s, before call %zu (%s): %s\n", what, between.at, between.call, wrong);
    check_failures++;
}

static void one_order(world *w, const char *what, work first) {
    char text[700];
    lrb_err err = {0};
    between.seen = 0;
    between.met = false;
    between.code = 0;
    snprintf(seam.root, sizeof seam.root, "%s", w->storage);
    seam.before = let_other_work;
    int code = first(w, &err);
    seam.before = NULL;
    seam.root[0] = '\0';
    const lrb_err *wrong = code ? &err : &between.err;
    snprintf(text, sizeof text, "%s fails: %s: %s: %s", code ? "the first" : "the other", lrb_code_symbol(wrong->code), wrong->target,
             wrong->message);
    if (code || between.code) complain(what, text);
    world_demand demand = {.since = SIZE_MAX, .deep = true};
    const char *judged = world_judge(w, w->storage, &demand);
    if (*judged) complain(what, judged);
}

static void every_order(const char *what, unsigned runs, work first, work other) {
    world w;
    lrb_err err;
    int run, before = check_failures;
    world_open(&w);
    mkdir(w.storage, 0750);
    for (unsigned turn = 0; turn < runs; turn++) {
        world_change(&w, turn);
        if (world_backup(&w, NULL, &run, &err)) abort();
    }
    world_save(&w, "before");
    world saved = w;
    between = (__typeof__(between)){.w = &w, .other = other};
    for (between.met = true; between.met && check_failures < before + 3; between.at++) {
        world_load(&w, "before");
        world_forget(&w, &saved);
        one_order(&w, what, first);
    }
    printf("%s: %zu orders\n", what, between.at);
    fflush(stdout);
    world_close(&w);
}

TEST(two_backups) {
    every_order("a backup, and another within", 2, backup, backup);
    every_order("the first backup, and another within", 0, backup, backup);
}

TEST(a_backup_and_a_prune) {
    every_order("a backup, and its base dropped, retired and swept within", 3, backup, drop_all_and_prune);
    every_order("a prune, and a backup within", 4, drop_and_prune, backup);
    every_order("a prune, and its own kind within", 4, drop_and_prune, prune);
}

TEST(a_hold_and_a_prune) {
    every_order("a drop and a prune, and a hold within", 4, drop_and_prune, hold_first);
    every_order("a hold, and a drop and a prune within", 4, hold_first, drop_and_prune);
}

TEST(two_creators_of_one_number) {
    every_order("a hold, and another within", 3, hold_second, hold_third);
}

TEST(a_verify_among_writers) {
    every_order("a verify, and a backup within", 3, verify, backup);
    every_order("a verify, and a prune within", 4, verify, drop_and_prune);
}

TEST(a_restore_among_writers) {
    every_order("a restore, and a prune within", 4, restore_second, drop_and_prune_later);
    every_order("a restore, and a prune within that does not wait", 4, restore_second_or_fail, drop_and_prune);
}

static void run_all(void) {
    RUN(two_backups);
    RUN(a_backup_and_a_prune);
    RUN(a_hold_and_a_prune);
    RUN(two_creators_of_one_number);
    RUN(a_verify_among_writers);
    RUN(a_restore_among_writers);
}

int main(void) {
    run_all();
    world_key = &fixture_some_key; /* and of sealed repositories */
    run_all();
    return check_report();
}
