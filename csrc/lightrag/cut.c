#include "lightrag/cut.h"

/* FNV-1a, and the finaliser of MurmurHash3, because FNV leaves the high bits of short ids alike. */
uint64_t lrb_cut_hash(const uint8_t *id, size_t count, uint64_t seed) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ seed;
    for (size_t i = 0; i < count; i++) hash = (hash ^ id[i]) * UINT64_C(0x100000001b3);
    hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
    hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ hash >> 33;
}

/* Hashes are as good as random, so the loop ends at its first or second turn for nearly every record. */
static unsigned extent(const uint64_t *hashes, size_t count, size_t at, unsigned reach) {
    unsigned found = 0;
    while (found < reach && found < at && found + 1 < count - at && hashes[at - found - 1] > hashes[at] &&
           hashes[at + found + 1] >= hashes[at])
        found++;
    return found;
}

void lrb_cut_extents(const uint64_t *hashes, size_t count, unsigned reach, uint8_t *extents) {
    for (size_t i = 0; i < count; i++) extents[i] = (uint8_t)extent(hashes, count, i, reach);
}
