/* One section of a vector file, by one thread: read, encoded span by span, turned back and compared. */
#include "engine/intake_section_private.h"

#include <string.h>

#include "base/mem.h"
#include "codec/base64.h"
#include "codec/corrections.h"
#include "codec/place_sum.h"
#include "lightrag/cut.h"

enum { ROWS_AT_FIRST = 64, SECTION_DATA_MAX_BYTES = LRB_VDB_SECTION_MAX_BYTES + LRB_VDB_MAX_TEXT_BYTES + 4 * LRB_VDB_MAX_DIM + 256 };

/* ---- memory ---- */

static int make_scratch(const lrb_intake *intake, struct lrb_vector_scratch **out, lrb_err *err) {
    struct lrb_vector_scratch *s = lrb_alloc_zero(1, sizeof *s);
    if (!s) return lrb_err_nomem(err, "encode a vector file");
    lrb_buf_init(&s->data, SECTION_DATA_MAX_BYTES);
    lrb_buf_init(&s->chars, 2 * LRB_VDB_SPAN_MAX_BYTES);
    lrb_buf_init(&s->bytes, 2 * LRB_VDB_SPAN_MAX_BYTES);
    lrb_buf_init(&s->contents, 2 * LRB_VDB_SPAN_MAX_BYTES);
    lrb_buf_init(&s->text, LRB_CONTENT_MAX_BYTES);
    lrb_buf_init(&s->corrections, LRB_CONTENT_MAX_BYTES);
    lrb_buf_init(&s->again, 2 * LRB_VDB_SPAN_MAX_BYTES);
    int code = intake->tags_segments ? lrb_sealer_new(&s->tagger, err) : LRB_OK;
    if (s->tagger) lrb_sealer_set_key(s->tagger, intake->tag_key);
    if (code) lrb_intake_free_scratch(s);
    else *out = s;
    return code;
}

void lrb_intake_free_scratch(struct lrb_vector_scratch *s) {
    if (!s) return;
    lrb_buf_clear(&s->data);
    lrb_buf_clear(&s->chars);
    lrb_buf_clear(&s->bytes);
    lrb_buf_clear(&s->contents);
    lrb_buf_clear(&s->text);
    lrb_buf_clear(&s->corrections);
    lrb_buf_clear(&s->again);
    lrb_sealer_free(s->tagger);
    lrb_free(s);
}

int lrb_section_scratch(lrb_intake *intake, const lrb_worker *worker, struct lrb_vector_scratch **out, lrb_err *err) {
    struct lrb_vector_scratch **place = &intake->scratch[worker->number];
    int code = *place ? LRB_OK : make_scratch(intake, place, err);
    *out = *place;
    return code;
}

/* ---- chunks ---- */

int lrb_section_add_row(lrb_section *s, const lrb_row *row, lrb_err *err) {
    if (s->out->count == s->room) {
        size_t room = s->room ? 2 * s->room : ROWS_AT_FIRST;
        lrb_row *rows = lrb_resize_array(s->out->rows, room, sizeof *rows);
        if (!rows) return lrb_err_nomem(err, "encode a vector file");
        s->out->rows = rows;
        s->room = room;
    }
    s->out->rows[s->out->count++] = *row;
    return LRB_OK;
}

static int put(lrb_section *s, lrb_row *row, uint32_t dim, const lrb_buf *content, bool *added, lrb_err *err) {
    return lrb_writer_put(s->item->intake->writer, s->worker->coder, row->kind, dim, content->data, content->length, &row->id, added, err);
}

static int put_text(lrb_section *s, const lrb_span *p, bool *added, lrb_err *err) {
    lrb_row row = {.kind = LRB_CHUNK_TEXT, .count = (uint32_t)p->data_bytes};
    lrb_buf *text = &s->scratch->text;
    lrb_buf_empty(text);
    int code = lrb_vdb_texts_encode(p->records, p->count, p->data, text, err);
    if (!code) code = put(s, &row, 0, text, added, err);
    return code ? code : lrb_section_add_row(s, &row, err);
}

