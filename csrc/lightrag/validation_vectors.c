/* Records of vectors, in NanoVectorDB's files and in Faiss metadata: what they say of themselves and whom they belong to. */
#include "lightrag/validation_private.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/path.h"

enum { BEFORE_ALL, IN_FILE, IN_DATA, IN_MATRIX, BEHIND_ALL };
enum { CONTENT_KEPT_BYTES = 8 << 10 };

static bool is_faiss(lrb_role role) {
    return role >= LRB_ROLE_RELATION_META;
}

static lrb_vector_kind kind_of(lrb_role role) {
    return (lrb_vector_kind)((role - LRB_ROLE_RELATION_VECTORS) % LRB_VECTOR_KINDS);
}

/* ---- where the vectors lie ---- */

void lrb_vector_file_clear(lrb_vector_file *vectors) {
    for (size_t i = 0; i < vectors->block_count; i++) lrb_free(vectors->blocks[i]);
    lrb_free(vectors->blocks);
    for (int i = 0; i < LRB_ROW_FLAWS; i++) lrb_free(vectors->wrong[i]);
    memset(vectors, 0, sizeof *vectors);
}

static int add_block(lrb_vector_file *vectors, lrb_err *err) {
    if (vectors->block_count == vectors->block_room) {
        size_t room = vectors->block_room ? vectors->block_room * 2 : 16;
        uint64_t **blocks = lrb_resize_array(vectors->blocks, room, sizeof *blocks);
        if (!blocks) return lrb_err_nomem(err, "remember records");
        vectors->blocks = blocks;
        vectors->block_room = room;
    }
    uint64_t *block = lrb_alloc_zero(LRB_PLACES_PER_BLOCK, sizeof *block);
    if (!block) return lrb_err_nomem(err, "remember records");
    vectors->blocks[vectors->block_count++] = block;
    return LRB_OK;
}

/* ---- one record ---- */

enum { HAS_ID = 1, HAS_NAME = 2, HAS_TARGET = 4, HAS_CONTENT = 8, HAS_DOCUMENT = 16, HAS_TIME = 32, HAS_PATH = 64, HAS_EXTRA = 128 };

typedef struct record {
    unsigned has;
    bool vector_escaped;
    uint64_t vector_offset, vector_length;
} record;

static int add_place(lrb_vector_file *vectors, const record *r, lrb_err *err) {
    uint64_t at = vectors->rows++;
    if (at % LRB_PLACES_PER_BLOCK == 0) {
        int code = add_block(vectors, err);
        if (code) return code;
    }
    if (!r->vector_length) vectors->without_vector++;
    /* A vector that is longer than any keeps a length that does not decode. */
    uint64_t length = r->vector_length < LRB_PLACE_MAX_LENGTH ? r->vector_length : LRB_PLACE_MAX_LENGTH;
    vectors->blocks[at / LRB_PLACES_PER_BLOCK][at % LRB_PLACES_PER_BLOCK] =
        length ? r->vector_offset << LRB_PLACE_LENGTH_BITS | length | (r->vector_escaped ? LRB_PLACE_ESCAPED : 0) : 0;
    return LRB_OK;
}

/* Passes the string and remembers where it is. The length is that of the text, which escapes in the file are longer than. */
static int take_vector(lrb_file *file, const lrb_json_value *value, record *r, lrb_err *err) {
    bool done = false;
    if (value->kind != LRB_JSON_STRING) return lrb_json_skip(file->json, value, err);
    r->vector_offset = value->offset;
    while (!done) {
        const char *at;
        size_t length;
        int code = lrb_json_piece(file->json, &at, &length, &done, err);
        if (code) return code;
        r->vector_length += length;
    }
    r->vector_escaped = lrb_json_offset(file->json) - r->vector_offset != r->vector_length + 1;
    return LRB_OK;
}

static int take_content(lrb_file *file, const lrb_json_value *value, record *r, lrb_err *err) {
    int code = lrb_take_text(file, value, &file->content, CONTENT_KEPT_BYTES, err);
    if (value->kind == LRB_JSON_STRING) r->has |= HAS_CONTENT;
    return code;
}

