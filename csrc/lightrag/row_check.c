#include "lightrag/row_check.h"

#include "lightrag/vector_pair.h"

typedef struct limits { double norm_tolerance, least_cosine; } limits;

static const limits ALLOWED = {1e-3, 0.999}, CLEAR = {9e-4, 0.9991};

/* Lengths are compared squared: a double is never short of range for the squares of floats. */
static lrb_row_flaw check(const uint8_t *row, const uint8_t *halves, size_t dim, limits l) {
    lrb_vector_pair pair = lrb_vector_pair_measure(row, halves ? halves : row, dim);
    if (!pair.finite) return LRB_ROW_NOT_FINITE;
    double least = 1 - l.norm_tolerance, most = 1 + l.norm_tolerance;
    if (!(pair.row_norm >= least * least && pair.row_norm <= most * most)) return LRB_ROW_NORM;
    if (!halves) return LRB_ROW_FLAWS;
    double limit = l.least_cosine * l.least_cosine * pair.row_norm * pair.half_norm;
    return pair.product > 0 && pair.product * pair.product >= limit ? LRB_ROW_FLAWS : LRB_ROW_COSINE;
}

lrb_row_flaw lrb_row_check(const uint8_t *row, const uint8_t *halves, size_t dim) { return check(row, halves, dim, ALLOWED); }

bool lrb_row_clear(const uint8_t *row, const uint8_t *halves, size_t dim) { return check(row, halves, dim, CLEAR) == LRB_ROW_FLAWS; }

/* The last steps of MurmurHash3 (Appleby): every bit of the number moves half of the others. */
static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
    x = (x ^ x >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ x >> 33;
}

uint64_t lrb_row_place(uint64_t row, uint64_t offset, uint64_t length) {
    return mix(mix(mix(row + 1) + offset) + length);
}
