#include "codec/siphash.h"

#include "base/wire.h"

typedef struct state {
    uint64_t a, b, c, d;
} state;

static inline uint64_t rotate(uint64_t x, unsigned by) {
    return x << by | x >> (64 - by);
}

static inline void round_once(state *s) {
    s->a += s->b;
    s->b = rotate(s->b, 13) ^ s->a;
    s->a = rotate(s->a, 32);
    s->c += s->d;
    s->d = rotate(s->d, 16) ^ s->c;
    s->a += s->d;
    s->d = rotate(s->d, 21) ^ s->a;
    s->c += s->b;
    s->b = rotate(s->b, 17) ^ s->c;
    s->c = rotate(s->c, 32);
}

static inline void absorb(state *s, uint64_t word) {
    s->d ^= word;
    round_once(s);
    round_once(s);
    s->a ^= word;
}

static uint64_t squeeze(state *s) {
    for (int i = 0; i < 4; i++) round_once(s);
    return s->a ^ s->b ^ s->c ^ s->d;
}

lrb_hash lrb_siphash(const lrb_hash_key *key, const void *bytes, size_t count) {
    state s = {key->low ^ UINT64_C(0x736f6d6570736575), key->high ^ UINT64_C(0x646f72616e646f6d) ^ 0xee,
               key->low ^ UINT64_C(0x6c7967656e657261), key->high ^ UINT64_C(0x7465646279746573)};
    const uint8_t *at = bytes;
    size_t left = count;
    for (; left >= 8; at += 8, left -= 8) absorb(&s, lrb_get_u64(at));
    uint64_t last = (uint64_t)count << 56;
    for (size_t i = 0; i < left; i++) last |= (uint64_t)at[i] << 8 * i;
    absorb(&s, last);
    lrb_hash hash;
    s.c ^= 0xee;
    hash.low = squeeze(&s);
    s.b ^= 0xdd;
    hash.high = squeeze(&s);
    return hash;
}
