/* Jobs that look after a repository: verify and prune; and which packs a snapshot needs. */
#include "py/core.h"

#include "base/mem.h"
#include "engine/needs.h"
#include "engine/prune.h"
#include "engine/verify.h"

/* ---- verify ---- */

typedef const lrb_finding *found_at(const lrb_job *job, size_t position);

static PyObject *rows_of(const lrb_job *job, size_t count, found_at *at) {
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list && i < count; i++) {
        const lrb_finding *finding = at(job, i);
        PyObject *row = Py_BuildValue("(NN)", lrb_py_text(finding->object), lrb_py_text(finding->message));
        if (!row || PyList_SetItem(list, (Py_ssize_t)i, row)) Py_CLEAR(list);
    }
    return list;
}

static PyObject *convert_verified(const lrb_core *core, lrb_job *job, PyObject *handle) {
    (void)core, (void)handle;
    uint64_t objects, chunks, bytes, found;
    lrb_verify_totals(job, &objects, &chunks, &bytes, &found);
    return Py_BuildValue("(NKKKKN)", rows_of(job, lrb_verify_finding_count(job), lrb_verify_finding_at),
                         (unsigned long long)found, (unsigned long long)objects, (unsigned long long)chunks,
                         (unsigned long long)bytes, rows_of(job, lrb_verify_note_count(job), lrb_verify_note_at));
}

static PyObject *verify_job(PyObject *module, PyObject *args) {
    lrb_core *core = lrb_py_core(module);
    PyObject *repository;
    const char *snapshot_id;
    int level, mark, code;
    if (!PyArg_ParseTuple(args, "Ozip:verify_job", &repository, &snapshot_id, &level, &mark)) return NULL;
    if (level != LRB_VERIFY_CATALOGUE && level != LRB_VERIFY_DIGESTS)
        return lrb_py_invalid(core, "verify", "a verify level is 1 (catalogue) or 2 (digests)");
    PyObject *handle = lrb_py_repository_handle(core, repository);
    if (!handle) return NULL;
    lrb_repo *repo = lrb_py_handle_repo(handle);
    lrb_py_job_parts parts = {.convert = convert_verified, .handle = handle, .fds = {-1, -1}};
    lrb_err err;
    Py_BEGIN_ALLOW_THREADS
    code = lrb_verify_new(repo, snapshot_id, (lrb_verify_level)level, mark, &parts.job, &err);
    Py_END_ALLOW_THREADS
    if (!code) return lrb_py_job_new(core, &parts);
    lrb_py_parts_release(&parts);
    return lrb_py_raise(core, &err);
}

/* ---- prune ---- */

static PyObject *convert_pruned(const lrb_core *core, lrb_job *job, PyObject *handle) {
    (void)core, (void)handle;
    const lrb_prune_outcome *o = lrb_prune_result(job);
    const struct {
        const char *name;
        uint64_t value;
    } members[] = {
        {"packs_retired", o->packs_retired},   {"packs_swept", o->packs_swept}, {"packs_repacked", o->packs_repacked},
        {"bytes_retired", o->bytes_retired},   {"bytes_freed", o->bytes_freed}, {"bytes_rewritten", o->bytes_rewritten},
        {"litter_removed", o->litter_removed}, {"bytes_live", o->bytes_live},   {"bytes_total", o->bytes_total},
    };
    PyObject *outcome = PyDict_New();
    for (size_t i = 0; outcome && i < sizeof members / sizeof members[0]; i++) {
        PyObject *value = PyLong_FromUnsignedLongLong(members[i].value);
        if (!value || PyDict_SetItemString(outcome, members[i].name, value)) Py_CLEAR(outcome);
        Py_XDECREF(value);
    }
    return outcome;
}

static PyObject *prune_job(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"repo", "wait_ns", "dry_run", "repack", "dropped", NULL};
    lrb_core *core = lrb_py_core(module);
    PyObject *repository, *dropped = NULL;
    long long wait_ns = -1;
    int dry_run = false, repack = true, code;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$LppO:prune_job", names, &repository, &wait_ns, &dry_run, &repack,
                                     &dropped))
        return NULL;
    if (wait_ns < 0)
        return lrb_py_invalid(core, "prune",
                              "prune needs wait_ns, the readers' waiting time in nanoseconds, 0 or more");
    lrb_py_names ids = {0};
    if (dropped && !lrb_py_names_take(dropped, &ids)) return NULL;
    PyObject *handle = lrb_py_repository_handle(core, repository);
    if (!handle) {
        lrb_free(ids.at);
        return NULL;
    }
    lrb_repo *repo = lrb_py_handle_repo(handle);
    lrb_prune_options options = {wait_ns, dry_run, repack, ids.at, ids.count};
    lrb_py_job_parts parts = {.convert = convert_pruned, .handle = handle, .fds = {-1, -1}};
    lrb_err err;
    Py_BEGIN_ALLOW_THREADS
    code = lrb_prune_new(repo, &options, &parts.job, &err);
    lrb_free(ids.at);
    Py_END_ALLOW_THREADS
    if (!code) return lrb_py_job_new(core, &parts);
    lrb_py_parts_release(&parts);
    return lrb_py_raise(core, &err);
}

/* ---- needs ---- */

static PyObject *convert_needs(const lrb_core *core, lrb_job *job, PyObject *handle) {
    (void)core, (void)handle;
    size_t count;
    const lrb_pack_ref *packs = lrb_needs_packs(job, &count);
    return Py_BuildValue("(KN)", (unsigned long long)lrb_needs_number(job), lrb_py_pack_list(packs, count));
}

static PyObject *needs_job(PyObject *module, PyObject *args) {
    lrb_core *core = lrb_py_core(module);
    PyObject *repository;
    const char *snapshot_id;
    if (!PyArg_ParseTuple(args, "Os:needs_job", &repository, &snapshot_id)) return NULL;
    PyObject *handle = lrb_py_repository_handle(core, repository);
    if (!handle) return NULL;
    lrb_py_job_parts parts = {.convert = convert_needs, .handle = handle, .fds = {-1, -1}};
    lrb_err err;
    if (!lrb_needs_new(lrb_py_handle_repo(handle), snapshot_id, &parts.job, &err)) return lrb_py_job_new(core, &parts);
    lrb_py_parts_release(&parts);
    return lrb_py_raise(core, &err);
}

PyDoc_STRVAR(
    verify_doc,
    "verify_job(repo, snapshot_id, level, mark, /)\n--\n\n"
    "level 1 catalogue, 2 digests. Result: (list of (object, message), findings in all, objects, chunks, bytes, list of\n"
    "what was found before).");
PyDoc_STRVAR(prune_doc,
             "prune_job(repo, *, wait_ns, dry_run=False, repack=True, dropped=())\n--\n\n"
             "A dry run takes the snapshots in dropped for dropped. Result: dict of what was done.");

PyDoc_STRVAR(needs_doc, "needs_job(repo, snapshot_id, /)\n--\n\n"
                        "Result: (number of its entry, list of (id, bytes) of the packs it needs).");

PyMethodDef lrb_py_care_functions[] = {
    {"verify_job", verify_job, METH_VARARGS, verify_doc},
    {"needs_job", needs_job, METH_VARARGS, needs_doc},
    {"prune_job", (PyCFunction)(void (*)(void))prune_job, METH_VARARGS | METH_KEYWORDS, prune_doc},
    {0},
};
