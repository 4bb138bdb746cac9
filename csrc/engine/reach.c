#include "engine/reach.h"

#include <stdlib.h>

#include "base/mem.h"
#include "engine/node.h"

enum {
    MAX_FRAMES = 2 * LRB_RECIPE_MAX_DEPTH + 2, /* a body's recipe, a body chunk, an item's recipe, one to spare */
    MAX_COPIES = 16,
    STEP_ROWS = 512,
    MAX_LACKING = 1 << 16, /* 2 MiB */
    MEMO_SLOTS = 1 << 15 /* 1.1 MiB */
};

/* A node whose rows are being visited. */
typedef struct frame {
    lrb_row *rows;
    size_t count, next;
    lrb_place place;
    bool lost;
} frame;

typedef struct memo_slot {
    lrb_id id;
    lrb_chunk_kind kind; /* NONE: free */
} memo_slot;

struct lrb_reach {
    lrb_repo *repo;
    const lrb_marks *bad;
    uint8_t *statuses; /* lrb_pack_status by position */
    uint32_t pack_count;
    lrb_marks live;
    lrb_marks opened, lost;       /* nodes whose rows were visited; those of them with something lost below */
    memo_slot *memo;              /* ids whose chunk and all below it are good */
    lrb_buf content;
    frame frames[MAX_FRAMES];
    size_t depth;
    uint64_t lost_count, blind_count;
    lrb_id *lacking;              /* lost data chunks, the first MAX_LACKING of them */
    size_t lacking_count, lacking_room;
    bool lacking_sorted;
    lrb_err blind_reason;
};

static int copy_statuses(lrb_reach *reach, lrb_err *err) {
    const lrb_state *state = lrb_repo_begin_read(reach->repo);
    reach->statuses = lrb_alloc(state->pack_count);
    if (reach->statuses) {
        reach->pack_count = state->pack_count;
        for (uint32_t i = 0; i < state->pack_count; i++) reach->statuses[i] = (uint8_t)state->packs[i].status;
    }
    lrb_repo_end_read(reach->repo);
    return reach->statuses ? LRB_OK : lrb_err_nomem(err, "walk the snapshots");
}

int lrb_reach_new(lrb_repo *repo, const lrb_marks *bad, lrb_reach **out, lrb_err *err) {
    lrb_reach *reach = lrb_alloc_zero(1, sizeof *reach);
    if (!reach) return lrb_err_nomem(err, "walk the snapshots");
    reach->repo = repo;
    reach->bad = bad;
    lrb_buf_init(&reach->content, LRB_CONTENT_MAX_BYTES);
    reach->memo = lrb_alloc_zero(MEMO_SLOTS, sizeof *reach->memo);
    int code = reach->memo ? copy_statuses(reach, err) : lrb_err_nomem(err, "walk the snapshots");
    if (code) lrb_reach_free(reach);
    else *out = reach;
    return code;
}

static void drop_frames(lrb_reach *reach) {
    while (reach->depth) lrb_free(reach->frames[--reach->depth].rows);
}

void lrb_reach_free(lrb_reach *reach) {
    if (!reach) return;
    drop_frames(reach);
    lrb_marks_clear(&reach->live);
    lrb_marks_clear(&reach->opened);
    lrb_marks_clear(&reach->lost);
    lrb_buf_clear(&reach->content);
    lrb_free(reach->lacking);
    lrb_free(reach->memo);
    lrb_free(reach->statuses);
    lrb_free(reach);
}

/* ---- the memo ---- */

static memo_slot *memo_of(const lrb_reach *reach, const lrb_id *id) {
    return &reach->memo[lrb_get_u32(id->bytes) % MEMO_SLOTS];
}

static bool remembered(const lrb_reach *reach, const lrb_row *row) {
    const memo_slot *slot = memo_of(reach, &row->id);
    return slot->kind == row->kind && !lrb_id_compare(&slot->id, &row->id);
}

static void remember(lrb_reach *reach, const lrb_row *row) {
    *memo_of(reach, &row->id) = (memo_slot){row->id, row->kind};
}

/* ---- choosing a copy ---- */

/* Lower is better. A pack that came after lrb_reach_new was just committed. */
static unsigned rank(const lrb_reach *reach, lrb_place place) {
    if (lrb_marks_has(&reach->live, place)) return 0;
    return place.pack < reach->pack_count ? reach->statuses[place.pack] : LRB_PACK_KNOWN;
}

