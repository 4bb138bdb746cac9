#include "codec/distances.h"

#include "base/wire.h"
#include "codec/bits.h"

static uint32_t bias(unsigned width) { return 1u << (width + 7); }

size_t lrb_distances_bytes(size_t dim, lrb_distances_form form) {
    return dim + lrb_bits_packed_bytes(dim, form.width) + (size_t)LRB_PATCH_BYTES * form.patches;
}

/* The least width a distance fits. */
static unsigned width_of(uint32_t distance) {
    uint32_t magnitude = distance ^ (0u - (distance >> 31));
    unsigned bits = magnitude ? 33 - (unsigned)__builtin_clz(magnitude) : 1;
    return bits <= 8 ? 0 : bits - 8;
}

bool lrb_distances_choose(const uint32_t *distances, size_t dim, lrb_distances_form *form) {
    uint32_t of_width[26] = {0}, wider = (uint32_t)dim;
    size_t least = 4 * dim;
    bool found = false;
    for (size_t i = 0; i < dim; i++) of_width[width_of(distances[i])]++;
    for (unsigned width = 0; width <= LRB_DISTANCES_MAX_WIDTH; width++) {
        wider -= of_width[width];
        lrb_distances_form candidate = {width, wider};
        size_t bytes = lrb_distances_bytes(dim, candidate);
        if (bytes >= least || wider > UINT16_MAX) continue;
        *form = candidate;
        least = bytes;
        found = true;
    }
    return found;
}

void lrb_distances_encode(const uint32_t *distances, size_t dim, lrb_distances_form form, uint8_t *high, uint8_t *out) {
    uint32_t add = bias(form.width), limit = 1u << form.width;
    uint8_t *patch = out + dim + lrb_bits_packed_bytes(dim, form.width);
    for (size_t i = 0; i < dim; i++) {
        uint32_t sum = distances[i] + add, top = sum >> 8;
        out[i] = (uint8_t)sum;
        high[i] = top < limit ? (uint8_t)top : 0;
        if (top < limit) continue;
        lrb_put_u16(patch, (uint16_t)i);
        lrb_put_u16(patch + 2, (uint16_t)top);
        patch[4] = (uint8_t)(top >> 16);
        patch += LRB_PATCH_BYTES;
    }
    lrb_bits_pack(high, dim, form.width, out + dim);
}

bool lrb_distances_decode(const uint8_t *bytes, size_t dim, lrb_distances_form form, uint8_t *high, uint32_t *distances) {
    uint32_t add = bias(form.width);
    const uint8_t *patch = bytes + dim + lrb_bits_packed_bytes(dim, form.width);
    lrb_bits_unpack(bytes + dim, dim, form.width, high);
    for (size_t i = 0; i < dim; i++) distances[i] = ((uint32_t)high[i] << 8 | bytes[i]) - add;
    for (uint32_t p = 0; p < form.patches; p++, patch += LRB_PATCH_BYTES) {
        size_t element = lrb_get_u16(patch);
        if (element >= dim || (p && element <= lrb_get_u16(patch - LRB_PATCH_BYTES))) return false;
        uint32_t top = lrb_get_u16(patch + 2) | (uint32_t)patch[4] << 16;
        distances[element] = (top << 8 | bytes[element]) - add;
    }
    return true;
}
