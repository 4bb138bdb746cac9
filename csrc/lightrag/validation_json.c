#include "lightrag/validation_private.h"

#include "codec/digest.h"

enum { BEFORE_ROWS, IN_ROWS, BEHIND_ROWS };

static const lrb_read_row ROWS[LRB_ROLE_COUNT] = {
    [LRB_ROLE_LLM_CACHE] = lrb_row_llm_cache,
    [LRB_ROLE_DOC_STATUS] = lrb_row_doc_status,
    [LRB_ROLE_FULL_DOCS] = lrb_row_full_docs,
    [LRB_ROLE_FULL_ENTITIES] = lrb_row_full_entities,
    [LRB_ROLE_FULL_RELATIONS] = lrb_row_full_relations,
    [LRB_ROLE_ENTITY_CHUNKS] = lrb_row_tracking,
    [LRB_ROLE_RELATION_CHUNKS] = lrb_row_tracking,
    [LRB_ROLE_TEXT_CHUNKS] = lrb_row_text_chunks,
    [LRB_ROLE_RELATION_META] = lrb_row_record,
    [LRB_ROLE_ENTITY_META] = lrb_row_record,
    [LRB_ROLE_CHUNK_META] = lrb_row_record,
    [LRB_ROLE_CONFIG] = lrb_row_config,
    [LRB_ROLE_OTHER] = lrb_row_ignored,
};

/* A store is an object of objects. What is none is passed over, with a finding: LightRAG reads the file and stumbles
 * over the row. */
static int read_row(lrb_validation *v, lrb_file *file, const lrb_json_value *value, lrb_err *err) {
    lrb_buf_empty(&file->row_key);
    file->row_key_count = 0;
    int code = lrb_buf_append(&file->row_key, value->key, value->key_length, err);
    if (code) return code;
    if (value->kind == LRB_JSON_OBJECT) return ROWS[file->role](v, file, err);
    if (file->role == LRB_ROLE_LLM_CACHE || file->role == LRB_ROLE_OTHER || file->looking)
        return lrb_json_skip(file->json, value, err); /* the flat layout of older caches has strings */
    code = lrb_file_broken(v, file, "has a row that is no object", err);
    return code ? code : lrb_json_skip(file->json, value, err);
}

static int begin(lrb_file *file, void *thread, lrb_err *err) {
    lrb_json_value value;
    if (file->json) {
        lrb_json_thread(file->json, thread);
        return LRB_OK;
    }
    file->row = 0;
    file->place = IN_ROWS;
    int code = lrb_json_new(&file->bytes, thread, &file->json, err);
    if (!code) code = lrb_json_next(file->json, &value, err);
    if (!code && value.kind != LRB_JSON_OBJECT)
        code = lrb_err_set(err, LRB_E_INVALID, "parse", "", "it holds something else than one object");
    return code;
}

int lrb_read_store(lrb_validation *v, lrb_file *file, void *thread, bool *over, lrb_err *err) {
    lrb_json_value value;
    int code = begin(file, thread, err);
    *over = false;
    uint64_t until = code ? 0 : lrb_json_offset(file->json) + LRB_STEP_BYTES;
    while (!code && !*over && lrb_json_offset(file->json) < until) {
        code = lrb_json_next(file->json, &value, err);
        if (code) break;
        if (file->place == BEHIND_ROWS) *over = true; /* next refuses anything but the end here */
        else if (value.kind == LRB_JSON_OBJECT_END) file->place = BEHIND_ROWS;
        else {
            code = read_row(v, file, &value, err);
            file->row++;
        }
    }
    return code;
}

int lrb_row_ignored(lrb_validation *v, lrb_file *file, lrb_err *err) {
    lrb_json_value inner = {.kind = LRB_JSON_NULL};
    int code = LRB_OK;
    while (!code && inner.kind != LRB_JSON_OBJECT_END) {
        code = lrb_row_member(v, file, &inner, err);
        if (!code && inner.kind != LRB_JSON_OBJECT_END) code = lrb_json_skip(file->json, &inner, err);
    }
    return code;
}

/* ---- members ---- */

