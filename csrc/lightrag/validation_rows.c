/* Vectors against matrix rows: both are decoded, a batch of rows at a time, by all threads. And Faiss indexes, which
 * hold rows only. */
#include "lightrag/validation_private.h"

#include "base/mem.h"
#include "base/wire.h"
#include "codec/base64.h"
#include "codec/inflate.h"
#include "lightrag/row_check.h"

enum {
    BATCH_BYTES = 384 << 10,    /* of float32 */
    BATCH_MAX_ROWS = 4096,
    WINDOW_BYTES = 256 << 10,   /* of the file, around a vector */
    LANES = 16                  /* vectors that are inflated at once */
};

static const lrb_check CHECKS[LRB_ROW_FLAWS] = {[LRB_ROW_NOT_FINITE] = LRB_CHECK_ROW_NOT_FINITE, [LRB_ROW_NORM] = LRB_CHECK_ROW_NORM,
                                                [LRB_ROW_VECTOR] = LRB_CHECK_ROW_VECTOR, [LRB_ROW_COSINE] = LRB_CHECK_ROW_COSINE};

typedef struct lrb_row_scratch {
    struct lrb_row_scratch *next;
    lrb_inflater *inflater;
    size_t row_bytes;
    uint8_t *rows;             /* of the batch */
    char *text;                /* their base64 */
    size_t text_room, rows_room;
    uint8_t *lanes;            /* LANES streams of lane_bytes, then what is in them, 2 * dim bytes each */
    size_t lanes_room, lane_bytes;
    uint64_t window_at;        /* of window[0] */
    size_t window_bytes;
    char window[WINDOW_BYTES + LRB_PLACE_MAX_LENGTH];
} lrb_row_scratch;

/* ---- scratch memory, kept from batch to batch ---- */

static void free_scratch(lrb_row_scratch *s) {
    lrb_inflater_free(s->inflater);
    lrb_free(s->rows);
    lrb_free(s->text);
    lrb_free(s->lanes);
    lrb_free(s);
}

void lrb_free_row_scratch(lrb_validation *v) {
    while (v->spare) {
        lrb_row_scratch *s = v->spare;
        v->spare = s->next;
        free_scratch(s);
    }
}

static int new_scratch(lrb_row_scratch **out, lrb_err *err) {
    lrb_row_scratch *s = lrb_alloc(sizeof *s);
    if (!s) return lrb_err_nomem(err, "compare vectors");
    memset(s, 0, offsetof(lrb_row_scratch, window));
    int code = lrb_inflater_new(&s->inflater, err);
    if (code) free_scratch(s);
    else *out = s;
    return code;
}

static int grow(void **memory, size_t *room, size_t wanted, lrb_err *err) {
    if (*room >= wanted) return LRB_OK;
    void *more = lrb_alloc(wanted);
    if (!more) return lrb_err_nomem(err, "compare vectors");
    lrb_free(*memory);
    *memory = more;
    *room = wanted;
    return LRB_OK;
}

/* With room for `rows` rows of this dimension. */
static int borrow_scratch(lrb_validation *v, uint64_t rows, int64_t dim, lrb_row_scratch **out, lrb_err *err) {
    size_t rows_bytes = (size_t)(rows * (uint64_t)dim * 4), half_bytes = 2 * (size_t)dim;
    pthread_mutex_lock(&v->lock);
    lrb_row_scratch *s = v->spare;
    if (s) v->spare = s->next;
    pthread_mutex_unlock(&v->lock);
    int code = s ? LRB_OK : new_scratch(&s, err);
    if (code) return code;
    *out = s;
    s->window_bytes = 0;
    s->lane_bytes = 2 * half_bytes + 256; /* more than deflate makes of so many bytes */
    code = grow((void **)&s->rows, &s->rows_room, rows_bytes + 3, err);
    if (!code) code = grow((void **)&s->lanes, &s->lanes_room, LANES * (s->lane_bytes + half_bytes), err);
    return code ? code : grow((void **)&s->text, &s->text_room, lrb_base64_encoded_length(rows_bytes + 3), err);
}

