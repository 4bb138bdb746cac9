/* An object that arrives (receiving/quarantine.py): all that is done to one part, while other threads have the GIL. */
#include "py/core.h"

#include "base/fs.h"
#include "codec/digest.h"
#include "repo/arrival.h"

typedef struct arrival_object {
    PyObject_HEAD
    lrb_core *core;
    lrb_arrival *arrival;
    bool busy; /* some thread is in take(), without the GIL */
} arrival_object;

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
    if (self->busy) return lrb_py_invalid(self->core, "receive", "another thread is bringing a part of this object");
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

PyDoc_STRVAR(arrival_doc, "Arrival()\n--\n\nWhat is remembered of one object between its parts, for one thread at a time.");
PyDoc_STRVAR(take_doc, "take($self, path, home, sha256, size, offset, content, adler32, /)\n--\n\n"
                       "Puts a part behind what is there: (outcome, bytes that are here, locked descriptor or -1).");

static PyMethodDef methods[] = {{"take", arrival_take, METH_VARARGS, take_doc}, {0}};

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
