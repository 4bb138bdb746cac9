/* Restored: what a restore does, or did, with each item. The list stays in the core; rows are made when asked for. */
#include "py/core.h"

#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "engine/obstacle.h"
#include "engine/publish.h"
#include "engine/restore.h"

typedef struct restored_object {
    PyObject_HEAD
    lrb_core *core;
    lrb_restore_list *list; /* NULL: given to the job that stages it */
} restored_object;

PyObject *lrb_py_restored_new(const lrb_core *core, lrb_restore_list *list) {
    restored_object *self = (restored_object *)PyType_GenericAlloc((PyTypeObject *)core->restored_type, 0);
    if (!self) {
        lrb_restore_list_free(list);
        return NULL;
    }
    self->core = (lrb_core *)core;
    self->list = list;
    return (PyObject *)self;
}

static void restored_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    lrb_restore_list_free(((restored_object *)op)->list);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(op);
    Py_DECREF(type);
}

static lrb_restore_list *list_of(PyObject *op) {
    restored_object *self = (restored_object *)op;
    if (!self->list) lrb_py_invalid(self->core, "use", "this list was given to a job");
    return self->list;
}

bool lrb_py_is_restored(const lrb_core *core, PyObject *object) {
    return Py_IS_TYPE(object, (PyTypeObject *)core->restored_type);
}

/* Only a plan may be given away: what is staged may be in use by the job that publishes it. */
lrb_restore_list *lrb_py_restored(const lrb_core *core, PyObject *restored, bool staged) {
    if (!lrb_py_is_restored(core, restored)) {
        PyErr_SetString(PyExc_TypeError, "a Restored is needed");
        return NULL;
    }
    lrb_restore_list *list = list_of(restored);
    if (!list || lrb_restore_list_is_staged(list) == staged) return list;
    lrb_py_invalid(core, "restore", staged ? "nothing of this plan is staged" : "this list was staged already");
    return NULL;
}

void lrb_py_restored_gone(PyObject *restored) {
    ((restored_object *)restored)->list = NULL;
}

bool lrb_py_restored_names(const lrb_restore_list *list, lrb_py_names *out) {
    size_t total = lrb_restore_list_count(list), count = 0;
    const char **at = lrb_alloc_zero(total, sizeof *at);
    if (!at) {
        PyErr_NoMemory();
        return false;
    }
    for (size_t i = 0; i < total; i++)
        if (lrb_restore_list_at(list, i)->staged) at[count++] = lrb_restore_list_at(list, i)->name;
    *out = (lrb_py_names){at, count};
    return true;
}

/* ---- as a sequence ---- */

static Py_ssize_t restored_length(PyObject *op) {
    const lrb_restore_list *list = list_of(op);
    return list ? (Py_ssize_t)lrb_restore_list_count(list) : -1;
}

static PyObject *restored_item(PyObject *op, Py_ssize_t position) {
    const lrb_restore_list *list = list_of(op);
    if (!list) return NULL;
    if (position < 0 || (size_t)position >= lrb_restore_list_count(list)) {
        PyErr_SetString(PyExc_IndexError, "there is no item of this number");
        return NULL;
    }
    const lrb_restored_item *item = lrb_restore_list_at(list, (size_t)position);
    return Py_BuildValue("(NiiK)", lrb_py_name(item->name, strlen(item->name)), (int)item->type, (int)item->action,
                         (unsigned long long)item->size_bytes);
}

/* ---- the rest ---- */

static PyObject *restored_totals(PyObject *op, PyObject *unused) {
    (void)unused;
    const lrb_restore_list *list = list_of(op);
    if (!list) return NULL;
    const lrb_restore_totals *totals = lrb_restore_list_totals(list);
    return Py_BuildValue("(nnnnK)", (Py_ssize_t)totals->create, (Py_ssize_t)totals->replace, (Py_ssize_t)totals->same,
                         (Py_ssize_t)totals->exact, (unsigned long long)totals->needed_bytes);
}

static PyObject *restored_staged(PyObject *op, PyObject *unused) {
    (void)unused;
    const lrb_restore_list *list = list_of(op);
    lrb_py_names names;
    if (!list || !lrb_py_restored_names(list, &names)) return NULL;
    PyObject *result = PyList_New((Py_ssize_t)names.count);
    for (size_t i = 0; result && i < names.count; i++) {
        PyObject *name = lrb_py_name(names.at[i], strlen(names.at[i]));
        if (!name || PyList_SetItem(result, (Py_ssize_t)i, name)) Py_CLEAR(result);
    }
    lrb_free(names.at);
    return result;
}

