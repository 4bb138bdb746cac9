/* Bytes that can be read anywhere: a file of LightRAG's, wherever it is kept.
 *
 * Everything that judges a file reads it through this, so that the same code judges an open file of a live directory
 * and an item of a snapshot. `read` is called by several threads at once; `thread` is what the caller of the reading
 * code passed along for its own thread (a pool worker), or NULL. The bytes are those of one moment: whoever makes an
 * lrb_bytes sees to it that they do not change. Files are read, never mapped: a file that is cut short is an error then,
 * not a signal.
 */
#ifndef LRB_LIGHTRAG_BYTES_H
#define LRB_LIGHTRAG_BYTES_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct lrb_bytes {
    /* Reads up to `room` bytes at `offset`; *got is less only at the end. Any failure ends the work. */
    int (*read)(const struct lrb_bytes *self, void *thread, uint64_t offset, void *into, size_t room, size_t *got,
                lrb_err *err);
    void *arg;
    uint64_t length;
} lrb_bytes;

/* Reads exactly `count` bytes; DAMAGED when they end early. */
int lrb_bytes_read_exact(const lrb_bytes *bytes, void *thread, uint64_t offset, void *into, size_t count, lrb_err *err);

/* `count` bytes in memory, which the caller keeps as long as they are read. */
lrb_bytes lrb_bytes_of_memory(const void *memory, size_t count);

#endif
