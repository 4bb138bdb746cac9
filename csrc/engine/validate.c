#include "engine/validate.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "engine/item_bytes.h"

typedef struct input { /* a file of the graph */
    struct input *next;
    struct validate *job;
    const lrb_source_item *item; /* of a source */
    int fd;
    lrb_item_bytes *bytes;       /* of a snapshot */
} input;

typedef struct validate {
    lrb_job job;
    lrb_validation *validation;
    lrb_source *source;
    lrb_repo *repo;
    char snapshot_id[LRB_SNAPSHOT_ID_MAX];
    input *inputs;
    pthread_mutex_t lock;
    enum { OPEN, OPENING, LOOK, CLOSING } phase; /* under the lock */
} validate;

/* ---- reading ---- */

static void count_read(validate *job, size_t got) {
    uint64_t total = atomic_load_explicit(&job->job.counters.bytes_total, memory_order_relaxed);
    uint64_t before = atomic_load_explicit(&job->job.counters.bytes_in, memory_order_relaxed);
    /* Vector files are read twice in part; what is shown ends where the whole does. */
    if (before + got <= total) atomic_fetch_add_explicit(&job->job.counters.bytes_in, got, memory_order_relaxed);
}

static int read_file(const lrb_bytes *self, void *thread, uint64_t offset, void *into, size_t room, size_t *got, lrb_err *err) {
    (void)thread;
    const input *in = self->arg;
    int code = lrb_job_check(&in->job->job, err);
    if (!code) code = lrb_fs_read_at(in->fd, into, room, offset, got, in->item->name, err);
    if (!code) count_read(in->job, *got);
    return code;
}

static int read_item(const lrb_bytes *self, void *thread, uint64_t offset, void *into, size_t room, size_t *got, lrb_err *err) {
    const input *in = self->arg;
    int code = lrb_job_check(&in->job->job, err);
    if (!code) code = lrb_item_bytes_read(in->bytes, ((lrb_worker *)thread)->coder, offset, into, room, got, err);
    if (!code) count_read(in->job, *got);
    return code;
}

/* ---- opening ---- */

static input *new_input(validate *job) {
    input *in = lrb_alloc_zero(1, sizeof *in);
    if (!in) return NULL;
    in->job = job;
    in->fd = -1;
    in->next = job->inputs;
    job->inputs = in;
    return in;
}

static int give(validate *job, const char *name, input *in, uint64_t length, lrb_err *err) {
    lrb_bytes bytes = {.read = in->item ? read_file : read_item, .arg = in, .length = length};
    bool taken;
    int code = lrb_validation_add(job->validation, name, &bytes, &taken, err);
    if (code || !taken) return code;
    atomic_fetch_add_explicit(&job->job.counters.bytes_total, length, memory_order_relaxed);
    atomic_fetch_add_explicit(&job->job.counters.items_total, 1, memory_order_relaxed);
    return LRB_OK;
}

static int open_source(validate *job, lrb_err *err) {
    for (size_t i = 0; i < lrb_source_count(job->source); i++) {
        const lrb_source_item *item = lrb_source_at(job->source, i);
        if (item->identity.type != LRB_FILE_REGULAR || !lrb_validation_takes(item->name)) continue;
        input *in = new_input(job);
        if (!in) return lrb_err_nomem(err, "validate");
        in->item = item;
        int code = lrb_source_open(job->source, item, &in->fd, err);
        if (!code) code = give(job, item->name, in, item->identity.size_bytes, err);
        if (code) return code;
    }
    return LRB_OK;
}

static int open_item(validate *job, const lrb_body_item *item, lrb_worker *worker, lrb_err *err) {
    char name[LRB_PATH_MAX];
    snprintf(name, sizeof name, "%.*s", (int)item->name_length, item->name);
    if (item->type != LRB_FILE_REGULAR || !lrb_validation_takes(name)) return LRB_OK;
    input *in = new_input(job);
    if (!in) return lrb_err_nomem(err, "validate");
    int code = lrb_item_bytes_open(job->repo, item, worker->coder, &in->bytes, err);
    return code ? code : give(job, name, in, item->size_bytes, err);
}

static int find_body(validate *job, lrb_row *root, lrb_err *err) {
    const lrb_snapshot *snapshot = lrb_state_find(lrb_repo_begin_read(job->repo), job->snapshot_id);
    if (snapshot) *root = snapshot->body_root;
    lrb_repo_end_read(job->repo);
    return snapshot ? LRB_OK : lrb_err_set(err, LRB_E_NOT_FOUND, "validate", job->snapshot_id, "there is no such snapshot");
}

static int open_snapshot(validate *job, lrb_worker *worker, lrb_err *err) {
    lrb_row root;
    lrb_body_reader *reader;
    lrb_repo_reader fetch = {job->repo, worker->coder};
    bool done = false;
    int code = find_body(job, &root, err);
    if (!code) code = lrb_body_reader_new(&root, lrb_repo_fetch, &fetch, &reader, err);
    if (code) return code;
    while (!code && !done) {
        lrb_body_record record;
        code = lrb_body_reader_next(reader, &record, &done, err);
        if (!code && !done && record.type == LRB_BODY_ITEM) code = open_item(job, &record.item, worker, err);
    }
    lrb_body_reader_free(reader);
    return code;
}

