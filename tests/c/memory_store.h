/* A chunk store in memory for tests of recipes and bodies: an lrb_recipe_store and an lrb_recipe_fetch over one list.
 *
 * Counts what is stored newly, the measure of what a change costs. `fail_puts` and `fail_fetches` make every call fail.
 */
#ifndef LRB_TESTS_MEMORY_STORE_H
#define LRB_TESTS_MEMORY_STORE_H

#include "base/mem.h"
#include "repo/chunk.h"
#include "repo/recipe.h"

typedef struct stored_chunk {
    lrb_id id;
    lrb_chunk_kind kind;
    uint8_t *content;
    size_t length;
} stored_chunk;

typedef struct memory_store {
    lrb_coder *coder;
    stored_chunk *chunks;
    size_t count, room;
    bool fail_puts, fail_fetches;
} memory_store;

static int memory_store_init(memory_store *store, lrb_err *err) {
    memset(store, 0, sizeof *store);
    return lrb_coder_new(&store->coder, err);
}

static void memory_store_clear(memory_store *store) {
    for (size_t i = 0; i < store->count; i++) lrb_free(store->chunks[i].content);
    lrb_free(store->chunks);
    lrb_coder_free(store->coder);
    memset(store, 0, sizeof *store);
}

static stored_chunk *memory_store_find(const memory_store *store, const lrb_id *id) {
    for (size_t i = 0; i < store->count; i++)
        if (lrb_id_compare(&store->chunks[i].id, id) == 0) return &store->chunks[i];
    return NULL;
}

static int memory_store_append(memory_store *store, const stored_chunk *chunk, const void *content, lrb_err *err) {
    if (store->count == store->room) {
        size_t room = store->room ? 2 * store->room : 16;
        stored_chunk *grown = lrb_resize_array(store->chunks, room, sizeof *grown);
        if (!grown) return lrb_err_nomem(err, "store");
        store->chunks = grown;
        store->room = room;
    }
    uint8_t *copy = lrb_alloc(chunk->length);
    if (!copy) return lrb_err_nomem(err, "store");
    memcpy(copy, content, chunk->length);
    store->chunks[store->count] = *chunk;
    store->chunks[store->count++].content = copy;
    return LRB_OK;
}

static int memory_store_put(void *arg, lrb_chunk_kind kind, const void *content, size_t count, lrb_id *id,
                            lrb_err *err) {
    memory_store *store = arg;
    stored_chunk chunk = {.kind = kind, .length = count};
    if (store->fail_puts) return lrb_err_set(err, LRB_E_IO, "store", "", "told to fail");
    int code = lrb_chunk_id(store->coder, NULL, kind, 0, content, count, &chunk.id, err);
    if (!code && !memory_store_find(store, &chunk.id)) code = memory_store_append(store, &chunk, content, err);
    if (!code) *id = chunk.id;
    return code;
}

static int memory_store_fetch(void *arg, const lrb_row *row, lrb_buf *content, lrb_err *err) {
    const memory_store *store = arg;
    const stored_chunk *chunk = memory_store_find(store, &row->id);
    if (store->fail_fetches || !chunk) return lrb_err_set(err, LRB_E_IO, "fetch", "", "told to fail, or unknown");
    lrb_buf_empty(content);
    return lrb_buf_append(content, chunk->content, chunk->length, err);
}

#endif
