#include "engine/restore_private.h"

#include "base/mem.h"
#include "engine/pool.h"

static lrb_restore *restore_of(lrb_job *job) {
    return (lrb_restore *)job;
}

static bool for_one_thread(lrb_restore_part stage) {
    return stage != LRB_STAGE_COMPARE && stage != LRB_STAGE_FILES;
}

/* Under the lock: what this thread does next. NONE: nothing until another thread returns, or the stage is over. */
static int claim(lrb_restore *r, lrb_worker *worker, lrb_restore_work *work, lrb_err *err) {
    *work = (lrb_restore_work){.kind = LRB_WORK_NONE};
    if (for_one_thread(r->stage)) {
        if (!r->inside && !r->stage_done) work->kind = LRB_WORK_ALONE;
        return LRB_OK;
    }
    if (r->stage == LRB_STAGE_FILES) return lrb_restore_claim_file(r, worker, work, err);
    lrb_restore_claim_compare(r, work);
    return LRB_OK;
}

static lrb_restore_part stage_after(const lrb_restore *r) {
    if (r->stage == LRB_STAGE_ROOM && r->staging_dir < 0) return LRB_STAGE_OVER;
    return (lrb_restore_part)(r->stage + 1);
}

/* Under the lock: claims work, going on to the next stage whenever one has nothing left and nobody is inside. */
static int claim_somewhere(lrb_restore *r, lrb_worker *worker, lrb_restore_work *work, lrb_err *err) {
    for (;;) {
        int code = claim(r, worker, work, err);
        if (code || work->kind || r->inside || r->stage == LRB_STAGE_OVER) return code;
        r->stage = stage_after(r);
        r->stage_done = r->stage == LRB_STAGE_OVER;
        r->next_item = r->next_small = 0;
    }
}

static int do_alone(lrb_restore *r, lrb_worker *worker, lrb_err *err) {
    switch (r->stage) {
    case LRB_STAGE_READ: return lrb_restore_read(r, worker, err);
    case LRB_STAGE_ROOM: return lrb_restore_room(r, err);
    case LRB_STAGE_DIRECTORIES: return lrb_restore_directories(r, err);
    case LRB_STAGE_LINKS: return lrb_restore_links(r, err);
    case LRB_STAGE_ATTRIBUTES: return lrb_restore_attributes(r, err);
    default: return lrb_restore_sync(r, err);
    }
}

static int do_work(lrb_restore *r, lrb_worker *worker, lrb_restore_work *work, lrb_err *err) {
    if (work->kind == LRB_WORK_ALONE) return do_alone(r, worker, err);
    if (work->kind == LRB_WORK_COMPARE) return lrb_restore_compare(r, worker, work, err);
    return lrb_restore_do_file(r, worker, work, err);
}

static int step(lrb_job *job, lrb_worker *worker, lrb_step *next, lrb_err *err) {
    lrb_restore *r = restore_of(job);
    lrb_restore_work work;
    int code = lrb_job_check(job, err);
    if (code) return code;
    pthread_mutex_lock(&r->lock);
    code = claim_somewhere(r, worker, &work, err);
    if (!code && work.kind) r->inside++;
    bool over = r->stage == LRB_STAGE_OVER;
    pthread_mutex_unlock(&r->lock);
    if (code || !work.kind) {
        *next = over ? LRB_STEP_DONE : LRB_STEP_IDLE;
        return code;
    }
    code = do_work(r, worker, &work, err);
    pthread_mutex_lock(&r->lock);
    r->inside--;
    lrb_restore_release_file(r, &work);
    pthread_mutex_unlock(&r->lock);
    *next = LRB_STEP_MORE;
    return code;
}

static void finish(lrb_job *job, lrb_worker *worker) {
    lrb_restore *r = restore_of(job);
    (void)worker;
    for (size_t i = 0; i < LRB_RESTORE_MAX_OPEN; i++) lrb_restore_close_slot(&r->slots[i]);
    lrb_repo_rest(r->repo);
}

static void destroy(lrb_job *job) {
    lrb_restore *r = restore_of(job);
    for (size_t i = 0; i < LRB_RESTORE_MAX_OPEN; i++) lrb_digest_free(r->slots[i].digest);
    lrb_restore_free_plan(r);
    for (size_t i = 0; r->scratch && i < LRB_POOL_MAX_THREADS; i++) lrb_restore_free_scratch(r->scratch[i]);
    lrb_free(r->scratch);
    lrb_restore_list_free(r->list);
    pthread_mutex_destroy(&r->lock);
    lrb_free(r);
}

static const lrb_job_ops ops = {.step = step, .finish = finish, .free = destroy};

static lrb_restore *new_job(lrb_repo *repo) {
    lrb_restore *r = lrb_alloc_zero(1, sizeof *r);
    if (!r || pthread_mutex_init(&r->lock, NULL) != 0) {
        lrb_free(r);
        return NULL;
    }
    lrb_job_init(&r->job, &ops);
    r->repo = repo;
    return r;
}

static int made(lrb_restore *r, int code, lrb_job **out) {
    if (code) destroy(&r->job);
    else *out = &r->job;
    return code;
}

int lrb_restore_plan(lrb_repo *repo, const lrb_restore_plan_options *options, lrb_job **out, lrb_err *err) {
    lrb_restore *r = new_job(repo);
    if (!r) return lrb_err_nomem(err, "restore");
    atomic_store_explicit(&r->job.counters.phase, LRB_RESTORE_PLAN, memory_order_relaxed);
    r->staging_dir = -1;
    r->keep = LRB_KEEP_EXACT;
    r->list = lrb_restore_list_new();
    return made(r, r->list ? lrb_restore_copy_options(r, options, err) : lrb_err_nomem(err, "restore"), out);
}

int lrb_restore_stage(lrb_repo *repo, lrb_restore_list *list, const lrb_restore_stage_options *options, lrb_job **out,
                      lrb_err *err) {
    lrb_restore *r = new_job(repo);
    if (!r) {
        lrb_restore_list_free(list);
        return lrb_err_nomem(err, "restore");
    }
    atomic_store_explicit(&r->job.counters.phase, LRB_RESTORE_WRITE, memory_order_relaxed);
    r->stage = LRB_STAGE_ROOM;
    r->staging_dir = options->staging_dir;
    r->compare_dir = options->compare_dir;
    r->keep = options->keep;
    r->durable = options->durable;
    r->scratch = lrb_alloc_zero(LRB_POOL_MAX_THREADS, sizeof *r->scratch);
    int code = lrb_restore_list_enter(r, list, err);
    if (!code && !r->scratch) code = lrb_err_nomem(err, "restore");
    if (!code && (r->staging_dir < 0 || (r->keep == LRB_KEEP_LINKED && r->compare_dir < 0)))
        code = lrb_err_set(err, LRB_E_INVALID, "restore", r->snapshot_id, "a directory to restore with is missing");
    return made(r, code, out);
}
