#include "engine/intake.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/wire.h"
#include "codec/cpu.h"
#include "engine/intake_private.h"
#include "engine/pool.h"

enum {
    BIG_ITEM_BYTES = 8 << 20, /* started before the others */
    LEAST_ROW_BYTES = 16,     /* a recipe with more rows than this allows is not walked */
    VECTOR_FILE_MIN_BYTES = 4 << 10 /* a smaller one is stored as plain bytes */
};

/* ---- queues ---- */

void lrb_intake_push(lrb_queue *q, lrb_open_item *item) {
    item->next = NULL;
    if (q->last) q->last->next = item;
    else q->first = item;
    q->last = item;
}

lrb_open_item *lrb_intake_pop(lrb_queue *q) {
    lrb_open_item *item = q->first;
    if (item && !(q->first = item->next)) q->last = NULL;
    return item;
}

void lrb_intake_drop(lrb_queue *q, const lrb_open_item *item) {
    lrb_open_item **at = &q->first, *before = NULL;
    while (*at && *at != item) {
        before = *at;
        at = &(*at)->next;
    }
    if (!*at) return;
    *at = item->next;
    if (q->last == item) q->last = before;
}

void lrb_intake_requeue(lrb_intake *intake, lrb_queue *q, lrb_open_item *item) {
    pthread_mutex_lock(&intake->lock);
    lrb_intake_push(q, item);
    pthread_mutex_unlock(&intake->lock);
}

/* ---- making and freeing ---- */

static int big_first(const void *a, const void *b) {
    const lrb_start_place *x = a, *y = b;
    if (x->big_bytes != y->big_bytes) return x->big_bytes > y->big_bytes ? -1 : 1;
    return x->position < y->position ? -1 : 1;
}

int lrb_intake_new(lrb_source *source, lrb_repo *repo, lrb_writer *writer, lrb_job *job, lrb_intake **out, lrb_err *err) {
    size_t count = lrb_source_count(source);
    lrb_intake *intake = lrb_alloc_zero(1, sizeof *intake);
    if (!intake) return lrb_err_nomem(err, "read the source");
    intake->source = source;
    intake->repo = repo;
    intake->writer = writer;
    intake->job = job;
    pthread_mutex_init(&intake->lock, NULL);
    intake->notes = lrb_alloc_zero(count ? count : 1, sizeof *intake->notes);
    intake->order = lrb_alloc_zero(count ? count : 1, sizeof *intake->order);
    intake->scratch = lrb_alloc_zero(LRB_POOL_MAX_THREADS, sizeof *intake->scratch);
    const uint8_t *seed = lrb_repo_vault(repo)->cut_seed;
    intake->cut_seed = lrb_get_u64(seed);
    intake->tags_segments = lrb_cpu_has_clmul(); /* elsewhere they would take as long as the digest */
    int code = intake->notes && intake->order && intake->scratch ? lrb_chunker_init(&intake->chunker, seed, err) : lrb_err_nomem(err, "read the source");
    if (!code) code = lrb_random_bytes(intake->tag_key, sizeof intake->tag_key, err);
    if (code) {
        lrb_intake_free(intake);
        return code;
    }
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        const lrb_identity *identity = &lrb_source_at(source, i)->identity;
        uint64_t size = identity->type == LRB_FILE_REGULAR ? identity->size_bytes : 0;
        intake->order[i] = (lrb_start_place){size >= BIG_ITEM_BYTES ? size : 0, i};
        total += size;
    }
    qsort(intake->order, count, sizeof *intake->order, big_first);
    atomic_store_explicit(&job->counters.items_total, count, memory_order_relaxed);
    atomic_store_explicit(&job->counters.bytes_total, total, memory_order_relaxed);
    *out = intake;
    return LRB_OK;
}

/* What is known of every item goes. */
static void forget_notes(lrb_intake *intake) {
    size_t count = lrb_source_count(intake->source);
    for (size_t i = 0; i < count; i++) {
        lrb_free(intake->notes[i].tags);
        lrb_free(intake->notes[i].sections.tags);
    }
    memset(intake->notes, 0, count * sizeof *intake->notes);
}

