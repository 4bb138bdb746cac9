/* A sum over the bytes of a file, each weighed by its place: ranges may be added in any order and cut anywhere, and all of
 * a file, each byte once, gives the same number however it was read. For telling whether two readings saw the same bytes
 * when nobody means to deceive: one changed byte always shows, others but for one in 2^32. Faster than memory.
 */
#ifndef LRB_CODEC_PLACE_SUM_H
#define LRB_CODEC_PLACE_SUM_H

#include <stddef.h>
#include <stdint.h>

/* What `count` bytes at `offset` of a file add, modulo 2^64. Any thread. */
uint64_t lrb_place_sum(uint64_t offset, const uint8_t *bytes, size_t count);

#endif
