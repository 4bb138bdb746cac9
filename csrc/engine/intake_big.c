/* Items of more than one buffer: the digest pass in slices, then encoding in batches by all threads. Both sum up what they
 * read, and an item is taken only if that is the same: a long write moves a file's times when it begins and not while it
 * goes on, and so does the first of several stores into a shared mapping. */
#include <string.h>

#include "base/mem.h"
#include "codec/place_sum.h"
#include "engine/intake_private.h"

enum {
    SLICE_BYTES = 4 << 20, /* digested per step; two items' halves of the buffer are a segment each */
    BATCH_MAX_CHUNKS = 256 /* cut from one buffer; on average there are 16 or 64 */
};

void lrb_intake_close_item(lrb_open_item *item) {
    for (lrb_batch *early = item->early, *next; early; early = next) {
        next = early->next;
        lrb_free(early);
    }
    lrb_fs_close(item->fd);
    lrb_digest_free(item->digest);
    lrb_recipe_builder_free(item->recipe);
    lrb_intake_drop_vectors(item);
    pthread_mutex_destroy(&item->lock);
    lrb_free(item);
}

/* ---- big items: the digest pass ---- */

int lrb_intake_open_big(lrb_intake *intake, size_t position, lrb_open_item **out, lrb_err *err) {
    lrb_open_item *item = lrb_alloc_zero(1, sizeof *item);
    if (!item) return lrb_err_nomem(err, "read an item");
    item->position = position;
    item->intake = intake;
    item->fd = -1;
    pthread_mutex_init(&item->lock, NULL);
    int code = lrb_source_open(intake->source, lrb_source_at(intake->source, position), &item->fd, err);
    if (!code) code = lrb_intake_prepare_tags(intake, position, err);
    if (!code) code = lrb_digest_new(&item->digest, err);
    if (!code) code = lrb_digest_begin(item->digest, err);
    if (!code) code = lrb_vdb_new(intake->cut_seed, &item->vdb, err);
    if (code) lrb_intake_close_item(item);
    else *out = item;
    return code;
}

/* The digest is known: the previous recipe serves, or the item is handed to all threads for encoding. Takes the item over. */
static int digest_known(lrb_intake *intake, lrb_worker *worker, lrb_open_item *item, const uint8_t sha256[32], lrb_err *err) {
    lrb_item_note *note = &intake->notes[item->position];
    bool reused = false;
    int code = lrb_intake_check_unchanged(lrb_source_at(intake->source, item->position), item->fd, err);
    if (!code && note->offered && !memcmp(note->taken.sha256, sha256, 32))
        code = lrb_intake_try_reuse(intake, worker, item->position, item->counted, &reused, err);
    item->counted_digested = item->counted;
    if (!code && !reused) {
        memcpy(note->taken.sha256, sha256, 32);
        lrb_digest_free(item->digest);
        item->digest = NULL;
        code = lrb_intake_begin_vectors(item, worker, err);
        if (!code) code = lrb_recipe_builder_new(lrb_intake_store_node, item, &item->recipe, err);
    }
    if (code || reused) lrb_intake_close_item(item);
    else lrb_intake_requeue(intake, &intake->encoding, item);
    return code;
}

/* One piece of one item, in its half of the worker's buffer. */
typedef struct piece {
    lrb_open_item *item;
    uint8_t *bytes;
    size_t count;
    uint64_t end; /* of the slice */
} piece;

static int read_piece(lrb_intake *intake, lrb_worker *worker, piece *p, size_t room, lrb_err *err) {
    lrb_open_item *item = p->item;
    const lrb_source_item *source = lrb_source_at(intake->source, item->position);
    uint64_t left = p->end - item->digested;
    size_t wanted = left < room ? (size_t)left : room;
    int code = lrb_fs_read_at(item->fd, p->bytes, wanted, item->digested, &p->count, source->name, err);
    if (code) return code;
    if (p->count != wanted) return lrb_intake_changed(source, item->fd, err);
    if (!item->digested) item->form = lrb_records_recognise(p->bytes, p->count);
    item->digested_sum += lrb_place_sum(item->digested, p->bytes, p->count);
    code = lrb_intake_tag(intake, worker, item->position, item->digested, p->bytes, p->count, err);
    if (code) return code;
    item->digested += p->count;
    lrb_intake_count_half(item, p->count);
    return lrb_vdb_hopeful(item->vdb) ? lrb_vdb_feed(item->vdb, p->bytes, p->count, err) : LRB_OK;
}

