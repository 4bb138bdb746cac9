/* Numbers of 0 to 8 bits, packed without gaps: number i takes the bits [i * width, (i + 1) * width) of the bytes, the
 * lowest bit of a byte first. Unused bits of the last byte are zero.
 */
#ifndef LRB_CODEC_BITS_H
#define LRB_CODEC_BITS_H

#include <stddef.h>
#include <stdint.h>

static inline size_t lrb_bits_packed_bytes(size_t count, unsigned width) { return (count * width + 7) / 8; }

/* Packs the low `width` bits of each number; writes exactly lrb_bits_packed_bytes. */
void lrb_bits_pack(const uint8_t *numbers, size_t count, unsigned width, uint8_t *out);
void lrb_bits_unpack(const uint8_t *bytes, size_t count, unsigned width, uint8_t *numbers);

#endif
