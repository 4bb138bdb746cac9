#include "codec/distances.h"

#include "base/wire.h"
#include "codec/cpu.h"
#include "codec/radix.h"

enum { FIRST_WIDTH = 22, BLOCK = 64 };

LRB_BODY size_t count_halved_body(const uint8_t *halved, size_t dim) {
    uint32_t total = 0;
    for (size_t i = 0; i < dim; i++) total += halved[i];
    return total;
}
LRB_VARIANTS(static, size_t, count_halved, (const uint8_t *halved, size_t dim), (halved, dim))

static size_t packed_bytes(const uint8_t *halved, size_t dim, unsigned width) {
    return lrb_radix_bytes(dim, count_halved(halved, dim), width);
}

size_t lrb_distances_bytes(const uint8_t *halved, size_t dim, lrb_distances_form form) {
    return dim + packed_bytes(halved, dim, form.width) + (size_t)LRB_PATCH_BYTES * form.patches;
}

/* How many distances are below -limit or not below it; half of the limit for halved ones. */
LRB_BODY uint32_t count_beyond_body(const uint32_t *restrict distances, const uint8_t *restrict halved, size_t dim,
                                    uint32_t limit) {
    uint32_t beyond = 0;
    for (size_t i = 0; i < dim; i++) {
        uint32_t magnitude = distances[i] ^ (0u - (distances[i] >> 31));
        beyond += magnitude << halved[i] >= limit;
    }
    return beyond;
}
LRB_VARIANTS(static, uint32_t, count_beyond,
             (const uint32_t *distances, const uint8_t *halved, size_t dim, uint32_t limit),
             (distances, halved, dim, limit))

/* What a width costs; SIZE_MAX when it is none, or needs more patches than can be told. */
static size_t cost(const uint32_t *distances, const uint8_t *halved, size_t dim, lrb_distances_form *form) {
    if (form->width < LRB_RADIX_MIN_WIDTH || form->width > LRB_RADIX_MAX_WIDTH) return SIZE_MAX;
    form->patches = count_beyond(distances, halved, dim, 128 * lrb_radix_base(form->width));
    if (form->patches > UINT16_MAX) return SIZE_MAX;
    return lrb_distances_bytes(halved, dim, *form);
}

/* Takes steps of that width as long as it gets cheaper; false when the first one does not. */
static bool walk(const uint32_t *distances, const uint8_t *halved, size_t dim, int step, lrb_distances_form *best,
                 size_t *least) {
    bool moved = false;
    for (;;) {
        lrb_distances_form next = {.width = best->width + (unsigned)step};
        size_t bytes = cost(distances, halved, dim, &next);
        if (bytes >= *least) return moved;
        *best = next;
        *least = bytes;
        moved = true;
    }
}

bool lrb_distances_choose(const uint32_t *distances, const uint8_t *halved, size_t dim, lrb_distances_form *form) {
    *form = (lrb_distances_form){.width = FIRST_WIDTH};
    size_t least = cost(distances, halved, dim, form);
    if (!walk(distances, halved, dim, -1, form, &least)) walk(distances, halved, dim, 1, form, &least);
    return least < 4 * dim;
}

/* True when there are numbers not below their base: they are left for patches, and are 0. */
LRB_BODY bool divide_body(const uint32_t *restrict distances, const uint8_t *restrict halved, size_t count, uint32_t base,
                          uint8_t *restrict low, uint8_t *restrict numbers) {
    uint32_t beyond = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t mine = base >> halved[i], sum = distances[i] + 128 * mine, above = sum >> 8;
        low[i] = (uint8_t)sum;
        numbers[i] = (uint8_t)(above < mine ? above : 0);
        beyond |= above >= mine;
    }
    return beyond != 0;
}
LRB_VARIANTS(static, bool, divide,
             (const uint32_t *distances, const uint8_t *halved, size_t count, uint32_t base, uint8_t *low,
              uint8_t *numbers),
             (distances, halved, count, base, low, numbers))

static uint8_t *write_patches(uint8_t *at, const uint32_t *distances, const uint8_t *halved, size_t first, size_t count,
                              uint32_t base) {
    for (size_t i = first; i < first + count; i++) {
        uint32_t mine = base >> halved[i], above = (distances[i] + 128 * mine) >> 8;
        if (above < mine) continue;
        lrb_put_u16(at, (uint16_t)i);
        lrb_put_u16(at + 2, (uint16_t)above);
        at[4] = (uint8_t)(above >> 16);
        at += LRB_PATCH_BYTES;
    }
    return at;
}

void lrb_distances_encode(const uint32_t *distances, const uint8_t *halved, size_t dim, lrb_distances_form form,
                          uint8_t *numbers, uint8_t *out) {
    uint32_t base = lrb_radix_base(form.width);
    uint8_t *patch = out + dim + packed_bytes(halved, dim, form.width);
    for (size_t done = 0, count; done < dim; done += count) {
        count = dim - done < BLOCK ? dim - done : BLOCK;
        if (divide(distances + done, halved + done, count, base, out + done, numbers + done))
            patch = write_patches(patch, distances, halved, done, count, base);
    }
    lrb_radix_pack(numbers, halved, dim, form.width, out + dim);
}

LRB_BODY void join_body(const uint8_t *restrict low, const uint8_t *restrict numbers, const uint8_t *restrict halved,
                        size_t dim, uint32_t base, uint32_t *restrict distances) {
    for (size_t i = 0; i < dim; i++)
        distances[i] = ((uint32_t)numbers[i] << 8 | low[i]) - 128 * (base >> halved[i]);
}
LRB_VARIANTS(static, void, join,
             (const uint8_t *low, const uint8_t *numbers, const uint8_t *halved, size_t dim, uint32_t base,
              uint32_t *distances),
             (low, numbers, halved, dim, base, distances))

bool lrb_distances_decode(const uint8_t *bytes, const uint8_t *halved, size_t dim, lrb_distances_form form,
                          uint8_t *numbers, uint32_t *distances) {
    uint32_t base = lrb_radix_base(form.width);
    const uint8_t *patch = bytes + dim + packed_bytes(halved, dim, form.width);
    lrb_radix_unpack(bytes + dim, halved, dim, form.width, numbers);
    join(bytes, numbers, halved, dim, base, distances);
    for (uint32_t p = 0; p < form.patches; p++, patch += LRB_PATCH_BYTES) {
        size_t element = lrb_get_u16(patch);
        if (element >= dim || (p && element <= lrb_get_u16(patch - LRB_PATCH_BYTES))) return false;
        uint32_t above = lrb_get_u16(patch + 2) | (uint32_t)patch[4] << 16;
        distances[element] = (above << 8 | bytes[element]) - 128 * (base >> halved[element]);
    }
    return true;
}
