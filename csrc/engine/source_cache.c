#include "engine/source_cache.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/wire.h"
#include "lightrag/vdb.h"

enum { CLEAR_BYTES = 48, HEADER_MAX_BYTES = CLEAR_BYTES + LRB_SALT_BYTES, FRAME_HEAD_BYTES = 4, FIXED_BYTES = 2 + 5 * 8 + 32 + LRB_ROW_BYTES + 4 + 5, NAME_ROOM = 64, BLOCK_BYTES = 64 << 10 };
static const char MAGIC[8] = {'l', 'r', 'b', 's', 'r', 'c', 's', '4'};

/* Labels are paths of any length: the name is their digest, of which a sealed repository lets nobody guess the path. */
static int file_name(const lrb_vault *vault, const char *label, char out[NAME_ROOM], lrb_err *err) {
    uint8_t digest[LRB_DIGEST_BYTES];
    char hex[33];
    int code = lrb_hmac_sha256(lrb_vault_id_key(vault), label, strlen(label), digest, err);
    if (code) return code;
    lrb_hex(digest, 16, hex);
    snprintf(out, NAME_ROOM, "sources-%s", hex);
    return LRB_OK;
}

/* ---- a file read or written from front to back through one block, its digest running along ---- */

typedef struct stream {
    int fd;
    lrb_digest *digest;
    lrb_sealer *sealer;    /* NULL: the repository is not sealed */
    uint32_t frames;       /* sealed or unsealed so far */
    uint8_t header[HEADER_MAX_BYTES];
    uint8_t block[BLOCK_BYTES + LRB_TAG_BYTES];
    size_t used, at;       /* bytes in the block; read position */
    uint64_t offset, end;  /* of the next block; where the records stop */
} stream;

static int ended_early(lrb_err *err) {
    return lrb_err_set(err, LRB_E_DAMAGED, "read", "cache", "the source cache ended early");
}

/* The next `count` bytes of the file, which must be there. */
static int read_next(stream *in, uint8_t *into, size_t count, lrb_err *err) {
    if (in->end - in->offset < count) return ended_early(err);
    int code = lrb_fs_read_exact(in->fd, into, count, in->offset, "cache", err);
    if (!code) code = lrb_digest_update(in->digest, into, count, err);
    in->offset += count;
    return code;
}

static int write_next(stream *out, const uint8_t *bytes, size_t count, lrb_err *err) {
    int code = lrb_digest_update(out->digest, bytes, count, err);
    return code ? code : lrb_fs_write(out->fd, bytes, count, "cache", err);
}

/* What is sealed along with a frame: the header and the frame's length. Its number is the nonce. */
static void associate(const stream *s, const uint8_t *length, uint8_t out[HEADER_MAX_BYTES + FRAME_HEAD_BYTES]) {
    memcpy(out, s->header, HEADER_MAX_BYTES);
    memcpy(out + HEADER_MAX_BYTES, length, FRAME_HEAD_BYTES);
}

/* Records do not run over the end of a frame. */
static int next_frame(stream *in, lrb_err *err) {
    uint8_t head[FRAME_HEAD_BYTES], associated[HEADER_MAX_BYTES + FRAME_HEAD_BYTES];
    if (in->used != in->at) return ended_early(err);
    int code = read_next(in, head, sizeof head, err);
    size_t length = code ? 0 : lrb_get_u32(head);
    if (!code && length > BLOCK_BYTES) code = ended_early(err);
    if (!code) code = read_next(in, in->block, length + LRB_TAG_BYTES, err);
    associate(in, head, associated);
    if (!code)
        code = lrb_sealer_unseal(in->sealer, in->frames++, associated, sizeof associated, in->block, length,
                                 in->block + length, err);
    in->at = 0;
    in->used = code ? 0 : length;
    return code;
}

static int fill(stream *in, size_t wanted, lrb_err *err) {
    if (in->used - in->at >= wanted) return LRB_OK;
    int code = LRB_OK;
    if (in->sealer) {
        code = next_frame(in, err);
    } else {
        memmove(in->block, in->block + in->at, in->used - in->at);
        in->used -= in->at;
        in->at = 0;
        size_t room = BLOCK_BYTES - in->used;
        if (in->end - in->offset < room) room = (size_t)(in->end - in->offset);
        code = read_next(in, in->block + in->used, room, err);
        in->used += code ? 0 : room;
    }
    return code || in->used - in->at >= wanted ? code : ended_early(err);
}

