/* zlib streams (RFC 1950) in one call, through libdeflate. The only folder that includes it is codec/.
 *
 * An lrb_inflater is one thread's working memory. Decoding is exact: the stream ends with the last byte given, holds
 * exactly the bytes expected, and its Adler-32 is right; anything else is false. Hostile input writes no other byte
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

bool lrb_inflate(lrb_inflater *inflater, const void *stream, size_t count, void *out, size_t expected);

uint32_t lrb_adler32(const void *bytes, size_t count); /* the checksum a zlib stream ends with, as a number */

#endif
