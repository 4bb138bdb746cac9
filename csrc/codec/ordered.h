/* Floats as numbers in order: neighbours in value are neighbours in number, so that a close prediction leaves a small
 * distance.
 *
 * The map is a bijection of all 2^32 bit patterns: -0.0 and +0.0 stay apart, NaNs keep their payload. Distances are
 * taken modulo 2^32 and lose nothing.
 */
#ifndef LRB_CODEC_ORDERED_H
#define LRB_CODEC_ORDERED_H

#include <stdint.h>

static inline uint32_t lrb_ordered(uint32_t bits) { return bits ^ (0u - (bits >> 31)) >> 1; }

/* The map is its own inverse: the sign bit stays. */
static inline uint32_t lrb_unordered(uint32_t number) { return lrb_ordered(number); }

#endif