static int seal_frame(stream *out, lrb_err *err) {
    uint8_t head[FRAME_HEAD_BYTES], associated[HEADER_MAX_BYTES + FRAME_HEAD_BYTES];
    lrb_put_u32(head, (uint32_t)out->used);
    associate(out, head, associated);
    int code = lrb_sealer_seal(out->sealer, out->frames++, associated, sizeof associated, out->block, out->used,
                               out->block + out->used, err);
    out->used += LRB_TAG_BYTES;
    return code ? code : write_next(out, head, sizeof head, err);
}

static int drain(stream *out, lrb_err *err) {
    int code = out->sealer && out->used ? seal_frame(out, err) : LRB_OK;
    if (!code) code = write_next(out, out->block, out->used, err);
    out->used = 0;
    return code;
}

static int stream_open(stream **made, int fd, lrb_err *err) {
    stream *s = lrb_alloc_zero(1, sizeof *s);
    *made = s;
    if (!s) return lrb_err_nomem(err, "open the source cache");
    s->fd = fd;
    int code = lrb_digest_new(&s->digest, err);
    return code ? code : lrb_digest_begin(s->digest, err);
}

static void stream_free(stream *s) {
    if (!s) return;
    lrb_digest_free(s->digest);
    lrb_sealer_free(s->sealer);
    lrb_free(s);
}

/* Takes the key of the header's salt. */
static int open_sealer(stream *s, const lrb_vault *vault, lrb_err *err) {
    lrb_key key;
    int code = lrb_vault_key(vault, "cache", s->header + CLEAR_BYTES, &key, err);
    if (!code) code = lrb_sealer_new(&s->sealer, err);
    if (!code) lrb_sealer_set_key(s->sealer, key.bytes);
    lrb_bytes_wipe(&key, sizeof key);
    return code;
}

static size_t header_bytes(const lrb_vault *vault) { return vault->sealed ? HEADER_MAX_BYTES : CLEAR_BYTES; }

/* ---- loading ---- */

typedef struct record {
    const char *name;
    size_t name_length;
    lrb_identity identity;
    lrb_taken taken;
    size_t tags, sections; /* which follow, two tags for each section */
    bool clear;
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
    out->tags = lrb_get_u32(at + 72 + LRB_ROW_BYTES);
    out->sections = lrb_get_u32(at + 76 + LRB_ROW_BYTES);
    out->clear = at[80 + LRB_ROW_BYTES];
    if ((out->tags && out->tags != lrb_segment_count(out->identity.size_bytes)) || out->sections > lrb_vdb_max_sections(out->identity.size_bytes))
        return lrb_err_set(err, LRB_E_DAMAGED, "read", "cache", "the source cache has tags that fit no file");
    in->at += FIXED_BYTES + out->name_length;
    return lrb_row_decode(at + 72, &out->taken.root, "cache", err);
}

/* The tags of a record; NULL: passes over them. */
static int next_tags(stream *in, size_t count, lrb_tag *tags, lrb_err *err) {
    for (size_t i = 0; i < count; i++) {
        int code = fill(in, sizeof tags[i], err);
        if (code) return code;
        if (tags) memcpy(&tags[i], in->block + in->at, sizeof tags[i]);
        in->at += sizeof tags[i];
    }
    return LRB_OK;
}

static int next_key(stream *in, lrb_intake *intake, lrb_err *err) {
    int code = fill(in, LRB_KEY_BYTES, err);
    if (code) return code;
    if (intake) memcpy(lrb_intake_tag_key(intake), in->block + in->at, LRB_KEY_BYTES);
    in->at += LRB_KEY_BYTES;
    return LRB_OK;
}

static int compare_names(const record *r, const lrb_source_item *item) {
    return lrb_name_compare(r->name, r->name_length, item->name, item->name_length);
}

static bool settled(const lrb_identity *identity, int64_t observed_ns) {
    int64_t newest = identity->mtime_ns > identity->ctime_ns ? identity->mtime_ns : identity->ctime_ns, latest;
    return !__builtin_sub_overflow(observed_ns, LRB_SAFE_MARGIN_NS, &latest) && newest < latest;
}

