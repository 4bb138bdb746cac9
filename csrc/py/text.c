#include "py/core.h"

#include <string.h>

#include "base/mem.h"

PyObject *lrb_py_name(const char *name, size_t length) {
    return PyUnicode_DecodeFSDefaultAndSize(name, (Py_ssize_t)length);
}

PyObject *lrb_py_text(const char *text) {
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "surrogateescape");
}

PyObject *lrb_py_digest(const uint8_t digest[32]) {
    return PyBytes_FromStringAndSize((const char *)digest, 32);
}

/* A list of bytes objects without NUL inside, and what they take together with their terminators. */
static PyObject *encode_all(PyObject *sequence, size_t *total) {
    if (PyUnicode_Check(sequence) || PyBytes_Check(sequence))
        return PyErr_Format(PyExc_TypeError, "a sequence of names is needed, not one name");
    PyObject *names = PySequence_List(sequence);
    Py_ssize_t count = names ? PyList_Size(names) : 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *encoded;
        if (!PyUnicode_FSConverter(PyList_GetItem(names, i), &encoded)) {
            Py_DECREF(names);
            return NULL;
        }
        *total += (size_t)PyBytes_Size(encoded) + 1; /* all of it is in memory already, so the sum fits */
        PyList_SetItem(names, i, encoded);
    }
    return names;
}

bool lrb_py_names_take(PyObject *sequence, lrb_py_names *out) {
    size_t total = 0;
    PyObject *names = encode_all(sequence, &total);
    if (!names) return false;
    size_t count = (size_t)PyList_Size(names);
    char *block = lrb_alloc(count * sizeof(char *) + total);
    if (!block) {
        Py_DECREF(names);
        PyErr_NoMemory();
        return false;
    }
    *out = (lrb_py_names){(const char **)(void *)block, count};
    char *at = block + count * sizeof(char *);
    for (size_t i = 0; i < count; i++) {
        PyObject *name = PyList_GetItem(names, (Py_ssize_t)i);
        size_t bytes = (size_t)PyBytes_Size(name) + 1;
        memcpy(at, PyBytes_AsString(name), bytes);
        out->at[i] = at;
        at += bytes;
    }
    Py_DECREF(names);
    return true;
}
