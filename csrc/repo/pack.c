#include "repo/pack.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/wire.h"

static const char header_magic[8] = "lrbpack1", footer_magic[8] = "lrbpend1";

enum {
    SALT_AT = 32,
    FIRST_ROOM = 64,
    PACK_MIN_BYTES = LRB_PACK_HEADER_BYTES + LRB_PACK_ROW_BYTES + LRB_PACK_FOOTER_BYTES
};

/* ---- writing ---- */

static int put_header(lrb_pack_builder *b, const uint8_t repository_id[LRB_REPO_ID_BYTES], lrb_err *err) {
    uint8_t header[LRB_PACK_HEADER_BYTES] = {0};
    memcpy(header, header_magic, sizeof header_magic);
    lrb_put_u16(header + 8, LRB_FORMAT_VERSION);
    header[10] = LRB_SEAL_NONE;
    memcpy(header + 16, repository_id, LRB_REPO_ID_BYTES);
    return lrb_buf_append(&b->bytes, header, sizeof header, err);
}

int lrb_pack_builder_init(lrb_pack_builder *b, const uint8_t repository_id[LRB_REPO_ID_BYTES], lrb_err *err) {
    memset(b, 0, sizeof *b);
    lrb_buf_init(&b->bytes, LRB_PACK_MAX_BYTES);
    return put_header(b, repository_id, err);
}

void lrb_pack_builder_clear(lrb_pack_builder *b) {
    lrb_buf_clear(&b->bytes);
    lrb_free(b->rows);
    b->rows = NULL;
    b->count = b->room = 0;
}

void lrb_pack_builder_set_salt(lrb_pack_builder *b, const uint8_t salt[LRB_SALT_BYTES]) {
    memcpy(b->bytes.data + SALT_AT, salt, LRB_SALT_BYTES);
}

int lrb_pack_builder_reset(lrb_pack_builder *b, const uint8_t repository_id[LRB_REPO_ID_BYTES], lrb_err *err) {
    lrb_buf_empty(&b->bytes);
    b->count = 0;
    return put_header(b, repository_id, err);
}

static int grow_rows(lrb_pack_builder *b, lrb_err *err) {
    if (b->count < b->room) return LRB_OK;
    uint32_t room = b->room ? b->room * 2 : FIRST_ROOM;
    lrb_pack_row *rows = lrb_resize_array(b->rows, room, sizeof *rows);
    if (!rows) return lrb_err_nomem(err, "add a chunk to a pack");
    b->rows = rows;
    b->room = room;
    return LRB_OK;
}

static size_t end_bytes(uint32_t rows) {
    return (size_t)rows * LRB_PACK_ROW_BYTES + LRB_PACK_FOOTER_BYTES;
}

int lrb_pack_builder_add(lrb_pack_builder *b, const lrb_stored *chunk, uint32_t *ordinal, lrb_err *err) {
    size_t total = b->bytes.length + chunk->stored_length + end_bytes(b->count + 1);
    if (b->count >= LRB_PACK_MAX_CHUNKS || total > LRB_PACK_MAX_BYTES)
        return lrb_err_set(err, LRB_E_LIMIT, "add to a pack", "", "a chunk of %u bytes did not fit into the pack",
                           (unsigned)chunk->stored_length);
    lrb_pack_row row = {
        .id = chunk->id,
        .offset = (uint32_t)b->bytes.length,
        .stored_length = chunk->stored_length,
        .content_length = chunk->content_length,
        .dim = chunk->dim,
        .kind = (uint8_t)chunk->kind,
        .codec = (uint8_t)chunk->codec,
    };
    int code = grow_rows(b, err);
    if (!code) code = lrb_buf_append(&b->bytes, chunk->bytes, chunk->stored_length, err);
    if (code) return code;
    b->rows[b->count] = row;
    *ordinal = b->count++;
    return LRB_OK;
}

bool lrb_pack_builder_full(const lrb_pack_builder *b) {
    return b->bytes.length >= LRB_PACK_TARGET_BYTES || b->count >= LRB_PACK_MAX_CHUNKS;
}

