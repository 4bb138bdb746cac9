/* Items that are vector files: their recipe read, and spans of texts and vectors turned into both halves of the file. */
#include <string.h>

#include "base/mem.h"
#include "codec/base64.h"
#include "codec/corrections.h"
#include "engine/restore_private.h"
#include "lightrag/vdb_group.h"

enum { SPAN_MAX_DATA_BYTES = 16 << 20, BATCH_MAX_BYTES = 64 << 20 };

/* One thread's memory for spans. */
struct lrb_restore_scratch {
    lrb_buf text, correction;
    lrb_buf data, chars; /* of a batch, as they go into the file */
};

typedef struct batch { /* spans under way */
    lrb_restore *r;
    lrb_worker *worker;
    const lrb_restore_item *item;
    lrb_restore_vectors *vectors;
    struct lrb_restore_scratch *scratch;
    int fd;
    bool check_ids;
    uint64_t row;               /* of the matrix, the next one */
    lrb_base64_stream stream;
    unsigned head;              /* bytes of the quantum that the batch before began, still to come */
    size_t section;             /* whose corrections are loaded; SIZE_MAX: none */
    lrb_corrections corrections;
    bool more;                  /* corrections.index is the next row of that section to correct */
} batch;

static int damaged(lrb_restore *r, const lrb_restore_item *item, const char *what, lrb_err *err) {
    lrb_err_set(err, LRB_E_DAMAGED, "restore", item->shown.name, "%s", what);
    return lrb_restore_blame(r, item, err);
}

/* ---- the recipe's beginning ---- */

static int read_frame(lrb_restore *r, lrb_restore_rows *rows, const lrb_row *row, lrb_err *err) {
    lrb_restore_vectors *v = rows->vectors;
    lrb_vdb_frame frame;
    uint64_t size = rows->item->shown.size_bytes;
    int code = lrb_repo_read(r->repo, &row->id, row->kind, true, rows->reader.coder, &v->frame, err);
    if (!code) code = lrb_vdb_frame_open(v->frame.data, v->frame.length, &frame, err);
    if (code) return lrb_restore_blame(r, rows->item, err);
    v->dim = frame.dim;
    v->row_count = frame.rows;
    v->middle_bytes = frame.middle_bytes;
    v->end_bytes = frame.end_bytes;
    uint64_t chars = lrb_vdb_base64_bytes(4 * frame.rows * frame.dim), rest = chars + frame.middle_bytes + frame.end_bytes;
    if (rest > size) return damaged(r, rows->item, "its matrix is longer than the whole file", err);
    v->data_bytes = size - rest;
    return LRB_OK;
}

static int add_correction(lrb_restore *r, lrb_restore_rows *rows, const lrb_row *row, uint64_t first, lrb_err *err) {
    lrb_restore_vectors *v = rows->vectors;
    if (row->kind != LRB_CHUNK_CORRECTIONS || !row->count || row->count > v->row_count - first ||
        v->correction_count == lrb_vdb_max_sections(rows->item->shown.size_bytes))
        return damaged(r, rows->item, "the corrections of its rows are not listed as they must be", err);
    if (v->correction_count == v->correction_room) {
        size_t room = v->correction_room ? 2 * v->correction_room : 16;
        lrb_restore_correction *corrections = lrb_resize_array(v->corrections, room, sizeof *corrections);
        if (!corrections) return lrb_err_nomem(err, "restore a vector file");
        v->corrections = corrections;
        v->correction_room = room;
    }
    v->corrections[v->correction_count++] = (lrb_restore_correction){row->id, first, row->count};
    return LRB_OK;
}

int lrb_restore_vectors_begin(lrb_restore *r, lrb_restore_rows *rows, const lrb_row *frame, lrb_err *err) {
    lrb_restore_vectors *v = lrb_alloc_zero(1, sizeof *v);
    if (!v) return lrb_err_nomem(err, "restore a vector file");
    rows->vectors = v;
    lrb_buf_init(&v->frame, LRB_CONTENT_MAX_BYTES);
    int code = read_frame(r, rows, frame, err);
    for (uint64_t first = 0; !code && first < v->row_count;) {
        lrb_row row;
        bool done;
        code = lrb_restore_next_row(r, rows, &row, &done, err);
        if (!code && done) code = damaged(r, rows->item, "its list of chunks ends within its corrections", err);
        if (!code) code = add_correction(r, rows, &row, first, err);
        if (!code) first += row.count;
    }
    return code;
}

void lrb_restore_vectors_end(lrb_restore_vectors *v) {
    if (!v) return;
    lrb_buf_clear(&v->frame);
    lrb_free(v->corrections);
    lrb_free(v);
}

