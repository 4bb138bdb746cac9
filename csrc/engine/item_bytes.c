#include "engine/item_bytes.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "codec/base64.h"
#include "engine/vector_item.h"

enum { PART_MAX_BYTES = LRB_VECTOR_SPAN_MAX_BYTES, ENCODE_BYTES = 3 << 14, KEPT_PARTS = 8 };

/* An item is a row of parts. Of plain bytes a part is a chunk; of a vector file it is a span, which makes bytes at two
 * places: records in front of the middle, and rows in the matrix behind it. */
typedef struct part {
    uint64_t offset;      /* of its bytes in the item; of a span, of its records */
    uint64_t first_row;   /* of the matrix */
    size_t first_chunk;   /* in `chunks` */
} part;

typedef struct kept_part { /* decoded; used by the thread that has it in use */
    lrb_buf bytes, rows;
    size_t part;
    bool filled, has_rows, in_use;
    uint64_t last_use;
} kept_part;

struct lrb_item_bytes {
    lrb_repo *repo;
    uint64_t size_bytes;
    lrb_row *chunks;      /* data chunks in order, without frame and corrections */
    size_t chunk_count, chunk_room;
    part *parts;          /* and one behind the last, with where everything ends */
    size_t part_count, part_room;
    bool is_vectors;
    lrb_vector_layout layout;
    pthread_mutex_t lock; /* everything below */
    kept_part kept[KEPT_PARTS];
    uint64_t uses;
};

