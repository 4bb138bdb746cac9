#include "engine/item_bytes.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"

enum { KEPT = 8, LEAST_ROW_BYTES = 256 /* as a recipe is walked nowhere further: intake.c */ };

typedef struct place { /* of a chunk */
    lrb_id id;
    uint64_t offset;
} place;

typedef struct kept { /* a decoded chunk */
    lrb_buf content;
    size_t row;
    bool filled, in_use;
    uint64_t last_use;
} kept;

struct lrb_item_bytes {
    lrb_repo *repo;
    uint64_t size_bytes;
    place *places;
    size_t count, room;
    pthread_mutex_t lock; /* everything below */
    kept kept[KEPT];
    uint64_t uses;
};

/* ---- opening ---- */

static int add(lrb_item_bytes *b, const lrb_row *row, uint64_t *offset, lrb_err *err) {
    if (row->kind != LRB_CHUNK_RAW)
        return lrb_err_set(err, LRB_E_UNSUPPORTED, "read", "", "it holds chunks of kind %s, which this version cannot read",
                           lrb_chunk_kind_name(row->kind));
    if (b->count == b->room) {
        size_t room = b->room ? b->room * 2 : 64;
        place *more = lrb_resize_array(b->places, room, sizeof *more);
        if (!more) return lrb_err_nomem(err, "read an item");
        b->places = more;
        b->room = room;
    }
    b->places[b->count++] = (place){row->id, *offset};
    *offset += row->count;
    return LRB_OK;
}

static int walk(lrb_item_bytes *b, const lrb_row *root, lrb_coder *coder, uint64_t *offset, lrb_err *err) {
    lrb_repo_reader reader = {b->repo, coder};
    lrb_recipe_walker *walker;
    bool done = root->kind == LRB_CHUNK_NONE;
    *offset = 0;
    if (done) return LRB_OK;
    int code = lrb_recipe_walker_new(root, lrb_repo_fetch, &reader, &walker, err);
    if (code) return code;
    lrb_recipe_walker_limit(walker, b->size_bytes / LEAST_ROW_BYTES + LRB_NODE_MAX_ROWS);
    while (!code && !done) {
        lrb_row row;
        code = lrb_recipe_walker_next(walker, false, &row, &done, err);
        if (!code && !done) code = add(b, &row, offset, err);
        if (!code && *offset > b->size_bytes) break;
    }
    lrb_recipe_walker_free(walker);
    return code;
}

int lrb_item_bytes_open(lrb_repo *repo, const lrb_body_item *item, lrb_coder *coder, lrb_item_bytes **out, lrb_err *err) {
    lrb_item_bytes *b = lrb_alloc_zero(1, sizeof *b);
    if (!b) return lrb_err_nomem(err, "read an item");
    b->repo = repo;
    b->size_bytes = item->size_bytes;
    pthread_mutex_init(&b->lock, NULL);
    for (int i = 0; i < KEPT; i++) lrb_buf_init(&b->kept[i].content, LRB_CONTENT_MAX_BYTES);
    uint64_t offset;
    int code = walk(b, &item->root, coder, &offset, err);
    if (!code && offset != item->size_bytes)
        code = lrb_err_set(err, LRB_E_DAMAGED, "read", "", "its chunks have another length than the item");
    if (code) {
        lrb_item_bytes_close(b);
        char shown[200];
        lrb_name_printable(shown, sizeof shown, item->name, item->name_length);
        return lrb_err_context(err, "item %s", shown);
    }
    *out = b;
    return LRB_OK;
}

void lrb_item_bytes_close(lrb_item_bytes *b) {
    if (!b) return;
    for (int i = 0; i < KEPT; i++) lrb_buf_clear(&b->kept[i].content);
    pthread_mutex_destroy(&b->lock);
    lrb_free(b->places);
    lrb_free(b);
}

/* ---- reading ---- */

/* The row that holds a byte of the item. */
static size_t row_at(const lrb_item_bytes *b, uint64_t offset) {
    size_t low = 0, high = b->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (b->places[middle].offset <= offset) low = middle;
        else high = middle;
    }
    return low;
}

/* A chunk nobody else uses: the row's own, or the one that was used longest ago. NULL: all are in use. */
static kept *choose(lrb_item_bytes *b, size_t row) {
    kept *best = NULL;
    for (int i = 0; i < KEPT; i++) {
        kept *k = &b->kept[i];
        if (k->in_use) continue;
        if (k->filled && k->row == row) return k;
        if (!best || k->last_use < best->last_use) best = k;
    }
    return best;
}

static int decode(lrb_item_bytes *b, lrb_coder *coder, size_t row, lrb_buf *content, lrb_err *err) {
    uint64_t end = row + 1 < b->count ? b->places[row + 1].offset : b->size_bytes;
    int code = lrb_repo_read(b->repo, &b->places[row].id, LRB_CHUNK_RAW, true, coder, content, err);
    if (code || content->length == end - b->places[row].offset) return code;
    return lrb_err_set(err, LRB_E_DAMAGED, "read", "", "a chunk has another length than its recipe says");
}

/* As much of one chunk as is asked for. */
static int read_part(lrb_item_bytes *b, lrb_coder *coder, uint64_t offset, uint8_t *into, size_t room, size_t *got, lrb_err *err) {
    size_t row = row_at(b, offset);
    lrb_buf own;
    lrb_buf_init(&own, LRB_CONTENT_MAX_BYTES);
    pthread_mutex_lock(&b->lock);
    kept *k = choose(b, row);
    bool filled = k && k->filled && k->row == row;
    if (k) {
        k->in_use = true;
        k->last_use = ++b->uses;
    }
    pthread_mutex_unlock(&b->lock);
    lrb_buf *content = k ? &k->content : &own;
    int code = filled ? LRB_OK : decode(b, coder, row, content, err);
    if (!code) {
        size_t from = (size_t)(offset - b->places[row].offset), left = content->length - from;
        *got = left < room ? left : room;
        memcpy(into, content->data + from, *got);
    }
    pthread_mutex_lock(&b->lock);
    if (k) {
        k->filled = !code;
        k->row = row;
        k->in_use = false;
    }
    pthread_mutex_unlock(&b->lock);
    lrb_buf_clear(&own);
    return code;
}

int lrb_item_bytes_read(lrb_item_bytes *b, lrb_coder *coder, uint64_t offset, void *into, size_t room, size_t *got,
                        lrb_err *err) {
    uint64_t left = offset < b->size_bytes ? b->size_bytes - offset : 0;
    if (left < room) room = (size_t)left;
    *got = 0;
    while (*got < room) {
        size_t part = 0;
        int code = read_part(b, coder, offset + *got, (uint8_t *)into + *got, room - *got, &part, err);
        if (code) return code;
        *got += part;
    }
    return LRB_OK;
}