static int take_sources(lrb_validation *v, lrb_file *file, const lrb_json_value *value, lrb_err *err) {
    lrb_json_text text;
    lrb_sources_empty(&file->sources);
    if (value->kind != LRB_JSON_STRING) return lrb_json_skip(file->json, value, err);
    int code = lrb_json_text_of(file->json, SIZE_MAX, &text, err);
    if (!code) code = lrb_sources_split(&file->sources, &v->key, text.at, text.length, err);
    lrb_sources_settle(&file->sources);
    return code;
}

static int take_name(lrb_file *file, const lrb_json_value *value, lrb_buf *into, unsigned bit, record *r, lrb_err *err) {
    if (value->kind == LRB_JSON_STRING) r->has |= bit;
    return lrb_take_text(file, value, into, SIZE_MAX, err);
}

static int take_member(lrb_validation *v, lrb_file *file, const lrb_json_value *value, record *r, lrb_err *err) {
    lrb_vector_kind kind = kind_of(file->role);
    if (lrb_json_key_is(value, "__id__")) {
        if (value->kind == LRB_JSON_STRING) r->has |= HAS_ID;
        return lrb_take_text(file, value, &file->id, LRB_ID_KEPT_BYTES, err);
    }
    if (lrb_json_key_is(value, "vector")) return take_vector(file, value, r, err);
    if (lrb_json_key_is(value, "content")) return take_content(file, value, r, err);
    if (kind == LRB_OF_ENTITIES && lrb_json_key_is(value, "entity_name")) return take_name(file, value, &file->name_1, HAS_NAME, r, err);
    if (kind == LRB_OF_RELATIONS && lrb_json_key_is(value, "src_id")) return take_name(file, value, &file->name_1, HAS_NAME, r, err);
    if (kind == LRB_OF_RELATIONS && lrb_json_key_is(value, "tgt_id")) return take_name(file, value, &file->name_2, HAS_TARGET, r, err);
    if (kind == LRB_OF_CHUNKS && lrb_json_key_is(value, "full_doc_id")) return take_name(file, value, &file->name_1, HAS_DOCUMENT, r, err);
    if (lrb_json_key_is(value, "source_id")) return take_sources(v, file, value, err);
    if (lrb_json_key_is(value, "__created_at__")) r->has |= HAS_TIME;
    else if (lrb_json_key_is(value, "file_path")) r->has |= HAS_PATH;
    else if (!lrb_json_key_is(value, "__write_seq__")) r->has |= HAS_EXTRA;
    return lrb_json_skip(file->json, value, err);
}

static int read_record(lrb_validation *v, lrb_file *file, record *r, lrb_err *err) {
    lrb_json_value value;
    *r = (record){.has = 0};
    file->row_key_count = 0;
    lrb_buf *buffers[] = {&file->id, &file->name_1, &file->name_2, &file->content};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) lrb_buf_empty(buffers[i]);
    lrb_sources_empty(&file->sources);
    for (;;) {
        int code = lrb_row_member(v, file, &value, err);
        if (code || value.kind == LRB_JSON_OBJECT_END) return code;
        if ((code = take_member(v, file, &value, r, err))) return code;
    }
}

/* ---- judging it ---- */

static int finding(lrb_validation *v, const lrb_file *file, lrb_check check, lrb_err *err) {
    if (file->id.length) return lrb_report_add(&v->report, check, (const char *)file->id.data, file->id.length, err);
    return lrb_report_addf(&v->report, check, err, "%s record %llu", file->name, (unsigned long long)file->row);
}

static bool same(const lrb_buf *one, const lrb_buf *other, size_t count) {
    return !count || !memcmp(one->data, other->data, count);
}

static int judge_entity(lrb_validation *v, lrb_file *file, const record *r, lrb_err *err) {
    bool right;
    int code = lrb_is_md5_id(file, &file->id, "ent-", &file->name_1, NULL, &right, err);
    if (!code && !right) code = finding(v, file, LRB_CHECK_ENTITY_ID, err);
    if (code || !(r->has & HAS_CONTENT)) return code;
    /* The name, a line break, the description; cut where the embedding's limit is. */
    size_t kept = file->content.length, name = file->name_1.length;
    bool begins = same(&file->content, &file->name_1, kept < name ? kept : name);
    if (begins && kept > name && r->vector_length) begins = file->content.data[name] == '\n'; /* not in the oldest releases */
    return begins ? LRB_OK : finding(v, file, LRB_CHECK_ENTITY_CONTENT, err);
}

