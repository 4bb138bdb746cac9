/* Which sections of a vector file are as they were. LightRAG's start moves low bits in every row of the matrix; the records and
 * the canonical rows stay, and so do their chunks. Keyed tags (codec/fingerprint.h) tell that for a fraction of what the
 * chunks' digests cost, and without a payload being decoded or inflated. */
#include <string.h>

#include "base/mem.h"
#include "engine/intake_section_private.h"

enum { RECORDS, ROWS, LEAST_BYTES_PER_ROW = 1024, ROWS_AT_FIRST = 1024 };

/* ---- what the file became before ---- */

void lrb_intake_forget(lrb_known_sections *known) {
    lrb_free(known->sizes);
    lrb_free(known->ends);
    lrb_free(known->rows);
    *known = (lrb_known_sections){.count = 0};
}

/* Rows of the recipe as they come: the corrections say how many records each section has, and the rows of those follow. */
typedef struct reading {
    lrb_known_sections *known;
    size_t sized, ended, count, room; /* sections whose size and whose end are known; rows */
    uint32_t left;                    /* records of the section at hand */
} reading;

static int take_data(reading *r, const lrb_row *row, bool *fits, lrb_err *err) {
    lrb_known_sections *known = r->known;
    *fits = r->sized == known->count && r->ended < known->count;
    if (!*fits) return LRB_OK;
    if (r->count == r->room) {
        size_t room = r->room ? 2 * r->room : ROWS_AT_FIRST;
        lrb_row *rows = lrb_resize_array(known->rows, room, sizeof *rows);
        if (!rows) return lrb_err_nomem(err, "read a recipe");
        known->rows = rows;
        r->room = room;
    }
    known->rows[r->count++] = *row;
    if (row->kind == LRB_CHUNK_TEXT) return LRB_OK;
    *fits = row->count <= r->left;
    r->left -= *fits ? row->count : 0;
    if (!r->left) {
        known->ends[r->ended++] = r->count;
        r->left = r->ended < known->count ? known->sizes[r->ended] : 0;
    }
    return LRB_OK;
}

static int take_row(reading *r, const lrb_row *row, bool *fits, lrb_err *err) {
    *fits = true;
    if (row->kind == LRB_CHUNK_FRAME) return LRB_OK;
    if (row->kind == LRB_CHUNK_TEXT || row->kind == LRB_CHUNK_VECTORS) return take_data(r, row, fits, err);
    *fits = row->kind == LRB_CHUNK_CORRECTIONS && r->sized < r->known->count && row->count;
    if (*fits) r->known->sizes[r->sized++] = row->count;
    r->left = r->known->sizes[0];
    return LRB_OK;
}

static int read_recipe(lrb_open_item *item, lrb_worker *worker, const lrb_row *root, lrb_known_sections *known, lrb_err *err) {
    lrb_intake *intake = item->intake;
    lrb_repo_reader reader = {intake->repo, worker->coder};
    reading r = {.known = known};
    lrb_recipe_walker *walker;
    bool done = false, fits = true;
    int code = lrb_recipe_walker_new(root, lrb_repo_fetch, &reader, &walker, err);
    if (code) return code;
    lrb_recipe_walker_limit(walker, lrb_source_at(intake->source, item->position)->identity.size_bytes / LEAST_BYTES_PER_ROW + LRB_NODE_MAX_ROWS);
    while (!code && fits) {
        lrb_row row;
        if ((code = lrb_recipe_walker_next(walker, false, &row, &done, err)) || done) break;
        code = take_row(&r, &row, &fits, err);
    }
    lrb_recipe_walker_free(walker);
    return code || (fits && r.ended == known->count) ? code : lrb_err_set(err, LRB_E_DAMAGED, "read", "recipe", "its sections are not those of the tags");
}

int lrb_intake_recall(lrb_open_item *item, lrb_worker *worker, lrb_err *err) {
    const lrb_intake *intake = item->intake;
    const lrb_item_note *note = &intake->notes[item->position];
    const lrb_section_tags *tags = &note->sections;
    if (!intake->tags_segments || !tags->sections || note->taken.root.kind == LRB_CHUNK_NONE) return LRB_OK;
    if (intake->compares_rows && !tags->clear) return LRB_OK; /* each row is to be looked at */
    lrb_known_sections *known = &item->vectors->known;
    *known = (lrb_known_sections){.tags = tags->tags, .count = tags->sections};
    known->sizes = lrb_alloc_zero(known->count, sizeof *known->sizes);
    known->ends = lrb_alloc_zero(known->count, sizeof *known->ends);
    int code = known->sizes && known->ends ? read_recipe(item, worker, &note->taken.root, known, err) : lrb_err_nomem(err, "read a recipe");
    if (!code) return LRB_OK;
    lrb_intake_forget(known);
    if (code == LRB_E_NOMEM) return code;
    lrb_err_clear(err); /* everything is encoded, then */
    return LRB_OK;
}

