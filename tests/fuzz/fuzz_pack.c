/* Packs: the rows that are believed tile the file, each chunk decodes to what it claims or not at all, and all of it
 * put together again is the same pack. */
#include "base/wire.h"
#include "fuzz.h"
#include "repo/pack.h"

enum { DECODED_MAX_BYTES = 8 << 20 /* of one input, for speed */, REPOSITORY_AT = 16, SALT_AT = 32 };

static lrb_coder *coder;

/* Makes the footer say what is there: length, length of the trailer, its digest. */
static void fix_footer(uint8_t *bytes, size_t size) {
    lrb_err err;
    uint8_t *footer = bytes + size - LRB_PACK_FOOTER_BYTES;
    size_t room = size - LRB_PACK_HEADER_BYTES - LRB_PACK_FOOTER_BYTES;
    size_t trailer_bytes = (size_t)lrb_get_u32(footer + 4) * LRB_PACK_ROW_BYTES;
    lrb_put_u64(footer + 8, size);
    if (trailer_bytes > room) return;
    lrb_put_u32(footer, (uint32_t)trailer_bytes);
    MUST_OK(lrb_sha256(footer - trailer_bytes, trailer_bytes, footer + 16, &err));
}

static lrb_stored stored_of(const uint8_t *bytes, const lrb_pack_row *row) {
    return (lrb_stored){.id = row->id, .kind = (lrb_chunk_kind)row->kind, .codec = (lrb_chunk_codec)row->codec,
                        .dim = row->dim, .content_length = row->content_length, .stored_length = row->stored_length,
                        .bytes = bytes + row->offset};
}

/* Decodes without its id, then under its right id, then under a wrong one. */
static void decode(lrb_stored chunk) {
    uint8_t *content = lrb_alloc(chunk.content_length);
    lrb_err err;
    MUST(content);
    int code = lrb_chunk_decode(coder, NULL, &chunk, false, content, "packs/test", &err);
    must_be_an_answer(code, &err);
    if (!code) {
        MUST_OK(lrb_chunk_id(coder, NULL, chunk.kind, chunk.dim, content, chunk.content_length, &chunk.id, &err));
        MUST_OK(lrb_chunk_decode(coder, NULL, &chunk, true, content, "packs/test", &err));
        chunk.id.bytes[0] ^= 1;
        MUST(lrb_chunk_decode(coder, NULL, &chunk, true, content, "packs/test", &err) == LRB_E_DAMAGED);
    }
    lrb_free(content);
}

static void build_again(const lrb_vault *vault, const uint8_t *bytes, size_t size, const lrb_pack_row *rows, uint32_t count) {
    lrb_pack_builder builder;
    lrb_id name, wanted;
    lrb_err err;
    uint32_t ordinal;
    MUST_OK(lrb_pack_builder_init(&builder, vault, &err));
    MUST_OK(lrb_pack_builder_set_salt(&builder, bytes + SALT_AT, &err));
    for (uint32_t i = 0; i < count; i++) {
        lrb_stored chunk = stored_of(bytes, &rows[i]);
        MUST_OK(lrb_pack_builder_add(&builder, &chunk, &ordinal, &err));
    }
    MUST_OK(lrb_pack_builder_finish(&builder, lrb_coder_digest(coder), &name, &err));
    MUST(builder.bytes.length == size && !memcmp(builder.bytes.data, bytes, size));
    MUST_OK(lrb_sha256(bytes, size, wanted.bytes, &err));
    MUST(!lrb_id_compare(&name, &wanted));
    lrb_pack_builder_clear(&builder);
}

static void look_at(const uint8_t *bytes, size_t size) {
    lrb_pack_row *rows;
    lrb_err err;
    uint32_t count;
    size_t decoded = 0, at = LRB_PACK_HEADER_BYTES;
    lrb_vault vault;
    MUST_OK(lrb_vault_open(&vault, bytes + REPOSITORY_AT, "g", NULL, &err));
    int code = lrb_pack_parse(bytes, size, &vault, "packs/test", &rows, &count, &err);
    must_be_an_answer(code, &err);
    if (code) return;
    for (uint32_t i = 0; i < count; i++) {
        MUST(rows[i].offset == at && rows[i].content_length <= LRB_CONTENT_MAX_BYTES);
        at += rows[i].stored_length;
        decoded += rows[i].content_length;
        if (decoded <= DECODED_MAX_BYTES) decode(stored_of(bytes, &rows[i]));
    }
    MUST(at + (size_t)count * LRB_PACK_ROW_BYTES + LRB_PACK_FOOTER_BYTES == size);
    build_again(&vault, bytes, size, rows, count);
    lrb_free(rows);
}

/* input: a pack; its footer is put right, and the repository asked for is the one it names */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    lrb_vault nobody = {0};
    lrb_err err;
    lrb_pack_row *rows;
    uint32_t count;
    if (!coder) MUST_OK(lrb_coder_new(&coder, &err));
    uint8_t *bytes = fuzz_copy(data, size);
    if (size < LRB_PACK_HEADER_BYTES + LRB_PACK_FOOTER_BYTES) {
        MUST(lrb_pack_parse(bytes, size, &nobody, "packs/test", &rows, &count, &err) == LRB_E_DAMAGED);
    } else {
        fix_footer(bytes, size);
        look_at(bytes, size);
    }
    lrb_free(bytes);
    return 0;
}
