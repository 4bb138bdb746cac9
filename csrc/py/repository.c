#include "py/core.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "repo/log.h"

static const char HANDLE_NAME[] = "lightrag_bkp._core.handle";

typedef struct repository_object {
    PyObject_HEAD
    lrb_core *core;
    PyObject *handle; /* NULL: closed */
    pid_t pid;
} repository_object;

/* ---- handles ---- */

static void close_handle(PyObject *handle) {
    lrb_repo *repo = PyCapsule_GetPointer(handle, HANDLE_NAME);
    if (lrb_repo_pid(repo) != getpid()) return; /* its locks may be held by threads that are not here */
    Py_BEGIN_ALLOW_THREADS
    lrb_repo_close(repo);
    Py_END_ALLOW_THREADS
}

static PyObject *handle_new(lrb_repo *repo) {
    PyObject *handle = PyCapsule_New(repo, HANDLE_NAME, close_handle);
    if (!handle) lrb_repo_close(repo);
    return handle;
}

lrb_repo *lrb_py_handle_repo(PyObject *handle) {
    return PyCapsule_GetPointer(handle, HANDLE_NAME);
}

static PyObject *own_handle(repository_object *self) {
    if (self->handle && self->pid == getpid()) return Py_NewRef(self->handle);
    return lrb_py_invalid(self->core, "use",
                          "this repository was closed, or belongs to the process this one was forked from");
}

PyObject *lrb_py_repository_handle(const lrb_core *core, PyObject *repository) {
    if (Py_IS_TYPE(repository, (PyTypeObject *)core->repository_type))
        return own_handle((repository_object *)repository);
    return PyErr_Format(PyExc_TypeError, "a Repository is needed");
}

PyObject *lrb_py_repository_new(lrb_core *core, lrb_repo *repo) {
    pid_t pid = lrb_repo_pid(repo);
    PyObject *handle = handle_new(repo);
    repository_object *self = handle
                                  ? (repository_object *)PyType_GenericAlloc((PyTypeObject *)core->repository_type, 0)
                                  : NULL;
    if (!self) {
        Py_XDECREF(handle);
        return NULL;
    }
    self->core = core;
    self->handle = handle;
    self->pid = pid;
    return (PyObject *)self;
}

static void repository_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    Py_CLEAR(((repository_object *)op)->handle);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(op);
    Py_DECREF(type);
}

/* ---- rows: copied under the state's lock without the GIL, made into Python values after ---- */

typedef struct listing {
    lrb_snapshot *rows;
    size_t count;
} listing;

static void listing_free(listing *list) {
    while (list->count > 0) lrb_snapshot_clear(&list->rows[--list->count]);
    lrb_free(list->rows);
}

static int copy_snapshot(const lrb_snapshot *from, lrb_snapshot *to, lrb_err *err) {
    *to = *from;
    to->holders = NULL;
    to->holder_count = 0;
    to->metadata = lrb_copy_string(from->metadata);
    int code = to->metadata ? LRB_OK : lrb_err_nomem(err, "list snapshots");
    for (uint32_t i = 0; i < from->holder_count && !code; i++) code = lrb_snapshot_hold(to, from->holders[i], err);
    if (code) lrb_snapshot_clear(to);
    return code;
}

static int copy_snapshots(const lrb_snapshot *from, size_t count, listing *to, lrb_err *err) {
    to->count = 0;
    to->rows = lrb_alloc_zero(count, sizeof *to->rows);
    int code = to->rows ? LRB_OK : lrb_err_nomem(err, "list snapshots");
    while (!code && to->count < count) {
        code = copy_snapshot(&from[to->count], &to->rows[to->count], err);
        if (!code) to->count++;
    }
    return code;
}

/* All snapshots, or the one named (none when there is no such). */
static int read_listing(lrb_repo *repo, const char *only, listing *list, lrb_err *err) {
    const lrb_state *state = lrb_repo_begin_read(repo);
    const lrb_snapshot *first = only ? lrb_state_find(state, only) : state->snapshots;
    size_t count = !only ? state->snapshot_count : first ? 1 : 0;
    int code = copy_snapshots(first, count, list, err);
    lrb_repo_end_read(repo);
    return code;
}

static PyObject *holders(const lrb_snapshot *snapshot) {
    PyObject *tuple = PyTuple_New(snapshot->holder_count);
    for (uint32_t i = 0; tuple && i < snapshot->holder_count; i++) {
        PyObject *name = lrb_py_text(snapshot->holders[i]);
        if (!name || PyTuple_SetItem(tuple, i, name)) Py_CLEAR(tuple);
    }
    return tuple;
}

