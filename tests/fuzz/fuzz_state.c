/* A log of hostile entries applied to a state. The harness gives each entry the number, digests and repository that
 * follow, so that what is tried is their meaning.
 *
 * Properties: an entry that is refused changes nothing; reading in a batch, reading one by one and starting from a
 * checkpoint give the same state; every state can be written as a checkpoint.
 */
#include "c/logbook.h"
#include "fuzz.h"

enum { EPOCH_UP = 1, EPOCH_DOWN = 2, WRONG_PREVIOUS = 4, FOREIGN = 8, OWN_CHECKPOINT = 16 }; /* flags of a record */
enum { PACKS_MAX = 15, SEED_AND_SIZE_BYTES = 3, PAYLOAD_MAX_BYTES = 1 << 20 };

/* One entry as the input describes it. */
typedef struct draft {
    lrb_entry entry;
    lrb_pack_ref packs[PACKS_MAX];
    lrb_buf checkpoint; /* the payload, with OWN_CHECKPOINT */
} draft;

static void take_packs(lrb_view *view, draft *d, size_t count) {
    for (size_t i = 0; i < count; i++) {
        memset(d->packs[i].id.bytes, lrb_view_u8(view), sizeof d->packs[i].id.bytes);
        d->packs[i].size_bytes = lrb_view_u16(view);
    }
    d->entry.packs = d->packs;
    d->entry.pack_count = (uint32_t)count;
}

static void spoil(draft *d, unsigned flags) {
    if (flags & EPOCH_UP) d->entry.epoch++;
    if (flags & EPOCH_DOWN) d->entry.epoch--;
    if (flags & WRONG_PREVIOUS) d->entry.previous.bytes[0] ^= 1;
    if (flags & FOREIGN) d->entry.repository_id[0] ^= 1;
}

/* record: kind u8 | flags u8 | packs u8 | payload length u16 | packs x (seed u8 | size u16) | payload
 * False at the end of the input. */
static bool take_draft(lrb_view *view, const lrb_state *state, uint64_t first_number, draft *d) {
    unsigned kind = lrb_view_u8(view), flags = lrb_view_u8(view), packs = lrb_view_u8(view) & PACKS_MAX;
    size_t payload_length = lrb_view_u16(view);
    lrb_err err;
    d->entry = logbook_next(state, (lrb_entry_kind)(kind % (LRB_ENTRY_CHECKPOINT + 1)), NULL);
    if (state->empty) d->entry.number = first_number;
    take_packs(view, d, packs);
    d->entry.payload = lrb_view_bytes(view, payload_length);
    d->entry.payload_length = payload_length;
    if (view->bad) return false;
    spoil(d, flags);
    lrb_buf_empty(&d->checkpoint);
    if (flags & OWN_CHECKPOINT) {
        MUST_OK(lrb_state_checkpoint(state, &d->checkpoint, &err));
        d->entry.payload = d->checkpoint.data;
        d->entry.payload_length = d->checkpoint.length;
    }
    return true;
}

static void checkpoint_of(const lrb_state *state, lrb_buf *payload) {
    lrb_err err;
    lrb_buf_init(payload, PAYLOAD_MAX_BYTES);
    MUST_OK(lrb_state_checkpoint(state, payload, &err));
}

/* Applies the entry to both states, with the bytes it would have on disk. */
static void apply(lrb_state *plain, lrb_state *batched, const lrb_entry *entry) {
    lrb_buf before, after;
    lrb_err err;
    uint64_t number = plain->last_number;
    lrb_id digest = logbook_id(entry->number, 'e');
    checkpoint_of(plain, &before);
    int code = lrb_state_apply(plain, entry, &digest, LOGBOOK_ENTRY_BYTES, &err);
    must_be_an_answer(code, &err);
    MUST(lrb_state_apply(batched, entry, &digest, LOGBOOK_ENTRY_BYTES, &err) == code);
    checkpoint_of(plain, &after);
    if (code) {
        MUST(plain->last_number == number);
        MUST(before.length == after.length && !memcmp(before.data, after.data, after.length));
    } else {
        MUST(plain->last_number == entry->number);
        if (entry->kind == LRB_ENTRY_CHECKPOINT) MUST(plain->last_checkpoint == entry->number);
    }
    lrb_buf_clear(&before);
    lrb_buf_clear(&after);
}

static void look_things_up(const lrb_state *state) {
    for (size_t i = 0; i < state->snapshot_count; i++) {
        MUST(lrb_state_find(state, state->snapshots[i].id) == &state->snapshots[i]);
        MUST(!i || state->snapshots[i - 1].number < state->snapshots[i].number);
    }
    for (uint32_t i = 0; i < state->pack_count; i++) {
        MUST(lrb_state_find_pack(state, &state->packs[i].id) == i);
        MUST(state->packs[i].status != LRB_PACK_KNOWN || state->packs[i].size_bytes);
    }
}

static void start_from_checkpoint(const lrb_state *state) {
    lrb_state fresh;
    lrb_buf payload, again;
    lrb_err err;
    checkpoint_of(state, &payload);
    lrb_entry entry = logbook_next(state, LRB_ENTRY_CHECKPOINT, &payload);
    lrb_state_init(&fresh);
    MUST_OK(logbook_apply(&fresh, &entry, &err));
    checkpoint_of(&fresh, &again);
    MUST(payload.length == again.length && !memcmp(payload.data, again.data, again.length));
    lrb_buf_clear(&payload);
    lrb_buf_clear(&again);
    lrb_state_clear(&fresh);
}

/* input: the number of the first entry u8, then records */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    lrb_view view = lrb_view_of(data, size);
    uint64_t first_number = lrb_view_u8(&view);
    lrb_state plain, batched;
    draft d = {0};
    lrb_state_init(&plain);
    lrb_state_init(&batched);
    lrb_buf_init(&d.checkpoint, PAYLOAD_MAX_BYTES);
    lrb_state_begin_batch(&batched);
    while (!view.bad && take_draft(&view, &plain, first_number, &d)) apply(&plain, &batched, &d.entry);
    lrb_state_end_batch(&batched);
    MUST(logbook_same(&plain, &batched));
    look_things_up(&plain);
    if (!plain.empty) start_from_checkpoint(&plain);
    lrb_buf_clear(&d.checkpoint);
    lrb_state_clear(&plain);
    lrb_state_clear(&batched);
    return 0;
}
