/* An intake on its own: a source that is listed anew each time, and two workers that take its steps in turn. */
#ifndef LRB_TESTS_TAKING_H
#define LRB_TESTS_TAKING_H

#include <sys/mman.h>

#include "engine/intake.h"
#include "fixture.h"

typedef struct scene {
    fixture f;
    lrb_worker other;
    lrb_repo *repo;
    lrb_job job;
    lrb_source *source;
    lrb_writer *writer;
    lrb_intake *intake;
} scene;

static inline int begin(scene *s, lrb_err *err) {
    static const lrb_job_ops NONE;
    lrb_job_init(&s->job, &NONE);
    int code = fixture_list(s->f.source, &s->source, err);
    if (!code) code = lrb_writer_new(s->repo, &s->job, &s->writer, err);
    return code ? code : lrb_intake_new(s->source, s->repo, s->writer, &s->job, &s->intake, err);
}

static inline void end(scene *s) {
    lrb_intake_free(s->intake);
    lrb_writer_free(s->writer);
    lrb_source_free(s->source);
}

static inline int open_scene(scene *s, lrb_err *err) {
    fixture_open(&s->f);
    int code = lrb_worker_init(&s->other, 1, err);
    return code ? code : lrb_repo_open(s->f.storage, "g", true, &s->repo, err);
}

static inline void close_scene(scene *s) {
    lrb_repo_close(s->repo);
    lrb_worker_clear(&s->other);
    fixture_close(&s->f);
}

/* Steps with two workers in turn until everything is taken. */
static inline int run(scene *s, lrb_err *err) {
    lrb_step next = LRB_STEP_MORE;
    for (int turn = 0; next != LRB_STEP_DONE; turn++) {
        int code = lrb_intake_step(s->intake, turn % 2 ? &s->other : &s->f.worker, &next, err);
        if (code) return code;
    }
    return LRB_OK;
}

static inline lrb_taken taken(const scene *s, size_t position) { return *lrb_intake_result(s->intake, position); }

/* The file, mapped, with every page stored into: further stores move no time while none was written back. */
static inline uint8_t *map_stirred(const scene *s, const char *name, size_t count) {
    char path[512];
    fixture_path(path, s->f.source, name);
    int fd = open(path, O_RDWR);
    uint8_t *at = mmap(NULL, count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || at == MAP_FAILED) perror(path), exit(2);
    close(fd);
    for (size_t i = 0; i < count; i += 4096) ((volatile uint8_t *)at)[i] = at[i];
    return at;
}

#endif
