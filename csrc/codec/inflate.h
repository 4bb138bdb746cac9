/* zlib streams (RFC 1950) in one call. libdeflate decides what a stream is; for rows of vectors, which come many at a time
 * and alike, a faster decoder of this program's own takes several through one loop.
 *
 * An lrb_inflater is one thread's working memory. Decoding is exact: the stream ends with the last byte given, holds
 * exactly the bytes expected, and its Adler-32 is right; anything else is refused. Hostile input writes no other byte
 * than out[0..expected) and allocates nothing.
 */
#ifndef LRB_CODEC_INFLATE_H
#define LRB_CODEC_INFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct lrb_inflater lrb_inflater;

int lrb_inflater_new(lrb_inflater **out, lrb_err *err);
void lrb_inflater_free(lrb_inflater *inflater); /* NULL: nothing */

/* One stream, through libdeflate. */
bool lrb_inflate(lrb_inflater *inflater, const void *stream, size_t count, void *out, size_t expected);

typedef struct lrb_stream {
    const uint8_t *bytes;
    size_t count;
    uint8_t *out; /* room for what is expected; whatever is in it when the stream is refused */
    bool good;    /* the answer */
} lrb_stream;

/* Many streams that hold as many bytes each. The answers are those of lrb_inflate: what the fast decoder takes has the
 * right length, end and Adler-32, and what it does not take goes to libdeflate. (inflate_private.h) */
void lrb_inflate_many(lrb_inflater *inflater, lrb_stream *streams, size_t count, size_t expected);

#endif
