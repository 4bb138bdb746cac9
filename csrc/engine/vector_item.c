#include "engine/vector_item.h"

#include "base/mem.h"

static int damaged(const lrb_vector_layout *layout, const char *what, lrb_err *err) {
    return lrb_err_set(err, LRB_E_DAMAGED, "read", layout->name, "%s", what);
}

/* ---- the list ---- */

uint64_t lrb_vector_frame_bytes(const lrb_vdb_frame *frame) {
    return lrb_vdb_base64_bytes(4 * frame->rows * frame->dim) + frame->middle_bytes + frame->end_bytes;
}

int lrb_vector_layout_begin(lrb_vector_layout *layout, lrb_repo *repo, lrb_coder *coder, const lrb_row *frame, uint64_t size_bytes,
                            const char *name, lrb_err *err) {
    *layout = (lrb_vector_layout){.name = name, .size_bytes = size_bytes};
    lrb_buf_init(&layout->content, LRB_CONTENT_MAX_BYTES);
    int code = lrb_repo_read(repo, &frame->id, frame->kind, true, coder, &layout->content, err);
    if (!code) code = lrb_vdb_frame_open(layout->content.data, layout->content.length, &layout->frame, err);
    if (code) return code;
    uint64_t rest = lrb_vector_frame_bytes(&layout->frame);
    if (rest > size_bytes) return damaged(layout, "its matrix is longer than the whole file", err);
    layout->data_bytes = size_bytes - rest;
    return LRB_OK;
}

void lrb_vector_layout_clear(lrb_vector_layout *layout) {
    lrb_buf_clear(&layout->content);
    lrb_free(layout->sections);
    layout->sections = NULL;
}

static int take_corrections(lrb_vector_layout *layout, const lrb_row *row, lrb_err *err) {
    if (layout->data_taken || !row->count || row->count > layout->frame.rows - layout->corrected ||
        layout->section_count == lrb_vdb_max_sections(layout->size_bytes))
        return damaged(layout, "the corrections of its rows are not listed as they must be", err);
    if (layout->section_count == layout->section_room) {
        size_t room = layout->section_room ? 2 * layout->section_room : 16;
        lrb_vector_section *more = lrb_resize_array(layout->sections, room, sizeof *more);
        if (!more) return lrb_err_nomem(err, "read a vector file");
        layout->sections = more;
        layout->section_room = room;
    }
    layout->sections[layout->section_count++] = (lrb_vector_section){row->id, layout->corrected, row->count};
    layout->corrected += row->count;
    return LRB_OK;
}

static int take_text(lrb_vector_layout *layout, const lrb_row *row, lrb_err *err) {
    if (layout->corrected != layout->frame.rows || !row->count || row->count > LRB_VECTOR_SPAN_MAX_BYTES ||
        row->count > layout->data_bytes - layout->data_taken)
        return damaged(layout, "its texts are not listed as they must be", err);
    layout->data_taken += row->count;
    layout->groups = 0;
    return LRB_OK;
}

static int take_vectors(lrb_vector_layout *layout, const lrb_row *row, lrb_err *err) {
    if (!layout->data_taken || !row->count || layout->groups == LRB_VDB_SPAN_MAX_GROUPS ||
        row->count > layout->frame.rows - layout->rows_taken)
        return damaged(layout, "its vectors are not listed as they must be", err);
    layout->rows_taken += row->count;
    layout->groups++;
    return LRB_OK;
}

int lrb_vector_layout_take(lrb_vector_layout *layout, const lrb_row *row, lrb_err *err) {
    switch (row->kind) {
    case LRB_CHUNK_CORRECTIONS: return take_corrections(layout, row, err);
    case LRB_CHUNK_TEXT: return take_text(layout, row, err);
    case LRB_CHUNK_VECTORS: return take_vectors(layout, row, err);
    default: return damaged(layout, "its list has a chunk that no vector file has", err);
    }
}

int lrb_vector_layout_finish(const lrb_vector_layout *layout, lrb_err *err) {
    bool all = layout->corrected == layout->frame.rows && layout->data_taken == layout->data_bytes && layout->rows_taken == layout->frame.rows;
    return all ? LRB_OK : damaged(layout, "its texts and vectors do not add up to its size", err);
}

