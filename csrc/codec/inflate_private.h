/* Several deflate streams (RFC 1951) decoded in one loop.
 *
 * Decoding a Huffman code is a chain of dependent loads: nothing of the next symbol is known before the length of this
 * one. A processor spends most of that time waiting, so streams that have nothing to do with each other are decoded
 * side by side, a few symbols of each in turn.
 *
 * A lane holds one stream: zlib's header, one last block with Huffman codes of its own, nearly all literals. That is
 * what zlib makes of a row of float16. Any other stream, and any doubt (a code that is not complete, a distance too far,
 * an end too early), makes the lane give up; it then says nothing of the stream, and libdeflate decides. What a lane
 * does decode is a valid stream read as RFC 1951 says, and its Adler-32 is compared besides.
 *
 * Bounds: table indexes are masked; the common loop runs as many rounds as every lane's input and output surely hold;
 * what is left is done symbol by symbol with every access checked.
 */
#ifndef LRB_CODEC_INFLATE_PRIVATE_H
#define LRB_CODEC_INFLATE_PRIVATE_H

#include "base/wire.h"
#include "codec/inflate.h"

enum {
    LRB_LANES = 4,
    LRB_TABLE_BITS = 11, /* longer codes are rare, and read bit by bit */
    LRB_LITERALS = 288,
    LRB_DISTANCES = 32,
    LRB_MAX_CODE_BITS = 15
};

/* A canonical Huffman code, to be read bit by bit. */
typedef struct lrb_huffman {
    uint16_t of_length[LRB_MAX_CODE_BITS + 1];
    uint16_t symbols[LRB_LITERALS + 1]; /* in the order of their codes; the last place holds one of no interest */
} lrb_huffman;

/* What the next LRB_TABLE_BITS bits say: a literal, in the high byte, and in the low 6 bits the length of its code; or
 * LRB_SPECIAL, that the code has to be read. Its length is 0: who takes it stays where it is, and meets it again. */
enum { LRB_SPECIAL = 0x40 };

typedef struct lrb_bits {
    const uint8_t *at, *end; /* of all the bytes there are, the Adler-32 included */
    uint64_t held;           /* the next bit lowest, zeros above those held */
    uint32_t count;
} lrb_bits;

typedef struct lrb_lane {
    lrb_stream *stream;
    lrb_bits in;
    uint8_t *out, *limit;
    uint16_t table[1 << LRB_TABLE_BITS];
    lrb_huffman literals, distances;
} lrb_lane;

/* Takes bytes in until at least 56 bits are held, or all there are. */
static inline void lrb_bits_refill(lrb_bits *in) {
    if (in->end - in->at >= 8) {
        in->held |= lrb_get_u64(in->at) << in->count;
        in->at += (63 - in->count) / 8;
        in->count |= 56;
        in->held &= (1ull << in->count) - 1;
        return;
    }
    while (in->count < 56 && in->at < in->end) {
        in->held |= (uint64_t)*in->at++ << in->count;
        in->count += 8;
    }
}

/* Takes `count` bits, at most 16, off those held; -1 when there are not as many. */
static inline int lrb_bits_take(lrb_bits *in, uint32_t count) {
    if (count > in->count) return -1;
    int value = (int)(in->held & ((1u << count) - 1));
    in->held >>= count;
    in->count -= count;
    return value;
}

/* The next symbol of a code, off the bits held; -1 when none begins like this. */
int lrb_huffman_read(const lrb_huffman *code, lrb_bits *in);

/* Readies a lane for the first symbol of a stream; false when it is not one for a lane. */
bool lrb_lane_begin(lrb_lane *lane, lrb_stream *stream, size_t expected);

/* Decodes what is for lanes, and sets `good` of those streams; it is false of all others. */
void lrb_inflate_lanes(lrb_lane lanes[LRB_LANES], lrb_stream *streams, size_t count, size_t expected);

#endif
