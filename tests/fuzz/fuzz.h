/* What the fuzz targets share. A target is one file with one LLVMFuzzerTestOneInput over one parser of stored bytes.
 *
 * Stored objects end in a digest. A target puts the right one in before it parses, so that fuzzing reaches what lies
 * behind it: whoever writes a hostile object can do the same. Beyond "no crash", a target states properties with MUST:
 * what is accepted can be written again and says the same, limits hold, failures have a message.
 *
 * Every target is built twice: with libFuzzer (scripts/fuzz), and with replay.c, which feeds it the files of its
 * corpus in every run of the unit tests.
 */
#ifndef LRB_TESTS_FUZZ_H
#define LRB_TESTS_FUZZ_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "codec/digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property of the parser under test: a false one ends the program, which is how a finding is reported. */
#define MUST(condition) do { if (!(condition)) { \
        fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); abort(); } } while (0)
/* A call that no input can make fail. Needs an `lrb_err err` in scope. */
#define MUST_OK(call) do { if ((call) != LRB_OK) { \
        fprintf(stderr, "%s:%d: %s: %s: %s\n", __FILE__, __LINE__, #call, err.target, err.message); \
        abort(); } } while (0)

/* What a parser may answer to bytes nobody should believe: it took them, or said in a sentence what is wrong. */
static inline void must_be_an_answer(int code, const lrb_err *err) {
    if (code == LRB_OK) return;
    MUST(code == LRB_E_DAMAGED || code == LRB_E_UNSUPPORTED || code == LRB_E_FOREIGN || code == LRB_E_LIMIT ||
         code == LRB_E_LOCKED);
    MUST(err->code == code && err->message[0]);
}

/* A copy of exactly `size` bytes, so that a read over the end is seen; freed with lrb_free. */
static inline uint8_t *fuzz_copy(const uint8_t *data, size_t size) {
    uint8_t *copy = lrb_alloc(size);
    MUST(copy);
    if (size) memcpy(copy, data, size);
    return copy;
}

/* Makes the last 32 bytes the SHA-256 of all before, where there are as many. */
static inline void fuzz_seal(uint8_t *bytes, size_t size) {
    lrb_err err;
    if (size < LRB_DIGEST_BYTES) return;
    MUST_OK(lrb_sha256(bytes, size - LRB_DIGEST_BYTES, bytes + size - LRB_DIGEST_BYTES, &err));
}

/* ---- a directory of the program's own, for parsers that read files ---- */

static char fuzz_directory_path[128];

static inline void fuzz_remove_directory(void) {
    lrb_err err;
    if (lrb_fs_remove_tree(AT_FDCWD, fuzz_directory_path, &err))
        fprintf(stderr, "left behind: %s\n", fuzz_directory_path);
}

/* Its path; made at the first call, removed when the program ends. */
static inline const char *fuzz_directory(void) {
    const char *tmp = getenv("TMPDIR");
    if (fuzz_directory_path[0]) return fuzz_directory_path;
    if (!tmp || strlen(tmp) >= 100) tmp = "/tmp";
    snprintf(fuzz_directory_path, sizeof fuzz_directory_path, "%s/lrb-fuzz-XXXXXX", tmp);
    MUST(mkdtemp(fuzz_directory_path));
    MUST(!atexit(fuzz_remove_directory));
    return fuzz_directory_path;
}

static inline void fuzz_write_file(int dir, const char *name, const uint8_t *bytes, size_t count) {
    lrb_err err;
    int fd;
    MUST_OK(lrb_fs_unlink(dir, name, &err));
    MUST_OK(lrb_fs_create(dir, name, 0600, &fd, &err));
    MUST_OK(lrb_fs_write(fd, bytes, count, name, &err));
    lrb_fs_close(fd);
}

#endif
