#include "repo/chunk.h"

#include <string.h>

#include "base/mem.h"
#include "base/wire.h"
#include "codec/compress.h"

enum { ID_FRAME_BYTES = 20 };

struct lrb_coder {
    lrb_digest *digest;
    lrb_compressor *compressor;
    lrb_vector_coder *vectors;
    lrb_sealer *sealer; /* NULL until it is needed */
    lrb_buf stored;  /* a stored form: made by encode, or read from a pack by the caller */
    lrb_buf inverse; /* what encode reads back from it */
};

int lrb_coder_new(lrb_coder **out, lrb_err *err) {
    lrb_coder *coder = lrb_alloc_zero(1, sizeof *coder);
    if (!coder) return lrb_err_nomem(err, "make a chunk coder");
    lrb_buf_init(&coder->stored, lrb_compress_bound(LRB_CONTENT_MAX_BYTES));
    lrb_buf_init(&coder->inverse, LRB_CONTENT_MAX_BYTES);
    int code = lrb_digest_new(&coder->digest, err);
    if (!code) code = lrb_compressor_new(&coder->compressor, err);
    if (!code) code = lrb_vector_coder_new(&coder->vectors, err);
    if (code) {
        lrb_coder_free(coder);
        return code;
    }
    *out = coder;
    return LRB_OK;
}

void lrb_coder_free(lrb_coder *coder) {
    if (!coder) return;
    lrb_digest_free(coder->digest);
    lrb_compressor_free(coder->compressor);
    lrb_vector_coder_free(coder->vectors);
    lrb_sealer_free(coder->sealer);
    lrb_buf_clear(&coder->stored);
    lrb_buf_clear(&coder->inverse);
    lrb_free(coder);
}

lrb_digest *lrb_coder_digest(lrb_coder *coder) { return coder->digest; }

lrb_vector_coder *lrb_coder_vectors(lrb_coder *coder) { return coder->vectors; }

int lrb_coder_sealer(lrb_coder *coder, lrb_sealer **sealer, lrb_err *err) {
    int code = coder->sealer ? LRB_OK : lrb_sealer_new(&coder->sealer, err);
    *sealer = coder->sealer;
    return code;
}

int lrb_coder_room(lrb_coder *coder, size_t count, uint8_t **room, lrb_err *err) {
    lrb_buf_empty(&coder->stored);
    int code = lrb_buf_reserve(&coder->stored, count, err);
    if (!code) *room = coder->stored.data;
    return code;
}

static void frame_id(lrb_chunk_kind kind, uint32_t dim, size_t count, uint8_t frame[ID_FRAME_BYTES]) {
    memset(frame, 0, ID_FRAME_BYTES);
    memcpy(frame, "lrb1", 4);
    frame[4] = (uint8_t)kind;
    lrb_put_u32(frame + 8, dim);
    lrb_put_u64(frame + 12, count);
}

int lrb_chunk_ids_beside(lrb_coder *coder, const lrb_vault *vault, const lrb_content *contents, size_t count, lrb_id *ids,
                         const lrb_digest_flow *flow, lrb_err *err) {
    uint8_t frames[LRB_CHUNK_IDS_MAX][ID_FRAME_BYTES];
    lrb_message messages[LRB_CHUNK_IDS_MAX];
    for (size_t i = 0; i < count; i++) {
        frame_id(contents[i].kind, contents[i].dim, contents[i].count, frames[i]);
        messages[i] = (lrb_message){frames[i], contents[i].bytes, ID_FRAME_BYTES, contents[i].count, ids[i].bytes};
    }
    return lrb_digest_many_beside(coder->digest, lrb_vault_id_key(vault), messages, count, flow, err);
}

int lrb_chunk_ids(lrb_coder *coder, const lrb_vault *vault, const lrb_content *contents, size_t count, lrb_id *ids,
                  lrb_err *err) {
    return lrb_chunk_ids_beside(coder, vault, contents, count, ids, NULL, err);
}

int lrb_chunk_id(lrb_coder *coder, const lrb_vault *vault, lrb_chunk_kind kind, uint32_t dim, const void *content,
                 size_t count, lrb_id *id, lrb_err *err) {
    uint8_t frame[ID_FRAME_BYTES];
    frame_id(kind, dim, count, frame);
    int code = lrb_digest_begin_keyed(coder->digest, lrb_vault_id_key(vault), err);
    if (!code) code = lrb_digest_update(coder->digest, frame, sizeof frame, err);
    if (!code) code = lrb_digest_update(coder->digest, content, count, err);
    if (!code) code = lrb_digest_finish(coder->digest, id->bytes, err);
    return code;
}

