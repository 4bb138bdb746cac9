#include "engine/backup.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine/assess.h"
#include "engine/intake.h"
#include "engine/reserve.h"
#include "engine/source_cache.h"

enum { MAX_RESTARTS = 8, MAX_PAYLOADS_REPEATED = 1000 };

typedef struct backup {
    lrb_job job;
    lrb_repo *repo;
    lrb_source *source;
    lrb_writer *writer;
    lrb_intake *intake;
    lrb_snapshot snapshot;         /* what will be committed; holders and numbers unused */
    char *facts, *label;
    lrb_validation_options judged_with;
    char *judged_workspace;
    lrb_assess *assess;            /* NULL: the graph is not judged, or not yet */
    bool validate, assessed;       /* assessed: the verdict and the facts say what came of it */
    bool use_cache;
    int64_t observed_ns;
    pthread_mutex_t lock;
    enum { PREPARE, PREPARING, TAKING, COMMITTING, JUDGING } phase; /* under the lock */
    unsigned restarts;             /* under the lock */
    lrb_backup_outcome outcome;
} backup;

/* ---- what an earlier snapshot says ---- */

static int compare_item(const lrb_body_item *old, const lrb_source_item *item) {
    return lrb_name_compare(old->name, old->name_length, item->name, item->name_length);
}

/* Offers the items of a body; both are in name order. */
static int offer_body(backup *b, lrb_body_reader *reader, lrb_err *err) {
    size_t position = 0, count = lrb_source_count(b->source);
    for (;;) {
        lrb_body_record record;
        bool done;
        int code = lrb_body_reader_next(reader, &record, &done, err);
        if (code || done) return code;
        if (record.type != LRB_BODY_ITEM || record.item.type != LRB_FILE_REGULAR) continue;
        while (position < count && compare_item(&record.item, lrb_source_at(b->source, position)) > 0) position++;
        if (position == count || compare_item(&record.item, lrb_source_at(b->source, position))) continue;
        if (lrb_source_at(b->source, position)->identity.type != LRB_FILE_REGULAR) continue;
        lrb_taken previous = {.root = record.item.root};
        memcpy(previous.sha256, record.item.sha256, sizeof previous.sha256);
        lrb_intake_offer(b->intake, position, &previous, false);
    }
}

/* Without a cache the newest snapshot tells which recipes to compare with. One that cannot be read only costs time. */
static int offer_newest(backup *b, lrb_worker *worker, lrb_err *err) {
    const lrb_state *state = lrb_repo_begin_read(b->repo);
    lrb_row root = {.kind = LRB_CHUNK_NONE};
    if (state->snapshot_count) root = state->snapshots[state->snapshot_count - 1].body_root;
    lrb_repo_end_read(b->repo);
    if (root.kind == LRB_CHUNK_NONE) return LRB_OK;
    lrb_repo_reader fetch = {b->repo, worker->coder};
    lrb_body_reader *reader = NULL;
    int code = lrb_body_reader_new(&root, lrb_repo_fetch, &fetch, &reader, err);
    if (!code) code = offer_body(b, reader, err);
    lrb_body_reader_free(reader);
    if (code == LRB_E_NOMEM) return code;
    lrb_err_clear(err);
    return LRB_OK;
}

static int prepare(backup *b, lrb_worker *worker, lrb_err *err) {
    int code = lrb_repo_refresh(b->repo, err);
    if (!code) code = lrb_writer_new(b->repo, &b->job, &b->writer, err);
    if (!code) code = lrb_intake_new(b->source, b->repo, b->writer, &b->job, &b->intake, err);
    bool found = false;
    if (!code && b->validate) lrb_intake_compare_rows(b->intake);
    if (!code && b->use_cache) code = lrb_source_cache_load(b->repo, b->label, b->source, b->intake, &found, err);
    if (!code && !found) code = offer_newest(b, worker, err);
    return code;
}

/* ---- the commit ---- */

typedef struct put_context { backup *b; lrb_worker *worker; } put_context;

static int put_meta(void *arg, lrb_chunk_kind kind, const void *content, size_t count, lrb_id *id, lrb_err *err) {
    put_context *context = arg;
    bool added;
    return lrb_writer_put(context->b->writer, context->worker->coder, kind, 0, content, count, id, &added, err);
}

