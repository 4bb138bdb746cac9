/* Nodes: the chunks that name other chunks, and the rows they name.
 *
 * A recipe node names data chunks or nodes; a body chunk names the roots of the items described in it. What else a
 * body says does not matter here. Stored bytes are not trusted: the chunk's id is checked, then every length.
 */
#ifndef LRB_ENGINE_NODE_H
#define LRB_ENGINE_NODE_H

#include "repo/repo.h"

bool lrb_node_is(lrb_chunk_kind kind);
/* Reads a node into `content` and allocates its rows (lrb_free) for the caller. DAMAGED when it is not what it must
 * be. */
int lrb_node_load(lrb_repo *repo, lrb_coder *coder, const lrb_row *node, lrb_buf *content, lrb_row **rows,
                  size_t *count, lrb_err *err);
/* DAMAGED: "recipe chunk 0123456789ab <what>". */
int lrb_node_malformed(const lrb_row *node, const char *what, lrb_err *err);

#endif