int lrb_row_member(lrb_validation *v, lrb_file *file, lrb_json_value *value, lrb_err *err) {
    int code = lrb_json_next(file->json, value, err);
    if (code || file->looking || value->kind == LRB_JSON_OBJECT_END) return code;
    uint64_t key = lrb_hash_of(v, value->key, value->key_length).low;
    for (unsigned i = 0; i < file->row_key_count; i++)
        if (file->row_keys[i] == key)
            return lrb_report_addf(&v->report, LRB_CHECK_KEY_TWICE, err, "%s row %llu: %s", file->name,
                                   (unsigned long long)file->row, value->key);
    if (file->row_key_count < LRB_ROW_KEYS) file->row_keys[file->row_key_count++] = key;
    return LRB_OK;
}

int lrb_take_text(lrb_file *file, const lrb_json_value *value, lrb_buf *into, size_t most, lrb_err *err) {
    lrb_json_text text;
    lrb_buf_empty(into);
    if (value->kind != LRB_JSON_STRING) return lrb_json_skip(file->json, value, err);
    int code = lrb_json_text_of(file->json, most, &text, err);
    return code ? code : lrb_buf_append(into, text.at, text.length, err);
}

int lrb_take_ids(lrb_validation *v, lrb_file *file, const lrb_json_value *value, bool *is_list, uint64_t *items,
                 lrb_err *err) {
    lrb_json_value item = {.kind = LRB_JSON_NULL};
    lrb_json_text text;
    int code = LRB_OK;
    *is_list = value->kind == LRB_JSON_ARRAY;
    *items = 0;
    lrb_sources_empty(&file->sources);
    if (!*is_list) return lrb_json_skip(file->json, value, err);
    for (;;) {
        if ((code = lrb_json_next(file->json, &item, err)) || item.kind == LRB_JSON_ARRAY_END) break;
        ++*items;
        if (item.kind != LRB_JSON_STRING) code = lrb_json_skip(file->json, &item, err);
        else if (!(code = lrb_json_text_of(file->json, SIZE_MAX, &text, err)))
            code = lrb_sources_add(&file->sources, &v->key, text.at, text.length, err);
        if (code) break;
    }
    lrb_sources_settle(&file->sources);
    return code;
}

static int begin_md5(lrb_file *file, lrb_err *err) {
    int code = file->md5 ? LRB_OK : lrb_md5_new(&file->md5, err);
    return code ? code : lrb_md5_begin(file->md5, err);
}

int lrb_take_md5(lrb_file *file, const lrb_json_value *value, char hex[33], lrb_err *err) {
    uint8_t digest[LRB_MD5_BYTES];
    bool done = false;
    hex[0] = '\0';
    if (value->kind != LRB_JSON_STRING) return lrb_json_skip(file->json, value, err);
    int code = begin_md5(file, err);
    while (!code && !done) {
        const char *at;
        size_t length;
        code = lrb_json_piece(file->json, &at, &length, &done, err);
        if (!code && length) code = lrb_md5_update(file->md5, at, length, err);
    }
    if (!code) code = lrb_md5_finish(file->md5, digest, err);
    if (!code) lrb_hex(digest, sizeof digest, hex);
    return code;
}

int lrb_is_md5_id(lrb_file *file, const lrb_buf *id, const char *prefix, const lrb_buf *one, const lrb_buf *two, bool *is,
                  lrb_err *err) {
    uint8_t digest[LRB_MD5_BYTES];
    char hex[2 * LRB_MD5_BYTES + 1];
    size_t front = strlen(prefix);
    *is = false;
    int code = begin_md5(file, err);
    if (!code && one->length) code = lrb_md5_update(file->md5, one->data, one->length, err);
    if (!code && two && two->length) code = lrb_md5_update(file->md5, two->data, two->length, err);
    if (!code) code = lrb_md5_finish(file->md5, digest, err);
    if (code) return code;
    lrb_hex(digest, sizeof digest, hex);
    *is = id->length == front + 2 * LRB_MD5_BYTES && !memcmp(id->data, prefix, front) &&
          !memcmp(id->data + front, hex, 2 * LRB_MD5_BYTES);
    return LRB_OK;
}
