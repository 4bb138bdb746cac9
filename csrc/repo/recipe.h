/* Recipes: the list of chunks that make a stream, itself stored as chunks.
 *
 *   row, 40 bytes: 0 chunk id[32] | 32 kind u8 | 33 zero[3] | 36 count u32
 *
 * `count` is what format.h says for the kind (bytes, rows, records). A node (kind RECIPE) is 1..512 rows; its rows
 * name data chunks or, all of them, nodes one level below. A stream of one chunk has that chunk as its root, an empty
 * stream a row of kind NONE (id and count zero), which stands nowhere else. A node ends after a row when it has at
 * least 2 rows and the first 8 bytes of the row's id, little-endian, are 0 modulo 64, or when it has 512; the last one
 * of a level where the level ends. So a changed row moves at most its own node's end, and a small change rewrites one
 * or two nodes per level. At least two rows per node but the last: levels halve, depth stays below 32. All data rows
 * lie equally deep.
 */
#ifndef LRB_REPO_RECIPE_H
#define LRB_REPO_RECIPE_H

#include "repo/chunk.h"

enum { LRB_ROW_BYTES = 40, LRB_NODE_MAX_ROWS = 512, LRB_RECIPE_MAX_DEPTH = 32 };

typedef struct lrb_row {
    lrb_id id;
    lrb_chunk_kind kind;
    uint32_t count;
} lrb_row;

void lrb_row_encode(const lrb_row *row, uint8_t out[LRB_ROW_BYTES]);
/* UNSUPPORTED, by name, for an unknown or reserved kind. `label` names the object in errors. */
int lrb_row_decode(const uint8_t in[LRB_ROW_BYTES], lrb_row *row, const char *label, lrb_err *err);

/* ---- writing: rows in order, nodes come out through `store` ---- */

/* Stores one chunk of metadata (a node): computes its id and makes sure it is stored. */
typedef int (*lrb_recipe_store)(void *arg, lrb_chunk_kind kind, const void *content, size_t count, lrb_id *id,
                                lrb_err *err);

typedef struct lrb_recipe_builder lrb_recipe_builder; /* at most 32 levels x 512 rows of memory, grown on demand */
int lrb_recipe_builder_new(lrb_recipe_store store, void *arg, lrb_recipe_builder **out, lrb_err *err);
void lrb_recipe_builder_free(lrb_recipe_builder *builder);
/* After a failure other than INVALID the builder can only be freed. */
int lrb_recipe_builder_add(lrb_recipe_builder *builder, const lrb_row *row, lrb_err *err);
int lrb_recipe_builder_finish(lrb_recipe_builder *builder, lrb_row *root, lrb_err *err);

/* ---- reading: depth-first, in order ---- */

/* Fetches a node's content (already checked against its id). */
typedef int (*lrb_recipe_fetch)(void *arg, const lrb_row *node, lrb_buf *content, lrb_err *err);

typedef struct lrb_recipe_walker lrb_recipe_walker;
int lrb_recipe_walker_new(const lrb_row *root, lrb_recipe_fetch fetch, void *arg, lrb_recipe_walker **out,
                          lrb_err *err);
void lrb_recipe_walker_free(lrb_recipe_walker *walker);
/* At most `max_rows` rows of data may come; one more is DAMAGED. A small recipe can name the same nodes over and over
 * and so unfold without end: a caller that does not skip nodes it knows sets what its stream can have. No limit at
 * first. */
void lrb_recipe_walker_limit(lrb_recipe_walker *walker, uint64_t max_rows);
/* Next row of data (never of kind NONE): with `nodes` also nodes themselves (before their rows). *done at the end.
 * DAMAGED, naming the node, for one deeper than the limit, of the wrong size, or mixing levels. After a failure the
 * same call may be tried again. `skip` (after a node was returned) passes over what is below it. */
int lrb_recipe_walker_next(lrb_recipe_walker *walker, bool nodes, lrb_row *row, bool *done, lrb_err *err);
void lrb_recipe_walker_skip(lrb_recipe_walker *walker);

#endif
