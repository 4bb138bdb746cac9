#include "lightrag/vdb.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "lightrag/cut.h"

enum {
    KEY_BYTES = 11,      /* of both keys */
    COLON_AT = 8,        /* in both keys */
    OPENING_BYTES = 64,  /* embedding_dim stands within */
    ID_WITHIN = 256,     /* the beginning of a text, where its id is looked for */
    ID_MAX_BYTES = 128
};

static const char vector_key[] = "\"vector\": \"", matrix_key[] = "\"matrix\": \"", id_key[] = "\"__id__\": \"",
                  dim_key[] = "\"embedding_dim\": ";

typedef enum place { IN_TEXT, IN_PAYLOAD, IN_MATRIX, IN_END, NOT_RECOGNISED } place;

struct lrb_vdb {
    uint64_t seed;
    place place;
    uint32_t dim; /* 0: the opening was not read yet */
    uint64_t rows, payload_bytes, matrix_bytes;
    lrb_vdb_section *sections;
    size_t section_count, section_room;
    lrb_vdb_section open; /* the section the next record goes into */
    lrb_buf text;         /* the text at hand; in the end the middle */
    lrb_buf end;
};

int lrb_vdb_new(uint64_t seed, lrb_vdb **out, lrb_err *err) {
    lrb_vdb *vdb = lrb_alloc_zero(1, sizeof *vdb);
    if (!vdb) return lrb_err_nomem(err, "look at a vector file");
    vdb->seed = seed;
    lrb_buf_init(&vdb->text, LRB_VDB_MAX_TEXT_BYTES + KEY_BYTES);
    lrb_buf_init(&vdb->end, LRB_VDB_MAX_END_BYTES);
    *out = vdb;
    return LRB_OK;
}

void lrb_vdb_free(lrb_vdb *vdb) {
    if (!vdb) return;
    lrb_buf_clear(&vdb->text);
    lrb_buf_clear(&vdb->end);
    lrb_free(vdb->sections);
    lrb_free(vdb);
}

uint64_t lrb_vdb_base64_bytes(uint64_t bytes) {
    return (bytes + 2) / 3 * 4;
}

/* ---- texts ---- */

/* The end of the first of the two keys in bytes[from..count), or 0. */
static size_t find_key(const uint8_t *bytes, size_t from, size_t count, bool *matrix) {
    for (size_t at = from + COLON_AT; at < count; at++) {
        const uint8_t *colon = memchr(bytes + at, ':', count - at);
        if (!colon) return 0;
        at = (size_t)(colon - bytes);
        if (count - at < KEY_BYTES - COLON_AT) return 0;
        const uint8_t *key = colon - COLON_AT;
        *matrix = !memcmp(key, matrix_key, KEY_BYTES);
        if (*matrix || !memcmp(key, vector_key, KEY_BYTES)) return at + KEY_BYTES - COLON_AT;
    }
    return 0;
}

static uint64_t hash_text(const uint8_t *text, size_t count, uint64_t seed) {
    size_t within = count < ID_WITHIN ? count : ID_WITHIN;
    const uint8_t *id = memmem(text, within, id_key, sizeof id_key - 1);
    if (!id) return lrb_cut_hash(text, within < ID_MAX_BYTES ? within : ID_MAX_BYTES, seed);
    id += sizeof id_key - 1;
    size_t left = count - (size_t)(id - text), length = left < ID_MAX_BYTES ? left : ID_MAX_BYTES;
    const uint8_t *quote = memchr(id, '"', length);
    return lrb_cut_hash(id, quote ? (size_t)(quote - id) : length, seed);
}

