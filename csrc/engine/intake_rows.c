/* The rows of vector files compared with what they are kept as besides, while both are in the cache: for a verdict, which
 * then need not read them again. */
#include "engine/intake_private.h"

static int streams_of(const lrb_content *content, uint32_t rows, bool encoded, lrb_worker *worker, const lrb_stream **streams, lrb_err *err) {
    lrb_vector_coder *coder = lrb_coder_vectors(worker->coder);
    lrb_vectors vectors;
    *streams = encoded ? lrb_vectors_inflated(coder, rows) : NULL;
    if (*streams) return LRB_OK;
    int code = lrb_vectors_open(content->bytes, content->count, content->dim, &vectors, err);
    return code ? code : lrb_vectors_inflate(coder, &vectors, streams, err);
}

int lrb_intake_compare_group(lrb_rows_comparison *c, const lrb_vdb_group *group, uint64_t row, uint64_t at, const lrb_content *content,
                             bool encoded, lrb_worker *worker, lrb_err *err) {
    const lrb_stream *streams;
    if (!c->on) return LRB_OK;
    int code = streams_of(content, group->count, encoded, worker, &streams, err);
    for (uint32_t i = 0; !code && c->on && i < group->count; i++) {
        const lrb_vdb_record *record = &group->records[i];
        const uint8_t *numbers = group->rows + 4 * (size_t)group->dim * i;
        c->on = streams[i].good && lrb_row_clear(numbers, streams[i].out, group->dim);
        c->places += lrb_row_place(row + i, at + record->text_bytes, record->payload_bytes);
        c->rows++;
        at += record->text_bytes + record->payload_bytes;
    }
    return code;
}

void lrb_intake_take_rows(lrb_rows_comparison *c, const lrb_vdb_record *records, uint32_t count, uint64_t row, uint64_t at) {
    for (uint32_t i = 0; c->on && i < count; i++) {
        c->places += lrb_row_place(row + i, at + records[i].text_bytes, records[i].payload_bytes);
        c->rows++;
        at += records[i].text_bytes + records[i].payload_bytes;
    }
}

void lrb_intake_note_rows(const lrb_open_item *item, lrb_rows_seen *seen) {
    const lrb_vector_item *v = item->vectors;
    *seen = (lrb_rows_seen){.rows = 0};
    if (!v->flawed && v->rows_seen == lrb_vdb_rows(item->vdb))
        *seen = (lrb_rows_seen){v->rows_seen, v->matrix_at, v->places, lrb_vdb_dim(item->vdb)};
}

void lrb_intake_compare_rows(lrb_intake *intake) { intake->compares_rows = true; }

const lrb_rows_seen *lrb_intake_rows_seen(const lrb_intake *intake, size_t position) {
    const lrb_rows_seen *seen = &intake->notes[position].rows;
    return seen->rows ? seen : NULL;
}
