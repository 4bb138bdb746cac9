/* A recovery point: a short log of its own, of documents that never change.
 *
 *   <storage>/recovery_points/<id>/<20 digits>      log entries (entry.h) of kind RECORD, numbered and hash-chained;
 *                                                   0 is the point itself, later ones say what became of it
 *                  /.tmp/<nonce>.entry              being written; litter after a crash
 *                       /<id>                       being deleted; litter, too
 *
 * An entry's graph id is the point's id, its payload one field LRB_F_DOCUMENT, and its repository id is random, drawn for
 * entry 0 and the same in all others. With a key all of them are sealed as a repository is (vault.h).
 *
 * Creating entry 0 is the commit of a new point, moving its directory away that of a deletion; a crash after that leaves
 * litter, which the next deletion of this id removes. Entries without entry 0 are therefore a point that was damaged, and
 * never none at all. Functions keep no state, and any number of processes may append at once: a number is taken once.
 */
#ifndef LRB_REPO_POINT_H
#define LRB_REPO_POINT_H

#include "repo/log.h"

enum { LRB_POINT_TEXT_MAX_BYTES = 1 << 20 };

typedef struct lrb_point_place {
    const char *storage_path, *id; /* INVALID for an id that is no graph id */
    const lrb_key *key;            /* NULL: not sealed. LOCKED when it is the other way round */
} lrb_point_place;

/* Appends a document, durably. With `create` the point must not be there yet (EXISTS), without it must be (NOT_FOUND). */
int lrb_point_append(const lrb_point_place *place, bool create, const char *text, size_t length, uint64_t *number,
                     lrb_err *err);

/* Calls `each` for every document in order; a non-zero return stops and is passed up. NOT_FOUND for no such point;
 * DAMAGED where the chain breaks, after all that comes before; the error's target is recovery_points/<id>/<number>. */
typedef int (*lrb_point_each)(void *arg, uint64_t number, int64_t time_ns, const char *text, size_t length, lrb_err *err);
int lrb_point_read(const lrb_point_place *place, lrb_point_each each, void *arg, lrb_err *err);

/* Removes a point, however damaged, or what is left of one; *existed says whether it was there. Needs no key. */
int lrb_point_delete(const char *storage_path, const char *id, bool *existed, lrb_err *err);

#endif