static void return_scratch(lrb_validation *v, lrb_row_scratch *s) {
    pthread_mutex_lock(&v->lock);
    s->next = v->spare;
    v->spare = s;
    pthread_mutex_unlock(&v->lock);
}

/* ---- what is to be compared ---- */

/* Whether somebody else compared these very rows: as many, of this dimension, every vector and the matrix where they are
 * here. A vector written with escapes is none that the other reader could have decoded. */
bool lrb_rows_were_seen(const lrb_vector_file *vectors) {
    const lrb_rows_seen *seen = &vectors->seen;
    uint64_t places = 0;
    if (!vectors->rows || seen->rows != vectors->rows || seen->dim != vectors->dim || seen->matrix_at != vectors->matrix_offset)
        return false;
    for (uint64_t row = 0; row < vectors->rows; row++) {
        uint64_t place = vectors->blocks[row / LRB_PLACES_PER_BLOCK][row % LRB_PLACES_PER_BLOCK];
        if (!place || place & LRB_PLACE_ESCAPED) return false;
        places += lrb_row_place(row, place >> LRB_PLACE_LENGTH_BITS, place & LRB_PLACE_MAX_LENGTH);
    }
    return places == seen->places;
}

uint64_t lrb_matrix_chars(const lrb_vector_file *vectors) {
    return (vectors->rows * (uint64_t)vectors->dim * 4 + 2) / 3 * 4; /* rows are fewer than bytes of the file */
}

int lrb_judge_matrix(lrb_validation *v, lrb_file *file, lrb_err *err) {
    lrb_vector_file *vectors = &file->vectors;
    if (!vectors->dim) return lrb_err_set(err, LRB_E_INVALID, "parse", "", "it has no embedding_dim");
    if (!vectors->has_data) return lrb_err_set(err, LRB_E_INVALID, "parse", "", "it has no records");
    if (!vectors->has_matrix) return lrb_err_set(err, LRB_E_INVALID, "parse", "", "it has no matrix");
    if (vectors->matrix_chars != lrb_matrix_chars(vectors)) {
        return lrb_report_addf(&v->report, LRB_CHECK_MATRIX_LENGTH, err, "%s: %llu records of %lld numbers, %llu characters", file->name,
                               (unsigned long long)vectors->rows, (long long)vectors->dim,
                               (unsigned long long)vectors->matrix_chars);
    }
    /* Records and dimension may stand behind the matrix, too: then they have to be what they were at its beginning. */
    vectors->checkable = !vectors->trusted && !(vectors->compared && lrb_rows_were_seen(vectors));
    if (vectors->rows && vectors->without_vector == vectors->rows)
        return lrb_report_addf(&v->report, LRB_CHECK_NO_F16, err, "%s", file->name);
    return LRB_OK;
}

static uint64_t batch_rows(int64_t dim) {
    uint64_t rows = BATCH_BYTES / ((uint64_t)dim * 4);
    if (rows > BATCH_MAX_ROWS) rows = BATCH_MAX_ROWS;
    return rows < 3 ? 3 : rows - rows % 3; /* three rows end where a base64 quantum ends, whatever the dimension */
}

void lrb_claim_rows(lrb_file *file, uint64_t *first, uint64_t *count) {
    lrb_vector_file *vectors = &file->vectors;
    uint64_t left = vectors->checkable ? vectors->rows - vectors->next_row : 0, batch = batch_rows(vectors->dim ? vectors->dim : 1);
    /* A matrix written with escapes has no places that could be computed: it is read from its start to its end. */
    *first = vectors->next_row;
    *count = left < batch || !vectors->matrix_plain ? left : batch;
    vectors->next_row += *count;
}

/* ---- a row's findings are kept as bits, and named in a look ---- */

