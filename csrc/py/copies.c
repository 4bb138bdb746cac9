/* What replication reads of a Repository: the end of its log, entries and packs as they are on disk. */
#include "py/core.h"

#include "base/mem.h"

PyObject *lrb_py_head(lrb_repo *repo) {
    lrb_head head;
    Py_BEGIN_ALLOW_THREADS
    head = lrb_repo_head(repo);
    Py_END_ALLOW_THREADS
    return Py_BuildValue("(y#KNK)", (const char *)lrb_repo_id(repo), (Py_ssize_t)LRB_REPO_ID_BYTES,
                         (unsigned long long)head.number, lrb_py_digest(head.digest.bytes), (unsigned long long)head.epoch);
}

PyObject *lrb_py_read_entry(const lrb_core *core, lrb_repo *repo, unsigned long long number) {
    lrb_buf bytes;
    lrb_id digest;
    int64_t time_ns;
    lrb_err err;
    int code;
    lrb_buf_init(&bytes, LRB_ENTRY_MAX_BYTES);
    Py_BEGIN_ALLOW_THREADS
    code = lrb_repo_read_entry(repo, number, &bytes, &digest, &time_ns, &err);
    Py_END_ALLOW_THREADS
    PyObject *result = code ? lrb_py_raise(core, &err)
                            : Py_BuildValue("(y#NL)", (const char *)bytes.data, (Py_ssize_t)bytes.length,
                                            lrb_py_digest(digest.bytes), (long long)time_ns);
    lrb_buf_clear(&bytes);
    return result;
}

PyObject *lrb_py_pack_list(const lrb_pack_ref *packs, size_t count) {
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list && i < count; i++) {
        PyObject *one = Py_BuildValue("(NK)", lrb_py_digest(packs[i].id.bytes), (unsigned long long)packs[i].size_bytes);
        if (!one || PyList_SetItem(list, (Py_ssize_t)i, one)) Py_CLEAR(list);
    }
    return list;
}

PyObject *lrb_py_known_packs(const lrb_core *core, lrb_repo *repo, unsigned long long from) {
    lrb_pack_ref *packs = NULL;
    size_t count = 0;
    lrb_err err;
    int code;
    Py_BEGIN_ALLOW_THREADS
    code = lrb_repo_list_known(repo, from, &packs, &count, &err);
    Py_END_ALLOW_THREADS
    PyObject *list = code ? lrb_py_raise(core, &err) : lrb_py_pack_list(packs, count);
    lrb_free(packs);
    return list;
}

PyObject *lrb_py_open_pack(const lrb_core *core, lrb_repo *repo, const lrb_id *id) {
    int fd = -1, code;
    lrb_err err;
    Py_BEGIN_ALLOW_THREADS
    code = lrb_repo_open_pack_file(repo, id, &fd, &err);
    Py_END_ALLOW_THREADS
    return code ? lrb_py_raise(core, &err) : PyLong_FromLong(fd);
}
