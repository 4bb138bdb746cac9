#include "engine/tally.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "engine/vector_item.h"

/* ---- what may follow what ---- */

#define AFTER(part) (1u << LRB_PART_##part)

static const uint16_t followers[] = {
    [LRB_PART_RAW] = AFTER(RAW),
    [LRB_PART_FRAME] = AFTER(CORRECTIONS),
    [LRB_PART_CORRECTIONS] = AFTER(CORRECTIONS) | AFTER(TEXT),
    [LRB_PART_TEXT] = AFTER(TEXT) | AFTER(VECTORS),
    [LRB_PART_VECTORS] = AFTER(TEXT) | AFTER(VECTORS),
    [LRB_PART_FACTS] = AFTER(ITEM) | AFTER(SKIPPED),
    [LRB_PART_ITEM] = AFTER(ITEM) | AFTER(SKIPPED),
    [LRB_PART_SKIPPED] = AFTER(SKIPPED),
    [LRB_PART_OTHER] = 0,
};

static void blame(lrb_tally *tally, lrb_flaw flaw) {
    if (!tally->flaw) tally->flaw = (uint8_t)flaw;
}

static void add(lrb_tally *tally, uint64_t *to, uint64_t more) {
    if (__builtin_add_overflow(*to, more, to)) blame(tally, LRB_FLAW_SIZE);
}

/* ---- rows ---- */

lrb_tally lrb_tally_of_row(const lrb_row *row, const lrb_copy *chunk) {
    lrb_tally tally = {0};
    lrb_part part = LRB_PART_OTHER;
    bool fits = row->count;
    switch (row->kind) {
    case LRB_CHUNK_RAW:
        part = LRB_PART_RAW;
        tally.bytes = row->count;
        fits = fits && row->count == chunk->content_length;
        break;
    case LRB_CHUNK_TEXT:
        part = LRB_PART_TEXT;
        tally.bytes = row->count;
        fits = fits && row->count <= LRB_VECTOR_SPAN_MAX_BYTES;
        break;
    case LRB_CHUNK_VECTORS:
        part = LRB_PART_VECTORS;
        tally.rows = row->count;
        break;
    case LRB_CHUNK_CORRECTIONS:
        part = LRB_PART_CORRECTIONS;
        tally.corrected = row->count;
        break;
    default: break;
    }
    tally.first = tally.last = (uint8_t)part;
    if (part == LRB_PART_OTHER || row->kind != chunk->kind) blame(&tally, LRB_FLAW_KIND);
    else if (!fits) blame(&tally, LRB_FLAW_LENGTH);
    return tally;
}

lrb_tally lrb_tally_of_frame(const lrb_vdb_frame *frame) {
    lrb_tally tally = {.first = LRB_PART_FRAME, .last = LRB_PART_FRAME};
    if (!frame) {
        blame(&tally, LRB_FLAW_FRAME);
        return tally;
    }
    tally.framed = frame->rows;
    tally.bytes = lrb_vector_frame_bytes(frame);
    return tally;
}

void lrb_tally_join(lrb_tally *tally, const lrb_tally *more) {
    if (tally->first) {
        if (tally->height != more->height) blame(tally, LRB_FLAW_LEVELS);
        if (!(followers[tally->last] >> more->first & 1)) blame(tally, LRB_FLAW_ORDER);
    } else {
        tally->first = more->first;
        tally->height = more->height;
    }
    blame(tally, (lrb_flaw)more->flaw);
    tally->last = more->last;
    add(tally, &tally->bytes, more->bytes);
    add(tally, &tally->items, more->items);
    add(tally, &tally->rows, more->rows);
    add(tally, &tally->corrected, more->corrected);
    add(tally, &tally->framed, more->framed);
}

void lrb_tally_raise(lrb_tally *tally) {
    if (tally->height >= LRB_RECIPE_MAX_DEPTH) blame(tally, LRB_FLAW_LEVELS);
    else tally->height++;
}

/* ---- wholes ---- */

bool lrb_tally_makes_file(const lrb_tally *tally, uint64_t size_bytes) {
    bool begins = tally->first == LRB_PART_RAW || tally->first == LRB_PART_FRAME;
    return !tally->flaw && begins && tally->bytes == size_bytes && tally->rows == tally->framed && tally->corrected == tally->framed;
}

bool lrb_tally_makes_body(const lrb_tally *tally, uint64_t items, uint64_t size_bytes) {
    return !tally->flaw && tally->first == LRB_PART_FACTS && tally->items == items && tally->bytes == size_bytes;
}

