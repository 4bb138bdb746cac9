#include "lightrag/idset.h"

#include <string.h>

#include "base/mem.h"

enum { FEWEST = 8 };

/* Of a hash, three bits sets use no other way: the low ones choose the shard, the high ones the home in it. */
static lrb_idset_shard *shard_of(lrb_idset *set, const lrb_hash *id) {
    return &set->shards[id->low % LRB_IDSET_SHARDS];
}

static uint64_t home(uint64_t id, uint64_t room) {
    return (uint64_t)((unsigned __int128)id * room >> 64);
}

/* 0 marks a free place, so that hash is taken for its neighbour. */
static uint64_t known(const lrb_hash *id) {
    return id->low ? id->low : LRB_IDSET_SHARDS;
}

void lrb_idset_init(lrb_idset *set, bool members) {
    memset(set, 0, sizeof *set);
    set->slot_bytes = members ? sizeof(uint64_t) : sizeof(lrb_id_slot);
    for (int i = 0; i < LRB_IDSET_SHARDS; i++) pthread_mutex_init(&set->shards[i].lock, NULL);
}

void lrb_idset_clear(lrb_idset *set) {
    for (int i = 0; i < LRB_IDSET_SHARDS; i++) {
        lrb_free(set->shards[i].slots);
        pthread_mutex_destroy(&set->shards[i].lock);
    }
    memset(set, 0, sizeof *set);
}

uint64_t lrb_idset_count(lrb_idset *set) {
    uint64_t count = 0;
    for (int i = 0; i < LRB_IDSET_SHARDS; i++) {
        pthread_mutex_lock(&set->shards[i].lock);
        count += set->shards[i].used;
        pthread_mutex_unlock(&set->shards[i].lock);
    }
    return count;
}

/* Both kinds of slots begin with the id. */
static uint64_t *place(const lrb_idset *set, const lrb_idset_shard *shard, uint64_t at) {
    return (uint64_t *)(void *)((uint8_t *)shard->slots + at * set->slot_bytes);
}

/* The slot of an id, or the free one where it would be; the shard has a free one. */
static uint64_t *seek(const lrb_idset *set, const lrb_idset_shard *shard, const lrb_hash *id) {
    uint64_t wanted = known(id);
    for (uint64_t at = home(wanted, shard->room);; at = at + 1 == shard->room ? 0 : at + 1) {
        uint64_t *slot = place(set, shard, at);
        if (!*slot) return slot;
        if (*slot == wanted && (set->slot_bytes == sizeof *slot || ((lrb_id_slot *)(void *)slot)->id_more == (uint32_t)id->high))
            return slot;
    }
}

/* Makes sure that one more id fits. */
static bool make_room(lrb_idset *set, lrb_idset_shard *shard) {
    if (shard->used + 1 <= shard->room / 4 * 3) return true;
    lrb_idset_shard bigger = {.room = shard->room ? shard->room / 2 * 3 : FEWEST, .used = shard->used};
    bigger.slots = lrb_alloc_zero(bigger.room, set->slot_bytes);
    if (!bigger.slots) return false;
    for (uint64_t at = 0; at < shard->room; at++) {
        const uint64_t *old = place(set, shard, at);
        if (!*old) continue;
        uint64_t to = home(*old, bigger.room);
        while (*place(set, &bigger, to)) to = to + 1 == bigger.room ? 0 : to + 1;
        memcpy(place(set, &bigger, to), old, set->slot_bytes);
    }
    lrb_free(shard->slots);
    shard->slots = bigger.slots;
    shard->room = bigger.room;
    return true;
}

/* ---- slots ---- */

lrb_id_slot *lrb_idset_hold(lrb_idset *set, const lrb_hash *id, bool add) {
    lrb_idset_shard *shard = shard_of(set, id);
    pthread_mutex_lock(&shard->lock);
    if (shard->room || (add && make_room(set, shard))) {
        lrb_id_slot *slot = (lrb_id_slot *)(void *)seek(set, shard, id);
        if (slot->id) return slot;
        if (add && make_room(set, shard)) {
            slot = (lrb_id_slot *)(void *)seek(set, shard, id); /* it may have moved */
            slot->id = known(id);
            slot->id_more = (uint32_t)id->high;
            shard->used++;
            return slot;
        }
    }
    pthread_mutex_unlock(&shard->lock);
    return NULL;
}

void lrb_idset_release(lrb_idset *set, const lrb_hash *id) {
    pthread_mutex_unlock(&shard_of(set, id)->lock);
}

uint32_t lrb_idset_flags(lrb_idset *set, const lrb_hash *id) {
    const lrb_id_slot *slot = lrb_idset_hold(set, id, false);
    if (!slot) return 0;
    uint32_t flags = slot->flags;
    lrb_idset_release(set, id);
    return flags;
}

int lrb_idset_mark(lrb_idset *set, const lrb_hash *id, uint32_t flags, uint32_t *before, lrb_err *err) {
    lrb_id_slot *slot = lrb_idset_hold(set, id, true);
    if (!slot) return lrb_err_nomem(err, "remember an id");
    if (before) *before = slot->flags;
    slot->flags |= flags;
    lrb_idset_release(set, id);
    return LRB_OK;
}

void lrb_idset_each(lrb_idset *set, void (*each)(void *arg, lrb_id_slot *slot), void *arg) {
    for (int i = 0; i < LRB_IDSET_SHARDS; i++) {
        lrb_id_slot *slots = set->shards[i].slots;
        for (uint64_t at = 0; at < set->shards[i].room; at++)
            if (slots[at].id) each(arg, &slots[at]);
    }
}

/* ---- memberships ---- */

int lrb_idset_join(lrb_idset *set, const lrb_hash *id, bool *was_in, lrb_err *err) {
    lrb_idset_shard *shard = shard_of(set, id);
    pthread_mutex_lock(&shard->lock);
    bool room = make_room(set, shard);
    if (room) {
        uint64_t *slot = seek(set, shard, id);
        *was_in = *slot != 0;
        *slot = known(id);
        shard->used += !*was_in;
    }
    pthread_mutex_unlock(&shard->lock);
    return room ? LRB_OK : lrb_err_nomem(err, "remember an id");
}

bool lrb_idset_has(lrb_idset *set, const lrb_hash *id) {
    lrb_idset_shard *shard = shard_of(set, id);
    pthread_mutex_lock(&shard->lock);
    bool has = shard->room && *seek(set, shard, id);
    pthread_mutex_unlock(&shard->lock);
    return has;
}
