/* A float16 payload that zlib kept as one stored block: its framing, and its low and high bytes apart.
 *
 *   78 9C | 01 | length u16 | ~length u16 | dim float16 | Adler-32, big-endian
 *
 * is what zlib writes (at its usual level) for a row it could not make smaller. The 11 bytes around the payload follow
 * from it. The high bytes, signs and exponents, are worth compressing once they are by themselves.
 */
#ifndef LRB_CODEC_PLANES_H
#define LRB_CODEC_PLANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LRB_STORED_FRAMING_BYTES = 11, LRB_STORED_MAX_DIM = 32767 };

/* Whether the stream is such a block around these halves. */
bool lrb_stored_block(const uint8_t *stream, size_t count, const uint8_t *halves, size_t dim);
/* Writes the stream: 2 * dim + LRB_STORED_FRAMING_BYTES bytes; dim <= LRB_STORED_MAX_DIM. */
void lrb_stored_block_write(const uint8_t *halves, size_t dim, uint8_t *stream);

void lrb_planes_split(const uint8_t *halves, size_t dim, uint8_t *low, uint8_t *high);
void lrb_planes_join(const uint8_t *low, const uint8_t *high, size_t dim, uint8_t *halves);

#endif
