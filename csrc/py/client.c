/* Requests to servers of ours (net/client.h), and the paces they keep (net/pace.h). */
#include "py/core.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/client.h"

/* ---- Pace ---- */

typedef struct pace_object {
    PyObject_HEAD
    lrb_pace pace;
} pace_object;

static PyObject *pace_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"bytes_per_s", NULL};
    double bytes_per_s;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "d:Pace", names, &bytes_per_s)) return NULL;
    if (!(bytes_per_s > 0)) return lrb_py_invalid(PyType_GetModuleState(type), "pace", "a pace is a positive number of bytes per second");
    pace_object *self = (pace_object *)PyType_GenericAlloc(type, 0);
    if (self) lrb_pace_init(&self->pace, bytes_per_s, lrb_clock_monotonic_ns());
    return (PyObject *)self;
}

static void pace_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    lrb_pace_clear(&((pace_object *)self)->pace);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *pace_take(PyObject *op, PyObject *args) {
    Py_ssize_t count;
    long long now_ns;
    if (!PyArg_ParseTuple(args, "nL:take", &count, &now_ns)) return NULL;
    return PyLong_FromLongLong(lrb_pace_take(&((pace_object *)op)->pace, count < 0 ? 0 : (size_t)count, now_ns));
}

static PyObject *pace_piece(PyObject *op, PyObject *arg) {
    lrb_pace *pace = &((pace_object *)op)->pace;
    size_t most = PyLong_AsSize_t(arg);
    if (most == (size_t)-1 && PyErr_Occurred()) return NULL;
    return PyLong_FromSize_t(lrb_pace_piece(&pace, 1, most));
}

PyDoc_STRVAR(pace_doc, "Pace(bytes_per_s)\n--\n\nHow fast bytes may go out, for any number of requests together.");
PyDoc_STRVAR(take_doc, "take($self, count, now_ns, /)\n--\n\nTakes bytes; nanoseconds until they may go, from now on by the monotonic clock.");
PyDoc_STRVAR(piece_doc, "piece($self, most, /)\n--\n\nHow many bytes are taken at once.");

static PyMethodDef pace_methods[] = {{"take", pace_take, METH_VARARGS, take_doc}, {"piece", pace_piece, METH_O, piece_doc}, {0}};
static PyType_Slot pace_slots[] = {
    {Py_tp_doc, (void *)pace_doc}, {Py_tp_new, (void *)pace_new}, {Py_tp_dealloc, (void *)pace_dealloc}, {Py_tp_methods, pace_methods}, {0, NULL},
};
static PyType_Spec pace_spec = {"lightrag_bkp._probe.Pace", sizeof(pace_object), 0, Py_TPFLAGS_DEFAULT, pace_slots};

/* ---- Client and Request ---- */

typedef struct client_object {
    PyObject_HEAD
    lrb_core *core;
    lrb_client *client; /* NULL: stopped */
    pid_t pid;
} client_object;

typedef struct request_object {
    PyObject_HEAD
    client_object *client;
    lrb_request *request;
    Py_buffer body;
    PyObject *paces; /* a tuple */
    bool is_over;
} request_object;

static bool usable(client_object *self) {
    if (self->client && self->pid == getpid()) return true;
    lrb_py_invalid(self->core, "ask", "this client was stopped, or belongs to the process this one was forked from");
    return false;
}

static PyObject *client_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":Client", names)) return NULL;
    client_object *self = (client_object *)PyType_GenericAlloc(type, 0);
    if (!self) return NULL;
    self->core = PyType_GetModuleState(type);
    self->pid = getpid();
    lrb_err err;
    if (!lrb_client_start(&self->client, &err)) return (PyObject *)self;
    lrb_py_raise(self->core, &err);
    Py_DECREF(self);
    return NULL;
}

/* What is over: the client's reference becomes the caller's. */
static request_object *take_over(lrb_request *request) {
    request_object *self = lrb_request_owner(request);
    self->is_over = true;
    PyBuffer_Release(&self->body);
    return self;
}