static PyObject *row(const lrb_snapshot *s) {
    return Py_BuildValue("(NKLKKKNNNINNN)", lrb_py_text(s->id), (unsigned long long)s->number, (long long)s->created_ns,
                         (unsigned long long)s->size_bytes, (unsigned long long)s->stored_bytes,
                         (unsigned long long)s->item_count, lrb_py_digest(s->data_hash.bytes),
                         lrb_py_text(s->consistency), lrb_py_text(s->verdict), (unsigned int)s->retention_days,
                         PyBool_FromLong(s->safety), lrb_py_text(s->metadata), holders(s));
}

static PyObject *rows(const listing *list) {
    PyObject *result = PyList_New((Py_ssize_t)list->count);
    for (size_t i = 0; result && i < list->count; i++) {
        PyObject *one = row(&list->rows[i]);
        if (!one || PyList_SetItem(result, (Py_ssize_t)i, one)) Py_CLEAR(result);
    }
    return result;
}

static PyObject *list_rows(repository_object *self, const char *only) {
    PyObject *handle = own_handle(self);
    if (!handle) return NULL;
    lrb_repo *repo = lrb_py_handle_repo(handle);
    listing list = {0};
    lrb_err err;
    int code;
    Py_BEGIN_ALLOW_THREADS
    code = read_listing(repo, only, &list, &err);
    Py_END_ALLOW_THREADS
    PyObject *result = code ? lrb_py_raise(self->core, &err) : rows(&list);
    listing_free(&list);
    Py_DECREF(handle);
    return result;
}

static PyObject *repository_snapshots(PyObject *op, PyObject *unused) {
    (void)unused;
    return list_rows((repository_object *)op, NULL);
}

static PyObject *repository_snapshot(PyObject *op, PyObject *args) {
    const char *id;
    if (!PyArg_ParseTuple(args, "s:snapshot", &id)) return NULL;
    PyObject *list = list_rows((repository_object *)op, id);
    if (!list) return NULL;
    PyObject *one = Py_NewRef(PyList_Size(list) ? PyList_GetItem(list, 0) : Py_None);
    Py_DECREF(list);
    return one;
}

/* ---- the rest of what it says ---- */

typedef struct usage {
    unsigned long long known_bytes, retired_bytes, last_number;
} usage;

static usage read_usage(lrb_repo *repo) {
    const lrb_state *state = lrb_repo_begin_read(repo);
    usage sum = {.last_number = state->last_number};
    for (uint32_t i = 0; i < state->pack_count; i++) {
        if (state->packs[i].status == LRB_PACK_KNOWN) sum.known_bytes += state->packs[i].size_bytes;
        if (state->packs[i].status == LRB_PACK_RETIRED) sum.retired_bytes += state->packs[i].size_bytes;
    }
    lrb_repo_end_read(repo);
    return sum;
}

static PyObject *repository_usage(PyObject *op, PyObject *unused) {
    (void)unused;
    PyObject *handle = own_handle((repository_object *)op);
    if (!handle) return NULL;
    lrb_repo *repo = lrb_py_handle_repo(handle);
    usage sum;
    Py_BEGIN_ALLOW_THREADS
    sum = read_usage(repo);
    Py_END_ALLOW_THREADS
    Py_DECREF(handle);
    return Py_BuildValue("(KKK)", sum.known_bytes, sum.retired_bytes, sum.last_number);
}

static PyObject *repository_log_path(PyObject *op, PyObject *args) {
    repository_object *self = (repository_object *)op;
    unsigned long long number;
    if (!PyArg_ParseTuple(args, "K:log_path", &number)) return NULL;
    PyObject *handle = own_handle(self);
    if (!handle) return NULL;
    char name[21], log[LRB_PATH_MAX], path[LRB_PATH_MAX];
    lrb_err err;
    lrb_log_name(number, name);
    int code = lrb_path_join(log, lrb_repo_path(lrb_py_handle_repo(handle)), "log", &err);
    if (!code) code = lrb_path_join(path, log, name, &err);
    Py_DECREF(handle);
    return code ? lrb_py_raise(self->core, &err) : lrb_py_name(path, strlen(path));
}

static PyObject *read_of(PyObject *op, PyObject *args, const char *format,
                         PyObject *(*read)(const lrb_core *, lrb_repo *, const char *)) {
    repository_object *self = (repository_object *)op;
    const char *id;
    if (!PyArg_ParseTuple(args, format, &id)) return NULL;
    PyObject *handle = own_handle(self);
    PyObject *found = handle ? read(self->core, lrb_py_handle_repo(handle), id) : NULL;
    Py_XDECREF(handle);
    return found;
}

static PyObject *repository_body(PyObject *op, PyObject *args) {
    return read_of(op, args, "s:body", lrb_py_read_body);
}