void lrb_intake_free(lrb_intake *intake) {
    if (!intake) return;
    for (lrb_open_item *item; (item = lrb_intake_pop(&intake->comparing));) lrb_intake_close_item(item);
    for (lrb_open_item *item; (item = lrb_intake_pop(&intake->digesting));) lrb_intake_close_item(item);
    for (lrb_open_item *item; (item = lrb_intake_pop(&intake->encoding));) lrb_intake_close_item(item);
    for (size_t i = 0; intake->scratch && i < LRB_POOL_MAX_THREADS; i++) lrb_intake_free_scratch(intake->scratch[i]);
    pthread_mutex_destroy(&intake->lock);
    if (intake->notes) forget_notes(intake);
    lrb_bytes_wipe(intake->tag_key, sizeof intake->tag_key);
    lrb_free(intake->scratch);
    lrb_free(intake->notes);
    lrb_free(intake->order);
    lrb_free(intake);
}

void lrb_intake_offer(lrb_intake *intake, size_t position, const lrb_taken *previous, bool unread) {
    lrb_free(intake->notes[position].tags);
    lrb_free(intake->notes[position].sections.tags);
    intake->notes[position] = (lrb_item_note){.taken = *previous, .offered = true, .unread = unread};
}

void lrb_intake_offer_tags(lrb_intake *intake, size_t position, lrb_tag *tags) { intake->notes[position].tags = tags; }

void lrb_intake_offer_sections(lrb_intake *intake, size_t position, lrb_section_tags sections) {
    intake->notes[position].sections = sections;
}

uint8_t *lrb_intake_tag_key(lrb_intake *intake) { return intake->tag_key; }

const lrb_tag *lrb_intake_tags(const lrb_intake *intake, size_t position) { return intake->notes[position].tags; }

const lrb_section_tags *lrb_intake_sections(const lrb_intake *intake, size_t position) { return &intake->notes[position].sections; }

bool lrb_intake_is_unread(const lrb_intake *intake, size_t position) { return intake->notes[position].unread; }

bool lrb_intake_read_nothing(const lrb_intake *intake) {
    for (size_t i = 0, count = lrb_source_count(intake->source); i < count; i++)
        if (lrb_source_at(intake->source, i)->identity.type == LRB_FILE_REGULAR && !intake->notes[i].unread) return false;
    return true;
}

const lrb_taken *lrb_intake_result(const lrb_intake *intake, size_t position) { return &intake->notes[position].taken; }

void lrb_intake_counts(const lrb_intake *intake, uint64_t *reused, uint64_t *encoded) {
    *reused = intake->reused;
    *encoded = intake->encoded;
}

void lrb_intake_restart(lrb_intake *intake) {
    pthread_mutex_lock(&intake->lock); /* a thread that saw the last item finished may be about to look again */
    forget_notes(intake);
    intake->started = intake->finished = 0;
    intake->reused = intake->encoded = 0;
    pthread_mutex_unlock(&intake->lock);
    atomic_store_explicit(&intake->job->counters.items_done, 0, memory_order_relaxed);
    atomic_store_explicit(&intake->job->counters.bytes_in, 0, memory_order_relaxed);
}

/* ---- one item's end ---- */

static void count_bytes(lrb_intake *intake, uint64_t count) {
    atomic_fetch_add_explicit(&intake->job->counters.bytes_in, count, memory_order_relaxed);
}

void lrb_intake_count_half(lrb_open_item *item, uint64_t bytes) {
    item->counted += bytes / 2;
    count_bytes(item->intake, bytes / 2);
}

void lrb_intake_uncount(lrb_open_item *item, uint64_t left) {
    count_bytes(item->intake, left - item->counted);
    item->counted = left;
}

