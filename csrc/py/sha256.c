/* A SHA-256 that runs along with what arrives (receiving/quarantine.py): it fetches ahead, which OpenSSL's does not. */
#include "py/core.h"

#include "codec/digest.h"

typedef struct sha256_object {
    PyObject_HEAD
    lrb_core *core;
    lrb_digest *digest;
    bool busy; /* some thread is in update(), without the GIL */
} sha256_object;

static PyObject *sha256_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":Sha256", names)) return NULL;
    sha256_object *self = (sha256_object *)PyType_GenericAlloc(type, 0);
    if (!self) return NULL;
    self->core = PyType_GetModuleState(type);
    lrb_err err;
    int code = lrb_digest_new(&self->digest, &err);
    if (!code) code = lrb_digest_begin(self->digest, &err);
    if (!code) return (PyObject *)self;
    lrb_py_raise(self->core, &err);
    Py_DECREF(self);
    return NULL;
}

static void sha256_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    lrb_digest_free(((sha256_object *)self)->digest);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *busy(const sha256_object *self, const char *op) {
    return lrb_py_invalid(self->core, op, "another thread is using this digest");
}

static PyObject *sha256_update(PyObject *op, PyObject *arg) {
    sha256_object *self = (sha256_object *)op;
    Py_buffer bytes;
    lrb_err err;
    int code;
    if (PyObject_GetBuffer(arg, &bytes, PyBUF_SIMPLE)) return NULL; /* may let other threads run */
    if (self->busy) {
        PyBuffer_Release(&bytes);
        return busy(self, "update");
    }
    self->busy = true;
    Py_BEGIN_ALLOW_THREADS
    code = lrb_digest_update(self->digest, bytes.buf, (size_t)bytes.len, &err);
    Py_END_ALLOW_THREADS
    self->busy = false;
    PyBuffer_Release(&bytes);
    if (code) return lrb_py_raise(self->core, &err);
    Py_RETURN_NONE;
}

static PyObject *sha256_finish(PyObject *op, PyObject *unused) {
    (void)unused;
    sha256_object *self = (sha256_object *)op;
    uint8_t digest[LRB_DIGEST_BYTES];
    lrb_err err;
    if (self->busy) return busy(self, "finish");
    return lrb_digest_finish(self->digest, digest, &err) ? lrb_py_raise(self->core, &err) : lrb_py_digest(digest);
}

PyDoc_STRVAR(sha256_doc, "Sha256()\n--\n\nOne message's SHA-256, for one thread at a time.");
PyDoc_STRVAR(update_doc, "update($self, content, /)\n--\n\nThe caller keeps the bytes as they are.");
PyDoc_STRVAR(finish_doc, "finish($self, /)\n--\n\nThe digest of all of it; nothing follows.");

static PyMethodDef methods[] = {
    {"update", sha256_update, METH_O, update_doc}, {"finish", sha256_finish, METH_NOARGS, finish_doc}, {0}};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)sha256_doc},
    {Py_tp_new, (void *)sha256_new},
    {Py_tp_dealloc, (void *)sha256_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};
static PyType_Spec spec = {"lightrag_bkp._core.Sha256", sizeof(sha256_object), 0, Py_TPFLAGS_DEFAULT, slots};

PyObject *lrb_py_make_sha256_type(PyObject *module) {
    return PyType_FromModuleAndSpec(module, &spec, NULL);
}
