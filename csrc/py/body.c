/* Repository.body and Repository.facts. Items stay rows of C, some 100 bytes each, and become Python values one at a
 * time when they are asked for: as tuples in a list they take four times as much. Records are read without the GIL, in
 * batches, so that a signal need not wait for a long listing. */
#include "py/core.h"

#include <string.h>

#include "base/arena.h"
#include "base/mem.h"

enum { BATCH_RECORDS = 4096 };

typedef struct item_row {
    const char *name, *link_target; /* in the texts; link_target "" for all but symlinks */
    int64_t mtime_ns;
    uint64_t size_bytes;
    uint32_t mode;
    uint8_t type, sha256[LRB_DIGEST_BYTES];
} item_row;

typedef struct items_object {
    PyObject_HEAD
    item_row *rows;
    size_t count, room;
    lrb_arena texts;
} items_object;

typedef struct text_piece {
    const char *text;
    size_t length;
} text_piece;

typedef struct skipped_row {
    text_piece name, reason;
} skipped_row;

typedef struct body_reading {
    lrb_repo_reader source;
    lrb_body_reader *reader;
    items_object *items;
    text_piece facts;     /* in the texts of the items, as all are */
    skipped_row *skipped;
    size_t skipped_count, skipped_room;
    bool done;
} body_reading;

/* ---- without the GIL ---- */

static int find_root(lrb_repo *repo, const char *snapshot_id, lrb_row *root, lrb_err *err) {
    const lrb_snapshot *snapshot = lrb_state_find(lrb_repo_begin_read(repo), snapshot_id);
    if (snapshot) *root = snapshot->body_root;
    lrb_repo_end_read(repo);
    return snapshot ? LRB_OK : lrb_err_set(err, LRB_E_NOT_FOUND, "read", snapshot_id, "there is no such snapshot");
}

static int begin_reading(body_reading *self, const char *snapshot_id, lrb_err *err) {
    lrb_row root;
    int code = find_root(self->source.repo, snapshot_id, &root, err);
    if (!code) code = lrb_coder_new(&self->source.coder, err);
    return code ? code : lrb_body_reader_new(&root, lrb_repo_fetch, &self->source, &self->reader, err);
}

static int make_room(void **rows, size_t *room, size_t count, size_t size_bytes, lrb_err *err) {
    if (count < *room) return LRB_OK;
    size_t wanted = *room ? *room * 2 : 64;
    void *larger = lrb_resize_array(*rows, wanted, size_bytes);
    if (!larger) return lrb_err_nomem(err, "read a snapshot");
    *rows = larger;
    *room = wanted;
    return LRB_OK;
}

static int keep_text(body_reading *self, const char *text, size_t length, text_piece *kept, lrb_err *err) {
    *kept = (text_piece){lrb_arena_keep(&self->items->texts, text, length), length};
    return kept->text ? LRB_OK : lrb_err_nomem(err, "read a snapshot");
}

static int keep_item(body_reading *self, const lrb_body_item *item, lrb_err *err) {
    items_object *items = self->items;
    text_piece name, link = {"", 0};
    int code = make_room((void **)&items->rows, &items->room, items->count, sizeof *items->rows, err);
    if (!code) code = keep_text(self, item->name, item->name_length, &name, err);
    if (!code && item->link_target_length)
        code = keep_text(self, item->link_target, item->link_target_length, &link, err);
    if (code) return code;
    item_row *row = &items->rows[items->count++];
    *row = (item_row){name.text,         link.text,  item->mtime_ns,
                      item->size_bytes, item->mode, (uint8_t)item->type, {0}};
    memcpy(row->sha256, item->sha256, sizeof row->sha256);
    return LRB_OK;
}

static int keep_skipped(body_reading *self, const lrb_body_record *record, lrb_err *err) {
    int code = make_room((void **)&self->skipped, &self->skipped_room, self->skipped_count, sizeof *self->skipped, err);
    if (code) return code;
    skipped_row *row = &self->skipped[self->skipped_count];
    code = keep_text(self, record->skipped, record->skipped_length, &row->name, err);
    if (!code) code = keep_text(self, record->reason, record->reason_length, &row->reason, err);
    if (!code) self->skipped_count++;
    return code;
}

static int keep_record(body_reading *self, const lrb_body_record *record, lrb_err *err) {
    switch (record->type) {
    case LRB_BODY_FACTS: return keep_text(self, record->facts, record->facts_length, &self->facts, err);
    case LRB_BODY_ITEM: return keep_item(self, &record->item, err);
    case LRB_BODY_SKIPPED: return keep_skipped(self, record, err);
    }
    return LRB_OK;
}

