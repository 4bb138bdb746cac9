/* What digest.c and digest_many.c share, and nobody else: a message under way that is taken through the wide lanes. */
#ifndef LRB_CODEC_DIGEST_PRIVATE_H
#define LRB_CODEC_DIGEST_PRIVATE_H

#include "codec/digest.h"
#include "codec/sha256_wide.h"

/* Whole blocks of a message that is under way. */
typedef struct lrb_blocks {
    uint32_t *state; /* LRB_SHA256_WORDS, before them and then behind them */
    const uint8_t *at;
    size_t count;
} lrb_blocks;

/* Digests all messages, and takes the blocks besides. Only where lrb_sha256_wide_available(). */
void lrb_digest_wide(const lrb_hmac_key *key, const lrb_message *messages, size_t count, const lrb_blocks *beside);

#endif