static void encode_row(const lrb_pack_row *row, uint8_t out[LRB_PACK_ROW_BYTES]) {
    memset(out, 0, LRB_PACK_ROW_BYTES);
    memcpy(out, row->id.bytes, sizeof row->id.bytes);
    lrb_put_u32(out + 32, row->offset);
    lrb_put_u32(out + 36, row->stored_length);
    lrb_put_u32(out + 40, row->content_length);
    lrb_put_u32(out + 44, row->dim);
    out[48] = row->kind;
    out[49] = row->codec;
}

static int put_trailer(lrb_pack_builder *b, lrb_err *err) {
    int code = LRB_OK;
    for (uint32_t i = 0; !code && i < b->count; i++) {
        uint8_t row[LRB_PACK_ROW_BYTES];
        encode_row(&b->rows[i], row);
        code = lrb_buf_append(&b->bytes, row, sizeof row, err);
    }
    return code;
}

static int put_footer(lrb_pack_builder *b, size_t trailer_at, lrb_digest *digest, lrb_err *err) {
    size_t trailer_bytes = b->bytes.length - trailer_at;
    uint8_t footer[LRB_PACK_FOOTER_BYTES] = {0};
    lrb_put_u32(footer, (uint32_t)trailer_bytes);
    lrb_put_u32(footer + 4, b->count);
    lrb_put_u64(footer + 8, b->bytes.length + sizeof footer);
    memcpy(footer + 56, footer_magic, sizeof footer_magic);
    int code = lrb_digest_begin(digest, err);
    if (!code) code = lrb_digest_update(digest, b->bytes.data + trailer_at, trailer_bytes, err);
    if (!code) code = lrb_digest_finish(digest, footer + 16, err);
    if (!code) code = lrb_buf_append(&b->bytes, footer, sizeof footer, err);
    return code;
}

int lrb_pack_builder_finish(lrb_pack_builder *b, lrb_digest *digest, lrb_id *name, lrb_err *err) {
    if (!b->count) return lrb_err_set(err, LRB_E_INVALID, "finish a pack", "", "the pack had no chunks");
    size_t trailer_at = b->bytes.length;
    int code = lrb_buf_reserve(&b->bytes, end_bytes(b->count), err);
    if (!code) code = put_trailer(b, err);
    if (!code) code = put_footer(b, trailer_at, digest, err);
    if (!code) code = lrb_digest_begin(digest, err);
    if (!code) code = lrb_digest_update(digest, b->bytes.data, b->bytes.length, err);
    if (!code) code = lrb_digest_finish(digest, name->bytes, err);
    if (code) b->bytes.length = trailer_at;
    return code;
}

/* ---- checking ---- */

static int damaged(lrb_err *err, const char *label, const char *what) {
    return lrb_err_set(err, LRB_E_DAMAGED, "read a pack", label, "the pack %s", what);
}

static bool all_zero(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes[i]) return false;
    return true;
}

static int check_size(uint64_t size_bytes, const char *label, lrb_err *err) {
    if (size_bytes >= PACK_MIN_BYTES && size_bytes <= LRB_PACK_MAX_BYTES) return LRB_OK;
    return lrb_err_set(err, LRB_E_DAMAGED, "read a pack", label, "the pack was %" PRIu64 " bytes long", size_bytes);
}

static int check_header(const uint8_t *header, const uint8_t *repository_id, const char *label, lrb_err *err) {
    if (memcmp(header, header_magic, sizeof header_magic) != 0) return damaged(err, label, "did not begin like a pack");
    unsigned version = lrb_get_u16(header + 8), seal = header[10];
    if (version != LRB_FORMAT_VERSION)
        return lrb_err_set(err, LRB_E_UNSUPPORTED, "read a pack", label,
                           "the pack is of format version %u, which needs a newer version", version);
    if (seal != LRB_SEAL_NONE)
        return lrb_err_set(err, LRB_E_UNSUPPORTED, "read a pack", label,
                           "the pack is sealed by %s (%u), which needs a newer version", lrb_seal_name(seal), seal);
    if (memcmp(header + 16, repository_id, LRB_REPO_ID_BYTES) != 0)
        return lrb_err_set(err, LRB_E_FOREIGN, "read a pack", label, "the pack belongs to another repository");
    if (!all_zero(header + 11, 5)) return damaged(err, label, "had a broken header");
    return LRB_OK;
}

