/* Restoring into a staging directory, and putting it in place. */
#include "py/core.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "engine/publish.h"
#include "engine/restore.h"
#include "engine/task.h"

/* ---- restore ---- */

static PyObject *convert_restored(const lrb_core *core, lrb_job *job, PyObject *handle) {
    (void)handle;
    return lrb_py_restored_new(core, lrb_restore_take(job));
}

static int duplicate(int fd, int *copy, lrb_err *err) {
    *copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return fd >= 0 && *copy < 0 ? lrb_err_sys(err, errno, "duplicate", "directory descriptor") : LRB_OK;
}

/* Takes the parts over, with the job in them or the error raised. */
static PyObject *job_or_error(lrb_core *core, lrb_py_job_parts *parts, int code, const lrb_err *err) {
    if (!code) return lrb_py_job_new(core, parts);
    lrb_py_parts_release(parts);
    return lrb_py_raise(core, err);
}

static PyObject *plan_job(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"repo", "snapshot_id", "compare_dir", "only", NULL};
    lrb_core *core = lrb_py_core(module);
    PyObject *repository, *chosen = Py_None;
    lrb_restore_plan_options options = {0};
    int compare_dir = -1, code;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Os|$iO:plan_job", keywords, &repository, &options.snapshot_id,
                                     &compare_dir, &chosen))
        return NULL;
    lrb_py_names only = {0};
    if (chosen != Py_None && !lrb_py_names_take(chosen, &only)) return NULL;
    lrb_py_job_parts parts = {.convert = convert_restored,
                              .handle = lrb_py_repository_handle(core, repository),
                              .memory = only.at,
                              .fds = {-1, -1}};
    if (!parts.handle) {
        lrb_py_parts_release(&parts);
        return NULL;
    }
    lrb_repo *repo = lrb_py_handle_repo(parts.handle);
    lrb_err err;
    options.only = only.at;
    options.only_count = only.count;
    Py_BEGIN_ALLOW_THREADS
    code = duplicate(compare_dir, &parts.fds[0], &err);
    options.compare_dir = parts.fds[0];
    if (!code) code = lrb_restore_plan(repo, &options, &parts.job, &err);
    Py_END_ALLOW_THREADS
    return job_or_error(core, &parts, code, &err);
}

/* The list is the job's from here on. */
static int make_stage(lrb_repo *repo, lrb_restore_list *list, lrb_restore_stage_options *options,
                      lrb_py_job_parts *parts, lrb_err *err) {
    int code = duplicate(options->staging_dir, &parts->fds[0], err);
    if (!code) code = duplicate(options->compare_dir, &parts->fds[1], err);
    if (code) {
        lrb_restore_list_free(list);
        return code;
    }
    options->staging_dir = parts->fds[0];
    options->compare_dir = parts->fds[1];
    return lrb_restore_stage(repo, list, options, &parts->job, err);
}

static PyObject *stage_job(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"repo", "plan", "staging_dir", "compare_dir", "keep", "durable", NULL};
    lrb_core *core = lrb_py_core(module);
    PyObject *repository, *plan;
    lrb_restore_stage_options options = {.compare_dir = -1};
    int keep = LRB_KEEP_NOTHING, durable = true, code;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$iiip:stage_job", keywords, &repository, &plan,
                                     &options.staging_dir, &options.compare_dir, &keep, &durable))
        return NULL;
    options.keep = (lrb_restore_keep)keep;
    options.durable = durable;
    lrb_restore_list *list = lrb_py_restored(core, plan, false);
    if (!list) return NULL;
    lrb_py_job_parts parts = {
        .convert = convert_restored, .handle = lrb_py_repository_handle(core, repository), .fds = {-1, -1}};
    if (!parts.handle) return NULL;
    lrb_repo *repo = lrb_py_handle_repo(parts.handle);
    lrb_err err;
    lrb_py_restored_gone(plan);
    Py_BEGIN_ALLOW_THREADS
    code = make_stage(repo, list, &options, &parts, &err);
    Py_END_ALLOW_THREADS
    return job_or_error(core, &parts, code, &err);
}

/* ---- publish ---- */

static PyObject *publish_choose(PyObject *module, PyObject *args) {
    PyObject *target;
    int shared, code;
    if (!PyArg_ParseTuple(args, "O&p:publish_choose", PyUnicode_FSConverter, &target, &shared)) return NULL;
    const char *path = PyBytes_AsString(target);
    lrb_publish_way way;
    lrb_err err;
    Py_BEGIN_ALLOW_THREADS
    code = lrb_publish_choose(path, shared, &way, &err);
    Py_END_ALLOW_THREADS
    Py_DECREF(target);
    return code ? lrb_py_raise(lrb_py_core(module), &err) : PyLong_FromLong((long)way);
}

