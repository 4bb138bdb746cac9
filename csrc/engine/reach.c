#include "engine/reach.h"

#include <stdlib.h>

#include "base/mem.h"
#include "engine/node.h"

enum {
    MAX_FRAMES = 2 * LRB_RECIPE_MAX_DEPTH + 2, /* a body's recipe, a body chunk, an item's recipe, one to spare */
    MAX_COPIES = 16,
    STEP_ROWS = 512,
    MAX_LACKING = 1 << 16, /* 2 MiB */
    MEMO_SLOTS = 1 << 15 /* 1.8 MiB */
};

/* A node whose rows are being visited. */
typedef struct frame {
    lrb_node node;
    size_t next;
    lrb_place place;
    bool lost;
    lrb_tally tally; /* of what was visited of it */
} frame;

typedef struct memo_slot {
    lrb_id id;
    lrb_chunk_kind kind; /* NONE: free */
    lrb_copy copy;
} memo_slot;

struct lrb_reach {
    lrb_repo *repo;
    const lrb_marks *bad;
    uint8_t *statuses; /* lrb_pack_status by position */
    uint32_t pack_count;
    lrb_marks live;
    lrb_marks opened, lost;       /* nodes whose rows were visited; those of them with something lost below */
    memo_slot *memo;              /* ids whose chunk and all below it are good */
    bool adds_up;
    lrb_tallies tallies;          /* of nodes with nothing lost below, and of frames; when it adds up */
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

void lrb_reach_add_up(lrb_reach *reach) { reach->adds_up = true; }

static void drop_frames(lrb_reach *reach) {
    while (reach->depth) lrb_node_clear(&reach->frames[--reach->depth].node);
}

void lrb_reach_free(lrb_reach *reach) {
    if (!reach) return;
    drop_frames(reach);
    lrb_marks_clear(&reach->live);
    lrb_marks_clear(&reach->opened);
    lrb_marks_clear(&reach->lost);
    lrb_tallies_clear(&reach->tallies);
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

static void remember(lrb_reach *reach, const lrb_row *row, const lrb_copy *copy) {
    *memo_of(reach, &row->id) = (memo_slot){row->id, row->kind, *copy};
}

/* ---- choosing a copy ---- */

/* Lower is better. A pack that came after lrb_reach_new was just committed. */
static unsigned rank(const lrb_reach *reach, lrb_place place) {
    if (lrb_marks_has(&reach->live, place)) return 0;
    return place.pack < reach->pack_count ? reach->statuses[place.pack] : LRB_PACK_KNOWN;
}

/* *copies: 0 when no pack has the chunk; *good false when all of them are bad: then *copy is one of those. */
static int choose(lrb_reach *reach, const lrb_id *id, size_t *copies, bool *good, lrb_copy *copy, lrb_err *err) {
    lrb_copy found[MAX_COPIES];
    *good = false;
    int code = lrb_repo_copies(reach->repo, id, found, MAX_COPIES, copies, err);
    for (size_t i = 0; !code && i < *copies; i++) {
        if (reach->bad && lrb_marks_has(reach->bad, found[i].place)) {
            if (!*good) *copy = found[i];
        } else if (!*good || rank(reach, found[i].place) < rank(reach, copy->place)) {
            *copy = found[i];
            *good = true;
        }
    }
    return code;
}

/* ---- what it adds up to ---- */

/* A frame says how many rows there are: it is read once. One that does not come back is a flaw of what names it. */
static int add_up_frame(lrb_reach *reach, lrb_coder *coder, const lrb_row *row, lrb_place place, lrb_tally *tally, lrb_err *err) {
    lrb_vdb_frame frame;
    int code = lrb_repo_read(reach->repo, &row->id, row->kind, true, coder, &reach->content, err);
    if (!code) code = lrb_vdb_frame_open(reach->content.data, reach->content.length, &frame, err);
    if (code && lrb_err_is_own(err)) return code;
    *tally = lrb_tally_of_frame(code ? NULL : &frame);
    lrb_err_clear(err);
    return lrb_tallies_keep(&reach->tallies, place, tally, err);
}

/* Another row may have named the same node with the right count. */
static bool has_its_count(const lrb_row *row, const lrb_copy *copy) {
    return copy->content_length == (row->kind == LRB_CHUNK_RECIPE ? (uint64_t)row->count * LRB_ROW_BYTES : row->count);
}

/* Of a row whose chunk was visited and is not lost. */
static int add_up(lrb_reach *reach, lrb_coder *coder, const lrb_row *row, const lrb_copy *copy, lrb_tally *tally, lrb_err *err) {
    bool node = lrb_node_is(row->kind), frame = row->kind == LRB_CHUNK_FRAME && copy->kind == LRB_CHUNK_FRAME;
    if (!reach->adds_up) return LRB_OK;
    const lrb_tally *kept = node || frame ? lrb_tallies_find(&reach->tallies, copy->place) : NULL;
    if (!kept && frame) return add_up_frame(reach, coder, row, copy->place, tally, err);
    *tally = kept ? *kept : lrb_tally_of_row(row, copy);
    if (node && !has_its_count(row, copy)) tally->flaw = LRB_FLAW_LENGTH;
    return LRB_OK;
}

/* What was visited below the next but one row of a node becomes part of it; what a body names is a file each. */
static void take_up(lrb_reach *reach, frame *top, const lrb_tally *tally) {
    const uint64_t *sizes = top->node.sizes;
    if (!reach->adds_up) return;
    if (!sizes) lrb_tally_join(&top->tally, tally);
    else if (!top->tally.flaw && !lrb_tally_makes_file(tally, sizes[top->next - 1])) top->tally.flaw = LRB_FLAW_ITEM;
}

/* ---- the walk ---- */

static void go_blind(lrb_reach *reach, const lrb_err *reason) {
    if (!reach->blind_count++) reach->blind_reason = *reason;
    reach->lost_count++;
}

static int open_node(lrb_reach *reach, lrb_coder *coder, const lrb_row *node, lrb_place place, bool *lost,
                     lrb_err *err) {
    lrb_node loaded = {0};
    int code = reach->depth < MAX_FRAMES ? lrb_node_load(reach->repo, coder, node, &reach->content, &loaded, err)
                                         : lrb_node_malformed(node, "lies deeper than any snapshot goes", err);
    if (code && lrb_err_is_own(err)) return code;
    if (code) {
        go_blind(reach, err);
        lrb_err_clear(err);
        *lost = true;
        if ((code = lrb_marks_add(&reach->opened, place, err))) return code;
        return lrb_marks_add(&reach->lost, place, err);
    }
    if ((code = lrb_marks_add(&reach->opened, place, err))) lrb_node_clear(&loaded);
    else reach->frames[reach->depth++] = (frame){.node = loaded, .place = place, .tally = loaded.tally};
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

/* Visits the chunk a row names: *lost when it, or what was visited below it before, is lost; else *tally is what it adds up
 * to. A node seen for the first time becomes the top frame, and none of that is known yet. */
static int visit(lrb_reach *reach, lrb_coder *coder, const lrb_row *row, bool *lost, lrb_tally *tally, lrb_err *err) {
    size_t copies;
    bool good;
    lrb_copy copy;
    *lost = false;
    if (row->kind == LRB_CHUNK_NONE) return LRB_OK;
    if (remembered(reach, row)) return add_up(reach, coder, row, &memo_of(reach, &row->id)->copy, tally, err);
    int code = choose(reach, &row->id, &copies, &good, &copy, err);
    if (code) return code;
    if (!good) {
        *lost = true;
        return note_missing(reach, row, copies, err);
    }
    if ((code = lrb_marks_add(&reach->live, copy.place, err))) return code;
    bool node = lrb_node_is(row->kind);
    if (node && !lrb_marks_has(&reach->opened, copy.place)) return open_node(reach, coder, row, copy.place, lost, err);
    *lost = node && lrb_marks_has(&reach->lost, copy.place);
    if (*lost) return LRB_OK;
    remember(reach, row, &copy);
    return add_up(reach, coder, row, &copy, tally, err);
}

/* Visits the next row of the top frame. */
static int go_on(lrb_reach *reach, lrb_coder *coder, frame *top, lrb_err *err) {
    size_t depth = reach->depth;
    lrb_tally tally = {0};
    bool lost;
    int code = visit(reach, coder, &top->node.rows[top->next++], &lost, &tally, err);
    if (code) return code;
    if (lost) top->lost = true;
    else if (reach->depth == depth) take_up(reach, top, &tally);
    return LRB_OK;
}

/* Leaves the top frame; what it lost, the frame below it lost. */
static int leave(lrb_reach *reach, lrb_err *err) {
    frame *top = &reach->frames[reach->depth - 1];
    int code = LRB_OK;
    if (!top->node.sizes) lrb_tally_raise(&top->tally);
    if (top->lost) code = lrb_marks_add(&reach->lost, top->place, err);
    else if (reach->adds_up) code = lrb_tallies_keep(&reach->tallies, top->place, &top->tally, err);
    if (code) return code;
    if (reach->depth > 1 && top->lost) top[-1].lost = true;
    else if (reach->depth > 1) take_up(reach, &top[-1], &top->tally);
    lrb_node_clear(&top->node);
    reach->depth--;
    return LRB_OK;
}

int lrb_reach_begin(lrb_reach *reach, lrb_coder *coder, const lrb_row *root, lrb_err *err) {
    bool lost;
    lrb_tally tally;
    drop_frames(reach);
    return visit(reach, coder, root, &lost, &tally, err);
}

int lrb_reach_step(lrb_reach *reach, lrb_coder *coder, bool *done, lrb_err *err) {
    for (unsigned i = 0; i < STEP_ROWS && reach->depth; i++) {
        frame *top = &reach->frames[reach->depth - 1];
        int code = top->next < top->node.count ? go_on(reach, coder, top, err) : leave(reach, err);
        if (code) return code;
    }
    *done = !reach->depth;
    return LRB_OK;
}

int lrb_reach_keep(lrb_reach *reach, const lrb_id *id, bool *found, lrb_err *err) {
    size_t copies;
    lrb_copy copy;
    int code = choose(reach, id, &copies, found, &copy, err);
    return code || !*found ? code : lrb_marks_add(&reach->live, copy.place, err);
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
    lrb_copy copy;
    *lost = false;
    if (row->kind == LRB_CHUNK_NONE || remembered(reach, row)) return LRB_OK;
    int code = choose(reach, &row->id, &copies, &good, &copy, err);
    *lost = !code && (!good || (lrb_node_is(row->kind) && lrb_marks_has(&reach->lost, copy.place)));
    return code;
}

int lrb_reach_tally(lrb_reach *reach, lrb_coder *coder, const lrb_row *row, lrb_tally *tally, lrb_err *err) {
    size_t copies;
    bool good;
    lrb_copy copy;
    *tally = (lrb_tally){0};
    if (row->kind == LRB_CHUNK_NONE) return LRB_OK;
    int code = choose(reach, &row->id, &copies, &good, &copy, err);
    return code || !good ? code : add_up(reach, coder, row, &copy, tally, err);
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
    lrb_node node;
    *here = true;
    int code = lrb_node_load(reach->repo, coder, row, &reach->content, &node, err);
    if (code && lrb_err_is_own(err)) return code;
    if (code) {
        lrb_err_clear(err);
        return LRB_OK;
    }
    const lrb_row *below;
    code = first_lost(reach, node.rows, node.count, &below, err);
    if (!code && below) {
        *row = *below;
        *here = false;
    }
    lrb_node_clear(&node);
    return code;
}

int lrb_reach_blame(lrb_reach *reach, lrb_coder *coder, const lrb_row *row, lrb_blame *blame, lrb_err *err) {
    lrb_row at = *row;
    size_t copies = 0;
    lrb_copy copy = {.place = {LRB_NO_PACK, 0}};
    for (bool here = false; !here;) {
        bool good;
        int code = choose(reach, &at.id, &copies, &good, &copy, err);
        if (code) return code;
        here = !good || !lrb_node_is(at.kind);
        if (!here && (code = descend(reach, coder, &at, &here, err))) return code;
    }
    *blame = (lrb_blame){.chunk = at.id, .kind = at.kind, .placed = copies > 0, .pack = LRB_NO_PACK};
    if (copies) blame->pack = copy.place.pack;
    return LRB_OK;
}