static int check_footer(const uint8_t *footer, uint64_t size_bytes, const char *label, uint32_t *count, lrb_err *err) {
    if (memcmp(footer + 56, footer_magic, sizeof footer_magic) != 0)
        return damaged(err, label, "did not end like a pack");
    if (lrb_get_u64(footer + 8) != size_bytes) return damaged(err, label, "did not have the length it names");
    uint64_t rows = lrb_get_u32(footer + 4), trailer_bytes = lrb_get_u32(footer);
    uint64_t room = size_bytes - LRB_PACK_HEADER_BYTES - LRB_PACK_FOOTER_BYTES;
    if (!rows || rows > LRB_PACK_MAX_CHUNKS || trailer_bytes != rows * LRB_PACK_ROW_BYTES || trailer_bytes > room ||
        !all_zero(footer + 48, 8))
        return damaged(err, label, "had a broken footer");
    *count = (uint32_t)rows;
    return LRB_OK;
}

/* False when the row does not begin where the one before it ended, or is not what any writer makes. */
static bool decode_row(const uint8_t *in, uint64_t begin, lrb_pack_row *row) {
    memcpy(row->id.bytes, in, sizeof row->id.bytes);
    row->offset = lrb_get_u32(in + 32);
    row->stored_length = lrb_get_u32(in + 36);
    row->content_length = lrb_get_u32(in + 40);
    row->dim = lrb_get_u32(in + 44);
    row->kind = in[48];
    row->codec = in[49];
    return row->offset == begin && row->stored_length <= LRB_CONTENT_MAX_BYTES &&
           row->content_length <= LRB_CONTENT_MAX_BYTES && all_zero(in + 50, 6);
}

static int check_trailer(const uint8_t *trailer, const uint8_t *footer, uint32_t count, uint64_t size_bytes,
                         const char *label, lrb_pack_row **rows, lrb_err *err) {
    uint8_t digest[LRB_DIGEST_BYTES];
    int code = lrb_sha256(trailer, (size_t)count * LRB_PACK_ROW_BYTES, digest, err);
    if (code) return code;
    if (memcmp(digest, footer + 16, sizeof digest) != 0) return damaged(err, label, "had a broken trailer");
    lrb_pack_row *read = lrb_alloc_zero(count, sizeof *read);
    if (!read) return lrb_err_nomem(err, "read a pack");
    uint64_t at = LRB_PACK_HEADER_BYTES;
    for (uint32_t i = 0; !code && i < count; i++) {
        if (!decode_row(trailer + (size_t)i * LRB_PACK_ROW_BYTES, at, &read[i]))
            code = lrb_err_set(err, LRB_E_DAMAGED, "read a pack", label, "the pack's row %u was out of place", i);
        at += read[i].stored_length;
    }
    if (!code && at != size_bytes - end_bytes(count)) code = damaged(err, label, "had bytes that no row names");
    if (code)
        lrb_free(read);
    else
        *rows = read;
    return code;
}

int lrb_pack_parse(const uint8_t *bytes, size_t count, const uint8_t repository_id[LRB_REPO_ID_BYTES],
                   const char *label, lrb_pack_row **rows, uint32_t *row_count, lrb_err *err) {
    uint32_t found = 0;
    int code = check_size(count, label, err);
    if (code) return code;
    const uint8_t *footer = bytes + count - LRB_PACK_FOOTER_BYTES;
    code = check_header(bytes, repository_id, label, err);
    if (!code) code = check_footer(footer, count, label, &found, err);
    if (!code) code = check_trailer(bytes + count - end_bytes(found), footer, found, count, label, rows, err);
    if (!code) *row_count = found;
    return code;
}

/* ---- reading ---- */

