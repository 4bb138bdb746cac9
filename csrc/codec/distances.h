/* A row's distances in bytes: the low byte of each as it is, the part above it in about five bits, patches for what is
 * further out.
 *
 * To a distance half of the range is added, modulo 2^32: 128 * b, where b is the base of its number (radix.h): the base
 * that belongs to the form's width, or half of it where the element is halved (residual.h). Of the sum the low byte is
 * stored as it is, and the rest, when it is below b, as a number of base b. So the bytes are
 *
 *   dim low bytes | dim numbers (radix.h) | patches x (element u16 | all of the sum above the low byte u24)
 *
 * A patched element's number is 0. Patches ascend. Nothing here allocates.
 */
#ifndef LRB_CODEC_DISTANCES_H
#define LRB_CODEC_DISTANCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LRB_PATCH_BYTES = 5 };

typedef struct lrb_distances_form {
    unsigned width; /* LRB_RADIX_MIN_WIDTH to LRB_RADIX_MAX_WIDTH */
    uint32_t patches;
} lrb_distances_form;

/* The cheapest form, found by walking from the middle of the usual widths as long as it gets cheaper; false when none
 * takes less than 4 bytes an element. halved[i] is 0 or 1. */
bool lrb_distances_choose(const uint32_t *distances, const uint8_t *halved, size_t dim, lrb_distances_form *form);

size_t lrb_distances_bytes(const uint8_t *halved, size_t dim, lrb_distances_form form);

/* Writes exactly lrb_distances_bytes, of a form that was chosen. `numbers` is dim bytes of scratch. */
void lrb_distances_encode(const uint32_t *distances, const uint8_t *halved, size_t dim, lrb_distances_form form,
                          uint8_t *numbers, uint8_t *out);

/* Reads exactly lrb_distances_bytes; false when a patch names no element, or not in order. */
bool lrb_distances_decode(const uint8_t *bytes, const uint8_t *halved, size_t dim, lrb_distances_form form,
                          uint8_t *numbers, uint32_t *distances);

#endif