void lrb_intake_finished(lrb_intake *intake, size_t position, uint64_t counted, bool reused) {
    const lrb_identity *identity = &lrb_source_at(intake->source, position)->identity;
    if (identity->type == LRB_FILE_REGULAR) count_bytes(intake, identity->size_bytes - counted);
    pthread_mutex_lock(&intake->lock);
    intake->finished++;
    if (reused) intake->reused++;
    else intake->encoded++;
    pthread_mutex_unlock(&intake->lock);
    atomic_fetch_add_explicit(&intake->job->counters.items_done, 1, memory_order_relaxed);
}

int lrb_intake_changed(const lrb_source_item *item, int fd, lrb_err *err) {
    return lrb_source_changed(item, fd, "read", "the file changed while it was read; run the backup again when it is at rest", err);
}

/* The same identity as when it was listed: what was read is one state of the file. A pinned file's ctime may move: LightRAG replaces it
 * by rename while it is read, which takes its name away and leaves its bytes alone. */
int lrb_intake_check_unchanged(const lrb_source_item *item, int fd, lrb_err *err) {
    lrb_identity now;
    int code = lrb_fs_identify(fd, &now, err);
    if (code) return code;
    /* A pinned file loses its name when LightRAG replaces it, which changes its ctime and not one byte. */
    if (item->fd >= 0) now.ctime_ns = item->identity.ctime_ns;
    if (!lrb_identity_same(&now, &item->identity)) code = lrb_intake_changed(item, fd, err);
    return code;
}

/* Relies on every chunk a recipe reaches; *known false at the first one that no known pack has. */
static int rely_on(lrb_intake *intake, lrb_worker *worker, const lrb_row *root, uint64_t size_bytes, bool *known, lrb_err *err) {
    *known = true;
    if (root->kind == LRB_CHUNK_NONE) return LRB_OK;
    lrb_repo_reader reader = {intake->repo, worker->coder};
    lrb_recipe_walker *walker = NULL;
    int code = lrb_recipe_walker_new(root, lrb_repo_fetch, &reader, &walker, err);
    lrb_row rows[LRB_RELY_MAX];
    bool done = false;
    if (!code) lrb_recipe_walker_limit(walker, size_bytes / LEAST_ROW_BYTES + LRB_NODE_MAX_ROWS);
    while (!code && *known && !done) {
        size_t count = 0;
        while (!code && count < LRB_RELY_MAX && !(code = lrb_recipe_walker_next(walker, true, &rows[count], &done, err)) && !done) count++;
        if (!code) code = lrb_writer_rely_on(intake->writer, rows, count, known, err);
    }
    lrb_recipe_walker_free(walker);
    if (code && code != LRB_E_NOMEM) { /* a recipe that cannot be read is as good as none: the source is here */
        lrb_err_clear(err);
        *known = false;
        code = LRB_OK;
    }
    return code;
}

/* Tries the recipe of the earlier snapshot. */
int lrb_intake_try_reuse(lrb_intake *intake, lrb_worker *worker, size_t position, uint64_t counted, bool *reused, lrb_err *err) {
    uint64_t size_bytes = lrb_source_at(intake->source, position)->identity.size_bytes;
    int code = rely_on(intake, worker, &intake->notes[position].taken.root, size_bytes, reused, err);
    if (!code && *reused) lrb_intake_finished(intake, position, counted, true);
    return code;
}

/* ---- small items: read once, one step ---- */

int lrb_intake_store_node(void *arg, lrb_chunk_kind kind, const void *content, size_t count, lrb_id *id, lrb_err *err) {
    lrb_open_item *item = arg;
    bool added;
    return lrb_writer_put(item->intake->writer, item->coder, kind, 0, content, count, id, &added, err);
}

/* Stores one raw chunk and makes its row. */
int lrb_intake_put_chunk(lrb_intake *intake, lrb_worker *worker, const uint8_t *bytes, size_t count, lrb_row *row, lrb_err *err) {
    bool added;
    *row = (lrb_row){.kind = LRB_CHUNK_RAW, .count = (uint32_t)count};
    int code = lrb_job_check(intake->job, err);
    return code ? code : lrb_writer_put(intake->writer, worker->coder, LRB_CHUNK_RAW, 0, bytes, count, &row->id, &added, err);
}

