/* Sealed packs, as somebody with the key could write them: rows that lie behind their seal, and chunks behind theirs. */
#include "base/wire.h"
#include "fuzz.h"
#include "repo/pack.h"

enum { AT_SEAL = 10, AT_REPOSITORY = 16, AT_SALT = 32, ASSOCIATED_BYTES = LRB_PACK_HEADER_BYTES + 4 + LRB_PACK_ROW_BYTES + 1 };
enum { DECODED_MAX_BYTES = 8 << 20 /* of one input, for speed */ };

static lrb_vault vault;
static lrb_coder *coder;
static int dir;

static void set_up(void) {
    static const lrb_key master = {{1}};
    lrb_err err;
    MUST_OK(lrb_vault_open(&vault, (const uint8_t *)"a repository's id", "g", &master, &err));
    MUST_OK(lrb_coder_new(&coder, &err));
    MUST_OK(lrb_fs_open_dir(AT_FDCWD, fuzz_directory(), &dir, &err));
}

/* header | number | what | "g", as pack.h says it */
static size_t associate(const uint8_t *header, uint32_t number, const void *what, size_t count, uint8_t *out) {
    memcpy(out, header, LRB_PACK_HEADER_BYTES);
    lrb_put_u32(out + LRB_PACK_HEADER_BYTES, number);
    memcpy(out + LRB_PACK_HEADER_BYTES + 4, what, count);
    out[LRB_PACK_HEADER_BYTES + 4 + count] = 'g';
    return LRB_PACK_HEADER_BYTES + 4 + count + 1;
}

/* Seals the chunk a row names, when it lies before the rows. */
static void seal_chunk(lrb_sealer *sealer, uint8_t *bytes, uint64_t room, uint32_t ordinal, const uint8_t *row) {
    uint8_t associated[ASSOCIATED_BYTES];
    uint64_t offset = lrb_get_u32(row + 32), length = lrb_get_u32(row + 36);
    lrb_err err;
    if (offset < LRB_PACK_HEADER_BYTES || length < LRB_TAG_BYTES || offset + length > room) return;
    length -= LRB_TAG_BYTES;
    size_t count = associate(bytes, ordinal, row, LRB_PACK_ROW_BYTES, associated);
    MUST_OK(lrb_sealer_seal(sealer, ordinal, associated, count, bytes + offset, length, bytes + offset + length, &err));
}

static void seal(uint8_t *bytes, size_t size) {
    uint8_t associated[ASSOCIATED_BYTES], number[4], *footer = bytes + size - LRB_PACK_FOOTER_BYTES;
    uint32_t rows = lrb_get_u32(footer + 4);
    uint64_t length = (uint64_t)rows * LRB_PACK_ROW_BYTES, end = size - LRB_PACK_FOOTER_BYTES;
    lrb_sealer *sealer;
    lrb_key key;
    lrb_err err;
    bytes[AT_SEAL] = LRB_SEAL_AES256_GCM;
    memcpy(bytes + AT_REPOSITORY, vault.repository_id, LRB_REPO_ID_BYTES);
    lrb_put_u64(footer + 8, size);
    lrb_put_u32(footer, (uint32_t)(length + LRB_TAG_BYTES));
    if (!rows || length + LRB_TAG_BYTES > end - LRB_PACK_HEADER_BYTES) return;
    uint8_t *trailer = footer - LRB_TAG_BYTES - length;
    MUST_OK(lrb_vault_key(&vault, "pack", bytes + AT_SALT, &key, &err));
    MUST_OK(lrb_sealer_new(&sealer, &err));
    lrb_sealer_set_key(sealer, key.bytes);
    for (uint32_t i = 0; i < rows; i++)
        seal_chunk(sealer, bytes, (uint64_t)(trailer - bytes), i, trailer + (size_t)i * LRB_PACK_ROW_BYTES);
    lrb_put_u32(number, rows);
    size_t count = associate(bytes, UINT32_MAX, number, sizeof number, associated);
    MUST_OK(lrb_sealer_seal(sealer, UINT32_MAX, associated, count, trailer, length, trailer + length, &err));
    MUST_OK(lrb_sha256(trailer, length + LRB_TAG_BYTES, footer + 16, &err));
    lrb_sealer_free(sealer);
}

static void read_chunks(const lrb_pack *pack) {
    lrb_buf content;
    lrb_err err;
    size_t decoded = 0;
    lrb_buf_init(&content, LRB_CONTENT_MAX_BYTES);
    for (uint32_t i = 0; i < pack->count && decoded <= DECODED_MAX_BYTES; i++) {
        MUST(pack->rows[i].stored_length >= LRB_TAG_BYTES);
        int code = lrb_pack_read(pack, i, coder, true, &content, &err);
        must_be_an_answer(code, &err);
        if (!code) MUST(content.length == pack->rows[i].content_length);
        decoded += pack->rows[i].content_length;
    }
    lrb_buf_clear(&content);
}

/* input: a pack in which rows and chunks lie as they are, each with 16 bytes of room behind; all seals are put right */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    lrb_pack_row *rows;
    lrb_pack *pack;
    lrb_err err;
    lrb_id name = {{0}};
    uint32_t count;
    if (!coder) set_up();
    uint8_t *bytes = fuzz_copy(data, size);
    if (size >= LRB_PACK_HEADER_BYTES + LRB_PACK_FOOTER_BYTES) seal(bytes, size);
    int code = lrb_pack_parse(bytes, size, &vault, "packs/test", &rows, &count, &err);
    must_be_an_answer(code, &err);
    if (!code) {
        fuzz_write_file(dir, "pack", bytes, size);
        MUST_OK(lrb_pack_open_file(dir, "pack", &name, size, &vault, &pack, &err));
        MUST(pack->count == count && !memcmp(pack->rows, rows, count * sizeof *rows));
        read_chunks(pack);
        lrb_pack_close(pack);
        lrb_free(rows);
    }
    lrb_free(bytes);
    return 0;
}
