/* Numbers below a base that is no power of two, packed four at a time.
 *
 * Numbers below an even base a, those marked "halved" below a / 2. Each four make one number in mixed radix,
 *
 *   ((n0 * b1 + n1) * b2 + n2) * b3 + n3        where b is a, or a / 2 for a halved one
 *
 * which takes `width` bits less one for every halved number among the four; a is the largest even base whose fourth
 * power is at most 2^width. So the width says in quarters of a bit what a number costs. The last four are filled up
 * with zeros that are not halved. Bits are packed without gaps, the lowest of a byte first; unused ones of the last
 * byte are zero. Nothing here allocates or fails; any bytes decode to some numbers.
 */
#ifndef LRB_CODEC_RADIX_H
#define LRB_CODEC_RADIX_H

#include <stddef.h>
#include <stdint.h>

enum { LRB_RADIX_MIN_WIDTH = 12, LRB_RADIX_MAX_WIDTH = 27 };

uint32_t lrb_radix_base(unsigned width); /* 8 to 106 */

/* How many bytes `count` numbers take, of which `halved` are halved. */
size_t lrb_radix_bytes(size_t count, size_t halved, unsigned width);

/* halved[i] is 0 or 1; numbers are below their base. Writes, and reads, exactly lrb_radix_bytes. */
void lrb_radix_pack(const uint8_t *numbers, const uint8_t *halved, size_t count, unsigned width, uint8_t *out);
void lrb_radix_unpack(const uint8_t *bytes, const uint8_t *halved, size_t count, unsigned width, uint8_t *numbers);

#endif
