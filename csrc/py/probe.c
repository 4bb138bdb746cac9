/* The module lightrag_bkp._probe: health probes of replication targets, and the requests to them (client.c). A module of
 * its own, loaded on the first of either, because libcurl brings some thirty libraries into the process. */
#include "py/core.h"

#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "net/address.h"
#include "net/prober.h"

enum { ROWS_AT_ONCE = 16 };

typedef struct prober_object {
    PyObject_HEAD
    lrb_core *core;
    lrb_prober *prober; /* NULL: stopped */
    pid_t pid;
    Py_ssize_t users;   /* threads inside a call without the GIL */
} prober_object;

static PyObject *prober_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":Prober", names)) return NULL;
    prober_object *self = (prober_object *)PyType_GenericAlloc(type, 0);
    if (!self) return NULL;
    self->core = PyType_GetModuleState(type);
    self->pid = getpid();
    lrb_err err;
    int code;
    Py_BEGIN_ALLOW_THREADS
    code = lrb_prober_start(&self->prober, &err);
    Py_END_ALLOW_THREADS
    if (!code) return (PyObject *)self;
    lrb_py_raise(self->core, &err);
    Py_DECREF(self);
    return NULL;
}

static bool usable(prober_object *self) {
    if (self->prober && self->pid == getpid()) return true;
    lrb_py_invalid(self->core, "probe", "this prober was stopped, or belongs to the process this one was forked from");
    return false;
}

static void stop(prober_object *self) {
    lrb_prober *prober = self->prober;
    self->prober = NULL;
    if (!prober) return;
    if (self->pid != getpid()) {
        lrb_prober_forget(prober);
        return;
    }
    Py_BEGIN_ALLOW_THREADS
    lrb_prober_stop(prober);
    Py_END_ALLOW_THREADS
}

static void prober_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    stop((prober_object *)self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *prober_stop(PyObject *op, PyObject *unused) {
    (void)unused;
    prober_object *self = (prober_object *)op;
    if (self->users > 0) return lrb_py_invalid(self->core, "stop", "another thread is using this prober");
    stop(self);
    Py_RETURN_NONE;
}

/* The prober's thread may hold its lock through some handshakes: everybody waits for it without the GIL. */
#define WITHOUT_GIL(self, statement) \
    do { \
        (self)->users++; \
        Py_BEGIN_ALLOW_THREADS statement; \
        Py_END_ALLOW_THREADS(self)->users--; \
    } while (0)

static PyObject *prober_set(PyObject *op, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"id", "base_url", "key", "ca_file", "certificate", "certificate_key", "allow_http", "allow_private",
                            "period_ms", "connect_ms", "total_ms", "slow_ms", NULL};
    prober_object *self = (prober_object *)op;
    lrb_probe_target target = {0};
    int allow_http, allow_private;
    long long period_ms, connect_ms, total_ms, slow_ms;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sszzzz$ppLLLL:set", names, &target.id, &target.base_url, &target.key,
                                     &target.ca_file, &target.certificate, &target.certificate_key, &allow_http,
                                     &allow_private, &period_ms, &connect_ms, &total_ms, &slow_ms) ||
        !usable(self))
        return NULL;
    target.allow_http = allow_http;
    target.allow_private = allow_private;
    target.period_ms = period_ms;
    target.connect_ms = connect_ms;
    target.total_ms = total_ms;
    target.slow_ms = slow_ms;
    lrb_err err;
    int code;
    WITHOUT_GIL(self, code = lrb_prober_set(self->prober, &target, &err));
    if (code) return lrb_py_raise(self->core, &err);
    Py_RETURN_NONE;
}

static const char *text_of(prober_object *self, PyObject *id) {
    return usable(self) ? PyUnicode_AsUTF8AndSize(id, NULL) : NULL;
}

static PyObject *prober_remove(PyObject *op, PyObject *arg) {
    prober_object *self = (prober_object *)op;
    const char *id = text_of(self, arg);
    bool removed;
    if (!id) return NULL;
    WITHOUT_GIL(self, removed = lrb_prober_remove(self->prober, id));
    return PyBool_FromLong(removed);
}

static PyObject *prober_check(PyObject *op, PyObject *arg) {
    prober_object *self = (prober_object *)op;
    const char *id = text_of(self, arg);
    uint64_t ticket;
    bool known;
    if (!id) return NULL;
    WITHOUT_GIL(self, known = lrb_prober_check(self->prober, id, &ticket));
    if (!known) Py_RETURN_NONE;
    return PyLong_FromUnsignedLongLong(ticket);
}

static PyObject *prober_check_all(PyObject *op, PyObject *unused) {
    (void)unused;
    prober_object *self = (prober_object *)op;
    uint64_t ticket;
    if (!usable(self)) return NULL;
    WITHOUT_GIL(self, ticket = lrb_prober_check_all(self->prober));
    return PyLong_FromUnsignedLongLong(ticket);
}

