/* Nodes: the chunks that name other chunks, and the rows they name.
 *
 * A recipe node names data chunks or nodes; a body chunk names the roots of the items described in it. What else a
 * body says is here only as far as it can be added up. Stored bytes are not trusted: the chunk's id is checked, then
 * every length.
 */
#ifndef LRB_ENGINE_NODE_H
#define LRB_ENGINE_NODE_H

#include "engine/tally.h"

bool lrb_node_is(lrb_chunk_kind kind);
typedef struct lrb_node {
    lrb_row *rows;
    uint64_t *sizes; /* of a body: of the item whose root stands in the same place; else NULL */
    size_t count;
    lrb_tally tally; /* of a body: of its records, whatever their items are made of; else of nothing yet */
} lrb_node;

/* Reads a node, by way of `content`; lrb_node_clear is the caller's. DAMAGED when it is not what it must be. */
int lrb_node_load(lrb_repo *repo, lrb_coder *coder, const lrb_row *row, lrb_buf *content, lrb_node *node, lrb_err *err);
void lrb_node_clear(lrb_node *node);
/* DAMAGED: "recipe chunk 0123456789ab <what>". */
int lrb_node_malformed(const lrb_row *node, const char *what, lrb_err *err);

#endif
