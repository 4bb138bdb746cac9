/* The stored parts of a vector file nobody should trust: vector chunks in their stored form and as content, corrections,
 * texts, frames. Exactly the bytes expected come out, or an error; what was decoded encodes and comes out again. */
#include "base/wire.h"
#include "codec/corrections.h"
#include "codec/vectors.h"
#include "fuzz.h"
#include "lightrag/vdb_parts.h"

enum { MAX_DIM = 4096, MAX_EXPECTED = 1 << 16 };

static lrb_vector_coder *coder;

/* A content that can be opened: where the codec pays, it gives the content back. */
static void encode_again(const uint8_t *content, size_t count, uint32_t dim) {
    uint8_t *stored = lrb_alloc(count), *back = lrb_alloc(count);
    size_t written = 0;
    lrb_err err;
    MUST(stored && back);
    MUST_OK(lrb_vectors_encode(coder, content, count, dim, stored, count, &written, &err));
    MUST(written < count);
    if (written) {
        MUST_OK(lrb_vectors_decode(coder, stored, written, dim, back, count, &err));
        MUST(!memcmp(content, back, count));
    }
    lrb_free(stored);
    lrb_free(back);
}

static void open_content(const uint8_t *content, size_t count, uint32_t dim) {
    lrb_vectors vectors;
    lrb_err err;
    int code = lrb_vectors_open(content, count, dim, &vectors, &err);
    must_be_an_answer(code, &err);
    if (code) return;
    MUST(vectors.dim == dim && vectors.streams + vectors.streams_bytes == content + count);
    encode_again(content, count, dim);
}

/* Beside itself it gives the same answer and content. */
static void decode_twice(const uint8_t *stored, size_t count, uint32_t dim, size_t expected, int answer, const uint8_t *content) {
    uint8_t *first = lrb_alloc(expected), *second = lrb_alloc(expected);
    lrb_err err;
    MUST(first && second);
    lrb_vectors_stored both[] = {{stored, count, first, expected}, {stored, count, second, expected}};
    int code = lrb_vectors_decode_many(coder, both, 2, dim, &err);
    must_be_an_answer(code, &err);
    MUST(!code == !answer);
    if (!code) MUST(!memcmp(first, content, expected) && !memcmp(second, content, expected));
    lrb_free(first);
    lrb_free(second);
}

static void decode(const uint8_t *stored, size_t count, uint32_t dim, size_t expected) {
    uint8_t *content = lrb_alloc(expected);
    lrb_err err;
    MUST(content);
    int code = lrb_vectors_decode(coder, stored, count, dim, content, expected, &err);
    must_be_an_answer(code, &err);
    if (!code) open_content(content, expected, dim);
    decode_twice(stored, count, dim, expected, code, content);
    lrb_free(content);
}

static void correct(const uint8_t *content, size_t count, uint32_t dim) {
    lrb_corrections corrections = lrb_corrections_open(content, count, dim);
    uint8_t *row = lrb_alloc_zero(dim, 4);
    uint64_t least = 0;
    bool more = true;
    lrb_err err;
    MUST(row);
    while (more) {
        int code = lrb_corrections_next(&corrections, &more, &err);
        must_be_an_answer(code, &err);
        if (code || !more) break;
        MUST(corrections.index >= least);
        least = (uint64_t)corrections.index + 1;
        lrb_corrections_apply(&corrections, row);
    }
    lrb_free(row);
}

static void open_parts(const uint8_t *content, size_t count, bool texts) {
    lrb_vdb_texts found;
    lrb_vdb_frame frame;
    lrb_err err;
    int code = texts ? lrb_vdb_texts_open(content, count, &found, &err) : lrb_vdb_frame_open(content, count, &frame, &err);
    must_be_an_answer(code, &err);
    uint64_t sum = 0;
    for (uint32_t i = 0; !code && texts && i < found.records; i++) sum += lrb_vdb_text_bytes(&found, i);
    if (!code && texts) MUST(sum == found.texts_bytes && found.texts + sum == content + count);
}

/* input: what it is u8, dim u16, how many bytes are expected u32, then its bytes */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    lrb_view view = lrb_view_of(data, size);
    lrb_err err;
    uint8_t what = lrb_view_u8(&view);
    uint32_t dim = lrb_view_u16(&view) % MAX_DIM + 1, expected = lrb_view_u32(&view);
    if (view.bad || expected > MAX_EXPECTED) return 0;
    if (!coder) MUST_OK(lrb_vector_coder_new(&coder, &err));
    uint8_t *copy = fuzz_copy(view.at, view.left);
    switch (what % 5) {
    case 0: decode(copy, view.left, dim, expected); break;
    case 1: open_content(copy, view.left, dim); break;
    case 2: correct(copy, view.left, dim); break;
    default: open_parts(copy, view.left, what % 5 == 3);
    }
    lrb_free(copy);
    return 0;
}
