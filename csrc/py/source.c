#include "py/core.h"

#include "engine/source.h"

typedef struct source_object {
    PyObject_HEAD
    lrb_core *core;
    lrb_source *source; /* NULL: given to a backup */
    bool busy;          /* a thread works on it without the GIL */
} source_object;

static PyObject *source_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":Source", names)) return NULL;
    source_object *self = (source_object *)PyType_GenericAlloc(type, 0);
    if (!self) return NULL;
    self->core = PyType_GetModuleState(type);
    lrb_err err;
    if (!lrb_source_new(&self->source, &err)) return (PyObject *)self;
    lrb_py_raise(self->core, &err);
    Py_DECREF(self);
    return NULL;
}

static void source_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    lrb_source *source = ((source_object *)op)->source;
    Py_BEGIN_ALLOW_THREADS
    if (source) lrb_source_free(source);
    Py_END_ALLOW_THREADS
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(op);
    Py_DECREF(type);
}

static lrb_source *usable(source_object *self) {
    if (self->source && !self->busy) return self->source;
    lrb_py_invalid(self->core, "use",
                   self->busy ? "another thread is using this source" : "this source was given to a backup");
    return NULL;
}

lrb_source *lrb_py_source(const lrb_core *core, PyObject *source) {
    if (Py_IS_TYPE(source, (PyTypeObject *)core->source_type)) return usable((source_object *)source);
    PyErr_SetString(PyExc_TypeError, "a Source is needed");
    return NULL;
}

void lrb_py_source_gone(PyObject *source) {
    ((source_object *)source)->source = NULL;
}

static PyObject *answer(const source_object *self, int code, const lrb_err *err) {
    if (code) return lrb_py_raise(self->core, err);
    Py_RETURN_NONE;
}

/* `fd` is the source's from the first moment: whoever calls need not know which check failed. */
static PyObject *source_pin(PyObject *op, PyObject *args) {
    source_object *self = (source_object *)op;
    PyObject *name;
    int fd, code;
    if (!PyArg_ParseTuple(args, "O&i:pin", PyUnicode_FSConverter, &name, &fd)) return NULL;
    lrb_source *source = usable(self);
    lrb_err err;
    if (!source) {
        lrb_fs_close(fd);
        Py_DECREF(name);
        return NULL;
    }
    const char *text = PyBytes_AsString(name);
    self->busy = true;
    Py_BEGIN_ALLOW_THREADS
    code = lrb_source_pin(source, text, fd, &err);
    Py_END_ALLOW_THREADS
    self->busy = false;
    Py_DECREF(name);
    return answer(self, code, &err);
}

static PyObject *source_add_tree(PyObject *op, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"fd", "prefix", "only", NULL};
    source_object *self = (source_object *)op;
    PyObject *prefix, *only_name = Py_None, *only = NULL;
    int fd, code = LRB_OK;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "iO&|O:add_tree", keywords, &fd, PyUnicode_FSConverter, &prefix,
                                     &only_name))
        return NULL;
    lrb_source *source = only_name == Py_None || PyUnicode_FSConverter(only_name, &only) ? usable(self) : NULL;
    lrb_err err;
    if (source) {
        const char *below = PyBytes_AsString(prefix), *child = only ? PyBytes_AsString(only) : NULL;
        self->busy = true;
        Py_BEGIN_ALLOW_THREADS
        code = lrb_source_add_tree(source, fd, below, child, &err);
        Py_END_ALLOW_THREADS
        self->busy = false;
    }
    Py_DECREF(prefix);
    Py_XDECREF(only);
    return source ? answer(self, code, &err) : NULL;
}

static PyObject *source_skip(PyObject *op, PyObject *args) {
    source_object *self = (source_object *)op;
    PyObject *name;
    const char *reason;
    if (!PyArg_ParseTuple(args, "O&s:skip", PyUnicode_FSConverter, &name, &reason)) return NULL;
    lrb_source *source = usable(self);
    lrb_err err;
    PyObject *result = source ? answer(self, lrb_source_skip_name(source, PyBytes_AsString(name), reason, &err), &err)
                              : NULL;
    Py_DECREF(name);
    return result;
}

static PyObject *source_seal(PyObject *op, PyObject *unused) {
    (void)unused;
    source_object *self = (source_object *)op;
    lrb_source *source = usable(self);
    if (!source) return NULL;
    lrb_err err;
    int code;
    self->busy = true;
    Py_BEGIN_ALLOW_THREADS
    code = lrb_source_seal(source, &err);
    Py_END_ALLOW_THREADS
    self->busy = false;
    return answer(self, code, &err);
}

static Py_ssize_t source_length(PyObject *op) {
    lrb_source *source = usable((source_object *)op);
    return source ? (Py_ssize_t)lrb_source_count(source) : -1;
}

static PyObject *source_totals(PyObject *op, PyObject *unused) {
    (void)unused;
    lrb_source *source = usable((source_object *)op);
    if (!source) return NULL;
    unsigned long long bytes = 0;
    size_t count = lrb_source_count(source);
    for (size_t i = 0; i < count; i++) {
        const lrb_identity *identity = &lrb_source_at(source, i)->identity;
        if (identity->type == LRB_FILE_REGULAR || identity->type == LRB_FILE_SYMLINK) bytes += identity->size_bytes;
    }
    return Py_BuildValue("(nK)", (Py_ssize_t)count, bytes);
}

PyDoc_STRVAR(source_doc,
             "Source()\n--\n\nWhat a backup reads: pinned descriptors, and trees listed now and opened when read.");
PyDoc_STRVAR(pin_doc, "pin($self, name, fd, /)\n--\n\nAdds an open file; takes over `fd`, on failure too.");
PyDoc_STRVAR(add_tree_doc,
             "add_tree($self, /, fd, prefix, only=None)\n--\n\nAdds everything below a directory, or one child of it.");
PyDoc_STRVAR(skip_doc, "skip($self, name, reason, /)\n--\n\nRecords what is left out and why.");
PyDoc_STRVAR(seal_doc, "seal($self, /)\n--\n\nSorts; nothing can be added afterwards.");
PyDoc_STRVAR(totals_doc, "totals($self, /)\n--\n\n(items, bytes).");

static PyMethodDef methods[] = {
    {"pin", source_pin, METH_VARARGS, pin_doc},
    {"add_tree", (PyCFunction)(void (*)(void))source_add_tree, METH_VARARGS | METH_KEYWORDS, add_tree_doc},
    {"skip", source_skip, METH_VARARGS, skip_doc},
    {"seal", source_seal, METH_NOARGS, seal_doc},
    {"totals", source_totals, METH_NOARGS, totals_doc},
    {0},
};
static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)source_doc},        {Py_tp_new, (void *)source_new}, {Py_tp_dealloc, (void *)source_dealloc},
    {Py_sq_length, (void *)source_length}, {Py_tp_methods, methods},        {0, NULL},
};
static PyType_Spec spec = {"lightrag_bkp._core.Source", sizeof(source_object), 0, Py_TPFLAGS_DEFAULT, slots};

PyObject *lrb_py_make_source_type(PyObject *module) {
    return PyType_FromModuleAndSpec(module, &spec, NULL);
}