static PyObject *repository_facts(PyObject *op, PyObject *args) {
    return read_of(op, args, "s:facts", lrb_py_read_facts);
}

static PyObject *repository_head(PyObject *op, PyObject *unused) {
    (void)unused;
    PyObject *handle = own_handle((repository_object *)op);
    PyObject *head = handle ? lrb_py_head(lrb_py_handle_repo(handle)) : NULL;
    Py_XDECREF(handle);
    return head;
}

static PyObject *read_from(PyObject *op, PyObject *args, const char *format,
                           PyObject *(*read)(const lrb_core *, lrb_repo *, unsigned long long)) {
    repository_object *self = (repository_object *)op;
    unsigned long long number;
    if (!PyArg_ParseTuple(args, format, &number)) return NULL;
    PyObject *handle = own_handle(self);
    PyObject *found = handle ? read(self->core, lrb_py_handle_repo(handle), number) : NULL;
    Py_XDECREF(handle);
    return found;
}

static PyObject *repository_entry(PyObject *op, PyObject *args) {
    return read_from(op, args, "K:entry", lrb_py_read_entry);
}

static PyObject *repository_known_packs(PyObject *op, PyObject *args) {
    return read_from(op, args, "K:known_packs", lrb_py_known_packs);
}

static PyObject *repository_open_pack(PyObject *op, PyObject *args) {
    repository_object *self = (repository_object *)op;
    const char *bytes;
    Py_ssize_t length;
    lrb_id id;
    if (!PyArg_ParseTuple(args, "y#:open_pack", &bytes, &length)) return NULL;
    if (length != sizeof id.bytes) return lrb_py_invalid(self->core, "open", "the id of a pack has 32 bytes");
    memcpy(id.bytes, bytes, sizeof id.bytes);
    PyObject *handle = own_handle(self);
    PyObject *fd = handle ? lrb_py_open_pack(self->core, lrb_py_handle_repo(handle), &id) : NULL;
    Py_XDECREF(handle);
    return fd;
}

static PyObject *repository_refresh(PyObject *op, PyObject *unused) {
    (void)unused;
    repository_object *self = (repository_object *)op;
    PyObject *handle = own_handle(self);
    if (!handle) return NULL;
    lrb_repo *repo = lrb_py_handle_repo(handle);
    lrb_err err;
    int code;
    Py_BEGIN_ALLOW_THREADS
    code = lrb_repo_refresh(repo, &err);
    Py_END_ALLOW_THREADS
    Py_DECREF(handle);
    if (code) return lrb_py_raise(self->core, &err);
    Py_RETURN_NONE;
}

static PyObject *repository_close(PyObject *op, PyObject *unused) {
    (void)unused;
    Py_CLEAR(((repository_object *)op)->handle);
    Py_RETURN_NONE;
}

static PyObject *handle_text(PyObject *op, const char *(*text)(const lrb_repo *)) {
    PyObject *handle = own_handle((repository_object *)op);
    if (!handle) return NULL;
    const char *found = text(lrb_py_handle_repo(handle));
    PyObject *name = lrb_py_name(found, strlen(found));
    Py_DECREF(handle);
    return name;
}

static PyObject *repository_path(PyObject *op, void *unused) {
    (void)unused;
    return handle_text(op, lrb_repo_path);
}

static PyObject *repository_graph_id(PyObject *op, void *unused) {
    (void)unused;
    return handle_text(op, lrb_repo_graph_id);
}

static PyObject *text_or_none(const char *text) { return text ? lrb_py_text(text) : Py_NewRef(Py_None); }

static PyObject *repository_alarm(PyObject *op, void *unused) {
    (void)unused;
    PyObject *handle = own_handle((repository_object *)op);
    if (!handle) return NULL;
    PyObject *said = text_or_none(lrb_repo_alarm(lrb_py_handle_repo(handle)));
    Py_DECREF(handle);
    return said;
}

static PyObject *repository_damage(PyObject *op, void *unused) {
    (void)unused;
    PyObject *handle = own_handle((repository_object *)op);
    if (!handle) return NULL;
    lrb_err err;
    int code = lrb_repo_check_whole(lrb_py_handle_repo(handle), &err);
    Py_DECREF(handle);
    if (!code) Py_RETURN_NONE;
    char said[sizeof err.target + sizeof err.message + 2];
    snprintf(said, sizeof said, "%s: %s", err.target, err.message);
    return lrb_py_text(said);
}

static PyObject *repository_writable(PyObject *op, void *unused) {
    (void)unused;
    PyObject *handle = own_handle((repository_object *)op);
    if (!handle) return NULL;
    lrb_err ignored;
    int code = lrb_repo_check_writable(lrb_py_handle_repo(handle), &ignored);
    Py_DECREF(handle);
    return PyBool_FromLong(!code);
}