static void stop(client_object *self) {
    lrb_client *client = self->client;
    self->client = NULL;
    if (!client) return;
    if (self->pid != getpid()) {
        lrb_client_forget(client);
        return;
    }
    Py_BEGIN_ALLOW_THREADS
    lrb_client_stop(client);
    Py_END_ALLOW_THREADS
    bool is_over;
    for (lrb_request *request; (request = lrb_client_next(client, &is_over));)
        if (is_over) Py_DECREF((PyObject *)take_over(request));
    lrb_client_free(client);
}

static void client_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    stop((client_object *)op);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(op);
    Py_DECREF(type);
}

static PyObject *client_stop(PyObject *op, PyObject *unused) {
    (void)unused;
    stop((client_object *)op);
    Py_RETURN_NONE;
}

static PyObject *client_fileno(PyObject *op, PyObject *unused) {
    (void)unused;
    client_object *self = (client_object *)op;
    return usable(self) ? PyLong_FromLong(lrb_client_fd(self->client)) : NULL;
}

static PyObject *client_next(PyObject *op, PyObject *unused) {
    (void)unused;
    client_object *self = (client_object *)op;
    bool is_over;
    if (!self->client) Py_RETURN_NONE; /* another thread stopped it: then there is no news */
    if (!usable(self)) return NULL;
    lrb_request *request = lrb_client_next(self->client, &is_over);
    if (!request) Py_RETURN_NONE;
    return is_over ? (PyObject *)take_over(request) : Py_NewRef((PyObject *)lrb_request_owner(request));
}

static bool take_paces(const lrb_core *core, PyObject *paces, lrb_asked *asked) {
    Py_ssize_t count = PyTuple_Size(paces);
    if (count < 0) return false;
    bool fit = count <= LRB_CLIENT_PACES;
    for (Py_ssize_t i = 0; fit && i < count; i++) {
        PyObject *pace = PyTuple_GetItem(paces, i);
        fit = Py_IS_TYPE(pace, (PyTypeObject *)core->pace_type);
        if (fit) asked->paces[i] = &((pace_object *)pace)->pace;
    }
    if (!fit) lrb_py_invalid(core, "ask", "two paces at most are needed");
    return fit;
}

/* (descriptor or -1, size, offset, bytes of a part), or None. */
static bool take_object(PyObject *object, lrb_asked *asked) {
    unsigned long long size, offset;
    Py_ssize_t part_bytes;
    asked->fd = -1;
    asked->is_object = object != Py_None;
    if (!asked->is_object) return true;
    if (!PyArg_ParseTuple(object, "iKKn:ask", &asked->fd, &size, &offset, &part_bytes)) return false;
    asked->size = size;
    asked->offset = offset;
    asked->part_bytes = part_bytes < 0 ? 0 : (size_t)part_bytes;
    return true;
}

static bool take_body(const lrb_core *core, Py_buffer *body, lrb_asked *asked) {
    asked->has_body = body->obj != NULL;
    asked->body = body->buf;
    if (!asked->is_object) asked->size = (uint64_t)body->len;
    bool is_whole = !asked->is_object || asked->fd >= 0 || (asked->has_body && (uint64_t)body->len == asked->size);
    if (!is_whole) lrb_py_invalid(core, "ask", "an object is a file, or all of its bytes");
    return is_whole;
}

static request_object *wrap(client_object *client, const lrb_asked *asked, Py_buffer *body, PyObject *paces) {
    request_object *self = (request_object *)PyType_GenericAlloc((PyTypeObject *)client->core->request_type, 0);
    if (!self) return NULL;
    lrb_err err;
    self->client = (client_object *)Py_NewRef((PyObject *)client);
    self->paces = Py_NewRef(paces);
    if (!lrb_request_new(asked, self, &self->request, &err)) {
        self->body = *body;
        *body = (Py_buffer){0};
        return self;
    }
    lrb_py_raise(client->core, &err);
    Py_DECREF((PyObject *)self);
    return NULL;
}

static PyObject *begin(client_object *client, request_object *self) {
    if (!self) return NULL;
    Py_INCREF((PyObject *)self); /* the client's, until it is over */
    lrb_client_begin(client->client, self->request);
    return (PyObject *)self;
}

