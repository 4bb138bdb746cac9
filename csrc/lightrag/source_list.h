/* The chunks an object of the graph was extracted from: a list of ids as hashes, and what is needed to compare two of
 * them as sets without keeping either.
 *
 * LightRAG writes such a list as one text, ids joined by <SEP>, or as an array. Ids that stand for no chunk
 * (manual_creation, UNKNOWN, what is empty) are no evidence: they count where two texts are compared and nowhere else.
 * Two lists are equal as sets when their sums are: an id adds its keyed hash, once. Owns its memory and is used again
 * and again; one thread at a time.
 */
#ifndef LRB_LIGHTRAG_SOURCE_LIST_H
#define LRB_LIGHTRAG_SOURCE_LIST_H

#include <stdbool.h>

#include "base/err.h"
#include "codec/siphash.h"

enum { LRB_SOURCES_MAX = 1 << 20 }; /* INVALID above: 16 MiB */

typedef struct lrb_source_list {
    lrb_hash *at;      /* of ids that stand for chunks; each once after lrb_sources_settle */
    size_t count, room;
    uint64_t sum;      /* of these */
    uint64_t sum_all;  /* of all, also those that stand for none */
} lrb_source_list;

/* Starts all zero. */
void lrb_sources_clear(lrb_source_list *list); /* frees the memory */
void lrb_sources_empty(lrb_source_list *list);
int lrb_sources_add(lrb_source_list *list, const lrb_hash_key *key, const char *id, size_t length, lrb_err *err);
/* Adds all ids of a text. */
int lrb_sources_split(lrb_source_list *list, const lrb_hash_key *key, const char *text, size_t length, lrb_err *err);
/* Takes out what is there twice and computes the sums. */
void lrb_sources_settle(lrb_source_list *list);

bool lrb_source_is_chunk(const char *id, size_t length); /* false for what stands for no chunk */
/* Whether an id is of the form LightRAG gives to chunks, so that it must be one. */
bool lrb_source_claims_chunk(const char *id, size_t length);
/* The next id of a text joined by <SEP>: false at the end. *text and *length become what is behind it. */
bool lrb_source_next(const char **text, size_t *length, const char **id, size_t *id_length);

#endif
