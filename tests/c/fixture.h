/* What the engine's tests share: a scratch directory, files with reproducible content, a worker, and a backup in one call. */
#ifndef LRB_TESTS_FIXTURE_H
#define LRB_TESTS_FIXTURE_H

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/path.h"
#include "engine/backup.h"

typedef struct fixture {
    char root[128], source[160], storage[160];
    lrb_worker worker;
} fixture;

/* What repositories of a test are sealed with; NULL: they are not. A program whose tests must hold either way runs them
 * twice. */
static const lrb_key *fixture_key;
static const lrb_key fixture_some_key = {{'k', 'e', 'y'}};

static inline int fixture_repo_open(const char *storage, const char *graph, bool create, lrb_repo **out, lrb_err *err) {
    return lrb_repo_open_with(storage, graph, create, fixture_key, out, err);
}

/* xorshift64*: the same bytes on every machine. */
static inline void fixture_fill(uint8_t *bytes, size_t count, uint64_t seed) {
    uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < count; i++) {
        x ^= x >> 12, x ^= x << 25, x ^= x >> 27;
        bytes[i] = (uint8_t)((x * 0x2545f4914f6cdd1du) >> 56);
    }
}

static inline void fixture_path(char *out, const char *dir, const char *name) { snprintf(out, 512, "%s/%s", dir, name); }

/* Writes (or rewrites in place) a file of `count` pseudo-random bytes. */
static inline void fixture_write(const char *dir, const char *name, size_t count, uint64_t seed) {
    char path[512];
    fixture_path(path, dir, name);
    uint8_t *bytes = malloc(count + 1);
    fixture_fill(bytes, count, seed);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, count, file) != count) perror(path), exit(2);
    fclose(file);
    free(bytes);
}

/* Sets both times of a file far into the past, except ctime, which nobody can set. */
static inline void fixture_age(const char *dir, const char *name) {
    char path[512];
    fixture_path(path, dir, name);
    struct timespec times[2] = {{1600000000, 0}, {1600000000, 0}};
    utimensat(AT_FDCWD, path, times, 0);
}

static inline void fixture_open(fixture *f) {
    const char *tmp = getenv("TMPDIR");
    lrb_err err;
    snprintf(f->root, sizeof f->root, "%s/lrb-test-XXXXXX", tmp && strlen(tmp) < 100 ? tmp : "/tmp");
    if (!mkdtemp(f->root)) perror(f->root), exit(2);
    snprintf(f->source, sizeof f->source, "%s/source", f->root);
    snprintf(f->storage, sizeof f->storage, "%s/storage", f->root);
    mkdir(f->source, 0755);
    if (lrb_worker_init(&f->worker, 0, &err)) exit(2);
}

static inline void fixture_close(fixture *f) {
    lrb_err err;
    lrb_worker_clear(&f->worker);
    if (lrb_fs_remove_tree(AT_FDCWD, f->root, &err)) printf("left behind: %s: %s\n", f->root, err.message);
}

static inline lrb_backup_options fixture_options(void) {
    return (lrb_backup_options){.consistency = "plain", .verdict = "", .metadata = "{}", .facts = "{\"made\":\"by a test\"}",
                                .use_source_cache = true, .source_label = "test"};
}

/* Whether that is where a file of the source directory lies; a real path has no symbolic links. */
static inline bool fixture_lies_at(const fixture *f, const char *name, const char *place) {
    char path[512], real[PATH_MAX];
    fixture_path(path, f->source, name);
    return realpath(path, real) && !strcmp(real, place);
}

/* A sealed source of everything below `dir`. */
static inline int fixture_list(const char *dir, lrb_source **out, lrb_err *err) {
    int fd;
    int code = lrb_fs_open_dir(AT_FDCWD, dir, &fd, err);
    if (code) return code;
    if (!(code = lrb_source_new(out, err))) {
        code = lrb_source_add_tree(*out, fd, "", NULL, err);
        if (!code) code = lrb_source_seal(*out, err);
        if (code) lrb_source_free(*out), *out = NULL;
    }
    lrb_fs_close(fd);
    return code;
}

/* Backs up everything below the source directory on the calling thread. */
static inline int fixture_backup(fixture *f, lrb_repo *repo, lrb_backup_outcome *outcome, lrb_err *err) {
    lrb_source *source;
    lrb_job *job;
    lrb_backup_options options = fixture_options();
    int code = fixture_list(f->source, &source, err);
    if (!code) code = lrb_backup_new(repo, source, &options, &job, err);
    if (code) return code;
    lrb_job_run(job, &f->worker);
    *err = job->err;
    code = job->err.code;
    if (!code) *outcome = *lrb_backup_result(job);
    lrb_job_free(job);
    return code;
}

#endif