static PyObject *publish_stage(PyObject *module, PyObject *args) {
    PyObject *target;
    int way, fd, code;
    if (!PyArg_ParseTuple(args, "O&i:publish_stage", PyUnicode_FSConverter, &target, &way)) return NULL;
    const char *path = PyBytes_AsString(target);
    char staging[LRB_PATH_MAX];
    lrb_err err;
    Py_BEGIN_ALLOW_THREADS
    code = lrb_publish_stage(path, (lrb_publish_way)way, staging, &fd, &err);
    Py_END_ALLOW_THREADS
    Py_DECREF(target);
    return code ? lrb_py_raise(lrb_py_core(module), &err)
                : Py_BuildValue("(Ni)", lrb_py_name(staging, strlen(staging)), fd);
}

static PyObject *publish_abandon(PyObject *module, PyObject *args) {
    PyObject *target, *staging;
    int way, code;
    if (!PyArg_ParseTuple(args, "O&iO&:publish_abandon", PyUnicode_FSConverter, &target, &way, PyUnicode_FSConverter,
                          &staging))
        return NULL;
    const char *path = PyBytes_AsString(target), *staging_path = PyBytes_AsString(staging);
    lrb_err err;
    Py_BEGIN_ALLOW_THREADS
    code = lrb_publish_abandon(path, (lrb_publish_way)way, staging_path, &err);
    Py_END_ALLOW_THREADS
    Py_DECREF(target);
    Py_DECREF(staging);
    if (code) return lrb_py_raise(lrb_py_core(module), &err);
    Py_RETURN_NONE;
}

static PyObject *look_at(PyObject *module, PyObject *arg, int (*look)(const char *, bool *, lrb_err *)) {
    PyObject *target;
    if (!PyUnicode_FSConverter(arg, &target)) return NULL;
    const char *path = PyBytes_AsString(target);
    bool found;
    lrb_err err;
    int code;
    Py_BEGIN_ALLOW_THREADS
    code = look(path, &found, &err);
    Py_END_ALLOW_THREADS
    Py_DECREF(target);
    return code ? lrb_py_raise(lrb_py_core(module), &err) : PyBool_FromLong(found);
}

static PyObject *publish_pending(PyObject *module, PyObject *arg) {
    return look_at(module, arg, lrb_publish_pending);
}

static PyObject *publish_half_done(PyObject *module, PyObject *arg) {
    return look_at(module, arg, lrb_publish_half_done);
}

static PyObject *publish_stop_after(PyObject *module, PyObject *arg) {
    (void)module;
    long long changes = PyLong_AsLongLong(arg);
    if (changes == -1 && PyErr_Occurred()) return NULL;
    lrb_publish_stop_after(changes);
    Py_RETURN_NONE;
}

typedef struct publishing {
    lrb_py_names paths; /* target, staging path */
    lrb_publish_way way;
    lrb_py_names names, removed;
    bool finished;
} publishing;

static int call_commit(void *arg, lrb_worker *worker, lrb_err *err) {
    const publishing *self = arg;
    (void)worker;
    return lrb_publish_commit(self->paths.at[0], self->way, self->paths.at[1], self->names.at, self->names.count,
                              self->removed.at, self->removed.count, err);
}

static int call_finish(void *arg, lrb_worker *worker, lrb_err *err) {
    publishing *self = arg;
    (void)worker;
    return lrb_publish_finish(self->paths.at[0], &self->finished, err);
}

static void release_publishing(void *arg) {
    publishing *self = arg;
    lrb_free(self->paths.at);
    lrb_free(self->names.at);
    lrb_free(self->removed.at);
    lrb_free(self);
}

static PyObject *convert_finished(const lrb_core *core, lrb_job *job, PyObject *handle) {
    (void)core, (void)handle;
    return PyBool_FromLong(((const publishing *)lrb_task_arg(job))->finished);
}

/* `paths` is a new reference, or NULL when making it failed. */
static publishing *new_publishing(PyObject *paths) {
    publishing *self = paths ? lrb_alloc_zero(1, sizeof *self) : NULL;
    if (paths && !self) PyErr_NoMemory();
    if (self && !lrb_py_names_take(paths, &self->paths)) {
        release_publishing(self);
        self = NULL;
    }
    Py_XDECREF(paths);
    return self;
}

