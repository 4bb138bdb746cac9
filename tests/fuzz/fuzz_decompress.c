/* zstd frames nobody should trust: exactly the bytes expected come out, or an error. */
#include "base/wire.h"
#include "codec/compress.h"
#include "fuzz.h"
#include "repo/format.h"

static lrb_compressor *compressor;

/* What came out can be compressed and comes out again. */
static void compress_again(const uint8_t *content, size_t count) {
    size_t room = lrb_compress_bound(count), written = 0;
    uint8_t *stored = lrb_alloc(room), *back = lrb_alloc(count);
    lrb_err err;
    MUST(stored && back);
    MUST_OK(lrb_compress(compressor, content, count, stored, room, &written, &err));
    MUST(written <= room);
    MUST_OK(lrb_decompress(compressor, stored, written, back, count, &err));
    MUST(!memcmp(content, back, count));
    lrb_free(stored);
    lrb_free(back);
}

/* input: how many bytes are expected u32, then the frame */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    lrb_view view = lrb_view_of(data, size);
    lrb_err err;
    size_t expected = lrb_view_u32(&view);
    if (view.bad || expected > LRB_CONTENT_MAX_BYTES) return 0;
    if (!compressor) MUST_OK(lrb_compressor_new(&compressor, &err));

    uint8_t *content = lrb_alloc(expected);
    MUST(content);
    int code = lrb_decompress(compressor, view.at, view.left, content, expected, &err);
    must_be_an_answer(code, &err);
    if (!code) compress_again(content, expected);
    lrb_free(content);
    return 0;
}