static int write_item(backup *b, lrb_body_writer *body, size_t position, lrb_err *err) {
    const lrb_source_item *item = lrb_source_at(b->source, position);
    const lrb_taken *taken = lrb_intake_result(b->intake, position);
    lrb_body_item entry = {.name = item->name, .name_length = item->name_length, .type = item->identity.type, .mode = item->identity.mode,
                           .mtime_ns = item->identity.mtime_ns, .root = taken->root, .link_target = item->link_target};
    memcpy(entry.sha256, taken->sha256, sizeof entry.sha256);
    if (item->identity.type == LRB_FILE_REGULAR) entry.size_bytes = item->identity.size_bytes;
    if (item->link_target) entry.size_bytes = entry.link_target_length = strlen(item->link_target);
    return lrb_body_writer_item(body, &entry, err);
}

static int write_body(backup *b, lrb_recipe_store store, void *arg, lrb_err *err) {
    lrb_body_writer *body = NULL;
    int code = lrb_body_writer_new(store, arg, &body, err);
    if (!code) code = lrb_body_writer_facts(body, b->facts, strlen(b->facts), err);
    for (size_t i = 0, count = lrb_source_count(b->source); !code && i < count; i++) code = write_item(b, body, i, err);
    for (size_t i = 0, count = lrb_source_skip_count(b->source); !code && i < count; i++) {
        const lrb_source_skip *skip = lrb_source_skip_at(b->source, i);
        code = lrb_body_writer_skipped(body, skip->name, skip->reason, err);
    }
    lrb_snapshot *s = &b->snapshot;
    if (!code) code = lrb_body_writer_finish(body, &s->body_root, s->data_hash.bytes, &s->item_count, &s->size_bytes, err);
    lrb_body_writer_free(body);
    return code;
}

/* The payload of the snapshot `back` before this one, 0 for this one itself; none when there are not so many. */
static int encode_payload(backup *b, size_t back, lrb_buf *payload, lrb_err *err) {
    if (!back) return lrb_snapshot_encode(&b->snapshot, payload, err);
    int code = LRB_OK;
    const lrb_state *state = lrb_repo_begin_read(b->repo);
    if (back <= state->snapshot_count) code = lrb_snapshot_encode(&state->snapshots[state->snapshot_count - back], payload, err);
    lrb_repo_end_read(b->repo);
    return code;
}

/* A run that writes packs puts a copy of its payload into them, and of those before it that wrote none, so that lost entries can be
 * rebuilt. A run that adds nothing writes no pack for its copy's sake; a later one brings it. */
static int repeat_payloads(backup *b, lrb_worker *worker, lrb_err *err) {
    if (!lrb_writer_has_chunks(b->writer)) return LRB_OK;
    bool added = true;
    int code = LRB_OK;
    lrb_buf payload;
    lrb_buf_init(&payload, LRB_CONTENT_MAX_BYTES);
    for (size_t back = 0; !code && back <= MAX_PAYLOADS_REPEATED && added; back++) {
        lrb_id id;
        lrb_buf_empty(&payload);
        if ((code = encode_payload(b, back, &payload, err)) || !payload.length) break;
        code = lrb_writer_put(b->writer, worker->coder, LRB_CHUNK_PAYLOAD, 0, payload.data, payload.length, &id, &added, err);
    }
    lrb_buf_clear(&payload);
    return code;
}

static void name_snapshot(backup *b, const uint8_t nonce[4]) {
    time_t seconds = (time_t)(b->snapshot.created_ns / 1000000000);
    struct tm utc;
    char stamp[20], hex[9];
    gmtime_r(&seconds, &utc);
    if (!strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &utc)) stamp[0] = '\0'; /* a year of five digits */
    lrb_hex(nonce, 4, hex);
    snprintf(b->snapshot.id, sizeof b->snapshot.id, "%s-%s", stamp, hex);
}

static int check_relied(void *arg, const lrb_state *state, lrb_draft *draft, lrb_err *err) {
    (void)draft;
    backup *b = arg;
    if (lrb_state_find(state, b->snapshot.id)) /* entered twice it would make the log contradict itself */
        return lrb_err_set(err, LRB_E_EXISTS, "commit", b->snapshot.id, "a snapshot of this id exists; run the backup again");
    return lrb_writer_check(b->writer, state, err);
}

