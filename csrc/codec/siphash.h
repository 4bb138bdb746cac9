/* SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, 2012): a short secret key makes it a function whose
 * collisions nobody can arrange, at a fraction of a cryptographic digest's price. For tables in memory whose keys come
 * from files anybody may have written. Never stored: each table has its own random key. No state, any thread.
 */
#ifndef LRB_CODEC_SIPHASH_H
#define LRB_CODEC_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

typedef struct lrb_hash_key {
    uint64_t low, high;
} lrb_hash_key;

typedef struct lrb_hash {
    uint64_t low, high;
} lrb_hash;

lrb_hash lrb_siphash(const lrb_hash_key *key, const void *bytes, size_t count);

#endif