static int mark_wrong(lrb_validation *v, lrb_vector_file *vectors, int check, uint64_t row, lrb_err *err) {
    pthread_mutex_lock(&v->lock);
    if (!vectors->wrong[check]) vectors->wrong[check] = lrb_alloc_zero((size_t)(vectors->rows / 64 + 1), sizeof(uint64_t));
    bool made = vectors->wrong[check] != NULL;
    if (made) vectors->wrong[check][row / 64] |= UINT64_C(1) << row % 64;
    pthread_mutex_unlock(&v->lock);
    return made ? LRB_OK : lrb_err_nomem(err, "note a finding");
}

bool lrb_any_wrong_row(const lrb_file *file) {
    for (int i = 0; i < LRB_ROW_FLAWS; i++)
        if (file->vectors.wrong[i]) return true;
    return false;
}

int lrb_name_wrong_row(lrb_validation *v, lrb_file *file, lrb_err *err) {
    for (int i = 0; i < LRB_ROW_FLAWS; i++) {
        const uint64_t *wrong = file->vectors.wrong[i];
        if (!wrong || !(wrong[file->row / 64] >> file->row % 64 & 1)) continue;
        int code = file->id.length
                       ? lrb_report_add(&v->report, CHECKS[i], (const char *)file->id.data, file->id.length, err)
                       : lrb_report_addf(&v->report, CHECKS[i], err, "%s record %llu", file->name, (unsigned long long)file->row);
        if (code) return code;
    }
    return LRB_OK;
}

/* ---- reading a row's two sides ---- */

/* A matrix that is written with escapes, read from its start to its end: what is left of the last piece. */
typedef struct escaped_matrix {
    lrb_json *json; /* NULL: there are no escapes */
    const char *at;
    size_t left;
} escaped_matrix;

static int read_escaped(escaped_matrix *m, char *text, size_t chars, lrb_err *err) {
    while (chars) {
        bool done = false;
        int code = m->left ? LRB_OK : lrb_json_piece(m->json, &m->at, &m->left, &done, err);
        if (code) return code;
        if (!m->left && done) return lrb_err_set(err, LRB_E_DAMAGED, "read", "", "the matrix ended early");
        size_t part = m->left < chars ? m->left : chars;
        memcpy(text, m->at, part);
        m->at += part;
        m->left -= part;
        text += part;
        chars -= part;
    }
    return LRB_OK;
}

/* The base64 of `count` rows from `first` on, a multiple of three, decoded; *decoded false when it is none. */
static int read_rows(const lrb_file *file, lrb_row_scratch *s, escaped_matrix *escaped, uint64_t first, uint64_t count,
                     void *thread, bool *decoded, lrb_err *err) {
    const lrb_vector_file *vectors = &file->vectors;
    size_t row_bytes = (size_t)vectors->dim * 4, bytes = row_bytes * (size_t)count, written;
    uint64_t offset = vectors->matrix_offset + first * row_bytes / 3 * 4;
    size_t chars = lrb_base64_encoded_length(bytes);
    int code = escaped->json ? read_escaped(escaped, s->text, chars, err)
                             : lrb_bytes_read_exact(&file->bytes, thread, offset, s->text, chars, err);
    *decoded = !code && lrb_base64_decode(s->text, chars, s->rows, &written) && written == bytes;
    return code;
}

/* The text of a row's vector; it stands in the window, or in s->text where it had escapes. */
static int read_vector(const lrb_file *file, lrb_row_scratch *s, uint64_t place, void *thread, const char **text, size_t *length,
                       lrb_err *err) {
    uint64_t offset = (place & ~LRB_PLACE_ESCAPED) >> LRB_PLACE_LENGTH_BITS;
    *length = place & LRB_PLACE_MAX_LENGTH;
    if (place & LRB_PLACE_ESCAPED) {
        lrb_json *json;
        lrb_json_text whole;
        int code = lrb_json_new(&file->bytes, thread, &json, err);
        if (code) return code;
        lrb_json_reopen(json, offset);
        code = lrb_json_text_of(json, *length, &whole, err);
        if (!code) memcpy(s->window, whole.at, whole.length);
        if (!code) *length = whole.length;
        *text = s->window;
        s->window_bytes = 0;
        lrb_json_free(json);
        return code;
    }
    if (offset < s->window_at || offset + *length > s->window_at + s->window_bytes) {
        size_t got, room = *length < WINDOW_BYTES ? WINDOW_BYTES : *length;
        int code = file->bytes.read(&file->bytes, thread, offset, s->window, room, &got, err);
        if (code) return code;
        if (got < *length) return lrb_err_set(err, LRB_E_DAMAGED, "read", file->name, "the bytes ended early");
        s->window_at = offset;
        s->window_bytes = got;
    }
    *text = s->window + (offset - s->window_at);
    return LRB_OK;
}

