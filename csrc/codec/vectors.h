/* Vector chunks: some records' embeddings, each kept by LightRAG twice, in the shape that is hashed and the one that is
 * stored.
 *
 * Content (chunk kind "vectors", with the chunk's dim; what the chunk id is computed from, and what decoding gives):
 *
 *   rows u32 | rows x length of the row's stream u32 | rows x dim float32, canonical (canonical.h) | the streams
 *
 * all little-endian and without gaps, so that everything but the streams is aligned when the content is. A stream is
 * the zlib stream of dim float16 as it stands in the file: it is kept byte for byte and never made anew.
 *
 * Stored form (codec "vector"; the layout is in docs/format.md): a row's float32 are predicted as float16 times one float32
 * scale, and the differences stored in about 13 bits. Decoding multiplies once per element and adds integers; there
 * is no sum whose order could matter. What cannot be predicted is stored as it is; encoding says when the whole does
 * not pay, and the caller then compresses the content as any other.
 *
 * An lrb_vector_coder is the working memory of one thread.
 */
#ifndef LRB_CODEC_VECTORS_H
#define LRB_CODEC_VECTORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "codec/inflate.h"

enum { LRB_VECTORS_MAX_DIM = 65535, LRB_VECTORS_MAX_ROWS = 65535, LRB_VECTORS_MAX_BYTES = 4 << 20 };

/* Where the parts of a content begin. */
typedef struct lrb_vectors_shape {
    size_t lengths, values, streams, total;
} lrb_vectors_shape;

/* In front of the values. */
static inline size_t lrb_vectors_head_bytes(uint32_t rows) { return 4 + 4 * (size_t)rows; }

/* LIMIT when a content of this shape would be too large; INVALID for a dim or a number of rows out of range. */
int lrb_vectors_shape_of(uint32_t dim, uint32_t rows, size_t streams_bytes, lrb_vectors_shape *out, lrb_err *err);

typedef struct lrb_vectors { /* a content that was checked; the pointers lead into it */
    uint32_t dim, rows;
    const uint8_t *lengths, *values, *streams;
    size_t streams_bytes;
} lrb_vectors;

/* Looks at a content nobody should trust: the parts tile it exactly, or DAMAGED. */
int lrb_vectors_open(const void *content, size_t count, uint32_t dim, lrb_vectors *out, lrb_err *err);

typedef struct lrb_vector_coder lrb_vector_coder;

int lrb_vector_coder_new(lrb_vector_coder **out, lrb_err *err);
void lrb_vector_coder_free(lrb_vector_coder *coder); /* NULL: nothing */

/* Encodes content into out[room], at most count - 1 bytes, and reads it back before it answers. *written is 0 when
 * the content is no vectors content, or when this form would not be smaller. INTERNAL when the inverse differs. */
int lrb_vectors_encode(lrb_vector_coder *coder, const void *content, size_t count, uint32_t dim, uint8_t *out,
                       size_t room, size_t *written, lrb_err *err);

/* What the streams of a content hold, by row: where `good`, dim float16 at `out`. In the coder until its next use. */
int lrb_vectors_inflate(lrb_vector_coder *coder, const lrb_vectors *vectors, const lrb_stream **streams, lrb_err *err);
/* The same of the content of so many rows that was encoded just now, with which it was done; NULL if it was not. */
const lrb_stream *lrb_vectors_inflated(const lrb_vector_coder *coder, uint32_t rows);

/* Decodes into out[expected]: exactly that content, or DAMAGED. No memory beyond a small multiple of `expected`. */
int lrb_vectors_decode(lrb_vector_coder *coder, const void *stored, size_t count, uint32_t dim, uint8_t *out,
                       size_t expected, lrb_err *err);

typedef struct lrb_vectors_stored {
    const void *bytes;
    size_t count;
    uint8_t *out; /* its content, of so many bytes */
    size_t expected;
} lrb_vectors_stored;
enum { LRB_VECTORS_MANY = 64 };

/* Several of one dim, at least one and at most LRB_VECTORS_MANY, whose rows are inflated side by side: faster than one chunk
 * after the other, which has three rows as a rule. DAMAGED when any of them is: which one, decoding them alone tells. */
int lrb_vectors_decode_many(lrb_vector_coder *coder, const lrb_vectors_stored *stored, size_t count, uint32_t dim, lrb_err *err);

#endif