/* *copies: 0 when no pack has the chunk; *good false when all of them are bad: then *place is one of those. */
static int choose(lrb_reach *reach, const lrb_id *id, size_t *copies, bool *good, lrb_place *place, lrb_err *err) {
    lrb_place found[MAX_COPIES];
    *good = false;
    int code = lrb_repo_places(reach->repo, id, found, MAX_COPIES, copies, err);
    for (size_t i = 0; !code && i < *copies; i++) {
        if (reach->bad && lrb_marks_has(reach->bad, found[i])) {
            if (!*good) *place = found[i];
        } else if (!*good || rank(reach, found[i]) < rank(reach, *place)) {
            *place = found[i];
            *good = true;
        }
    }
    return code;
}

/* ---- the walk ---- */

static void go_blind(lrb_reach *reach, const lrb_err *reason) {
    if (!reach->blind_count++) reach->blind_reason = *reason;
    reach->lost_count++;
}

static int open_node(lrb_reach *reach, lrb_coder *coder, const lrb_row *node, lrb_place place, bool *lost,
                     lrb_err *err) {
    lrb_row *rows = NULL;
    size_t count = 0;
    int code = reach->depth < MAX_FRAMES ? lrb_node_load(reach->repo, coder, node, &reach->content, &rows, &count, err)
                                         : lrb_node_malformed(node, "lies deeper than any snapshot goes", err);
    if (code && lrb_err_is_own(err)) return code;
    if (code) {
        go_blind(reach, err);
        lrb_err_clear(err);
        *lost = true;
        if ((code = lrb_marks_add(&reach->opened, place, err))) return code;
        return lrb_marks_add(&reach->lost, place, err);
    }
    if ((code = lrb_marks_add(&reach->opened, place, err))) lrb_free(rows);
    else reach->frames[reach->depth++] = (frame){.rows = rows, .count = count, .place = place};
    return code;
}

static int note_lacking(lrb_reach *reach, const lrb_id *id, lrb_err *err) {
    reach->lost_count++;
    if (reach->lacking_count == MAX_LACKING) return LRB_OK;
    if (reach->lacking_count == reach->lacking_room) {
        size_t room = reach->lacking_room ? reach->lacking_room * 2 : 64;
        lrb_id *lacking = lrb_resize_array(reach->lacking, room, sizeof *lacking);
        if (!lacking) return lrb_err_nomem(err, "walk the snapshots");
        reach->lacking = lacking;
        reach->lacking_room = room;
    }
    reach->lacking[reach->lacking_count++] = *id;
    reach->lacking_sorted = false;
    return LRB_OK;
}

static int note_missing(lrb_reach *reach, const lrb_row *row, size_t copies, lrb_err *err) {
    if (!lrb_node_is(row->kind)) return note_lacking(reach, &row->id, err);
    lrb_node_malformed(row, copies ? "has no copy that can be read" : "is in no pack that can be read", err);
    go_blind(reach, err);
    lrb_err_clear(err);
    return LRB_OK;
}

/* Visits the chunk a row names: *lost when it, or what was visited below it before, is lost. A node seen for the first
 * time becomes the top frame. */
static int visit(lrb_reach *reach, lrb_coder *coder, const lrb_row *row, bool *lost, lrb_err *err) {
    size_t copies;
    bool good;
    lrb_place place;
    *lost = false;
    if (row->kind == LRB_CHUNK_NONE || remembered(reach, row)) return LRB_OK;
    int code = choose(reach, &row->id, &copies, &good, &place, err);
    if (code) return code;
    if (!good) {
        *lost = true;
        return note_missing(reach, row, copies, err);
    }
    if ((code = lrb_marks_add(&reach->live, place, err))) return code;
    bool node = lrb_node_is(row->kind);
    if (node && !lrb_marks_has(&reach->opened, place)) return open_node(reach, coder, row, place, lost, err);
    *lost = node && lrb_marks_has(&reach->lost, place);
    if (!*lost) remember(reach, row);
    return LRB_OK;
}

/* Leaves the top frame; what it lost, the frame below it lost. */
static int leave(lrb_reach *reach, lrb_err *err) {
    frame *top = &reach->frames[reach->depth - 1];
    if (top->lost) {
        int code = lrb_marks_add(&reach->lost, top->place, err);
        if (code) return code;
        if (reach->depth > 1) top[-1].lost = true;
    }
    lrb_free(top->rows);
    reach->depth--;
    return LRB_OK;
}

int lrb_reach_begin(lrb_reach *reach, lrb_coder *coder, const lrb_row *root, lrb_err *err) {
    bool lost;
    drop_frames(reach);
    return visit(reach, coder, root, &lost, err);
}

