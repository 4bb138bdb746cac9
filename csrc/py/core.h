/* The binding: what its files share. The only folder that knows Python.
 *
 * One C file per Python type (pool, mailbox, job, repository, source, restored, and body for Items), one per family of functions
 * that make jobs (jobs_*.c), and one function that turns an lrb_err into an exception (error.c). Types and error
 * classes live in the module's state, so that each interpreter has its own; pool threads touch no Python object.
 *
 * Locking: fields of these objects are read and written under the GIL only, and the GIL is released around everything
 * that may touch a disk or wait. A method that works on an lrb_repo without the GIL first takes its own reference to
 * the handle, a method that does so on an lrb_source marks it busy; close() in another thread can then not pull it
 * away.
 *
 * Forks: pool threads do not exist in a forked child and their locks may be held for ever. Objects made before the fork
 * therefore refuse to work there, and their C parts are forgotten, not freed.
 */
#ifndef LRB_PY_CORE_H
#define LRB_PY_CORE_H

#include <pyconfig.h>
#ifndef Py_GIL_DISABLED /* a free-threaded build has no limited API */
#define Py_LIMITED_API 0x030B0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "base/err.h"
#include "engine/job.h"
#include "repo/repo.h"

typedef struct lrb_core { /* the module's state */
    PyObject *pool_type, *mailbox_type, *job_type, *repository_type, *source_type, *items_type, *key_type;
    PyObject *restored_type, *arrival_type;
    PyObject *request_type, *pace_type;      /* of _probe */
    PyObject *error_classes[LRB_CODE_COUNT]; /* by code; NULL before set_error_classes */
} lrb_core;

static inline lrb_core *lrb_py_core(PyObject *module) { return PyModule_GetState(module); }

/* ---- error.c ---- */
PyObject *lrb_py_raise(const lrb_core *core, const lrb_err *err);                    /* NULL, for `return` */
PyObject *lrb_py_invalid(const lrb_core *core, const char *op, const char *message); /* raises INVALID; NULL */
PyObject *lrb_py_error_table(void);
PyObject *lrb_py_set_error_classes(PyObject *module, PyObject *classes);
/* For a module's traverse and clear. */
int lrb_py_visit_error_classes(const lrb_core *core, visitproc visit, void *arg);
void lrb_py_clear_error_classes(lrb_core *core);

/* ---- text.c: names cross as os.fsencode and os.fsdecode do; stored text that is no UTF-8 comes as surrogates ---- */
PyObject *lrb_py_name(const char *name, size_t length);
PyObject *lrb_py_text(const char *text);
PyObject *lrb_py_digest(const uint8_t digest[32]);

/* One block of memory: the pointers, then the names. lrb_free(at) frees all; at is NULL before. */
typedef struct lrb_py_names {
    const char **at;
    size_t count;
} lrb_py_names;
bool lrb_py_names_take(PyObject *sequence, lrb_py_names *out); /* false: raised */

/* ---- the types: each makes its type object ---- */
PyObject *lrb_py_make_pool_type(PyObject *module);
PyObject *lrb_py_make_mailbox_type(PyObject *module);
PyObject *lrb_py_make_job_type(PyObject *module);
PyObject *lrb_py_make_repository_type(PyObject *module);
PyObject *lrb_py_make_source_type(PyObject *module);
PyObject *lrb_py_make_items_type(PyObject *module);
PyObject *lrb_py_make_restored_type(PyObject *module);
PyObject *lrb_py_make_arrival_type(PyObject *module);
PyObject *lrb_py_make_key_type(PyObject *module);

/* ---- client.c, of _probe ---- */
int lrb_py_add_client_types(PyObject *module); /* -1: raised */

/* ---- pool.c and mailbox.c, as the job sees them ---- */
typedef struct lrb_pool lrb_pool;
lrb_pool *lrb_py_pool(const lrb_core *core, PyObject *pool); /* raises when stopped or of another process */
lrb_pool *lrb_py_pool_or_null(PyObject *pool);                /* the same without raising */
/* One more job is on its way. Raises when closed. */
lrb_mailbox *lrb_py_mailbox_expect(const lrb_core *core, PyObject *mailbox);

