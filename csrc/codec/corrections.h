/* Correction chunks: what turns canonical rows back into the rows a file holds.
 *
 * Content (chunk kind "corrections", with the chunk's dim): for every row that differs from its canonical one, in
 * ascending order of index,
 *
 *   index u32 | steps u32 | exceptions u32 | steps x length float32 | exceptions x (element u32 | distance u32)
 *
 * The row is the canonical one with every finite element multiplied by the lengths in float32, the last one first, and
 * then the distances added, modulo 2^32, to the ordered number (ordered.h) of the elements named, which ascend.
 * Normalising divides by a length next to one, so multiplying by it nearly always gives the very bits, and a row takes
 * some 16 bytes. What the index counts from is the caller's choice: rows of a group, or of a file. The content is
 * compressed as any other.
 */
#ifndef LRB_CODEC_CORRECTIONS_H
#define LRB_CODEC_CORRECTIONS_H

#include <stdbool.h>

#include "base/buf.h"
#include "codec/canonical.h"

/* Appends the correction of one row: `path` is how lrb_row_canonical reached the canonical one. Gives back the row bit for
 * bit whatever the rows and the path's finite lengths are. */
int lrb_corrections_append(lrb_buf *content, uint32_t index, const uint8_t *row, const uint8_t *canonical, uint32_t dim,
                           const lrb_canonical_path *path, lrb_err *err);

typedef struct lrb_corrections { /* reads a content from front to back */
    const uint8_t *at;
    size_t left;
    uint32_t dim, index;     /* of the row to be corrected next */
    uint32_t exceptions;
    lrb_canonical_path path;
    const uint8_t *elements; /* exceptions x 8 bytes */
} lrb_corrections;

/* Begins reading; lrb_corrections_next must be called before anything is looked at. */
lrb_corrections lrb_corrections_open(const void *content, size_t count, uint32_t dim);
/* Steps to the next row: *more is false behind the last one. DAMAGED for what append would not have written. */
int lrb_corrections_next(lrb_corrections *corrections, bool *more, lrb_err *err);
/* Turns the canonical row into the corrected one, in place, after a `next` that said more. */
void lrb_corrections_apply(const lrb_corrections *corrections, uint8_t *row);

#endif
