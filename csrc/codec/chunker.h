/* FastCDC: content-defined cuts of a byte stream (Xia et al., USENIX ATC 2016: "FastCDC: a Fast and Efficient
 * Content-Defined Chunking Approach for Data Deduplication"), with normalised chunking of level 2.
 *
 * A cut depends only on the bytes since the previous cut, so equal content is cut equally wherever it lies.
 * The gear table is derived from a 32-byte seed: gear[i] = first 8 bytes, little-endian, of
 * SHA-256("lrb gear" | seed | i as one byte). Unsealed repositories use the zero seed; sealed ones may use a
 * secret one, so that chunk lengths tell nothing. The table, masks and sizes may never change for a given
 * format version: deduplication against stored data rests on them (golden cuts are in the tests).
 */
#ifndef LRB_CODEC_CHUNKER_H
#define LRB_CODEC_CHUNKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { LRB_CHUNK_MIN_BYTES = 16 << 10, LRB_CHUNK_AVERAGE_BYTES = 64 << 10, LRB_CHUNK_MAX_BYTES = 256 << 10 };

typedef struct lrb_chunker {
    uint64_t gear[256];
} lrb_chunker;

int lrb_chunker_init(lrb_chunker *chunker, const uint8_t seed[32], lrb_err *err);

/* Length of the chunk that starts at `bytes`, looking at no more than LRB_CHUNK_MAX_BYTES of it. `count` is what
 * is at hand: the answer is final when count >= LRB_CHUNK_MAX_BYTES or the stream ends there; count > 0. */
size_t lrb_chunker_cut(const lrb_chunker *chunker, const uint8_t *bytes, size_t count);

/* The same answer from the plain loop of the paper; the reference the fast one is tested against. */
size_t lrb_chunker_cut_reference(const lrb_chunker *chunker, const uint8_t *bytes, size_t count);

#endif