/* The next slice of one or two items, side by side: two digests take hardly longer than one. */
static int digest_slices(lrb_intake *intake, lrb_worker *worker, piece *pieces, size_t count, lrb_err *err) {
    size_t room = LRB_WORKER_INPUT_BYTES / count;
    for (size_t i = 0; i < count; i++) {
        piece *p = &pieces[i];
        uint64_t size = lrb_source_at(intake->source, p->item->position)->identity.size_bytes;
        p->bytes = worker->input + room * i;
        p->end = size - p->item->digested < SLICE_BYTES ? size : p->item->digested + SLICE_BYTES;
    }
    for (bool more = true; more;) {
        int code = lrb_job_check(intake->job, err);
        more = false;
        for (size_t i = 0; !code && i < count; i++) {
            code = read_piece(intake, worker, &pieces[i], room, err);
            more |= pieces[i].item->digested < pieces[i].end;
        }
        piece *a = &pieces[0], *b = &pieces[count - 1];
        if (!code && count == 1) code = lrb_digest_update(a->item->digest, a->bytes, a->count, err);
        else if (!code) code = lrb_digest_update_two(a->item->digest, a->bytes, a->count, b->item->digest, b->bytes, b->count, err);
        if (code) return code;
    }
    return LRB_OK;
}

/* After a slice: back into the queue, or on to what comes next. Takes the item over. */
static int go_on(lrb_intake *intake, lrb_worker *worker, lrb_open_item *item, lrb_err *err) {
    uint8_t sha256[32];
    if (item->digested < lrb_source_at(intake->source, item->position)->identity.size_bytes) {
        lrb_intake_requeue(intake, &intake->digesting, item);
        return LRB_OK;
    }
    int code = lrb_digest_finish(item->digest, sha256, err);
    if (!code) return digest_known(intake, worker, item, sha256, err);
    lrb_intake_close_item(item);
    return code;
}

int lrb_intake_digest(lrb_intake *intake, lrb_worker *worker, lrb_open_item *const *items, size_t count, lrb_err *err) {
    piece pieces[2];
    for (size_t i = 0; i < count; i++) pieces[i] = (piece){.item = items[i]};
    int code = digest_slices(intake, worker, pieces, count, err);
    for (size_t i = 0; i < count; i++) {
        if (code) lrb_intake_close_item(items[i]);
        else code = go_on(intake, worker, items[i], err);
    }
    return code;
}

/* ---- big items: encoding ---- */

typedef struct cuts {
    uint64_t sequence, offset;
    size_t count, lengths[BATCH_MAX_CHUNKS];
} cuts;

/* Reads the next stretch into the worker's buffer and cuts it. *last: no byte is left behind it. */
static int cut_batch(lrb_open_item *item, lrb_worker *worker, cuts *out, bool *last, lrb_err *err) {
    lrb_intake *intake = item->intake;
    const lrb_source_item *source = lrb_source_at(intake->source, item->position);
    uint64_t left = source->identity.size_bytes - item->offset;
    size_t wanted = left < LRB_WORKER_INPUT_BYTES ? (size_t)left : LRB_WORKER_INPUT_BYTES, got, at = 0;
    int code = lrb_fs_read_at(item->fd, worker->input, wanted, item->offset, &got, source->name, err);
    if (code) return code;
    if (got != wanted) return lrb_intake_changed(source, item->fd, err);
    out->count = 0;
    while (at < got && (got == left || got - at >= LRB_CHUNK_MAX_BYTES) && out->count < BATCH_MAX_CHUNKS) {
        size_t length = lrb_records_cut(item->form, &intake->chunker, intake->cut_seed, worker->input + at, got - at);
        out->lengths[out->count++] = length;
        at += length;
    }
    out->sequence = item->sequence++;
    out->offset = item->offset;
    item->offset += at;
    *last = at == left;
    return LRB_OK;
}

static int add_rows(lrb_open_item *item, const lrb_row *rows, size_t count, lrb_err *err) {
    for (size_t i = 0; i < count; i++) {
        int code = lrb_recipe_builder_add(item->recipe, &rows[i], err);
        if (code) return code;
    }
    item->delivered++;
    return LRB_OK;
}

/* Keeps rows that came before their turn. */
static int keep_early(lrb_open_item *item, uint64_t sequence, const lrb_row *rows, size_t count, lrb_err *err) {
    lrb_batch *early = lrb_alloc(sizeof *early + count * sizeof *rows);
    if (!early) return lrb_err_nomem(err, "keep a batch");
    *early = (lrb_batch){item->early, sequence, count};
    memcpy(early->rows, rows, count * sizeof *rows);
    item->early = early;
    return LRB_OK;
}