/* Reads the vector of one row into a lane; false in *good when it cannot be one. */
static int fill_lane(const lrb_file *file, lrb_row_scratch *s, uint64_t row, lrb_stream *lane, void *thread, lrb_err *err) {
    uint64_t place = file->vectors.blocks[row / LRB_PLACES_PER_BLOCK][row % LRB_PLACES_PER_BLOCK];
    const char *text;
    size_t length, written;
    lane->good = false;
    lane->count = 0;
    if (!place) return LRB_OK;
    int code = read_vector(file, s, place, thread, &text, &length, err);
    if (code || lrb_base64_decoded_bound(length) > s->lane_bytes) return code;
    if (lrb_base64_decode(text, length, (uint8_t *)(uintptr_t)lane->bytes, &written)) lane->count = written;
    return LRB_OK;
}

/* Reads and inflates the vectors of up to LANES rows. */
static int read_vectors(const lrb_file *file, lrb_row_scratch *s, uint64_t first, size_t count, lrb_stream lanes[LANES], void *thread,
                        lrb_err *err) {
    size_t half_bytes = 2 * (size_t)file->vectors.dim;
    for (size_t i = 0; i < count; i++) {
        lanes[i].bytes = s->lanes + i * s->lane_bytes;
        lanes[i].out = s->lanes + LANES * s->lane_bytes + i * half_bytes;
        int code = fill_lane(file, s, first + i, &lanes[i], thread, err);
        if (code) return code;
    }
    lrb_inflate_many(s->inflater, lanes, count, half_bytes);
    return LRB_OK;
}

/* ---- comparing ---- */

/* A row whose vector is none has no direction to compare with; that is a flaw unless no record of the file has one. */
static int compare_row(lrb_validation *v, lrb_file *file, uint64_t row, const uint8_t *numbers, const lrb_stream *vector, lrb_err *err) {
    lrb_vector_file *vectors = &file->vectors;
    int code = LRB_OK;
    if (!vector->good && vectors->without_vector != vectors->rows) code = mark_wrong(v, vectors, LRB_ROW_VECTOR, row, err);
    lrb_row_flaw flaw = lrb_row_check(numbers, vector->good ? vector->out : NULL, (size_t)vectors->dim);
    return code || flaw == LRB_ROW_FLAWS ? code : mark_wrong(v, vectors, flaw, row, err);
}

static int note_garbled(lrb_validation *v, lrb_file *file, lrb_err *err) {
    pthread_mutex_lock(&v->lock);
    bool first = !file->vectors.matrix_garbled;
    file->vectors.matrix_garbled = true;
    pthread_mutex_unlock(&v->lock);
    return first ? lrb_report_addf(&v->report, LRB_CHECK_MATRIX_TEXT, err, "%s", file->name) : LRB_OK;
}

static int compare_batch(lrb_validation *v, lrb_file *file, lrb_row_scratch *s, escaped_matrix *escaped, uint64_t first,
                         uint64_t count, void *thread, lrb_err *err) {
    bool decoded;
    size_t row_bytes = (size_t)file->vectors.dim * 4;
    int code = read_rows(file, s, escaped, first, count, thread, &decoded, err);
    if (!code && !decoded) return note_garbled(v, file, err);
    for (uint64_t at = 0; !code && at < count; at += LANES) {
        lrb_stream lanes[LANES];
        size_t some = count - at < LANES ? (size_t)(count - at) : LANES;
        code = read_vectors(file, s, first + at, some, lanes, thread, err);
        for (size_t i = 0; !code && i < some; i++)
            code = compare_row(v, file, first + at + i, s->rows + (at + i) * row_bytes, &lanes[i], err);
    }
    return code;
}

