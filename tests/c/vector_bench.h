/* Vector files as items of a source: what their tests share. */
#ifndef LRB_TESTS_VECTOR_BENCH_H
#define LRB_TESTS_VECTOR_BENCH_H

#include "restoring.h"
#include "vector_file.h"

enum { VECTOR_MANY = 4000 };

static uint64_t vector_numbers[VECTOR_MANY];

static inline void put_file(const bench *b, const char *name, const uint8_t *bytes, size_t count) {
    char path[512];
    fixture_path(path, b->f.source, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, count, file) != count) perror(path), exit(2);
    fclose(file);
}

/* LightRAG replaces its files: a new one is always read. */
static inline void replace_file(const bench *b, const char *name, const vector_file *f) {
    char path[512];
    fixture_path(path, b->f.source, name);
    unlink(path);
    put_file(b, name, f->bytes.data, f->bytes.length);
}

static inline vector_file *file_of(uint32_t dim, size_t count) {
    static vector_file f = {.newline = "", .end = "\"}"};
    f.dim = dim;
    f.longest_text = 0;
    for (size_t i = 0; i < count; i++) vector_numbers[i] = i;
    vector_file_make(&f, vector_numbers, count);
    return &f;
}

static inline bool comes_back(bench *b) {
    bench_renew_staging(b);
    lrb_err err;
    int code = bench_restore_all(b, &err);
    if (code) printf("%s: %s\n", err.target, err.message);
    return !code && same_trees(b->f.source, b->staging);
}

/* Chunks of a kind in all packs. */
static inline unsigned count_chunks(bench *b, lrb_chunk_kind kind) {
    unsigned found = 0;
    lrb_err err;
    uint32_t packs = lrb_repo_begin_read(b->repo)->pack_count;
    lrb_repo_end_read(b->repo);
    for (uint32_t i = 0; i < packs; i++) {
        lrb_pack *pack;
        if (lrb_repo_pack_acquire(b->repo, i, &pack, &err)) continue;
        for (uint32_t k = 0; k < pack->count; k++) found += pack->rows[k].kind == kind;
        lrb_repo_pack_release(b->repo, pack);
    }
    return found;
}

#endif