static PyObject *client_ask(PyObject *op, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"method", "url", "headers", "body", "object", "ca_file", "certificate", "certificate_key", "allow_http",
                            "allow_private", "has_key", "connect_ms", "answer_max_bytes", "paces", NULL};
    client_object *self = (client_object *)op;
    lrb_asked asked = {0};
    lrb_py_names headers = {0};
    PyObject *lines, *object, *paces, *result = NULL;
    Py_buffer body;
    int allow_http, allow_private, has_key;
    long long connect_ms;
    Py_ssize_t answer_max_bytes;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "ssOz*Ozzz$pppLnO:ask", names, &asked.method, &asked.url, &lines, &body, &object,
                                     &asked.ca_file, &asked.certificate, &asked.certificate_key, &allow_http, &allow_private,
                                     &has_key, &connect_ms, &answer_max_bytes, &paces))
        return NULL;
    asked.allow_http = allow_http;
    asked.allow_private = allow_private;
    asked.has_key = has_key;
    asked.connect_ms = connect_ms;
    asked.answer_max_bytes = answer_max_bytes < 0 ? 0 : (size_t)answer_max_bytes;
    bool taken = usable(self) && take_paces(self->core, paces, &asked) && take_object(object, &asked) &&
                 take_body(self->core, &body, &asked) && lrb_py_names_take(lines, &headers);
    asked.headers = headers.at;
    asked.header_count = headers.count;
    if (taken) result = begin(self, wrap(self, &asked, &body, paces));
    lrb_free(headers.at);
    PyBuffer_Release(&body);
    return result;
}

/* A request whose client was forgotten by a fork is forgotten, too. */
static void request_dealloc(PyObject *op) {
    request_object *self = (request_object *)op;
    PyTypeObject *type = Py_TYPE(op);
    if (self->client->pid == getpid()) lrb_request_free(self->request);
    PyBuffer_Release(&self->body);
    Py_XDECREF(self->paces);
    Py_DECREF((PyObject *)self->client);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(op);
    Py_DECREF(type);
}

static PyObject *request_cancel(PyObject *op, PyObject *unused) {
    (void)unused;
    request_object *self = (request_object *)op;
    client_object *client = self->client;
    if (!self->is_over && client->client && client->pid == getpid()) lrb_client_cancel(client->client, self->request);
    Py_RETURN_NONE;
}

static PyObject *request_look(PyObject *op, PyObject *unused) {
    (void)unused;
    uint64_t sent_bytes, reached;
    lrb_request_look(((request_object *)op)->request, &sent_bytes, &reached);
    return Py_BuildValue("(KK)", (unsigned long long)sent_bytes, (unsigned long long)reached);
}

static const char *const troubles[] = {
    [LRB_TROUBLE_NONE] = "",           [LRB_TROUBLE_ADDRESS] = "address",     [LRB_TROUBLE_PRIVATE] = "private",
    [LRB_TROUBLE_PLAIN] = "plain",     [LRB_TROUBLE_UNTRUSTED] = "untrusted", [LRB_TROUBLE_TLS] = "tls",
    [LRB_TROUBLE_OWN_FILES] = "files", [LRB_TROUBLE_NO_HTTP] = "no_http",     [LRB_TROUBLE_UNREACHED] = "unreached",
    [LRB_TROUBLE_CANCELLED] = "cancelled",
};

static PyObject *request_answer(PyObject *op, PyObject *unused) {
    (void)unused;
    request_object *self = (request_object *)op;
    lrb_answered said;
    lrb_err err;
    if (!self->is_over) return lrb_py_invalid(self->client->core, "answer", "the request is not over");
    if (lrb_request_answer(self->request, &said, &err)) return lrb_py_raise(self->client->core, &err);
    return Py_BuildValue("(sNllNNy#NKn)", troubles[said.trouble], lrb_py_text(said.text), said.verify, said.status, lrb_py_text(said.date),
                         lrb_py_text(said.retry_after), said.body ? (const char *)said.body : "", (Py_ssize_t)said.body_bytes,
                         PyBool_FromLong(said.is_too_long), (unsigned long long)said.offset, (Py_ssize_t)said.part_bytes);
}

