/* SHA-256 and HMAC-SHA256: by the processor's own instructions where it has them (sha256_wide.h), else through OpenSSL's
 * EVP, which the tests hold the other against. The only folder that includes OpenSSL is codec/.
 *
 * An lrb_digest is one reusable context: begin, update..., finish, begin again. One thread at a time.
 * With a key it computes HMAC-SHA256 (RFC 2104), without one SHA-256 (FIPS 180-4).
 *
 * A key is kept as the two blocks HMAC hashes first: HMAC = SHA-256(outer | SHA-256(inner | message)). So whatever
 * hashes messages can make them keyed, and setting a key up costs nothing per message.
 */
#ifndef LRB_CODEC_DIGEST_H
#define LRB_CODEC_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { LRB_DIGEST_BYTES = 32, LRB_DIGEST_BLOCK_BYTES = 64 };

typedef struct lrb_digest lrb_digest;

typedef struct lrb_hmac_key { uint8_t inner[LRB_DIGEST_BLOCK_BYTES], outer[LRB_DIGEST_BLOCK_BYTES]; } lrb_hmac_key;

/* Keys of this program are 32 bytes: never longer than a block, so never hashed themselves. */
void lrb_hmac_key_set(lrb_hmac_key *key, const uint8_t secret[LRB_DIGEST_BYTES]);

int lrb_digest_new(lrb_digest **out, lrb_err *err);
void lrb_digest_free(lrb_digest *digest); /* NULL: nothing */

int lrb_digest_begin(lrb_digest *digest, lrb_err *err);
/* NULL: the same as lrb_digest_begin. The key must stay until the message is finished. */
int lrb_digest_begin_keyed(lrb_digest *digest, const lrb_hmac_key *key, lrb_err *err);
int lrb_digest_update(lrb_digest *digest, const void *bytes, size_t count, lrb_err *err);
/* Both updates at once; in no more time than the longer one takes where two messages can be interleaved. */
int lrb_digest_update_two(lrb_digest *first, const void *first_bytes, size_t first_count, lrb_digest *second,
                          const void *second_bytes, size_t second_count, lrb_err *err);
int lrb_digest_finish(lrb_digest *digest, uint8_t out[LRB_DIGEST_BYTES], lrb_err *err);

/* One of many messages: `head` (at most LRB_MESSAGE_HEAD_MAX bytes) and then `bytes`. */
enum { LRB_MESSAGE_HEAD_MAX = 32 };
typedef struct lrb_message {
    const uint8_t *head, *bytes;
    size_t head_bytes, count;
    uint8_t *out; /* LRB_DIGEST_BYTES */
} lrb_message;

/* Digests them all, with a key (HMAC) or, when `key` is NULL, without. Two at a time are interleaved on one core where
 * the processor has SHA instructions, which hides their latency: hand over as many as there are. The same digests as
 * begin, update, finish. */
int lrb_digest_many(lrb_digest *digest, const lrb_hmac_key *key, const lrb_message *messages, size_t count,
                    lrb_err *err);

/* A message that is under way and goes on meanwhile. */
typedef struct lrb_digest_flow {
    lrb_digest *digest;
    const uint8_t *bytes;
    size_t count;
} lrb_digest_flow;
/* Both at once: many messages, of which there may be none, and an update; NULL: no update. */
int lrb_digest_many_beside(lrb_digest *digest, const lrb_hmac_key *key, const lrb_message *messages, size_t count,
                           const lrb_digest_flow *flow, lrb_err *err);

/* One message at once, with a context of its own. */
int lrb_sha256(const void *bytes, size_t count, uint8_t out[LRB_DIGEST_BYTES], lrb_err *err);
int lrb_hmac_sha256(const lrb_hmac_key *key, const void *bytes, size_t count, uint8_t out[LRB_DIGEST_BYTES],
                    lrb_err *err);

/* Compares in a time that does not depend on the bytes. */
bool lrb_bytes_same(const void *a, const void *b, size_t count);
/* Overwrites a secret, also where the compiler sees that nobody reads it any more. */
void lrb_bytes_wipe(void *bytes, size_t count);

void lrb_hex(const uint8_t *bytes, size_t count, char *out); /* 2 * count + 1 bytes, lower case, NUL */
/* Parses a text of exactly 2 * count lower-case hex digits, ended by NUL. Returns 0, or -1 for anything else. */
int lrb_unhex(const char *text, uint8_t *out, size_t count);

#endif