/* What no span holds. */
int lrb_restore_write_frame(lrb_restore *r, const lrb_restore_rows *rows, int fd, lrb_err *err) {
    const lrb_restore_vectors *v = rows->vectors;
    const uint8_t *texts = v->frame.data + v->frame.length - v->middle_bytes - v->end_bytes;
    uint64_t size = rows->item->shown.size_bytes;
    int code = lrb_fs_write_at(fd, texts, v->middle_bytes, v->data_bytes, rows->item->shown.name, err);
    if (!code) code = lrb_fs_write_at(fd, texts + v->middle_bytes, v->end_bytes, size - v->end_bytes, rows->item->shown.name, err);
    if (!code) lrb_restore_count_written(r, v->middle_bytes + v->end_bytes, false);
    return code;
}

/* ---- claiming ---- */

/* The next span: its text's row and those of its vectors. */
static int claim_span(lrb_restore *r, lrb_restore_rows *rows, const lrb_row *text, lrb_restore_work *work, lrb_err *err) {
    lrb_restore_vectors *v = rows->vectors;
    uint64_t records = 0;
    if (text->kind != LRB_CHUNK_TEXT || !text->count || text->count > SPAN_MAX_DATA_BYTES || text->count > v->data_bytes - rows->offset)
        return damaged(r, rows->item, "its texts are not listed as they must be", err);
    work->rows[work->row_count++] = *text;
    for (unsigned groups = 0;; groups++) {
        lrb_row row;
        bool done;
        int code = lrb_restore_next_row(r, rows, &row, &done, err);
        if (code) return code;
        if (done) break;
        if (row.kind != LRB_CHUNK_VECTORS) {
            lrb_restore_put_back(rows, &row);
            break;
        }
        if (groups == LRB_VDB_SPAN_MAX_GROUPS || !row.count || row.count > v->row_count - v->next_row - records)
            return damaged(r, rows->item, "its vectors are not listed as they must be", err);
        records += row.count;
        work->rows[work->row_count++] = row;
    }
    rows->offset += text->count;
    v->next_row += records;
    return LRB_OK;
}

int lrb_restore_claim_spans(lrb_restore *r, lrb_restore_rows *rows, lrb_restore_work *work, lrb_err *err) {
    lrb_restore_vectors *v = rows->vectors;
    uint64_t row_bytes = lrb_vdb_base64_bytes(4 * (uint64_t)v->dim);
    work->from = rows->offset;
    work->first_row = v->next_row;
    while (work->row_count + 1 + LRB_VDB_SPAN_MAX_GROUPS <= LRB_RESTORE_BATCH_ROWS &&
           rows->offset - work->from + (v->next_row - work->first_row) * row_bytes < LRB_RESTORE_BATCH_BYTES) {
        lrb_row text;
        int code = lrb_restore_next_row(r, rows, &text, &rows->over, err);
        if (!code && !rows->over) code = claim_span(r, rows, &text, work, err);
        if (code) return code;
        if (!rows->over) continue;
        if (rows->offset == v->data_bytes && v->next_row == v->row_count) return LRB_OK;
        return damaged(r, rows->item, "its texts and vectors do not add up to its size", err);
    }
    return LRB_OK;
}

/* ---- the seams between batches: three bytes of the matrix that two of them share ---- */

/* Adds bytes to the quantum; *whole when it has all three now. Any thread. */
static int add_to_seam(batch *b, uint64_t quantum, unsigned at, const uint8_t *bytes, unsigned count, uint8_t whole_bytes[3], bool *whole,
                       lrb_err *err) {
    lrb_restore_vectors *v = b->vectors;
    int code = LRB_OK;
    *whole = false;
    pthread_mutex_lock(&b->r->lock);
    unsigned i = 0;
    while (i < v->seam_count && v->seams[i].quantum != quantum) i++;
    if (i == v->seam_count && i == LRB_RESTORE_MAX_SEAMS) {
        code = lrb_err_set(err, LRB_E_INTERNAL, "restore", b->item->shown.name, "more batches than can be under way left bytes to each other");
    } else {
        if (i == v->seam_count) v->seams[v->seam_count++] = (lrb_restore_seam){.quantum = quantum};
        lrb_restore_seam *seam = &v->seams[i];
        memcpy(seam->bytes + at, bytes, count);
        seam->have += count;
        *whole = seam->have == 3;
        memcpy(whole_bytes, seam->bytes, 3);
        if (*whole) *seam = v->seams[--v->seam_count];
    }
    pthread_mutex_unlock(&b->r->lock);
    return code;
}

