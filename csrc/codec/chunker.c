#include "codec/chunker.h"

#include <string.h>

#include "base/wire.h"
#include "codec/digest.h"

/* 18 one-bits before the average and 14 after it (level 2 of normalised chunking around 16 = log2 of the average):
 * a cut is four times rarer, then four times likelier. The bits lie high, where one byte's influence lasts longest:
 * bit k of the hash depends on the last k + 1 bytes. The loose mask is part of the strict one. */
static const uint64_t MASK_STRICT = 0xAAAAAAAAA0000000;
static const uint64_t MASK_LOOSE = 0xAAAAAAA000000000;

int lrb_chunker_init(lrb_chunker *chunker, const uint8_t seed[32], lrb_err *err) {
    static const char label[] = {'l', 'r', 'b', ' ', 'g', 'e', 'a', 'r'};
    uint8_t message[sizeof label + 32 + 1], sum[LRB_DIGEST_BYTES];
    lrb_digest *digest;
    int code = lrb_digest_new(&digest, err);
    if (code) return code;
    memcpy(message, label, sizeof label);
    memcpy(message + sizeof label, seed, 32);
    for (unsigned i = 0; i < 256 && !code; i++) {
        message[sizeof message - 1] = (uint8_t)i;
        code = lrb_digest_begin(digest, err);
        if (!code) code = lrb_digest_update(digest, message, sizeof message, err);
        if (!code) code = lrb_digest_finish(digest, sum, err);
        if (!code) chunker->gear[i] = lrb_get_u64(sum);
    }
    lrb_digest_free(digest);
    return code;
}

static size_t at_most(size_t a, size_t b) {
    return a < b ? a : b;
}

/* The first length in (start, end] at which the hash has no bit of `mask`, or 0. Four bytes a turn: only one shift and
 * one addition of the four lead from turn to turn, the hashes in between are side results. */
static size_t find_cut(const uint64_t *gear, const uint8_t *bytes, size_t start, size_t end, uint64_t mask,
                       uint64_t *carried) {
    uint64_t hash = *carried;
    size_t i = start;
    for (; end - i >= 4; i += 4) {
        uint64_t g1 = gear[bytes[i]];
        uint64_t g2 = (g1 << 1) + gear[bytes[i + 1]];
        uint64_t g3 = (g2 << 1) + gear[bytes[i + 2]];
        uint64_t g4 = (g3 << 1) + gear[bytes[i + 3]];
        if (!(((hash << 1) + g1) & mask)) return i + 1;
        if (!(((hash << 2) + g2) & mask)) return i + 2;
        if (!(((hash << 3) + g3) & mask)) return i + 3;
        hash = (hash << 4) + g4;
        if (!(hash & mask)) return i + 4;
    }
    for (; i < end; i++) {
        hash = (hash << 1) + gear[bytes[i]];
        if (!(hash & mask)) return i + 1;
    }
    *carried = hash;
    return 0;
}

size_t lrb_chunker_cut(const lrb_chunker *chunker, const uint8_t *bytes, size_t count) {
    size_t end = at_most(count, LRB_CHUNK_MAX_BYTES), normal = at_most(end, LRB_CHUNK_AVERAGE_BYTES);
    uint64_t hash = 0;
    if (end <= LRB_CHUNK_MIN_BYTES) return end;
    size_t cut = find_cut(chunker->gear, bytes, LRB_CHUNK_MIN_BYTES, normal, MASK_STRICT, &hash);
    if (!cut) cut = find_cut(chunker->gear, bytes, normal, end, MASK_LOOSE, &hash);
    return cut ? cut : end;
}

/* Bytes below the shortest length are never looked at; the byte that fulfils the condition ends its chunk, so a chunk
 * cut alone is the same chunk. */
size_t lrb_chunker_cut_reference(const lrb_chunker *chunker, const uint8_t *bytes, size_t count) {
    size_t end = at_most(count, LRB_CHUNK_MAX_BYTES);
    uint64_t hash = 0;
    for (size_t i = LRB_CHUNK_MIN_BYTES; i < end; i++) {
        hash = (hash << 1) + chunker->gear[bytes[i]];
        if (!(hash & (i < LRB_CHUNK_AVERAGE_BYTES ? MASK_STRICT : MASK_LOOSE))) return i + 1;
    }
    return end;
}