static int compare_group(lrb_section *s, const lrb_vdb_group *group, const lrb_content *content, bool encoded, lrb_err *err) {
    uint64_t row = s->first_row + (uint64_t)(group->records - s->scratch->records);
    uint64_t at = s->data_at + (uint64_t)(group->data - s->scratch->data.data);
    return lrb_intake_compare_group(&s->seen, group, row, at, content, encoded, s->worker, err);
}

static int put_vectors(lrb_section *s, const lrb_span *p, bool *added, lrb_err *err) {
    lrb_id ids[LRB_VDB_SPAN_MAX_GROUPS];
    lrb_intake *intake = s->item->intake;
    int code = lrb_chunk_ids(s->worker->coder, lrb_repo_vault(intake->repo), p->contents, p->group_count, ids, err);
    for (unsigned i = 0; !code && i < p->group_count; i++) {
        bool new_one;
        lrb_row row = {ids[i], LRB_CHUNK_VECTORS, p->groups[i].count};
        code = lrb_job_check(intake->job, err);
        if (!code)
            code = lrb_writer_put_known(intake->writer, s->worker->coder, &ids[i], LRB_CHUNK_VECTORS, s->dim, p->contents[i].bytes,
                                        p->contents[i].count, &new_one, err);
        if (!code) code = compare_group(s, &p->groups[i], &p->contents[i], new_one, err);
        if (!code) code = lrb_section_add_row(s, &row, err);
        *added |= !code && new_one;
    }
    return code;
}

/* ---- one span ---- */

static int reserve_span(lrb_section *s, const lrb_span *p, lrb_err *err) {
    size_t rows = p->count * 4 * (size_t)s->dim, room = p->data_bytes + rows + 32 * (p->count + p->group_count);
    lrb_buf_empty(&s->scratch->contents);
    lrb_buf_empty(&s->scratch->again);
    int code = lrb_buf_reserve(&s->scratch->contents, room, err);
    return code ? code : lrb_buf_reserve(&s->scratch->again, p->data_bytes > rows ? p->data_bytes : rows + 4 * (size_t)s->dim, err);
}

int lrb_section_read_rows(lrb_section *s, lrb_span *p, lrb_err *err) {
    struct lrb_vector_scratch *scratch = s->scratch;
    const lrb_source_item *source = lrb_source_at(s->item->intake->source, s->item->position);
    uint64_t row_bytes = 4 * (uint64_t)s->dim, total = lrb_vdb_rows(s->item->vdb) * row_bytes;
    lrb_base64_window_of window = lrb_base64_window((s->first_row + p->first) * row_bytes, p->count * row_bytes, total);
    size_t got, written, bound = lrb_base64_decoded_bound(window.chars);
    lrb_buf_empty(&scratch->chars);
    lrb_buf_empty(&scratch->bytes);
    int code = reserve_span(s, p, err);
    if (!code) code = lrb_buf_reserve(&scratch->chars, window.chars, err);
    if (!code) code = lrb_buf_reserve(&scratch->bytes, bound, err);
    if (!code) code = lrb_fs_read_at(s->item->fd, scratch->chars.data, window.chars, s->item->vectors->matrix_at + window.first, &got, source->name, err);
    if (code) return code;
    bool whole = got == window.chars && lrb_base64_decode((const char *)scratch->chars.data, window.chars, scratch->bytes.data, &written);
    /* Padding belongs to the end of the matrix; anywhere else it gives fewer bytes. */
    s->fits = whole && written >= window.skip + p->count * row_bytes;
    if (!s->fits) return LRB_OK;
    scratch->chars.length = window.chars;
    scratch->bytes.length = written;
    p->rows = scratch->bytes.data + window.skip;
    /* Four characters that hold the end of the row before as well are its span's. */
    size_t shared = window.skip ? 4 : 0;
    s->sum += lrb_place_sum(s->item->vectors->matrix_at + window.first + shared, scratch->chars.data + shared, window.chars - shared);
    return LRB_OK;
}