static int write_seam(batch *b, uint64_t quantum, unsigned at, const uint8_t *bytes, unsigned count, lrb_err *err) {
    uint8_t three[3];
    char chars[4];
    bool whole;
    int code = add_to_seam(b, quantum, at, bytes, count, three, &whole, err);
    if (code || !whole) return code;
    lrb_base64_encode(three, 3, chars);
    uint64_t matrix_at = b->vectors->data_bytes + b->vectors->middle_bytes;
    code = lrb_fs_write_at(b->fd, chars, 4, matrix_at + 4 * quantum, b->item->shown.name, err);
    if (!code) lrb_restore_count_written(b->r, 4, false);
    return code;
}

/* ---- rows ---- */

static int load_corrections(batch *b, size_t section, lrb_err *err) {
    const lrb_restore_correction *c = &b->vectors->corrections[section];
    lrb_buf *content = &b->scratch->correction;
    int code = lrb_repo_read(b->r->repo, &c->id, LRB_CHUNK_CORRECTIONS, b->check_ids, b->worker->coder, content, err);
    b->section = section;
    if (!code) b->corrections = lrb_corrections_open(content->data, content->length, b->vectors->dim);
    return code ? code : lrb_corrections_next(&b->corrections, &b->more, err);
}

static size_t section_of(const lrb_restore_vectors *v, uint64_t row) {
    size_t low = 0, high = v->correction_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (v->corrections[middle].first <= row) low = middle;
        else high = middle;
    }
    return low;
}

/* Turns the canonical rows at `values`, the next ones of the matrix, into those of the file. */
static int correct(batch *b, uint8_t *values, uint32_t count, lrb_err *err) {
    const lrb_restore_vectors *v = b->vectors;
    int code = LRB_OK;
    for (uint32_t i = 0; !code && i < count; i++) {
        uint64_t row = b->row + i;
        if (b->section == SIZE_MAX) code = load_corrections(b, section_of(v, row), err);
        else if (row - v->corrections[b->section].first == v->corrections[b->section].rows) code = load_corrections(b, b->section + 1, err);
        uint64_t index = row - v->corrections[b->section].first;
        while (!code && b->more && b->corrections.index < index) code = lrb_corrections_next(&b->corrections, &b->more, err);
        if (!code && b->more && b->corrections.index == index) lrb_corrections_apply(&b->corrections, values + 4 * (size_t)v->dim * i);
    }
    return code;
}

static int encode_rows(batch *b, const uint8_t *bytes, size_t count, lrb_err *err) {
    lrb_buf *chars = &b->scratch->chars;
    uint64_t at = 4 * b->row * b->vectors->dim;
    int code = LRB_OK;
    if (b->head) { /* at the first row of a batch */
        code = write_seam(b, at / 3, 3 - b->head, bytes, b->head, err);
        bytes += b->head;
        count -= b->head;
        b->head = 0;
    }
    if (!code) code = lrb_buf_reserve(chars, lrb_base64_encoded_length(count + 2), err);
    if (!code) chars->length += lrb_base64_stream_update(&b->stream, bytes, count, (char *)chars->data + chars->length);
    return code;
}

/* ---- spans ---- */

/* Reads one vectors chunk and turns it into file bytes, data and rows. */
static int take_group(batch *b, const lrb_row *row, const lrb_vdb_texts *texts, uint32_t *record, const uint8_t **text, size_t data_end,
                      lrb_err *err) {
    lrb_vectors vectors;
    lrb_buf *data = &b->scratch->data, *content = &b->worker->content;
    int code = lrb_job_check(&b->r->job, err);
    if (!code) code = lrb_repo_read(b->r->repo, &row->id, row->kind, b->check_ids, b->worker->coder, content, err);
    if (!code) code = lrb_vectors_open(content->data, content->length, b->vectors->dim, &vectors, err);
    if (code) return lrb_restore_blame(b->r, b->item, err);
    if (vectors.rows != row->count || vectors.rows > texts->records - *record ||
        lrb_vdb_group_bytes(texts, *record, &vectors) > data_end - data->length)
        return damaged(b->r, b->item, "one of its vectors chunks is not as it is listed", err);
    lrb_vdb_group_decode(texts, *record, *text, &vectors, data->data + data->length);
    data->length += (size_t)lrb_vdb_group_bytes(texts, *record, &vectors);
    for (uint32_t i = 0; i < vectors.rows; i++) *text += lrb_vdb_text_bytes(texts, (*record)++);
    uint8_t *values = content->data + (vectors.values - content->data);
    if ((code = correct(b, values, vectors.rows, err))) return lrb_restore_blame(b->r, b->item, err);
    code = encode_rows(b, values, 4 * (size_t)vectors.rows * vectors.dim, err);
    b->row += vectors.rows;
    return code;
}

