#include "engine/item_bytes.h"

#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "codec/base64.h"
#include "engine/item_bytes_private.h"

enum { PART_MAX_BYTES = 16 << 20, ENCODE_BYTES = 3 << 14 };

int lrb_item_damaged(lrb_err *err, const char *what) {
    return lrb_err_set(err, LRB_E_DAMAGED, "read", "", "%s", what);
}

/* ---- opening ---- */

static int make_room(void **array, size_t count, size_t *room, size_t size, lrb_err *err) {
    if (count < *room) return LRB_OK;
    size_t more = *room ? 2 * *room : 64;
    void *bigger = lrb_resize_array(*array, more, size);
    if (!bigger) return lrb_err_nomem(err, "read an item");
    *array = bigger;
    *room = more;
    return LRB_OK;
}

int lrb_item_add_chunk(lrb_item_bytes *b, const lrb_row *row, lrb_err *err) {
    int code = make_room((void **)&b->chunks, b->chunk_count, &b->chunk_room, sizeof *b->chunks, err);
    if (!code) b->chunks[b->chunk_count++] = *row;
    return code;
}

int lrb_item_add_part(lrb_item_bytes *b, uint64_t offset, uint64_t first_row, lrb_err *err) {
    int code = make_room((void **)&b->parts, b->part_count, &b->part_room, sizeof *b->parts, err);
    if (!code) b->parts[b->part_count++] = (lrb_item_part){offset, first_row, b->chunk_count};
    return code;
}

static int take_plain(lrb_item_bytes *b, const lrb_row *row, uint64_t *offset, lrb_err *err) {
    if (row->kind != LRB_CHUNK_RAW || !row->count || row->count > b->size_bytes - *offset)
        return lrb_item_damaged(err, "its chunks are not listed as they must be");
    int code = lrb_item_add_part(b, *offset, 0, err);
    *offset += row->count;
    return code ? code : lrb_item_add_chunk(b, row, err);
}

static int take_row(lrb_item_bytes *b, const lrb_row *row, lrb_coder *coder, uint64_t *offset, lrb_err *err) {
    if (b->is_vectors) return lrb_item_take_row(b, row, err);
    if (row->kind == LRB_CHUNK_FRAME && !b->chunk_count) return lrb_item_take_frame(b, row, coder, err);
    return take_plain(b, row, offset, err);
}

static int walk(lrb_item_bytes *b, const lrb_row *root, lrb_coder *coder, lrb_err *err) {
    lrb_repo_reader reader = {b->repo, coder};
    lrb_recipe_walker *walker;
    uint64_t offset = 0;
    bool done = root->kind == LRB_CHUNK_NONE;
    int code = done ? LRB_OK : lrb_recipe_walker_new(root, lrb_repo_fetch, &reader, &walker, err);
    if (code) return code;
    if (!done) lrb_recipe_walker_limit(walker, b->size_bytes); /* every row has at least one byte */
    bool any = !done;
    while (!code && !done) {
        lrb_row row;
        code = lrb_recipe_walker_next(walker, false, &row, &done, err);
        if (!code && !done) code = take_row(b, &row, coder, &offset, err);
    }
    if (any) lrb_recipe_walker_free(walker);
    if (code) return code;
    if (b->is_vectors) code = lrb_item_finish_vectors(b, err);
    else if (offset != b->size_bytes) code = lrb_item_damaged(err, "its chunks have another length than the item");
    return code ? code : lrb_item_add_part(b, b->is_vectors ? b->data_bytes : b->size_bytes, b->rows, err);
}

int lrb_item_bytes_open(lrb_repo *repo, const lrb_body_item *item, lrb_coder *coder, lrb_item_bytes **out, lrb_err *err) {
    lrb_item_bytes *b = lrb_alloc_zero(1, sizeof *b);
    if (!b) return lrb_err_nomem(err, "read an item");
    b->repo = repo;
    b->size_bytes = item->size_bytes;
    pthread_mutex_init(&b->lock, NULL);
    lrb_buf_init(&b->frame, LRB_CONTENT_MAX_BYTES);
    for (int i = 0; i < LRB_ITEM_KEPT_PARTS; i++) {
        lrb_buf_init(&b->kept[i].bytes, PART_MAX_BYTES);
        lrb_buf_init(&b->kept[i].rows, PART_MAX_BYTES);
    }
    int code = walk(b, &item->root, coder, err);
    if (!code) {
        b->part_count--; /* the last one only says where everything ends */
        *out = b;
        return LRB_OK;
    }
    char shown[200];
    lrb_item_bytes_close(b);
    lrb_name_printable(shown, sizeof shown, item->name, item->name_length);
    return lrb_err_context(err, "item %s", shown);
}

void lrb_item_bytes_close(lrb_item_bytes *b) {
    if (!b) return;
    for (int i = 0; i < LRB_ITEM_KEPT_PARTS; i++) {
        lrb_buf_clear(&b->kept[i].bytes);
        lrb_buf_clear(&b->kept[i].rows);
    }
    lrb_buf_clear(&b->frame);
    pthread_mutex_destroy(&b->lock);
    lrb_free(b->chunks);
    lrb_free(b->parts);
    lrb_free(b->corrections);
    lrb_free(b);
}

/* ---- parts ---- */

/* A part nobody else uses: the wanted one, or the one that was used longest ago. NULL: all are in use. */
static lrb_kept_part *choose(lrb_item_bytes *b, size_t part) {
    lrb_kept_part *best = NULL;
    for (int i = 0; i < LRB_ITEM_KEPT_PARTS; i++) {
        lrb_kept_part *k = &b->kept[i];
        if (k->in_use) continue;
        if (k->filled && k->part == part) return k;
        if (!best || k->last_use < best->last_use) best = k;
    }
    return best;
}