/* ---- spans ---- */

int lrb_vector_reader_span(lrb_vector_reader *reader, const lrb_row *text, lrb_buf *data, lrb_err *err) {
    int code = lrb_repo_read(reader->repo, &text->id, text->kind, reader->check_ids, reader->coder, reader->text, err);
    if (!code) code = lrb_vdb_texts_open(reader->text->data, reader->text->length, &reader->texts, err);
    if (!code) code = lrb_buf_reserve(data, text->count, err);
    if (code) return code;
    reader->next_text = reader->texts.texts;
    reader->record = 0;
    reader->data_end = data->length + text->count;
    return LRB_OK;
}

int lrb_vector_reader_group(lrb_vector_reader *reader, const lrb_row *row, lrb_buf *data, lrb_vectors *vectors, lrb_err *err) {
    const lrb_vdb_texts *texts = &reader->texts;
    lrb_buf *content = reader->content;
    int code = lrb_repo_read(reader->repo, &row->id, row->kind, reader->check_ids, reader->coder, content, err);
    if (!code) code = lrb_vectors_open(content->data, content->length, reader->layout->frame.dim, vectors, err);
    if (code) return code;
    if (vectors->rows != row->count || vectors->rows > texts->records - reader->record ||
        lrb_vdb_group_bytes(texts, reader->record, vectors) > reader->data_end - data->length)
        return damaged(reader->layout, "one of its vectors chunks is not as it is listed", err);
    lrb_vdb_group_decode(texts, reader->record, reader->next_text, vectors, data->data + data->length);
    data->length += (size_t)lrb_vdb_group_bytes(texts, reader->record, vectors);
    for (uint32_t i = 0; i < vectors->rows; i++) reader->next_text += lrb_vdb_text_bytes(texts, reader->record++);
    return LRB_OK;
}

int lrb_vector_reader_span_end(const lrb_vector_reader *reader, const lrb_buf *data, lrb_err *err) {
    if (reader->record == reader->texts.records && data->length == reader->data_end) return LRB_OK;
    return damaged(reader->layout, "a text and its vectors do not make the bytes they are listed with", err);
}

/* ---- corrections ---- */

static size_t section_of(const lrb_vector_layout *layout, uint64_t row) {
    size_t low = 0, high = layout->section_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (layout->sections[middle].first <= row) low = middle;
        else high = middle;
    }
    return low;
}

/* The section of a row becomes the one at hand. */
static int reach_section(lrb_vector_reader *reader, uint64_t row, lrb_err *err) {
    const lrb_vector_section *at = &reader->layout->sections[reader->section];
    if (reader->has_section && row - at->first < at->rows) return LRB_OK;
    reader->has_section = false;
    reader->section = section_of(reader->layout, row);
    at = &reader->layout->sections[reader->section];
    int code = lrb_repo_read(reader->repo, &at->corrections, LRB_CHUNK_CORRECTIONS, reader->check_ids, reader->coder, reader->correction, err);
    if (code) return code;
    reader->corrections = lrb_corrections_open(reader->correction->data, reader->correction->length, reader->layout->frame.dim);
    code = lrb_corrections_next(&reader->corrections, &reader->more, err);
    reader->has_section = !code;
    return code;
}

static int correct_row(lrb_vector_reader *reader, uint64_t row, uint8_t *values, lrb_err *err) {
    lrb_corrections *next = &reader->corrections;
    int code = reach_section(reader, row, err);
    if (code) return code;
    uint64_t index = row - reader->layout->sections[reader->section].first;
    while (reader->more && next->index < index)
        if ((code = lrb_corrections_next(next, &reader->more, err))) return code;
    if (reader->more && next->index == index) lrb_corrections_apply(next, values);
    return LRB_OK;
}

int lrb_vector_reader_correct(lrb_vector_reader *reader, uint64_t first, const lrb_vectors *vectors, const uint8_t **values, lrb_err *err) {
    uint8_t *rows = reader->content->data + (vectors->values - reader->content->data); /* the same bytes, ours to change */
    *values = rows;
    for (uint32_t i = 0; i < vectors->rows; i++) {
        int code = correct_row(reader, first + i, rows + 4 * (size_t)vectors->dim * i, err);
        if (code) return code;
    }
    return LRB_OK;
}