static PyObject *prober_swept(PyObject *op, PyObject *unused) {
    (void)unused;
    prober_object *self = (prober_object *)op;
    uint64_t ticket;
    if (!usable(self)) return NULL;
    WITHOUT_GIL(self, ticket = lrb_prober_swept(self->prober));
    return PyLong_FromUnsignedLongLong(ticket);
}

static PyObject *row(const lrb_prober_news *news) {
    const lrb_finding *last = &news->last;
    return Py_BuildValue("(NssNLLLKKNNLL)", lrb_py_text(news->id), lrb_target_status_name(news->status),
                         lrb_target_status_name(last->status), lrb_py_text(last->reason), (long long)news->probed_ns,
                         (long long)news->since_ns, (long long)last->took_ms, (unsigned long long)news->probes,
                         (unsigned long long)news->checked, lrb_py_text(last->instance_id), lrb_py_text(last->version),
                         (long long)last->epoch, (long long)last->free_bytes);
}

static PyObject *prober_look(PyObject *op, PyObject *arg) {
    prober_object *self = (prober_object *)op;
    const char *id = text_of(self, arg);
    lrb_prober_news news;
    bool known;
    if (!id) return NULL;
    WITHOUT_GIL(self, known = lrb_prober_look(self->prober, id, &news));
    if (!known) Py_RETURN_NONE;
    return row(&news);
}

/* Appends a row for each of some news. */
static int append(PyObject *rows, const lrb_prober_news *news, size_t count) {
    for (size_t i = 0; i < count; i++) {
        PyObject *one = row(&news[i]);
        int code = one ? PyList_Append(rows, one) : -1;
        Py_XDECREF(one);
        if (code) return code;
    }
    return 0;
}

static PyObject *prober_look_all(PyObject *op, PyObject *unused) {
    (void)unused;
    prober_object *self = (prober_object *)op;
    lrb_prober_news news[ROWS_AT_ONCE];
    char after[LRB_TARGET_ID_BYTES] = "";
    PyObject *rows = usable(self) ? PyList_New(0) : NULL;
    self->users++; /* making a row may let another thread run, which must not stop it between two batches */
    for (size_t count = ROWS_AT_ONCE; rows && count == ROWS_AT_ONCE;) {
        WITHOUT_GIL(self, count = lrb_prober_look_after(self->prober, after, news, ROWS_AT_ONCE));
        if (count) memcpy(after, news[count - 1].id, sizeof after);
        if (append(rows, news, count)) Py_CLEAR(rows);
    }
    self->users--;
    return rows;
}

static PyObject *prober_next(PyObject *op, PyObject *unused) {
    (void)unused;
    prober_object *self = (prober_object *)op;
    lrb_prober_news news;
    bool any;
    if (!usable(self)) return NULL;
    WITHOUT_GIL(self, any = lrb_prober_next(self->prober, &news));
    if (!any) Py_RETURN_NONE;
    return row(&news);
}

static PyObject *prober_isolated(PyObject *op, PyObject *unused) {
    (void)unused;
    prober_object *self = (prober_object *)op;
    uint64_t changes;
    bool isolated;
    if (!usable(self)) return NULL;
    WITHOUT_GIL(self, isolated = lrb_prober_isolated(self->prober, &changes));
    return Py_BuildValue("(NK)", PyBool_FromLong(isolated), (unsigned long long)changes);
}

static PyObject *prober_fileno(PyObject *op, PyObject *unused) {
    (void)unused;
    prober_object *self = (prober_object *)op;
    return usable(self) ? PyLong_FromLong(lrb_prober_fd(self->prober)) : NULL;
}

PyDoc_STRVAR(prober_doc, "Prober()\n--\n\nA thread that probes replication targets.");
PyDoc_STRVAR(set_doc, "set($self, id, base_url, key, ca_file, certificate, certificate_key, *, allow_http, allow_private, period_ms, "
                      "connect_ms, total_ms, slow_ms)\n--\n\nAdds or changes a target; its status starts anew.");
PyDoc_STRVAR(remove_doc, "remove($self, id, /)\n--\n\nWhether there was such a target.");
PyDoc_STRVAR(check_doc, "check($self, id, /)\n--\n\nProbes as soon as possible. Returns a ticket, or None for an unknown target.");
PyDoc_STRVAR(all_doc, "check_all($self, /)\n--\n\nProbes every target as soon as possible. Returns a ticket.");
PyDoc_STRVAR(swept_doc, "swept($self, /)\n--\n\nThe last ticket of check_all that every target has answered.");
PyDoc_STRVAR(look_doc, "look($self, id, /)\n--\n\nThe target's row, or None.");
PyDoc_STRVAR(look_all_doc, "look_all($self, /)\n--\n\nThe rows of all targets.");
PyDoc_STRVAR(next_doc, "next($self, /)\n--\n\nThe row of the next target there is news of, or None.");
PyDoc_STRVAR(isolated_doc, "isolated($self, /)\n--\n\nWhether most targets stopped answering at once, and how often that began or ended.");
PyDoc_STRVAR(fileno_doc, "fileno($self, /)\n--\n\nA descriptor that is readable while there is news.");
PyDoc_STRVAR(stop_doc, "stop($self, /)\n--\n\nEnds probes under way and joins the thread; idempotent. In a forked child it only forgets.");