/* Makes the contents of the span's vectors chunks; the buffer does not move, for its room is asked for before. */
static int encode_groups(lrb_section *s, lrb_span *p, lrb_err *err) {
    struct lrb_vector_scratch *scratch = s->scratch;
    uint8_t *row = scratch->again.data;
    int code = LRB_OK;
    for (unsigned i = 0; !code && s->fits && i < p->group_count; i++) {
        lrb_vdb_group *group = &p->groups[i];
        size_t before = scratch->contents.length = (scratch->contents.length + 15) & ~(size_t)15, at = (size_t)(group->records - p->records);
        group->rows = p->rows + 4 * (size_t)s->dim * at;
        code = lrb_vdb_group_encode(group, p->first + (uint32_t)at, row, &scratch->contents, &scratch->corrections, &s->fits, err);
        p->contents[i] = (lrb_content){LRB_CHUNK_VECTORS, s->dim, scratch->contents.data + before, scratch->contents.length - before};
        if (!code && s->fits) code = lrb_section_tag(s, p->contents[i].bytes + lrb_vectors_head_bytes(group->count), group->count, err);
    }
    return code;
}

/* Whether texts and streams give the span's bytes again. */
static int check_data(lrb_section *s, const lrb_span *p, bool *same, lrb_err *err) {
    lrb_vdb_texts texts;
    int code = lrb_vdb_texts_open(s->scratch->text.data, s->scratch->text.length, &texts, err);
    const uint8_t *text = code ? NULL : texts.texts, *data = p->data;
    uint32_t first = 0;
    *same = true;
    for (unsigned i = 0; !code && *same && i < p->group_count; i++) {
        lrb_vectors vectors;
        if ((code = lrb_vectors_open(p->contents[i].bytes, p->contents[i].count, s->dim, &vectors, err))) break;
        uint64_t bytes = lrb_vdb_group_bytes(&texts, first, &vectors);
        *same = bytes <= p->data_bytes - (size_t)(data - p->data);
        if (!*same) break;
        lrb_vdb_group_decode(&texts, first, text, &vectors, s->scratch->again.data);
        *same = !memcmp(s->scratch->again.data, data, (size_t)bytes);
        data += bytes;
        for (uint32_t k = 0; k < vectors.rows; k++) text += lrb_vdb_text_bytes(&texts, first + k);
        first += vectors.rows;
    }
    if (!code && *same) *same = data == p->data + p->data_bytes;
    return code;
}

int lrb_section_turn_back(lrb_section *s, const lrb_span *p, size_t corrections_before, uint8_t *rows, bool *same, lrb_err *err) {
    const lrb_buf *corrections = &s->scratch->corrections;
    size_t row_bytes = 4 * (size_t)s->dim;
    lrb_corrections reader = lrb_corrections_open(corrections->data + corrections_before, corrections->length - corrections_before, s->dim);
    for (;;) {
        bool more;
        int code = lrb_corrections_next(&reader, &more, err);
        if (code) return code;
        if (!more) break;
        lrb_corrections_apply(&reader, rows + row_bytes * (reader.index - p->first));
    }
    *same = !memcmp(rows, p->rows, row_bytes * p->count);
    return LRB_OK;
}

/* Whether canonical rows and corrections give the span's rows again, and their base64 its part of the matrix. */
static int check_rows(lrb_section *s, const lrb_span *p, size_t corrections_before, bool *same, lrb_err *err) {
    struct lrb_vector_scratch *scratch = s->scratch;
    size_t row_bytes = 4 * (size_t)s->dim;
    uint8_t *rows = scratch->again.data;
    for (unsigned i = 0; i < p->group_count; i++) {
        lrb_vectors vectors;
        int code = lrb_vectors_open(p->contents[i].bytes, p->contents[i].count, s->dim, &vectors, err);
        if (code) return code;
        memcpy(rows, vectors.values, row_bytes * vectors.rows);
        rows += row_bytes * vectors.rows;
    }
    int code = lrb_section_turn_back(s, p, corrections_before, scratch->again.data, same, err);
    if (code || !*same) return code;
    lrb_buf_empty(&scratch->again);
    if ((code = lrb_buf_reserve(&scratch->again, scratch->chars.length, err))) return code;
    lrb_base64_encode(scratch->bytes.data, scratch->bytes.length, (char *)scratch->again.data);
    *same = !memcmp(scratch->again.data, scratch->chars.data, scratch->chars.length);
    return LRB_OK;
}

