/* Jobs that judge a graph: open files, or a snapshot. */
#include "py/core.h"

#include "engine/validate.h"

enum { REPORT_MAX_BYTES = 4 << 20 };

static PyObject *convert(const lrb_core *core, lrb_job *job, PyObject *handle) {
    (void)handle;
    lrb_buf json;
    lrb_err err;
    lrb_buf_init(&json, REPORT_MAX_BYTES);
    int code = lrb_report_json(lrb_validate_report(job), &json, &err);
    PyObject *text = code ? lrb_py_raise(core, &err)
                          : PyUnicode_FromStringAndSize((const char *)json.data, (Py_ssize_t)json.length);
    lrb_buf_clear(&json);
    return text;
}

static PyObject *finish_job(lrb_core *core, lrb_py_job_parts *parts, int code, const lrb_err *err) {
    if (!code) return lrb_py_job_new(core, parts);
    lrb_py_parts_release(parts);
    return lrb_py_raise(core, err);
}

static PyObject *validate_source_job(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"source", "workspace", "embedding_dim", "partial", NULL};
    lrb_core *core = lrb_py_core(module);
    PyObject *object;
    lrb_validation_options options = {.workspace = "", .live = true};
    unsigned int dim = 0;
    int partial = false, code;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$sIp:validate_source_job", names, &object, &options.workspace, &dim, &partial))
        return NULL;
    lrb_source *source = lrb_py_source(core, object);
    if (!source) return NULL;
    options.embedding_dim = dim;
    options.partial = partial;
    lrb_py_job_parts parts = {.convert = convert, .fds = {-1, -1}};
    lrb_err err;
    lrb_py_source_gone(object);
    Py_BEGIN_ALLOW_THREADS
    code = lrb_validate_source_new(source, &options, &parts.job, &err);
    Py_END_ALLOW_THREADS
    return finish_job(core, &parts, code, &err);
}

static PyObject *validate_snapshot_job(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"repo", "snapshot_id", "workspace", "embedding_dim", "partial", NULL};
    lrb_core *core = lrb_py_core(module);
    PyObject *repository;
    const char *snapshot_id;
    lrb_validation_options options = {.workspace = ""};
    unsigned int dim = 0;
    int partial = false, code;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Os|$sIp:validate_snapshot_job", names, &repository, &snapshot_id, &options.workspace,
                                     &dim, &partial))
        return NULL;
    PyObject *handle = lrb_py_repository_handle(core, repository);
    if (!handle) return NULL;
    options.embedding_dim = dim;
    options.partial = partial;
    lrb_repo *repo = lrb_py_handle_repo(handle);
    lrb_py_job_parts parts = {.convert = convert, .handle = handle, .fds = {-1, -1}};
    lrb_err err;
    Py_BEGIN_ALLOW_THREADS
    code = lrb_validate_snapshot_new(repo, snapshot_id, &options, &parts.job, &err);
    Py_END_ALLOW_THREADS
    return finish_job(core, &parts, code, &err);
}

PyDoc_STRVAR(source_doc, "validate_source_job(source, *, workspace='', embedding_dim=0, partial=False)\n--\n\n"
                         "Takes the sealed source over. Result: the report as JSON text.");
PyDoc_STRVAR(snapshot_doc, "validate_snapshot_job(repo, snapshot_id, *, workspace='', embedding_dim=0, partial=False)\n--\n\n"
                           "Result: the report as JSON text.");

PyMethodDef lrb_py_validate_functions[] = {
    {"validate_source_job", (PyCFunction)(void (*)(void))validate_source_job, METH_VARARGS | METH_KEYWORDS, source_doc},
    {"validate_snapshot_job", (PyCFunction)(void (*)(void))validate_snapshot_job, METH_VARARGS | METH_KEYWORDS, snapshot_doc},
    {0},
};
