/* The two questions that decide how fast JSON is read: how far does plain text go, and is this UTF-8.
 *
 * Plain is what stands for itself inside a JSON string: ASCII but for the quote, the backslash and the control
 * characters below 0x20. Long base64 strings are all plain, so that vector files are read at the speed of memory: 16
 * bytes at a time where the processor compares so many (SSE2, NEON), and by the plain loop beside it elsewhere; a test
 * holds the two together. No state, any thread.
 */
#ifndef LRB_LIGHTRAG_TEXT_RUN_H
#define LRB_LIGHTRAG_TEXT_RUN_H

#include <stddef.h>
#include <stdint.h>

/* How many of the first bytes are plain. */
size_t lrb_text_plain(const uint8_t *bytes, size_t count);
size_t lrb_text_plain_reference(const uint8_t *bytes, size_t count);

/* Length of the UTF-8 sequence (RFC 3629) that begins at `bytes`, whose first byte is above 0x7F: 2 to 4; 0 when it may
 * be one but more bytes are needed; -1 when it is none (overlong, surrogate, beyond U+10FFFF, a stray continuation). */
int lrb_text_utf8(const uint8_t *bytes, size_t count);

/* Writes a code point as UTF-8 into out[4], a lone surrogate in the same manner (three bytes); returns the length. */
size_t lrb_text_encode(uint32_t code_point, uint8_t out[4]);

#endif
