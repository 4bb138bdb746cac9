/* Base64 (RFC 4648, section 4), strict: only what encoding would write is decoded, so that decoding and encoding again
 * gives the same text.
 *
 * Refused: any character outside the alphabet, lengths that are no multiple of four, padding anywhere but at the end,
 * and padding whose unused bits are not zero.
 *
 * A long text is worked on in windows. Every four characters stand for three bytes and for nothing else, so bytes
 * [offset, offset + count) of the content lie within the characters lrb_base64_window names, `skip` bytes behind the
 * first one they decode to. Encoding in pieces goes through an lrb_base64_stream, which carries up to two bytes from
 * one piece to the next. Nothing here allocates or fails for another reason than the text.
 */
#ifndef LRB_CODEC_BASE64_H
#define LRB_CODEC_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most bytes that `chars` characters decode to; exact without padding. */
static inline size_t lrb_base64_decoded_bound(size_t chars) { return chars / 4 * 3; }
/* The length of the text of `count` bytes, padding included; count <= SIZE_MAX / 2. */
static inline size_t lrb_base64_encoded_length(size_t count) { return (count + 2) / 3 * 4; }

/* Decodes text[chars] into out[lrb_base64_decoded_bound(chars)]; false when it is not canonical. Of a window that is
 * not the last one the caller sees padding by *written being less than the bound. */
bool lrb_base64_decode(const char *text, size_t chars, uint8_t *out, size_t *written);

/* How many bytes a canonical text of this length would decode to, looking at its padding only. */
size_t lrb_base64_decoded_length(const char *text, size_t chars);

typedef struct lrb_base64_window_of { size_t first, chars, skip; } lrb_base64_window_of;

/* The characters that hold bytes [offset, offset + count) of a content that has `total` bytes. */
lrb_base64_window_of lrb_base64_window(size_t offset, size_t count, size_t total);

/* Encodes a whole content; writes exactly lrb_base64_encoded_length(count) characters and no NUL. */
void lrb_base64_encode(const uint8_t *bytes, size_t count, char *out);

typedef struct lrb_base64_stream {
    uint8_t carry[2];
    unsigned carried; /* 0, 1 or 2 */
} lrb_base64_stream;  /* zero-initialised */

/* Encodes the next piece; returns how many characters were written: at most (carried + count) / 3 * 4. */
size_t lrb_base64_stream_update(lrb_base64_stream *stream, const uint8_t *bytes, size_t count, char *out);
/* Writes what is carried, padded; returns 0 or 4 and leaves the stream as new. */
size_t lrb_base64_stream_finish(lrb_base64_stream *stream, char *out);

#endif
