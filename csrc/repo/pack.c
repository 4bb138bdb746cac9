#include "repo/pack.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/wire.h"

static const char header_magic[8] = "lrbpack1", footer_magic[8] = "lrbpend1";

enum {
    SALT_AT = 32,
    FIRST_ROOM = 64,
    PACK_MIN_BYTES = LRB_PACK_HEADER_BYTES + LRB_PACK_ROW_BYTES + LRB_PACK_FOOTER_BYTES
};

/* ---- sealing ---- */

static const uint32_t ROWS_NUMBER = UINT32_MAX; /* the nonce of the rows, which no ordinal is */

enum { GRAPH_ID_MAX = 128, ASSOCIATED_MAX = LRB_PACK_HEADER_BYTES + 4 + LRB_PACK_ROW_BYTES + GRAPH_ID_MAX };

static size_t tag_bytes(const lrb_vault *vault) { return vault->sealed ? LRB_TAG_BYTES : 0; }

/* Fills in what is sealed along with message `number`; returns its length. */
static size_t associate(const lrb_vault *vault, const uint8_t *header, uint32_t number, const void *what, size_t count,
                        uint8_t out[ASSOCIATED_MAX]) {
    size_t at = LRB_PACK_HEADER_BYTES, graph = strlen(vault->graph_id);
    memcpy(out, header, at);
    lrb_put_u32(out + at, number);
    memcpy(out + at + 4, what, count);
    memcpy(out + at + 4 + count, vault->graph_id, graph);
    return at + 4 + count + graph;
}

static size_t associate_rows(const lrb_vault *vault, const uint8_t *header, uint32_t rows, uint8_t out[ASSOCIATED_MAX]) {
    uint8_t count[4];
    lrb_put_u32(count, rows);
    return associate(vault, header, ROWS_NUMBER, count, sizeof count, out);
}

/* ---- writing ---- */

/* Gives the open pack its salt, and its key. */
static int take_salt(lrb_pack_builder *b, const uint8_t salt[LRB_SALT_BYTES], lrb_err *err) {
    memcpy(b->bytes.data + SALT_AT, salt, LRB_SALT_BYTES);
    if (!b->vault->sealed) return LRB_OK;
    lrb_key key;
    int code = b->sealer ? LRB_OK : lrb_sealer_new(&b->sealer, err);
    if (!code) code = lrb_vault_key(b->vault, "pack", salt, &key, err);
    if (!code) lrb_sealer_set_key(b->sealer, key.bytes);
    lrb_bytes_wipe(&key, sizeof key);
    return code;
}

static int begin(lrb_pack_builder *b, lrb_err *err) {
    uint8_t header[LRB_PACK_HEADER_BYTES] = {0}, salt[LRB_SALT_BYTES];
    memcpy(header, header_magic, sizeof header_magic);
    lrb_put_u16(header + 8, LRB_FORMAT_VERSION);
    header[10] = b->vault->sealed ? LRB_SEAL_AES256_GCM : LRB_SEAL_NONE;
    memcpy(header + 16, b->vault->repository_id, LRB_REPO_ID_BYTES);
    lrb_buf_empty(&b->bytes);
    b->count = 0;
    int code = lrb_buf_append(&b->bytes, header, sizeof header, err);
    if (!code) code = lrb_random_bytes(salt, sizeof salt, err);
    return code ? code : take_salt(b, salt, err);
}

int lrb_pack_builder_init(lrb_pack_builder *b, const lrb_vault *vault, lrb_err *err) {
    memset(b, 0, sizeof *b);
    b->vault = vault;
    lrb_buf_init(&b->bytes, LRB_PACK_MAX_BYTES);
    b->bytes.data = lrb_resize_pages(NULL, 0, LRB_PACK_MAX_BYTES);
    if (!b->bytes.data) return lrb_err_nomem(err, "start a pack");
    b->bytes.capacity = LRB_PACK_MAX_BYTES;
    int code = begin(b, err);
    if (code) lrb_pack_builder_clear(b);
    return code;
}

void lrb_pack_builder_clear(lrb_pack_builder *b) {
    lrb_free_pages(b->bytes.data, LRB_PACK_MAX_BYTES);
    lrb_buf_init(&b->bytes, LRB_PACK_MAX_BYTES);
    lrb_sealer_free(b->sealer);
    lrb_free(b->rows);
    b->sealer = NULL;
    b->rows = NULL;
    b->count = b->room = 0;
}

