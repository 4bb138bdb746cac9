/* Whether a big item is what it was, by the tags of its segments: compared in any order by all threads, of which the first to
 * find a difference ends it. Its last segment comes first: LightRAG's start changes every row of the matrix at the end of a
 * vector file, and not the records before it. */
#include <string.h>

#include "base/mem.h"
#include "engine/intake_private.h"

enum { STEP_SEGMENTS = 8 };

_Static_assert(LRB_WORKER_INPUT_BYTES / 2 % LRB_SEGMENT_BYTES == 0, "what is digested at once are whole segments");

static uint64_t size_of(const lrb_open_item *item) { return lrb_source_at(item->intake->source, item->position)->identity.size_bytes; }

/* ---- tags that are made ---- */

int lrb_intake_prepare_tags(lrb_intake *intake, size_t position, lrb_err *err) {
    lrb_item_note *note = &intake->notes[position];
    uint64_t size = lrb_source_at(intake->source, position)->identity.size_bytes;
    size_t count = intake->tags_segments && size > LRB_WORKER_INPUT_BYTES ? lrb_segment_count(size) : 0;
    if (count && !note->tags && !(note->tags = lrb_alloc_zero(count, sizeof *note->tags))) return lrb_err_nomem(err, "read an item");
    if (count) return LRB_OK;
    lrb_free(note->tags);
    note->tags = NULL;
    return LRB_OK;
}

static int tag(lrb_intake *intake, lrb_worker *worker, uint64_t offset, const uint8_t *bytes, size_t count, lrb_tag *tags, lrb_err *err) {
    lrb_sealer *sealer;
    int code = lrb_coder_sealer(worker->coder, &sealer, err);
    return code ? code : lrb_segment_tags(sealer, intake->tag_key, (size_t)(offset / LRB_SEGMENT_BYTES), bytes, count, tags, err);
}

int lrb_intake_tag(lrb_intake *intake, lrb_worker *worker, size_t position, uint64_t offset, const uint8_t *bytes, size_t count, lrb_err *err) {
    lrb_tag *tags = intake->notes[position].tags;
    return tags ? tag(intake, worker, offset, bytes, count, tags + offset / LRB_SEGMENT_BYTES, err) : LRB_OK;
}

/* ---- tags that are compared ---- */

static int compare_segment(lrb_open_item *item, lrb_worker *worker, size_t number, bool *same, lrb_err *err) {
    lrb_intake *intake = item->intake;
    const lrb_source_item *source = lrb_source_at(intake->source, item->position);
    uint64_t at = (uint64_t)number * LRB_SEGMENT_BYTES, left = source->identity.size_bytes - at;
    size_t wanted = left < LRB_SEGMENT_BYTES ? (size_t)left : LRB_SEGMENT_BYTES, got;
    lrb_tag found;
    int code = lrb_job_check(intake->job, err);
    if (!code) code = lrb_fs_read_at(item->fd, worker->input, wanted, at, &got, source->name, err);
    if (code) return code;
    if (got != wanted) return lrb_intake_changed(source, item->fd, err);
    code = tag(intake, worker, at, worker->input, wanted, &found, err);
    *same = !code && !memcmp(&found, &intake->notes[item->position].tags[number], sizeof found);
    return code;
}

int lrb_intake_open_known(lrb_intake *intake, lrb_worker *worker, size_t position, lrb_open_item **item, lrb_err *err) {
    lrb_open_item *opened;
    bool same;
    int code = lrb_intake_open_big(intake, position, &opened, err);
    if (code) return code;
    *item = opened;
    if (!intake->tags_segments) return LRB_OK;
    code = compare_segment(opened, worker, lrb_segment_count(size_of(opened)) - 1, &same, err);
    if (!code && !same) return LRB_OK;
    *item = NULL;
    if (code) lrb_intake_close_item(opened);
    else lrb_intake_requeue(intake, &intake->comparing, opened);
    return code;
}

/* All segments but the last, which is known to be the same. */
static size_t given_out_at(const lrb_open_item *item) { return lrb_segment_count(size_of(item)) - 1; }

lrb_segments lrb_intake_claim_segments(lrb_intake *intake) {
    lrb_open_item *item = intake->comparing.first;
    if (!item) return (lrb_segments){.item = NULL};
    size_t first = item->compared, end = given_out_at(item);
    if (end - first > STEP_SEGMENTS) end = first + STEP_SEGMENTS;
    else lrb_intake_pop(&intake->comparing);
    item->compared = end;
    item->inside++;
    return (lrb_segments){item, first, end};
}

/* Everything was compared, or something differs: the previous recipe serves, or the item is digested. Takes it over. */
static int end_comparing(lrb_intake *intake, lrb_worker *worker, lrb_open_item *item, lrb_err *err) {
    bool reused = false;
    int code = LRB_OK;
    if (!item->differs) {
        code = lrb_intake_check_unchanged(lrb_source_at(intake->source, item->position), item->fd, err);
        if (!code) code = lrb_intake_try_reuse(intake, worker, item->position, item->counted, &reused, err);
    }
    if (code || reused) {
        lrb_intake_close_item(item);
        return code;
    }
    lrb_intake_uncount(item, 0);
    lrb_intake_requeue(intake, &intake->digesting, item);
    return LRB_OK;
}

int lrb_intake_compare(lrb_intake *intake, lrb_worker *worker, lrb_segments segments, lrb_err *err) {
    lrb_open_item *item = segments.item;
    bool same = true, over;
    int code = LRB_OK;
    for (size_t i = segments.first; !code && same && i < segments.end; i++) code = compare_segment(item, worker, i, &same, err);
    pthread_mutex_lock(&intake->lock);
    if (code || !same) {
        item->differs = true;
        lrb_intake_drop(&intake->comparing, item);
    } else {
        lrb_intake_count_half(item, (uint64_t)(segments.end - segments.first) * LRB_SEGMENT_BYTES);
    }
    over = --item->inside == 0 && (item->differs || item->compared == given_out_at(item));
    pthread_mutex_unlock(&intake->lock);
    if (!over) return code; /* a failed item is closed by the last thread inside, or with the intake */
    if (!code) return end_comparing(intake, worker, item, err);
    lrb_intake_close_item(item);
    return code;
}
