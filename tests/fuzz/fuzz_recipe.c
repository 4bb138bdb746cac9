/* Recipes over a hostile store: a walk ends within its limit, skipping works, and what it yields makes a recipe that
 * yields the same. */
#include "store.h"

#include "c/memory_store.h"

enum { ROWS_MAX = 2000 };

static memory_store written;

/* The rows of data below `root`, encoded, in *rows. With `skip_all`, nodes are named but never entered. */
static int walk(const lrb_row *root, lrb_recipe_fetch fetch, void *arg, bool nodes, bool skip_all, lrb_buf *rows) {
    lrb_recipe_walker *walker;
    lrb_err err;
    lrb_row row;
    bool done = false;
    MUST_OK(lrb_recipe_walker_new(root, fetch, arg, &walker, &err));
    lrb_recipe_walker_limit(walker, ROWS_MAX);
    int code = LRB_OK;
    while (!(code = lrb_recipe_walker_next(walker, nodes, &row, &done, &err)) && !done) {
        uint8_t encoded[LRB_ROW_BYTES];
        MUST(row.kind != LRB_CHUNK_NONE && (nodes || row.kind != LRB_CHUNK_RECIPE));
        if (row.kind == LRB_CHUNK_RECIPE) {
            if (skip_all) lrb_recipe_walker_skip(walker);
            continue;
        }
        lrb_row_encode(&row, encoded);
        MUST_OK(lrb_buf_append(rows, encoded, sizeof encoded, &err));
    }
    must_be_an_answer(code, &err);
    lrb_recipe_walker_free(walker);
    return code;
}

static void build(const lrb_buf *rows, lrb_row *root) {
    lrb_recipe_builder *builder;
    lrb_err err;
    MUST_OK(lrb_recipe_builder_new(memory_store_put, &written, &builder, &err));
    for (size_t at = 0; at < rows->length; at += LRB_ROW_BYTES) {
        lrb_row row;
        MUST_OK(lrb_row_decode(rows->data + at, &row, "row", &err));
        MUST_OK(lrb_recipe_builder_add(builder, &row, &err));
    }
    MUST_OK(lrb_recipe_builder_finish(builder, root, &err));
    lrb_recipe_builder_free(builder);
}

/* Writes a recipe of the rows and reads it. */
static void write_again(const lrb_buf *rows) {
    lrb_row root;
    lrb_buf again;
    lrb_err err;
    MUST_OK(memory_store_init(&written, &err));
    lrb_buf_init(&again, ROWS_MAX * LRB_ROW_BYTES);
    build(rows, &root);
    MUST(!walk(&root, memory_store_fetch, &written, false, false, &again));
    MUST(again.length == rows->length && (!again.length || !memcmp(again.data, rows->data, again.length)));
    lrb_buf_clear(&again);
    memory_store_clear(&written);
}

/* input: store.h */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_store store;
    lrb_buf rows, other;
    lrb_row root;
    lrb_err err;
    fuzz_store_open(&store, data, size);
    lrb_buf_init(&rows, ROWS_MAX * LRB_ROW_BYTES);
    lrb_buf_init(&other, ROWS_MAX * LRB_ROW_BYTES);
    int code = lrb_row_decode(store.root, &root, "root", &err);
    must_be_an_answer(code, &err);
    if (!code) {
        code = walk(&root, fuzz_store_fetch, &store, false, false, &rows);
        MUST(store.fetches <= (ROWS_MAX + 1) * LRB_RECIPE_MAX_DEPTH);
        MUST(walk(&root, fuzz_store_fetch, &store, true, false, &other) == code);
        MUST(rows.length == other.length && (!rows.length || !memcmp(rows.data, other.data, rows.length)));
        if (!code) write_again(&rows);
        store.fetches = 0;
        lrb_buf_empty(&other);
        (void)walk(&root, fuzz_store_fetch, &store, true, true, &other);
        MUST(!store.fetches);
    }
    lrb_buf_clear(&rows);
    lrb_buf_clear(&other);
    fuzz_store_close(&store);
    return 0;
}