static int append(backup *b, lrb_worker *worker, lrb_err *err) {
    lrb_buf payload;
    lrb_buf_init(&payload, LRB_CONTENT_MAX_BYTES);
    lrb_draft draft = {.kind = LRB_ENTRY_SNAPSHOT, .time_ns = b->snapshot.created_ns};
    int code = lrb_writer_flush(b->writer, worker->coder, err);
    if (!code) code = lrb_writer_packs(b->writer, &draft.packs, &draft.pack_count, err);
    if (!code) code = lrb_snapshot_encode(&b->snapshot, &payload, err);
    draft.payload = payload.data;
    draft.payload_length = payload.length;
    if (!code) code = lrb_repo_append(b->repo, &draft, check_relied, b, &b->outcome.number, err);
    lrb_buf_clear(&payload);
    return code;
}

/* What is better done now than by the next run; none of it can undo the commit. */
static void tidy_up(backup *b) {
    lrb_err ignored;
    /* Where nothing was read, the cache says all that a new one would. */
    if (b->use_cache && !lrb_intake_read_nothing(b->intake)) lrb_source_cache_save(b->repo, b->label, b->observed_ns, b->source, b->intake);
    /* The run's own index goes before the repository's takes the same chunks in: never both at their full size. */
    lrb_writer_free(b->writer);
    b->writer = NULL;
    lrb_reserve_fill(b->repo); /* the room to make room in, should the disk fill up before the first prune */
    (void)lrb_repo_maybe_checkpoint(b->repo, &ignored);
    (void)lrb_repo_save_index(b->repo, &ignored);
}

static int commit(backup *b, lrb_worker *worker, lrb_err *err) {
    uint8_t nonce[4];
    int code = lrb_random_bytes(nonce, sizeof nonce, err);
    if (code) return code;
    b->snapshot.created_ns = lrb_clock_wall_ns();
    name_snapshot(b, nonce);
    put_context context = {b, worker};
    if ((code = write_body(b, put_meta, &context, err)) || (code = repeat_payloads(b, worker, err)) || (code = append(b, worker, err))) return code;
    memcpy(b->outcome.snapshot_id, b->snapshot.id, sizeof b->outcome.snapshot_id);
    const lrb_state *state = lrb_repo_begin_read(b->repo);
    const lrb_snapshot *made = lrb_state_find(state, b->snapshot.id);
    b->outcome.stored_bytes = made ? made->stored_bytes : lrb_writer_stored_bytes(b->writer);
    lrb_repo_end_read(b->repo);
    lrb_intake_counts(b->intake, &b->outcome.items_reused, &b->outcome.items_encoded);
    tidy_up(b);
    return LRB_OK;
}

/* ---- the verdict ---- */

static int put_nowhere(void *arg, lrb_chunk_kind kind, const void *content, size_t count, lrb_id *id, lrb_err *err) {
    (void)arg, (void)kind, (void)content, (void)count, (void)err;
    memset(id, 0, sizeof *id);
    return LRB_OK;
}

/* Puts the report into the facts, an object, as "validation". Without room for it the verdict alone stays. */
static int put_report(backup *b, const char *report, lrb_err *err) {
    const char *end = strrchr(b->facts, '}');
    size_t kept = end ? (size_t)(end - b->facts) : 0, room = kept + strlen(report) + 32;
    if (!end || room > LRB_FACTS_MAX_BYTES) return LRB_OK;
    bool empty = strspn(b->facts, "{ ") == kept;
    char *facts = lrb_alloc(room);
    if (!facts) return lrb_err_nomem(err, "store a verdict");
    snprintf(facts, room, "%.*s%s\"validation\": %s}", (int)kept, b->facts, empty ? "" : ", ", report);
    lrb_free(b->facts);
    b->facts = facts;
    return LRB_OK;
}

static int take_verdict(backup *b, lrb_err *err) {
    int code = lrb_assess_finish(b->assess, err);
    if (code) return code;
    b->assessed = true;
    snprintf(b->snapshot.verdict, sizeof b->snapshot.verdict, "%s", lrb_assess_verdict(b->assess));
    return put_report(b, lrb_assess_report(b->assess), err);
}