static bool is_space(uint8_t c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The file's opening: {"embedding_dim": N. Returns N, 0 for anything else; the same however much of the file is there. */
static uint32_t read_dim(const uint8_t *text, size_t count) {
    uint32_t dim = 0;
    if (count > OPENING_BYTES) count = OPENING_BYTES;
    size_t at = 1, length = sizeof dim_key - 1;
    if (!count || text[0] != '{') return 0;
    while (at < count && is_space(text[at])) at++;
    if (count - at <= length || memcmp(text + at, dim_key, length) != 0) return 0;
    for (at += length; at < count && text[at] >= '0' && text[at] <= '9' && dim <= LRB_VDB_MAX_DIM; at++)
        dim = 10 * dim + (text[at] - '0');
    return at < count && text[at] == ',' && dim <= LRB_VDB_MAX_DIM ? dim : 0;
}

bool lrb_vdb_likely(const uint8_t *bytes, size_t count) {
    return read_dim(bytes, count) > 0;
}

/* ---- sections ---- */

static int close_section(lrb_vdb *vdb, lrb_err *err) {
    if (!vdb->open.rows) return LRB_OK;
    if (vdb->section_count == vdb->section_room) {
        size_t room = vdb->section_room ? 2 * vdb->section_room : 64;
        lrb_vdb_section *sections = lrb_resize_array(vdb->sections, room, sizeof *sections);
        if (!sections) return lrb_err_nomem(err, "look at a vector file");
        vdb->sections = sections;
        vdb->section_room = room;
    }
    vdb->sections[vdb->section_count++] = vdb->open;
    vdb->open = (lrb_vdb_section){0, 0};
    return LRB_OK;
}

/* One more record, text and payload complete. A chance proportional to its size makes sections of equal size on average,
 * whatever the dimension, without looking at any other record. */
static int add_record(lrb_vdb *vdb, lrb_err *err) {
    uint64_t bytes = vdb->text.length + vdb->payload_bytes, size = bytes + lrb_vdb_base64_bytes(4 * (uint64_t)vdb->dim);
    uint64_t hash = hash_text(vdb->text.data, vdb->text.length, vdb->seed);
    int code = LRB_OK;
    if (vdb->open.bytes + bytes > LRB_VDB_SECTION_MAX_BYTES || vdb->open.rows == LRB_VDB_SECTION_MAX_ROWS)
        code = close_section(vdb, err);
    if (code) return code;
    vdb->open.bytes += (uint32_t)bytes;
    vdb->open.rows++;
    vdb->rows++;
    /* The low bits: the high ones decide where groups end. */
    bool ends = (hash & (LRB_VDB_SECTION_BYTES - 1)) < size;
    return ends ? close_section(vdb, err) : LRB_OK;
}

/* ---- the stream ---- */

static void give_up(lrb_vdb *vdb) {
    vdb->place = NOT_RECOGNISED;
    lrb_buf_clear(&vdb->text);
    lrb_buf_clear(&vdb->end);
    lrb_free(vdb->sections);
    vdb->sections = NULL;
    vdb->section_count = vdb->section_room = 0;
}

/* Appends to the text what of `bytes` belongs to it; *key: it is complete, and which key ended it. A key may begin in
 * the bytes of the call before. */
static int take_text(lrb_vdb *vdb, const uint8_t *bytes, size_t count, size_t *taken, bool *key, bool *matrix, lrb_err *err) {
    lrb_buf *text = &vdb->text;
    size_t before = text->length, seam = count < KEY_BYTES - 1 ? count : KEY_BYTES - 1;
    int code = lrb_buf_append(text, bytes, seam, err);
    if (code) return code;
    size_t ends = find_key(text->data, before < KEY_BYTES - 1 ? 0 : before - (KEY_BYTES - 1), text->length, matrix);
    *key = ends > 0;
    if (*key) {
        *taken = ends - before;
        text->length = ends;
        return LRB_OK;
    }
    ends = find_key(bytes, 0, count, matrix);
    *key = ends > 0;
    *taken = *key ? ends : count;
    if (before + *taken > LRB_VDB_MAX_TEXT_BYTES) { /* decided before it is copied */
        give_up(vdb);
        return LRB_OK;
    }
    return lrb_buf_append(text, bytes + seam, *taken - seam, err);
}

static int feed_text(lrb_vdb *vdb, const uint8_t *bytes, size_t count, size_t *taken, lrb_err *err) {
    bool key, matrix;
    int code = take_text(vdb, bytes, count, taken, &key, &matrix, err);
    if (code || vdb->place == NOT_RECOGNISED) return code;
    if (!vdb->dim && (key || vdb->text.length >= OPENING_BYTES) && !(vdb->dim = read_dim(vdb->text.data, vdb->text.length)))
        give_up(vdb);
    if (!key || vdb->place == NOT_RECOGNISED) return LRB_OK;
    vdb->payload_bytes = vdb->matrix_bytes = 0;
    vdb->place = matrix ? IN_MATRIX : IN_PAYLOAD;
    if (matrix && vdb->text.length > LRB_VDB_MAX_MIDDLE_BYTES) give_up(vdb);
    return LRB_OK;
}

/* A payload that is no base64 of a deflated row of float16 is cheap to refuse by its length. */
static int feed_payload(lrb_vdb *vdb, const uint8_t *bytes, size_t count, size_t *taken, lrb_err *err) {
    const uint8_t *quote = memchr(bytes, '"', count);
    *taken = quote ? (size_t)(quote - bytes) : count;
    vdb->payload_bytes += *taken;
    if (vdb->payload_bytes > lrb_vdb_max_payload(vdb->dim)) give_up(vdb);
    else if (quote && (!vdb->payload_bytes || vdb->payload_bytes % 4)) give_up(vdb);
    if (!quote || vdb->place == NOT_RECOGNISED) return LRB_OK;
    int code = add_record(vdb, err);
    lrb_buf_empty(&vdb->text);
    vdb->place = IN_TEXT;
    return code;
}

static void feed_matrix(lrb_vdb *vdb, const uint8_t *bytes, size_t count, size_t *taken) {
    const uint8_t *quote = memchr(bytes, '"', count);
    *taken = quote ? (size_t)(quote - bytes) : count;
    vdb->matrix_bytes += *taken;
    if (quote) vdb->place = IN_END;
}

static int feed_end(lrb_vdb *vdb, const uint8_t *bytes, size_t count, size_t *taken, lrb_err *err) {
    *taken = count;
    if (vdb->end.length + count <= LRB_VDB_MAX_END_BYTES) return lrb_buf_append(&vdb->end, bytes, count, err);
    give_up(vdb);
    return LRB_OK;
}

int lrb_vdb_feed(lrb_vdb *vdb, const uint8_t *bytes, size_t count, lrb_err *err) {
    int code = LRB_OK;
    while (!code && count && vdb->place != NOT_RECOGNISED) {
        size_t taken = 0;
        switch (vdb->place) {
        case IN_TEXT: code = feed_text(vdb, bytes, count, &taken, err); break;
        case IN_PAYLOAD: code = feed_payload(vdb, bytes, count, &taken, err); break;
        case IN_MATRIX: feed_matrix(vdb, bytes, count, &taken); break;
        default: code = feed_end(vdb, bytes, count, &taken, err); break;
        }
        bytes += taken;
        count -= taken;
    }
    return code;
}

bool lrb_vdb_hopeful(const lrb_vdb *vdb) {
    return vdb->place != NOT_RECOGNISED;
}

int lrb_vdb_finish(lrb_vdb *vdb, bool *recognised, lrb_err *err) {
    *recognised = vdb->place == IN_END && vdb->rows && vdb->rows <= UINT32_MAX &&
                  vdb->matrix_bytes == lrb_vdb_base64_bytes(vdb->rows * vdb->dim * 4);
    int code = *recognised ? close_section(vdb, err) : LRB_OK;
    /* Ids can be made so that every record ends a section; such a file is not worth it. */
    if (vdb->section_count > lrb_vdb_max_sections(lrb_vdb_matrix_at(vdb) + vdb->matrix_bytes)) *recognised = false;
    return code;
}

/* ---- what was recognised ---- */

uint32_t lrb_vdb_dim(const lrb_vdb *vdb) {
    return vdb->dim;
}

uint64_t lrb_vdb_rows(const lrb_vdb *vdb) {
    return vdb->rows;
}

size_t lrb_vdb_section_count(const lrb_vdb *vdb) {
    return vdb->section_count;
}

const lrb_vdb_section *lrb_vdb_section_at(const lrb_vdb *vdb, size_t position) {
    return &vdb->sections[position];
}

uint64_t lrb_vdb_matrix_at(const lrb_vdb *vdb) {
    uint64_t at = vdb->text.length;
    for (size_t i = 0; i < vdb->section_count; i++) at += vdb->sections[i].bytes;
    return at;
}

const uint8_t *lrb_vdb_middle(const lrb_vdb *vdb, size_t *count) {
    *count = vdb->text.length;
    return vdb->text.data;
}

const uint8_t *lrb_vdb_end(const lrb_vdb *vdb, size_t *count) {
    *count = vdb->end.length;
    return vdb->end.data;
}

bool lrb_vdb_split(const uint8_t *bytes, size_t count, uint64_t seed, lrb_vdb_record *records, size_t rows) {
    size_t at = 0, row = 0;
    for (; row < rows; row++) {
        bool matrix;
        size_t text = find_key(bytes + at, 0, count - at, &matrix);
        if (!text || matrix) return false;
        const uint8_t *payload = bytes + at + text;
        const uint8_t *quote = memchr(payload, '"', count - at - text);
        if (!quote && row + 1 < rows) return false; /* the last one ends with the section, before its quote */
        size_t length = quote ? (size_t)(quote - payload) : count - at - text;
        records[row] = (lrb_vdb_record){(uint32_t)text, (uint32_t)length, hash_text(bytes + at, text, seed)};
        at += text + length;
    }
    return at == count;
}
