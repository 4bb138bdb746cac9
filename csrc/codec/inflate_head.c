#include <string.h>

#include "codec/inflate_private.h"

enum {
    ZLIB_HEAD_BYTES = 2,
    CHECK_BYTES = 4,
    CODE_LENGTHS = 19,
    MAX_LENGTH_BITS = 7,
    MAX_LITERALS = 286, /* of those that may be sent */
    MAX_DISTANCES = 30,
    SENT_AT_MOST = 320  /* lengths of both codes */
};

/* ---- bits ---- */

int lrb_huffman_read(const lrb_huffman *code, lrb_bits *in) {
    uint32_t value = 0, first = 0, index = 0;
    for (uint32_t length = 1; length <= LRB_MAX_CODE_BITS && length <= in->count; length++) {
        value |= (uint32_t)(in->held >> (length - 1)) & 1;
        uint32_t here = code->of_length[length];
        if (value - first < here) {
            in->held >>= length;
            in->count -= length;
            return code->symbols[index + value - first];
        }
        index += here;
        first = (first + here) * 2;
        value *= 2;
    }
    return -1;
}

/* ---- codes ---- */

/* Lengths are counted and sorted in quarters, whose counters are apart: a loop that adds to one counter again and again
 * waits for its own last addition. */
enum { QUARTERS = 4, COUNTED = LRB_MAX_CODE_BITS + 1 };

/* Puts the symbols in the order of their codes; `count` is a multiple of 4, and lengths of symbols that were not sent are 0.
 * *complete: every sequence of bits begins with a code. False when there are more codes than lengths allow. */
static bool huffman_init(lrb_huffman *code, const uint8_t *lengths, unsigned count, bool *complete) {
    uint16_t next[QUARTERS][COUNTED] = {{0}}, first = 0;
    unsigned quarter = count / QUARTERS;
    int32_t left = 1; /* codes of this length that are still free */
    for (unsigned i = 0; i < quarter; i++)
        for (unsigned q = 0; q < QUARTERS; q++) next[q][lengths[quarter * q + i]]++;
    code->of_length[0] = 0;
    for (unsigned length = 1; length < COUNTED; length++) {
        uint16_t before = first;
        for (unsigned q = 0; q < QUARTERS; q++) {
            uint16_t here = next[q][length];
            next[q][length] = first;
            first = (uint16_t)(first + here);
        }
        code->of_length[length] = (uint16_t)(first - before);
        left = 2 * left - code->of_length[length];
        if (left < 0) return false;
    }
    for (unsigned q = 0; q < QUARTERS; q++) next[q][0] = LRB_LITERALS; /* where those not sent go */
    for (unsigned i = 0; i < quarter; i++) {
        for (unsigned q = 0; q < QUARTERS; q++) {
            unsigned symbol = quarter * q + i, length = lengths[symbol];
            code->symbols[next[q][length]] = (uint16_t)symbol;
            next[q][length] = (uint16_t)(next[q][length] + (length != 0));
        }
    }
    *complete = left == 0;
    return true;
}

static uint16_t entry_of(unsigned symbol, unsigned length) {
    return symbol < 256 ? (uint16_t)(symbol << 8 | length) : LRB_SPECIAL;
}

/* The lowest LRB_TABLE_BITS bits the other way round. */
static uint32_t reversed(uint32_t bits) {
    static const uint8_t six[64] = {0,  32, 16, 48, 8,  40, 24, 56, 4,  36, 20, 52, 12, 44, 28, 60, 2,  34, 18, 50, 10, 42,
                                    26, 58, 6,  38, 22, 54, 14, 46, 30, 62, 1,  33, 17, 49, 9,  41, 25, 57, 5,  37, 21, 53,
                                    13, 45, 29, 61, 3,  35, 19, 51, 11, 43, 27, 59, 7,  39, 23, 55, 15, 47, 31, 63};
    return (uint32_t)six[bits & 63] << 5 | six[bits >> 6 & 31] >> 1;
}

/* A complete code fills the table. At every length the table doubles, so that shorter codes stand in both halves, and the
 * codes of that length get their places; a place that belongs to longer codes gets its entry later. In the end what is left
 * belongs to codes too long for the table. `value` is the next code, as the first of LRB_TABLE_BITS bits. */
static void table_init(uint16_t *table, unsigned bits, const lrb_huffman *code) {
    uint32_t value = 0, index = 0;
    for (unsigned length = 1; length <= bits; length++) {
        uint32_t half = 1u << (length - 1), step = 1u << (LRB_TABLE_BITS - length);
        if (index) memcpy(table + half, table, half * sizeof *table);
        for (uint32_t n = code->of_length[length]; n > 0; n--, value += step)
            table[reversed(value)] = entry_of(code->symbols[index++], length);
    }
    for (uint32_t step = 1u << (LRB_TABLE_BITS - bits); value < 1u << LRB_TABLE_BITS; value += step)
        table[reversed(value)] = LRB_SPECIAL;
}