int lrb_compare_rows(lrb_validation *v, lrb_file *file, uint64_t first, uint64_t count, void *thread, lrb_err *err) {
    uint64_t batch = batch_rows(file->vectors.dim);
    lrb_row_scratch *s = NULL;
    escaped_matrix escaped = {.json = NULL};
    int code = borrow_scratch(v, batch, file->vectors.dim, &s, err);
    if (!code && !file->vectors.matrix_plain) {
        code = lrb_json_new(&file->bytes, thread, &escaped.json, err);
        if (!code) lrb_json_reopen(escaped.json, file->vectors.matrix_offset);
    }
    for (uint64_t at = 0; !code && at < count; at += batch)
        code = compare_batch(v, file, s, &escaped, first + at, count - at < batch ? count - at : batch, thread, err);
    lrb_json_free(escaped.json);
    if (s) return_scratch(v, s);
    return code;
}

/* ---- Faiss: IndexFlatIP as write_index makes it ----
 *
 *   0 "IxFI" | 4 dim i32 | 8 rows i64 | 16 two words | 32 trained u8 | 33 metric i32 | 37 numbers u64 | 45 float32...
 */
enum { FAISS_HEAD_BYTES = 45 };

static int read_faiss_head(lrb_file *file, void *thread, lrb_err *err) {
    uint8_t head[FAISS_HEAD_BYTES];
    if (file->bytes.length < sizeof head) return lrb_err_set(err, LRB_E_INVALID, "parse", "", "it is no Faiss index");
    int code = lrb_bytes_read_exact(&file->bytes, thread, 0, head, sizeof head, err);
    if (code) return code;
    uint64_t rows = lrb_get_u64(head + 8), numbers = lrb_get_u64(head + 37), dim = lrb_get_u32(head + 4);
    if (memcmp(head, "IxFI", 4)) return lrb_err_set(err, LRB_E_INVALID, "parse", "", "it is no Faiss index of the kind LightRAG makes");
    bool possible = dim >= 1 && dim <= LRB_MAX_DIM && rows <= file->bytes.length && rows * dim == numbers &&
                    numbers <= file->bytes.length && FAISS_HEAD_BYTES + numbers * 4 == file->bytes.length;
    if (!possible) return lrb_err_set(err, LRB_E_INVALID, "parse", "", "its length is not that of its rows");
    file->index_rows = rows;
    file->index_dim = (int64_t)dim;
    file->vectors.rows = rows;
    file->row = 0;
    file->at = FAISS_HEAD_BYTES;
    return LRB_OK;
}

static int read_faiss_row(lrb_validation *v, lrb_file *file, const uint8_t *numbers, lrb_err *err) {
    lrb_row_flaw flaw = lrb_row_check(numbers, NULL, (size_t)file->index_dim);
    if (flaw == LRB_ROW_FLAWS) return LRB_OK;
    return lrb_report_addf(&v->report, CHECKS[flaw], err, "%s row %llu", file->name, (unsigned long long)file->row);
}

int lrb_read_faiss_index(lrb_validation *v, lrb_file *file, void *thread, bool *over, lrb_err *err) {
    lrb_row_scratch *s = NULL;
    int code = file->at ? LRB_OK : read_faiss_head(file, thread, err);
    *over = false;
    if (code) return code;
    size_t row_bytes = (size_t)file->index_dim * 4;
    uint64_t count = batch_rows(file->index_dim), left = file->index_rows - file->row;
    if (left < count) count = left;
    code = borrow_scratch(v, count, file->index_dim, &s, err);
    if (!code) code = lrb_bytes_read_exact(&file->bytes, thread, file->at, s->rows, row_bytes * (size_t)count, err);
    for (uint64_t i = 0; !code && i < count; i++, file->row++) code = read_faiss_row(v, file, s->rows + i * row_bytes, err);
    file->at += row_bytes * count;
    *over = file->row == file->index_rows;
    if (s) return_scratch(v, s);
    return code;
}