/* ---- ending ---- */

static void close_inputs(validate *job) {
    while (job->inputs) {
        input *in = job->inputs;
        job->inputs = in->next;
        lrb_fs_close(in->fd);
        lrb_item_bytes_close(in->bytes);
        lrb_free(in);
    }
}

/* What was judged is one state of each file. A pinned file's ctime may move: it loses its name, and not one byte. */
static int check_unchanged(const validate *job, lrb_err *err) {
    for (const input *in = job->inputs; in; in = in->next) {
        lrb_identity now;
        if (in->fd < 0) continue;
        int code = lrb_fs_identify(in->fd, &now, err);
        if (code) return code;
        now.ctime_ns = in->item->identity.ctime_ns;
        if (!lrb_identity_same(&now, &in->item->identity))
            return lrb_err_set(err, LRB_E_CHANGED, "validate", in->item->name,
                               "the file changed while it was read; validate again when it is at rest");
    }
    return LRB_OK;
}

/* ---- the job ---- */

static int enter(validate *job) {
    pthread_mutex_lock(&job->lock);
    int phase = job->phase;
    if (phase == OPEN) job->phase = OPENING;
    pthread_mutex_unlock(&job->lock);
    return phase;
}

static bool claim_phase(validate *job, int from, int to) {
    pthread_mutex_lock(&job->lock);
    bool mine = (int)job->phase == from;
    if (mine) job->phase = to;
    pthread_mutex_unlock(&job->lock);
    return mine;
}

static int look(validate *job, lrb_worker *worker, lrb_step *next, lrb_err *err) {
    lrb_validation_state state;
    int code = lrb_job_check(&job->job, err);
    if (!code) code = lrb_validation_step(job->validation, worker, &state, err);
    if (code) return code;
    *next = state == LRB_VALIDATION_MORE ? LRB_STEP_MORE : LRB_STEP_IDLE;
    if (state != LRB_VALIDATION_DONE || !claim_phase(job, LOOK, CLOSING)) return LRB_OK;
    *next = LRB_STEP_DONE;
    return check_unchanged(job, err);
}

static int step(lrb_job *base, lrb_worker *worker, lrb_step *next, lrb_err *err) {
    validate *job = (validate *)base;
    int code;
    *next = LRB_STEP_IDLE;
    switch (enter(job)) {
    case OPEN:
        code = job->source ? open_source(job, err) : open_snapshot(job, worker, err);
        claim_phase(job, OPENING, LOOK);
        *next = LRB_STEP_MORE;
        return code;
    case LOOK: return look(job, worker, next, err);
    default: return LRB_OK;
    }
}

static void finish(lrb_job *base, lrb_worker *worker) {
    (void)worker;
    validate *job = (validate *)base;
    close_inputs(job);
    lrb_source_free(job->source);
    job->source = NULL;
}

static void free_job(lrb_job *base) {
    validate *job = (validate *)base;
    finish(base, NULL);
    lrb_validation_free(job->validation);
    pthread_mutex_destroy(&job->lock);
    lrb_free(job);
}

static const lrb_job_ops OPS = {step, finish, free_job};

static int make(const lrb_validation_options *options, validate **out, lrb_err *err) {
    validate *job = lrb_alloc_zero(1, sizeof *job);
    if (!job) return lrb_err_nomem(err, "validate");
    lrb_job_init(&job->job, &OPS);
    pthread_mutex_init(&job->lock, NULL);
    int code = lrb_validation_new(options, &job->validation, err);
    if (code) free_job(&job->job);
    else *out = job;
    return code;
}

int lrb_validate_source_new(lrb_source *source, const lrb_validation_options *options, lrb_job **out, lrb_err *err) {
    validate *job;
    int code = make(options, &job, err);
    if (code) {
        lrb_source_free(source);
        return code;
    }
    job->source = source;
    *out = &job->job;
    return LRB_OK;
}

int lrb_validate_snapshot_new(lrb_repo *repo, const char *snapshot_id, const lrb_validation_options *options, lrb_job **out,
                              lrb_err *err) {
    validate *job;
    if (!lrb_snapshot_id_valid(snapshot_id))
        return lrb_err_set(err, LRB_E_NOT_FOUND, "validate", snapshot_id, "there is no such snapshot");
    int code = make(options, &job, err);
    if (code) return code;
    job->repo = repo;
    snprintf(job->snapshot_id, sizeof job->snapshot_id, "%s", snapshot_id);
    *out = &job->job;
    return LRB_OK;
}

const lrb_report *lrb_validate_report(const lrb_job *job) {
    return lrb_validation_report(((const validate *)job)->validation);
}