int lrb_intake_note_sections(const lrb_open_item *item, lrb_section_tags *out, lrb_err *err) {
    lrb_free(out->tags);
    *out = (lrb_section_tags){.sections = 0};
    if (!item->vectors || !item->intake->tags_segments) return LRB_OK;
    size_t count = lrb_vdb_section_count(item->vdb);
    lrb_tag *tags = lrb_alloc_zero(count, 2 * sizeof *tags);
    if (!tags) return lrb_err_nomem(err, "remember a vector file");
    for (size_t i = 0; i < count; i++) memcpy(tags + 2 * i, item->vectors->results[i].tags, 2 * sizeof *tags);
    *out = (lrb_section_tags){tags, count, item->intake->notes[item->position].rows.rows};
    return LRB_OK;
}

/* ---- one section ---- */

int lrb_section_begin_tag(lrb_section *s, lrb_err *err) {
    return s->scratch->tagger ? lrb_sealer_tag_begin(s->scratch->tagger, LRB_TAG_OF_ROWS, err) : LRB_OK;
}

int lrb_section_tag(lrb_section *s, const uint8_t *rows, size_t count, lrb_err *err) {
    return s->scratch->tagger ? lrb_sealer_tag_add(s->scratch->tagger, rows, 4 * (size_t)s->dim * count, err) : LRB_OK;
}

int lrb_section_end_tag(lrb_section *s, lrb_err *err) {
    return s->scratch->tagger ? lrb_sealer_tag_end(s->scratch->tagger, s->out->tags[ROWS].bytes, err) : LRB_OK;
}

/* The known section of the same records, wherever it was; the one at the same place is asked first. known->count: none. */
static size_t find(const lrb_known_sections *known, const lrb_section *s) {
    for (size_t i = 0; i < known->count; i++) {
        size_t at = (s->position + i) % known->count;
        if (!memcmp(&known->tags[2 * at + RECORDS], &s->out->tags[RECORDS], sizeof(lrb_tag))) return at;
    }
    return known->count;
}

/* Takes its rows, if every chunk is known. */
static int take_rows(lrb_section *s, const lrb_known_sections *known, size_t at, bool *taken, lrb_err *err) {
    size_t end = known->ends[at], count;
    int code = LRB_OK;
    *taken = true;
    for (size_t i = at ? known->ends[at - 1] : 0; !code && *taken && i < end; i += count) {
        count = end - i < LRB_RELY_MAX ? end - i : LRB_RELY_MAX;
        code = lrb_writer_rely_on(s->item->intake->writer, known->rows + i, count, taken, err);
        for (size_t k = 0; !code && *taken && k < count; k++) code = lrb_section_add_row(s, &known->rows[i + k], err);
    }
    return code;
}

/* The corrections, turned back and compared, and the tag of the rows, and nothing else of what encoding makes. */
static int canonise(lrb_section *s, uint32_t rows, lrb_err *err) {
    struct lrb_vector_scratch *scratch = s->scratch;
    const uint8_t *data = scratch->data.data;
    int code = lrb_section_begin_tag(s, err);
    for (uint32_t first = 0; !code && s->fits && first < rows;) {
        lrb_span p;
        lrb_section_next_span(s, first, rows, data, &p);
        code = lrb_section_read_rows(s, &p, err);
        if (code || !s->fits) return code;
        lrb_vdb_group all = {.count = (uint32_t)p.count, .dim = s->dim, .rows = p.rows};
        size_t corrections_before = scratch->corrections.length;
        code = lrb_vdb_group_canonical(&all, first, scratch->contents.data, scratch->again.data, &scratch->corrections, err);
        if (!code) code = lrb_section_tag(s, scratch->contents.data, p.count, err);
        if (!code) code = lrb_section_turn_back(s, &p, corrections_before, scratch->contents.data, &s->fits, err);
        first += (uint32_t)p.count;
        data += p.data_bytes;
    }
    return code ? code : lrb_section_end_tag(s, err);
}

int lrb_section_recall(lrb_section *s, const lrb_vdb_section *shape, bool *same, lrb_err *err) {
    const lrb_known_sections *known = &s->item->vectors->known;
    struct lrb_vector_scratch *scratch = s->scratch;
    uint8_t nothing[1];
    *same = false;
    if (!scratch->tagger) return LRB_OK;
    int code = lrb_sealer_seal(scratch->tagger, LRB_TAG_OF_RECORDS, scratch->data.data, shape->bytes, nothing, 0, s->out->tags[RECORDS].bytes, err);
    size_t at = code ? known->count : find(known, s);
    if (code || at == known->count || known->sizes[at] != shape->rows) return code;
    uint64_t sum = s->sum;
    if (!(code = take_rows(s, known, at, same, err)) && *same) code = canonise(s, shape->rows, err);
    if (code) return code;
    *same = *same && s->fits && !memcmp(&s->out->tags[ROWS], &known->tags[2 * at + ROWS], sizeof(lrb_tag));
    if (*same) {
        lrb_intake_take_rows(&s->seen, scratch->records, shape->rows, s->first_row, s->data_at);
    } else if (s->fits) { /* it is read again, and encoded */
        s->sum = sum;
        s->out->count = 0;
        lrb_buf_empty(&scratch->corrections);
    }
    return LRB_OK;
}