static PyObject *request_is_over(PyObject *op, void *unused) {
    (void)unused;
    return PyBool_FromLong(((request_object *)op)->is_over);
}

PyDoc_STRVAR(client_doc, "Client()\n--\n\nA thread that makes requests to servers of ours.");
PyDoc_STRVAR(ask_doc, "ask($self, method, url, headers, body, object, ca_file, certificate, certificate_key, *, allow_http, allow_private, "
                      "has_key, connect_ms, answer_max_bytes, paces)\n--\n\nBegins a request, which stays alive until it is over.");
PyDoc_STRVAR(next_doc, "next($self, /)\n--\n\nA request that moved or is over, or None, as of a client that was stopped.");
PyDoc_STRVAR(fileno_doc, "fileno($self, /)\n--\n\nA descriptor that is readable while there is news of a request.");
PyDoc_STRVAR(stop_doc, "stop($self, /)\n--\n\nEnds requests under way and joins the thread; idempotent. In a forked child it only forgets.");
PyDoc_STRVAR(request_doc, "One request; made by Client.ask.");
PyDoc_STRVAR(cancel_doc, "cancel($self, /)\n--\n\nEnds it soon; it still comes out of the client.");
PyDoc_STRVAR(look_doc, "look($self, /)\n--\n\n(bytes of bodies handed on, up to where an object was taken so far), at any time.");
PyDoc_STRVAR(answer_doc, "answer($self, /)\n--\n\n(trouble, text, verify, status, date, retry_after, body, is_too_long, offset, part_bytes), once it is over.");

static PyMethodDef client_methods[] = {
    {"ask", (PyCFunction)(void (*)(void))client_ask, METH_VARARGS | METH_KEYWORDS, ask_doc},
    {"next", client_next, METH_NOARGS, next_doc},
    {"fileno", client_fileno, METH_NOARGS, fileno_doc},
    {"stop", client_stop, METH_NOARGS, stop_doc},
    {0},
};
static PyMethodDef request_methods[] = {
    {"cancel", request_cancel, METH_NOARGS, cancel_doc},
    {"look", request_look, METH_NOARGS, look_doc},
    {"answer", request_answer, METH_NOARGS, answer_doc},
    {0},
};
static PyGetSetDef request_properties[] = {{"is_over", request_is_over, NULL, "Whether it is.", NULL}, {0}};

static PyType_Slot client_slots[] = {
    {Py_tp_doc, (void *)client_doc}, {Py_tp_new, (void *)client_new}, {Py_tp_dealloc, (void *)client_dealloc}, {Py_tp_methods, client_methods}, {0, NULL},
};
static PyType_Slot request_slots[] = {
    {Py_tp_doc, (void *)request_doc}, {Py_tp_dealloc, (void *)request_dealloc}, {Py_tp_methods, request_methods}, {Py_tp_getset, request_properties}, {0, NULL},
};
static PyType_Spec client_spec = {"lightrag_bkp._probe.Client", sizeof(client_object), 0, Py_TPFLAGS_DEFAULT, client_slots};
static PyType_Spec request_spec = {"lightrag_bkp._probe.Request", sizeof(request_object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, request_slots};

int lrb_py_add_client_types(PyObject *module) {
    lrb_core *core = lrb_py_core(module);
    PyObject *client = PyType_FromModuleAndSpec(module, &client_spec, NULL);
    core->request_type = PyType_FromModuleAndSpec(module, &request_spec, NULL);
    core->pace_type = PyType_FromModuleAndSpec(module, &pace_spec, NULL);
    bool made = client && core->request_type && core->pace_type && !PyModule_AddType(module, (PyTypeObject *)client) &&
                !PyModule_AddType(module, (PyTypeObject *)core->request_type) && !PyModule_AddType(module, (PyTypeObject *)core->pace_type);
    Py_XDECREF(client);
    return made ? 0 : -1;
}
