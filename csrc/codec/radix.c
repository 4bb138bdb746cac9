#include "codec/radix.h"

#include <stdbool.h>
#include <string.h>

#include "base/wire.h"
#include "codec/cpu.h"

/* Numbers are worked on in blocks: what can be done to all of them at once is, and then one loop moves the bits. Two
 * fours, at most 54 bits, are moved at a time. */
enum { BLOCK = 512, FOURS = BLOCK / 4, PAIRS = FOURS / 2 };

uint32_t lrb_radix_base(unsigned width) {
    static const uint8_t bases[] = {8, 8, 10, 12, 16, 18, 22, 26, 32, 38, 44, 52, 64, 76, 90, 106};
    return bases[width - LRB_RADIX_MIN_WIDTH];
}

size_t lrb_radix_bytes(size_t count, size_t halved, unsigned width) {
    return ((count + 3) / 4 * width - halved + 7) / 8;
}

LRB_BODY uint32_t halved_of_four(uint32_t halved) { return halved * 0x01010101 >> 24; }

LRB_BODY void join_body(const uint8_t *restrict numbers, const uint8_t *restrict halved, unsigned width,
                        uint64_t *restrict pairs, uint8_t *restrict lengths) {
    uint32_t fours[FOURS], bits[FOURS], base = lrb_radix_base(width);
    for (size_t i = 0; i < FOURS; i++) {
        uint32_t n = lrb_get_u32(numbers + 4 * i), h = lrb_get_u32(halved + 4 * i);
        uint32_t four = (n & 255) * (base >> (h >> 8 & 1)) + (n >> 8 & 255);
        four = four * (base >> (h >> 16 & 1)) + (n >> 16 & 255);
        fours[i] = four * (base >> (h >> 24)) + (n >> 24);
        bits[i] = width - halved_of_four(h);
    }
    for (size_t i = 0; i < PAIRS; i++) {
        pairs[i] = fours[2 * i] | (uint64_t)fours[2 * i + 1] << bits[2 * i];
        lengths[i] = (uint8_t)(bits[2 * i] + bits[2 * i + 1]);
    }
}
LRB_VARIANTS(static, void, join,
             (const uint8_t *numbers, const uint8_t *halved, unsigned width, uint64_t *pairs, uint8_t *lengths),
             (numbers, halved, width, pairs, lengths))

LRB_BODY void find_lengths_body(const uint8_t *restrict halved, unsigned width, uint8_t *restrict firsts,
                           uint8_t *restrict lengths) {
    for (size_t i = 0; i < PAIRS; i++) {
        firsts[i] = (uint8_t)(width - halved_of_four(lrb_get_u32(halved + 8 * i)));
        lengths[i] = (uint8_t)(firsts[i] + width - halved_of_four(lrb_get_u32(halved + 8 * i + 4)));
    }
}
LRB_VARIANTS(static, void, find_lengths, (const uint8_t *halved, unsigned width, uint8_t *firsts, uint8_t *lengths),
             (halved, width, firsts, lengths))

/* A float's quotient is at most one off, whatever is divided; which is then seen and mended. */
LRB_BODY void split_body(const uint64_t *restrict pairs, const uint8_t *restrict firsts, const uint8_t *restrict halved,
                         unsigned width, uint8_t *restrict numbers) {
    uint32_t fours[FOURS], base = lrb_radix_base(width), square = base * base;
    float inverse = 1.0f / (float)(int32_t)square;
    uint32_t full = ((1u << 23) - 1) / base + 1, half = ((1u << 23) - 1) / (base / 2) + 1; /* reciprocals times 2^23 */
    for (size_t i = 0; i < PAIRS; i++) {
        fours[2 * i] = (uint32_t)(pairs[i] & ((1ull << firsts[i]) - 1));
        fours[2 * i + 1] = (uint32_t)(pairs[i] >> firsts[i]);
    }
    for (size_t i = 0; i < FOURS; i++) {
        uint32_t h = lrb_get_u32(halved + 4 * i), shift = (h >> 16 & 1) + (h >> 24), divisor = square >> shift;
        uint32_t first = (uint32_t)(int32_t)((float)(int32_t)fours[i] * (inverse * (float)(int32_t)(1u << shift)));
        uint32_t second = fours[i] - first * divisor;
        uint32_t less = second >> 31; /* the quotient was one too great */
        first -= less;
        second += less ? divisor : 0;
        uint32_t more = second >= divisor;
        first += more;
        second -= more ? divisor : 0;
        uint32_t n0 = first * (h >> 8 & 1 ? half : full) >> 23, n2 = second * (h >> 24 ? half : full) >> 23;
        uint32_t n1 = first - n0 * (base >> (h >> 8 & 1)), n3 = second - n2 * (base >> (h >> 24));
        lrb_put_u32(numbers + 4 * i, (n0 & 255) | (n1 & 255) << 8 | (n2 & 255) << 16 | n3 << 24);
    }
}
LRB_VARIANTS(static, void, split,
             (const uint64_t *pairs, const uint8_t *firsts, const uint8_t *halved, unsigned width, uint8_t *numbers),
             (pairs, firsts, halved, width, numbers))

