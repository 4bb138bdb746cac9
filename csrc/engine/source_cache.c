#include "engine/source_cache.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/wire.h"

enum { HEADER_BYTES = 48, FIXED_BYTES = 2 + 5 * 8 + 32 + LRB_ROW_BYTES, NAME_ROOM = 64, BLOCK_BYTES = 64 << 10 };
static const char MAGIC[8] = {'l', 'r', 'b', 's', 'r', 'c', 's', '1'};

/* Labels are paths of any length: the name is their digest. */
static int file_name(const char *label, char out[NAME_ROOM], lrb_err *err) {
    uint8_t digest[LRB_DIGEST_BYTES];
    char hex[33];
    int code = lrb_sha256(label, strlen(label), digest, err);
    if (code) return code;
    lrb_hex(digest, 16, hex);
    snprintf(out, NAME_ROOM, "sources-%s", hex);
    return LRB_OK;
}

/* ---- a file read or written from front to back through one block, its digest running along ---- */

typedef struct stream {
    int fd;
    lrb_digest *digest;
    uint8_t block[BLOCK_BYTES];
    size_t used, at;       /* bytes in the block; read position */
    uint64_t offset, end;  /* of the next block; where the records stop */
} stream;

static int fill(stream *in, size_t wanted, lrb_err *err) {
    if (in->used - in->at >= wanted) return LRB_OK;
    memmove(in->block, in->block + in->at, in->used - in->at);
    in->used -= in->at;
    in->at = 0;
    size_t room = BLOCK_BYTES - in->used, got;
    if (in->end - in->offset < room) room = (size_t)(in->end - in->offset);
    int code = lrb_fs_read_at(in->fd, in->block + in->used, room, in->offset, &got, "cache", err);
    if (!code) code = lrb_digest_update(in->digest, in->block + in->used, got, err);
    in->used += got;
    in->offset += got;
    if (!code && in->used < wanted) code = lrb_err_set(err, LRB_E_DAMAGED, "read", "cache", "the source cache ended early");
    return code;
}

static int drain(stream *out, lrb_err *err) {
    int code = lrb_digest_update(out->digest, out->block, out->used, err);
    if (!code) code = lrb_fs_write(out->fd, out->block, out->used, "cache", err);
    out->used = 0;
    return code;
}

static int stream_open(stream **made, int fd, lrb_err *err) {
    stream *s = lrb_alloc(sizeof *s);
    if (!s) return lrb_err_nomem(err, "open the source cache");
    s->fd = fd;
    s->digest = NULL;
    s->used = s->at = 0;
    s->offset = s->end = 0;
    int code = lrb_digest_new(&s->digest, err);
    if (!code) code = lrb_digest_begin(s->digest, err);
    *made = s;
    return code;
}

static void stream_free(stream *s) {
    if (!s) return;
    lrb_digest_free(s->digest);
    lrb_free(s);
}

/* ---- loading ---- */

typedef struct record {
    const char *name;
    size_t name_length;
    lrb_identity identity;
    lrb_taken taken;
} record;

/* The record's name stays valid until the next call. */
static int next_record(stream *in, record *out, lrb_err *err) {
    int code = fill(in, 2, err);
    if (code) return code;
    out->name_length = lrb_get_u16(in->block + in->at);
    if ((code = fill(in, FIXED_BYTES + out->name_length, err))) return code;
    const uint8_t *at = in->block + in->at + 2;
    out->name = (const char *)at;
    at += out->name_length;
    out->identity = (lrb_identity){.device = lrb_get_u64(at), .inode = lrb_get_u64(at + 8), .size_bytes = lrb_get_u64(at + 16),
                                   .mtime_ns = (int64_t)lrb_get_u64(at + 24), .ctime_ns = (int64_t)lrb_get_u64(at + 32), .type = LRB_FILE_REGULAR};
    memcpy(out->taken.sha256, at + 40, 32);
    in->at += FIXED_BYTES + out->name_length;
    return lrb_row_decode(at + 72, &out->taken.root, "cache", err);
}

static int compare_names(const record *r, const lrb_source_item *item) {
    return lrb_name_compare(r->name, r->name_length, item->name, item->name_length);
}

static bool settled(const lrb_identity *identity, int64_t observed_ns) {
    int64_t newest = identity->mtime_ns > identity->ctime_ns ? identity->mtime_ns : identity->ctime_ns;
    return newest < observed_ns - LRB_SAFE_MARGIN_NS;
}

/* Both lists are in name order: one walk. With `intake` NULL the records are only checked. */
static int walk(stream *in, const uint8_t *repository_id, lrb_source *source, lrb_intake *intake, lrb_err *err) {
    int code = fill(in, HEADER_BYTES, err);
    if (code) return code;
    const uint8_t *head = in->block + in->at;
    if (memcmp(head, MAGIC, sizeof MAGIC) || lrb_get_u16(head + 8) != LRB_FORMAT_VERSION || memcmp(head + 16, repository_id, LRB_REPO_ID_BYTES))
        return lrb_err_set(err, LRB_E_FOREIGN, "read", "cache", "the source cache is of another repository or version");
    int64_t observed_ns = (int64_t)lrb_get_u64(head + 32);
    uint64_t records = lrb_get_u64(head + 40);
    in->at += HEADER_BYTES;
    size_t position = 0, count = lrb_source_count(source);
    for (; records; records--) {
        record r;
        if ((code = next_record(in, &r, err))) return code;
        if (!intake) continue;
        while (position < count && compare_names(&r, lrb_source_at(source, position)) > 0) position++;
        if (position == count || compare_names(&r, lrb_source_at(source, position))) continue;
        const lrb_identity *now = &lrb_source_at(source, position)->identity;
        if (now->type == LRB_FILE_REGULAR)
            lrb_intake_offer(intake, position, &r.taken, lrb_identity_same(now, &r.identity) && settled(&r.identity, observed_ns));
    }
    return LRB_OK;
}