static int decode_chunk(lrb_item_bytes *b, lrb_coder *coder, size_t part, lrb_kept_part *into, lrb_err *err) {
    const lrb_row *chunk = &b->chunks[b->parts[part].first_chunk];
    int code = lrb_repo_read(b->repo, &chunk->id, chunk->kind, true, coder, &into->bytes, err);
    if (code || into->bytes.length == chunk->count) return code;
    return lrb_item_damaged(err, "a chunk has another length than its recipe says");
}

/* Copies bytes [from, from + *count) of a part, or of its rows, as far as they go. */
static int copy_part(lrb_item_bytes *b, lrb_coder *coder, size_t part, bool rows, uint64_t from, void *into, size_t *count, lrb_err *err) {
    lrb_kept_part own = {.filled = false};
    lrb_buf_init(&own.bytes, PART_MAX_BYTES);
    lrb_buf_init(&own.rows, PART_MAX_BYTES);
    pthread_mutex_lock(&b->lock);
    lrb_kept_part *chosen = choose(b, part), *k = chosen ? chosen : &own;
    bool filled = k->filled && k->part == part && (k->has_rows || !rows);
    k->in_use = true;
    k->last_use = ++b->uses;
    pthread_mutex_unlock(&b->lock);
    int code = filled ? LRB_OK : b->is_vectors ? lrb_item_decode_span(b, coder, part, rows, k, err) : decode_chunk(b, coder, part, k, err);
    if (!code) {
        const lrb_buf *content = rows ? &k->rows : &k->bytes;
        size_t left = content->length - (size_t)from;
        if (left < *count) *count = left;
        memcpy(into, content->data + from, *count);
    }
    pthread_mutex_lock(&b->lock);
    k->has_rows = filled ? k->has_rows : rows;
    k->filled = !code;
    k->part = part;
    k->in_use = false;
    pthread_mutex_unlock(&b->lock);
    lrb_buf_clear(&own.bytes);
    lrb_buf_clear(&own.rows);
    return code;
}

/* The part that holds a byte of the item, or a row of the matrix. */
static size_t part_at(const lrb_item_bytes *b, uint64_t at, bool rows) {
    size_t low = 0, high = b->part_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if ((rows ? b->parts[middle].first_row : b->parts[middle].offset) <= at) low = middle;
        else high = middle;
    }
    return low;
}

/* ---- reading ---- */

static int read_bytes(lrb_item_bytes *b, lrb_coder *coder, uint64_t offset, uint8_t *into, size_t *count, lrb_err *err) {
    size_t part = part_at(b, offset, false);
    return copy_part(b, coder, part, false, offset - b->parts[part].offset, into, count, err);
}

static int read_rows(lrb_item_bytes *b, lrb_coder *coder, uint64_t at, uint8_t *into, size_t count, lrb_err *err) {
    uint64_t row_bytes = 4 * (uint64_t)b->dim;
    while (count) {
        size_t part = part_at(b, at / row_bytes, true), copied = count;
        int code = copy_part(b, coder, part, true, at - b->parts[part].first_row * row_bytes, into, &copied, err);
        if (code) return code;
        at += copied;
        into += copied;
        count -= copied;
    }
    return LRB_OK;
}

/* Characters of the matrix: the base64 of all its rows. */
static int read_matrix(lrb_item_bytes *b, lrb_coder *coder, uint64_t at, uint8_t *into, size_t *count, lrb_err *err) {
    uint8_t bytes[ENCODE_BYTES];
    char chars[ENCODE_BYTES / 3 * 4];
    uint64_t total = 4 * b->rows * b->dim, from = at / 4 * 3, left = total - from;
    size_t part = left < sizeof bytes ? (size_t)left : sizeof bytes, wanted = (*count + at % 4 + 3) / 4 * 3;
    if (wanted < part) part = wanted;
    int code = read_rows(b, coder, from, bytes, part, err);
    if (code) return code;
    lrb_base64_encode(bytes, part, chars);
    size_t made = lrb_base64_encoded_length(part) - at % 4;
    if (made < *count) *count = made;
    memcpy(into, chars + at % 4, *count);
    return LRB_OK;
}

/* As much as lies in one piece. */
static int read_piece(lrb_item_bytes *b, lrb_coder *coder, uint64_t offset, uint8_t *into, size_t *count, lrb_err *err) {
    if (!b->is_vectors || offset < b->data_bytes) return read_bytes(b, coder, offset, into, count, err);
    uint64_t at = offset - b->data_bytes, end_at = b->size_bytes - b->end_bytes - b->data_bytes;
    if (at >= b->middle_bytes && at < end_at) {
        if (*count > end_at - at) *count = (size_t)(end_at - at);
        return read_matrix(b, coder, at - b->middle_bytes, into, count, err);
    }
    const uint8_t *middle = b->frame.data + b->frame.length - b->middle_bytes - b->end_bytes;
    bool in_middle = at < b->middle_bytes;
    size_t left = (size_t)(in_middle ? b->middle_bytes - at : end_at + b->end_bytes - at);
    if (left < *count) *count = left;
    memcpy(into, in_middle ? middle + at : middle + b->middle_bytes + (at - end_at), *count);
    return LRB_OK;
}

int lrb_item_bytes_read(lrb_item_bytes *b, lrb_coder *coder, uint64_t offset, void *into, size_t room, size_t *got,
                        lrb_err *err) {
    uint64_t left = offset < b->size_bytes ? b->size_bytes - offset : 0;
    if (left < room) room = (size_t)left;
    *got = 0;
    while (*got < room) {
        size_t part = room - *got;
        int code = read_piece(b, coder, offset + *got, (uint8_t *)into + *got, &part, err);
        if (code) return code;
        *got += part;
    }
    return LRB_OK;
}
