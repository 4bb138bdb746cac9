/* A row's distances in bytes: the low byte of each as it is, the part above it in a few bits, patches for what is wider.
 *
 * With a width w of 0 to 8, a distance d plus 2^(w + 7), modulo 2^32, is below 2^(w + 8) unless d is too far out. Of that
 * sum the bytes are
 *
 *   dim low bytes | dim times w bits of the high part (bits.h) | patches x (element u16 | high part u24)
 *
 * A patched element has zeros in the second part. Patches ascend. Nothing here allocates.
 */
#ifndef LRB_CODEC_DISTANCES_H
#define LRB_CODEC_DISTANCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LRB_DISTANCES_MAX_WIDTH = 8, LRB_PATCH_BYTES = 5 };

typedef struct lrb_distances_form {
    unsigned width;
    uint32_t patches;
} lrb_distances_form;

/* The form that takes the fewest bytes; false when none takes less than 4 bytes an element. */
bool lrb_distances_choose(const uint32_t *distances, size_t dim, lrb_distances_form *form);

size_t lrb_distances_bytes(size_t dim, lrb_distances_form form);

/* Writes exactly lrb_distances_bytes; `high` is dim bytes of scratch. */
void lrb_distances_encode(const uint32_t *distances, size_t dim, lrb_distances_form form, uint8_t *high, uint8_t *out);

/* Reads exactly lrb_distances_bytes; false when a patch names no element, or not in order. */
bool lrb_distances_decode(const uint8_t *bytes, size_t dim, lrb_distances_form form, uint8_t *high, uint32_t *distances);

#endif
