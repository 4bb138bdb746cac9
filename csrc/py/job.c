#include "py/core.h"

#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "engine/pool.h"

enum { COUNTERS = 7 };

typedef enum stage { NEW, SUBMITTED, RETURNED } stage;

struct lrb_py_job {
    PyObject_HEAD
    lrb_core *core;
    lrb_py_job_parts parts;        /* job NULL: result() was given */
    PyObject *pool, *mailbox;      /* while submitted */
    PyObject *tag;
    stage stage;
    pid_t pid;
    uint64_t counted[COUNTERS];    /* the last counters, once the job is gone */
};

/* ---- making and releasing ---- */

void lrb_py_parts_release(lrb_py_job_parts *parts) {
    lrb_py_job_parts gone = *parts;
    *parts = (lrb_py_job_parts){.fds = {-1, -1}};
    Py_BEGIN_ALLOW_THREADS
    lrb_job_free(gone.job);
    for (int i = 0; i < 2; i++) lrb_fs_close(gone.fds[i]);
    Py_END_ALLOW_THREADS
    lrb_free(gone.memory);
    Py_XDECREF(gone.handle); /* last: the job works on its repository to its end */
}

PyObject *lrb_py_job_new(lrb_core *core, const lrb_py_job_parts *parts) {
    lrb_py_job *self = (lrb_py_job *)PyType_GenericAlloc((PyTypeObject *)core->job_type, 0);
    if (!self) {
        lrb_py_job_parts orphaned = *parts;
        lrb_py_parts_release(&orphaned);
        return NULL;
    }
    self->core = core;
    self->parts = *parts;
    self->tag = Py_NewRef(Py_None);
    self->pid = getpid();
    return (PyObject *)self;
}

static int job_traverse(PyObject *op, visitproc visit, void *arg) {
    lrb_py_job *self = (lrb_py_job *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->parts.handle);
    Py_VISIT(self->pool);
    Py_VISIT(self->mailbox);
    Py_VISIT(self->tag);
    return 0;
}

static int job_clear(PyObject *op) {
    Py_CLEAR(((lrb_py_job *)op)->tag);
    return 0;
}

