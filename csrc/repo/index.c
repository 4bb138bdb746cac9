#include "repo/index.h"

#include "base/mem.h"
#include "base/wire.h"

/* Growing by a fifth moves each chunk five times in all. That is cheap: home positions follow the order of the
 * prefixes, so the old and the new table are both walked from front to back. */
enum { SMALLEST_CAPACITY = 64 };
#define MOST_CHUNKS (UINT64_C(1) << 32) /* some 250 TB of source */

static uint64_t capacity_for(uint64_t chunks) {
    return chunks / 5 * 6 + 6 < SMALLEST_CAPACITY ? SMALLEST_CAPACITY : chunks / 5 * 6 + 6;
}

static bool full(const lrb_index *index) {
    return index->used >= index->capacity / 6 * 5;
}

static uint64_t home(uint64_t prefix, uint64_t capacity) {
    return (uint64_t)((unsigned __int128)prefix * capacity >> 64);
}

static bool is_free(const lrb_slot *slot) {
    return slot->pack == UINT32_MAX;
}

void lrb_index_init(lrb_index *index) {
    index->slots = NULL;
    index->capacity = index->used = 0;
}

void lrb_index_clear(lrb_index *index) {
    lrb_free(index->slots);
    lrb_index_init(index);
}

static void place(lrb_slot *slots, uint64_t capacity, lrb_slot slot) {
    uint64_t at = home(slot.prefix, capacity);
    while (!is_free(&slots[at])) at = at + 1 < capacity ? at + 1 : 0;
    slots[at] = slot;
}

static int resize(lrb_index *index, uint64_t capacity, lrb_err *err) {
    lrb_slot *slots = lrb_alloc((size_t)capacity * sizeof *slots);
    if (!slots) return lrb_err_nomem(err, "grow the chunk index");
    for (uint64_t i = 0; i < capacity; i++) slots[i] = (lrb_slot){0, UINT32_MAX, 0};
    for (uint64_t i = 0; i < index->capacity; i++)
        if (!is_free(&index->slots[i])) place(slots, capacity, index->slots[i]);
    lrb_free(index->slots);
    index->slots = slots;
    index->capacity = capacity;
    return LRB_OK;
}

int lrb_index_reserve(lrb_index *index, uint64_t chunks, lrb_err *err) {
    if (chunks > MOST_CHUNKS)
        return lrb_err_set(err, LRB_E_LIMIT, "grow", "chunk index",
                           "the repository has more chunks than an index can hold");
    uint64_t capacity = capacity_for(chunks), step = index->capacity + index->capacity / 5;
    if (capacity <= index->capacity) return LRB_OK;
    /* Reserving a little more each time must not copy the table each time. */
    return resize(index, capacity > step ? capacity : step, err);
}

int lrb_index_add(lrb_index *index, const lrb_id *id, uint32_t pack, uint32_t ordinal, lrb_err *err) {
    if (full(index)) {
        int code = lrb_index_reserve(index, index->used + 1, err);
        if (code) return code;
    }
    place(index->slots, index->capacity, (lrb_slot){lrb_get_u64(id->bytes), pack, ordinal});
    index->used++;
    return LRB_OK;
}

bool lrb_index_next(const lrb_index *index, const lrb_id *id, uint64_t *cursor, uint32_t *pack, uint32_t *ordinal) {
    uint64_t prefix = lrb_get_u64(id->bytes);
    if (!index->capacity) return false;
    uint64_t at = *cursor == UINT64_MAX ? home(prefix, index->capacity) : *cursor + 1;
    if (at >= index->capacity) at = 0;
    /* A full table has free slots left, so every walk ends. */
    for (; !is_free(&index->slots[at]); at = at + 1 < index->capacity ? at + 1 : 0) {
        if (index->slots[at].prefix != prefix) continue;
        *cursor = at;
        *pack = index->slots[at].pack;
        *ordinal = index->slots[at].ordinal;
        return true;
    }
    return false;
}
