/* A source of a few files, and a snapshot compared with it byte for byte. */
#ifndef LRB_TESTS_COMPARING_H
#define LRB_TESTS_COMPARING_H

#include <sys/stat.h>

#include "fixture.h"

/* The one item of this name in a snapshot, compared with the file byte for byte. */
static inline int compare_bytes(lrb_repo *repo, lrb_worker *worker, const lrb_row *root, const char *path, lrb_err *err) {
    lrb_repo_reader reader = {repo, worker->coder};
    lrb_recipe_walker *walker;
    FILE *file = fopen(path, "rb");
    if (!file) return lrb_err_sys(err, 2, "open", path);
    int code = lrb_recipe_walker_new(root, lrb_repo_fetch, &reader, &walker, err);
    bool done = root->kind == LRB_CHUNK_NONE;
    uint8_t *there = malloc(LRB_CONTENT_MAX_BYTES);
    while (!code && !done) {
        lrb_row row;
        if ((code = lrb_recipe_walker_next(walker, false, &row, &done, err)) || done) break;
        code = lrb_repo_read(repo, &row.id, row.kind, true, worker->coder, &worker->content, err);
        if (!code && (fread(there, 1, row.count, file) != row.count || worker->content.length != row.count || memcmp(there, worker->content.data, row.count)))
            code = lrb_err_set(err, LRB_E_INTERNAL, "compare", path, "the bytes differ");
    }
    if (!code && fgetc(file) != EOF) code = lrb_err_set(err, LRB_E_INTERNAL, "compare", path, "the stored item is shorter");
    free(there);
    fclose(file);
    lrb_recipe_walker_free(walker);
    return code;
}

/* Every regular item of the newest snapshot equals its file; *items counts all records of items. */
static inline int compare_all(fixture *f, lrb_repo *repo, size_t *items, lrb_err *err) {
    const lrb_state *state = lrb_repo_begin_read(repo);
    lrb_row root = state->snapshots[state->snapshot_count - 1].body_root;
    lrb_repo_end_read(repo);
    lrb_worker worker;
    if (lrb_worker_init(&worker, 1, err)) return err->code;
    lrb_repo_reader reader = {repo, worker.coder};
    lrb_body_reader *body;
    int code = lrb_body_reader_new(&root, lrb_repo_fetch, &reader, &body, err);
    bool done = false;
    *items = 0;
    while (!code) {
        lrb_body_record record;
        char path[1024];
        if ((code = lrb_body_reader_next(body, &record, &done, err)) || done) break;
        if (record.type != LRB_BODY_ITEM) continue;
        ++*items;
        snprintf(path, sizeof path, "%s/%.*s", f->source, (int)record.item.name_length, record.item.name);
        if (record.item.type == LRB_FILE_REGULAR) code = compare_bytes(repo, &f->worker, &record.item.root, path, err);
    }
    lrb_body_reader_free(body);
    lrb_worker_clear(&worker);
    return code;
}

static inline void make_source(const fixture *f) {
    char path[512];
    fixture_write(f->source, "empty", 0, 1);
    fixture_write(f->source, "small", 1000, 2);
    fixture_write(f->source, "chunked", 900 << 10, 3);
    fixture_write(f->source, "big", (5 << 20) + 17, 4);
    fixture_path(path, f->source, "below");
    mkdir(path, 0750);
    fixture_write(path, "inner", 70000, 5);
    fixture_path(path, f->source, "link");
    if (symlink("small", path)) perror("symlink");
}

#endif
