/* Adler-32 (RFC 1950): tells early that bytes flipped, and proves nothing. No state, any thread. */
#ifndef LRB_CODEC_ADLER_H
#define LRB_CODEC_ADLER_H

#include <stddef.h>
#include <stdint.h>

uint32_t lrb_adler32(const void *bytes, size_t count); /* the checksum a zlib stream ends with, as a number */
uint32_t lrb_adler32_on(uint32_t sum, const void *bytes, size_t count); /* that of what has this sum, and then these */

#endif