static lrb_batch *take_early(lrb_open_item *item) {
    for (lrb_batch **at = &item->early; *at; at = &(*at)->next)
        if ((*at)->sequence == item->delivered) {
            lrb_batch *found = *at;
            *at = found->next;
            return found;
        }
    return NULL;
}

/* Enters a finished batch, and those that waited for it, into the recipe. */
static int deliver(lrb_open_item *item, lrb_worker *worker, uint64_t sequence, const lrb_row *rows, size_t count, lrb_err *err) {
    if (sequence != item->delivered) return keep_early(item, sequence, rows, count, err);
    item->coder = worker->coder;
    int code = add_rows(item, rows, count, err);
    for (lrb_batch *early; !code && (early = take_early(item));) {
        code = add_rows(item, early->rows, early->count, err);
        lrb_free(early);
    }
    return code;
}

/* What was put so far stays in the packs for nothing; the item begins anew, as plain bytes. */
static void encode_as_bytes(lrb_open_item *item) {
    lrb_intake_drop_vectors(item);
    lrb_intake_uncount(item, item->counted_digested);
    item->cut_up = false;
    item->encoded_sum = 0;
    lrb_intake_requeue(item->intake, &item->intake->encoding, item);
}

/* What was encoded is what was digested, and so one state of the file. */
static int check_same_bytes(const lrb_open_item *item, lrb_err *err) {
    const lrb_source_item *source = lrb_source_at(item->intake->source, item->position);
    uint64_t sum = item->encoded_sum + (item->vectors ? lrb_intake_sum_frame(item) : 0);
    return sum == item->digested_sum ? lrb_intake_check_unchanged(source, item->fd, err) : lrb_intake_changed(source, item->fd, err);
}

/* The last thread out of an item whose bytes were all given out ends it. Takes the item over. */
static int end_item(lrb_open_item *item, lrb_worker *worker, lrb_err *err) {
    lrb_intake *intake = item->intake;
    size_t position = item->position;
    if (item->vectors && item->vectors->given_up) {
        encode_as_bytes(item);
        return LRB_OK;
    }
    item->coder = worker->coder;
    int code = check_same_bytes(item, err);
    if (!code && item->vectors) code = lrb_intake_end_vectors(item, worker, err);
    if (!code && item->vectors) lrb_intake_note_rows(item, &intake->notes[position].rows);
    if (!code) code = lrb_intake_note_sections(item, &intake->notes[position].sections, err);
    if (!code) code = lrb_recipe_builder_finish(item->recipe, &intake->notes[position].taken.root, err);
    uint64_t counted = item->counted;
    lrb_intake_close_item(item);
    if (!code) lrb_intake_finished(intake, position, counted, false);
    return code;
}

static int encode_batch(lrb_open_item *item, lrb_worker *worker, bool *last, lrb_err *err) {
    cuts cut = {.count = 0};
    lrb_row rows[BATCH_MAX_CHUNKS];
    int code = LRB_OK;
    pthread_mutex_lock(&item->lock);
    *last = item->offset == lrb_source_at(item->intake->source, item->position)->identity.size_bytes;
    if (!*last) code = cut_batch(item, worker, &cut, last, err);
    pthread_mutex_unlock(&item->lock);
    if (code || !cut.count) return code;
    const uint8_t *at = worker->input;
    for (size_t i = 0; !code && i < cut.count; at += cut.lengths[i++])
        code = lrb_intake_put_chunk(item->intake, worker, at, cut.lengths[i], &rows[i], err);
    if (code) return code;
    uint64_t sum = lrb_place_sum(cut.offset, worker->input, (size_t)(at - worker->input));
    pthread_mutex_lock(&item->lock);
    item->encoded_sum += sum;
    lrb_intake_count_half(item, (uint64_t)(at - worker->input));
    code = deliver(item, worker, cut.sequence, rows, cut.count, err);
    pthread_mutex_unlock(&item->lock);
    return code;
}

/* One batch of an item in the encoding queue; the caller has counted itself inside. */
int lrb_intake_encode_step(lrb_intake *intake, lrb_worker *worker, lrb_open_item *item, lrb_err *err) {
    bool last, over;
    int code = item->vectors ? lrb_intake_encode_section(item, worker, &last, err) : encode_batch(item, worker, &last, err);
    pthread_mutex_lock(&intake->lock);
    if (last && !item->cut_up) {
        item->cut_up = true;
        lrb_intake_drop(&intake->encoding, item);
    }
    over = --item->inside == 0 && item->cut_up;
    pthread_mutex_unlock(&intake->lock);
    if (!over) return code; /* a failed item stays queued, or with the last thread inside, and is closed with the intake */
    if (!code) return end_item(item, worker, err);
    lrb_intake_close_item(item);
    return code;
}

