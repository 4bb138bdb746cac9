#include <string.h>

#include "base/wire.h"
#include "codec/adler.h"
#include "codec/cpu.h"
#include "codec/inflate_private.h"

enum { END_OF_BLOCK = 256, CHECK_BYTES = 4, MASK = (1 << LRB_TABLE_BITS) - 1, SYMBOLS_A_ROUND = 5, BYTES_A_ROUND = 7 };

typedef enum outcome { GOES_ON, ENDED, GAVE_UP } outcome;

/* ---- one symbol, every access checked ---- */

static const uint16_t length_base[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                         31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
static const uint8_t length_bits[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
static const uint16_t distance_base[30] = {1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
                                           193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
static const uint8_t distance_bits[30] = {0, 0, 0, 0, 1, 1, 2, 2,  3,  3,  4,  4,  5,  5,  6,
                                          6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};

/* A length was read; takes the distance, and copies. */
static outcome copy_match(lrb_lane *lane, unsigned symbol) {
    int more = symbol < 29 ? lrb_bits_take(&lane->in, length_bits[symbol]) : -1;
    int code = lrb_huffman_read(&lane->distances, &lane->in);
    int further = code >= 0 && code < 30 ? lrb_bits_take(&lane->in, distance_bits[code]) : -1;
    if (more < 0 || further < 0) return GAVE_UP;
    size_t length = length_base[symbol] + (size_t)more, distance = distance_base[code] + (size_t)further;
    if (distance > (size_t)(lane->out - lane->stream->out) || length > (size_t)(lane->limit - lane->out)) return GAVE_UP;
    for (const uint8_t *from = lane->out - distance; length > 0; length--) *lane->out++ = *from++;
    return GOES_ON;
}

static outcome put_literal(lrb_lane *lane, unsigned literal) {
    if (lane->out == lane->limit) return GAVE_UP;
    *lane->out++ = (uint8_t)literal;
    return GOES_ON;
}

/* Both codes and all their extra bits are fewer than the 56 bits held after a refill. */
static outcome take_symbol(lrb_lane *lane, bool *special) {
    lrb_bits_refill(&lane->in);
    uint16_t entry = lane->table[lane->in.held & MASK];
    *special = entry & LRB_SPECIAL;
    if (!*special) return lrb_bits_take(&lane->in, entry & 0x3F) < 0 ? GAVE_UP : put_literal(lane, entry >> 8);
    int symbol = lrb_huffman_read(&lane->literals, &lane->in);
    if (symbol < 0) return GAVE_UP;
    if (symbol < END_OF_BLOCK) return put_literal(lane, (unsigned)symbol);
    return symbol == END_OF_BLOCK ? ENDED : copy_match(lane, (unsigned)symbol - END_OF_BLOCK - 1);
}

/* ---- many symbols of several lanes ---- */

/* How many rounds are sure to stay within the lane's input and output. */
static size_t rounds_left(const lrb_lane *lane) {
    size_t in = (size_t)(lane->in.end - lane->in.at), out = (size_t)(lane->limit - lane->out) / SYMBOLS_A_ROUND;
    size_t rounds = in < 8 ? 0 : (in - 8) / BYTES_A_ROUND + 1;
    return rounds < out ? rounds : out;
}

/* Takes rounds of literals off `count` lanes, a number the compiler knows; ends behind a round in which a lane met a special
 * symbol. That lane is left where it was before this round, and its bit is set in the answer.
 * In a round a lane takes in bytes once and then SYMBOLS_A_ROUND codes, of together at most 55 bits. */
LRB_BODY unsigned run_rounds(lrb_lane *const *lanes, const int count, size_t rounds) {
    uint64_t held[LRB_LANES], kept_held[LRB_LANES];
    uint32_t bits[LRB_LANES], kept_bits[LRB_LANES], entry[LRB_LANES];
    const uint8_t *at[LRB_LANES];
    const uint16_t *table[LRB_LANES];
    uint8_t *out[LRB_LANES];
#pragma GCC unroll 4
    for (int k = 0; k < count; k++) {
        held[k] = lanes[k]->in.held;
        bits[k] = lanes[k]->in.count;
        at[k] = lanes[k]->in.at;
        table[k] = lanes[k]->table;
        out[k] = lanes[k]->out;
    }
    unsigned met = 0;
    size_t done = 0;
    for (; rounds > 0 && !met; rounds--, done += SYMBOLS_A_ROUND) {
#pragma GCC unroll 4
        for (int k = 0; k < count; k++) {
            bits[k] &= 63; /* what lies above is left of entries that were subtracted whole */
            held[k] |= lrb_get_u64(at[k]) << bits[k];
            at[k] += (63 - bits[k]) / 8;
            bits[k] |= 56;
            kept_held[k] = held[k];
            kept_bits[k] = bits[k];
        }
#pragma GCC unroll 5
        for (int n = 0; n < SYMBOLS_A_ROUND; n++) {
#pragma GCC unroll 4
            for (int k = 0; k < count; k++) {
                entry[k] = table[k][held[k] & MASK];
                out[k][done + n] = (uint8_t)(entry[k] >> 8);
                held[k] >>= entry[k] & 0x3F;
                bits[k] -= entry[k];
            }
        }
#pragma GCC unroll 4
        for (int k = 0; k < count; k++) met |= (entry[k] & LRB_SPECIAL) << k;
    }
    met /= LRB_SPECIAL;
#pragma GCC unroll 4
    for (int k = 0; k < count; k++) {
        bool back = met >> k & 1;
        uint32_t left = (back ? kept_bits[k] : bits[k]) & 63;
        lanes[k]->in.held = (back ? kept_held[k] : held[k]) & ((1ull << left) - 1);
        lanes[k]->in.count = left;
        lanes[k]->in.at = at[k];
        lanes[k]->out = out[k] + done - (back ? SYMBOLS_A_ROUND : 0);
    }
    return met;
}

LRB_BODY unsigned run_lanes_body(lrb_lane *const *lanes, int count, size_t rounds) {
    switch (count) {
    case 1: return run_rounds(lanes, 1, rounds);
    case 2: return run_rounds(lanes, 2, rounds);
    case 3: return run_rounds(lanes, 3, rounds);
    default: return run_rounds(lanes, LRB_LANES, rounds);
    }
}
LRB_VARIANTS(static, unsigned, run_lanes, (lrb_lane *const *lanes, int count, size_t rounds), (lanes, count, rounds))

/* ---- a stream from its beginning to its end ---- */

/* The deflate stream ended: it must have used all bytes but the checksum, and made all that is expected. */
static void finish(lrb_lane *lane) {
    lrb_stream *s = lane->stream;
    const uint8_t *used = lane->in.at - lane->in.count / 8, *check = lane->in.end - CHECK_BYTES;
    if (used != check || lane->out != lane->limit) return;
    uint32_t sum = (uint32_t)check[0] << 24 | (uint32_t)check[1] << 16 | (uint32_t)check[2] << 8 | check[3];
    s->good = lrb_adler32(s->out, (size_t)(lane->out - s->out)) == sum;
}

/* A round symbol by symbol, up to and with the next special one; all that is left when it is too little for rounds. False
 * when the lane is free again. */
static bool step(lrb_lane *lane) {
    outcome so_far = GOES_ON;
    bool special = false;
    for (int n = 0; so_far == GOES_ON && !special && n < SYMBOLS_A_ROUND; n++) so_far = take_symbol(lane, &special);
    while (so_far == GOES_ON && rounds_left(lane) == 0) so_far = take_symbol(lane, &special);
    if (so_far == ENDED) finish(lane);
    return so_far == GOES_ON;
}

void lrb_inflate_lanes(lrb_lane lanes[LRB_LANES], lrb_stream *streams, size_t count, size_t expected) {
    lrb_lane *live[LRB_LANES];
    int living = 0;
    size_t next = 0;
    for (size_t i = 0; i < count; i++) streams[i].good = false;
    for (int k = 0; k < LRB_LANES; k++) live[k] = &lanes[k];
    for (;;) {
        while (living < LRB_LANES && next < count) living += lrb_lane_begin(live[living], &streams[next++], expected);
        if (!living) return;
        size_t rounds = SIZE_MAX;
        for (int k = 0; k < living; k++) {
            size_t mine = rounds_left(live[k]);
            rounds = mine < rounds ? mine : rounds;
        }
        unsigned met = rounds ? run_lanes(live, living, rounds) : 0;
        for (int k = living - 1; k >= 0; k--) {
            if (!(met >> k & 1) && rounds_left(live[k])) continue;
            if (step(live[k])) continue;
            lrb_lane *freed = live[k]; /* goes behind those that live */
            live[k] = live[--living];
            live[living] = freed;
        }
    }
}
