#include <string.h>

#include "base/mem.h"
#include "codec/corrections.h"
#include "engine/item_bytes_private.h"
#include "lightrag/vdb_group.h"

enum { SPAN_MAX_BYTES = 16 << 20 };

/* ---- the recipe ---- */

int lrb_item_take_frame(lrb_item_bytes *b, const lrb_row *row, lrb_coder *coder, lrb_err *err) {
    lrb_vdb_frame frame;
    int code = lrb_repo_read(b->repo, &row->id, row->kind, true, coder, &b->frame, err);
    if (!code) code = lrb_vdb_frame_open(b->frame.data, b->frame.length, &frame, err);
    if (code) return code;
    uint64_t rest = lrb_vdb_base64_bytes(4 * frame.rows * frame.dim) + frame.middle_bytes + frame.end_bytes;
    if (rest > b->size_bytes) return lrb_item_damaged(err, "its matrix is longer than the whole file");
    b->is_vectors = true;
    b->dim = frame.dim;
    b->rows = frame.rows;
    b->middle_bytes = frame.middle_bytes;
    b->end_bytes = frame.end_bytes;
    b->data_bytes = b->size_bytes - rest;
    return LRB_OK;
}

static uint64_t corrected_rows(const lrb_item_bytes *b) {
    if (!b->correction_count) return 0;
    const lrb_item_corrections *last = &b->corrections[b->correction_count - 1];
    return last->first + last->rows;
}

static int take_corrections(lrb_item_bytes *b, const lrb_row *row, lrb_err *err) {
    uint64_t first = corrected_rows(b);
    if (b->chunk_count || !row->count || row->count > b->rows - first || b->correction_count == lrb_vdb_max_sections(b->size_bytes))
        return lrb_item_damaged(err, "the corrections of its rows are not listed as they must be");
    if (b->correction_count == b->correction_room) {
        size_t room = b->correction_room ? 2 * b->correction_room : 16;
        lrb_item_corrections *more = lrb_resize_array(b->corrections, room, sizeof *more);
        if (!more) return lrb_err_nomem(err, "read an item");
        b->corrections = more;
        b->correction_room = room;
    }
    b->corrections[b->correction_count++] = (lrb_item_corrections){row->id, first, row->count};
    return LRB_OK;
}

/* Where the chunks so far lead to: bytes of records, and rows. */
static void reach(const lrb_item_bytes *b, uint64_t *offset, uint64_t *row) {
    *offset = *row = 0;
    if (!b->part_count) return;
    const lrb_item_part *last = &b->parts[b->part_count - 1];
    *offset = last->offset + b->chunks[last->first_chunk].count;
    *row = last->first_row;
    for (size_t i = last->first_chunk + 1; i < b->chunk_count; i++) *row += b->chunks[i].count;
}

int lrb_item_take_row(lrb_item_bytes *b, const lrb_row *row, lrb_err *err) {
    uint64_t offset, first_row;
    if (row->kind == LRB_CHUNK_CORRECTIONS) return take_corrections(b, row, err);
    reach(b, &offset, &first_row);
    bool text = row->kind == LRB_CHUNK_TEXT, vectors = row->kind == LRB_CHUNK_VECTORS && b->part_count;
    bool fits = text ? row->count <= SPAN_MAX_BYTES && row->count <= b->data_bytes - offset
                     : vectors && row->count <= b->rows - first_row &&
                           b->chunk_count - b->parts[b->part_count - 1].first_chunk <= LRB_VDB_SPAN_MAX_GROUPS;
    if (!fits || !row->count) return lrb_item_damaged(err, "its texts and vectors are not listed as they must be");
    int code = text ? lrb_item_add_part(b, offset, first_row, err) : LRB_OK;
    return code ? code : lrb_item_add_chunk(b, row, err);
}

int lrb_item_finish_vectors(lrb_item_bytes *b, lrb_err *err) {
    uint64_t offset, row;
    reach(b, &offset, &row);
    if (offset != b->data_bytes || row != b->rows || corrected_rows(b) != b->rows)
        return lrb_item_damaged(err, "its texts and vectors do not add up to its size");
    return LRB_OK;
}

/* ---- spans ---- */

typedef struct corrector { /* walks along the rows of the matrix */
    const lrb_item_bytes *b;
    lrb_coder *coder;
    lrb_buf content;
    size_t section; /* whose corrections are loaded; SIZE_MAX: none */
    lrb_corrections next;
    bool more;      /* `next` is about a row still to come */
} corrector;

static size_t section_of(const lrb_item_bytes *b, uint64_t row) {
    size_t low = 0, high = b->correction_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (b->corrections[middle].first <= row) low = middle;
        else high = middle;
    }
    return low;
}

