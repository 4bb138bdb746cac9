/* Items that are vector files: their recipe read, and spans of texts and vectors turned into both halves of the file. */
#include <string.h>

#include "base/mem.h"
#include "codec/base64.h"
#include "engine/restore_private.h"

enum { BATCH_MAX_BYTES = 64 << 20 };

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
    lrb_vector_reader reader;
    int fd;
    uint64_t row;               /* of the matrix, the next one */
    lrb_base64_stream stream;
    unsigned head;              /* bytes of the quantum that the batch before began, still to come */
} batch;

/* The item's name, and its snapshot's, in front of what is wrong with it. */
static int blamed(lrb_restore *r, const lrb_restore_item *item, int code, lrb_err *err) {
    return code ? lrb_restore_blame(r, item, err) : LRB_OK;
}

/* ---- the recipe's beginning ---- */

int lrb_restore_vectors_begin(lrb_restore *r, lrb_restore_rows *rows, const lrb_row *frame, lrb_err *err) {
    const lrb_restore_item *item = rows->item;
    lrb_restore_vectors *v = lrb_alloc_zero(1, sizeof *v);
    if (!v) return lrb_err_nomem(err, "restore a vector file");
    rows->vectors = v;
    int code = lrb_vector_layout_begin(&v->layout, r->repo, rows->reader.coder, frame, item->shown.size_bytes, item->shown.name, err);
    if (code) return blamed(r, item, code, err);
    while (v->layout.corrected < v->layout.frame.rows) {
        lrb_row row;
        bool done;
        if ((code = lrb_restore_next_row(r, rows, &row, &done, err))) return code;
        code = done ? lrb_vector_layout_finish(&v->layout, err) : lrb_vector_layout_take(&v->layout, &row, err);
        if (code) return blamed(r, item, code, err);
    }
    return LRB_OK;
}

void lrb_restore_vectors_end(lrb_restore_vectors *v) {
    if (!v) return;
    lrb_vector_layout_clear(&v->layout);
    lrb_free(v);
}

/* What no span holds. */
int lrb_restore_write_frame(lrb_restore *r, const lrb_restore_rows *rows, int fd, lrb_err *err) {
    const lrb_vector_layout *layout = &rows->vectors->layout;
    const lrb_vdb_frame *frame = &layout->frame;
    const char *name = rows->item->shown.name;
    int code = lrb_fs_write_at(fd, frame->middle, frame->middle_bytes, layout->data_bytes, name, err);
    if (!code) code = lrb_fs_write_at(fd, frame->end, frame->end_bytes, layout->size_bytes - frame->end_bytes, name, err);
    if (!code) lrb_restore_count_written(r, frame->middle_bytes + frame->end_bytes, false);
    return code;
}

/* ---- claiming ---- */

static int take(lrb_restore *r, lrb_restore_rows *rows, const lrb_row *row, lrb_restore_work *work, lrb_err *err) {
    int code = lrb_vector_layout_take(&rows->vectors->layout, row, err);
    if (!code) work->rows[work->row_count++] = *row;
    return blamed(r, rows->item, code, err);
}

/* The next span: its text's row and those of its vectors, of which the layout allows only so many. */
static int claim_span(lrb_restore *r, lrb_restore_rows *rows, const lrb_row *text, lrb_restore_work *work, lrb_err *err) {
    lrb_row row = *text;
    bool done = false;
    do {
        int code = take(r, rows, &row, work, err);
        if (!code) code = lrb_restore_next_row(r, rows, &row, &done, err);
        if (code) return code;
    } while (!done && row.kind == LRB_CHUNK_VECTORS);
    if (!done) lrb_restore_put_back(rows, &row);
    rows->offset = rows->vectors->layout.data_taken;
    return LRB_OK;
}

