/* The module lightrag_bkp._core: constants, types, functions, and its state. */
#include "py/core.h"

#include <fcntl.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "codec/adler.h"
#include "engine/litter.h"
#include "engine/publish.h"
#include "engine/restore.h"

/* ---- functions that belong to no job ---- */

static PyObject *free_bytes(PyObject *module, PyObject *arg) {
    PyObject *path;
    if (!PyUnicode_FSConverter(arg, &path)) return NULL;
    const char *name = PyBytes_AsString(path);
    uint64_t bytes;
    int fd = -1, code;
    lrb_err err;
    Py_BEGIN_ALLOW_THREADS
    code = lrb_fs_open_dir(AT_FDCWD, name, &fd, &err);
    if (!code) {
        code = lrb_fs_free_bytes(fd, &bytes, &err);
        lrb_fs_close(fd);
    }
    Py_END_ALLOW_THREADS
    Py_DECREF(path);
    return code ? lrb_py_raise(lrb_py_core(module), &err) : PyLong_FromUnsignedLongLong(bytes);
}

static PyObject *file_system(PyObject *module, PyObject *arg) {
    PyObject *path;
    if (!PyUnicode_FSConverter(arg, &path)) return NULL;
    const char *name = PyBytes_AsString(path);
    lrb_fs_nature nature;
    int fd = -1, code;
    lrb_err err;
    Py_BEGIN_ALLOW_THREADS
    code = lrb_fs_open_dir(AT_FDCWD, name, &fd, &err);
    if (!code) {
        code = lrb_fs_look_at_nature(fd, &nature, &err);
        lrb_fs_close(fd);
    }
    Py_END_ALLOW_THREADS
    Py_DECREF(path);
    return code ? lrb_py_raise(lrb_py_core(module), &err) : Py_BuildValue("(sN)", nature.remote, PyBool_FromLong(nature.locks));
}

static PyObject *reclaim_litter(PyObject *module, PyObject *args) {
    PyObject *path;
    const char *graph_id;
    long long wait_ns;
    if (!PyArg_ParseTuple(args, "O&zL:reclaim_litter", PyUnicode_FSConverter, &path, &graph_id, &wait_ns)) return NULL;
    const char *name = PyBytes_AsString(path);
    lrb_litter_gone gone;
    lrb_err err;
    int code;
    Py_BEGIN_ALLOW_THREADS
    code = lrb_litter_reclaim(name, graph_id, lrb_clock_wall_ns(), wait_ns, &gone, &err);
    Py_END_ALLOW_THREADS
    Py_DECREF(path);
    if (code) return lrb_py_raise(lrb_py_core(module), &err);
    return Py_BuildValue("(KK)", (unsigned long long)gone.files, (unsigned long long)gone.bytes);
}

static PyObject *adler32(PyObject *module, PyObject *args) {
    (void)module;
    Py_buffer bytes;
    uint32_t sum;
    if (!PyArg_ParseTuple(args, "y*:adler32", &bytes)) return NULL;
    Py_BEGIN_ALLOW_THREADS
    sum = lrb_adler32(bytes.buf, (size_t)bytes.len);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&bytes);
    return PyLong_FromUnsignedLong(sum);
}

static PyObject *mem_fail_after(PyObject *module, PyObject *args) {
    (void)module;
    long long countdown;
    int stay;
    if (!PyArg_ParseTuple(args, "Lp:mem_fail_after", &countdown, &stay)) return NULL;
    lrb_mem_fail_after(countdown, stay);
    Py_RETURN_NONE;
}

static PyObject *mem_count(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyLong_FromLongLong(lrb_mem_count());
}

PyDoc_STRVAR(classes_doc, "set_error_classes(classes, /)\n--\n\nTells which class each class name of ERROR_TABLE is.");
PyDoc_STRVAR(scan_doc, "retention_scan(created_ns, retention_days, flags, now_ns, *, use_days=True, keep_last=0, "
                       "keep_hourly=0, keep_daily=0, "
                       "keep_weekly=0, keep_monthly=0, keep_yearly=0, keep_within_ns=0, minimum=0)\n--\n\n"
                       "One byte per snapshot: a number of RETENTION_REASONS.");
PyDoc_STRVAR(
    free_bytes_doc,
    "free_bytes(path, /)\n--\n\nBytes an unprivileged writer may still use on the file system of a directory.");
PyDoc_STRVAR(file_system_doc, "file_system(path, /)\n--\n\nWhat a directory lies on: (name of a remote file system or '', whether locks hold).");
PyDoc_STRVAR(litter_doc, "reclaim_litter(storage_path, graph_id, wait_ns, /)\n--\n\n"
                         "Removes what runs that died left half-written and is older than that: (files, bytes).");
PyDoc_STRVAR(adler_doc, "adler32(content, /)\n--\n\nThe checksum a zlib stream ends with; the caller keeps the bytes as they are.");
PyDoc_STRVAR(fail_doc, "mem_fail_after(countdown, stay, /)\n--\n\nFor tests: makes an allocation fail.");
PyDoc_STRVAR(count_doc, "mem_count($module, /)\n--\n\nFor tests: allocations since the last mem_fail_after.");

