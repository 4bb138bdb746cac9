/* Jobs on a repository as a whole: opening it, reading on, and the small entries about snapshots that exist. */
#include "py/core.h"

#include "base/mem.h"
#include "engine/lifetime.h"
#include "engine/task.h"

static PyObject *task_job(lrb_core *core, lrb_task_call call, void *arg, void (*release)(void *),
                          lrb_py_job_parts *parts) {
    lrb_err err;
    if (!lrb_task_new(call, arg, release, &parts->job, &err)) return lrb_py_job_new(core, parts);
    if (release) release(arg);
    lrb_py_parts_release(parts);
    return lrb_py_raise(core, &err);
}

/* ---- open ---- */

typedef struct opening {
    lrb_py_names names; /* storage path, graph id */
    bool create, sealed;
    lrb_key key;
    lrb_repo *repo;
} opening;

static int call_open(void *arg, lrb_worker *worker, lrb_err *err) {
    opening *self = arg;
    (void)worker;
    return lrb_repo_open_with(self->names.at[0], self->names.at[1], self->create, self->sealed ? &self->key : NULL,
                              &self->repo, err);
}

static void release_opening(void *arg) {
    opening *self = arg;
    if (self->repo) lrb_repo_close(self->repo);
    lrb_free(self->names.at);
    lrb_bytes_wipe(&self->key, sizeof self->key);
    lrb_free(self);
}

static PyObject *convert_opened(const lrb_core *core, lrb_job *job, PyObject *handle) {
    (void)handle;
    opening *self = lrb_task_arg(job);
    lrb_repo *repo = self->repo;
    self->repo = NULL;
    return lrb_py_repository_new((lrb_core *)core, repo);
}

static PyObject *open_job(PyObject *module, PyObject *args) {
    lrb_core *core = lrb_py_core(module);
    PyObject *storage, *graph, *key_arg = Py_None;
    const lrb_key *key = NULL;
    int create;
    if (!PyArg_ParseTuple(args, "OUp|O:open_job", &storage, &graph, &create, &key_arg)) return NULL;
    if (key_arg != Py_None && !(key = lrb_py_key(core, key_arg))) return NULL;
    PyObject *both = PyTuple_Pack(2, storage, graph);
    opening *self = both ? lrb_alloc_zero(1, sizeof *self) : NULL;
    if (both && !self) PyErr_NoMemory();
    bool taken = self && lrb_py_names_take(both, &self->names);
    Py_XDECREF(both);
    if (!taken) {
        lrb_free(self);
        return NULL;
    }
    self->create = create;
    self->sealed = key;
    if (key) self->key = *key;
    lrb_py_job_parts parts = {.convert = convert_opened, .fds = {-1, -1}};
    return task_job(core, call_open, self, release_opening, &parts);
}

/* ---- refresh ---- */

static int call_refresh(void *arg, lrb_worker *worker, lrb_err *err) {
    (void)worker;
    return lrb_repo_refresh(arg, err);
}

static PyObject *refresh_job(PyObject *module, PyObject *repository) {
    lrb_core *core = lrb_py_core(module);
    PyObject *handle = lrb_py_repository_handle(core, repository);
    if (!handle) return NULL;
    lrb_py_job_parts parts = {.convert = lrb_py_convert_none, .handle = handle, .fds = {-1, -1}};
    return task_job(core, call_refresh, lrb_py_handle_repo(handle), NULL, &parts);
}

/* ---- drop ---- */

typedef struct dropping {
    lrb_repo *repo;
    lrb_py_names names; /* the reason, then the snapshots */
    bool *dropped;
} dropping;

static int call_drop(void *arg, lrb_worker *worker, lrb_err *err) {
    dropping *self = arg;
    (void)worker;
    return lrb_lifetime_drop(self->repo, self->names.at + 1, self->names.count - 1, self->names.at[0], self->dropped,
                             err);
}

static void release_dropping(void *arg) {
    dropping *self = arg;
    lrb_free(self->names.at);
    lrb_free(self->dropped);
    lrb_free(self);
}

static PyObject *convert_dropped(const lrb_core *core, lrb_job *job, PyObject *handle) {
    (void)core, (void)handle;
    const dropping *self = lrb_task_arg(job);
    PyObject *ids = PyList_New(0);
    for (size_t i = 1; ids && i < self->names.count; i++) {
        if (!self->dropped[i - 1]) continue;
        PyObject *id = lrb_py_text(self->names.at[i]);
        if (!id || PyList_Append(ids, id)) Py_CLEAR(ids);
        Py_XDECREF(id);
    }
    return ids;
}

