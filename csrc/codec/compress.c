#include "codec/compress.h"

#include <zstd.h>
#include <zstd_errors.h>

#include "base/mem.h"
#include "base/wire.h"

enum { LEVEL = 1 };

struct lrb_compressor {
    ZSTD_CCtx *encoder;
    ZSTD_DCtx *decoder;
};

static size_t configure(ZSTD_CCtx *encoder) {
    size_t result = ZSTD_CCtx_setParameter(encoder, ZSTD_c_compressionLevel, LEVEL);
    if (!ZSTD_isError(result)) result = ZSTD_CCtx_setParameter(encoder, ZSTD_c_contentSizeFlag, 1);
    if (!ZSTD_isError(result)) result = ZSTD_CCtx_setParameter(encoder, ZSTD_c_checksumFlag, 0);
    return result;
}

static int zstd_failed(lrb_err *err, lrb_code code, const char *op, size_t result) {
    if (ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation) return lrb_err_nomem(err, op);
    return lrb_err_set(err, code, op, "", "zstd refused it: %s", ZSTD_getErrorName(result));
}

int lrb_compressor_new(lrb_compressor **out, lrb_err *err) {
    lrb_compressor *c = lrb_alloc_zero(1, sizeof *c);
    if (!c) return lrb_err_nomem(err, "make a compressor");
    c->encoder = ZSTD_createCCtx();
    c->decoder = ZSTD_createDCtx();
    if (!c->encoder || !c->decoder) {
        lrb_compressor_free(c);
        return lrb_err_nomem(err, "make a compressor");
    }
    size_t result = configure(c->encoder);
    if (ZSTD_isError(result)) {
        lrb_compressor_free(c);
        return zstd_failed(err, LRB_E_INTERNAL, "make a compressor", result);
    }
    *out = c;
    return LRB_OK;
}

void lrb_compressor_free(lrb_compressor *compressor) {
    if (!compressor) return;
    ZSTD_freeCCtx(compressor->encoder);
    ZSTD_freeDCtx(compressor->decoder);
    lrb_free(compressor);
}

size_t lrb_compress_bound(size_t count) {
    return ZSTD_compressBound(count);
}

int lrb_compress(lrb_compressor *c, const void *bytes, size_t count, void *out, size_t room, size_t *written,
                 lrb_err *err) {
    size_t result = ZSTD_compress2(c->encoder, out, room, bytes, count);
    if (ZSTD_isError(result)) return zstd_failed(err, LRB_E_INTERNAL, "compress", result);
    *written = result;
    return LRB_OK;
}

/* One frame of zstd proper, no more bytes than the frame, and the content size it claims is the one expected. The magic
 * is looked at because zstd takes skippable frames for frames of no content. */
static int check_frame(const void *bytes, size_t count, size_t expected, lrb_err *err) {
    if (count < sizeof(uint32_t) || lrb_get_u32(bytes) != ZSTD_MAGICNUMBER) {
        return lrb_err_set(err, LRB_E_DAMAGED, "decompress", "", "the bytes were no zstd frame");
    }
    unsigned long long claimed = ZSTD_getFrameContentSize(bytes, count);
    if (claimed == ZSTD_CONTENTSIZE_ERROR || claimed == ZSTD_CONTENTSIZE_UNKNOWN || claimed != expected) {
        return lrb_err_set(err, LRB_E_DAMAGED, "decompress", "", "the zstd frame did not hold the %zu bytes expected",
                           expected);
    }
    size_t frame = ZSTD_findFrameCompressedSize(bytes, count);
    if (ZSTD_isError(frame)) return zstd_failed(err, LRB_E_DAMAGED, "decompress", frame);
    if (frame == count) return LRB_OK;
    return lrb_err_set(err, LRB_E_DAMAGED, "decompress", "", "%zu bytes followed the zstd frame", count - frame);
}

/* Decoding in one call uses `out` as the window, so no window size a header may claim is ever allocated. */
int lrb_decompress(lrb_compressor *c, const void *bytes, size_t count, void *out, size_t expected, lrb_err *err) {
    int code = check_frame(bytes, count, expected, err);
    if (code) return code;
    size_t result = ZSTD_decompressDCtx(c->decoder, out, expected, bytes, count);
    if (ZSTD_isError(result)) return zstd_failed(err, LRB_E_DAMAGED, "decompress", result);
    if (result == expected) return LRB_OK;
    return lrb_err_set(err, LRB_E_DAMAGED, "decompress", "", "the zstd frame held %zu bytes, not %zu", result,
                       expected);
}