static PyMethodDef functions[] = {
    {"set_error_classes", lrb_py_set_error_classes, METH_O, classes_doc},
    {"retention_scan", (PyCFunction)(void (*)(void))lrb_py_retention_scan, METH_VARARGS | METH_KEYWORDS, scan_doc},
    {"free_bytes", free_bytes, METH_O, free_bytes_doc},
    {"file_system", file_system, METH_O, file_system_doc},
    {"reclaim_litter", reclaim_litter, METH_VARARGS, litter_doc},
    {"adler32", adler32, METH_VARARGS, adler_doc},
    {"mem_fail_after", mem_fail_after, METH_VARARGS, fail_doc},
    {"mem_count", mem_count, METH_NOARGS, count_doc},
    {0},
};

/* ---- making the module ---- */

static int add_new(PyObject *module, const char *name, PyObject *value) {
    int code = value ? PyModule_AddObjectRef(module, name, value) : -1;
    Py_XDECREF(value);
    return code;
}

static int add_constants(PyObject *module) {
    if (PyModule_AddIntConstant(module, "FORMAT_VERSION", LRB_FORMAT_VERSION) ||
        PyModule_AddIntConstant(module, "PUBLISH_RENAME", LRB_PUBLISH_RENAME) ||
        PyModule_AddIntConstant(module, "PUBLISH_EXCHANGE", LRB_PUBLISH_EXCHANGE) ||
        PyModule_AddIntConstant(module, "PUBLISH_JOURNAL", LRB_PUBLISH_JOURNAL) ||
        PyModule_AddIntConstant(module, "KEEP_NOTHING", LRB_KEEP_NOTHING) ||
        PyModule_AddIntConstant(module, "KEEP_SAME", LRB_KEEP_SAME) ||
        PyModule_AddIntConstant(module, "KEEP_EXACT", LRB_KEEP_EXACT) ||
        PyModule_AddIntConstant(module, "KEEP_LINKED", LRB_KEEP_LINKED))
        return -1;
    if (add_new(module, "ERROR_TABLE", lrb_py_error_table())) return -1;
    return add_new(module, "RETENTION_REASONS", lrb_py_retention_reasons());
}

static int add_type(PyObject *module, PyObject **slot, PyObject *(*make)(PyObject *module)) {
    *slot = make(module);
    return *slot ? PyModule_AddType(module, (PyTypeObject *)*slot) : -1;
}

static int add_types(PyObject *module, lrb_core *core) {
    if (add_type(module, &core->pool_type, lrb_py_make_pool_type) ||
        add_type(module, &core->mailbox_type, lrb_py_make_mailbox_type) ||
        add_type(module, &core->job_type, lrb_py_make_job_type) ||
        add_type(module, &core->source_type, lrb_py_make_source_type) ||
        add_type(module, &core->items_type, lrb_py_make_items_type) ||
        add_type(module, &core->restored_type, lrb_py_make_restored_type) ||
        add_type(module, &core->arrival_type, lrb_py_make_arrival_type) ||
        add_type(module, &core->key_type, lrb_py_make_key_type))
        return -1;
    return add_type(module, &core->repository_type, lrb_py_make_repository_type);
}

static int add_functions(PyObject *module) {
    PyMethodDef *const tables[] = {functions, lrb_py_repository_functions, lrb_py_backup_functions,
                                   lrb_py_restore_functions, lrb_py_care_functions, lrb_py_key_functions,
                                   lrb_py_validate_functions, lrb_py_point_functions};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        if (PyModule_AddFunctions(module, tables[i])) return -1;
    return 0;
}

static int exec(PyObject *module) {
    return add_constants(module) || add_types(module, lrb_py_core(module)) || add_functions(module) ? -1 : 0;
}

static int traverse(PyObject *module, visitproc visit, void *arg) {
    lrb_core *core = lrb_py_core(module);
    Py_VISIT(core->pool_type);
    Py_VISIT(core->mailbox_type);
    Py_VISIT(core->job_type);
    Py_VISIT(core->repository_type);
    Py_VISIT(core->source_type);
    Py_VISIT(core->items_type);
    Py_VISIT(core->restored_type);
    Py_VISIT(core->arrival_type);
    Py_VISIT(core->key_type);
    return lrb_py_visit_error_classes(core, visit, arg);
}

static int clear(PyObject *module) {
    lrb_core *core = lrb_py_core(module);
    Py_CLEAR(core->pool_type);
    Py_CLEAR(core->mailbox_type);
    Py_CLEAR(core->job_type);
    Py_CLEAR(core->repository_type);
    Py_CLEAR(core->source_type);
    Py_CLEAR(core->items_type);
    Py_CLEAR(core->restored_type);
    Py_CLEAR(core->arrival_type);
    Py_CLEAR(core->key_type);
    lrb_py_clear_error_classes(core);
    return 0;
}

static void free_state(void *module) {
    clear(module);
}

/* Interpreters that share the GIL may each import the module: all state is in the module. One with a GIL of its own,
 * and a free-threaded interpreter, are told that the objects rely on the GIL. */
static PyModuleDef_Slot slots[] = {
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
    .m_name = "lightrag_bkp._core",
    .m_doc = "The C core of lightrag_bkp.",
    .m_size = sizeof(lrb_core),
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
    .m_free = free_state,
};

PyMODINIT_FUNC PyInit__core(void);
PyMODINIT_FUNC PyInit__core(void) {
    return PyModuleDef_Init(&definition);
}