static int judge_relation(lrb_validation *v, lrb_file *file, lrb_err *err) {
    bool forth, back = false;
    int code = lrb_is_md5_id(file, &file->id, "rel-", &file->name_1, &file->name_2, &forth, err);
    if (!code && !forth) code = lrb_is_md5_id(file, &file->id, "rel-", &file->name_2, &file->name_1, &back, err);
    if (code) return code;
    if (!forth && !back) return finding(v, file, LRB_CHECK_RELATION_ID, err);
    bool in_order = lrb_name_compare((const char *)file->name_1.data, file->name_1.length, (const char *)file->name_2.data,
                                     file->name_2.length) <= 0;
    return forth && in_order ? LRB_OK : finding(v, file, LRB_CHECK_RELATION_REVERSED, err);
}

static bool is_complete(lrb_vector_kind kind, const record *r) {
    static const unsigned needed[] = {[LRB_OF_RELATIONS] = HAS_ID | HAS_NAME | HAS_TARGET | HAS_CONTENT,
                                      [LRB_OF_ENTITIES] = HAS_ID | HAS_NAME | HAS_CONTENT,
                                      [LRB_OF_CHUNKS] = HAS_ID | HAS_CONTENT};
    return (r->has & needed[kind]) == needed[kind];
}

/* LightRAG finds a record without these, too, and cites a chunk as one of an unknown source. Files of nodes and edges it
 * reads from the graph: what it writes when two are merged names none. */
static bool tells_origin(lrb_vector_kind kind, const record *r) {
    unsigned needed = HAS_TIME | (kind == LRB_OF_CHUNKS ? HAS_PATH | HAS_DOCUMENT : 0);
    return (r->has & needed) == needed;
}

/* Whom the record belongs to: a node, an edge or a chunk. */
static int owner_of(lrb_validation *v, lrb_file *file, lrb_idset **set, lrb_hash *owner, lrb_err *err) {
    int code = LRB_OK;
    switch (kind_of(file->role)) {
    case LRB_OF_ENTITIES:
        *set = &v->entities;
        *owner = lrb_hash_of_buf(v, &file->name_1);
        break;
    case LRB_OF_RELATIONS:
        *set = &v->relations;
        code = lrb_join_names(&file->row_key, (const char *)file->name_1.data, file->name_1.length,
                              (const char *)file->name_2.data, file->name_2.length, err);
        *owner = lrb_hash_of_buf(v, &file->row_key);
        break;
    default:
        *set = &v->chunks;
        *owner = lrb_hash_of_buf(v, &file->id);
    }
    return code;
}

static int meet_object(lrb_validation *v, const lrb_file *file, lrb_idset *set, const lrb_hash *owner, lrb_err *err) {
    (void)v;
    lrb_id_slot *slot = lrb_idset_hold(set, owner, true);
    if (!slot) return lrb_err_nomem(err, "remember a vector");
    bool first = !(slot->flags & LRB_IN_VECTORS);
    slot->flags |= LRB_IN_VECTORS;
    if (first && slot->flags & LRB_SOURCES_SUMMED) slot->flags |= slot->words[1] == file->sources.sum_all ? 0 : LRB_SOURCES_DIFFER;
    else if (first) slot->words[1] = file->sources.sum_all;
    slot->flags |= LRB_SOURCES_SUMMED;
    lrb_idset_release(set, owner);
    return LRB_OK;
}

static int meet_chunk(lrb_validation *v, const lrb_file *file, const lrb_hash *owner, lrb_err *err) {
    uint32_t before;
    int code = lrb_idset_mark(&v->chunks, owner, LRB_CHUNK_HAS_VECTOR, &before, err);
    if (code || before & LRB_CHUNK_HERE || !lrb_was_read(v, LRB_ROLE_TEXT_CHUNKS)) return code;
    lrb_hash document = lrb_hash_of_buf(v, &file->name_1);
    return finding(v, file, lrb_is_unfinished(v, &document) ? LRB_CHECK_CHUNK_UNFINISHED : LRB_CHECK_VECTOR_NO_CHUNK, err);
}