static int encode_whole(lrb_intake *intake, lrb_worker *worker, size_t count, lrb_row *root, lrb_err *err) {
    lrb_open_item state = {.intake = intake, .coder = worker->coder};
    lrb_records_form form = lrb_records_recognise(worker->input, count);
    int code = lrb_recipe_builder_new(lrb_intake_store_node, &state, &state.recipe, err);
    for (size_t at = 0; !code && at < count;) {
        lrb_row row;
        size_t length = lrb_records_cut(form, &intake->chunker, intake->cut_seed, worker->input + at, count - at);
        code = lrb_intake_put_chunk(intake, worker, worker->input + at, length, &row, err);
        if (!code) code = lrb_recipe_builder_add(state.recipe, &row, err);
        at += length;
    }
    if (!code) code = lrb_recipe_builder_finish(state.recipe, root, err);
    lrb_recipe_builder_free(state.recipe);
    return code;
}

static int take_bytes(lrb_intake *intake, lrb_worker *worker, size_t position, size_t count, lrb_err *err) {
    lrb_item_note *note = &intake->notes[position];
    lrb_digest *digest = lrb_coder_digest(worker->coder);
    uint8_t sha256[32];
    int code = lrb_digest_begin(digest, err);
    if (!code) code = lrb_digest_update(digest, worker->input, count, err);
    if (!code) code = lrb_digest_finish(digest, sha256, err);
    if (code) return code;
    if (note->offered && !memcmp(note->taken.sha256, sha256, sizeof sha256)) {
        bool reused;
        if ((code = lrb_intake_try_reuse(intake, worker, position, 0, &reused, err)) || reused) return code;
    }
    memcpy(note->taken.sha256, sha256, sizeof sha256);
    lrb_free(note->sections.tags);
    note->sections = (lrb_section_tags){.sections = 0};
    if ((code = encode_whole(intake, worker, count, &note->taken.root, err))) return code;
    lrb_intake_finished(intake, position, 0, false);
    return LRB_OK;
}

/* A vector file becomes an open item, as a bigger file does: it is digested and, where it is new, encoded by all threads. */
static int take_small_file(lrb_intake *intake, lrb_worker *worker, size_t position, lrb_open_item **opened, lrb_err *err) {
    const lrb_source_item *item = lrb_source_at(intake->source, position);
    size_t size = (size_t)item->identity.size_bytes, got = 0;
    int fd;
    int code = lrb_source_open(intake->source, item, &fd, err);
    if (code) return code;
    code = lrb_fs_read_at(fd, worker->input, size, 0, &got, item->name, err);
    if (!code && got != size) code = lrb_intake_changed(item, fd, err);
    if (!code) code = lrb_intake_check_unchanged(item, fd, err);
    lrb_fs_close(fd);
    if (code) return code;
    if (size >= VECTOR_FILE_MIN_BYTES && lrb_vdb_likely(worker->input, size)) return lrb_intake_open_big(intake, position, opened, err);
    return take_bytes(intake, worker, position, size, err);
}

/* A symlink's bytes are its target text; a directory has none. */
static int take_link(lrb_intake *intake, size_t position, lrb_err *err) {
    const lrb_source_item *item = lrb_source_at(intake->source, position);
    lrb_item_note *note = &intake->notes[position];
    memset(&note->taken, 0, sizeof note->taken);
    int code = item->identity.type == LRB_FILE_SYMLINK
                   ? lrb_sha256(item->link_target, strlen(item->link_target), note->taken.sha256, err) : LRB_OK;
    if (!code) lrb_intake_finished(intake, position, 0, false);
    return code;
}

/* ---- choosing ---- */