static const char *name_flaw(const lrb_tally *tally) {
    switch ((lrb_flaw)tally->flaw) {
    case LRB_FLAW_KIND: return "names a chunk as of a kind that it is not, or that has no place there";
    case LRB_FLAW_LENGTH: return "names a chunk with a length that it has not";
    case LRB_FLAW_LEVELS: return "is not equally deep everywhere, or too deep";
    case LRB_FLAW_ORDER: return "is in an order that nobody can read";
    case LRB_FLAW_FRAME: return "begins with the frame of a vector file that cannot be read";
    case LRB_FLAW_SIZE: return "adds up to more bytes than there can be";
    case LRB_FLAW_ITEM: return "names an item that cannot be restored";
    case LRB_FLAW_NONE: break;
    }
    return NULL;
}

void lrb_tally_why_no_file(const lrb_tally *tally, uint64_t size_bytes, char *out, size_t room) {
    const char *flaw = name_flaw(tally);
    if (flaw)
        snprintf(out, room, "its list of chunks %s", flaw);
    else if (tally->first != LRB_PART_RAW && tally->first != LRB_PART_FRAME)
        snprintf(out, room, "its list of chunks does not begin like that of a file");
    else if (tally->bytes != size_bytes)
        snprintf(out, room, "its chunks add up to %" PRIu64 " bytes, and its size is %" PRIu64, tally->bytes, size_bytes);
    else
        snprintf(out, room, "its frame says %" PRIu64 " rows, and its chunks have %" PRIu64 ", with corrections for %" PRIu64, tally->framed,
                 tally->rows, tally->corrected);
}

void lrb_tally_why_no_body(const lrb_tally *tally, uint64_t items, uint64_t size_bytes, char *out, size_t room) {
    const char *flaw = name_flaw(tally);
    if (flaw)
        snprintf(out, room, "its list of items %s", flaw);
    else if (tally->first != LRB_PART_FACTS)
        snprintf(out, room, "its list of items does not begin with the facts");
    else
        snprintf(out, room, "its list has %" PRIu64 " items of %" PRIu64 " bytes, and the log says %" PRIu64 " of %" PRIu64, tally->items,
                 tally->bytes, items, size_bytes);
}

/* ---- kept ---- */

enum { FEWEST_SLOTS = 64 };

/* Free slots have no part. */
static lrb_kept_tally *slot_of(lrb_kept_tally *slots, size_t room, lrb_place place) {
    uint64_t key = (uint64_t)place.pack << 32 | place.ordinal;
    size_t at = (size_t)(key * 0x9e3779b97f4a7c15u >> 32) & (room - 1);
    while (slots[at].tally.first && (slots[at].place.pack != place.pack || slots[at].place.ordinal != place.ordinal)) at = (at + 1) & (room - 1);
    return &slots[at];
}

static int grow(lrb_tallies *tallies, lrb_err *err) {
    size_t room = tallies->room ? 2 * tallies->room : FEWEST_SLOTS;
    lrb_kept_tally *slots = lrb_alloc_zero(room, sizeof *slots);
    if (!slots) return lrb_err_nomem(err, "add up a snapshot");
    for (size_t i = 0; i < tallies->room; i++)
        if (tallies->slots[i].tally.first) *slot_of(slots, room, tallies->slots[i].place) = tallies->slots[i];
    lrb_free(tallies->slots);
    tallies->slots = slots;
    tallies->room = room;
    return LRB_OK;
}

void lrb_tallies_clear(lrb_tallies *tallies) {
    lrb_free(tallies->slots);
    *tallies = (lrb_tallies){0};
}

int lrb_tallies_keep(lrb_tallies *tallies, lrb_place place, const lrb_tally *tally, lrb_err *err) {
    int code = tallies->count * 3 >= tallies->room * 2 ? grow(tallies, err) : LRB_OK;
    if (code) return code;
    lrb_kept_tally *slot = slot_of(tallies->slots, tallies->room, place);
    tallies->count += !slot->tally.first;
    *slot = (lrb_kept_tally){place, *tally};
    return LRB_OK;
}

const lrb_tally *lrb_tallies_find(const lrb_tallies *tallies, lrb_place place) {
    if (!tallies->room) return NULL;
    const lrb_kept_tally *slot = slot_of(tallies->slots, tallies->room, place);
    return slot->tally.first ? &slot->tally : NULL;
}
