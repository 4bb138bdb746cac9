/* A growing byte buffer with a ceiling. No buffer of this program grows without one.
 *
 * Zero-initialised by lrb_buf_init with the most bytes it may ever hold; owns its memory;
 * not shared between threads. After a failure the content is what it was before the call.
 */
#ifndef LRB_BASE_BUF_H
#define LRB_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct lrb_buf {
    uint8_t *data;
    size_t length, capacity, ceiling;
} lrb_buf;

void lrb_buf_init(lrb_buf *buf, size_t ceiling_bytes);
void lrb_buf_clear(lrb_buf *buf);   /* frees the memory; the ceiling stays */
void lrb_buf_empty(lrb_buf *buf);   /* length 0; the memory stays */

/* Room for `extra` more bytes behind the content: LIMIT above the ceiling, NOMEM. */
int lrb_buf_reserve(lrb_buf *buf, size_t extra, lrb_err *err);
int lrb_buf_append(lrb_buf *buf, const void *bytes, size_t count, lrb_err *err);

#endif
