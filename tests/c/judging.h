/* What tests of the validation share: the small graph (small_graph.h), with some of its files changed, left out or more of
 * them, judged in memory; and what is then said of it.
 */
#ifndef LRB_TESTS_JUDGING_H
#define LRB_TESTS_JUDGING_H

#include <sched.h>

#include "base/mem.h"
#include "check.h"
#include "lightrag/validation.h"
#include "small_graph.h"

static lrb_err err;

typedef struct change { /* of one file; a NULL text leaves it out */
    const char *name, *text;
    size_t length;
    const struct change *also; /* NULL: no other */
} change;
#define BECOMES(file, literal) (const change){file, literal, sizeof(literal) - 1, NULL}

enum { JUDGED_FILES = SMALL_FILES + 8 };

static const lrb_validation_options PLAIN = {.workspace = ""};

static const change *change_of(const change *changed, const char *name) {
    while (changed && strcmp(changed->name, name)) changed = changed->also;
    return changed;
}

static bool of_the_graph(const char *name) {
    for (int i = 0; i < SMALL_FILES; i++)
        if (!strcmp(SMALL_GRAPH[i].name, name)) return true;
    return false;
}

/* `bytes` have to last as long as the validation. */
static inline int give(lrb_validation *v, const change *changed, lrb_bytes bytes[JUDGED_FILES], lrb_err *error) {
    bool taken;
    int code = LRB_OK, used = 0;
    for (int i = 0; !code && i < SMALL_FILES; i++) {
        const small_file *file = &SMALL_GRAPH[i];
        const change *this = change_of(changed, file->name);
        if (this && !this->text) continue;
        bytes[used] = this ? lrb_bytes_of_memory(this->text, this->length) : lrb_bytes_of_memory(file->text, strlen(file->text));
        code = lrb_validation_add(v, file->name, &bytes[used++], &taken, error);
    }
    for (; !code && changed; changed = changed->also) {
        if (of_the_graph(changed->name)) continue;
        bytes[used] = lrb_bytes_of_memory(changed->text, changed->length);
        code = lrb_validation_add(v, changed->name, &bytes[used++], &taken, error);
    }
    return code;
}

static inline int step_to_the_end(lrb_validation *v, lrb_err *error) {
    lrb_validation_state state = LRB_VALIDATION_MORE;
    int code = LRB_OK;
    while (!code && state != LRB_VALIDATION_DONE) {
        code = lrb_validation_step(v, NULL, &state, error);
        if (!code && state == LRB_VALIDATION_IDLE) sched_yield();
    }
    return code;
}

/* The report in JSON, NUL-terminated. */
static inline int validate(const change *changed, const lrb_validation_options *options, lrb_buf *json) {
    lrb_validation *v;
    lrb_bytes bytes[JUDGED_FILES];
    lrb_buf_empty(json);
    int code = lrb_validation_new(options, &v, &err);
    if (code) return code;
    code = give(v, changed, bytes, &err);
    if (!code) code = step_to_the_end(v, &err);
    if (!code) code = lrb_report_json(lrb_validation_report(v), json, &err);
    if (!code) code = lrb_buf_append(json, "", 1, &err);
    lrb_validation_free(v);
    return code;
}

static inline void says(const change *changed, const lrb_validation_options *options, const char *wanted) {
    lrb_buf json;
    lrb_buf_init(&json, 1 << 20);
    CHECK_OK(validate(changed, options, &json));
    if (!strstr((char *)json.data, wanted)) printf("%s is not in %s\n", wanted, (char *)json.data);
    CHECK(strstr((char *)json.data, wanted));
    lrb_buf_clear(&json);
}

static inline void survives_every_failing_allocation(const change *changed, const lrb_validation_options *options) {
    lrb_buf json;
    lrb_buf_init(&json, 1 << 20);
    for (int64_t countdown = 0;; countdown++) {
        lrb_mem_fail_after(countdown, false);
        int code = validate(changed, options, &json);
        lrb_mem_fail_after(-1, false);
        if (!code) break;
        CHECK_FAILS(code, LRB_E_NOMEM);
    }
    lrb_buf_clear(&json);
}

static inline int failing_read(const lrb_bytes *self, void *thread, uint64_t offset, void *into, size_t room, size_t *got, lrb_err *error) {
    (void)self, (void)thread, (void)offset, (void)into, (void)room, (void)got;
    return lrb_err_set(error, LRB_E_IO, "read", "disk", "no such sector");
}

#endif
