#include "py/core.h"

#include <string.h>

/* "target: message", unless the message names its target itself. */
static PyObject *sentence(const lrb_err *err) {
    PyObject *message = PyUnicode_DecodeUTF8(err->message, (Py_ssize_t)strlen(err->message), "replace");
    if (!message || !err->target[0] || strstr(err->message, err->target)) return message;
    PyObject *target = PyUnicode_DecodeUTF8(err->target, (Py_ssize_t)strlen(err->target), "replace");
    PyObject *text = target ? PyUnicode_FromFormat("%U: %U", target, message) : NULL;
    Py_XDECREF(target);
    Py_DECREF(message);
    return text;
}

static int set_attribute(PyObject *exception, const char *name, PyObject *value) {
    int code = value ? PyObject_SetAttrString(exception, name, value) : -1;
    Py_XDECREF(value);
    return code;
}

PyObject *lrb_py_raise(const lrb_core *core, const lrb_err *err) {
    bool known = err->code > LRB_OK && err->code < LRB_CODE_COUNT;
    PyObject *class = known ? core->error_classes[err->code] : NULL;
    PyObject *text = sentence(err);
    if (!text) return NULL;
    if (!class) {
        PyErr_Format(PyExc_RuntimeError, "%s: %U", lrb_code_symbol(err->code), text);
        Py_DECREF(text);
        return NULL;
    }
    PyObject *exception = PyObject_CallFunctionObjArgs(class, text, NULL);
    Py_DECREF(text);
    if (!exception) return NULL;
    if (!set_attribute(exception, "code", PyUnicode_FromString(lrb_code_symbol(err->code))) &&
        !set_attribute(exception, "errno", PyLong_FromLong(err->sys_errno)) &&
        !set_attribute(exception, "op", lrb_py_text(err->op)) &&
        !set_attribute(exception, "target", lrb_py_text(err->target)))
        PyErr_SetObject(class, exception);
    Py_DECREF(exception);
    return NULL;
}

PyObject *lrb_py_invalid(const lrb_core *core, const char *op, const char *message) {
    lrb_err err;
    lrb_err_set(&err, LRB_E_INVALID, op, "", "%s", message);
    return lrb_py_raise(core, &err);
}

PyObject *lrb_py_error_table(void) {
    PyObject *table = PyTuple_New(LRB_CODE_COUNT - 1);
    for (int code = 1; table && code < LRB_CODE_COUNT; code++) {
        PyObject *row = Py_BuildValue("(sss)", lrb_code_symbol(code), lrb_code_python(code), lrb_code_meaning(code));
        if (!row || PyTuple_SetItem(table, code - 1, row)) Py_CLEAR(table);
    }
    return table;
}

static PyObject *class_for(PyObject *classes, int code) {
    PyObject *class = PyDict_GetItemString(classes, lrb_code_python(code));
    if (class && PyType_Check(class)) return class;
    PyErr_Format(PyExc_TypeError, "the error classes must hold a class named %s", lrb_code_python(code));
    return NULL;
}

PyObject *lrb_py_set_error_classes(PyObject *module, PyObject *classes) {
    lrb_core *core = lrb_py_core(module);
    if (!PyDict_Check(classes)) return PyErr_Format(PyExc_TypeError, "the error classes must come as a dict");
    for (int code = 1; code < LRB_CODE_COUNT; code++)
        if (!class_for(classes, code)) return NULL;
    for (int code = 1; code < LRB_CODE_COUNT; code++) {
        PyObject *before = core->error_classes[code];
        core->error_classes[code] = Py_NewRef(class_for(classes, code));
        Py_XDECREF(before);
    }
    Py_RETURN_NONE;
}

int lrb_py_visit_error_classes(const lrb_core *core, visitproc visit, void *arg) {
    for (int code = 0; code < LRB_CODE_COUNT; code++) Py_VISIT(core->error_classes[code]);
    return 0;
}

void lrb_py_clear_error_classes(lrb_core *core) {
    for (int code = 0; code < LRB_CODE_COUNT; code++) Py_CLEAR(core->error_classes[code]);
}