static int note_record(lrb_validation *v, lrb_file *file, const record *r, lrb_err *err) {
    static const lrb_amount amounts[] = {LRB_AMOUNT_RELATION_VECTORS, LRB_AMOUNT_ENTITY_VECTORS, LRB_AMOUNT_CHUNK_VECTORS};
    lrb_vector_kind kind = kind_of(file->role);
    bool twice = false;
    lrb_idset *set;
    lrb_hash owner, id = lrb_hash_of_buf(v, &file->id);
    lrb_report_count(&v->report, amounts[kind], 1);
    int code = is_complete(kind, r) ? LRB_OK : finding(v, file, LRB_CHECK_RECORD_FIELDS, err);
    if (!code && !tells_origin(kind, r)) code = finding(v, file, LRB_CHECK_RECORD_ORIGIN, err);
    if (!code && r->has & HAS_EXTRA) code = finding(v, file, LRB_CHECK_RECORD_EXTRA, err);
    if (!code && r->has & HAS_ID) code = lrb_idset_join(&v->record_ids[kind], &id, &twice, err);
    if (!code && twice) code = finding(v, file, LRB_CHECK_RECORD_TWICE, err);
    if (!code && kind == LRB_OF_ENTITIES && r->has & HAS_NAME) code = judge_entity(v, file, r, err);
    if (!code && kind == LRB_OF_RELATIONS && r->has & HAS_NAME) code = judge_relation(v, file, err);
    if (!code) code = owner_of(v, file, &set, &owner, err);
    if (code) return code;
    return kind == LRB_OF_CHUNKS ? meet_chunk(v, file, &owner, err) : meet_object(v, file, set, &owner, err);
}

static int name_record(lrb_validation *v, lrb_file *file, lrb_err *err) {
    lrb_idset *set;
    lrb_hash owner;
    int code = lrb_name_wrong_row(v, file, err);
    if (code || kind_of(file->role) == LRB_OF_CHUNKS || !lrb_was_read(v, LRB_ROLE_GRAPH)) return code;
    if ((code = owner_of(v, file, &set, &owner, err))) return code;
    if (lrb_idset_flags(set, &owner) & LRB_IN_GRAPH) return LRB_OK;
    if (!lrb_object_is_lost(v, set, &owner, &file->sources)) return finding(v, file, LRB_CHECK_VECTOR_ORPHAN, err);
    const lrb_buf *name = set == &v->entities ? &file->name_1 : &file->row_key;
    lrb_check check = set == &v->entities ? LRB_CHECK_NODE_GONE : LRB_CHECK_EDGE_GONE;
    return lrb_report_add(&v->report, check, (const char *)name->data, name->length, err);
}

/* A row of Faiss metadata is called after the number of its row in the index. In whatever order they stand, every number
 * from 0 on is there once when nothing is left of this difference. */
static void meet_id(lrb_validation *v, lrb_file *file) {
    char number[24];
    size_t length = (size_t)snprintf(number, sizeof number, "%llu", (unsigned long long)file->row);
    if (lrb_text_is(&file->row_key, number)) return;
    file->ids_off += lrb_hash_of_buf(v, &file->row_key).low - lrb_hash_of(v, number, length).low;
}

int lrb_row_record(lrb_validation *v, lrb_file *file, lrb_err *err) {
    record r;
    if (is_faiss(file->role) && !file->looking) meet_id(v, file);
    int code = read_record(v, file, &r, err);
    if (code) return code;
    if (file->looking) return name_record(v, file, err);
    if (!(code = note_record(v, file, &r, err)) && !is_faiss(file->role))
        code = add_place(&file->vectors, &r, err);
    return code;
}

/* ---- the file around the records ---- */

static int take_matrix(lrb_file *file, lrb_err *err) {
    lrb_vector_file *vectors = &file->vectors;
    const char *at;
    size_t length;
    bool done;
    int code = lrb_json_piece(file->json, &at, &length, &done, err);
    vectors->matrix_chars += length;
    if (!code && done) {
        vectors->matrix_plain = lrb_json_offset(file->json) - vectors->matrix_offset == vectors->matrix_chars + 1;
        file->place = IN_FILE;
    }
    return code;
}