static PyObject *restored_has(PyObject *op, PyObject *arg) {
    PyObject *name;
    const lrb_restore_list *list = list_of(op);
    if (!list || !PyUnicode_FSConverter(arg, &name)) return NULL;
    bool has = lrb_restore_list_has(list, PyBytes_AsString(name));
    Py_DECREF(name);
    return PyBool_FromLong(has);
}

static int append_surplus(PyObject *names, const lrb_restore_list *list, const char *name) {
    if (lrb_publish_reserved(name) || lrb_restore_list_has(list, name)) return 0;
    PyObject *text = lrb_py_name(name, strlen(name));
    int code = text ? PyList_Append(names, text) : -1;
    Py_XDECREF(text);
    return code;
}

static PyObject *restored_surplus(PyObject *op, PyObject *arg) {
    const lrb_restore_list *list = list_of(op);
    lrb_source *source = list ? lrb_py_source(((restored_object *)op)->core, arg) : NULL;
    PyObject *names = source ? PyList_New(0) : NULL;
    for (size_t i = 0; names && i < lrb_source_count(source); i++)
        if (append_surplus(names, list, lrb_source_at(source, i)->name)) Py_CLEAR(names);
    for (size_t i = 0; names && i < lrb_source_skip_count(source); i++)
        if (append_surplus(names, list, lrb_source_skip_at(source, i)->name)) Py_CLEAR(names);
    return names;
}

static PyObject *restored_refuse_mounts(PyObject *op, PyObject *args) {
    const lrb_core *core = ((restored_object *)op)->core;
    const lrb_restore_list *list = list_of(op);
    lrb_py_names names = {0}, removed = {0};
    PyObject *others;
    int target, code = LRB_OK;
    lrb_err err;
    if (!list || !PyArg_ParseTuple(args, "iO:refuse_mounts", &target, &others)) return NULL;
    bool taken = lrb_py_restored_names(list, &names) && lrb_py_names_take(others, &removed);
    if (taken) {
        Py_BEGIN_ALLOW_THREADS
        code = lrb_obstacle_mounts(target, (lrb_names){names.at, names.count}, &err);
        if (!code) code = lrb_obstacle_mounts(target, (lrb_names){removed.at, removed.count}, &err);
        Py_END_ALLOW_THREADS
    }
    lrb_free(names.at);
    lrb_free(removed.at);
    if (!taken) return NULL;
    if (code) return lrb_py_raise((lrb_core *)core, &err);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(restored_doc, "What a restore does with each item: a sequence of (name, type, action, size).");
PyDoc_STRVAR(totals_doc, "totals($self, /)\n--\n\n(create, replace, same, exact, needed bytes).");
PyDoc_STRVAR(staged_doc, "staged($self, /)\n--\n\nThe names in the staging directory, as publish_commit_job takes them.");
PyDoc_STRVAR(has_doc, "has($self, name, /)\n--\n\nWhether there is an item of this name.");
PyDoc_STRVAR(surplus_doc, "surplus($self, source, /)\n--\n\nNames a Source lists, left out or not, that no item has.");

PyDoc_STRVAR(refuse_mounts_doc, "refuse_mounts($self, directory, removed, /)\n--\n\n"
                                "Raises UnsupportedError for a mount point where an item, or a removed name, lies.");

static PyMethodDef methods[] = {
    {"refuse_mounts", restored_refuse_mounts, METH_VARARGS, refuse_mounts_doc},
    {"totals", restored_totals, METH_NOARGS, totals_doc},
    {"staged", restored_staged, METH_NOARGS, staged_doc},
    {"has", restored_has, METH_O, has_doc},
    {"surplus", restored_surplus, METH_O, surplus_doc},
    {0},
};
static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)restored_doc},
    {Py_tp_dealloc, (void *)restored_dealloc},
    {Py_tp_methods, methods},
    {Py_sq_length, (void *)restored_length},
    {Py_sq_item, (void *)restored_item},
    {0, NULL},
};
static PyType_Spec spec = {"lightrag_bkp._core.Restored", sizeof(restored_object), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};

PyObject *lrb_py_make_restored_type(PyObject *module) {
    return PyType_FromModuleAndSpec(module, &spec, NULL);
}