/* `kept` is what the names live in, or NULL. */
static PyObject *publishing_job(lrb_core *core, publishing *self, PyObject *kept, lrb_task_call call,
                                lrb_py_convert convert) {
    lrb_py_job_parts parts = {.convert = convert, .handle = Py_XNewRef(kept), .fds = {-1, -1}};
    lrb_err err;
    int code = lrb_task_new(call, self, release_publishing, &parts.job, &err);
    if (code) release_publishing(self);
    return job_or_error(core, &parts, code, &err);
}

/* Names that a list of the core's holds are not copied. */
static bool take_names(const lrb_core *core, PyObject *names, lrb_py_names *out) {
    if (!lrb_py_is_restored(core, names)) return lrb_py_names_take(names, out);
    const lrb_restore_list *list = lrb_py_restored(core, names, true);
    return list && lrb_py_restored_names(list, out);
}

static PyObject *publish_commit_job(PyObject *module, PyObject *args) {
    lrb_core *core = lrb_py_core(module);
    PyObject *target, *staging, *names, *removed;
    int way;
    if (!PyArg_ParseTuple(args, "OiOOO:publish_commit_job", &target, &way, &staging, &names, &removed)) return NULL;
    publishing *self = new_publishing(PyTuple_Pack(2, target, staging));
    if (!self) return NULL;
    self->way = (lrb_publish_way)way;
    if (take_names(core, names, &self->names) && lrb_py_names_take(removed, &self->removed))
        return publishing_job(core, self, names, call_commit, lrb_py_convert_none);
    release_publishing(self);
    return NULL;
}

static PyObject *publish_finish_job(PyObject *module, PyObject *target) {
    publishing *self = new_publishing(PyTuple_Pack(1, target));
    return self ? publishing_job(lrb_py_core(module), self, NULL, call_finish, convert_finished) : NULL;
}

PyDoc_STRVAR(plan_doc, "plan_job(repo, snapshot_id, *, compare_dir=-1, only=None)\n--\n\nResult: Restored, a plan.");
PyDoc_STRVAR(stage_items_doc, "stage_job(repo, plan, *, staging_dir, compare_dir=-1, keep=KEEP_NOTHING, durable=True)\n--\n\n"
                              "Takes the plan over. Result: Restored, staged.");
PyDoc_STRVAR(choose_doc, "publish_choose(target, shared, /)\n--\n\nWhich way works for this target.");
PyDoc_STRVAR(stage_doc, "publish_stage(target, way, /)\n--\n\n(staging path, descriptor the caller closes).");
PyDoc_STRVAR(abandon_doc, "publish_abandon(target, way, staging_path, /)\n--\n\nThrows a staging directory away.");
PyDoc_STRVAR(commit_doc, "publish_commit_job(target, way, staging_path, names, removed, /)\n--\n\nResult: None.");
PyDoc_STRVAR(half_done_doc, "publish_half_done(target, /)\n--\n\nWhether an interrupted publish has begun to change it.");
PyDoc_STRVAR(pending_doc, "publish_pending(target, /)\n--\n\nWhether an interrupted publish waits there.");
PyDoc_STRVAR(finish_doc, "publish_finish_job(target, /)\n--\n\nResult: bool, whether there was something to finish.");
PyDoc_STRVAR(stop_doc, "publish_stop_after(changes, /)\n--\n\nFor tests: the process ends before that change.");

PyMethodDef lrb_py_restore_functions[] = {
    {"plan_job", (PyCFunction)(void (*)(void))plan_job, METH_VARARGS | METH_KEYWORDS, plan_doc},
    {"stage_job", (PyCFunction)(void (*)(void))stage_job, METH_VARARGS | METH_KEYWORDS, stage_items_doc},
    {"publish_choose", publish_choose, METH_VARARGS, choose_doc},
    {"publish_stage", publish_stage, METH_VARARGS, stage_doc},
    {"publish_abandon", publish_abandon, METH_VARARGS, abandon_doc},
    {"publish_commit_job", publish_commit_job, METH_VARARGS, commit_doc},
    {"publish_pending", publish_pending, METH_O, pending_doc},
    {"publish_half_done", publish_half_done, METH_O, half_done_doc},
    {"publish_finish_job", publish_finish_job, METH_O, finish_doc},
    {"publish_stop_after", publish_stop_after, METH_O, stop_doc},
    {0},
};