static int damaged(lrb_err *err, const char *what) {
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

static int add_chunk(lrb_item_bytes *b, const lrb_row *row, lrb_err *err) {
    int code = make_room((void **)&b->chunks, b->chunk_count, &b->chunk_room, sizeof *b->chunks, err);
    if (!code) b->chunks[b->chunk_count++] = *row;
    return code;
}

/* It begins with the next chunk. */
static int add_part(lrb_item_bytes *b, uint64_t offset, uint64_t first_row, lrb_err *err) {
    int code = make_room((void **)&b->parts, b->part_count, &b->part_room, sizeof *b->parts, err);
    if (!code) b->parts[b->part_count++] = (part){offset, first_row, b->chunk_count};
    return code;
}

static int take_plain(lrb_item_bytes *b, const lrb_row *row, uint64_t *offset, lrb_err *err) {
    if (row->kind != LRB_CHUNK_RAW || !row->count || row->count > b->size_bytes - *offset)
        return damaged(err, "its chunks are not listed as they must be");
    int code = add_part(b, *offset, 0, err);
    *offset += row->count;
    return code ? code : add_chunk(b, row, err);
}

/* Corrections stay in the layout. */
static int take_of_vectors(lrb_item_bytes *b, const lrb_row *row, lrb_err *err) {
    uint64_t offset = b->layout.data_taken, first_row = b->layout.rows_taken;
    int code = lrb_vector_layout_take(&b->layout, row, err);
    if (code || row->kind == LRB_CHUNK_CORRECTIONS) return code;
    if (row->kind == LRB_CHUNK_TEXT) code = add_part(b, offset, first_row, err);
    return code ? code : add_chunk(b, row, err);
}

static int take_row(lrb_item_bytes *b, const lrb_row *row, lrb_coder *coder, uint64_t *offset, lrb_err *err) {
    if (b->is_vectors) return take_of_vectors(b, row, err);
    if (row->kind != LRB_CHUNK_FRAME || b->chunk_count) return take_plain(b, row, offset, err);
    b->is_vectors = true;
    return lrb_vector_layout_begin(&b->layout, b->repo, coder, row, b->size_bytes, "", err);
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
    if (b->is_vectors) code = lrb_vector_layout_finish(&b->layout, err);
    else if (offset != b->size_bytes) code = damaged(err, "its chunks have another length than the item");
    return code ? code : add_part(b, b->is_vectors ? b->layout.data_bytes : b->size_bytes, b->layout.rows_taken, err);
}

int lrb_item_bytes_open(lrb_repo *repo, const lrb_body_item *item, lrb_coder *coder, lrb_item_bytes **out, lrb_err *err) {
    lrb_item_bytes *b = lrb_alloc_zero(1, sizeof *b);
    if (!b) return lrb_err_nomem(err, "read an item");
    b->repo = repo;
    b->size_bytes = item->size_bytes;
    pthread_mutex_init(&b->lock, NULL);
    for (int i = 0; i < KEPT_PARTS; i++) {
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
    for (int i = 0; i < KEPT_PARTS; i++) {
        lrb_buf_clear(&b->kept[i].bytes);
        lrb_buf_clear(&b->kept[i].rows);
    }
    lrb_vector_layout_clear(&b->layout);
    pthread_mutex_destroy(&b->lock);
    lrb_free(b->chunks);
    lrb_free(b->parts);
    lrb_free(b);
}

/* ---- parts ---- */

/* A part nobody else uses: the wanted one, or the one that was used longest ago. NULL: all are in use. */
static kept_part *choose(lrb_item_bytes *b, size_t part) {
    kept_part *best = NULL;
    for (int i = 0; i < KEPT_PARTS; i++) {
        kept_part *k = &b->kept[i];
        if (k->in_use) continue;
        if (k->filled && k->part == part) return k;
        if (!best || k->last_use < best->last_use) best = k;
    }
    return best;
}

static int decode_chunk(lrb_item_bytes *b, lrb_coder *coder, size_t at, kept_part *into, lrb_err *err) {
    const lrb_row *chunk = &b->chunks[b->parts[at].first_chunk];
    int code = lrb_repo_read(b->repo, &chunk->id, chunk->kind, true, coder, &into->bytes, err);
    if (code || into->bytes.length == chunk->count) return code;
    return damaged(err, "a chunk has another length than its recipe says");
}

/* Its records and, with `rows`, its rows of the matrix. */
static int read_span(lrb_item_bytes *b, lrb_vector_reader *reader, size_t at, bool rows, kept_part *into, lrb_err *err) {
    const lrb_row *chunks = &b->chunks[b->parts[at].first_chunk];
    size_t count = b->parts[at + 1].first_chunk - b->parts[at].first_chunk;
    uint64_t row = b->parts[at].first_row;
    int code = lrb_vector_reader_span(reader, chunks, &into->bytes, err);
    for (size_t i = 1; !code && i < count; i++) {
        lrb_vectors vectors;
        const uint8_t *values;
        code = lrb_vector_reader_group(reader, &chunks[i], &into->bytes, &vectors, err);
        if (!code && rows) code = lrb_vector_reader_correct(reader, row, &vectors, &values, err);
        if (!code && rows) code = lrb_buf_append(&into->rows, values, 4 * (size_t)vectors.dim * vectors.rows, err);
        row += code ? 0 : vectors.rows;
    }
    return code ? code : lrb_vector_reader_span_end(reader, &into->bytes, err);
}

static int decode_span(lrb_item_bytes *b, lrb_coder *coder, size_t at, bool rows, kept_part *into, lrb_err *err) {
    lrb_buf text, content, correction;
    lrb_vector_reader reader = {.repo = b->repo, .coder = coder, .layout = &b->layout, .check_ids = true,
                                .text = &text, .content = &content, .correction = &correction};
    lrb_buf_init(&text, LRB_CONTENT_MAX_BYTES);
    lrb_buf_init(&content, LRB_CONTENT_MAX_BYTES);
    lrb_buf_init(&correction, LRB_CONTENT_MAX_BYTES);
    lrb_buf_empty(&into->bytes);
    lrb_buf_empty(&into->rows);
    int code = read_span(b, &reader, at, rows, into, err);
    lrb_buf_clear(&correction);
    lrb_buf_clear(&content);
    lrb_buf_clear(&text);
    return code;
}

/* Copies bytes [from, from + *count) of a part, or of its rows, as far as they go. */
static int copy_part(lrb_item_bytes *b, lrb_coder *coder, size_t part, bool rows, uint64_t from, void *into, size_t *count, lrb_err *err) {
    kept_part own = {.filled = false};
    lrb_buf_init(&own.bytes, PART_MAX_BYTES);
    lrb_buf_init(&own.rows, PART_MAX_BYTES);
    pthread_mutex_lock(&b->lock);
    kept_part *chosen = choose(b, part), *k = chosen ? chosen : &own;
    bool filled = k->filled && k->part == part && (k->has_rows || !rows);
    k->in_use = true;
    k->last_use = ++b->uses;
    pthread_mutex_unlock(&b->lock);
    int code = filled ? LRB_OK : b->is_vectors ? decode_span(b, coder, part, rows, k, err) : decode_chunk(b, coder, part, k, err);
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
    uint64_t row_bytes = 4 * (uint64_t)b->layout.frame.dim;
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
    uint64_t total = 4 * b->layout.frame.rows * b->layout.frame.dim, from = at / 4 * 3, left = total - from;
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
    const lrb_vdb_frame *frame = &b->layout.frame;
    uint64_t data_bytes = b->layout.data_bytes;
    if (!b->is_vectors || offset < data_bytes) return read_bytes(b, coder, offset, into, count, err);
    uint64_t at = offset - data_bytes, end_at = b->size_bytes - frame->end_bytes - data_bytes;
    if (at >= frame->middle_bytes && at < end_at) {
        if (*count > end_at - at) *count = (size_t)(end_at - at);
        return read_matrix(b, coder, at - frame->middle_bytes, into, count, err);
    }
    bool in_middle = at < frame->middle_bytes;
    size_t left = (size_t)(in_middle ? frame->middle_bytes - at : end_at + frame->end_bytes - at);
    if (left < *count) *count = left;
    memcpy(into, in_middle ? frame->middle + at : frame->end + (at - end_at), *count);
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
