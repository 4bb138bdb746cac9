#include "engine/job.h"

#include "base/mem.h"

int lrb_worker_init(lrb_worker *worker, unsigned number, lrb_err *err) {
    *worker = (lrb_worker){.number = number};
    lrb_buf_init(&worker->content, LRB_CONTENT_MAX_BYTES);
    worker->input = lrb_alloc(LRB_WORKER_INPUT_BYTES);
    if (!worker->input) return lrb_err_nomem(err, "start a worker");
    int code = lrb_coder_new(&worker->coder, err);
    if (code) lrb_worker_clear(worker);
    return code;
}

void lrb_worker_clear(lrb_worker *worker) {
    if (worker->coder) lrb_coder_free(worker->coder);
    worker->coder = NULL;
    lrb_free(worker->input);
    worker->input = NULL;
    lrb_buf_clear(&worker->content);
}

void lrb_job_init(lrb_job *job, const lrb_job_ops *ops) {
    *job = (lrb_job){.ops = ops};
    lrb_err_clear(&job->err);
}

void lrb_job_free(lrb_job *job) {
    if (job) job->ops->free(job);
}

void lrb_job_cancel(lrb_job *job) {
    atomic_store_explicit(&job->cancel, true, memory_order_relaxed);
}

bool lrb_job_cancelled(const lrb_job *job) {
    return atomic_load_explicit(&job->cancel, memory_order_relaxed);
}

int lrb_job_check(const lrb_job *job, lrb_err *err) {
    if (!lrb_job_cancelled(job)) return LRB_OK;
    return lrb_err_set(err, LRB_E_CANCELLED, "run", "", "the operation was cancelled");
}

int lrb_job_stuck(lrb_err *err) {
    return lrb_err_set(err, LRB_E_INTERNAL, "run", "", "a job was not done but had nothing left to do");
}

void lrb_job_run(lrb_job *job, lrb_worker *worker) {
    lrb_step next = LRB_STEP_MORE;
    int code = lrb_job_check(job, &job->err);
    while (!code && next != LRB_STEP_DONE) {
        code = job->ops->step(job, worker, &next, &job->err);
        if (!code && next == LRB_STEP_IDLE) code = lrb_job_stuck(&job->err);
    }
    if (job->ops->finish) job->ops->finish(job, worker);
}
