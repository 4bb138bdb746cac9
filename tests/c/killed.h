/* Killing a publish at every change it makes to the file system, and looking at what is left.
 *
 * A child process stages and commits, and ends without warning before its n-th change; then a second one finishes and
 * is ended before its m-th; then the parent finishes. Whatever n and m: the target is wholly old or wholly new,
 * nothing of ours is left, and once the commit has passed its point of no return it is new.
 */
#ifndef LRB_TESTS_KILLED_H
#define LRB_TESTS_KILLED_H

#include "base/mem.h"
#include "check.h"
#include "scratch.h"

typedef struct scenario {
    lrb_publish_way way;
    const char *present, *staged;      /* trees; present NULL: no target */
    const char *const *items, *const *removed;
    size_t item_count, removed_count;
    const char *old_text, *new_text;   /* what the target must be before and after */
} scenario;

#define NAMES(...) (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)

static inline int publish_once(const char *target, const scenario *c, lrb_err *err) {
    char staging[LRB_PATH_MAX];
    int fd, code = lrb_publish_stage(target, c->way, staging, &fd, err);
    if (code) return code;
    tree_make(staging, c->staged);
    code = lrb_publish_commit(target, c->way, staging, c->items, c->item_count, c->removed, c->removed_count, err);
    close(fd);
    return code;
}

/* Runs `publish` or finish in a child that ends before its change number n; true when it got to its end. */
static inline bool child_ends(const char *target, const scenario *c, int n) {
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        lrb_err err;
        bool finished;
        lrb_publish_stop_after(n);
        int code = c ? publish_once(target, c, &err) : lrb_publish_finish(target, &finished, &err);
        if (code) printf("child: %s: %s\n", err.target, err.message), fflush(stdout);
        _exit(code ? 1 : 0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (!WIFEXITED(status) || (WEXITSTATUS(status) != 77 && WEXITSTATUS(status) != 0))
        printf("child ended badly\n"), exit(2);
    return WEXITSTATUS(status) == 0;
}

static inline bool nothing_left(const scratch *s) {
    lrb_err err;
    bool pending = true;
    return tree_leftovers(s->root) == 0 && tree_leftovers(s->target) == 0 &&
           !lrb_publish_pending(s->target, &pending, &err) && !pending;
}

/* One pair (n, m). *publish_done and *finish_done: the child got to its end. */
static inline void kill_twice(const scenario *c, int n, int m, bool *publish_done, bool *finish_done) {
    scratch s;
    lrb_err err;
    bool finished, pending = false;
    scratch_open(&s);
    if (c->present) tree_make(s.target, c->present);
    *publish_done = child_ends(s.target, c, n);
    CHECK_OK(lrb_publish_pending(s.target, &pending, &err));
    bool committed = *publish_done || tree_leftovers(s.target) > 1;
    *finish_done = child_ends(s.target, NULL, m);
    CHECK_OK(lrb_publish_finish(s.target, &finished, &err));
    const char *is = tree_text(s.target);
    bool is_new = strcmp(is, c->new_text) == 0, is_old = strcmp(is, c->old_text) == 0;
    if (!is_new && !is_old) printf("killed at %d and %d, neither old nor new:\n%s", n, m, is);
    CHECK(is_new || is_old);
    CHECK(is_new || !committed);
    CHECK(nothing_left(&s));
    scratch_close(&s);
}

/* Every n, and with it every third m, another third each time. Leaves how many changes a whole publish makes in
 * *changes. */
static inline void kill_everywhere(const scenario *c, int *changes) {
    bool publish_done = false, finish_done;
    for (*changes = 0; !publish_done && !check_failures; ++*changes) {
        int m = *changes % 3 - 3;
        do kill_twice(c, *changes, m += 3, &publish_done, &finish_done);
        while (!finish_done && !check_failures);
    }
}

/* Whatever allocation fails: an error, and then finish leads to old or new. */
static inline void fail_every_allocation(const scenario *c) {
    int failed = 0, code = LRB_E_NOMEM;
    for (; code; failed++) {
        scratch s;
        lrb_err err;
        bool finished;
        scratch_open(&s);
        if (c->present) tree_make(s.target, c->present);
        lrb_mem_fail_after(failed, false);
        code = publish_once(s.target, c, &err);
        lrb_mem_fail_after(-1, false);
        CHECK(!code || code == LRB_E_NOMEM);
        CHECK_OK(lrb_publish_finish(s.target, &finished, &err));
        const char *is = tree_text(s.target);
        CHECK(strcmp(is, c->new_text) == 0 || (code && strcmp(is, c->old_text) == 0));
        CHECK(nothing_left(&s));
        scratch_close(&s);
    }
    CHECK(failed > 3);
}

#endif
