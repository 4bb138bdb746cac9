/* Canonical rows: what a vector becomes when LightRAG loads it again and again.
 *
 * Loading a vector file divides every row by its length: r becomes N(r) = r / sqrt(sum of squares), all in float32, the
 * sum by numpy's pairwise scheme (blocks of at most 128, eight partial sums in each). Rows that are already normalised
 * move by a few last bits, so a restart rewrites a good part of a file although nothing changed.
 *
 * U(r) is the fixed point that r, N(r), N(N(r)), ... reaches; where it ends in a cycle, the cycle's member whose
 * elements, as a row of unsigned little-endian 32-bit numbers, come first in order. So U(N(r)) = U(r), and content made
 * of U(r) is the same before and after a restart. U(r) is r itself when r's length is not within 1 +- 2^-12 (such a
 * row was not written by LightRAG), is not a number, or no end is reached in half of LRB_CANONICAL_STEPS (rows made of a
 * few repeated numbers may wander for long; embeddings do not). Should N here ever differ from numpy's, deduplication
 * suffers and nothing else: the difference r - U(r) is stored (corrections.h).
 *
 * Rows are little-endian floats at any alignment. Pure functions, any thread.
 */
#ifndef LRB_CODEC_CANONICAL_H
#define LRB_CODEC_CANONICAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LRB_CANONICAL_STEPS = 64 };

/* The lengths divided by on the way from a row to its canonical one, in that order. Multiplying by them backwards gives
 * the row again but for a few last bits (corrections.h). */
typedef struct lrb_canonical_path {
    uint32_t steps;
    float lengths[LRB_CANONICAL_STEPS];
} lrb_canonical_path;

/* The length of a row as numpy computes it: float32(sqrt(pairwise sum of squares)). */
float lrb_row_length(const uint8_t *row, size_t dim);

/* out = N(row); out may be row. dim >= 1. */
void lrb_row_normalise(const uint8_t *row, size_t dim, uint8_t *out);

/* out = U(row). True when it differs from the row; *path is then how it was reached. `scratch` is 4 * dim bytes; no
 * two of the three overlap. */
bool lrb_row_canonical(const uint8_t *row, size_t dim, uint8_t *out, uint8_t *scratch, lrb_canonical_path *path);

#endif
