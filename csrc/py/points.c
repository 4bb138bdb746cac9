/* Recovery points (repo/point.h): small files, so plain functions that let go of the GIL. */
#include "py/core.h"

#include <string.h>

#include "base/buf.h"
#include "repo/point.h"

/* ---- arguments ---- */

typedef struct point_args {
    PyObject *storage, *id, *key; /* bytes, owned; bytes, owned; borrowed or NULL */
    Py_buffer text;
    lrb_point_place place;
} point_args;

static void release(point_args *a) {
    if (a->text.obj) PyBuffer_Release(&a->text);
    Py_XDECREF(a->storage);
    Py_XDECREF(a->id);
}

/* The caller's arguments keep the key alive. */
static bool settle(const lrb_core *core, point_args *a) {
    bool sealed = a->key && a->key != Py_None;
    a->place = (lrb_point_place){PyBytes_AsString(a->storage), PyBytes_AsString(a->id), sealed ? lrb_py_key(core, a->key) : NULL};
    return !sealed || a->place.key;
}

/* ---- append ---- */

static PyObject *point_append(PyObject *module, PyObject *args) {
    point_args a = {0};
    int create, code = 0;
    uint64_t number = 0;
    lrb_err err;
    bool ready = PyArg_ParseTuple(args, "O&O&ps*|O:point_append", PyUnicode_FSConverter, &a.storage, PyUnicode_FSConverter,
                                  &a.id, &create, &a.text, &a.key) && settle(lrb_py_core(module), &a);
    if (ready) {
        Py_BEGIN_ALLOW_THREADS
        code = lrb_point_append(&a.place, create, a.text.buf, (size_t)a.text.len, &number, &err);
        Py_END_ALLOW_THREADS
    }
    release(&a);
    if (!ready) return NULL;
    return code ? lrb_py_raise(lrb_py_core(module), &err) : PyLong_FromUnsignedLongLong(number);
}

/* ---- read: u64 number | i64 time | u64 length | text, one after another, then made into Python objects ---- */

enum { READ_MAX_BYTES = 256 << 20 };

static int note(void *arg, uint64_t number, int64_t time_ns, const char *text, size_t length, lrb_err *err) {
    uint64_t head[3] = {number, (uint64_t)time_ns, length};
    int code = lrb_buf_append(arg, head, sizeof head, err);
    return code ? code : lrb_buf_append(arg, text, length, err);
}

static PyObject *listed(const lrb_buf *notes) {
    PyObject *list = PyList_New(0);
    for (size_t at = 0; list && at < notes->length;) {
        uint64_t head[3];
        memcpy(head, notes->data + at, sizeof head);
        PyObject *row = Py_BuildValue("(KLN)", (unsigned long long)head[0], (long long)head[1],
                                      PyUnicode_DecodeUTF8((const char *)notes->data + at + sizeof head,
                                                           (Py_ssize_t)head[2], "surrogateescape"));
        if (!row || PyList_Append(list, row)) Py_CLEAR(list);
        Py_XDECREF(row);
        at += sizeof head + head[2];
    }
    return list;
}

static PyObject *point_read(PyObject *module, PyObject *args) {
    point_args a = {0};
    int code = 0;
    lrb_err err;
    lrb_buf notes;
    lrb_buf_init(&notes, READ_MAX_BYTES);
    bool ready = PyArg_ParseTuple(args, "O&O&|O:point_read", PyUnicode_FSConverter, &a.storage, PyUnicode_FSConverter,
                                  &a.id, &a.key) && settle(lrb_py_core(module), &a);
    if (ready) {
        Py_BEGIN_ALLOW_THREADS
        code = lrb_point_read(&a.place, note, &notes, &err);
        Py_END_ALLOW_THREADS
    }
    release(&a);
    PyObject *result = !ready ? NULL : code ? lrb_py_raise(lrb_py_core(module), &err) : listed(&notes);
    lrb_buf_clear(&notes);
    return result;
}

/* ---- delete ---- */

static PyObject *point_delete(PyObject *module, PyObject *args) {
    PyObject *storage, *id;
    bool existed;
    int code;
    lrb_err err;
    if (!PyArg_ParseTuple(args, "O&O&:point_delete", PyUnicode_FSConverter, &storage, PyUnicode_FSConverter, &id)) return NULL;
    const char *storage_path = PyBytes_AsString(storage), *point = PyBytes_AsString(id);
    Py_BEGIN_ALLOW_THREADS
    code = lrb_point_delete(storage_path, point, &existed, &err);
    Py_END_ALLOW_THREADS
    Py_DECREF(storage);
    Py_DECREF(id);
    return code ? lrb_py_raise(lrb_py_core(module), &err) : PyBool_FromLong(existed);
}

PyDoc_STRVAR(append_doc, "point_append(storage_path, point_id, create, text, key=None, /)\n--\n\n"
                         "Appends a document to a recovery point, or makes the point; its number.");
PyDoc_STRVAR(read_doc, "point_read(storage_path, point_id, key=None, /)\n--\n\nAll documents: (number, time in ns, text).");
PyDoc_STRVAR(delete_doc, "point_delete(storage_path, point_id, /)\n--\n\nWhether there was such a point.");

PyMethodDef lrb_py_point_functions[] = {
    {"point_append", point_append, METH_VARARGS, append_doc},
    {"point_read", point_read, METH_VARARGS, read_doc},
    {"point_delete", point_delete, METH_VARARGS, delete_doc},
    {0},
};