/* ---- job.c ---- */
typedef struct lrb_py_job lrb_py_job;
/* Turns the outcome of a job that succeeded into what result() returns. */
typedef PyObject *(*lrb_py_convert)(const lrb_core *core, lrb_job *job, PyObject *repository);
/* What a Job keeps until result() was given; all may be missing but job and convert. */
typedef struct lrb_py_job_parts {
    lrb_job *job;
    lrb_py_convert convert;
    PyObject *handle;      /* of a repository */
    void *memory;          /* lrb_free */
    int fds[2];            /* closed; -1: none */
} lrb_py_job_parts;
/* Takes the parts over, on failure too. */
PyObject *lrb_py_job_new(lrb_core *core, const lrb_py_job_parts *parts);
/* Releases parts that never became a Job. */
void lrb_py_parts_release(lrb_py_job_parts *parts);
PyObject *lrb_py_convert_none(const lrb_core *core, lrb_job *job, PyObject *repository);
/* The job came out of its mailbox: the core's reference becomes the caller's. */
PyObject *lrb_py_job_returned(lrb_job *job);

/* ---- repository.c ---- */
/* A handle is a capsule that closes the lrb_repo when its last user lets go. */
PyObject *lrb_py_repository_new(lrb_core *core, lrb_repo *repo); /* takes repo over, on failure too */
/* A new reference. Raises when closed or no Repository. */
PyObject *lrb_py_repository_handle(const lrb_core *core, PyObject *repository);
lrb_repo *lrb_py_handle_repo(PyObject *handle);
PyObject *lrb_py_read_body(const lrb_core *core, lrb_repo *repo, const char *snapshot_id); /* body.c */
PyObject *lrb_py_read_facts(const lrb_core *core, lrb_repo *repo, const char *snapshot_id);
PyObject *lrb_py_head(lrb_repo *repo); /* copies.c */
PyObject *lrb_py_read_entry(const lrb_core *core, lrb_repo *repo, unsigned long long number);
PyObject *lrb_py_known_packs(const lrb_core *core, lrb_repo *repo, unsigned long long from);
PyObject *lrb_py_pack_list(const lrb_pack_ref *packs, size_t count);
PyObject *lrb_py_open_pack(const lrb_core *core, lrb_repo *repo, const lrb_id *id);

/* ---- key.c ---- */
const lrb_key *lrb_py_key(const lrb_core *core, PyObject *key); /* borrowed from the object; raises when it is no Key */

/* ---- source.c ---- */
typedef struct lrb_source lrb_source;
lrb_source *lrb_py_source(const lrb_core *core, PyObject *source); /* borrowed; raises when given away or in use */
void lrb_py_source_gone(PyObject *source);                         /* its C part has a new owner */

/* ---- restored.c ---- */
typedef struct lrb_restore_list lrb_restore_list;
PyObject *lrb_py_restored_new(const lrb_core *core, lrb_restore_list *list); /* takes it over, on failure too */
bool lrb_py_is_restored(const lrb_core *core, PyObject *object);
/* Borrowed; raises when it was given away, or is a plan where `staged` ones are asked for, or the other way round. */
lrb_restore_list *lrb_py_restored(const lrb_core *core, PyObject *restored, bool staged);
void lrb_py_restored_gone(PyObject *restored); /* its C part has a new owner */
/* The names of what is staged; lrb_free(out->at). They live in the list. false: raised. */
bool lrb_py_restored_names(const lrb_restore_list *list, lrb_py_names *out);

/* ---- policy.c ---- */
PyObject *lrb_py_retention_scan(PyObject *module, PyObject *args, PyObject *kwargs);
PyObject *lrb_py_retention_reasons(void);

/* ---- functions of the module that make jobs, one table per file ---- */
extern PyMethodDef lrb_py_repository_functions[], lrb_py_backup_functions[], lrb_py_restore_functions[],
    lrb_py_care_functions[], lrb_py_key_functions[], lrb_py_validate_functions[], lrb_py_point_functions[];

#endif
