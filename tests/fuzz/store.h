/* A store of chunks that are read from the input, for the readers of recipes and bodies.
 *
 *   input: root row, then chunks
 *   chunk: length u16 | bytes[length]            data; with the length's top bit set, rows of a node:
 *   row:   kind u8 | chunk number u8 | twist u8  expanded to the 40 bytes of recipe.h, the count being right; a twist
 *                                                that is not 0 is XORed into byte `twist % 40` of them
 *
 * The first byte of a chunk's id is its number, so that rows can name any chunk, an earlier one and themselves too:
 * what no store of digests can hold, but no reader may hang on either.
 */
#ifndef LRB_TESTS_FUZZ_STORE_H
#define LRB_TESTS_FUZZ_STORE_H

#include "base/wire.h"
#include "fuzz.h"
#include "repo/recipe.h"

enum { FUZZ_CHUNKS_MAX = 256, FUZZ_NODE_BIT = 0x8000, FUZZ_SHORT_ROW_BYTES = 3 };

typedef struct fuzz_chunk {
    uint8_t *content;
    size_t length;
} fuzz_chunk;

typedef struct fuzz_store {
    fuzz_chunk chunks[FUZZ_CHUNKS_MAX];
    size_t count;
    uint8_t root[LRB_ROW_BYTES];
    uint64_t fetches;
} fuzz_store;

static inline void fuzz_store_expand(const fuzz_store *store, const uint8_t *in, uint8_t out[LRB_ROW_BYTES]) {
    const fuzz_chunk *chunk = in[1] < store->count ? &store->chunks[in[1]] : NULL;
    size_t length = chunk ? chunk->length : 0;
    lrb_row row = {.kind = (lrb_chunk_kind)in[0]};
    if (row.kind != LRB_CHUNK_NONE) {
        row.id.bytes[0] = in[1];
        row.count = (uint32_t)(row.kind == LRB_CHUNK_RECIPE ? length / LRB_ROW_BYTES : length);
    }
    lrb_row_encode(&row, out);
    out[in[2] % LRB_ROW_BYTES] ^= in[2];
}

/* Lengths first, because a row may name a chunk behind it. */
static inline void fuzz_store_open(fuzz_store *store, const uint8_t *data, size_t size) {
    lrb_view view = lrb_view_of(data, size);
    const uint8_t *root = lrb_view_bytes(&view, FUZZ_SHORT_ROW_BYTES), *bytes[FUZZ_CHUNKS_MAX];
    bool nodes[FUZZ_CHUNKS_MAX];
    memset(store, 0, sizeof *store);
    while (!view.bad && view.left && store->count < FUZZ_CHUNKS_MAX) {
        unsigned head = lrb_view_u16(&view), length = head & (FUZZ_NODE_BIT - 1);
        const uint8_t *at = lrb_view_bytes(&view, length);
        if (!at) break;
        nodes[store->count] = head & FUZZ_NODE_BIT;
        bytes[store->count] = at;
        if (nodes[store->count]) length = length / FUZZ_SHORT_ROW_BYTES * LRB_ROW_BYTES;
        store->chunks[store->count++].length = length;
    }
    for (size_t i = 0; i < store->count; i++) {
        fuzz_chunk *chunk = &store->chunks[i];
        MUST((chunk->content = lrb_alloc(chunk->length)));
        if (!nodes[i] && chunk->length) memcpy(chunk->content, bytes[i], chunk->length);
        for (size_t row = 0; nodes[i] && row < chunk->length / LRB_ROW_BYTES; row++)
            fuzz_store_expand(store, bytes[i] + row * FUZZ_SHORT_ROW_BYTES, chunk->content + row * LRB_ROW_BYTES);
    }
    if (root) fuzz_store_expand(store, root, store->root);
}

static inline void fuzz_store_close(fuzz_store *store) {
    for (size_t i = 0; i < store->count; i++) lrb_free(store->chunks[i].content);
}

/* An lrb_recipe_fetch. */
static inline int fuzz_store_fetch(void *arg, const lrb_row *row, lrb_buf *content, lrb_err *err) {
    fuzz_store *store = arg;
    store->fetches++;
    if (row->id.bytes[0] >= store->count) return lrb_err_set(err, LRB_E_DAMAGED, "fetch", "", "no such chunk");
    const fuzz_chunk *chunk = &store->chunks[row->id.bytes[0]];
    lrb_buf_empty(content);
    return lrb_buf_append(content, chunk->content, chunk->length, err);
}

#endif