/* ---- the head of a block ---- */

/* The code the lengths of both codes are sent in, as a table. */
static bool read_length_code(lrb_bits *in, int count, uint16_t table[1 << MAX_LENGTH_BITS]) {
    static const uint8_t order[CODE_LENGTHS] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    uint8_t lengths[CODE_LENGTHS + 1] = {0};
    lrb_huffman code;
    bool complete;
    for (int i = 0; i < count; i++) {
        if (in->count < 3) lrb_bits_refill(in);
        int length = lrb_bits_take(in, 3);
        if (length < 0) return false;
        lengths[order[i]] = (uint8_t)length;
    }
    if (!huffman_init(&code, lengths, sizeof lengths, &complete) || !complete) return false;
    table_init(table, MAX_LENGTH_BITS, &code);
    return true;
}

/* What a symbol above 15 repeats, and how often; false when there is nothing, or not enough bits. */
static bool read_repeat(lrb_bits *in, uint8_t symbol, const uint8_t *lengths, size_t sent, uint8_t *length, size_t *times) {
    static const uint8_t extra[3] = {2, 3, 7}, least[3] = {3, 3, 11};
    int more = lrb_bits_take(in, extra[symbol - 16]);
    if (more < 0 || (symbol == 16 && !sent)) return false;
    *length = symbol == 16 ? lengths[sent - 1] : 0;
    *times = (size_t)more + least[symbol - 16];
    return true;
}

static bool read_lengths(lrb_bits *in, const uint16_t *table, size_t count, uint8_t lengths[SENT_AT_MOST]) {
    lrb_bits bits = *in; /* in registers */
    for (size_t sent = 0; sent < count;) {
        if (bits.count < 14) lrb_bits_refill(&bits);
        uint16_t entry = table[bits.held & ((1u << MAX_LENGTH_BITS) - 1)];
        uint8_t symbol = (uint8_t)(entry >> 8), length;
        size_t times;
        if (lrb_bits_take(&bits, entry & 0x3F) < 0) return false;
        if (symbol < 16) {
            lengths[sent++] = symbol;
            continue;
        }
        if (!read_repeat(&bits, symbol, lengths, sent, &length, &times) || times > count - sent) return false;
        memset(lengths + sent, length, times);
        sent += times;
    }
    *in = bits;
    return true;
}

/* Distances may be none at all, or one in a code of one bit. */
static bool may_be_distances(const lrb_huffman *code, bool complete) {
    if (complete) return true;
    for (unsigned length = 2; length <= LRB_MAX_CODE_BITS; length++)
        if (code->of_length[length]) return false;
    return true;
}

bool lrb_lane_begin(lrb_lane *lane, lrb_stream *stream, size_t expected) {
    const uint8_t *bytes = stream->bytes;
    uint16_t table[1 << MAX_LENGTH_BITS];
    uint8_t lengths[SENT_AT_MOST] = {0}, distance_lengths[LRB_DISTANCES] = {0};
    bool complete;
    if (stream->count < ZLIB_HEAD_BYTES + CHECK_BYTES || bytes[0] != 0x78) return false;
    if ((bytes[0] << 8 | bytes[1]) % 31 || bytes[1] & 0x20) return false;
    lane->stream = stream;
    lane->in = (lrb_bits){.at = bytes + ZLIB_HEAD_BYTES, .end = bytes + stream->count};
    lane->out = stream->out;
    lane->limit = stream->out + expected;
    lrb_bits_refill(&lane->in);
    if (lrb_bits_take(&lane->in, 3) != 5) return false; /* the last block, with codes of its own */
    int literals = lrb_bits_take(&lane->in, 5) + 257, distances = lrb_bits_take(&lane->in, 5) + 1;
    int sent = lrb_bits_take(&lane->in, 4) + 4;
    if (literals < 257 || literals > MAX_LITERALS || distances < 1 || distances > MAX_DISTANCES || sent < 4) return false;
    if (!read_length_code(&lane->in, sent, table)) return false;
    if (!read_lengths(&lane->in, table, (size_t)(literals + distances), lengths)) return false;
    memcpy(distance_lengths, lengths + literals, (size_t)distances);
    memset(lengths + literals, 0, (size_t)distances);
    if (!huffman_init(&lane->literals, lengths, LRB_LITERALS, &complete) || !complete || !lengths[256]) return false;
    table_init(lane->table, LRB_TABLE_BITS, &lane->literals);
    return huffman_init(&lane->distances, distance_lengths, LRB_DISTANCES, &complete) && may_be_distances(&lane->distances, complete);
}