/* Fills the coder's stored buffer with the smallest of the forms a content of this kind has. */
static int choose_form(lrb_coder *coder, const void *content, size_t count, lrb_stored *out, lrb_err *err) {
    uint8_t *room;
    size_t bound = lrb_compress_bound(count), written = 0;
    int code = lrb_coder_room(coder, bound, &room, err);
    out->codec = LRB_CODEC_VECTOR;
    if (!code && out->kind == LRB_CHUNK_VECTORS) code = lrb_vectors_encode(coder->vectors, content, count, out->dim, room, bound, &written, err);
    if (!code && !written) {
        out->codec = LRB_CODEC_ZSTD;
        code = lrb_compress(coder->compressor, content, count, room, bound, &written, err);
    }
    if (code) return code;
    if (written >= count) {
        if (count) memcpy(room, content, count);
        written = count;
        out->codec = LRB_CODEC_STORED;
    }
    out->bytes = room;
    out->stored_length = (uint32_t)written;
    return LRB_OK;
}

static int check_inverse(lrb_coder *coder, const lrb_stored *stored, const void *content, lrb_err *err) {
    lrb_buf_empty(&coder->inverse);
    int code = lrb_buf_reserve(&coder->inverse, stored->content_length, err);
    if (!code) code = lrb_chunk_decode(coder, NULL, stored, false, coder->inverse.data, "", err);
    if (code == LRB_E_NOMEM) return code;
    if (code || (stored->content_length && memcmp(coder->inverse.data, content, stored->content_length) != 0)) {
        char prefix[17];
        lrb_id_prefix(&stored->id, prefix);
        return lrb_err_set(err, LRB_E_INTERNAL, "encode", prefix, "chunk %s did not read back as it was", prefix);
    }
    return LRB_OK;
}

int lrb_chunk_encode(lrb_coder *coder, const lrb_id *id, lrb_chunk_kind kind, uint32_t dim, const void *content,
                     size_t count, lrb_stored *out, lrb_err *err) {
    if (!lrb_chunk_kind_usable(kind) || !dim == lrb_chunk_kind_has_dim(kind))
        return lrb_err_set(err, LRB_E_INVALID, "encode", "",
                           "chunks of kind %s (%u) and dimension %u cannot be written", lrb_chunk_kind_name(kind),
                           (unsigned)kind, (unsigned)dim);
    if (count > LRB_CONTENT_MAX_BYTES)
        return lrb_err_set(err, LRB_E_LIMIT, "encode", "", "a chunk of %zu bytes was above the ceiling of %d", count,
                           (int)LRB_CONTENT_MAX_BYTES);
    lrb_stored stored = {.id = *id, .kind = kind, .dim = dim, .content_length = (uint32_t)count};
    int code = choose_form(coder, content, count, &stored, err);
    if (!code && stored.codec != LRB_CODEC_VECTOR) code = check_inverse(coder, &stored, content, err); /* vectors.h reads back itself */
    if (!code) *out = stored;
    return code;
}

static int check_shape(const lrb_stored *stored, const char *prefix, const char *target, lrb_err *err) {
    if (!lrb_chunk_kind_usable(stored->kind))
        return lrb_err_set(err, LRB_E_UNSUPPORTED, "decode", target,
                           "chunk %s is of kind %s (%u), which needs a newer version", prefix,
                           lrb_chunk_kind_name(stored->kind), (unsigned)stored->kind);
    if (stored->codec != LRB_CODEC_STORED && stored->codec != LRB_CODEC_ZSTD && stored->codec != LRB_CODEC_VECTOR)
        return lrb_err_set(err, LRB_E_UNSUPPORTED, "decode", target,
                           "chunk %s is stored by codec %s (%u), which needs a newer version", prefix,
                           lrb_chunk_codec_name(stored->codec), (unsigned)stored->codec);
    if (!stored->dim == lrb_chunk_kind_has_dim(stored->kind))
        return lrb_err_set(err, LRB_E_DAMAGED, "decode", target, "chunk %s of kind %s had dimension %u", prefix,
                           lrb_chunk_kind_name(stored->kind), (unsigned)stored->dim);
    if (stored->codec == LRB_CODEC_VECTOR && stored->kind != LRB_CHUNK_VECTORS)
        return lrb_err_set(err, LRB_E_DAMAGED, "decode", target, "chunk %s of kind %s was stored as vectors", prefix,
                           lrb_chunk_kind_name(stored->kind));
    if (stored->content_length > LRB_CONTENT_MAX_BYTES)
        return lrb_err_set(err, LRB_E_DAMAGED, "decode", target, "chunk %s claimed %u bytes of content", prefix,
                           (unsigned)stored->content_length);
    if (stored->codec == LRB_CODEC_STORED && stored->stored_length != stored->content_length)
        return lrb_err_set(err, LRB_E_DAMAGED, "decode", target, "chunk %s had %u stored bytes for %u of content",
                           prefix, (unsigned)stored->stored_length, (unsigned)stored->content_length);
    return LRB_OK;
}