static PyObject *repository_placed(PyObject *op, void *unused) {
    (void)unused;
    PyObject *handle = own_handle((repository_object *)op);
    if (!handle) return NULL;
    lrb_repo *repo = lrb_py_handle_repo(handle);
    lrb_err ignored;
    int code;
    Py_BEGIN_ALLOW_THREADS
    code = lrb_repo_check_place(repo, &ignored);
    Py_END_ALLOW_THREADS
    Py_DECREF(handle);
    return PyBool_FromLong(!code);
}

static PyObject *repository_pid(PyObject *op, void *unused) {
    (void)unused;
    return PyLong_FromLong(((repository_object *)op)->pid);
}

PyDoc_STRVAR(repository_doc,
             "One graph's repository, opened. Safe for several threads; belongs to the process that opened it.");
PyDoc_STRVAR(snapshots_doc, "snapshots($self, /)\n--\n\nAll snapshots of the state read last, in log order.");
PyDoc_STRVAR(snapshot_doc, "snapshot($self, snapshot_id, /)\n--\n\nOne snapshot, or None.");
PyDoc_STRVAR(usage_doc, "usage($self, /)\n--\n\n(bytes of known packs, bytes of retired packs, last entry number).");
PyDoc_STRVAR(log_path_doc, "log_path($self, number, /)\n--\n\nThe path of a log entry.");
PyDoc_STRVAR(body_doc,
             "body($self, snapshot_id, /)\n--\n\n(facts as JSON text, items, (name, reason) of what was left out).");
PyDoc_STRVAR(facts_doc, "facts($self, snapshot_id, /)\n--\n\nThe facts alone, as JSON text: one chunk is read.");
PyDoc_STRVAR(head_doc, "head($self, /)\n--\n\n(repository id, last entry number, its SHA-256, epoch).");
PyDoc_STRVAR(entry_doc, "entry($self, number, /)\n--\n\nA log entry: (its bytes as on disk, their SHA-256, its time in ns).");
PyDoc_STRVAR(known_packs_doc, "known_packs($self, from_number, /)\n--\n\n(id, bytes) of packs known since an entry from there on.");
PyDoc_STRVAR(open_pack_doc, "open_pack($self, id, /)\n--\n\nA descriptor of a pack's file, which the caller closes.");
PyDoc_STRVAR(refresh_doc, "refresh($self, /)\n--\n\nReads entries other processes appended.");
PyDoc_STRVAR(close_doc, "close($self, /)\n--\n\nLets the handle go; jobs under way keep their own.");

static PyMethodDef methods[] = {
    {"snapshots", repository_snapshots, METH_NOARGS, snapshots_doc},
    {"snapshot", repository_snapshot, METH_VARARGS, snapshot_doc},
    {"usage", repository_usage, METH_NOARGS, usage_doc},
    {"log_path", repository_log_path, METH_VARARGS, log_path_doc},
    {"body", repository_body, METH_VARARGS, body_doc},
    {"facts", repository_facts, METH_VARARGS, facts_doc},
    {"head", repository_head, METH_NOARGS, head_doc},
    {"entry", repository_entry, METH_VARARGS, entry_doc},
    {"known_packs", repository_known_packs, METH_VARARGS, known_packs_doc},
    {"open_pack", repository_open_pack, METH_VARARGS, open_pack_doc},
    {"refresh", repository_refresh, METH_NOARGS, refresh_doc},
    {"close", repository_close, METH_NOARGS, close_doc},
    {0},
};
static PyGetSetDef properties[] = {
    {"path", repository_path, NULL, "Its directory.", NULL},
    {"graph_id", repository_graph_id, NULL, "The graph's name.", NULL},
    {"alarm", repository_alarm, NULL, "None, or a sentence: the log is not the one that was seen here before.", NULL},
    {"damage", repository_damage, NULL, "None, or a sentence: an entry is damaged; what is intact can be read.", NULL},
    {"writable", repository_writable, NULL, "False for a handle that is only good for reading what is there now.", NULL},
    {"placed", repository_placed, NULL, "False once its path leads to another directory, or to none.", NULL},
    {"pid", repository_pid, NULL, "The process that opened it.", NULL},
    {0},
};
static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)repository_doc},
    {Py_tp_dealloc, (void *)repository_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, properties},
    {0, NULL},
};
static PyType_Spec spec = {"lightrag_bkp._core.Repository", sizeof(repository_object), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};

PyObject *lrb_py_make_repository_type(PyObject *module) {
    return PyType_FromModuleAndSpec(module, &spec, NULL);
}