static int read_batch(body_reading *self, size_t most, lrb_err *err) {
    int code = LRB_OK;
    for (size_t i = 0; !code && !self->done && i < most; i++) {
        lrb_body_record record;
        code = lrb_body_reader_next(self->reader, &record, &self->done, err);
        if (!code && !self->done) code = keep_record(self, &record, err);
    }
    return code;
}

/* ---- with the GIL ---- */

static PyObject *text_of(text_piece piece) {
    return PyUnicode_DecodeUTF8(piece.text, (Py_ssize_t)piece.length, "surrogateescape");
}

/* With `facts_only` no more than the first record is read, which is where they are. */
static bool read_records(body_reading *self, const lrb_core *core, const char *snapshot_id, bool facts_only) {
    lrb_err err;
    int code;
    Py_BEGIN_ALLOW_THREADS
    code = begin_reading(self, snapshot_id, &err);
    Py_END_ALLOW_THREADS
    while (!code && !self->done) {
        Py_BEGIN_ALLOW_THREADS
        code = read_batch(self, facts_only ? 1 : BATCH_RECORDS, &err);
        Py_END_ALLOW_THREADS
        if (facts_only) break;
        if (PyErr_CheckSignals()) return false;
    }
    if (code) lrb_py_raise(core, &err);
    return !code;
}

static PyObject *skipped_of(const body_reading *self) {
    PyObject *list = PyList_New((Py_ssize_t)self->skipped_count);
    for (size_t i = 0; list && i < self->skipped_count; i++) {
        const skipped_row *row = &self->skipped[i];
        PyObject *pair = Py_BuildValue("(NN)", lrb_py_name(row->name.text, row->name.length), text_of(row->reason));
        if (!pair || PyList_SetItem(list, (Py_ssize_t)i, pair)) Py_CLEAR(list);
    }
    return list;
}

static PyObject *read_parts(const lrb_core *core, lrb_repo *repo, const char *snapshot_id, bool facts_only) {
    body_reading self = {.source = {.repo = repo}, .facts = {"{}", 2}};
    PyObject *items = PyType_GenericAlloc((PyTypeObject *)core->items_type, 0), *result = NULL;
    if (!items) return NULL;
    self.items = (items_object *)items;
    if (read_records(&self, core, snapshot_id, facts_only))
        result = facts_only ? text_of(self.facts) : Py_BuildValue("(NON)", text_of(self.facts), items, skipped_of(&self));
    if (self.reader) lrb_body_reader_free(self.reader);
    if (self.source.coder) lrb_coder_free(self.source.coder);
    lrb_free(self.skipped);
    Py_DECREF(items);
    return result;
}

PyObject *lrb_py_read_body(const lrb_core *core, lrb_repo *repo, const char *snapshot_id) {
    return read_parts(core, repo, snapshot_id, false);
}

PyObject *lrb_py_read_facts(const lrb_core *core, lrb_repo *repo, const char *snapshot_id) {
    return read_parts(core, repo, snapshot_id, true);
}

/* ---- the type ---- */

static void items_dealloc(PyObject *op) {
    PyTypeObject *type = Py_TYPE(op);
    items_object *self = (items_object *)op;
    lrb_free(self->rows);
    lrb_arena_clear(&self->texts);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(op);
    Py_DECREF(type);
}

static Py_ssize_t items_length(PyObject *op) {
    return (Py_ssize_t)((items_object *)op)->count;
}

static PyObject *items_item(PyObject *op, Py_ssize_t position) {
    const items_object *self = (items_object *)op;
    if (position < 0 || (size_t)position >= self->count) {
        PyErr_SetString(PyExc_IndexError, "there is no item of this number");
        return NULL;
    }
    const item_row *row = &self->rows[position];
    return Py_BuildValue("(NiILKNN)", lrb_py_name(row->name, strlen(row->name)), (int)row->type, (unsigned int)row->mode,
                         (long long)row->mtime_ns, (unsigned long long)row->size_bytes, lrb_py_digest(row->sha256),
                         lrb_py_name(row->link_target, strlen(row->link_target)));
}

PyDoc_STRVAR(items_doc, "The items of a snapshot: a sequence whose rows are made when they are asked for.");

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)items_doc},
    {Py_tp_dealloc, (void *)items_dealloc},
    {Py_sq_length, (void *)items_length},
    {Py_sq_item, (void *)items_item},
    {0, NULL},
};
static PyType_Spec spec = {"lightrag_bkp._core.Items", sizeof(items_object), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};

PyObject *lrb_py_make_items_type(PyObject *module) {
    return PyType_FromModuleAndSpec(module, &spec, NULL);
}