static int encode_span(lrb_section *s, lrb_span *p, lrb_err *err) {
    size_t corrections_before = s->scratch->corrections.length;
    bool added = false;
    int code = lrb_section_read_rows(s, p, err);
    if (!code && s->fits) code = encode_groups(s, p, err);
    if (code || !s->fits) return code;
    code = put_text(s, p, &added, err);
    if (!code) code = put_vectors(s, p, &added, err);
    if (!code && added) code = check_data(s, p, &s->fits, err);
    if (!code && s->fits) code = check_rows(s, p, corrections_before, &s->fits, err); /* corrections are new as a rule */
    return code;
}

/* ---- one section ---- */

static int read_section(lrb_section *s, const lrb_vdb_section *shape, lrb_err *err) {
    struct lrb_vector_scratch *scratch = s->scratch;
    const lrb_source_item *source = lrb_source_at(s->item->intake->source, s->item->position);
    size_t got;
    lrb_buf_empty(&scratch->data);
    lrb_buf_empty(&scratch->corrections);
    int code = lrb_buf_reserve(&scratch->data, shape->bytes, err);
    if (!code) code = lrb_fs_read_at(s->item->fd, scratch->data.data, shape->bytes, s->data_at, &got, source->name, err);
    if (code) return code;
    s->sum += lrb_place_sum(s->data_at, scratch->data.data, got);
    s->fits = got == shape->bytes && lrb_vdb_split(scratch->data.data, shape->bytes, s->item->intake->cut_seed, scratch->records, shape->rows);
    for (uint32_t i = 0; s->fits && i < shape->rows; i++) scratch->hashes[i] = scratch->records[i].hash;
    if (s->fits) lrb_cut_extents(scratch->hashes, shape->rows, lrb_vdb_span_reach(s->dim), scratch->extents);
    return LRB_OK;
}

void lrb_section_next_span(lrb_section *s, uint32_t first, uint32_t count, const uint8_t *data, lrb_span *p) {
    const struct lrb_vector_scratch *scratch = s->scratch;
    uint64_t bytes = 0;
    bool ends = false;
    *p = (lrb_span){.records = scratch->records + first, .first = first, .data = data};
    while (!ends) {
        size_t at = first + p->count;
        lrb_vdb_group *group = &p->groups[p->group_count];
        size_t taken = lrb_vdb_next_group(scratch->records + at, scratch->extents + at, count - at, s->dim, &p->group_count, &bytes, &ends);
        *group = (lrb_vdb_group){scratch->records + at, (uint32_t)taken, s->dim, data + p->data_bytes, NULL};
        for (size_t i = 0; i < taken; i++) p->data_bytes += group->records[i].text_bytes + group->records[i].payload_bytes;
        p->count += taken;
    }
}

static int put_corrections(lrb_section *s, uint32_t rows, lrb_err *err) {
    bool added;
    s->out->correction = (lrb_row){.kind = LRB_CHUNK_CORRECTIONS, .count = rows};
    return put(s, &s->out->correction, s->dim, &s->scratch->corrections, &added, err);
}

static int encode_spans(lrb_section *s, uint32_t rows, lrb_err *err) {
    const uint8_t *data = s->scratch->data.data;
    int code = lrb_section_begin_tag(s, err);
    for (uint32_t first = 0; !code && s->fits && first < rows;) {
        lrb_span p;
        lrb_section_next_span(s, first, rows, data, &p);
        code = encode_span(s, &p, err);
        first += (uint32_t)p.count;
        data += p.data_bytes;
    }
    return code || !s->fits ? code : lrb_section_end_tag(s, err);
}

int lrb_section_encode(lrb_section *s, lrb_err *err) {
    const lrb_vdb_section *shape = lrb_vdb_section_at(s->item->vdb, s->position);
    bool known = false;
    int code = read_section(s, shape, err);
    if (!code && s->fits) code = lrb_section_recall(s, shape, &known, err);
    if (!code && s->fits && !known) code = encode_spans(s, shape->rows, err);
    if (!code && s->fits) code = put_corrections(s, shape->rows, err);
    if (code != LRB_E_LIMIT) return code;
    /* A ceiling was reached: more corrections than a chunk may hold, say. Plain bytes have no such limits. */
    lrb_err_clear(err);
    s->fits = false;
    return LRB_OK;
}
