/* Keys: a master key as an object of which Python sees no byte, and the jobs on a storage path's key slots. */
#include "py/core.h"

#include <string.h>

#include "base/mem.h"
#include "engine/task.h"
#include "repo/keyring.h"

typedef struct key_object {
    PyObject_HEAD
    lrb_unlocked unlocked;
} key_object;

static void key_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    lrb_bytes_wipe(&((key_object *)op)->unlocked, sizeof(lrb_unlocked));
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(op);
    Py_DECREF(type);
}

static PyObject *key_slot(PyObject *op, void *unused) {
    (void)unused;
    const lrb_unlocked *unlocked = &((key_object *)op)->unlocked;
    if (!unlocked->by_slot) Py_RETURN_NONE;
    return PyBytes_FromStringAndSize((const char *)unlocked->slot, sizeof unlocked->slot);
}

static PyObject *key_slot_digest(PyObject *op, void *unused) {
    (void)unused;
    const lrb_unlocked *unlocked = &((key_object *)op)->unlocked;
    if (!unlocked->by_slot) Py_RETURN_NONE;
    return PyBytes_FromStringAndSize((const char *)unlocked->slot_digest, sizeof unlocked->slot_digest);
}

static PyObject *key_forged(PyObject *op, void *unused) {
    (void)unused;
    const char *name = ((key_object *)op)->unlocked.forged;
    if (!name[0]) Py_RETURN_NONE;
    return PyUnicode_FromString(name);
}

static PyObject *key_reveal(PyObject *op, PyObject *unused) {
    (void)unused;
    return PyBytes_FromStringAndSize((const char *)((key_object *)op)->unlocked.key.bytes, LRB_KEY_BYTES);
}

static PyObject *key_state_key(PyObject *op, PyObject *unused) {
    uint8_t derived[LRB_KEY_BYTES];
    lrb_err err;
    (void)unused;
    if (lrb_key_for_state(&((key_object *)op)->unlocked.key, derived, &err)) return lrb_py_raise(PyType_GetModuleState(Py_TYPE(op)), &err);
    PyObject *out = PyBytes_FromStringAndSize((const char *)derived, sizeof derived);
    lrb_bytes_wipe(derived, sizeof derived);
    return out;
}

const lrb_key *lrb_py_key(const lrb_core *core, PyObject *key) {
    if (Py_IS_TYPE(key, (PyTypeObject *)core->key_type)) return &((key_object *)key)->unlocked.key;
    PyErr_SetString(PyExc_TypeError, "a Key is needed");
    return NULL;
}

/* ---- arguments: copies that are wiped with the job ---- */

typedef struct keyring_work {
    lrb_py_names names;       /* storage path, graph id or "" */
    bool create;
    lrb_key key;
    bool has_key;
    uint8_t *secret;          /* a passphrase; NULL: none */
    lrb_passphrase passphrase;
    uint8_t slot_id[LRB_KEY_SLOT_ID_BYTES];
    uint8_t first[LRB_DIGEST_BYTES];
    bool has_first;
    lrb_unlocked unlocked;
    lrb_key_slot added;
    lrb_keyring_listing listing;
} keyring_work;

static void release_work(void *arg) {
    keyring_work *self = arg;
    if (self->secret) lrb_bytes_wipe(self->secret, self->passphrase.count);
    lrb_free(self->secret);
    lrb_free(self->listing.slots);
    lrb_free(self->names.at);
    lrb_bytes_wipe(self, sizeof *self);
    lrb_free(self);
}

static bool take_names(keyring_work *self, PyObject *storage, PyObject *graph) {
    PyObject *empty = PyUnicode_FromString("");
    PyObject *both = empty ? PyTuple_Pack(2, storage, graph && graph != Py_None ? graph : empty) : NULL;
    bool taken = both && lrb_py_names_take(both, &self->names);
    Py_XDECREF(both);
    Py_XDECREF(empty);
    return taken;
}

static bool take_passphrase(keyring_work *self, const char *bytes, Py_ssize_t count) {
    self->secret = lrb_alloc((size_t)count);
    if (!self->secret) return PyErr_NoMemory() != NULL;
    memcpy(self->secret, bytes, (size_t)count);
    self->passphrase = (lrb_passphrase){self->secret, (size_t)count};
    return true;
}

static keyring_work *new_work(PyObject *storage, PyObject *graph) {
    keyring_work *self = lrb_alloc_zero(1, sizeof *self);
    if (!self) return (keyring_work *)PyErr_NoMemory();
    if (take_names(self, storage, graph)) return self;
    release_work(self);
    return NULL;
}

static const char *graph_of(const keyring_work *self) { return self->names.at[1][0] ? self->names.at[1] : NULL; }