static int open_file(lrb_pack *pack, int packs_dir, uint64_t expected_size_bytes, lrb_err *err) {
    char hex[2 * LRB_DIGEST_BYTES + 1];
    lrb_identity identity;
    lrb_hex(pack->name.bytes, sizeof pack->name.bytes, hex);
    snprintf(pack->label, sizeof pack->label, "packs/%s", hex);
    int code = lrb_fs_open_read(packs_dir, hex, &pack->fd, err);
    if (!code) code = lrb_fs_identify(pack->fd, &identity, err);
    if (code) return lrb_err_context(err, "%s", pack->label);
    pack->size_bytes = identity.size_bytes;
    if (expected_size_bytes && pack->size_bytes != expected_size_bytes)
        return lrb_err_set(err, LRB_E_DAMAGED, "open a pack", pack->label,
                           "the pack was %" PRIu64 " bytes long where the log names %" PRIu64, pack->size_bytes,
                           expected_size_bytes);
    return check_size(pack->size_bytes, pack->label, err);
}

static int read_rows(lrb_pack *pack, const uint8_t *repository_id, lrb_err *err) {
    uint8_t header[LRB_PACK_HEADER_BYTES], footer[LRB_PACK_FOOTER_BYTES], *trailer = NULL;
    uint64_t footer_at = pack->size_bytes - LRB_PACK_FOOTER_BYTES;
    uint32_t count = 0;
    int code = lrb_fs_read_exact(pack->fd, header, sizeof header, 0, pack->label, err);
    if (!code) code = lrb_fs_read_exact(pack->fd, footer, sizeof footer, footer_at, pack->label, err);
    if (!code) code = check_header(header, repository_id, pack->label, err);
    if (!code) code = check_footer(footer, pack->size_bytes, pack->label, &count, err);
    if (code) return code;
    size_t trailer_bytes = (size_t)count * LRB_PACK_ROW_BYTES;
    trailer = lrb_alloc(trailer_bytes);
    if (!trailer) return lrb_err_nomem(err, "open a pack");
    code = lrb_fs_read_exact(pack->fd, trailer, trailer_bytes, footer_at - trailer_bytes, pack->label, err);
    if (!code) code = check_trailer(trailer, footer, count, pack->size_bytes, pack->label, &pack->rows, err);
    if (!code) pack->count = count;
    lrb_free(trailer);
    return code;
}

int lrb_pack_open(int packs_dir, const lrb_id *name, uint64_t expected_size_bytes,
                  const uint8_t repository_id[LRB_REPO_ID_BYTES], lrb_pack **out, lrb_err *err) {
    lrb_pack *pack = lrb_alloc_zero(1, sizeof *pack);
    if (!pack) return lrb_err_nomem(err, "open a pack");
    pack->fd = -1;
    pack->name = *name;
    int code = open_file(pack, packs_dir, expected_size_bytes, err);
    if (!code) code = read_rows(pack, repository_id, err);
    if (code)
        lrb_pack_close(pack);
    else
        *out = pack;
    return code;
}

void lrb_pack_close(lrb_pack *pack) {
    if (!pack) return;
    lrb_fs_close(pack->fd);
    lrb_free(pack->rows);
    lrb_free(pack);
}

int lrb_pack_read(const lrb_pack *pack, uint32_t ordinal, lrb_coder *coder, bool check_id, lrb_buf *content,
                  lrb_err *err) {
    if (ordinal >= pack->count)
        return lrb_err_set(err, LRB_E_INVALID, "read a chunk", pack->label, "the pack has no chunk %u", ordinal);
    const lrb_pack_row *row = &pack->rows[ordinal];
    uint8_t *room = NULL;
    lrb_buf_empty(content);
    int code = lrb_buf_reserve(content, row->content_length, err);
    if (!code) code = lrb_coder_room(coder, row->stored_length, &room, err);
    if (!code) code = lrb_fs_read_exact(pack->fd, room, row->stored_length, row->offset, pack->label, err);
    if (code) return code;
    lrb_stored stored = {
        .id = row->id,
        .kind = (lrb_chunk_kind)row->kind,
        .codec = (lrb_chunk_codec)row->codec,
        .dim = row->dim,
        .content_length = row->content_length,
        .stored_length = row->stored_length,
        .bytes = room,
    };
    code = lrb_chunk_decode(coder, &stored, check_id, content->data, pack->label, err);
    if (!code) content->length = row->content_length;
    return code;
}