/* First the whole file is checked, then its records are believed. */
static int read_cache(int fd, uint64_t size_bytes, const uint8_t *repository_id, lrb_source *source, lrb_intake *intake, lrb_err *err) {
    uint8_t digest[LRB_DIGEST_BYTES], wanted[LRB_DIGEST_BYTES];
    if (size_bytes < HEADER_BYTES + sizeof wanted) return lrb_err_set(err, LRB_E_DAMAGED, "read", "cache", "the source cache ended early");
    int code = lrb_fs_read_exact(fd, wanted, sizeof wanted, size_bytes - sizeof wanted, "cache", err);
    for (int pass = 0; !code && pass < 2; pass++) {
        stream *in = NULL;
        code = stream_open(&in, fd, err);
        if (!code) {
            in->end = size_bytes - sizeof wanted;
            code = walk(in, repository_id, source, pass ? intake : NULL, err);
        }
        if (!code) code = lrb_digest_finish(in->digest, digest, err);
        stream_free(in);
        if (!code && memcmp(digest, wanted, sizeof digest)) code = lrb_err_set(err, LRB_E_DAMAGED, "read", "cache", "the source cache was damaged");
    }
    return code;
}

int lrb_source_cache_load(lrb_repo *repo, const char *label, lrb_source *source, lrb_intake *intake, bool *found, lrb_err *err) {
    char name[NAME_ROOM];
    lrb_identity identity;
    int fd;
    *found = false;
    int code = file_name(label, name, err);
    if (!code && !(code = lrb_fs_open_read(lrb_repo_cache_dir(repo), name, &fd, err))) {
        code = lrb_fs_identify(fd, &identity, err);
        if (!code) code = read_cache(fd, identity.size_bytes, lrb_repo_id(repo), source, intake, err);
        lrb_fs_close(fd);
    }
    *found = !code;
    if (code == LRB_E_NOMEM) return code;
    lrb_err_clear(err);
    return LRB_OK;
}

/* ---- saving ---- */

static bool worth_keeping(const lrb_source_item *item) {
    return item->identity.type == LRB_FILE_REGULAR && item->name_length <= UINT16_MAX;
}

static int write_record(stream *out, const lrb_source_item *item, const lrb_taken *taken, lrb_err *err) {
    size_t length = FIXED_BYTES + item->name_length;
    if (BLOCK_BYTES - out->used < length) {
        int code = drain(out, err);
        if (code) return code;
    }
    uint8_t *at = out->block + out->used;
    lrb_put_u16(at, (uint16_t)item->name_length);
    memcpy(at + 2, item->name, item->name_length);
    at += 2 + item->name_length;
    lrb_put_u64(at, item->identity.device);
    lrb_put_u64(at + 8, item->identity.inode);
    lrb_put_u64(at + 16, item->identity.size_bytes);
    lrb_put_u64(at + 24, (uint64_t)item->identity.mtime_ns);
    lrb_put_u64(at + 32, (uint64_t)item->identity.ctime_ns);
    memcpy(at + 40, taken->sha256, 32);
    lrb_row_encode(&taken->root, at + 72);
    out->used += length;
    return LRB_OK;
}

static int write_cache(stream *out, const uint8_t *repository_id, int64_t observed_ns, const lrb_source *source, const lrb_intake *intake, lrb_err *err) {
    size_t count = lrb_source_count(source);
    uint64_t records = 0;
    for (size_t i = 0; i < count; i++) records += worth_keeping(lrb_source_at(source, i));
    memset(out->block, 0, HEADER_BYTES);
    memcpy(out->block, MAGIC, sizeof MAGIC);
    lrb_put_u16(out->block + 8, LRB_FORMAT_VERSION);
    memcpy(out->block + 16, repository_id, LRB_REPO_ID_BYTES);
    lrb_put_u64(out->block + 32, (uint64_t)observed_ns);
    lrb_put_u64(out->block + 40, records);
    out->used = HEADER_BYTES;
    int code = LRB_OK;
    for (size_t i = 0; !code && i < count; i++)
        if (worth_keeping(lrb_source_at(source, i))) code = write_record(out, lrb_source_at(source, i), lrb_intake_result(intake, i), err);
    uint8_t digest[LRB_DIGEST_BYTES];
    if (!code) code = drain(out, err);
    if (!code) code = lrb_digest_finish(out->digest, digest, err);
    return code ? code : lrb_fs_write(out->fd, digest, sizeof digest, "cache", err);
}

void lrb_source_cache_save(lrb_repo *repo, const char *label, int64_t observed_ns, const lrb_source *source, const lrb_intake *intake) {
    char name[NAME_ROOM], partial[NAME_ROOM + 48];
    lrb_err ignored; /* nothing but the next run's time is lost */
    int fd, cache = lrb_repo_cache_dir(repo);
    if (file_name(label, name, &ignored)) return;
    snprintf(partial, sizeof partial, "%s.%ld.%llx", name, (long)getpid(), (unsigned long long)lrb_clock_monotonic_ns());
    if (lrb_fs_create(cache, partial, 0640, &fd, &ignored)) return;
    stream *out = NULL;
    int code = stream_open(&out, fd, &ignored);
    if (!code) code = write_cache(out, lrb_repo_id(repo), observed_ns, source, intake, &ignored);
    stream_free(out);
    lrb_fs_close(fd);
    if (!code) code = lrb_fs_rename(cache, partial, cache, name, &ignored);
    if (code) (void)lrb_fs_unlink(cache, partial, &ignored);
}
