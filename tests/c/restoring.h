/* A repository with snapshots in it and a staging directory beside: what the tests of the restore job share. */
#ifndef LRB_TESTS_RESTORING_H
#define LRB_TESTS_RESTORING_H

#include <dirent.h>

#include "check.h"
#include "crew.h"
#include "engine/restore.h"
#include "fixture.h"

typedef struct bench {
    fixture f;
    lrb_repo *repo;
    lrb_backup_outcome outcome;
    char staging[160];
    int staging_dir, source_dir;
    crew crew; /* jobs run on this thread before it starts */
} bench;

typedef struct wishes { /* the options of both jobs */
    lrb_restore_plan_options plan;
    lrb_restore_stage_options stage;
    bool only_plan;
} wishes;

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
    crew_stop(&b->crew);
    lrb_repo_close(b->repo);
    close(b->staging_dir);
    close(b->source_dir);
    fixture_close(&b->f);
}

static inline void bench_set(const bench *b, const char *name, mode_t mode, long seconds) {
    struct timespec times[2] = {{seconds, 5}, {seconds, 123456789}};
    if (mode) fchmodat(b->source_dir, name, mode, 0);
    utimensat(b->source_dir, name, times, AT_SYMLINK_NOFOLLOW);
}

/* Everything a directory can hold: an empty file, one chunk, many chunks, holes, links, directories in directories. */
static inline void bench_fill_source(bench *b) {
    mkdirat(b->source_dir, "d", 0755);
    mkdirat(b->source_dir, "d/deep", 0755);
    mkdirat(b->source_dir, "empty", 0755);
    fixture_write(b->f.source, "small", 1000, 1);
    fixture_write(b->f.source, "none", 0, 1);
    fixture_write(b->f.source, "big", 5 << 20, 2);
    fixture_write(b->f.source, "d/medium", 300000, 3);
    fixture_write(b->f.source, "d/deep/one-mebibyte", 1 << 20, 4);
    fixture_write(b->f.source, "d/deep/more", (1 << 20) + 1, 5);
    fixture_write(b->f.source, "holes", 1000, 6);
    int fd = openat(b->source_dir, "holes", O_WRONLY);
    if (ftruncate(fd, 6 << 20) || pwrite(fd, "x", 1, 3 << 20) != 1) exit(2);
    close(fd);
    if (symlinkat("small", b->source_dir, "link") || symlinkat("/nowhere/at all", b->source_dir, "d/dangling")) exit(2);
    bench_set(b, "d/dangling", 0, 1200000000);
    bench_set(b, "small", 0640, 1300000000);
    bench_set(b, "big", 0400, 946684799);
    bench_set(b, "d/deep", 0555, 1400000000);
    bench_set(b, "d", 0750, 1500000000);
    bench_set(b, "empty", 01777, 1600000000);
}

static inline nlink_t links_of(int dir, const char *name) {
    struct stat st;
    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) ? 0 : st.st_nlink;
}

static inline void bench_backup(bench *b) {
    lrb_err err;
    if (fixture_backup(&b->f, b->repo, &b->outcome, &err)) printf("backup: %s: %s\n", err.target, err.message), exit(2);
}

static inline wishes bench_wishes(const bench *b) {
    return (wishes){.plan = {.snapshot_id = b->outcome.snapshot_id, .compare_dir = -1},
                    .stage = {.staging_dir = b->staging_dir, .compare_dir = -1}};
}

/* Compares with the source, and says what of it may stay. */
static inline void wishes_compare(const bench *b, wishes *w, lrb_restore_keep keep) {
    w->plan.compare_dir = w->stage.compare_dir = b->source_dir;
    w->stage.keep = keep;
}

/* Runs a job and takes its list; the job is gone then. */
static inline int bench_run(bench *b, lrb_job *job, lrb_restore_list **list, lrb_err *err) {
    if (b->crew.pool) {
        crew_run(&b->crew, job, err);
    } else {
        lrb_job_run(job, &b->f.worker);
        *err = job->err;
    }
    if (!err->code) *list = lrb_restore_take(job);
    lrb_job_free(job);
    return err->code;
}

/* *list must be freed when the code is 0. */
static inline int bench_restore(bench *b, const wishes *w, lrb_restore_list **list, lrb_err *err) {
    lrb_job *job;
    int code = lrb_restore_plan(b->repo, &w->plan, &job, err);
    if (!code) code = bench_run(b, job, list, err);
    if (code || w->only_plan) return code;
    code = lrb_restore_stage(b->repo, *list, &w->stage, &job, err);
    return code ? code : bench_run(b, job, list, err);
}

static inline int bench_restore_all(bench *b, lrb_err *err) {
    lrb_restore_list *list;
    wishes w = bench_wishes(b);
    int code = bench_restore(b, &w, &list, err);
    if (!code) lrb_restore_list_free(list);
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
