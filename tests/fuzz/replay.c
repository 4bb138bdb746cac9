/* Feeds one target every file of its corpus: fuzzing's findings as an ordinary test. LRB_CORPUS is the directory. */
#include "fuzz.h"

enum { INPUT_MAX_BYTES = 1 << 20 };

typedef struct replay { int dir, files; } replay;

static int replay_file(void *arg, const char *name, lrb_err *err) {
    replay *r = arg;
    uint8_t *bytes;
    size_t count;
    int code = lrb_fs_read_file(r->dir, name, INPUT_MAX_BYTES, &bytes, &count, err);
    if (code) return code;
    fprintf(stderr, "%s\n", name); /* when the program ends here, the last name printed tells why */
    LLVMFuzzerTestOneInput(bytes, count);
    lrb_free(bytes);
    r->files++;
    return LRB_OK;
}

int main(void) {
    replay r = {.dir = -1};
    lrb_err err;
    int code = lrb_fs_open_dir(AT_FDCWD, LRB_CORPUS, &r.dir, &err);
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    if (!code) code = lrb_fs_list(r.dir, replay_file, &r, LRB_CORPUS, &err);
    lrb_fs_close(r.dir);
    if (code) printf("%s: %s\n", LRB_CORPUS, err.message);
    if (!r.files) printf("%s is empty\n", LRB_CORPUS);
    printf("%d passed, %d failed\n", r.files, code ? 1 : 0);
    return code || !r.files;
}