/* ---- moving the bits ---- */

typedef struct writer {
    uint8_t *at, *end;
    uint64_t held; /* bits not yet written, at most 7 between two calls and 61 within one */
    unsigned bits;
} writer;

static void write_bits(writer *w, uint64_t value, unsigned count) {
    uint8_t bytes[8];
    w->held |= value << w->bits;
    w->bits += count;
    if (w->end - w->at >= 8) {
        lrb_put_u64(w->at, w->held);
    } else {
        lrb_put_u64(bytes, w->held);
        memcpy(w->at, bytes, (size_t)(w->end - w->at));
    }
    w->at += w->bits / 8;
    w->held >>= w->bits / 8 * 8;
    w->bits %= 8;
}

typedef struct reader {
    const uint8_t *bytes;
    size_t count, bit;
} reader;

/* The bits from `bit` on, 57 of them where there are as many. */
static uint64_t peek_bits(const reader *r) {
    size_t byte = r->bit / 8;
    if (byte + 8 <= r->count) return lrb_get_u64(r->bytes + byte) >> r->bit % 8;
    uint8_t rest[8] = {0};
    memcpy(rest, r->bytes + byte, r->count - byte);
    return lrb_get_u64(rest) >> r->bit % 8;
}

/* ---- blocks ---- */

/* The block at `bytes` filled up with zeros, in `room` when it is not a full one. */
static const uint8_t *filled(const uint8_t *bytes, size_t count, uint8_t room[BLOCK]) {
    if (count == BLOCK) return bytes;
    memcpy(room, bytes, count);
    memset(room + count, 0, BLOCK - count);
    return room;
}

static size_t pairs_of(size_t count) { return (count + 7) / 8; }
/* Whether the last pair's second four is only filling. */
static bool ends_with_one(size_t count) { return (count + 3) / 4 % 2; }

static void pack_block(writer *w, const uint8_t *numbers, const uint8_t *halved, size_t count, unsigned width) {
    uint8_t numbers_room[BLOCK], halved_room[BLOCK], lengths[PAIRS];
    uint64_t pairs[PAIRS];
    join(filled(numbers, count, numbers_room), filled(halved, count, halved_room), width, pairs, lengths);
    size_t last = pairs_of(count) - 1;
    for (size_t i = 0; i < last; i++) write_bits(w, pairs[i], lengths[i]);
    write_bits(w, pairs[last], lengths[last] - (ends_with_one(count) ? width : 0));
}

static void unpack_block(reader *r, const uint8_t *halved, size_t count, unsigned width, uint8_t *numbers) {
    uint8_t numbers_room[BLOCK], halved_room[BLOCK], firsts[PAIRS], lengths[PAIRS];
    uint64_t pairs[PAIRS] = {0};
    halved = filled(halved, count, halved_room);
    find_lengths(halved, width, firsts, lengths);
    size_t used = pairs_of(count);
    if (ends_with_one(count)) lengths[used - 1] -= width;
    for (size_t i = 0; i < used; i++) {
        pairs[i] = peek_bits(r) & ((1ull << lengths[i]) - 1);
        r->bit += lengths[i];
    }
    split(pairs, firsts, halved, width, count == BLOCK ? numbers : numbers_room);
    if (count != BLOCK) memcpy(numbers, numbers_room, count);
}

static size_t block_of(size_t left) { return left < BLOCK ? left : BLOCK; }

static size_t sum(const uint8_t *halved, size_t count) {
    size_t total = 0;
    for (size_t i = 0; i < count; i++) total += halved[i];
    return total;
}

void lrb_radix_pack(const uint8_t *numbers, const uint8_t *halved, size_t count, unsigned width, uint8_t *out) {
    writer w = {.at = out, .end = out + lrb_radix_bytes(count, sum(halved, count), width)};
    for (size_t done = 0; done < count; done += BLOCK)
        pack_block(&w, numbers + done, halved + done, block_of(count - done), width);
}

void lrb_radix_unpack(const uint8_t *bytes, const uint8_t *halved, size_t count, unsigned width, uint8_t *numbers) {
    reader r = {bytes, lrb_radix_bytes(count, sum(halved, count), width), 0};
    for (size_t done = 0; done < count; done += BLOCK)
        unpack_block(&r, halved + done, block_of(count - done), width, numbers + done);
}
