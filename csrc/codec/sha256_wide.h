/* The block function of SHA-256 (FIPS 180-4, 6.2.2) by the processor's own instructions, for one message or two at once.
 *
 * Those instructions take several cycles each and wait for one another; two messages that have nothing to do with each
 * other fill the gaps, so that both take little longer than one. Only whole blocks; padding is the caller's. Call
 * only where lrb_sha256_wide_available(); elsewhere, and for streams, there is OpenSSL (digest.h), which the tests hold
 * this against.
 */
#ifndef LRB_CODEC_SHA256_WIDE_H
#define LRB_CODEC_SHA256_WIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LRB_SHA256_BLOCK_BYTES = 64, LRB_SHA256_WORDS = 8 };

bool lrb_sha256_wide_available(void);

/* Where a message's state begins. */
extern const uint32_t lrb_sha256_start[LRB_SHA256_WORDS];

void lrb_sha256_one(uint32_t state[LRB_SHA256_WORDS], const uint8_t *bytes, size_t blocks);
void lrb_sha256_two(uint32_t first[LRB_SHA256_WORDS], uint32_t second[LRB_SHA256_WORDS], const uint8_t *first_bytes,
                    const uint8_t *second_bytes, size_t blocks);

#endif
