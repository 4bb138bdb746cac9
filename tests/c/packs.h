/* Packs made and read by hand: what the tests of good, damaged and sealed packs share. */
#ifndef LRB_TESTS_PACKS_H
#define LRB_TESTS_PACKS_H

#include <fcntl.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/wire.h"
#include "check.h"
#include "repo/pack.h"
#include "sample.h"

static const lrb_vault repository = {.repository_id = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
static const lrb_vault other_repository = {.repository_id = {99}};
static const uint8_t no_salt[LRB_SALT_BYTES];
static lrb_err err;
static lrb_coder *coder;
static lrb_digest *digest;
static int dir;

static inline int add(lrb_pack_builder *b, lrb_chunk_kind kind, const void *content, size_t count) {
    lrb_stored stored;
    lrb_id id;
    uint32_t ordinal;
    int code = lrb_chunk_id(coder, &repository, kind, 0, content, count, &id, &err);
    if (!code) code = lrb_chunk_encode(coder, &id, kind, 0, content, count, &stored, &err);
    if (!code) code = lrb_pack_builder_add(b, &stored, &ordinal, &err);
    return code || ordinal + 1 == b->count ? code : LRB_E_INTERNAL;
}

/* The golden pack: two chunks, small enough to be stored as they are, so that no compressor has a say in it. */
static inline int build_small(lrb_pack_builder *b, lrb_id *name) {
    int code = lrb_pack_builder_init(b, &repository, &err);
    if (!code) code = lrb_pack_builder_set_salt(b, no_salt, &err);
    if (!code) code = add(b, LRB_CHUNK_RAW, "hello", 5);
    if (!code) code = add(b, LRB_CHUNK_BODY, "body", 4);
    if (!code) code = lrb_pack_builder_finish(b, digest, name, &err);
    return code;
}

static inline int parse(const uint8_t *bytes, size_t count) {
    lrb_pack_row *rows = NULL;
    uint32_t row_count;
    int code = lrb_pack_parse(bytes, count, &repository, "packs/test", &rows, &row_count, &err);
    if (!code) lrb_free(rows);
    return code;
}

static inline int write_file(const lrb_id *name, const uint8_t *bytes, size_t count) {
    char hex[65];
    int fd = -1;
    lrb_hex(name->bytes, sizeof name->bytes, hex);
    int code = lrb_fs_unlink(dir, hex, &err);
    if (!code) code = lrb_fs_create(dir, hex, 0640, &fd, &err);
    if (!code) code = lrb_fs_write(fd, bytes, count, hex, &err);
    lrb_fs_close(fd);
    return code;
}

static inline int open_close(const lrb_id *name, uint64_t expected_size_bytes) {
    lrb_pack *pack = NULL;
    int code = lrb_pack_open(dir, name, expected_size_bytes, &repository, &pack, &err);
    if (!code) lrb_pack_close(pack);
    return code;
}

static inline int add_samples(lrb_pack_builder *b, unsigned count) {
    uint8_t content[300];
    int code = LRB_OK;
    for (unsigned i = 0; !code && i < count; i++) {
        sample_fill(content, sizeof content, i);
        if (i % 2) memset(content, 'x', 200);
        code = add(b, LRB_CHUNK_RAW, content, i % sizeof content);
    }
    return code;
}

/* All chunks, one by one and several at a time. */
static inline int compare_samples(const lrb_pack *pack) {
    uint8_t content[300];
    uint32_t ordinals[LRB_CHUNK_IDS_MAX];
    lrb_buf read, many;
    size_t at = 0;
    lrb_buf_init(&read, LRB_CONTENT_MAX_BYTES);
    lrb_buf_init(&many, LRB_CONTENT_MAX_BYTES);
    int code = LRB_OK;
    for (unsigned i = 0; !code && i < pack->count; i += LRB_CHUNK_IDS_MAX) {
        uint32_t count = pack->count - i < LRB_CHUNK_IDS_MAX ? pack->count - i : LRB_CHUNK_IDS_MAX;
        for (uint32_t k = 0; k < count; k++) ordinals[k] = i + k;
        code = lrb_pack_read_many(pack, ordinals, count, coder, &many, &err);
    }
    for (unsigned i = 0; !code && i < pack->count; i++) {
        sample_fill(content, sizeof content, i);
        if (i % 2) memset(content, 'x', 200);
        code = lrb_pack_read(pack, i, coder, true, &read, &err);
        bool same = read.length == i % sizeof content && !(read.length && memcmp(read.data, content, read.length));
        same = same && read.length <= many.length - at && !(read.length && memcmp(read.data, many.data + at, read.length));
        at += read.length;
        if (!code && !same)
            code = lrb_err_set(&err, LRB_E_INTERNAL, "compare", "", "chunk %u was another", i);
    }
    lrb_buf_clear(&read);
    lrb_buf_clear(&many);
    return code;
}

static char packs_path[] = "/tmp/lrb_test_pack.XXXXXX";

/* What a program of tests begins with, and what it returns at its end. */
static inline int packs_begin(void) {
    int code = !mkdtemp(packs_path) || lrb_fs_open_dir(AT_FDCWD, packs_path, &dir, &err);
    return code || lrb_coder_new(&coder, &err) || lrb_digest_new(&digest, &err);
}

static inline int packs_end(void) {
    lrb_digest_free(digest);
    lrb_coder_free(coder);
    lrb_fs_close(dir);
    return lrb_fs_remove_tree(AT_FDCWD, packs_path, &err) ? 1 : check_report();
}

#endif