static int read_header(stream *in, const lrb_vault *vault, int64_t *observed_ns, uint64_t *records, lrb_err *err) {
    const uint8_t *head = in->header;
    int code = read_next(in, in->header, header_bytes(vault), err);
    if (code) return code;
    if (memcmp(head, MAGIC, sizeof MAGIC) || lrb_get_u16(head + 8) != LRB_FORMAT_VERSION || head[10] != vault->sealed ||
        memcmp(head + 16, vault->repository_id, LRB_REPO_ID_BYTES))
        return lrb_err_set(err, LRB_E_FOREIGN, "read", "cache", "the source cache is of another repository or version");
    *observed_ns = (int64_t)lrb_get_u64(head + 32);
    *records = lrb_get_u64(head + 40);
    return vault->sealed ? open_sealer(in, vault, err) : LRB_OK;
}

/* *copy: NULL when there are none, or they are not wanted. */
static int copy_tags(stream *in, size_t count, bool wanted, lrb_tag **copy, lrb_err *err) {
    *copy = NULL;
    if (!count || !wanted) return next_tags(in, count, NULL, err);
    lrb_tag *tags = lrb_alloc_zero(count, sizeof *tags);
    if (!tags) return lrb_err_nomem(err, "read the source cache");
    int code = next_tags(in, count, tags, err);
    if (code) lrb_free(tags);
    else *copy = tags;
    return code;
}

/* Offers what a record says of an item. Its tags follow in the stream. */
static int offer(stream *in, const record *r, const lrb_identity *now, int64_t observed_ns, lrb_intake *intake, size_t position, lrb_err *err) {
    lrb_intake_offer(intake, position, &r->taken, lrb_identity_same(now, &r->identity) && settled(&r->identity, observed_ns));
    bool same_size = now->size_bytes == r->identity.size_bytes;
    lrb_tag *tags, *sections;
    int code = copy_tags(in, r->tags, same_size, &tags, err);
    if (!code && tags) lrb_intake_offer_tags(intake, position, tags);
    if (!code) code = copy_tags(in, 2 * r->sections, true, &sections, err);
    if (!code && sections) lrb_intake_offer_sections(intake, position, (lrb_section_tags){sections, r->sections, r->clear});
    return code;
}

/* Both lists are in name order: one walk. With `intake` NULL the records are only checked. */
static int walk(stream *in, const lrb_vault *vault, lrb_source *source, lrb_intake *intake, lrb_err *err) {
    int64_t observed_ns;
    uint64_t records;
    int code = read_header(in, vault, &observed_ns, &records, err);
    if (!code) code = next_key(in, intake, err);
    if (code) return code;
    size_t position = 0, count = lrb_source_count(source);
    for (; !code && records; records--) {
        record r;
        if ((code = next_record(in, &r, err))) return code;
        while (intake && position < count && compare_names(&r, lrb_source_at(source, position)) > 0) position++;
        bool listed = intake && position < count && !compare_names(&r, lrb_source_at(source, position));
        const lrb_identity *now = listed ? &lrb_source_at(source, position)->identity : NULL;
        if (now && now->type == LRB_FILE_REGULAR) code = offer(in, &r, now, observed_ns, intake, position, err);
        else code = next_tags(in, r.tags + 2 * r.sections, NULL, err);
    }
    return code;
}