/* *known: the verdict is there already, or none is wanted. */
static int begin_judging(backup *b, lrb_worker *worker, bool *known, lrb_err *err) {
    *known = !b->validate || b->assessed;
    if (*known) return LRB_OK;
    int code = write_body(b, put_nowhere, NULL, err); /* for the data's hash alone */
    if (!code) code = lrb_assess_new(b->repo, &b->job, b->source, &b->judged_with, &b->assess, err);
    if (!code) code = lrb_assess_begin(b->assess, b->intake, b->snapshot.data_hash.bytes, worker, known, err);
    return code || !*known ? code : take_verdict(b, err);
}

/* ---- the job ---- */

static void set_phase(backup *b, int phase) {
    pthread_mutex_lock(&b->lock);
    b->phase = phase;
    pthread_mutex_unlock(&b->lock);
}

static void show_phase(backup *b, lrb_backup_phase phase) { atomic_store_explicit(&b->job.counters.phase, phase, memory_order_relaxed); }

/* Claims the next phase for this thread alone; the others find nothing to do meanwhile. *round: how often it began anew. */
static int claim(backup *b, unsigned *round) {
    pthread_mutex_lock(&b->lock);
    int phase = b->phase;
    *round = b->restarts;
    if (phase == PREPARE) b->phase = PREPARING;
    pthread_mutex_unlock(&b->lock);
    return phase;
}

/* DONE from the intake: exactly one thread goes on to the commit. A DONE of an earlier round, from a thread that slept through the
 * restart, says nothing about this one, whose items are not taken yet. */
static bool claim_commit(backup *b, unsigned round) {
    pthread_mutex_lock(&b->lock);
    bool mine = b->phase == TAKING && b->restarts == round;
    if (mine) b->phase = COMMITTING;
    pthread_mutex_unlock(&b->lock);
    return mine;
}

/* DONE from the assessment: exactly one thread goes on. */
static bool claim_verdict(backup *b) {
    pthread_mutex_lock(&b->lock);
    bool mine = b->phase == JUDGING;
    if (mine) b->phase = COMMITTING;
    pthread_mutex_unlock(&b->lock);
    return mine;
}

static void begin_round(backup *b) {
    pthread_mutex_lock(&b->lock);
    b->restarts++;
    b->phase = TAKING;
    pthread_mutex_unlock(&b->lock);
}

static int commit_or_restart(backup *b, lrb_worker *worker, lrb_step *next, lrb_err *err) {
    show_phase(b, LRB_BACKUP_COMMIT);
    int code = commit(b, worker, err);
    *next = LRB_STEP_DONE;
    if (code != LRB_E_BUSY || b->restarts == MAX_RESTARTS) return code;
    lrb_err_clear(err);
    if ((code = lrb_writer_forget_lost(b->writer, err))) return code;
    lrb_intake_restart(b->intake);
    begin_round(b);
    *next = LRB_STEP_MORE;
    return LRB_OK;
}

static int judge_or_commit(backup *b, lrb_worker *worker, lrb_step *next, lrb_err *err) {
    bool known;
    show_phase(b, LRB_BACKUP_JUDGE);
    int code = begin_judging(b, worker, &known, err);
    if (code) return code;
    if (known) return commit_or_restart(b, worker, next, err);
    set_phase(b, JUDGING);
    *next = LRB_STEP_MORE;
    return LRB_OK;
}

static int judge(backup *b, lrb_worker *worker, lrb_step *next, lrb_err *err) {
    int code = lrb_assess_step(b->assess, worker, next, err);
    if (code || *next != LRB_STEP_DONE) return code;
    *next = LRB_STEP_IDLE;
    if (!claim_verdict(b)) return LRB_OK;
    code = take_verdict(b, err);
    return code ? code : commit_or_restart(b, worker, next, err);
}

