/* Cuts of LightRAG's text files between records: key-value JSON at its rows, GraphML at its nodes and edges.
 *
 * A record begins at a line that begins with `  "` (JSON written with indent=2: only rows of the outermost object stand
 * there, since text in JSON holds no line breaks) or with `<node ` or `<edge ` behind any spaces (GraphML: text holds no
 * `<`; networkx indents by four, or not at all where lxml is installed). A chunk ends behind a record when the low bits of the hash of the record's first line, which holds its key, are below
 * its length: about every 16 KiB, and a record of more than that always. So a record that comes, goes or changes moves
 * no other end. Where no record ends within the longest chunk, FastCDC cuts (chunker.h).
 *
 * Chunks are bytes as they are; where they end matters to deduplication alone. No JSON and no XML is judged here.
 */
#ifndef LRB_LIGHTRAG_RECORDS_H
#define LRB_LIGHTRAG_RECORDS_H

#include "codec/chunker.h"

enum { LRB_RECORDS_AVERAGE_BYTES = 16 << 10 };

typedef enum lrb_records_form { LRB_RECORDS_NONE, LRB_RECORDS_JSON, LRB_RECORDS_GRAPHML } lrb_records_form;

/* By the first bytes of a file; 256 of them are enough. */
lrb_records_form lrb_records_recognise(const uint8_t *bytes, size_t count);

/* Length of the chunk that starts at `bytes`; of a file of form NONE what lrb_chunker_cut says. `count` is what is at hand:
 * the answer is final when count >= LRB_CHUNK_MAX_BYTES or the stream ends there; count > 0. */
size_t lrb_records_cut(lrb_records_form form, const lrb_chunker *chunker, uint64_t seed, const uint8_t *bytes, size_t count);

#endif
