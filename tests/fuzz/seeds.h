/* What the writers of seeds share: each makes the inputs of some fuzz targets, byte by byte. */
#ifndef LRB_TESTS_SEEDS_H
#define LRB_TESTS_SEEDS_H

#include <sys/stat.h>

#include "base/path.h"
#include "fuzz.h"
#include "repo/chunk.h"

static lrb_err err;
extern const char *seeds_corpus;
extern lrb_coder *seeds_coder;

enum { SEED_MAX_BYTES = 1 << 20 };

/* ---- putting one together, and saving it ---- */

static inline void save(const char *target, const char *name, const lrb_buf *bytes) {
    char path[LRB_PATH_MAX];
    int dir;
    MUST_OK(lrb_path_join(path, seeds_corpus, target, &err));
    MUST_OK(lrb_fs_make_dir(AT_FDCWD, path, 0755, &err));
    MUST_OK(lrb_fs_open_dir(AT_FDCWD, path, &dir, &err));
    fuzz_write_file(dir, name, bytes->data, bytes->length);
    lrb_fs_close(dir);
}

/* Saves and starts the next one. */
static inline void end(lrb_buf *bytes, const char *target, const char *name) {
    save(target, name, bytes);
    lrb_buf_empty(bytes);
}

static inline void put(lrb_buf *out, const void *bytes, size_t count) {
    MUST_OK(lrb_buf_append(out, bytes, count, &err));
}

static inline void put_zeros(lrb_buf *out, size_t count) {
    static const uint8_t zeros[256];
    MUST(count <= sizeof zeros);
    put(out, zeros, count);
}

/* ---- the writers; both buffers are empty, and are again in the end ---- */

void seed_stored(lrb_buf *b, lrb_buf *other);
void seed_lists(lrb_buf *b, lrb_buf *other);
void seed_files(lrb_buf *b, lrb_buf *other);

#endif