int lrb_restore_claim_spans(lrb_restore *r, lrb_restore_rows *rows, lrb_restore_work *work, lrb_err *err) {
    const lrb_vector_layout *layout = &rows->vectors->layout;
    uint64_t row_bytes = lrb_vdb_base64_bytes(4 * (uint64_t)layout->frame.dim);
    work->from = rows->offset;
    work->first_row = layout->rows_taken;
    while (work->row_count + 1 + LRB_VDB_SPAN_MAX_GROUPS <= LRB_RESTORE_BATCH_ROWS &&
           rows->offset - work->from + (layout->rows_taken - work->first_row) * row_bytes < LRB_RESTORE_BATCH_BYTES) {
        lrb_row text;
        int code = lrb_restore_next_row(r, rows, &text, &rows->over, err);
        if (!code && !rows->over) code = claim_span(r, rows, &text, work, err);
        if (code) return code;
        if (rows->over) return blamed(r, rows->item, lrb_vector_layout_finish(layout, err), err);
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

/* Where the matrix begins in the file. */
static uint64_t matrix_of(const batch *b) { return b->vectors->layout.data_bytes + b->vectors->layout.frame.middle_bytes; }

static int write_seam(batch *b, uint64_t quantum, unsigned at, const uint8_t *bytes, unsigned count, lrb_err *err) {
    uint8_t three[3];
    char chars[4];
    bool whole;
    int code = add_to_seam(b, quantum, at, bytes, count, three, &whole, err);
    if (code || !whole) return code;
    lrb_base64_encode(three, 3, chars);
    uint64_t matrix_at = matrix_of(b);
    code = lrb_fs_write_at(b->fd, chars, 4, matrix_at + 4 * quantum, b->item->shown.name, err);
    if (!code) lrb_restore_count_written(b->r, 4, false);
    return code;
}

/* ---- rows ---- */

static int encode_rows(batch *b, const uint8_t *bytes, size_t count, lrb_err *err) {
    lrb_buf *chars = &b->scratch->chars;
    uint64_t at = 4 * b->row * b->vectors->layout.frame.dim;
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

/* One vectors chunk becomes bytes of the file: records, and base64 of rows. */
static int take_group(batch *b, const lrb_row *row, lrb_err *err) {
    lrb_vectors vectors;
    const uint8_t *values;
    int code = lrb_job_check(&b->r->job, err);
    if (!code) code = lrb_vector_reader_group(&b->reader, row, &b->scratch->data, &vectors, err);
    if (!code) code = lrb_vector_reader_correct(&b->reader, b->row, &vectors, &values, err);
    if (code) return blamed(b->r, b->item, code, err);
    code = encode_rows(b, values, 4 * (size_t)vectors.rows * vectors.dim, err);
    b->row += vectors.rows;
    return code;
}

/* rows[0] is the text; returns through *taken how many rows the span has. */
static int take_span(batch *b, const lrb_row *rows, uint32_t count, uint32_t *taken, lrb_err *err) {
    lrb_buf *data = &b->scratch->data;
    int code = blamed(b->r, b->item, lrb_vector_reader_span(&b->reader, rows, data, err), err);
    for (*taken = 1; !code && *taken < count && rows[*taken].kind == LRB_CHUNK_VECTORS; ++*taken) code = take_group(b, &rows[*taken], err);
    return code ? code : blamed(b->r, b->item, lrb_vector_reader_span_end(&b->reader, data, err), err);
}

/* Writes what the batch made; its last bytes may wait for the next batch's first. */
static int write_out(batch *b, const lrb_restore_work *work, lrb_err *err) {
    const lrb_vdb_frame *frame = &b->vectors->layout.frame;
    lrb_buf *data = &b->scratch->data, *chars = &b->scratch->chars;
    uint64_t first = 4 * work->first_row * frame->dim, end = 4 * b->row * frame->dim, matrix_at = matrix_of(b);
    const uint8_t *carry = b->stream.carry;
    unsigned carried = b->stream.carried;
    int code = LRB_OK;
    if (b->row == frame->rows) {
        if (!(code = lrb_buf_reserve(chars, 4, err))) chars->length += lrb_base64_stream_finish(&b->stream, (char *)chars->data + chars->length);
    } else if (carried) {
        code = write_seam(b, end / 3, 0, carry, carried, err);
    }
    if (!code) code = lrb_fs_write_at(b->fd, data->data, data->length, work->from, b->item->shown.name, err);
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
    batch b = {.r = r, .worker = worker, .item = rows->item, .vectors = rows->vectors, .fd = fd, .row = work->first_row};
    b.head = (unsigned)((3 - 4 * work->first_row * b.vectors->layout.frame.dim % 3) % 3);
    int code = scratch_of(r, worker, &b.scratch, err);
    if (code) return code;
    b.reader = (lrb_vector_reader){.repo = r->repo, .coder = worker->coder, .layout = &b.vectors->layout, .check_ids = check_ids,
                                   .text = &b.scratch->text, .content = &worker->content, .correction = &b.scratch->correction};
    for (uint32_t at = 0, taken = 0; !code && at < work->row_count; at += taken) code = take_span(&b, work->rows + at, work->row_count - at, &taken, err);
    return code ? code : write_out(&b, work, err);
}
