#include "py/core.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "engine/mailbox.h"

/* A signal may be delivered to another thread than the one that waits, so the wait looks up this often. */
enum { LOOK_UP_MS = 200, NS_PER_MS = 1000000 };

typedef struct mailbox_object {
    PyObject_HEAD
    lrb_core *core;
    lrb_mailbox *box;       /* NULL: closed */
    pid_t pid;
    Py_ssize_t on_their_way; /* jobs submitted and not taken */
    Py_ssize_t waiting;     /* threads in wait() */
} mailbox_object;

static PyObject *mailbox_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":Mailbox", names)) return NULL;
    mailbox_object *self = (mailbox_object *)PyType_GenericAlloc(type, 0);
    if (!self) return NULL;
    self->core = PyType_GetModuleState(type);
    self->pid = getpid();
    lrb_err err;
    if (!lrb_mailbox_open(&self->box, &err)) return (PyObject *)self;
    lrb_py_raise(self->core, &err);
    Py_DECREF(self);
    return NULL;
}

/* In a forked child only its copy of the descriptor is let go: the list belongs to threads that are not there. */
static void close_box(mailbox_object *self) {
    lrb_mailbox *box = self->box;
    self->box = NULL;
    if (!box) return;
    if (self->pid == getpid()) lrb_mailbox_close(box);
    else lrb_fs_close(lrb_mailbox_fd(box));
}

/* Jobs on their way hold a reference, so none can be left here. */
static void mailbox_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    close_box((mailbox_object *)self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static bool usable(mailbox_object *self) {
    if (self->box && self->pid == getpid()) return true;
    lrb_py_invalid(self->core, "use", "this mailbox was closed, or belongs to the process this one was forked from");
    return false;
}

lrb_mailbox *lrb_py_mailbox_expect(const lrb_core *core, PyObject *mailbox) {
    if (!Py_IS_TYPE(mailbox, (PyTypeObject *)core->mailbox_type)) {
        PyErr_SetString(PyExc_TypeError, "a Mailbox is needed");
        return NULL;
    }
    mailbox_object *self = (mailbox_object *)mailbox;
    if (!usable(self)) return NULL;
    self->on_their_way++;
    return self->box;
}

static PyObject *hand_out(mailbox_object *self, lrb_job *job) {
    self->on_their_way--;
    return lrb_py_job_returned(job);
}

static PyObject *mailbox_take(PyObject *op, PyObject *unused) {
    (void)unused;
    mailbox_object *self = (mailbox_object *)op;
    if (!usable(self)) return NULL;
    lrb_job *job = lrb_mailbox_take(self->box);
    if (!job) Py_RETURN_NONE;
    return hand_out(self, job);
}

static PyObject *mailbox_wait(PyObject *op, PyObject *arg) {
    mailbox_object *self = (mailbox_object *)op;
    long long timeout_ms = PyLong_AsLongLong(arg);
    if ((timeout_ms == -1 && PyErr_Occurred()) || !usable(self)) return NULL;
    int64_t begun_ns = lrb_clock_monotonic_ns(), left_ms = timeout_ms;
    while (self->on_their_way > 0) {
        int64_t slice_ms = timeout_ms < 0 || left_ms > LOOK_UP_MS ? LOOK_UP_MS : left_ms;
        lrb_job *job;
        self->waiting++;
        Py_BEGIN_ALLOW_THREADS
        job = lrb_mailbox_wait(self->box, slice_ms);
        Py_END_ALLOW_THREADS
        self->waiting--;
        if (job) return hand_out(self, job);
        if (PyErr_CheckSignals()) return NULL;
        if (timeout_ms < 0) continue;
        left_ms = timeout_ms - (lrb_clock_monotonic_ns() - begun_ns) / NS_PER_MS;
        if (left_ms <= 0) break;
    }
    Py_RETURN_NONE;
}

static PyObject *mailbox_fileno(PyObject *op, PyObject *unused) {
    (void)unused;
    mailbox_object *self = (mailbox_object *)op;
    return usable(self) ? PyLong_FromLong(lrb_mailbox_fd(self->box)) : NULL;
}

static PyObject *mailbox_close(PyObject *op, PyObject *unused) {
    (void)unused;
    mailbox_object *self = (mailbox_object *)op;
    bool here = self->pid == getpid();
    if (here && (self->on_their_way > 0 || self->waiting > 0))
        return lrb_py_invalid(self->core, "close", "jobs are on their way to this mailbox, or a thread waits for them");
    close_box(self);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(mailbox_doc, "Mailbox()\n--\n\nFinished jobs of one event loop.");
PyDoc_STRVAR(fileno_doc, "fileno($self, /)\n--\n\nA descriptor that is readable while a finished job waits here.");
PyDoc_STRVAR(take_doc, "take($self, /)\n--\n\nThe next finished job, or None.");
PyDoc_STRVAR(
    wait_doc,
    "wait($self, timeout_ms, /)\n--\n\nThe next finished job, waited for without the GIL; -1 waits for ever. None on "
    "timeout, and at once when no job is on its way.");
PyDoc_STRVAR(close_doc,
             "close($self, /)\n--\n\nLets the descriptor go; idempotent. Refused while jobs are on their way.");

static PyMethodDef methods[] = {
    {"fileno", mailbox_fileno, METH_NOARGS, fileno_doc}, {"take", mailbox_take, METH_NOARGS, take_doc},
    {"wait", mailbox_wait, METH_O, wait_doc},            {"close", mailbox_close, METH_NOARGS, close_doc},
    {0},
};
static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)mailbox_doc},
    {Py_tp_new, (void *)mailbox_new},
    {Py_tp_dealloc, (void *)mailbox_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};
static PyType_Spec spec = {"lightrag_bkp._core.Mailbox", sizeof(mailbox_object), 0, Py_TPFLAGS_DEFAULT, slots};

PyObject *lrb_py_make_mailbox_type(PyObject *module) {
    return PyType_FromModuleAndSpec(module, &spec, NULL);
}
