/* A repository with snapshots in it and a staging directory beside: what the tests of the restore job share. */
#ifndef LRB_TESTS_RESTORING_H
#define LRB_TESTS_RESTORING_H

#include <dirent.h>

#include "check.h"
#include "engine/restore.h"
#include "fixture.h"

typedef struct bench {
    fixture f;
    lrb_repo *repo;
    lrb_backup_outcome outcome;
    char staging[160];
    int staging_dir, source_dir;
} bench;

static inline void bench_renew_staging(bench *b) {
    lrb_err err;
    if (b->staging_dir >= 0) close(b->staging_dir);
    if (lrb_fs_remove_tree(AT_FDCWD, b->staging, &err) || mkdir(b->staging, 0755)) exit(2);
    if (lrb_fs_open_dir(AT_FDCWD, b->staging, &b->staging_dir, &err)) exit(2);
}

static inline void bench_open(bench *b) {
    lrb_err err;
    *b = (bench){.staging_dir = -1};
    fixture_open(&b->f);
    snprintf(b->staging, sizeof b->staging, "%s/staging", b->f.root);
    bench_renew_staging(b);
    if (lrb_fs_open_dir(AT_FDCWD, b->f.source, &b->source_dir, &err)) exit(2);
    if (lrb_repo_open(b->f.storage, "graph", true, &b->repo, &err)) printf("%s\n", err.message), exit(2);
}

static inline void bench_close(bench *b) {
    lrb_repo_close(b->repo);
    close(b->staging_dir);
    close(b->source_dir);
    fixture_close(&b->f);
}

static inline void bench_backup(bench *b) {
    lrb_err err;
    if (fixture_backup(&b->f, b->repo, &b->outcome, &err)) printf("backup: %s: %s\n", err.target, err.message), exit(2);
}

static inline lrb_restore_options bench_options(const bench *b) {
    return (lrb_restore_options){
        .snapshot_id = b->outcome.snapshot_id, .staging_dir = b->staging_dir, .compare_dir = -1, .stage_same = true};
}

/* Runs a restore on this thread; *job must be freed when the code is 0. */
static inline int bench_restore(bench *b, const lrb_restore_options *options, lrb_job **job, lrb_err *err) {
    int code = lrb_restore_new(b->repo, options, job, err);
    if (code) return code;
    lrb_job_run(*job, &b->f.worker);
    *err = (*job)->err;
    if (err->code) lrb_job_free(*job);
    return err->code;
}

static inline int bench_restore_all(bench *b, lrb_err *err) {
    lrb_job *job;
    lrb_restore_options options = bench_options(b);
    int code = bench_restore(b, &options, &job, err);
    if (!code) lrb_job_free(job);
    return code;
}

static inline bool same_file(const char *a, const char *b) {
    static uint8_t left[1 << 16], right[1 << 16];
    FILE *x = fopen(a, "rb"), *y = fopen(b, "rb");
    size_t got = 0;
    bool same = x && y;
    while (same && (got = fread(left, 1, sizeof left, x)) > 0)
        same = fread(right, 1, got, y) == got && !memcmp(left, right, got);
    same = same && fgetc(y) == EOF;
    if (x) fclose(x);
    if (y) fclose(y);
    return same;
}

static inline bool same_trees(const char *a, const char *b);

static inline bool same_entry(const char *a, const char *b, const char *name) {
    char x[1024], y[1024], x_text[1024] = "", y_text[1024] = "";
    struct stat p, q;
    fixture_path(x, a, name);
    fixture_path(y, b, name);
    bool same = !lstat(x, &p) && !lstat(y, &q) && p.st_mode == q.st_mode && p.st_mtim.tv_sec == q.st_mtim.tv_sec &&
                p.st_mtim.tv_nsec == q.st_mtim.tv_nsec;
    if (same && S_ISREG(p.st_mode)) same = same_file(x, y);
    if (same && S_ISDIR(p.st_mode)) same = same_trees(x, y);
    if (same && S_ISLNK(p.st_mode))
        same = readlink(x, x_text, sizeof x_text - 1) > 0 && readlink(y, y_text, sizeof y_text - 1) > 0 &&
               !strcmp(x_text, y_text);
    if (!same) printf("%s and %s differ\n", x, y);
    return same;
}

static inline int count_entries(const char *path) {
    int count = 0;
    DIR *dir = opendir(path);
    while (dir && readdir(dir)) count++;
    if (dir) closedir(dir);
    return count;
}

/* Whether both directories hold the same names with the same content, type, mode and time. */
static inline bool same_trees(const char *a, const char *b) {
    bool same = count_entries(a) == count_entries(b);
    DIR *dir = opendir(a);
    for (struct dirent *entry; same && dir && (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) same = same_entry(a, b, entry->d_name);
    if (dir) closedir(dir);
    return same;
}

#endif
