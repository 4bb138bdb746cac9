/* Does a graph fit together? All files of one LightRAG workspace, as they stream by, against the invariants.
 *
 * Give it the files by name, then let any number of threads call step until it says DONE; then read the report. Each
 * file is read once by one thread, in an order in which what it names is known already, and the rows of vector files once
 * more by all threads: a row's float16 vector and its float32 row stand far apart in the file. What is wrong but not
 * yet known by name (an edge without a vector was one of millions of hashes) is named in a second look at the files it
 * is in. A file that cannot be read is a finding, and what depends on it is not judged.
 *
 * Memory: some MiB per thread and open file, and at most 100 bytes per id (an id: node, edge, chunk, document, vector,
 * anchor, cached answer); never a list of names. What the files say is bounded everywhere: nothing in them makes this
 * allocate more, recurse, or fail in another way than by a finding.
 */
#ifndef LRB_LIGHTRAG_VALIDATION_H
#define LRB_LIGHTRAG_VALIDATION_H

#include "lightrag/bytes.h"
#include "lightrag/report.h"
#include "lightrag/row_check.h"

typedef struct lrb_validation_options {
    const char *workspace;  /* "" for the unnamed one */
    uint32_t embedding_dim; /* the configured one; 0: none to compare with */
    bool partial;           /* missing files are somewhere else: no finding */
    bool live;              /* the files are where LightRAG works: look for sidecars, too */
} lrb_validation_options;

typedef enum lrb_validation_state { LRB_VALIDATION_MORE, LRB_VALIDATION_IDLE, LRB_VALIDATION_DONE } lrb_validation_state;

typedef struct lrb_validation lrb_validation;

int lrb_validation_new(const lrb_validation_options *options, lrb_validation **out, lrb_err *err);
void lrb_validation_free(lrb_validation *validation); /* NULL: nothing */

/* Whether a file of this item name says anything about the graph. */
bool lrb_validation_takes(const char *name);
/* Adds such a file; *taken is false for any other, and for one store too many that nobody knows. What `bytes` leads to
 * has to last until the last step. EXISTS for a name given twice. */
int lrb_validation_add(lrb_validation *validation, const char *name, const lrb_bytes *bytes, bool *taken, lrb_err *err);

/* What stands in the place of such a file is none, and LightRAG stumbles over it: `why` says in which way. */
int lrb_validation_refuse(lrb_validation *validation, const char *name, const char *why, lrb_err *err);

/* A symbolic link is in the place of such a file. It is not followed: the file is missing, and why is said with that. */
void lrb_validation_link(lrb_validation *validation, const char *name);
/* This Faiss index was written later than its metadata, which LightRAG writes second. */
int lrb_validation_newer_index(lrb_validation *validation, const char *name, lrb_err *err);

/* Of a vector file of this name: its numbers were compared before, and nothing was wrong with them, so that its records
 * alone are read. Before the first step. */
void lrb_validation_trust(lrb_validation *validation, const char *name);
/* The same of a file whose rows another reader compared just now; it holds if both found them at the same places. */
void lrb_validation_rows_seen(lrb_validation *validation, const char *name, const lrb_rows_seen *seen);

/* One step of a few milliseconds, by any thread; `thread` is handed to the bytes' read. IDLE: only others' work is left
 * right now. A failure is one of reading or memory, or of cancelling from within a read; nothing can follow it. */
int lrb_validation_step(lrb_validation *validation, void *thread, lrb_validation_state *state, lrb_err *err);

/* After DONE; lives as long as the validation. */
const lrb_report *lrb_validation_report(const lrb_validation *validation);

#endif