int lrb_pack_builder_reset(lrb_pack_builder *b, lrb_err *err) { return begin(b, err); }

int lrb_pack_builder_set_salt(lrb_pack_builder *b, const uint8_t salt[LRB_SALT_BYTES], lrb_err *err) {
    if (b->count) return lrb_err_set(err, LRB_E_INTERNAL, "salt a pack", "", "the pack had chunks already");
    return take_salt(b, salt, err);
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

/* Rows, their tag and the footer. */
static size_t end_bytes(const lrb_vault *vault, uint32_t rows) {
    return (size_t)rows * LRB_PACK_ROW_BYTES + tag_bytes(vault) + LRB_PACK_FOOTER_BYTES;
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

/* Seals what lies at `at` to the end of the pack and appends the tag, for which there is room. */
static int seal_end(lrb_pack_builder *b, size_t at, uint32_t number, const void *associated, size_t associated_bytes,
                    lrb_err *err) {
    uint8_t *end = b->bytes.data + b->bytes.length;
    int code = lrb_sealer_seal(b->sealer, number, associated, associated_bytes, b->bytes.data + at,
                               b->bytes.length - at, end, err);
    if (!code) b->bytes.length += LRB_TAG_BYTES;
    return code;
}

static int append_chunk(lrb_pack_builder *b, const lrb_pack_row *row, const uint8_t *bytes, lrb_err *err) {
    uint8_t associated[ASSOCIATED_MAX], encoded[LRB_PACK_ROW_BYTES];
    int code = lrb_buf_reserve(&b->bytes, row->stored_length, err);
    if (!code) code = lrb_buf_append(&b->bytes, bytes, row->stored_length - tag_bytes(b->vault), err);
    if (code || !b->vault->sealed) return code;
    encode_row(row, encoded);
    size_t count = associate(b->vault, b->bytes.data, b->count, encoded, sizeof encoded, associated);
    code = seal_end(b, row->offset, b->count, associated, count, err);
    if (code) b->bytes.length = row->offset;
    return code;
}

int lrb_pack_builder_add(lrb_pack_builder *b, const lrb_stored *chunk, uint32_t *ordinal, lrb_err *err) {
    size_t stored_length = chunk->stored_length + tag_bytes(b->vault);
    size_t total = b->bytes.length + stored_length + end_bytes(b->vault, b->count + 1);
    if (b->count >= LRB_PACK_MAX_CHUNKS || total > LRB_PACK_MAX_BYTES)
        return lrb_err_set(err, LRB_E_LIMIT, "add to a pack", "", "a chunk of %u bytes did not fit into the pack",
                           (unsigned)chunk->stored_length);
    lrb_pack_row row = {
        .id = chunk->id,
        .offset = (uint32_t)b->bytes.length,
        .stored_length = (uint32_t)stored_length,
        .content_length = chunk->content_length,
        .dim = chunk->dim,
        .kind = (uint8_t)chunk->kind,
        .codec = (uint8_t)chunk->codec,
    };
    int code = grow_rows(b, err);
    if (!code) code = append_chunk(b, &row, chunk->bytes, err);
    if (code) return code;
    b->rows[b->count] = row;
    *ordinal = b->count++;
    return LRB_OK;
}

bool lrb_pack_builder_full(const lrb_pack_builder *b) {
    return b->bytes.length >= LRB_PACK_TARGET_BYTES || b->count >= LRB_PACK_MAX_CHUNKS;
}

static int put_trailer(lrb_pack_builder *b, size_t trailer_at, lrb_err *err) {
    int code = LRB_OK;
    for (uint32_t i = 0; !code && i < b->count; i++) {
        uint8_t row[LRB_PACK_ROW_BYTES];
        encode_row(&b->rows[i], row);
        code = lrb_buf_append(&b->bytes, row, sizeof row, err);
    }
    if (code || !b->vault->sealed) return code;
    uint8_t associated[ASSOCIATED_MAX];
    size_t count = associate_rows(b->vault, b->bytes.data, b->count, associated);
    return seal_end(b, trailer_at, ROWS_NUMBER, associated, count, err);
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
    int code = lrb_buf_reserve(&b->bytes, end_bytes(b->vault, b->count), err);
    if (!code) code = put_trailer(b, trailer_at, err);
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

static int check_seal(unsigned seal, const lrb_vault *vault, const char *label, lrb_err *err) {
    if (seal != LRB_SEAL_NONE && seal != LRB_SEAL_AES256_GCM)
        return lrb_err_set(err, LRB_E_UNSUPPORTED, "read a pack", label,
                           "the pack is sealed by algorithm %u, which needs a newer version", seal);
    if (vault->sealed != (seal == LRB_SEAL_AES256_GCM))
        return damaged(err, label, vault->sealed ? "is not sealed while its repository is" : "is sealed while its repository is not");
    return LRB_OK;
}

static int check_header(const uint8_t *header, const lrb_vault *vault, const char *label, lrb_err *err) {
    if (memcmp(header, header_magic, sizeof header_magic) != 0) return damaged(err, label, "did not begin like a pack");
    unsigned version = lrb_get_u16(header + 8);
    if (version != LRB_FORMAT_VERSION)
        return lrb_err_set(err, LRB_E_UNSUPPORTED, "read a pack", label,
                           "the pack is of format version %u, which needs a newer version", version);
    if (memcmp(header + 16, vault->repository_id, LRB_REPO_ID_BYTES) != 0)
        return lrb_err_set(err, LRB_E_FOREIGN, "read a pack", label, "the pack belongs to another repository");
    int code = check_seal(header[10], vault, label, err);
    if (!code && !all_zero(header + 11, 5)) code = damaged(err, label, "had a broken header");
    return code;
}

static int check_footer(const uint8_t *footer, uint64_t size_bytes, const lrb_vault *vault, const char *label,
                        uint32_t *count, lrb_err *err) {
    if (memcmp(footer + 56, footer_magic, sizeof footer_magic) != 0)
        return damaged(err, label, "did not end like a pack");
    if (lrb_get_u64(footer + 8) != size_bytes) return damaged(err, label, "did not have the length it names");
    uint64_t rows = lrb_get_u32(footer + 4), trailer_bytes = lrb_get_u32(footer);
    uint64_t room = size_bytes - LRB_PACK_HEADER_BYTES - LRB_PACK_FOOTER_BYTES;
    if (!rows || rows > LRB_PACK_MAX_CHUNKS || trailer_bytes != rows * LRB_PACK_ROW_BYTES + tag_bytes(vault) ||
        trailer_bytes > room || !all_zero(footer + 48, 8))
        return damaged(err, label, "had a broken footer");
    *count = (uint32_t)rows;
    return LRB_OK;
}

/* False when the row does not begin where the one before it ended, or is not what any writer makes. */
static bool decode_row(const uint8_t *in, uint64_t begin, size_t tag, lrb_pack_row *row) {
    memcpy(row->id.bytes, in, sizeof row->id.bytes);
    row->offset = lrb_get_u32(in + 32);
    row->stored_length = lrb_get_u32(in + 36);
    row->content_length = lrb_get_u32(in + 40);
    row->dim = lrb_get_u32(in + 44);
    row->kind = in[48];
    row->codec = in[49];
    return row->offset == begin && row->stored_length >= tag && row->stored_length <= LRB_CONTENT_MAX_BYTES + tag &&
           row->content_length <= LRB_CONTENT_MAX_BYTES && all_zero(in + 50, 6);
}

static int decode_rows(const uint8_t *trailer, uint32_t count, uint64_t end, size_t tag, const char *label,
                       lrb_pack_row *rows, lrb_err *err) {
    uint64_t at = LRB_PACK_HEADER_BYTES;
    for (uint32_t i = 0; i < count; i++) {
        if (!decode_row(trailer + (size_t)i * LRB_PACK_ROW_BYTES, at, tag, &rows[i]))
            return lrb_err_set(err, LRB_E_DAMAGED, "read a pack", label, "the pack's row %u was out of place", i);
        at += rows[i].stored_length;
    }
    return at == end ? LRB_OK : damaged(err, label, "had bytes that no row names");
}

/* What is known of a pack before its rows are believed. */
typedef struct frame {
    const lrb_vault *vault;
    const char *label;
    const uint8_t *header, *footer;
    uint64_t size_bytes;
    uint32_t count;
} frame;

static int unseal_rows(const frame *f, uint8_t *trailer, lrb_key *key, lrb_err *err) {
    uint8_t associated[ASSOCIATED_MAX];
    size_t length = (size_t)f->count * LRB_PACK_ROW_BYTES;
    lrb_sealer *sealer = NULL;
    int code = lrb_vault_key(f->vault, "pack", f->header + SALT_AT, key, err);
    if (!code) code = lrb_sealer_new(&sealer, err);
    if (code) return code;
    lrb_sealer_set_key(sealer, key->bytes);
    size_t count = associate_rows(f->vault, f->header, f->count, associated);
    code = lrb_sealer_unseal(sealer, ROWS_NUMBER, associated, count, trailer, length, trailer + length, err);
    lrb_sealer_free(sealer);
    return code == LRB_E_DAMAGED ? damaged(err, f->label, "had a trailer that was not sealed with this repository's key")
                                 : code;
}

/* Reads the rows from the trailer, which is unsealed in place. */
static int take_rows(const frame *f, uint8_t *trailer, lrb_key *key, lrb_pack_row **rows, lrb_err *err) {
    uint8_t digest[LRB_DIGEST_BYTES];
    size_t tag = tag_bytes(f->vault);
    int code = lrb_sha256(trailer, (size_t)f->count * LRB_PACK_ROW_BYTES + tag, digest, err);
    if (code) return code;
    if (memcmp(digest, f->footer + 16, sizeof digest) != 0) return damaged(err, f->label, "had a broken trailer");
    if (f->vault->sealed && (code = unseal_rows(f, trailer, key, err))) return code;
    lrb_pack_row *read = lrb_alloc_zero(f->count, sizeof *read);
    if (!read) return lrb_err_nomem(err, "read a pack");
    code = decode_rows(trailer, f->count, f->size_bytes - end_bytes(f->vault, f->count), tag, f->label, read, err);
    if (code) lrb_free(read);
    else *rows = read;
    return code;
}

int lrb_pack_parse(const uint8_t *bytes, size_t count, const lrb_vault *vault, const char *label, lrb_pack_row **rows,
                   uint32_t *row_count, lrb_err *err) {
    int code = check_size(count, label, err);
    if (code) return code;
    frame f = {vault, label, bytes, bytes + count - LRB_PACK_FOOTER_BYTES, count, 0};
    code = check_header(bytes, vault, label, err);
    if (!code) code = check_footer(f.footer, count, vault, label, &f.count, err);
    if (code) return code;
    size_t end = end_bytes(vault, f.count), trailer_bytes = end - LRB_PACK_FOOTER_BYTES;
    uint8_t *trailer = lrb_alloc(trailer_bytes);
    if (!trailer) return lrb_err_nomem(err, "read a pack");
    memcpy(trailer, bytes + count - end, trailer_bytes);
    lrb_key key;
    code = take_rows(&f, trailer, &key, rows, err);
    lrb_bytes_wipe(&key, sizeof key);
    lrb_free(trailer);
    if (!code) *row_count = f.count;
    return code;
}

/* ---- reading ---- */

static int open_file(lrb_pack *pack, int dir, const char *file_name, uint64_t expected_size_bytes, lrb_err *err) {
    lrb_identity identity;
    int code = lrb_fs_open_read(dir, file_name, &pack->fd, err);
    if (!code) code = lrb_fs_identify(pack->fd, &identity, err);
    if (code) return lrb_err_context(err, "%s", pack->label);
    pack->size_bytes = identity.size_bytes;
    if (expected_size_bytes && pack->size_bytes != expected_size_bytes)
        return lrb_err_set(err, LRB_E_DAMAGED, "open a pack", pack->label,
                           "the pack was %" PRIu64 " bytes long where the log names %" PRIu64, pack->size_bytes,
                           expected_size_bytes);
    return check_size(pack->size_bytes, pack->label, err);
}

static int read_rows(lrb_pack *pack, lrb_err *err) {
    uint8_t footer[LRB_PACK_FOOTER_BYTES];
    uint64_t footer_at = pack->size_bytes - LRB_PACK_FOOTER_BYTES;
    frame f = {pack->vault, pack->label, pack->header, footer, pack->size_bytes, 0};
    int code = lrb_fs_read_exact(pack->fd, pack->header, sizeof pack->header, 0, pack->label, err);
    if (!code) code = lrb_fs_read_exact(pack->fd, footer, sizeof footer, footer_at, pack->label, err);
    if (!code) code = check_header(pack->header, pack->vault, pack->label, err);
    if (!code) code = check_footer(footer, pack->size_bytes, pack->vault, pack->label, &f.count, err);
    if (code) return code;
    size_t trailer_bytes = end_bytes(pack->vault, f.count) - LRB_PACK_FOOTER_BYTES;
    uint8_t *trailer = lrb_alloc(trailer_bytes);
    if (!trailer) return lrb_err_nomem(err, "open a pack");
    code = lrb_fs_read_exact(pack->fd, trailer, trailer_bytes, footer_at - trailer_bytes, pack->label, err);
    if (!code) code = take_rows(&f, trailer, &pack->key, &pack->rows, err);
    if (!code) pack->count = f.count;
    lrb_free(trailer);
    return code;
}

int lrb_pack_open_file(int dir, const char *file_name, const lrb_id *name, uint64_t expected_size_bytes,
                       const lrb_vault *vault, lrb_pack **out, lrb_err *err) {
    lrb_pack *pack = lrb_alloc_zero(1, sizeof *pack);
    if (!pack) return lrb_err_nomem(err, "open a pack");
    char hex[2 * LRB_DIGEST_BYTES + 1];
    lrb_hex(name->bytes, sizeof name->bytes, hex);
    snprintf(pack->label, sizeof pack->label, "packs/%s", hex);
    pack->fd = -1;
    pack->name = *name;
    pack->vault = vault;
    int code = open_file(pack, dir, file_name, expected_size_bytes, err);
    if (!code) code = read_rows(pack, err);
    if (code) lrb_pack_close(pack);
    else *out = pack;
    return code;
}

int lrb_pack_open(int packs_dir, const lrb_id *name, uint64_t expected_size_bytes, const lrb_vault *vault,
                  lrb_pack **out, lrb_err *err) {
    char hex[2 * LRB_DIGEST_BYTES + 1];
    lrb_hex(name->bytes, sizeof name->bytes, hex);
    return lrb_pack_open_file(packs_dir, hex, name, expected_size_bytes, vault, out, err);
}

void lrb_pack_close(lrb_pack *pack) {
    if (!pack) return;
    lrb_fs_close(pack->fd);
    lrb_free(pack->rows);
    lrb_bytes_wipe(&pack->key, sizeof pack->key);
    lrb_free(pack);
}

/* `from` are the row's stored bytes; the tag at their end is checked and the rest unsealed to `to`, which may be the same. */
static int unseal_chunk(const lrb_pack *pack, uint32_t ordinal, lrb_coder *coder, const uint8_t *from, uint8_t *to, lrb_err *err) {
    uint8_t associated[ASSOCIATED_MAX], encoded[LRB_PACK_ROW_BYTES];
    const lrb_pack_row *row = &pack->rows[ordinal];
    size_t length = row->stored_length - LRB_TAG_BYTES;
    lrb_sealer *sealer;
    int code = lrb_coder_sealer(coder, &sealer, err);
    if (code) return code;
    lrb_sealer_set_key(sealer, pack->key.bytes);
    encode_row(row, encoded);
    size_t count = associate(pack->vault, pack->header, ordinal, encoded, sizeof encoded, associated);
    code = lrb_sealer_unseal_to(sealer, ordinal, associated, count, from, to, length, from + length, err);
    if (code != LRB_E_DAMAGED) return code;
    char prefix[17];
    lrb_id_prefix(&row->id, prefix);
    return lrb_err_set(err, LRB_E_DAMAGED, "read a chunk", pack->label, "chunk %s does not match its seal", prefix);
}

/* Where the row's stored bytes were read already; NULL: they were not. */
static const uint8_t *in_window(const lrb_pack *pack, const lrb_pack_row *row) {
    uint64_t from = pack->window.offset, to = from + pack->window.count;
    if (row->offset < from || row->offset + (uint64_t)row->stored_length > to) return NULL;
    return pack->window.bytes + (row->offset - from);
}

static int no_such_chunk(const lrb_pack *pack, uint32_t ordinal, lrb_err *err) {
    return lrb_err_set(err, LRB_E_INVALID, "read a chunk", pack->label, "the pack has no chunk %u", ordinal);
}

/* With `room` for the row's stored bytes. */
static int take_to(const lrb_pack *pack, uint32_t ordinal, lrb_coder *coder, uint8_t *room, lrb_stored *stored, lrb_err *err) {
    const lrb_pack_row *row = &pack->rows[ordinal];
    const uint8_t *from = in_window(pack, row), *bytes = from && !pack->vault->sealed ? from : room;
    int code = from ? LRB_OK : lrb_fs_read_exact(pack->fd, room, row->stored_length, row->offset, pack->label, err);
    if (!code && pack->vault->sealed) code = unseal_chunk(pack, ordinal, coder, from ? from : room, room, err);
    *stored = (lrb_stored){
        .id = row->id,
        .kind = (lrb_chunk_kind)row->kind,
        .codec = (lrb_chunk_codec)row->codec,
        .dim = row->dim,
        .content_length = row->content_length,
        .stored_length = (uint32_t)(row->stored_length - tag_bytes(pack->vault)),
        .bytes = bytes,
    };
    return code;
}

int lrb_pack_take(const lrb_pack *pack, uint32_t ordinal, lrb_coder *coder, lrb_stored *stored, lrb_err *err) {
    if (ordinal >= pack->count) return no_such_chunk(pack, ordinal, err);
    uint8_t *room = NULL;
    int code = lrb_coder_room(coder, pack->rows[ordinal].stored_length, &room, err);
    return code ? code : take_to(pack, ordinal, coder, room, stored, err);
}

static int read_behind(const lrb_pack *pack, uint32_t ordinal, lrb_coder *coder, bool check_id, lrb_buf *content,
                       lrb_err *err) {
    lrb_stored stored;
    int code = lrb_pack_take(pack, ordinal, coder, &stored, err);
    if (!code) code = lrb_buf_reserve(content, stored.content_length ? stored.content_length : 1, err); /* no content has a place, too */
    if (code) return code;
    code = lrb_chunk_decode(coder, pack->vault, &stored, check_id, content->data + content->length, pack->label, err);
    if (!code) content->length += stored.content_length;
    return code;
}

int lrb_pack_read_more(const lrb_pack *pack, uint32_t ordinal, lrb_coder *coder, lrb_buf *content, lrb_err *err) {
    return read_behind(pack, ordinal, coder, false, content, err);
}

int lrb_pack_read_many(const lrb_pack *pack, const uint32_t *ordinals, size_t count, lrb_coder *coder, lrb_buf *content,
                       lrb_err *err) {
    lrb_stored stored[LRB_CHUNK_IDS_MAX];
    uint8_t *outs[LRB_CHUNK_IDS_MAX], *room = NULL;
    size_t stored_bytes = 0, content_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (ordinals[i] >= pack->count) return no_such_chunk(pack, ordinals[i], err);
        stored_bytes += pack->rows[ordinals[i]].stored_length;
        content_bytes += pack->rows[ordinals[i]].content_length;
    }
    int code = lrb_coder_room(coder, stored_bytes, &room, err);
    if (!code) code = lrb_buf_reserve(content, content_bytes + 1, err); /* no content has a place, too */
    if (code) return code;
    uint8_t *out = content->data + content->length;
    for (size_t i = 0; !code && i < count; i++) {
        code = take_to(pack, ordinals[i], coder, room, &stored[i], err);
        outs[i] = out;
        room += pack->rows[ordinals[i]].stored_length;
        out += stored[i].content_length;
    }
    if (!code) code = lrb_chunk_decode_many(coder, stored, outs, count, pack->label, err);
    if (!code) content->length += content_bytes;
    return code;
}

int lrb_pack_read(const lrb_pack *pack, uint32_t ordinal, lrb_coder *coder, bool check_id, lrb_buf *content,
                  lrb_err *err) {
    lrb_buf_empty(content);
    return read_behind(pack, ordinal, coder, check_id, content, err);
}
