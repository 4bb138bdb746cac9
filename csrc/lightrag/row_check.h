/* What a row of a vector file has to be: its float32 row finite and of length 1, and its float16 vector there and of the
 * same direction. And how two readers of a file know that they paired the same vectors with the same rows.
 *
 * One reader is the validation, which finds records by their JSON; the other encodes the file and finds them by its
 * layout. The latter has both forms of a row in the cache anyway. What it compared, and where that stood, is an
 * lrb_rows_seen; where the validation finds the same it need not compare again. No state, any thread.
 */
#ifndef LRB_LIGHTRAG_ROW_CHECK_H
#define LRB_LIGHTRAG_ROW_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* NORM and COSINE say nothing of a row that is not finite, nor COSINE of one whose length is wrong: it has the first. */
typedef enum lrb_row_flaw { LRB_ROW_NOT_FINITE, LRB_ROW_NORM, LRB_ROW_VECTOR, LRB_ROW_COSINE, LRB_ROW_FLAWS } lrb_row_flaw;

/* dim float32 and the float16 they are kept as besides, at any address; `halves` is NULL when there are none to compare
 * with. LRB_ROW_FLAWS: nothing is wrong. Never VECTOR, which only the caller knows. */
lrb_row_flaw lrb_row_check(const uint8_t *row, const uint8_t *halves, size_t dim);

/* That nothing is wrong by a margin: nor is it with any other row of the same canonical one (codec/canonical.h), which is
 * longer or shorter by 2^-12 at most and points elsewhere by less than one part in 10^5. */
bool lrb_row_clear(const uint8_t *row, const uint8_t *halves, size_t dim);

typedef struct lrb_rows_seen { /* of a vector file whose rows were all compared, and all of them clear */
    uint64_t rows;
    uint64_t matrix_at; /* in the file, as are places */
    uint64_t places;    /* sum of lrb_row_place over all rows, in any order */
    uint32_t dim;
} lrb_rows_seen;

/* That the vector of this row stands at `offset` and is `length` characters long, as a number that no other place has. */
uint64_t lrb_row_place(uint64_t row, uint64_t offset, uint64_t length);

#endif
