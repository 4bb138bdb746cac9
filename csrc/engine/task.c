#include "engine/task.h"

#include "base/mem.h"

typedef struct task {
    lrb_job job;
    lrb_task_call call;
    void *arg;
    void (*release)(void *arg);
} task;

static int step(lrb_job *job, lrb_worker *worker, lrb_step *next, lrb_err *err) {
    task *self = (task *)job;
    int code = lrb_job_check(job, err);
    if (code) return code;
    *next = LRB_STEP_DONE;
    return self->call(self->arg, worker, err);
}

static void free_task(lrb_job *job) {
    task *self = (task *)job;
    if (self->release) self->release(self->arg);
    lrb_free(self);
}

static const lrb_job_ops task_ops = {.step = step, .free = free_task};

int lrb_task_new(lrb_task_call call, void *arg, void (*release)(void *arg), lrb_job **out, lrb_err *err) {
    task *self = lrb_alloc(sizeof *self);
    if (!self) return lrb_err_nomem(err, "make a task");
    lrb_job_init(&self->job, &task_ops);
    self->job.brief = true;
    self->call = call;
    self->arg = arg;
    self->release = release;
    *out = &self->job;
    return LRB_OK;
}

void *lrb_task_arg(const lrb_job *job) {
    return ((const task *)job)->arg;
}