/* First the whole file is checked, then its records are believed. */
static int read_cache(int fd, uint64_t size_bytes, const lrb_vault *vault, lrb_source *source, lrb_intake *intake, lrb_err *err) {
    uint8_t digest[LRB_DIGEST_BYTES], wanted[LRB_DIGEST_BYTES];
    if (size_bytes < CLEAR_BYTES + sizeof wanted) return ended_early(err);
    int code = lrb_fs_read_exact(fd, wanted, sizeof wanted, size_bytes - sizeof wanted, "cache", err);
    for (int pass = 0; !code && pass < 2; pass++) {
        stream *in = NULL;
        code = stream_open(&in, fd, err);
        if (!code) {
            in->end = size_bytes - sizeof wanted;
            code = walk(in, vault, source, pass ? intake : NULL, err);
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
    int code = file_name(lrb_repo_vault(repo), label, name, err);
    if (!code && !(code = lrb_fs_open_read(lrb_repo_cache_dir(repo), name, &fd, err))) {
        code = lrb_fs_identify(fd, &identity, err);
        if (!code) code = read_cache(fd, identity.size_bytes, lrb_repo_vault(repo), source, intake, err);
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

/* Room for `count` bytes that lie together. */
static int take(stream *out, size_t count, uint8_t **at, lrb_err *err) {
    int code = BLOCK_BYTES - out->used < count ? drain(out, err) : LRB_OK;
    *at = out->block + out->used;
    out->used += code ? 0 : count;
    return code;
}

static int write_tags(stream *out, const lrb_tag *tags, size_t count, lrb_err *err) {
    uint8_t *at;
    int code = LRB_OK;
    for (size_t i = 0; !code && i < count; i++)
        if (!(code = take(out, sizeof tags[i], &at, err))) memcpy(at, &tags[i], sizeof tags[i]);
    return code;
}

static int write_key(stream *out, lrb_intake *intake, lrb_err *err) {
    uint8_t *at;
    int code = take(out, LRB_KEY_BYTES, &at, err);
    if (!code) memcpy(at, lrb_intake_tag_key(intake), LRB_KEY_BYTES);
    return code;
}

static int write_record(stream *out, lrb_intake *intake, const lrb_source_item *item, size_t position, lrb_err *err) {
    const lrb_taken *taken = lrb_intake_result(intake, position);
    const lrb_tag *tags = lrb_intake_tags(intake, position);
    const lrb_section_tags *sections = lrb_intake_sections(intake, position);
    size_t count = tags ? lrb_segment_count(item->identity.size_bytes) : 0;
    uint8_t *at;
    int code = take(out, FIXED_BYTES + item->name_length, &at, err);
    if (code) return code;
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
    lrb_put_u32(at + 72 + LRB_ROW_BYTES, (uint32_t)count);
    lrb_put_u32(at + 76 + LRB_ROW_BYTES, (uint32_t)sections->sections);
    at[80 + LRB_ROW_BYTES] = sections->clear;
    code = write_tags(out, tags, count, err);
    return code ? code : write_tags(out, sections->tags, 2 * sections->sections, err);
}

static int write_header(stream *out, const lrb_vault *vault, int64_t observed_ns, uint64_t records, lrb_err *err) {
    uint8_t *head = out->header;
    memcpy(head, MAGIC, sizeof MAGIC);
    lrb_put_u16(head + 8, LRB_FORMAT_VERSION);
    head[10] = vault->sealed ? LRB_SEAL_AES256_GCM : LRB_SEAL_NONE;
    memcpy(head + 16, vault->repository_id, LRB_REPO_ID_BYTES);
    lrb_put_u64(head + 32, (uint64_t)observed_ns);
    lrb_put_u64(head + 40, records);
    int code = vault->sealed ? lrb_random_bytes(head + CLEAR_BYTES, LRB_SALT_BYTES, err) : LRB_OK;
    if (!code && vault->sealed) code = open_sealer(out, vault, err);
    return code ? code : write_next(out, head, header_bytes(vault), err);
}

static int write_cache(stream *out, const lrb_vault *vault, int64_t observed_ns, const lrb_source *source, lrb_intake *intake, lrb_err *err) {
    size_t count = lrb_source_count(source);
    uint64_t records = 0;
    for (size_t i = 0; i < count; i++) records += worth_keeping(lrb_source_at(source, i));
    int code = write_header(out, vault, observed_ns, records, err);
    if (!code) code = write_key(out, intake, err);
    for (size_t i = 0; !code && i < count; i++)
        if (worth_keeping(lrb_source_at(source, i))) code = write_record(out, intake, lrb_source_at(source, i), i, err);
    uint8_t digest[LRB_DIGEST_BYTES];
    if (!code) code = drain(out, err);
    if (!code) code = lrb_digest_finish(out->digest, digest, err);
    return code ? code : lrb_fs_write(out->fd, digest, sizeof digest, "cache", err);
}

void lrb_source_cache_save(lrb_repo *repo, const char *label, int64_t observed_ns, const lrb_source *source, lrb_intake *intake) {
    char name[NAME_ROOM], partial[NAME_ROOM + 48];
    lrb_err ignored; /* nothing but the next run's time is lost */
    int fd, cache = lrb_repo_cache_dir(repo);
    if (file_name(lrb_repo_vault(repo), label, name, &ignored)) return;
    snprintf(partial, sizeof partial, "%s.%ld.%llx", name, (long)getpid(), (unsigned long long)lrb_clock_monotonic_ns());
    if (lrb_fs_create(cache, partial, 0640, &fd, &ignored)) return;
    stream *out = NULL;
    int code = stream_open(&out, fd, &ignored);
    if (!code) code = write_cache(out, lrb_repo_vault(repo), observed_ns, source, intake, &ignored);
    stream_free(out);
    lrb_fs_close(fd);
    if (!code) code = lrb_fs_rename(cache, partial, cache, name, &ignored);
    if (code) (void)lrb_fs_unlink(cache, partial, &ignored);
}
