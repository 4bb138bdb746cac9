/* Repository.body: records are read in batches without the GIL and made into Python values with it, because a listing
 * of 200,000 items that took the GIL back for each would wait behind every other thread as often. */
#include "py/core.h"

#include <string.h>

#include "base/mem.h"

enum { BATCH_RECORDS = 1024, BATCH_TEXT_BYTES = 8 << 20 };

typedef struct piece { /* of a batch's text */
    size_t at, length;
} piece;

typedef struct kept_record {
    lrb_body_record record; /* its pointers are not valid: the texts are in the pieces */
    piece first, second;    /* facts; item name and link target; skipped name and reason */
} kept_record;

typedef struct body_reading {
    lrb_repo *repo;
    lrb_repo_reader source;
    lrb_body_reader *reader;
    kept_record *records;
    size_t count, most;     /* in a batch */
    lrb_buf text;
    bool done;
    PyObject *facts, *items, *skipped;
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
    int code = find_root(self->repo, snapshot_id, &root, err);
    if (code) return code;
    self->records = lrb_alloc_zero(BATCH_RECORDS, sizeof *self->records);
    if (!self->records) return lrb_err_nomem(err, "read a snapshot");
    self->source.repo = self->repo;
    code = lrb_coder_new(&self->source.coder, err);
    return code ? code : lrb_body_reader_new(&root, lrb_repo_fetch, &self->source, &self->reader, err);
}

static int keep_text(body_reading *self, const char *text, size_t length, piece *where, lrb_err *err) {
    *where = (piece){self->text.length, length};
    return length ? lrb_buf_append(&self->text, text, length, err) : LRB_OK;
}

static int keep_record(body_reading *self, const lrb_body_record *record, lrb_err *err) {
    kept_record *kept = &self->records[self->count];
    kept->record = *record;
    piece *first = &kept->first, *second = &kept->second;
    int code = LRB_OK;
    switch (record->type) {
    case LRB_BODY_FACTS:
        code = keep_text(self, record->facts, record->facts_length, first, err);
        break;
    case LRB_BODY_ITEM:
        code = keep_text(self, record->item.name, record->item.name_length, first, err);
        if (!code) code = keep_text(self, record->item.link_target, record->item.link_target_length, second, err);
        break;
    case LRB_BODY_SKIPPED:
        code = keep_text(self, record->skipped, record->skipped_length, first, err);
        if (!code) code = keep_text(self, record->reason, record->reason_length, second, err);
        break;
    }
    if (!code) self->count++;
    return code;
}

static int read_batch(body_reading *self, lrb_err *err) {
    int code = LRB_OK;
    self->count = 0;
    lrb_buf_empty(&self->text);
    /* A record is at most 1 MiB, so half of the room is enough for the next one. */
    while (!code && !self->done && self->count < self->most && self->text.length < BATCH_TEXT_BYTES / 2) {
        lrb_body_record record;
        code = lrb_body_reader_next(self->reader, &record, &self->done, err);
        if (!code && !self->done) code = keep_record(self, &record, err);
    }
    return code;
}

static void end_reading(body_reading *self) {
    if (self->reader) lrb_body_reader_free(self->reader);
    if (self->source.coder) lrb_coder_free(self->source.coder);
    lrb_free(self->records);
    lrb_buf_clear(&self->text);
}

/* ---- with the GIL ---- */

static PyObject *text_of(const body_reading *self, piece where) {
    return PyUnicode_DecodeUTF8((const char *)self->text.data + where.at, (Py_ssize_t)where.length, "surrogateescape");
}

static PyObject *name_of(const body_reading *self, piece where) {
    return where.length ? lrb_py_name((const char *)self->text.data + where.at, where.length)
                        : PyUnicode_FromString("");
}

static int append_new(PyObject *list, PyObject *value) {
    int code = value ? PyList_Append(list, value) : -1;
    Py_XDECREF(value);
    return code;
}

static PyObject *item_row(const body_reading *self, const kept_record *kept) {
    const lrb_body_item *item = &kept->record.item;
    return Py_BuildValue("(NiILKNN)", name_of(self, kept->first), (int)item->type, (unsigned int)item->mode,
                         (long long)item->mtime_ns, (unsigned long long)item->size_bytes, lrb_py_digest(item->sha256),
                         name_of(self, kept->second));
}

static int add_record(body_reading *self, const kept_record *kept) {
    switch (kept->record.type) {
    case LRB_BODY_ITEM:
        return append_new(self->items, item_row(self, kept));
    case LRB_BODY_SKIPPED:
        return append_new(self->skipped,
                          Py_BuildValue("(NN)", name_of(self, kept->first), text_of(self, kept->second)));
    case LRB_BODY_FACTS:
        Py_XDECREF(self->facts);
        self->facts = text_of(self, kept->first);
        return self->facts ? 0 : -1;
    }
    return 0;
}

static bool add_batch(body_reading *self) {
    for (size_t i = 0; i < self->count; i++)
        if (add_record(self, &self->records[i])) return false;
    return !PyErr_CheckSignals();
}

/* With `facts_only` no more than the first record is read, which is where they are. */
static bool read_all(body_reading *self, const lrb_core *core, const char *snapshot_id, bool facts_only) {
    lrb_err err;
    int code;
    self->most = facts_only ? 1 : BATCH_RECORDS;
    Py_BEGIN_ALLOW_THREADS
    code = begin_reading(self, snapshot_id, &err);
    Py_END_ALLOW_THREADS
    while (!code && !self->done) {
        Py_BEGIN_ALLOW_THREADS
        code = read_batch(self, &err);
        Py_END_ALLOW_THREADS
        if (!code && !add_batch(self)) return false;
        if (facts_only) break;
    }
    if (code) lrb_py_raise(core, &err);
    return !code;
}

static PyObject *read_parts(const lrb_core *core, lrb_repo *repo, const char *snapshot_id, bool facts_only) {
    body_reading self = {
        .repo = repo, .facts = PyUnicode_FromString("{}"), .items = PyList_New(0), .skipped = PyList_New(0)};
    lrb_buf_init(&self.text, BATCH_TEXT_BYTES);
    PyObject *result = NULL;
    if (self.facts && self.items && self.skipped && read_all(&self, core, snapshot_id, facts_only))
        result = facts_only ? Py_NewRef(self.facts) : Py_BuildValue("(OOO)", self.facts, self.items, self.skipped);
    end_reading(&self);
    Py_XDECREF(self.facts);
    Py_XDECREF(self.items);
    Py_XDECREF(self.skipped);
    return result;
}

PyObject *lrb_py_read_body(const lrb_core *core, lrb_repo *repo, const char *snapshot_id) {
    return read_parts(core, repo, snapshot_id, false);
}

PyObject *lrb_py_read_facts(const lrb_core *core, lrb_repo *repo, const char *snapshot_id) {
    return read_parts(core, repo, snapshot_id, true);
}
