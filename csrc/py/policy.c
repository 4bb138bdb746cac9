/* retention_scan: columns in, one byte per snapshot out. */
#include "py/core.h"

#include <string.h>

#include "base/mem.h"
#include "repo/retention.h"

enum { FLAG_HELD = 1, FLAG_SAFETY = 2 };

typedef struct columns {
    Py_buffer created_ns, retention_days, flags;
} columns;

static void release_columns(columns *c) {
    PyBuffer_Release(&c->created_ns);
    PyBuffer_Release(&c->retention_days);
    PyBuffer_Release(&c->flags);
}

/* A buffer may lie at any address, so numbers are copied out. */
static void fill_items(const columns *c, size_t count, lrb_retention_item *items) {
    const char *created = c->created_ns.buf, *days = c->retention_days.buf;
    const uint8_t *flags = c->flags.buf;
    for (size_t i = 0; i < count; i++) {
        memcpy(&items[i].created_ns, created + i * sizeof(int64_t), sizeof(int64_t));
        memcpy(&items[i].retention_days, days + i * sizeof(uint32_t), sizeof(uint32_t));
        items[i].held = flags[i] & FLAG_HELD;
        items[i].safety = flags[i] & FLAG_SAFETY;
    }
}

static int scan(const columns *c, size_t count, const lrb_retention_policy *policy, int64_t now_ns, char *out,
                lrb_err *err) {
    lrb_retention_item *items = lrb_alloc_zero(count, sizeof *items);
    lrb_retention_reason *reasons = lrb_alloc_zero(count, sizeof *reasons);
    int code = items && reasons ? LRB_OK : lrb_err_nomem(err, "scan");
    if (!code) {
        fill_items(c, count, items);
        code = lrb_retention_scan(items, count, policy, now_ns, reasons, err);
    }
    for (size_t i = 0; !code && i < count; i++) out[i] = (char)reasons[i];
    lrb_free(items);
    lrb_free(reasons);
    return code;
}

static bool same_length(const columns *c, size_t count) {
    if ((size_t)c->created_ns.len == count * sizeof(int64_t) &&
        (size_t)c->retention_days.len == count * sizeof(uint32_t))
        return true;
    PyErr_SetString(PyExc_ValueError,
                    "created_ns (8 bytes each), retention_days (4) and flags (1) must have one length");
    return false;
}

static PyObject *scan_columns(const lrb_core *core, const columns *c, const lrb_retention_policy *policy,
                              int64_t now_ns) {
    size_t count = (size_t)c->flags.len;
    if (!same_length(c, count)) return NULL;
    char *reasons = lrb_alloc(count);
    if (!reasons) return PyErr_NoMemory();
    lrb_err err;
    int code;
    Py_BEGIN_ALLOW_THREADS
    code = scan(c, count, policy, now_ns, reasons, &err);
    Py_END_ALLOW_THREADS
    PyObject *result = code ? lrb_py_raise(core, &err) : PyBytes_FromStringAndSize(reasons, (Py_ssize_t)count);
    lrb_free(reasons);
    return result;
}

/* A count no snapshot list can exceed means "all of them". */
static int to_count(PyObject *number, void *out) {
    long long value = PyLong_AsLongLong(number);
    if (value == -1 && PyErr_Occurred()) return 0;
    if (value < 0) {
        PyErr_SetString(PyExc_ValueError, "a retention rule keeps 0 or more snapshots");
        return 0;
    }
    *(uint32_t *)out = value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
    return 1;
}

PyObject *lrb_py_retention_scan(PyObject *module, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"created_ns",  "retention_days", "flags",      "now_ns",      "use_days",
                            "keep_last",   "keep_hourly",    "keep_daily", "keep_weekly", "keep_monthly",
                            "keep_yearly", "keep_within_ns", "minimum",    NULL};
    columns c;
    lrb_retention_policy policy = {0};
    int use_days = true;
    long long now_ns, keep_within_ns = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*y*y*L|$pO&O&O&O&O&O&LO&:retention_scan", names, &c.created_ns,
                                     &c.retention_days, &c.flags, &now_ns, &use_days, to_count, &policy.keep_last,
                                     to_count, &policy.keep_hourly, to_count, &policy.keep_daily, to_count,
                                     &policy.keep_weekly, to_count, &policy.keep_monthly, to_count, &policy.keep_yearly,
                                     &keep_within_ns, to_count, &policy.minimum))
        return NULL;
    policy.use_days = use_days;
    policy.keep_within_ns = keep_within_ns;
    PyObject *result = scan_columns(lrb_py_core(module), &c, &policy, now_ns);
    release_columns(&c);
    return result;
}

PyObject *lrb_py_retention_reasons(void) {
    PyObject *texts = PyTuple_New(LRB_RETENTION_REASONS);
    for (int i = 0; texts && i < LRB_RETENTION_REASONS; i++) {
        PyObject *text = lrb_py_text(lrb_retention_reason_text((lrb_retention_reason)i));
        if (!text || PyTuple_SetItem(texts, i, text)) Py_CLEAR(texts);
    }
    return texts;
}