static PyMethodDef methods[] = {
    {"set", (PyCFunction)(void (*)(void))prober_set, METH_VARARGS | METH_KEYWORDS, set_doc},
    {"remove", prober_remove, METH_O, remove_doc},
    {"check", prober_check, METH_O, check_doc},
    {"check_all", prober_check_all, METH_NOARGS, all_doc},
    {"swept", prober_swept, METH_NOARGS, swept_doc},
    {"look", prober_look, METH_O, look_doc},
    {"look_all", prober_look_all, METH_NOARGS, look_all_doc},
    {"next", prober_next, METH_NOARGS, next_doc},
    {"isolated", prober_isolated, METH_NOARGS, isolated_doc},
    {"fileno", prober_fileno, METH_NOARGS, fileno_doc},
    {"stop", prober_stop, METH_NOARGS, stop_doc},
    {0},
};
static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)prober_doc},
    {Py_tp_new, (void *)prober_new},
    {Py_tp_dealloc, (void *)prober_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};
static PyType_Spec spec = {"lightrag_bkp._probe.Prober", sizeof(prober_object), 0, Py_TPFLAGS_DEFAULT, slots};

/* ---- addresses ---- */

static const char *const reach_names[] = {
    [LRB_REACH_PUBLIC] = "public",
    [LRB_REACH_LOOPBACK] = "loopback",
    [LRB_REACH_PRIVATE] = "private",
    [LRB_REACH_NEVER] = "never",
};

static PyObject *address_reach(PyObject *module, PyObject *args) {
    const char *bytes;
    Py_ssize_t length;
    if (!PyArg_ParseTuple(args, "y#:address_reach", &bytes, &length)) return NULL;
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    bool is_four = length == sizeof four.sin_addr;
    if (!is_four && length != sizeof six.sin6_addr)
        return lrb_py_invalid(lrb_py_core(module), "judge", "an address has 4 or 16 bytes");
    memcpy(is_four ? (void *)&four.sin_addr : (void *)&six.sin6_addr, bytes, (size_t)length);
    lrb_reach reach = is_four ? lrb_address_reach((const struct sockaddr *)&four, sizeof four)
                              : lrb_address_reach((const struct sockaddr *)&six, sizeof six);
    return PyUnicode_FromString(reach_names[reach]);
}

/* ---- the module ---- */

PyDoc_STRVAR(classes_doc, "set_error_classes(classes, /)\n--\n\nTells which class each class name of the core's ERROR_TABLE is.");

PyDoc_STRVAR(reach_doc, "address_reach(packed, /)\n--\n\nWhere an address leads: public, loopback, private or never.");

static PyMethodDef functions[] = {
    {"set_error_classes", lrb_py_set_error_classes, METH_O, classes_doc},
    {"address_reach", address_reach, METH_VARARGS, reach_doc},
    {0},
};

static int exec(PyObject *module) {
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    int code = type ? PyModule_AddType(module, (PyTypeObject *)type) : -1;
    Py_XDECREF(type);
    return code ? code : lrb_py_add_client_types(module);
}

static int traverse(PyObject *module, visitproc visit, void *arg) {
    Py_VISIT(lrb_py_core(module)->request_type);
    Py_VISIT(lrb_py_core(module)->pace_type);
    return lrb_py_visit_error_classes(lrb_py_core(module), visit, arg);
}

static int clear(PyObject *module) {
    Py_CLEAR(lrb_py_core(module)->request_type);
    Py_CLEAR(lrb_py_core(module)->pace_type);
    lrb_py_clear_error_classes(lrb_py_core(module));
    return 0;
}

static void free_state(void *module) {
    clear(module);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, (void *)exec},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_SUPPORTED},
#endif
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "lightrag_bkp._probe",
    .m_doc = "Health probes of replication targets, and requests to them, in C.",
    .m_size = sizeof(lrb_core),
    .m_methods = functions,
    .m_slots = module_slots,
    .m_traverse = traverse,
    .m_clear = clear,
    .m_free = free_state,
};

PyMODINIT_FUNC PyInit__probe(void);
PyMODINIT_FUNC PyInit__probe(void) {
    return PyModuleDef_Init(&definition);
}
