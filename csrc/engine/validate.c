#include "engine/validate.h"

#include <pthread.h>
#include <stdio.h>

#include "base/mem.h"
#include "engine/judge.h"

typedef struct validate {
    lrb_job job;
    lrb_judge *judge;
    lrb_source *source;
    lrb_repo *repo;
    char snapshot_id[LRB_SNAPSHOT_ID_MAX];
    pthread_mutex_t lock;
    enum { OPEN, OPENING, LOOK, OVER } phase; /* under the lock */
} validate;

/* Goes from one phase to the next: true for one thread. */
static bool enter(validate *job, int from, int to) {
    pthread_mutex_lock(&job->lock);
    bool mine = (int)job->phase == from;
    if (mine) job->phase = to;
    pthread_mutex_unlock(&job->lock);
    return mine;
}

static int open_all(validate *job, lrb_worker *worker, lrb_err *err) {
    return job->source ? lrb_judge_open_source(job->judge, job->source, err)
                       : lrb_judge_open_snapshot(job->judge, job->repo, job->snapshot_id, worker->coder, err);
}

static int step(lrb_job *base, lrb_worker *worker, lrb_step *next, lrb_err *err) {
    validate *job = (validate *)base;
    int code = LRB_OK;
    *next = LRB_STEP_MORE;
    if (enter(job, OPEN, OPENING)) {
        code = open_all(job, worker, err);
        enter(job, OPENING, LOOK);
        return code;
    }
    *next = LRB_STEP_IDLE;
    if (!enter(job, LOOK, LOOK)) return LRB_OK;
    code = lrb_judge_step(job->judge, worker, next, err);
    if (!code && *next == LRB_STEP_DONE && !enter(job, LOOK, OVER)) *next = LRB_STEP_IDLE;
    return code;
}

/* Descriptors go as soon as the work is over, not when the host gets round to freeing the job. */
static void finish(lrb_job *base, lrb_worker *worker) {
    (void)worker;
    validate *job = (validate *)base;
    lrb_judge_close(job->judge);
    lrb_source_free(job->source);
    job->source = NULL;
    if (job->repo) lrb_repo_rest(job->repo);
}

static void free_job(lrb_job *base) {
    validate *job = (validate *)base;
    lrb_judge_free(job->judge);
    lrb_source_free(job->source);
    pthread_mutex_destroy(&job->lock);
    lrb_free(job);
}

static const lrb_job_ops OPS = {step, finish, free_job};

static int make(const lrb_validation_options *options, validate **out, lrb_err *err) {
    validate *job = lrb_alloc_zero(1, sizeof *job);
    if (!job) return lrb_err_nomem(err, "validate");
    lrb_job_init(&job->job, &OPS);
    pthread_mutex_init(&job->lock, NULL);
    int code = lrb_judge_new(&job->job, true, options, &job->judge, err);
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
    return lrb_judge_report(((const validate *)job)->judge);
}