static PyObject *work_job(lrb_core *core, lrb_task_call call, keyring_work *self, lrb_py_convert convert) {
    lrb_py_job_parts parts = {.convert = convert, .fds = {-1, -1}};
    lrb_err err;
    if (!lrb_task_new(call, self, release_work, &parts.job, &err)) return lrb_py_job_new(core, &parts);
    release_work(self);
    return lrb_py_raise(core, &err);
}

/* ---- unlock ---- */

static int call_unlock(void *arg, lrb_worker *worker, lrb_err *err) {
    keyring_work *self = arg;
    (void)worker;
    lrb_secret secret = {self->secret ? &self->passphrase : NULL, self->secret ? NULL : &self->key, self->has_first ? self->first : NULL};
    return lrb_keyring_unlock(self->names.at[0], graph_of(self), self->create, &secret, &self->unlocked, err);
}

static PyObject *convert_unlocked(const lrb_core *core, lrb_job *job, PyObject *handle) {
    (void)handle;
    const keyring_work *self = lrb_task_arg(job);
    key_object *key = (key_object *)PyType_GenericAlloc((PyTypeObject *)core->key_type, 0);
    if (key) key->unlocked = self->unlocked;
    return (PyObject *)key;
}

/* Of a key file, or one that was unlocked before. */
static bool take_key(keyring_work *self, const lrb_core *core, PyObject *key) {
    if (!PyBytes_Check(key)) {
        const lrb_key *known = lrb_py_key(core, key);
        if (known) self->key = *known;
        return known;
    }
    if (PyBytes_Size(key) == LRB_KEY_BYTES) memcpy(self->key.bytes, PyBytes_AsString(key), LRB_KEY_BYTES);
    else lrb_py_invalid(core, "unlock", "a key has 32 bytes");
    return PyBytes_Size(key) == LRB_KEY_BYTES;
}

static bool take_secret(keyring_work *self, const lrb_core *core, const char *passphrase, Py_ssize_t passphrase_bytes,
                        PyObject *key) {
    if ((passphrase != NULL) == (key != Py_None)) {
        lrb_py_invalid(core, "unlock", "either a passphrase or a key is needed");
        return false;
    }
    return passphrase ? take_passphrase(self, passphrase, passphrase_bytes) : take_key(self, core, key);
}

static PyObject *unlock_job(PyObject *module, PyObject *args) {
    lrb_core *core = lrb_py_core(module);
    PyObject *storage, *graph, *key;
    const char *passphrase, *first = NULL;
    Py_ssize_t passphrase_bytes, first_bytes = 0;
    int create;
    if (!PyArg_ParseTuple(args, "OOpz#O|z#:unlock_job", &storage, &graph, &create, &passphrase, &passphrase_bytes, &key, &first, &first_bytes))
        return NULL;
    if (first && first_bytes != LRB_DIGEST_BYTES) return lrb_py_invalid(core, "unlock", "a slot's digest has 32 bytes");
    keyring_work *self = new_work(storage, graph);
    if (!self) return NULL;
    self->create = create;
    self->has_first = first;
    if (first) memcpy(self->first, first, sizeof self->first);
    if (take_secret(self, core, passphrase, passphrase_bytes, key))
        return work_job(core, call_unlock, self, convert_unlocked);
    release_work(self);
    return NULL;
}

/* ---- list ---- */

static int call_list(void *arg, lrb_worker *worker, lrb_err *err) {
    keyring_work *self = arg;
    (void)worker;
    return lrb_keyring_list(self->names.at[0], self->has_key ? &self->key : NULL, &self->listing, err);
}

static PyObject *convert_listed(const lrb_core *core, lrb_job *job, PyObject *handle) {
    (void)core, (void)handle;
    const lrb_keyring_listing *listing = &((const keyring_work *)lrb_task_arg(job))->listing;
    PyObject *list = PyList_New((Py_ssize_t)listing->count);
    for (size_t i = 0; list && i < listing->count; i++) {
        const lrb_key_slot *slot = &listing->slots[i];
        PyObject *row = Py_BuildValue("(y#iL)", (const char *)slot->id, (Py_ssize_t)sizeof slot->id, (int)slot->kind,
                                      (long long)slot->created_ns);
        if (!row || PyList_SetItem(list, (Py_ssize_t)i, row)) Py_CLEAR(list);
    }
    return list ? Py_BuildValue("(NO)", list, listing->sealed ? Py_True : Py_False) : NULL;
}

static PyObject *key_slots_job(PyObject *module, PyObject *args) {
    lrb_core *core = lrb_py_core(module);
    PyObject *storage, *key_arg;
    if (!PyArg_ParseTuple(args, "OO:key_slots_job", &storage, &key_arg)) return NULL;
    const lrb_key *key = key_arg == Py_None ? NULL : lrb_py_key(core, key_arg);
    keyring_work *self = key || key_arg == Py_None ? new_work(storage, NULL) : NULL;
    if (!self) return NULL;
    self->has_key = key;
    if (key) self->key = *key;
    return work_job(core, call_list, self, convert_listed);
}

