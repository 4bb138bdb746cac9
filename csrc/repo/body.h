/* A snapshot's body: facts, items and what was left out, as a stream of records (record.h) cut into chunks.
 *
 * Records stand in the order of sequence.h. A chunk (kind BODY) ends after FACTS, and after a record whose SHA-256
 * begins with a little-endian u64 that is 0 modulo 64, and before it would exceed 128 KiB; a longer record is a chunk
 * of its own. The chunks' rows make a recipe; its root is in the log entry. So an unchanged item costs nothing, and a
 * changed one its chunk.
 *
 * data_hash = SHA-256 over, for every regular file and symlink in name order: name length u32 | name | size u64 |
 * SHA-256[32]. (A symlink's bytes are its target text.) The same sealed or not.
 */
#ifndef LRB_REPO_BODY_H
#define LRB_REPO_BODY_H

#include "repo/record.h"

enum { LRB_BODY_CHUNK_MAX_BYTES = 128 << 10 };

/* Facts first, then items, then skipped names. After a failure other than INVALID the writer can only be freed. */
typedef struct lrb_body_writer lrb_body_writer;
int lrb_body_writer_new(lrb_recipe_store store, void *arg, lrb_body_writer **out, lrb_err *err);
void lrb_body_writer_free(lrb_body_writer *writer);
int lrb_body_writer_facts(lrb_body_writer *writer, const char *json, size_t count, lrb_err *err);
/* INVALID when out of order or for an item that cannot be (record.h). */
int lrb_body_writer_item(lrb_body_writer *writer, const lrb_body_item *item, lrb_err *err);
/* INVALID when out of order; a name given twice in a row keeps its first reason. */
int lrb_body_writer_skipped(lrb_body_writer *writer, const char *name, const char *reason, lrb_err *err);
int lrb_body_writer_finish(lrb_body_writer *writer, lrb_row *root, uint8_t data_hash[32], uint64_t *items,
                           uint64_t *size_bytes, lrb_err *err);

typedef struct lrb_body_reader lrb_body_reader;
/* `fetch` brings RECIPE and BODY chunks. */
int lrb_body_reader_new(const lrb_row *root, lrb_recipe_fetch fetch, void *arg, lrb_body_reader **out, lrb_err *err);
void lrb_body_reader_free(lrb_body_reader *reader);
/* The next record; its pointers live until the next call. DAMAGED, naming the chunk, for a record that cannot be or is
 * out of order, and for a body without facts; so a recipe that unfolds without end stops at the first repeated chunk.
 * After a failure the reader can only be freed. */
int lrb_body_reader_next(lrb_body_reader *reader, lrb_body_record *record, bool *done, lrb_err *err);

#endif