/* rows[0] is the text; returns through *taken how many rows the span has. */
static int take_span(batch *b, const lrb_row *rows, uint32_t count, uint32_t *taken, lrb_err *err) {
    lrb_vdb_texts texts;
    lrb_buf *data = &b->scratch->data;
    uint32_t record = 0;
    int code = lrb_repo_read(b->r->repo, &rows->id, rows->kind, b->check_ids, b->worker->coder, &b->scratch->text, err);
    if (!code) code = lrb_vdb_texts_open(b->scratch->text.data, b->scratch->text.length, &texts, err);
    if (code) return lrb_restore_blame(b->r, b->item, err);
    size_t data_end = data->length + rows->count;
    const uint8_t *text = texts.texts;
    code = lrb_buf_reserve(data, rows->count, err);
    for (*taken = 1; !code && *taken < count && rows[*taken].kind == LRB_CHUNK_VECTORS; ++*taken)
        code = take_group(b, &rows[*taken], &texts, &record, &text, data_end, err);
    if (!code && (record != texts.records || data->length != data_end))
        code = damaged(b->r, b->item, "a text and its vectors do not make the bytes they are listed with", err);
    return code;
}

/* Writes what the batch made; its last bytes may wait for the next batch's first. */
static int write_out(batch *b, const lrb_restore_work *work, lrb_err *err) {
    const lrb_restore_vectors *v = b->vectors;
    lrb_buf *data = &b->scratch->data, *chars = &b->scratch->chars;
    uint64_t first = 4 * work->first_row * v->dim, end = 4 * b->row * v->dim;
    const uint8_t *carry = b->stream.carry;
    unsigned carried = b->stream.carried;
    int code = LRB_OK;
    if (b->row == v->row_count) {
        if (!(code = lrb_buf_reserve(chars, 4, err))) chars->length += lrb_base64_stream_finish(&b->stream, (char *)chars->data + chars->length);
    } else if (carried) {
        code = write_seam(b, end / 3, 0, carry, carried, err);
    }
    if (!code) code = lrb_fs_write_at(b->fd, data->data, data->length, work->from, b->item->shown.name, err);
    uint64_t matrix_at = v->data_bytes + v->middle_bytes;
    if (!code) code = lrb_fs_write_at(b->fd, chars->data, chars->length, matrix_at + (first + 2) / 3 * 4, b->item->shown.name, err);
    if (!code) lrb_restore_count_written(b->r, data->length + chars->length, false);
    return code;
}

static int scratch_of(lrb_restore *r, const lrb_worker *worker, struct lrb_restore_scratch **out, lrb_err *err) {
    struct lrb_restore_scratch **place = &r->scratch[worker->number];
    if (!*place) {
        if (!(*place = lrb_alloc_zero(1, sizeof **place))) return lrb_err_nomem(err, "restore a vector file");
        lrb_buf_init(&(*place)->text, LRB_CONTENT_MAX_BYTES);
        lrb_buf_init(&(*place)->correction, LRB_CONTENT_MAX_BYTES);
        lrb_buf_init(&(*place)->data, BATCH_MAX_BYTES);
        lrb_buf_init(&(*place)->chars, BATCH_MAX_BYTES);
    }
    *out = *place;
    lrb_buf_empty(&(*out)->data);
    lrb_buf_empty(&(*out)->chars);
    return LRB_OK;
}

void lrb_restore_free_scratch(struct lrb_restore_scratch *s) {
    if (!s) return;
    lrb_buf_clear(&s->text);
    lrb_buf_clear(&s->correction);
    lrb_buf_clear(&s->data);
    lrb_buf_clear(&s->chars);
    lrb_free(s);
}

int lrb_restore_write_spans(lrb_restore *r, lrb_worker *worker, const lrb_restore_rows *rows, int fd, const lrb_restore_work *work,
                            bool check_ids, lrb_err *err) {
    batch b = {.r = r, .worker = worker, .item = rows->item, .vectors = rows->vectors, .fd = fd, .check_ids = check_ids,
               .row = work->first_row, .section = SIZE_MAX};
    b.head = (unsigned)((3 - 4 * work->first_row * b.vectors->dim % 3) % 3);
    int code = scratch_of(r, worker, &b.scratch, err);
    for (uint32_t at = 0, taken = 0; !code && at < work->row_count; at += taken) code = take_span(&b, work->rows + at, work->row_count - at, &taken, err);
    return code ? code : write_out(&b, work, err);
}