/* Begins an item, and ends it when that is one step's work; *item is to be digested when it is not NULL. */
static int begin_item(lrb_intake *intake, lrb_worker *worker, size_t position, lrb_open_item **item, lrb_err *err) {
    const lrb_source_item *source = lrb_source_at(intake->source, position);
    *item = NULL;
    if (source->identity.type != LRB_FILE_REGULAR) return take_link(intake, position, err);
    int code;
    bool unread = intake->notes[position].unread;
    if (unread) {
        bool reused;
        if ((code = lrb_intake_try_reuse(intake, worker, position, 0, &reused, err)) || reused) return code;
        intake->notes[position].unread = false;
    }
    if (source->identity.size_bytes <= LRB_WORKER_INPUT_BYTES) return take_small_file(intake, worker, position, item, err);
    if (intake->notes[position].tags && !unread) return lrb_intake_open_known(intake, worker, position, item, err);
    return lrb_intake_open_big(intake, position, item, err);
}

static int begin_items(lrb_intake *intake, lrb_worker *worker, const size_t *positions, size_t count, lrb_err *err) {
    lrb_open_item *items[2];
    size_t opened = 0;
    int code = LRB_OK;
    for (size_t i = 0; !code && i < count; i++) {
        code = begin_item(intake, worker, positions[i], &items[opened], err);
        if (!code && items[opened]) opened++;
    }
    if (!code && opened) return lrb_intake_digest(intake, worker, items, opened, err);
    while (opened) lrb_intake_close_item(items[--opened]);
    return code;
}

/* One step's work, claimed under the lock. */
typedef struct claim {
    lrb_open_item *encode, *digest[2];
    lrb_segments compare;
    size_t positions[2], begin;
} claim;

/* Digests come first, and two of them at once: the largest items are not yet in anybody's hands until theirs is known. The
 * very largest has a thread to itself if it is digested at all: its one chain of blocks is what a backup of rewritten files
 * waits for, and beside another it takes a third longer. Where nothing is read, one thread goes through both faster than two
 * that wait for each other's locks. Then comes what may be what it was. Then what is open is ended: its bytes are still in the page cache, and descriptors stay
 * few. */
static claim claim_work(lrb_intake *intake) {
    size_t count = lrb_source_count(intake->source);
    claim c = {.begin = 0};
    if ((c.digest[0] = lrb_intake_pop(&intake->digesting))) {
        c.digest[1] = lrb_intake_pop(&intake->digesting);
    } else if ((c.compare = lrb_intake_claim_segments(intake)).item) {
        return c;
    } else if ((c.encode = intake->encoding.first)) {
        c.encode->inside++;
    } else if (intake->started < count) {
        const lrb_start_place *at = &intake->order[intake->started];
        c.positions[c.begin++] = at[0].position;
        bool alone = intake->started == 0 && !intake->notes[at[0].position].unread, follows = intake->started + 1 < count;
        if (!alone && follows && at[0].big_bytes && at[1].big_bytes) c.positions[c.begin++] = at[1].position;
        intake->started += c.begin;
    }
    return c;
}

int lrb_intake_step(lrb_intake *intake, lrb_worker *worker, lrb_step *next, lrb_err *err) {
    pthread_mutex_lock(&intake->lock);
    claim c = claim_work(intake);
    *next = LRB_STEP_MORE;
    if (!c.digest[0] && !c.compare.item && !c.encode && !c.begin) *next = intake->finished == lrb_source_count(intake->source) ? LRB_STEP_DONE : LRB_STEP_IDLE;
    pthread_mutex_unlock(&intake->lock);
    int code = lrb_job_check(intake->job, err);
    if (c.encode) {
        int encoded = lrb_intake_encode_step(intake, worker, c.encode, err);
        return code ? code : encoded;
    }
    if (c.compare.item) return lrb_intake_compare(intake, worker, c.compare, err);
    if (c.digest[0]) return lrb_intake_digest(intake, worker, c.digest, c.digest[1] ? 2 : 1, err);
    return code || !c.begin ? code : begin_items(intake, worker, c.positions, c.begin, err);
}
