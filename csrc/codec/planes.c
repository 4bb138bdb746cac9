#include "codec/planes.h"

#include <string.h>

#include "base/wire.h"
#include "codec/adler.h"
#include "codec/cpu.h"

enum { HEAD_BYTES = 7 };

static void write_head(size_t dim, uint8_t head[HEAD_BYTES]) {
    head[0] = 0x78;
    head[1] = 0x9C;
    head[2] = 1; /* the last block, stored */
    lrb_put_u16(head + 3, (uint16_t)(2 * dim));
    lrb_put_u16(head + 5, (uint16_t)~(2 * dim));
}

static void write_check(const uint8_t *halves, size_t dim, uint8_t check[4]) {
    uint32_t sum = lrb_adler32(halves, 2 * dim);
    for (int i = 0; i < 4; i++) check[i] = (uint8_t)(sum >> (24 - 8 * i));
}

bool lrb_stored_block(const uint8_t *stream, size_t count, const uint8_t *halves, size_t dim) {
    uint8_t head[HEAD_BYTES], check[4];
    if (dim > LRB_STORED_MAX_DIM || count != 2 * dim + LRB_STORED_FRAMING_BYTES) return false;
    write_head(dim, head);
    if (memcmp(stream, head, sizeof head) || memcmp(stream + HEAD_BYTES, halves, 2 * dim)) return false;
    write_check(halves, dim, check);
    return !memcmp(stream + HEAD_BYTES + 2 * dim, check, sizeof check);
}

void lrb_stored_block_write(const uint8_t *halves, size_t dim, uint8_t *stream) {
    write_head(dim, stream);
    memcpy(stream + HEAD_BYTES, halves, 2 * dim);
    write_check(halves, dim, stream + HEAD_BYTES + 2 * dim);
}

LRB_BODY void lrb_planes_split_body(const uint8_t *restrict halves, size_t dim, uint8_t *restrict low,
                                    uint8_t *restrict high) {
    for (size_t i = 0; i < dim; i++) {
        uint16_t half = lrb_get_u16(halves + 2 * i);
        low[i] = (uint8_t)half;
        high[i] = (uint8_t)(half >> 8);
    }
}

LRB_BODY void lrb_planes_join_body(const uint8_t *restrict low, const uint8_t *restrict high, size_t dim,
                                   uint8_t *restrict halves) {
    for (size_t i = 0; i < dim; i++) lrb_put_u16(halves + 2 * i, (uint16_t)(low[i] | high[i] << 8));
}

LRB_VARIANTS(, void, lrb_planes_split, (const uint8_t *halves, size_t dim, uint8_t *low, uint8_t *high),
             (halves, dim, low, high))
LRB_VARIANTS(, void, lrb_planes_join, (const uint8_t *low, const uint8_t *high, size_t dim, uint8_t *halves),
             (low, high, dim, halves))
