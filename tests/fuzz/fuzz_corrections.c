/* Correction chunks nobody should trust; and any row comes back from any other. */
#include "base/wire.h"
#include "codec/corrections.h"
#include "fuzz.h"

enum { MOST_DIM = 512 };

static void read_all(const uint8_t *content, size_t count, uint32_t dim, uint8_t *row) {
    lrb_corrections c = lrb_corrections_open(content, count, dim);
    lrb_err err;
    bool more = true;
    while (more) {
        int code = lrb_corrections_next(&c, &more, &err);
        must_be_an_answer(code, &err);
        if (code) return;
        if (more) lrb_corrections_apply(&c, row);
    }
}

/* The content's beginning as a row, and as its canonical one. */
static void correct_and_back(const uint8_t *bytes, uint32_t dim, uint8_t *row) {
    uint8_t *canonical = lrb_alloc(4 * (size_t)dim), *scratch = lrb_alloc(4 * (size_t)dim);
    lrb_canonical_path path;
    lrb_buf content;
    lrb_err err;
    bool more;
    MUST(canonical && scratch);
    lrb_buf_init(&content, 1 << 20);
    lrb_row_canonical(bytes, dim, canonical, scratch, &path);
    MUST_OK(lrb_corrections_append(&content, 7, bytes, canonical, dim, &path, &err));
    lrb_corrections c = lrb_corrections_open(content.data, content.length, dim);
    MUST_OK(lrb_corrections_next(&c, &more, &err));
    MUST(more && c.index == 7);
    lrb_corrections_apply(&c, canonical);
    MUST(!memcmp(canonical, bytes, 4 * (size_t)dim));
    MUST_OK(lrb_corrections_append(&content, 8, bytes, row, dim, &path, &err));
    lrb_buf_clear(&content);
    lrb_free(canonical);
    lrb_free(scratch);
}

/* input: dim u16 | content */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    lrb_view view = lrb_view_of(data, size);
    uint32_t dim = lrb_view_u16(&view) % MOST_DIM + 1;
    if (view.bad) return 0;
    uint8_t *content = fuzz_copy(view.at, view.left), *row = lrb_alloc_zero(dim, 4);
    MUST(row);
    read_all(content, view.left, dim, row);
    if (view.left >= 4 * (size_t)dim) correct_and_back(content, dim, row);
    lrb_free(content);
    lrb_free(row);
    return 0;
}
