/* The vector codec with rows of any dim: stored forms decode to exactly the bytes expected or are damage, and whatever
 * content there is, what encoding makes of it comes back. */
#include "base/wire.h"
#include "codec/vectors.h"
#include "fuzz.h"

enum { MOST = 1 << 20 };

static lrb_vector_coder *coder;

static void encode_and_back(const uint8_t *content, size_t count, uint32_t dim) {
    lrb_err err;
    size_t written;
    uint8_t *stored = lrb_alloc(count), *back = lrb_alloc(count);
    MUST(stored && back);
    MUST_OK(lrb_vectors_encode(coder, content, count, dim, stored, count, &written, &err));
    MUST(written < count || !count);
    if (written) {
        MUST_OK(lrb_vectors_decode(coder, stored, written, dim, back, count, &err));
        MUST(!memcmp(content, back, count));
    }
    lrb_free(stored);
    lrb_free(back);
}

/* input: dim u16 | how many bytes are expected u32 | a stored form; 0 expected: a content */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    lrb_view view = lrb_view_of(data, size);
    lrb_err err;
    uint32_t dim = lrb_view_u16(&view);
    size_t expected = lrb_view_u32(&view);
    if (view.bad || expected > MOST) return 0;
    if (!coder) MUST_OK(lrb_vector_coder_new(&coder, &err));
    uint8_t *given = fuzz_copy(view.at, view.left);
    if (expected) {
        uint8_t *content = lrb_alloc_zero(expected, 1);
        MUST(content);
        int code = lrb_vectors_decode(coder, given, view.left, dim, content, expected, &err);
        must_be_an_answer(code, &err);
        if (!code) encode_and_back(content, expected, dim);
        lrb_free(content);
    } else {
        encode_and_back(given, view.left, dim);
    }
    lrb_free(given);
    return 0;
}
