#include "py/core.h"

#include "engine/backup.h"

static PyObject *convert(const lrb_core *core, lrb_job *job, PyObject *handle) {
    (void)core, (void)handle;
    const lrb_backup_outcome *outcome = lrb_backup_result(job);
    return Py_BuildValue("(NKKK)", lrb_py_text(outcome->snapshot_id), (unsigned long long)outcome->stored_bytes,
                         (unsigned long long)outcome->items_reused, (unsigned long long)outcome->items_encoded);
}

typedef struct arguments {
    PyObject *repository, *source;
    lrb_backup_options options;
    Py_ssize_t retention_days;
    int safety, use_source_cache, partial;
    const char *workspace; /* to validate; NULL: nothing is validated */
    lrb_validation_options validate;
    PyObject *label; /* bytes; owned */
} arguments;

/* Keyword arguments after the first two, as _core.pyi says. Required ones among them are looked for by hand: the parser
 * has no word for them. */
static bool parse(PyObject *args, PyObject *kwargs, arguments *a) {
    static char *names[] = {"repo",   "source",           "consistency",  "metadata", "facts", "retention_days",
                            "safety", "use_source_cache", "source_label", "verdict",  "validate", "partial", NULL};
    *a = (arguments){.use_source_cache = true, .options.verdict = "", .retention_days = -1};
    lrb_backup_options *o = &a->options;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$sssnppO&szp:backup_job", names, &a->repository, &a->source,
                                     &o->consistency, &o->metadata, &o->facts, &a->retention_days, &a->safety,
                                     &a->use_source_cache, PyUnicode_FSConverter, &a->label, &o->verdict, &a->workspace, &a->partial))
        return false;
    bool days_fit = a->retention_days >= 0 && (unsigned long long)a->retention_days <= UINT32_MAX;
    if (o->consistency && o->metadata && o->facts && days_fit) return true;
    Py_XDECREF(a->label);
    PyErr_SetString(PyExc_ValueError,
                    "a backup needs consistency, metadata, facts, and retention_days of 0 (for ever) or more");
    return false;
}

static PyObject *make(lrb_core *core, arguments *a, PyObject *handle) {
    lrb_source *source = lrb_py_source(core, a->source);
    if (!source) {
        Py_DECREF(handle);
        return NULL;
    }
    a->options.retention_days = (uint32_t)a->retention_days;
    a->options.safety = a->safety;
    a->validate = (lrb_validation_options){.workspace = a->workspace, .partial = a->partial};
    if (a->workspace) a->options.validate = &a->validate;
    a->options.use_source_cache = a->use_source_cache;
    a->options.source_label = a->label ? PyBytes_AsString(a->label) : "";
    lrb_repo *repo = lrb_py_handle_repo(handle);
    lrb_py_job_parts parts = {.convert = convert, .handle = handle, .fds = {-1, -1}};
    lrb_err err;
    int code;
    lrb_py_source_gone(a->source);
    Py_BEGIN_ALLOW_THREADS
    code = lrb_backup_new(repo, source, &a->options, &parts.job, &err);
    Py_END_ALLOW_THREADS
    if (!code) return lrb_py_job_new(core, &parts);
    lrb_py_parts_release(&parts);
    return lrb_py_raise(core, &err);
}

static PyObject *backup_job(PyObject *module, PyObject *args, PyObject *kwargs) {
    lrb_core *core = lrb_py_core(module);
    arguments a;
    if (!parse(args, kwargs, &a)) return NULL;
    PyObject *handle = lrb_py_repository_handle(core, a.repository);
    PyObject *job = handle ? make(core, &a, handle) : NULL;
    Py_XDECREF(a.label);
    return job;
}

PyDoc_STRVAR(
    backup_doc,
    "backup_job(repo, source, *, consistency, metadata, facts, retention_days, safety=False, use_source_cache=True, "
    "source_label='', verdict='', validate=None, partial=False)\n--\n\n"
    "Takes the sealed source over. validate: the workspace to judge. Result: (snapshot id, stored bytes, items reused, items encoded).");

PyMethodDef lrb_py_backup_functions[] = {
    {"backup_job", (PyCFunction)(void (*)(void))backup_job, METH_VARARGS | METH_KEYWORDS, backup_doc},
    {0},
};