static int begin_matrix(lrb_file *file, const lrb_json_value *value, lrb_err *err) {
    lrb_vector_file *vectors = &file->vectors;
    if (vectors->has_matrix) return lrb_err_set(err, LRB_E_INVALID, "parse", "", "it has two matrices");
    if (value->kind != LRB_JSON_STRING) return lrb_err_set(err, LRB_E_INVALID, "parse", "", "its matrix is no text");
    vectors->has_matrix = true;
    vectors->matrix_offset = value->offset;
    vectors->matrix_chars = 0;
    vectors->compared = lrb_rows_were_seen(vectors);
    file->place = IN_MATRIX;
    if (!vectors->compared) return LRB_OK;
    /* Whoever compared its rows decoded it, so that it is plain base64 up to the quote, which is read. */
    vectors->matrix_chars = lrb_matrix_chars(vectors);
    lrb_json_reopen(file->json, vectors->matrix_offset + vectors->matrix_chars);
    return LRB_OK;
}

static int begin_data(lrb_file *file, const lrb_json_value *value, lrb_err *err) {
    if (file->vectors.has_data && !file->looking) return lrb_err_set(err, LRB_E_INVALID, "parse", "", "it has two lists of records");
    if (value->kind != LRB_JSON_ARRAY) return lrb_err_set(err, LRB_E_INVALID, "parse", "", "its records are no list");
    file->vectors.has_data = true;
    file->row = 0;
    file->place = IN_DATA;
    return LRB_OK;
}

static int take_top(lrb_file *file, const lrb_json_value *value, lrb_err *err) {
    if (value->kind == LRB_JSON_OBJECT_END) {
        file->place = BEHIND_ALL;
        return LRB_OK;
    }
    if (lrb_json_key_is(value, "data")) return begin_data(file, value, err);
    if (!file->looking && lrb_json_key_is(value, "matrix")) return begin_matrix(file, value, err);
    if (lrb_json_key_is(value, "embedding_dim") && (!lrb_json_integer(value, &file->vectors.dim) || file->vectors.dim < 1 ||
                                                    file->vectors.dim > LRB_MAX_DIM))
        return lrb_err_set(err, LRB_E_INVALID, "parse", "", "its embedding_dim is no number from 1 to %d", LRB_MAX_DIM);
    return lrb_json_skip(file->json, value, err);
}

static int take_row(lrb_validation *v, lrb_file *file, const lrb_json_value *value, lrb_err *err) {
    if (value->kind == LRB_JSON_ARRAY_END) {
        file->place = file->looking ? BEHIND_ALL : IN_FILE;
        return LRB_OK;
    }
    if (value->kind != LRB_JSON_OBJECT) return lrb_err_set(err, LRB_E_INVALID, "parse", "", "one of its records is no object");
    int code = lrb_row_record(v, file, err);
    file->row++;
    return code;
}

static int begin(lrb_file *file, void *thread, lrb_err *err) {
    lrb_json_value value;
    if (file->json) {
        lrb_json_thread(file->json, thread);
        return LRB_OK;
    }
    file->place = IN_FILE;
    file->row = 0;
    int code = lrb_json_new(&file->bytes, thread, &file->json, err);
    if (!code) code = lrb_json_next(file->json, &value, err);
    if (!code && value.kind != LRB_JSON_OBJECT)
        code = lrb_err_set(err, LRB_E_INVALID, "parse", "", "it holds something else than one object");
    return code;
}

static int one_part(lrb_validation *v, lrb_file *file, bool *over, lrb_err *err) {
    lrb_json_value value;
    if (file->place == IN_MATRIX) return take_matrix(file, err);
    if (file->place == BEHIND_ALL && file->looking) {
        *over = true;
        return LRB_OK;
    }
    int code = lrb_json_next(file->json, &value, err);
    if (code) return code;
    if (file->place == IN_DATA) return take_row(v, file, &value, err);
    if (file->place == IN_FILE) return take_top(file, &value, err);
    *over = true; /* next refuses anything but the end here */
    return LRB_OK;
}

int lrb_read_vector_file(lrb_validation *v, lrb_file *file, void *thread, bool *over, lrb_err *err) {
    int code = begin(file, thread, err);
    *over = false;
    uint64_t until = code ? 0 : lrb_json_offset(file->json) + LRB_STEP_BYTES;
    while (!code && !*over && lrb_json_offset(file->json) < until) code = one_part(v, file, over, err);
    return code || !*over || file->looking ? code : lrb_judge_matrix(v, file, err);
}