static dropping *new_dropping(lrb_repo *repo, PyObject *reason_and_ids) {
    dropping *self = lrb_alloc_zero(1, sizeof *self);
    if (!self) return (dropping *)PyErr_NoMemory();
    self->repo = repo;
    if (lrb_py_names_take(reason_and_ids, &self->names)) {
        self->dropped = lrb_alloc_zero(self->names.count, sizeof *self->dropped);
        if (self->dropped) return self;
        PyErr_NoMemory();
    }
    release_dropping(self);
    return NULL;
}

static PyObject *drop_job(PyObject *module, PyObject *args) {
    lrb_core *core = lrb_py_core(module);
    PyObject *repository, *ids, *reason;
    if (!PyArg_ParseTuple(args, "OOU:drop_job", &repository, &ids, &reason)) return NULL;
    if (PyUnicode_Check(ids)) return PyErr_Format(PyExc_TypeError, "a sequence of snapshot ids is needed, not one id");
    PyObject *names = PySequence_List(ids);
    PyObject *handle = names && !PyList_Insert(names, 0, reason) ? lrb_py_repository_handle(core, repository) : NULL;
    dropping *self = handle ? new_dropping(lrb_py_handle_repo(handle), names) : NULL;
    Py_XDECREF(names);
    if (!self) {
        Py_XDECREF(handle);
        return NULL;
    }
    lrb_py_job_parts parts = {.convert = convert_dropped, .handle = handle, .fds = {-1, -1}};
    return task_job(core, call_drop, self, release_dropping, &parts);
}

/* ---- hold and release ---- */

typedef struct holding {
    lrb_repo *repo;
    lrb_py_names names; /* snapshot, holder */
    bool changed;
} holding;

static int call_hold(void *arg, lrb_worker *worker, lrb_err *err) {
    holding *self = arg;
    (void)worker;
    return lrb_lifetime_hold(self->repo, self->names.at[0], self->names.at[1], &self->changed, err);
}

static int call_release(void *arg, lrb_worker *worker, lrb_err *err) {
    holding *self = arg;
    (void)worker;
    return lrb_lifetime_release(self->repo, self->names.at[0], self->names.at[1], &self->changed, err);
}

static void release_holding(void *arg) {
    holding *self = arg;
    lrb_free(self->names.at);
    lrb_free(self);
}

static PyObject *convert_changed(const lrb_core *core, lrb_job *job, PyObject *handle) {
    (void)core, (void)handle;
    return PyBool_FromLong(((const holding *)lrb_task_arg(job))->changed);
}

static PyObject *holding_job(PyObject *module, PyObject *args, lrb_task_call call) {
    lrb_core *core = lrb_py_core(module);
    PyObject *repository, *snapshot, *holder;
    if (!PyArg_ParseTuple(args, "OUU", &repository, &snapshot, &holder)) return NULL;
    PyObject *handle = lrb_py_repository_handle(core, repository);
    PyObject *both = handle ? PyTuple_Pack(2, snapshot, holder) : NULL;
    holding *self = both ? lrb_alloc_zero(1, sizeof *self) : NULL;
    if (both && !self) PyErr_NoMemory();
    bool taken = self && lrb_py_names_take(both, &self->names);
    Py_XDECREF(both);
    if (!taken) {
        lrb_free(self);
        Py_XDECREF(handle);
        return NULL;
    }
    self->repo = lrb_py_handle_repo(handle);
    lrb_py_job_parts parts = {.convert = convert_changed, .handle = handle, .fds = {-1, -1}};
    return task_job(core, call, self, release_holding, &parts);
}

static PyObject *hold_job(PyObject *module, PyObject *args) {
    return holding_job(module, args, call_hold);
}

static PyObject *release_job(PyObject *module, PyObject *args) {
    return holding_job(module, args, call_release);
}

PyMethodDef lrb_py_repository_functions[] = {
    {"open_job", open_job, METH_VARARGS, "open_job(storage_path, graph_id, create, key=None, /)\n--\n\nResult: Repository."},
    {"refresh_job", refresh_job, METH_O, "refresh_job(repo, /)\n--\n\nResult: None."},
    {"drop_job", drop_job, METH_VARARGS,
     "drop_job(repo, snapshot_ids, reason, /)\n--\n\nResult: list of the ids dropped."},
    {"hold_job", hold_job, METH_VARARGS,
     "hold_job(repo, snapshot_id, holder, /)\n--\n\nResult: bool, False when it held it already."},
    {"release_job", release_job, METH_VARARGS,
     "release_job(repo, snapshot_id, holder, /)\n--\n\nResult: bool, False when it did not hold it."},
    {0},
};
