#include "py/core.h"

#include <unistd.h>

#include "engine/pool.h"

typedef struct pool_object {
    PyObject_HEAD
    lrb_core *core;
    lrb_pool *pool; /* NULL: stopped */
    pid_t pid;
} pool_object;

lrb_pool *lrb_py_pool_or_null(PyObject *pool) {
    pool_object *self = (pool_object *)pool;
    return self->pid == getpid() ? self->pool : NULL;
}

lrb_pool *lrb_py_pool(const lrb_core *core, PyObject *pool) {
    if (!Py_IS_TYPE(pool, (PyTypeObject *)core->pool_type)) {
        PyErr_SetString(PyExc_TypeError, "a Pool is needed");
        return NULL;
    }
    lrb_pool *found = lrb_py_pool_or_null(pool);
    if (!found)
        lrb_py_invalid(core, "submit", "this pool was stopped, or belongs to the process this one was forked from");
    return found;
}

static unsigned at_least_none(int number) {
    return number < 0 ? 0 : (unsigned)number;
}

static PyObject *pool_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"threads", "max_active", NULL};
    int threads, max_active;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "ii:Pool", names, &threads, &max_active)) return NULL;
    pool_object *self = (pool_object *)PyType_GenericAlloc(type, 0);
    if (!self) return NULL;
    self->core = PyType_GetModuleState(type);
    self->pid = getpid();
    lrb_err err;
    int code;
    Py_BEGIN_ALLOW_THREADS
    code = lrb_pool_start(at_least_none(threads), at_least_none(max_active), &self->pool, &err);
    Py_END_ALLOW_THREADS
    if (!code) return (PyObject *)self;
    lrb_py_raise(self->core, &err);
    Py_DECREF(self);
    return NULL;
}

static void stop(pool_object *self) {
    lrb_pool *pool = lrb_py_pool_or_null((PyObject *)self);
    self->pool = NULL;
    if (!pool) return;
    Py_BEGIN_ALLOW_THREADS
    lrb_pool_stop(pool);
    Py_END_ALLOW_THREADS
}

static void pool_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    stop((pool_object *)self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *pool_stop(PyObject *self, PyObject *unused) {
    (void)unused;
    stop((pool_object *)self);
    Py_RETURN_NONE;
}

static PyObject *pool_pid(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromLong(((pool_object *)self)->pid);
}

PyDoc_STRVAR(pool_doc, "Pool(threads, max_active)\n--\n\nThe worker threads of this process.");
PyDoc_STRVAR(stop_doc, "stop($self, /)\n--\n\nCancels and joins; idempotent. In a forked child it only forgets.");

static PyMethodDef methods[] = {{"stop", pool_stop, METH_NOARGS, stop_doc}, {0}};
static PyGetSetDef properties[] = {{"pid", pool_pid, NULL, "The process whose threads these are.", NULL}, {0}};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)pool_doc}, {Py_tp_new, (void *)pool_new},  {Py_tp_dealloc, (void *)pool_dealloc},
    {Py_tp_methods, methods},      {Py_tp_getset, properties}, {0, NULL},
};
static PyType_Spec spec = {"lightrag_bkp._core.Pool", sizeof(pool_object), 0, Py_TPFLAGS_DEFAULT, slots};

PyObject *lrb_py_make_pool_type(PyObject *module) {
    return PyType_FromModuleAndSpec(module, &spec, NULL);
}
