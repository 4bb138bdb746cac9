/* Vector files: encoded section by section (intake_section.c), each by one thread, and put together when the last one is done. */
#include <string.h>

#include "base/mem.h"
#include "codec/place_sum.h"
#include "engine/intake_section_private.h"

void lrb_intake_drop_vectors(lrb_open_item *item) {
    if (item->vectors) lrb_intake_forget(&item->vectors->known);
    for (size_t i = 0; item->vectors && i < lrb_vdb_section_count(item->vdb); i++) lrb_free(item->vectors->results[i].rows);
    lrb_free(item->vectors);
    lrb_vdb_free(item->vdb);
    item->vectors = NULL;
    item->vdb = NULL;
}

int lrb_intake_begin_vectors(lrb_open_item *item, lrb_worker *worker, lrb_err *err) {
    bool recognised;
    int code = lrb_vdb_finish(item->vdb, &recognised, err);
    if (code) return code;
    if (recognised) {
        size_t count = lrb_vdb_section_count(item->vdb);
        item->vectors = lrb_alloc_zero(1, sizeof *item->vectors + count * sizeof item->vectors->results[0]);
        if (!item->vectors) return lrb_err_nomem(err, "encode a vector file");
        item->vectors->matrix_at = lrb_vdb_matrix_at(item->vdb);
        return lrb_intake_recall(item, worker, err);
    }
    lrb_intake_drop_vectors(item);
    return LRB_OK;
}

/* ---- an item ---- */

/* Under the item's lock: the next section that nobody has; false when there is none. */
static bool claim_section(lrb_open_item *item, lrb_section *s) {
    lrb_vector_item *v = item->vectors;
    size_t count = lrb_vdb_section_count(item->vdb);
    if (v->given_up || v->next == count) return false;
    const lrb_vdb_section *shape = lrb_vdb_section_at(item->vdb, v->next);
    s->position = v->next++;
    s->data_at = v->data_at;
    s->first_row = v->first_row;
    s->out = &v->results[s->position];
    s->seen.on = item->intake->compares_rows && !v->flawed;
    v->data_at += shape->bytes;
    v->first_row += shape->rows;
    return true;
}

int lrb_intake_encode_section(lrb_open_item *item, lrb_worker *worker, bool *last, lrb_err *err) {
    lrb_section s = {.item = item, .worker = worker, .dim = lrb_vdb_dim(item->vdb), .fits = true};
    pthread_mutex_lock(&item->lock);
    bool claimed = claim_section(item, &s);
    *last = !claimed;
    pthread_mutex_unlock(&item->lock);
    if (!claimed) return LRB_OK;
    int code = lrb_section_scratch(item->intake, worker, &s.scratch, err);
    if (!code) code = lrb_section_encode(&s, err);
    if (code) return code;
    const lrb_vdb_section *shape = lrb_vdb_section_at(item->vdb, s.position);
    uint64_t bytes = shape->bytes + lrb_vdb_base64_bytes(4 * (uint64_t)s.dim * shape->rows);
    pthread_mutex_lock(&item->lock);
    item->encoded_sum += s.sum;
    if (s.fits) lrb_intake_count_half(item, bytes);
    else item->vectors->given_up = true;
    item->vectors->flawed |= !s.seen.on;
    item->vectors->rows_seen += s.seen.rows;
    item->vectors->places += s.seen.places;
    pthread_mutex_unlock(&item->lock);
    return LRB_OK;
}

uint64_t lrb_intake_sum_frame(const lrb_open_item *item) {
    size_t middle, end;
    const uint8_t *middle_bytes = lrb_vdb_middle(item->vdb, &middle), *end_bytes = lrb_vdb_end(item->vdb, &end);
    uint64_t matrix_at = item->vectors->matrix_at, rows_bytes = 4 * lrb_vdb_rows(item->vdb) * lrb_vdb_dim(item->vdb);
    return lrb_place_sum(matrix_at - middle, middle_bytes, middle) +
           lrb_place_sum(matrix_at + lrb_vdb_base64_bytes(rows_bytes), end_bytes, end);
}

static int put_frame(lrb_open_item *item, lrb_worker *worker, lrb_row *row, lrb_err *err) {
    size_t middle, end;
    bool added;
    lrb_vdb_frame frame = {.rows = lrb_vdb_rows(item->vdb), .dim = lrb_vdb_dim(item->vdb)};
    frame.middle = lrb_vdb_middle(item->vdb, &middle);
    frame.end = lrb_vdb_end(item->vdb, &end);
    frame.middle_bytes = (uint32_t)middle;
    frame.end_bytes = (uint32_t)end;
    *row = (lrb_row){.kind = LRB_CHUNK_FRAME, .count = (uint32_t)(middle + end)};
    lrb_buf_empty(&worker->content);
    int code = lrb_vdb_frame_encode(&frame, &worker->content, err);
    if (code) return code;
    return lrb_writer_put(item->intake->writer, worker->coder, LRB_CHUNK_FRAME, 0, worker->content.data, worker->content.length, &row->id, &added, err);
}

/* Corrections stand together, before everything they correct: a restart changes all of them and nothing else, and
 * so the nodes that name them and no others. */
int lrb_intake_end_vectors(lrb_open_item *item, lrb_worker *worker, lrb_err *err) {
    lrb_vector_item *v = item->vectors;
    size_t count = lrb_vdb_section_count(item->vdb);
    lrb_row frame;
    int code = put_frame(item, worker, &frame, err);
    if (!code) code = lrb_recipe_builder_add(item->recipe, &frame, err);
    for (size_t i = 0; !code && i < count; i++) code = lrb_recipe_builder_add(item->recipe, &v->results[i].correction, err);
    for (size_t i = 0; !code && i < count; i++)
        for (uint32_t k = 0; !code && k < v->results[i].count; k++) code = lrb_recipe_builder_add(item->recipe, &v->results[i].rows[k], err);
    return code;
}
