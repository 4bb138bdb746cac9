/* An object that arrives (receiving/quarantine.py): all that is done to one part, while other threads have the GIL, or by
 * a thread of a pool that never needs it. */
#include "py/core.h"

#include "base/fs.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "engine/task.h"
#include "repo/arrival.h"

typedef struct arrival_object {
    PyObject_HEAD
    lrb_core *core;
    lrb_arrival *arrival;
    bool busy; /* some thread is in take() without the GIL, or a job follows */
} arrival_object;

static const char BUSY[] = "another thread is bringing a part of this object";

static PyObject *arrival_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":Arrival", names)) return NULL;
    arrival_object *self = (arrival_object *)PyType_GenericAlloc(type, 0);
    if (!self) return NULL;
    self->core = PyType_GetModuleState(type);
    lrb_err err;
    if (!lrb_arrival_new(&self->arrival, &err)) return (PyObject *)self;
    lrb_py_raise(self->core, &err);
    Py_DECREF(self);
    return NULL;
}

static void arrival_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    lrb_arrival_free(((arrival_object *)self)->arrival);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *taken(const lrb_arrival_end *end) {
    const char *name = lrb_arrival_outcome_name(end->outcome);
    PyObject *made = Py_BuildValue("(sKi)", name, (unsigned long long)end->held, end->fd);
    if (!made) lrb_fs_close(end->fd);
    return made;
}

static PyObject *take(arrival_object *self, const lrb_arrival_part *part) {
    lrb_arrival_end end;
    lrb_err err;
    int code;
    if (self->busy) return lrb_py_invalid(self->core, "receive", BUSY);
    self->busy = true;
    Py_BEGIN_ALLOW_THREADS
    code = lrb_arrival_take(self->arrival, part, &end, &err);
    Py_END_ALLOW_THREADS
    self->busy = false;
    return code ? lrb_py_raise(self->core, &err) : taken(&end);
}

/* The sum may be None. False: raised. */
static bool sum_of(PyObject *said, lrb_arrival_part *part) {
    part->has_sum = said != Py_None;
    unsigned long sum = part->has_sum ? PyLong_AsUnsignedLong(said) : 0;
    part->sum = (uint32_t)sum;
    return !PyErr_Occurred();
}

static PyObject *arrival_take(PyObject *op, PyObject *args) {
    arrival_object *self = (arrival_object *)op;
    PyObject *path = NULL, *home = NULL, *sum, *result = NULL;
    unsigned long long size, offset;
    const char *sha256;
    Py_ssize_t sha256_bytes;
    Py_buffer bytes;
    if (!PyArg_ParseTuple(args, "O&O&y#KKy*O:take", PyUnicode_FSConverter, &path, PyUnicode_FSConverter, &home, &sha256,
                          &sha256_bytes, &size, &offset, &bytes, &sum))
        return NULL; /* what was converted before is released by then */
    lrb_arrival_part part = {.path = PyBytes_AsString(path), .home = PyBytes_AsString(home), .sha256 = (const uint8_t *)sha256,
                             .size = size, .offset = offset, .bytes = bytes.buf, .count = (size_t)bytes.len};
    if (sha256_bytes != LRB_DIGEST_BYTES) lrb_py_invalid(self->core, "receive", "a SHA-256 has 32 bytes");
    else if (sum_of(sum, &part)) result = take(self, &part);
    PyBuffer_Release(&bytes);
    Py_DECREF(path);
    Py_DECREF(home);
    return result;
}

/* ---- a part that follows, as a job ---- */

static const char FOLLOWING[] = "lightrag_bkp._core.following";

typedef struct following { /* in a capsule, so that it goes with the job and under the GIL */
    lrb_arrival_part part;
    arrival_object *arrival;
    PyObject *path;
    Py_buffer bytes;
    bool followed;
} following;

static int call_follow(void *arg, lrb_worker *worker, lrb_err *err) {
    following *self = arg;
    (void)worker, (void)err;
    self->followed = lrb_arrival_follow(self->arrival->arrival, &self->part);
    return LRB_OK;
}

static PyObject *convert_followed(const lrb_core *core, lrb_job *job, PyObject *handle) {
    (void)core, (void)handle;
    return PyBool_FromLong(((const following *)lrb_task_arg(job))->followed);
}

static void release_following(following *self) {
    self->arrival->busy = false;
    PyBuffer_Release(&self->bytes);
    Py_DECREF(self->path);
    Py_DECREF((PyObject *)self->arrival);
    lrb_free(self);
}

static void end_following(PyObject *capsule) { release_following(PyCapsule_GetPointer(capsule, FOLLOWING)); }

static PyObject *job_of(lrb_core *core, following *self) {
    lrb_py_job_parts parts = {.convert = convert_followed, .fds = {-1, -1}};
    lrb_err err;
    parts.handle = PyCapsule_New(self, FOLLOWING, end_following);
    if (!parts.handle) {
        release_following(self);
        return NULL;
    }
    if (!lrb_task_new(call_follow, self, NULL, &parts.job, &err)) return lrb_py_job_new(core, &parts);
    lrb_py_parts_release(&parts);
    return lrb_py_raise(core, &err);
}

static PyObject *arrival_follow_job(PyObject *op, PyObject *args) {
    arrival_object *arrival = (arrival_object *)op;
    unsigned long long size, offset;
    PyObject *path = NULL, *sum;
    Py_buffer bytes;
    if (!PyArg_ParseTuple(args, "O&KKy*O:follow_job", PyUnicode_FSConverter, &path, &size, &offset, &bytes, &sum)) return NULL;
    lrb_arrival_part part = {.path = PyBytes_AsString(path), .size = size, .offset = offset, .bytes = bytes.buf,
                             .count = (size_t)bytes.len};
    following *self = NULL;
    if (arrival->busy) lrb_py_invalid(arrival->core, "receive", BUSY);
    else if (sum_of(sum, &part) && !(self = lrb_alloc(sizeof *self))) PyErr_NoMemory();
    if (!self) {
        PyBuffer_Release(&bytes);
        Py_DECREF(path);
        return NULL;
    }
    *self = (following){.part = part, .arrival = (arrival_object *)Py_NewRef(op), .path = path, .bytes = bytes};
    arrival->busy = true;
    return job_of(arrival->core, self);
}

PyDoc_STRVAR(arrival_doc, "Arrival()\n--\n\nWhat is remembered of one object between its parts, for one thread at a time.");
PyDoc_STRVAR(take_doc, "take($self, path, home, sha256, size, offset, content, adler32, /)\n--\n\n"
                       "Puts a part behind what is there: (outcome, bytes that are here, locked descriptor or -1).");

PyDoc_STRVAR(follow_job_doc, "follow_job($self, path, size, offset, content, adler32, /)\n--\n\n"
                             "A job that puts down a part which follows: whether it did.");

static PyMethodDef methods[] = {{"take", arrival_take, METH_VARARGS, take_doc},
                                {"follow_job", arrival_follow_job, METH_VARARGS, follow_job_doc},
                                {0}};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)arrival_doc},
    {Py_tp_new, (void *)arrival_new},
    {Py_tp_dealloc, (void *)arrival_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};
static PyType_Spec spec = {"lightrag_bkp._core.Arrival", sizeof(arrival_object), 0, Py_TPFLAGS_DEFAULT, slots};

PyObject *lrb_py_make_arrival_type(PyObject *module) {
    return PyType_FromModuleAndSpec(module, &spec, NULL);
}
