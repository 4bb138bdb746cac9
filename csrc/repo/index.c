#include "repo/index.h"

#include <string.h>

#include "base/mem.h"
#include "base/wire.h"

enum { FEWEST_HOMES = 64, FEWEST_BEHIND = 64 };
#define MOST_CHUNKS (UINT64_C(1) << 32) /* some 250 TB of source */

static uint64_t homes_for(uint64_t chunks) {
    return chunks / 5 * 6 + 6 < FEWEST_HOMES ? FEWEST_HOMES : chunks / 5 * 6 + 6;
}

static bool full(const lrb_index *index) {
    return index->used >= index->homes / 6 * 5;
}

static uint64_t home(uint64_t prefix, uint64_t homes) {
    return (uint64_t)((unsigned __int128)prefix * homes >> 64);
}

static bool is_free(const lrb_slot *slot) {
    return slot->pack == UINT32_MAX;
}

static void set_free(lrb_slot *slot) {
    *slot = (lrb_slot){0, UINT32_MAX, 0};
}

void lrb_index_init(lrb_index *index) {
    *index = (lrb_index){0};
}

void lrb_index_clear(lrb_index *index) {
    lrb_free_pages(index->slots, (size_t)index->capacity * sizeof *index->slots);
    lrb_index_init(index);
}

/* Appends free slots. */
static int extend(lrb_index *index, uint64_t capacity, lrb_err *err) {
    lrb_slot *slots = lrb_resize_pages(index->slots, (size_t)index->capacity * sizeof *slots,
                                       (size_t)capacity * sizeof *slots);
    if (!slots) return lrb_err_nomem(err, "grow the chunk index");
    for (uint64_t i = index->capacity; i < capacity; i++) set_free(&slots[i]);
    index->slots = slots;
    index->capacity = capacity;
    return LRB_OK;
}

/* ---- growing in place: everything is pushed together at the end, and from there laid out again from the front ---- */

/* How many slots that takes: laying out must never come upon a slot that was not taken up yet. */
static uint64_t slots_to_spread(const lrb_index *index, uint64_t homes) {
    uint64_t next = 0, left = index->used, most = homes;
    for (uint64_t i = 0; i < index->capacity; i++) {
        if (is_free(&index->slots[i])) continue;
        uint64_t at = home(index->slots[i].prefix, homes);
        if (at < next) at = next;
        if (at + left > most) most = at + left;
        left--;
        next = at + 1;
    }
    return most;
}

static void spread(lrb_index *index, uint64_t homes) {
    lrb_slot *slots = index->slots;
    uint64_t from = index->capacity, next = 0;
    for (uint64_t i = index->capacity; i-- > 0;) {
        if (is_free(&slots[i]) || --from == i) continue;
        slots[from] = slots[i];
        set_free(&slots[i]);
    }
    for (; from < index->capacity; from++) {
        lrb_slot slot = slots[from];
        uint64_t at = home(slot.prefix, homes);
        if (at < next) at = next;
        set_free(&slots[from]);
        slots[at] = slot;
        next = at + 1;
    }
    index->homes = homes;
}

int lrb_index_reserve(lrb_index *index, uint64_t chunks, lrb_err *err) {
    if (chunks > MOST_CHUNKS)
        return lrb_err_set(err, LRB_E_LIMIT, "grow", "chunk index",
                           "the repository has more chunks than an index can hold");
    uint64_t homes = homes_for(chunks), step = index->homes + index->homes / 8;
    if (homes <= index->homes) return LRB_OK;
    /* Reserving a little more each time must not move every slot each time. */
    if (homes < step) homes = step;
    uint64_t capacity = slots_to_spread(index, homes) + FEWEST_BEHIND;
    int code = capacity > index->capacity ? extend(index, capacity, err) : LRB_OK;
    if (!code) spread(index, homes);
    return code;
}

/* ---- single slots ---- */

/* The first slot from the home of `prefix` on that is free or of no smaller prefix. */
static uint64_t first_at(const lrb_index *index, uint64_t prefix) {
    uint64_t at = home(prefix, index->homes);
    while (at < index->capacity && !is_free(&index->slots[at]) && index->slots[at].prefix < prefix) at++;
    return at;
}

int lrb_index_add(lrb_index *index, const lrb_id *id, uint32_t pack, uint32_t ordinal, lrb_err *err) {
    lrb_slot slot = {lrb_get_u64(id->bytes), pack, ordinal};
    int code = full(index) ? lrb_index_reserve(index, index->used + 1, err) : LRB_OK;
    if (code) return code;
    uint64_t at = first_at(index, slot.prefix), end = at;
    while (end < index->capacity && !is_free(&index->slots[end])) end++;
    if (end == index->capacity && (code = extend(index, end + end / 8 + FEWEST_BEHIND, err))) return code;
    memmove(&index->slots[at + 1], &index->slots[at], (size_t)(end - at) * sizeof slot);
    index->slots[at] = slot;
    index->used++;
    return LRB_OK;
}

bool lrb_index_next(const lrb_index *index, const lrb_id *id, uint64_t *cursor, uint32_t *pack, uint32_t *ordinal) {
    uint64_t prefix = lrb_get_u64(id->bytes);
    uint64_t at = *cursor == UINT64_MAX ? first_at(index, prefix) : *cursor + 1;
    if (at >= index->capacity || is_free(&index->slots[at]) || index->slots[at].prefix != prefix) return false;
    *cursor = at;
    *pack = index->slots[at].pack;
    *ordinal = index->slots[at].ordinal;
    return true;
}
