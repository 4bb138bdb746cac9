/* One embedding as LightRAG keeps it twice: the row of float32 that queries are answered from, of length 1, and the
 * float16 of the embedding as the model gave it. How long each is, and whether they point the same way.
 *
 * Numbers are little-endian bytes of any alignment. Sums are exact to about 1 in 10^5, which is far finer than any
 * limit they are compared with; a plain loop in double precision stands beside the fast one. No state, any thread.
 */
#ifndef LRB_LIGHTRAG_VECTOR_PAIR_H
#define LRB_LIGHTRAG_VECTOR_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct lrb_vector_pair {
    bool finite;      /* all numbers of the float32 row are */
    double row_norm;  /* squared lengths, and the scalar product */
    double half_norm;
    double product;
} lrb_vector_pair;

lrb_vector_pair lrb_vector_pair_measure(const uint8_t *row, const uint8_t *halves, size_t dim);
lrb_vector_pair lrb_vector_pair_reference(const uint8_t *row, const uint8_t *halves, size_t dim);

#endif
