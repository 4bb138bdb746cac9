/* The bytes of a snapshot's item, read anywhere: for whoever looks into a file without restoring it.
 *
 * Opening walks the recipe once and keeps it (40 bytes per chunk). Reading decodes what is asked for, each chunk checked
 * against its id, and keeps the last few: who reads on from where it stopped, at one or two places at a time, decodes
 * every chunk once per place. Plain items and vector files are read alike. Any thread may read, at the same time as
 * others.
 */
#ifndef LRB_ENGINE_ITEM_BYTES_H
#define LRB_ENGINE_ITEM_BYTES_H

#include "engine/job.h"
#include "repo/repo.h"

typedef struct lrb_item_bytes lrb_item_bytes;

/* Of a file whose record is `item`: UNSUPPORTED for chunks of a kind this build does not read, DAMAGED when they do not
 * add up to its size. `coder` is the calling thread's. */
int lrb_item_bytes_open(lrb_repo *repo, const lrb_body_item *item, lrb_coder *coder, lrb_item_bytes **out, lrb_err *err);
void lrb_item_bytes_close(lrb_item_bytes *bytes); /* NULL: nothing */

/* Up to `room` bytes at `offset`; *got is less only at the end. */
int lrb_item_bytes_read(lrb_item_bytes *bytes, lrb_coder *coder, uint64_t offset, void *into, size_t room, size_t *got,
                        lrb_err *err);

#endif
