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

static PyObject *restored_items(const lrb_job *job) {
    size_t count = lrb_restore_count(job);
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list && i < count; i++) {
        const lrb_restored_item *item = lrb_restore_at(job, i);
        PyObject *row = Py_BuildValue("(NiiK)", lrb_py_name(item->name, strlen(item->name)), (int)item->type,
                                      (int)item->action, (unsigned long long)item->size_bytes);
        if (!row || PyList_SetItem(list, (Py_ssize_t)i, row)) Py_CLEAR(list);
    }
    return list;
}

static PyObject *convert_restored(const lrb_core *core, lrb_job *job, PyObject *handle) {
    (void)core, (void)handle;
    return Py_BuildValue("(NK)", restored_items(job), (unsigned long long)lrb_restore_needed_bytes(job));
}

typedef struct restore_arguments {
    PyObject *repository, *only;
    const char *snapshot_id;
    int staging_dir, compare_dir, stage_same, durable, dry_run;
} restore_arguments;

static bool parse(PyObject *args, PyObject *kwargs, restore_arguments *a) {
    static char *names[] = {"repo",       "snapshot_id", "staging_dir", "compare_dir", "only",
                            "stage_same", "durable",     "dry_run",     NULL};
    *a = (restore_arguments){
        .only = Py_None, .staging_dir = -1, .compare_dir = -1, .stage_same = true, .durable = true};
    return PyArg_ParseTupleAndKeywords(args, kwargs, "Os|$iiOppp:restore_job", names, &a->repository, &a->snapshot_id,
                                       &a->staging_dir, &a->compare_dir, &a->only, &a->stage_same, &a->durable,
                                       &a->dry_run);
}

static int duplicate(int fd, int *copy, lrb_err *err) {
    *copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return fd >= 0 && *copy < 0 ? lrb_err_sys(err, errno, "duplicate", "directory descriptor") : LRB_OK;
}

/* The names stay with the job until its result was given. */
static int make_restore(lrb_repo *repo, const restore_arguments *a, const lrb_py_names *only, lrb_py_job_parts *parts,
                        lrb_err *err) {
    int code = duplicate(a->staging_dir, &parts->fds[0], err);
    if (!code) code = duplicate(a->compare_dir, &parts->fds[1], err);
    if (code) return code;
    lrb_restore_options options = {.snapshot_id = a->snapshot_id,
                                   .staging_dir = parts->fds[0],
                                   .compare_dir = parts->fds[1],
                                   .only = only->at,
                                   .only_count = only->count,
                                   .stage_same = a->stage_same,
                                   .durable = a->durable,
                                   .dry_run = a->dry_run};
    return lrb_restore_new(repo, &options, &parts->job, err);
}

static PyObject *restore_job(PyObject *module, PyObject *args, PyObject *kwargs) {
    lrb_core *core = lrb_py_core(module);
    restore_arguments a;
    lrb_py_names only = {0};
    if (!parse(args, kwargs, &a) || (a.only != Py_None && !lrb_py_names_take(a.only, &only))) return NULL;
    lrb_py_job_parts parts = {.convert = convert_restored,
                              .handle = lrb_py_repository_handle(core, a.repository),
                              .memory = only.at,
                              .fds = {-1, -1}};
    lrb_err err;
    int code = LRB_OK;
    if (parts.handle) {
        lrb_repo *repo = lrb_py_handle_repo(parts.handle);
        Py_BEGIN_ALLOW_THREADS
        code = make_restore(repo, &a, &only, &parts, &err);
        Py_END_ALLOW_THREADS
        if (!code) return lrb_py_job_new(core, &parts);
        lrb_py_raise(core, &err);
    }
    lrb_py_parts_release(&parts);
    return NULL;
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

static PyObject *publish_pending(PyObject *module, PyObject *arg) {
    PyObject *target;
    if (!PyUnicode_FSConverter(arg, &target)) return NULL;
    const char *path = PyBytes_AsString(target);
    bool pending;
    lrb_err err;
    int code;
    Py_BEGIN_ALLOW_THREADS
    code = lrb_publish_pending(path, &pending, &err);
    Py_END_ALLOW_THREADS
    Py_DECREF(target);
    return code ? lrb_py_raise(lrb_py_core(module), &err) : PyBool_FromLong(pending);
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

static PyObject *publishing_job(lrb_core *core, publishing *self, lrb_task_call call, lrb_py_convert convert) {
    lrb_py_job_parts parts = {.convert = convert, .fds = {-1, -1}};
    lrb_err err;
    if (!lrb_task_new(call, self, release_publishing, &parts.job, &err)) return lrb_py_job_new(core, &parts);
    release_publishing(self);
    return lrb_py_raise(core, &err);
}

static PyObject *publish_commit_job(PyObject *module, PyObject *args) {
    PyObject *target, *staging, *names, *removed;
    int way;
    if (!PyArg_ParseTuple(args, "OiOOO:publish_commit_job", &target, &way, &staging, &names, &removed)) return NULL;
    publishing *self = new_publishing(PyTuple_Pack(2, target, staging));
    if (!self) return NULL;
    self->way = (lrb_publish_way)way;
    if (lrb_py_names_take(names, &self->names) && lrb_py_names_take(removed, &self->removed))
        return publishing_job(lrb_py_core(module), self, call_commit, lrb_py_convert_none);
    release_publishing(self);
    return NULL;
}

static PyObject *publish_finish_job(PyObject *module, PyObject *target) {
    publishing *self = new_publishing(PyTuple_Pack(1, target));
    return self ? publishing_job(lrb_py_core(module), self, call_finish, convert_finished) : NULL;
}

PyDoc_STRVAR(restore_doc,
             "restore_job(repo, snapshot_id, *, staging_dir=-1, compare_dir=-1, only=None, stage_same=True, "
             "durable=True, dry_run=False)\n--\n\n"
             "The descriptors are duplicated. Result: (list of (name, type, action, size), needed bytes).");
PyDoc_STRVAR(choose_doc, "publish_choose(target, shared, /)\n--\n\nWhich way works for this target.");
PyDoc_STRVAR(stage_doc, "publish_stage(target, way, /)\n--\n\n(staging path, descriptor the caller closes).");
PyDoc_STRVAR(abandon_doc, "publish_abandon(target, way, staging_path, /)\n--\n\nThrows a staging directory away.");
PyDoc_STRVAR(commit_doc, "publish_commit_job(target, way, staging_path, names, removed, /)\n--\n\nResult: None.");
PyDoc_STRVAR(pending_doc, "publish_pending(target, /)\n--\n\nWhether an interrupted publish waits there.");
PyDoc_STRVAR(finish_doc, "publish_finish_job(target, /)\n--\n\nResult: bool, whether there was something to finish.");
PyDoc_STRVAR(stop_doc, "publish_stop_after(changes, /)\n--\n\nFor tests: the process ends before that change.");

PyMethodDef lrb_py_restore_functions[] = {
    {"restore_job", (PyCFunction)(void (*)(void))restore_job, METH_VARARGS | METH_KEYWORDS, restore_doc},
    {"publish_choose", publish_choose, METH_VARARGS, choose_doc},
    {"publish_stage", publish_stage, METH_VARARGS, stage_doc},
    {"publish_abandon", publish_abandon, METH_VARARGS, abandon_doc},
    {"publish_commit_job", publish_commit_job, METH_VARARGS, commit_doc},
    {"publish_pending", publish_pending, METH_O, pending_doc},
    {"publish_finish_job", publish_finish_job, METH_O, finish_doc},
    {"publish_stop_after", publish_stop_after, METH_O, stop_doc},
    {0},
};