static int load(corrector *c, size_t section, lrb_err *err) {
    const lrb_item_corrections *of = &c->b->corrections[section];
    int code = lrb_repo_read(c->b->repo, &of->id, LRB_CHUNK_CORRECTIONS, true, c->coder, &c->content, err);
    c->section = section;
    if (!code) c->next = lrb_corrections_open(c->content.data, c->content.length, c->b->dim);
    return code ? code : lrb_corrections_next(&c->next, &c->more, err);
}

static int correct(corrector *c, uint64_t row, uint8_t *values, lrb_err *err) {
    const lrb_item_corrections *sections = c->b->corrections;
    int code = LRB_OK;
    if (c->section == SIZE_MAX || row - sections[c->section].first >= sections[c->section].rows) code = load(c, section_of(c->b, row), err);
    if (code) return code;
    uint64_t index = row - sections[c->section].first;
    while (!code && c->more && c->next.index < index) code = lrb_corrections_next(&c->next, &c->more, err);
    if (!code && c->more && c->next.index == index) lrb_corrections_apply(&c->next, values);
    return code;
}

static int take_rows(corrector *c, uint64_t first, const lrb_vectors *vectors, lrb_buf *rows, lrb_err *err) {
    size_t row_bytes = 4 * (size_t)vectors->dim, from = rows->length;
    int code = lrb_buf_append(rows, vectors->values, row_bytes * vectors->rows, err);
    for (uint32_t i = 0; !code && i < vectors->rows; i++) code = correct(c, first + i, rows->data + from + row_bytes * i, err);
    return code;
}

typedef struct span { /* being decoded */
    lrb_vdb_texts texts;
    const uint8_t *text; /* of the next record */
    uint32_t record;
    uint64_t row;
} span;

static int take_group(lrb_item_bytes *b, lrb_coder *coder, const lrb_row *chunk, span *s, corrector *c, lrb_kept_part *into, size_t end,
                      lrb_err *err) {
    lrb_buf content;
    lrb_vectors vectors;
    lrb_buf_init(&content, LRB_CONTENT_MAX_BYTES);
    int code = lrb_repo_read(b->repo, &chunk->id, chunk->kind, true, coder, &content, err);
    if (!code) code = lrb_vectors_open(content.data, content.length, b->dim, &vectors, err);
    if (!code && (vectors.rows != chunk->count || vectors.rows > s->texts.records - s->record ||
                  lrb_vdb_group_bytes(&s->texts, s->record, &vectors) > end - into->bytes.length))
        code = lrb_item_damaged(err, "one of its vectors chunks is not as it is listed");
    if (!code) {
        lrb_vdb_group_decode(&s->texts, s->record, s->text, &vectors, into->bytes.data + into->bytes.length);
        into->bytes.length += (size_t)lrb_vdb_group_bytes(&s->texts, s->record, &vectors);
        for (uint32_t i = 0; i < vectors.rows; i++) s->text += lrb_vdb_text_bytes(&s->texts, s->record++);
        if (c) code = take_rows(c, s->row, &vectors, &into->rows, err);
        s->row += vectors.rows;
    }
    lrb_buf_clear(&content);
    return code;
}

int lrb_item_decode_span(lrb_item_bytes *b, lrb_coder *coder, size_t part, bool rows, lrb_kept_part *into, lrb_err *err) {
    const lrb_item_part *of = &b->parts[part], *next = of + 1;
    const lrb_row *chunks = &b->chunks[of->first_chunk];
    size_t count = next->first_chunk - of->first_chunk;
    span s = {.row = of->first_row};
    corrector c = {.b = b, .coder = coder, .section = SIZE_MAX};
    lrb_buf text;
    lrb_buf_init(&text, LRB_CONTENT_MAX_BYTES);
    lrb_buf_init(&c.content, LRB_CONTENT_MAX_BYTES);
    lrb_buf_empty(&into->bytes);
    lrb_buf_empty(&into->rows);
    int code = lrb_repo_read(b->repo, &chunks->id, chunks->kind, true, coder, &text, err);
    if (!code) code = lrb_vdb_texts_open(text.data, text.length, &s.texts, err);
    if (!code) code = lrb_buf_reserve(&into->bytes, chunks->count, err);
    if (!code) s.text = s.texts.texts;
    for (size_t i = 1; !code && i < count; i++) code = take_group(b, coder, &chunks[i], &s, rows ? &c : NULL, into, chunks->count, err);
    if (!code && (s.record != s.texts.records || into->bytes.length != chunks->count))
        code = lrb_item_damaged(err, "a text and its vectors do not make the bytes they are listed with");
    lrb_buf_clear(&c.content);
    lrb_buf_clear(&text);
    return code;
}
