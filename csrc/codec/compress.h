/* zstd, one reusable context per thread. The only folder that includes zstd is codec/.
 *
 * The stored form is one zstd frame with its content size and without a checksum (chunk ids are the
 * checksum). Level 1: on a graph's text the next levels cost more time than they save bytes.
 */
#ifndef LRB_CODEC_COMPRESS_H
#define LRB_CODEC_COMPRESS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct lrb_compressor lrb_compressor;

int lrb_compressor_new(lrb_compressor **out, lrb_err *err);
void lrb_compressor_free(lrb_compressor *compressor);

size_t lrb_compress_bound(size_t count); /* the most bytes a compressed form of `count` bytes can need */
/* Compresses into out[room >= lrb_compress_bound(count)]. */
int lrb_compress(lrb_compressor *c, const void *bytes, size_t count, void *out, size_t room, size_t *written,
                 lrb_err *err);
/* Decompresses exactly `expected` bytes into `out`; DAMAGED for anything else. Hostile input cannot make it
 * write more, or allocate more than a window of `expected` bytes. */
int lrb_decompress(lrb_compressor *c, const void *bytes, size_t count, void *out, size_t expected, lrb_err *err);

#endif