/* ---- add and remove ---- */

static int call_add(void *arg, lrb_worker *worker, lrb_err *err) {
    keyring_work *self = arg;
    (void)worker;
    return lrb_keyring_add(self->names.at[0], &self->key, &self->passphrase, &self->added, err);
}

static PyObject *convert_added(const lrb_core *core, lrb_job *job, PyObject *handle) {
    (void)core, (void)handle;
    const lrb_key_slot *added = &((const keyring_work *)lrb_task_arg(job))->added;
    return PyBytes_FromStringAndSize((const char *)added->id, sizeof added->id);
}

static PyObject *add_passphrase_job(PyObject *module, PyObject *args) {
    lrb_core *core = lrb_py_core(module);
    PyObject *storage, *key_arg;
    const char *passphrase;
    Py_ssize_t count;
    if (!PyArg_ParseTuple(args, "OOy#:add_passphrase_job", &storage, &key_arg, &passphrase, &count)) return NULL;
    const lrb_key *key = lrb_py_key(core, key_arg);
    keyring_work *self = key ? new_work(storage, NULL) : NULL;
    if (!self) return NULL;
    self->key = *key;
    if (take_passphrase(self, passphrase, count)) return work_job(core, call_add, self, convert_added);
    release_work(self);
    return NULL;
}

static int call_remove(void *arg, lrb_worker *worker, lrb_err *err) {
    keyring_work *self = arg;
    (void)worker;
    return lrb_keyring_remove(self->names.at[0], &self->key, self->slot_id, err);
}

static PyObject *remove_slot_job(PyObject *module, PyObject *args) {
    lrb_core *core = lrb_py_core(module);
    PyObject *storage, *key_arg;
    const char *slot_id;
    Py_ssize_t count;
    if (!PyArg_ParseTuple(args, "OOy#:remove_slot_job", &storage, &key_arg, &slot_id, &count)) return NULL;
    if (count != LRB_KEY_SLOT_ID_BYTES) return lrb_py_invalid(core, "remove a key slot", "a slot id has 16 bytes");
    const lrb_key *key = lrb_py_key(core, key_arg);
    keyring_work *self = key ? new_work(storage, NULL) : NULL;
    if (!self) return NULL;
    self->key = *key;
    memcpy(self->slot_id, slot_id, sizeof self->slot_id);
    return work_job(core, call_remove, self, lrb_py_convert_none);
}

/* ---- tables ---- */

PyMethodDef lrb_py_key_functions[] = {
    {"unlock_job", unlock_job, METH_VARARGS,
     "unlock_job(storage_path, graph_id, create, passphrase, key, first=None, /)\n--\n\nResult: Key."},
    {"key_slots_job", key_slots_job, METH_VARARGS,
     "key_slots_job(storage_path, key, /)\n--\n\nResult: list of (id, kind, created_ns), and whether anything is sealed."},
    {"add_passphrase_job", add_passphrase_job, METH_VARARGS,
     "add_passphrase_job(storage_path, key, passphrase, /)\n--\n\nResult: the new slot's id."},
    {"remove_slot_job", remove_slot_job, METH_VARARGS,
     "remove_slot_job(storage_path, key, slot_id, /)\n--\n\nResult: None."},
    {0},
};

PyDoc_STRVAR(key_doc, "A master key. Its bytes stay in the core, and are wiped with it.");
PyDoc_STRVAR(reveal_doc, "reveal($self, /)\n--\n\nThe 32 bytes themselves: for a recovery kit and nothing else.");

PyDoc_STRVAR(state_doc, "state_key($self, /)\n--\n\n32 bytes that follow from it: for what the state database tells of snapshots.");

static PyMethodDef methods[] = {
    {"reveal", key_reveal, METH_NOARGS, reveal_doc},
    {"state_key", key_state_key, METH_NOARGS, state_doc},
    {0},
};
static PyGetSetDef properties[] = {
    {"slot", key_slot, NULL, "Id of the slot a passphrase opened, or None.", NULL},
    {"slot_digest", key_slot_digest, NULL, "SHA-256 of that slot, or None.", NULL},
    {"forged", key_forged, NULL, "An object among the slots that this key did not make, or None.", NULL},
    {0},
};
static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)key_doc},
    {Py_tp_dealloc, (void *)key_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, properties},
    {0, NULL},
};
static PyType_Spec spec = {"lightrag_bkp._core.Key", sizeof(key_object), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};

PyObject *lrb_py_make_key_type(PyObject *module) {
    return PyType_FromModuleAndSpec(module, &spec, NULL);
}