/* A job made before a fork is forgotten in the child: freeing it would take files and locks from the parent's work. */
static void job_dealloc(PyObject *op) {
    lrb_py_job *self = (lrb_py_job *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    job_clear(op);
    Py_CLEAR(self->pool);
    Py_CLEAR(self->mailbox);
    if (self->pid == getpid()) lrb_py_parts_release(&self->parts);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(op);
    Py_DECREF(type);
}

/* ---- the way through the pool ---- */

static PyObject *job_submit(PyObject *op, PyObject *args) {
    lrb_py_job *self = (lrb_py_job *)op;
    PyObject *pool_object, *mailbox_object;
    if (!PyArg_ParseTuple(args, "OO:submit", &pool_object, &mailbox_object)) return NULL;
    if (self->stage != NEW || self->pid != getpid())
        return lrb_py_invalid(self->core, "submit", "a job can be submitted once, in the process that made it");
    lrb_pool *pool = lrb_py_pool(self->core, pool_object);
    lrb_mailbox *mailbox = pool ? lrb_py_mailbox_expect(self->core, mailbox_object) : NULL;
    if (!mailbox) return NULL;
    self->pool = Py_NewRef(pool_object);
    self->mailbox = Py_NewRef(mailbox_object);
    self->stage = SUBMITTED;
    self->parts.job->owner = Py_NewRef(op);
    lrb_pool_submit(pool, self->parts.job, mailbox);
    Py_RETURN_NONE;
}

PyObject *lrb_py_job_returned(lrb_job *job) {
    lrb_py_job *self = job->owner;
    job->owner = NULL;
    self->stage = RETURNED;
    Py_CLEAR(self->pool);
    Py_CLEAR(self->mailbox);
    return (PyObject *)self;
}

static PyObject *job_cancel(PyObject *op, PyObject *unused) {
    lrb_py_job *self = (lrb_py_job *)op;
    (void)unused;
    if (!self->parts.job || self->pid != getpid()) Py_RETURN_NONE;
    lrb_pool *pool = self->pool ? lrb_py_pool_or_null(self->pool) : NULL;
    if (pool) lrb_pool_cancel(pool, self->parts.job);
    else lrb_job_cancel(self->parts.job);
    Py_RETURN_NONE;
}

/* ---- what it says ---- */

static void read_counters(lrb_py_job *self) {
    if (!self->parts.job) return;
    lrb_counters *c = &self->parts.job->counters;
    self->counted[0] = atomic_load_explicit(&c->phase, memory_order_relaxed);
    _Atomic uint64_t *const rest[] = {&c->items_done,  &c->items_total,  &c->bytes_in,
                                      &c->bytes_total, &c->bytes_stored, &c->bytes_skipped};
    for (int i = 1; i < COUNTERS; i++) self->counted[i] = atomic_load_explicit(rest[i - 1], memory_order_relaxed);
}

static PyObject *job_progress(PyObject *op, PyObject *unused) {
    lrb_py_job *self = (lrb_py_job *)op;
    (void)unused;
    read_counters(self);
    PyObject *row = PyTuple_New(COUNTERS);
    for (int i = 0; row && i < COUNTERS; i++) {
        PyObject *number = PyLong_FromUnsignedLongLong(self->counted[i]);
        if (!number || PyTuple_SetItem(row, i, number)) Py_CLEAR(row);
    }
    return row;
}

/* Whatever the outcome, the job lets go of all it held: descriptors and locks do not wait for the garbage collector. */
static PyObject *job_result(PyObject *op, PyObject *unused) {
    lrb_py_job *self = (lrb_py_job *)op;
    (void)unused;
    if (self->stage != RETURNED || !self->parts.job)
        return lrb_py_invalid(self->core, "result", "a job has its result once, after its mailbox handed it back");
    lrb_job *job = self->parts.job;
    PyObject *result = job->err.code ? lrb_py_raise(self->core, &job->err)
                                     : self->parts.convert(self->core, job, self->parts.handle);
    read_counters(self);
    lrb_py_parts_release(&self->parts);
    return result;
}

PyObject *lrb_py_convert_none(const lrb_core *core, lrb_job *job, PyObject *handle) {
    (void)core, (void)job, (void)handle;
    Py_RETURN_NONE;
}

static PyObject *get_tag(PyObject *op, void *unused) {
    (void)unused;
    PyObject *tag = ((lrb_py_job *)op)->tag;
    return Py_NewRef(tag ? tag : Py_None);
}

static int set_tag(PyObject *op, PyObject *value, void *unused) {
    (void)unused;
    lrb_py_job *self = (lrb_py_job *)op;
    PyObject *before = self->tag;
    self->tag = Py_NewRef(value ? value : Py_None);
    Py_XDECREF(before);
    return 0;
}

PyDoc_STRVAR(job_doc, "One piece of long work. Made by the functions of this module that end in _job.");
PyDoc_STRVAR(
    submit_doc,
    "submit($self, pool, mailbox, /)\n--\n\nStarts it; once only. It stays alive until it comes out of the mailbox.");
PyDoc_STRVAR(cancel_doc, "cancel($self, /)\n--\n\nAsks it to stop. It still comes out of its mailbox.");
PyDoc_STRVAR(progress_doc, "progress($self, /)\n--\n\n(phase, items_done, items_total, bytes_in, bytes_total, "
                           "bytes_stored, bytes_skipped), at any time.");
PyDoc_STRVAR(result_doc,
             "result($self, /)\n--\n\nIts result, or its error raised; once, after its mailbox handed it back.");

static PyMethodDef methods[] = {
    {"submit", job_submit, METH_VARARGS, submit_doc},     {"cancel", job_cancel, METH_NOARGS, cancel_doc},
    {"progress", job_progress, METH_NOARGS, progress_doc}, {"result", job_result, METH_NOARGS, result_doc},
    {0},
};
static PyGetSetDef properties[] = {{"tag", get_tag, set_tag, "Free for the caller.", NULL}, {0}};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)job_doc},   {Py_tp_dealloc, (void *)job_dealloc}, {Py_tp_traverse, (void *)job_traverse},
    {Py_tp_clear, (void *)job_clear}, {Py_tp_methods, methods},           {Py_tp_getset, properties},
    {0, NULL},
};
static PyType_Spec spec = {"lightrag_bkp._core.Job", sizeof(lrb_py_job), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};

PyObject *lrb_py_make_job_type(PyObject *module) {
    return PyType_FromModuleAndSpec(module, &spec, NULL);
}