int lrb_reach_step(lrb_reach *reach, lrb_coder *coder, bool *done, lrb_err *err) {
    for (unsigned i = 0; i < STEP_ROWS && reach->depth; i++) {
        frame *top = &reach->frames[reach->depth - 1];
        bool lost = false;
        const lrb_row *row = top->next < top->count ? &top->rows[top->next++] : NULL;
        int code = row ? visit(reach, coder, row, &lost, err) : leave(reach, err);
        if (code) return code;
        if (lost) top->lost = true;
    }
    *done = !reach->depth;
    return LRB_OK;
}

int lrb_reach_keep(lrb_reach *reach, const lrb_id *id, bool *found, lrb_err *err) {
    size_t copies;
    lrb_place place;
    int code = choose(reach, id, &copies, found, &place, err);
    return code || !*found ? code : lrb_marks_add(&reach->live, place, err);
}

const lrb_marks *lrb_reach_live(const lrb_reach *reach) { return &reach->live; }
uint64_t lrb_reach_lost_count(const lrb_reach *reach) { return reach->lost_count; }
uint64_t lrb_reach_blind_count(const lrb_reach *reach) { return reach->blind_count; }
const lrb_err *lrb_reach_blind_reason(const lrb_reach *reach) { return &reach->blind_reason; }

/* ---- asking afterwards ---- */

static int compare_ids(const void *a, const void *b) {
    return lrb_id_compare(a, b);
}

bool lrb_reach_lacks(lrb_reach *reach, const lrb_id *id) {
    if (!reach->lacking_count) return false;
    if (reach->lacking_count == MAX_LACKING) return true;
    if (!reach->lacking_sorted) qsort(reach->lacking, reach->lacking_count, sizeof *id, compare_ids);
    reach->lacking_sorted = true;
    return bsearch(id, reach->lacking, reach->lacking_count, sizeof *id, compare_ids);
}

int lrb_reach_is_lost(lrb_reach *reach, const lrb_row *row, bool *lost, lrb_err *err) {
    size_t copies;
    bool good;
    lrb_place place;
    *lost = false;
    if (row->kind == LRB_CHUNK_NONE || remembered(reach, row)) return LRB_OK;
    int code = choose(reach, &row->id, &copies, &good, &place, err);
    *lost = !code && (!good || (lrb_node_is(row->kind) && lrb_marks_has(&reach->lost, place)));
    return code;
}

/* The first lost row of rows[count]; NULL: none of them. */
static int first_lost(lrb_reach *reach, const lrb_row *rows, size_t count, const lrb_row **out, lrb_err *err) {
    *out = NULL;
    for (size_t i = 0; i < count; i++) {
        bool lost;
        int code = lrb_reach_is_lost(reach, &rows[i], &lost, err);
        if (code) return code;
        if (!lost) continue;
        *out = &rows[i];
        break;
    }
    return LRB_OK;
}

/* Goes down one level towards a lost chunk: *row becomes a lost row of the node it named; or *here, when nothing below
 * is lost or can be read. */
static int descend(lrb_reach *reach, lrb_coder *coder, lrb_row *row, bool *here, lrb_err *err) {
    lrb_row *rows;
    size_t count;
    *here = true;
    int code = lrb_node_load(reach->repo, coder, row, &reach->content, &rows, &count, err);
    if (code && lrb_err_is_own(err)) return code;
    if (code) {
        lrb_err_clear(err);
        return LRB_OK;
    }
    const lrb_row *below;
    code = first_lost(reach, rows, count, &below, err);
    if (!code && below) {
        *row = *below;
        *here = false;
    }
    lrb_free(rows);
    return code;
}

int lrb_reach_blame(lrb_reach *reach, lrb_coder *coder, const lrb_row *row, lrb_blame *blame, lrb_err *err) {
    lrb_row at = *row;
    size_t copies = 0;
    lrb_place place = {LRB_NO_PACK, 0};
    for (bool here = false; !here;) {
        bool good;
        int code = choose(reach, &at.id, &copies, &good, &place, err);
        if (code) return code;
        here = !good || !lrb_node_is(at.kind);
        if (!here && (code = descend(reach, coder, &at, &here, err))) return code;
    }
    *blame = (lrb_blame){.chunk = at.id, .kind = at.kind, .placed = copies > 0, .pack = LRB_NO_PACK};
    if (copies) blame->pack = place.pack;
    return LRB_OK;
}