static int expand(lrb_coder *coder, const lrb_stored *stored, void *out, const char *prefix, const char *target,
                  lrb_err *err) {
    if (stored->codec == LRB_CODEC_STORED) {
        if (stored->content_length) memcpy(out, stored->bytes, stored->content_length);
        return LRB_OK;
    }
    int code = stored->codec == LRB_CODEC_VECTOR
                   ? lrb_vectors_decode(coder->vectors, stored->bytes, stored->stored_length, stored->dim, out, stored->content_length, err)
                   : lrb_decompress(coder->compressor, stored->bytes, stored->stored_length, out, stored->content_length, err);
    if (code != LRB_E_DAMAGED) return code;
    return lrb_err_set(err, LRB_E_DAMAGED, "decode", target, "chunk %s did not decompress to its %u bytes", prefix,
                       (unsigned)stored->content_length);
}

int lrb_chunk_decode(lrb_coder *coder, const lrb_vault *vault, const lrb_stored *stored, bool check_id, void *out,
                     const char *target, lrb_err *err) {
    char prefix[17];
    lrb_id_prefix(&stored->id, prefix);
    int code = check_shape(stored, prefix, target, err);
    if (!code) code = expand(coder, stored, out, prefix, target, err);
    if (code || !check_id) return code;
    lrb_id id;
    code = lrb_chunk_id(coder, vault, stored->kind, stored->dim, out, stored->content_length, &id, err);
    return code ? code : lrb_chunk_check_id(&stored->id, &id, target, err);
}

/* Vector chunks of one dim, to be decoded together. */
typedef struct vector_run {
    lrb_vectors_stored stored[LRB_VECTORS_MANY];
    size_t count;
    uint32_t dim;
} vector_run;

static int decode_run(lrb_coder *coder, vector_run *run, const char *target, lrb_err *err) {
    int code = run->count ? lrb_vectors_decode_many(coder->vectors, run->stored, run->count, run->dim, err) : LRB_OK;
    run->count = 0;
    return code ? lrb_err_context(err, "%s", target) : LRB_OK;
}

int lrb_chunk_decode_many(lrb_coder *coder, const lrb_stored *stored, uint8_t *const *outs, size_t count, const char *target,
                          lrb_err *err) {
    vector_run run = {.count = 0};
    int code = LRB_OK;
    for (size_t i = 0; !code && i < count; i++) {
        const lrb_stored *s = &stored[i];
        if (s->codec != LRB_CODEC_VECTOR) {
            code = lrb_chunk_decode(coder, NULL, s, false, outs[i], target, err);
            continue;
        }
        char prefix[17];
        lrb_id_prefix(&s->id, prefix);
        code = check_shape(s, prefix, target, err);
        if (!code && (run.count == LRB_VECTORS_MANY || s->dim != run.dim)) code = decode_run(coder, &run, target, err);
        run.dim = s->dim;
        if (!code) run.stored[run.count++] = (lrb_vectors_stored){s->bytes, s->stored_length, outs[i], s->content_length};
    }
    return code ? code : decode_run(coder, &run, target, err);
}

int lrb_chunk_check_id(const lrb_id *stored, const lrb_id *computed, const char *target, lrb_err *err) {
    char prefix[17];
    if (!lrb_id_compare(computed, stored)) return LRB_OK;
    lrb_id_prefix(stored, prefix);
    return lrb_err_set(err, LRB_E_DAMAGED, "decode", target, "chunk %s held other content than its id says", prefix);
}
