/* The wide part of base64, for processors that have it: as many characters as go in full steps, without padding.
 *
 * Both return how far they got, which may be nowhere, and leave the rest to the plain code. They read and write nothing
 * outside of what is handed over.
 */
#ifndef LRB_CODEC_BASE64_PRIVATE_H
#define LRB_CODEC_BASE64_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes characters of text[chars], none of which is padding, into out[chars / 4 * 3]; returns how many, a multiple of 4.
 * *good becomes false when one of them is outside the alphabet. */
size_t lrb_base64_decode_wide(const char *text, size_t chars, uint8_t *out, bool *good);

/* Encodes bytes[count] into out[count / 3 * 4]; returns how many bytes, a multiple of 3. */
size_t lrb_base64_encode_wide(const uint8_t *bytes, size_t count, char *out);

#endif