static int step(lrb_job *job, lrb_worker *worker, lrb_step *next, lrb_err *err) {
    backup *b = (backup *)job;
    unsigned round;
    int code;
    *next = LRB_STEP_IDLE;
    switch (claim(b, &round)) {
    case PREPARE:
        show_phase(b, LRB_BACKUP_COMPARE);
        if ((code = prepare(b, worker, err))) return code;
        show_phase(b, LRB_BACKUP_ENCODE);
        set_phase(b, TAKING);
        *next = LRB_STEP_MORE;
        return LRB_OK;
    case TAKING:
        if ((code = lrb_intake_step(b->intake, worker, next, err)) || *next != LRB_STEP_DONE) return code;
        if (claim_commit(b, round)) return judge_or_commit(b, worker, next, err);
        *next = LRB_STEP_IDLE;
        return LRB_OK;
    case JUDGING: return judge(b, worker, next, err);
    default: return LRB_OK;
    }
}

/* The descriptors go as soon as the work is over, not when the host gets round to freeing the job. */
static void release(backup *b) {
    lrb_assess_free(b->assess);
    b->assess = NULL;
    lrb_intake_free(b->intake);
    lrb_writer_free(b->writer);
    lrb_source_free(b->source);
    b->intake = NULL;
    b->writer = NULL;
    b->source = NULL;
}

static void finish(lrb_job *job, lrb_worker *worker) {
    (void)worker;
    backup *b = (backup *)job;
    release(b);
    lrb_repo_rest(b->repo);
}

static void free_job(lrb_job *job) {
    backup *b = (backup *)job;
    release(b);
    pthread_mutex_destroy(&b->lock);
    lrb_free(b->snapshot.metadata);
    lrb_free(b->facts);
    lrb_free(b->label);
    lrb_free(b->judged_workspace);
    lrb_free(b);
}

static const lrb_job_ops OPS = {step, finish, free_job};

static int check_options(const lrb_backup_options *options, lrb_err *err) {
    if (strlen(options->consistency) >= LRB_WORD_MAX || strlen(options->verdict) >= LRB_WORD_MAX)
        return lrb_err_set(err, LRB_E_INVALID, "backup", options->consistency, "a consistency or verdict word is longer than %d bytes", LRB_WORD_MAX - 1);
    if (strlen(options->metadata) > LRB_METADATA_MAX_BYTES)
        return lrb_err_set(err, LRB_E_LIMIT, "backup", "metadata", "the metadata is longer than %d bytes of JSON; keep it shorter", LRB_METADATA_MAX_BYTES);
    if (strlen(options->facts) > LRB_FACTS_MAX_BYTES)
        return lrb_err_set(err, LRB_E_LIMIT, "backup", "facts", "the facts are longer than %d bytes of JSON", LRB_FACTS_MAX_BYTES);
    return LRB_OK;
}

int lrb_backup_new(lrb_repo *repo, lrb_source *source, const lrb_backup_options *options, lrb_job **out, lrb_err *err) {
    int code = check_options(options, err);
    backup *b = code ? NULL : lrb_alloc_zero(1, sizeof *b);
    if (!b) {
        lrb_source_free(source);
        return code ? code : lrb_err_nomem(err, "start a backup");
    }
    lrb_job_init(&b->job, &OPS);
    pthread_mutex_init(&b->lock, NULL);
    b->repo = repo;
    b->source = source;
    b->use_cache = options->use_source_cache;
    b->observed_ns = lrb_clock_wall_ns();
    snprintf(b->snapshot.consistency, sizeof b->snapshot.consistency, "%s", options->consistency);
    snprintf(b->snapshot.verdict, sizeof b->snapshot.verdict, "%s", options->verdict);
    b->snapshot.retention_days = options->retention_days;
    b->snapshot.safety = options->safety;
    b->snapshot.metadata = lrb_copy_string(options->metadata);
    b->facts = lrb_copy_string(options->facts);
    b->label = lrb_copy_string(options->source_label);
    b->validate = options->validate != NULL;
    if (options->validate) b->judged_with = *options->validate;
    b->judged_with.workspace = b->judged_workspace = lrb_copy_string(options->validate ? options->validate->workspace : "");
    if (!b->snapshot.metadata || !b->facts || !b->label || !b->judged_workspace) {
        free_job(&b->job);
        return lrb_err_nomem(err, "start a backup");
    }
    *out = &b->job;
    return LRB_OK;
}

const lrb_backup_outcome *lrb_backup_result(const lrb_job *job) { return &((const backup *)job)->outcome; }
