/* What later releases record of the configuration beside the workspaces: the embedding space adopted for each kind of
 * vectors, the identity of the store, and the anchor that names it. */
#include "lightrag/validation_private.h"

#include <stdio.h>

enum { WORD_BYTES = 64 };
static const char IDENTITY[] = "_lightrag_server/storage_identity";

/* Which kind of vectors a row is about, for this workspace; LRB_VECTOR_KINDS for any other row. */
static lrb_vector_kind kind_named(const lrb_validation *v, const lrb_buf *key) {
    static const char *const names[] = {"relationships", "entities", "chunks"};
    char wanted[512];
    for (int i = 0; i < LRB_VECTOR_KINDS; i++) {
        int length = snprintf(wanted, sizeof wanted, "%s/embedding/%s", v->workspace, names[i]);
        if (length >= 0 && (size_t)length == key->length && !memcmp(wanted, key->data, key->length)) return (lrb_vector_kind)i;
    }
    return LRB_VECTOR_KINDS;
}

static bool is_identity(const lrb_buf *key) {
    return key->length == sizeof IDENTITY - 1 && !memcmp(key->data, IDENTITY, key->length);
}

/* The row's "value": {"dim": 1024} or {"uuid": "..."}. */
static int take_value(lrb_file *file, const lrb_json_value *value, int64_t *dim, lrb_err *err) {
    lrb_json_value inner;
    if (value->kind != LRB_JSON_OBJECT) return lrb_json_skip(file->json, value, err);
    for (;;) {
        int code = lrb_json_next(file->json, &inner, err);
        if (code || inner.kind == LRB_JSON_OBJECT_END) return code;
        if (lrb_json_key_is(&inner, "dim")) (void)lrb_json_integer(&inner, dim);
        if (lrb_json_key_is(&inner, "uuid")) code = lrb_take_text(file, &inner, &file->name_2, WORD_BYTES, err);
        else code = lrb_json_skip(file->json, &inner, err);
        if (code) return code;
    }
}

int lrb_row_config(lrb_validation *v, lrb_file *file, lrb_err *err) {
    lrb_json_value value;
    int64_t dim = 0;
    lrb_buf_empty(&file->name_2);
    for (;;) {
        int code = lrb_row_member(v, file, &value, err);
        if (code) return code;
        if (value.kind == LRB_JSON_OBJECT_END) break;
        code = lrb_json_key_is(&value, "value") ? take_value(file, &value, &dim, err) : lrb_json_skip(file->json, &value, err);
        if (code) return code;
    }
    lrb_vector_kind kind = kind_named(v, &file->row_key);
    if (kind < LRB_VECTOR_KINDS) v->recorded_dims[kind] = dim;
    if (!is_identity(&file->row_key)) return LRB_OK;
    v->has_identity = true;
    v->identity = lrb_hash_of_buf(v, &file->name_2);
    return LRB_OK;
}

/* The anchor is one small object: {"backend": "JsonKVStorage", "storage_uuid": "..."}. */
int lrb_read_anchor(lrb_validation *v, lrb_file *file, void *thread, bool *over, lrb_err *err) {
    lrb_json_value value;
    int code = lrb_json_new(&file->bytes, thread, &file->json, err);
    if (!code) code = lrb_json_next(file->json, &value, err);
    if (!code && value.kind != LRB_JSON_OBJECT)
        code = lrb_err_set(err, LRB_E_INVALID, "parse", "", "it holds something else than one object");
    while (!code) {
        if ((code = lrb_json_next(file->json, &value, err)) || value.kind == LRB_JSON_OBJECT_END) break;
        if (lrb_json_key_is(&value, "backend")) code = lrb_take_text(file, &value, &file->name_1, WORD_BYTES, err);
        else if (lrb_json_key_is(&value, "storage_uuid")) code = lrb_take_text(file, &value, &file->name_2, WORD_BYTES, err);
        else code = lrb_json_skip(file->json, &value, err);
    }
    if (!code) code = lrb_json_next(file->json, &value, err);
    *over = true;
    if (code) return code;
    static const char here[] = "JsonKVStorage";
    if (file->name_1.length != sizeof here - 1 || memcmp(file->name_1.data, here, sizeof here - 1)) return LRB_OK;
    lrb_hash named = lrb_hash_of_buf(v, &file->name_2);
    bool known = v->has_identity && v->identity.low == named.low && v->identity.high == named.high;
    return known ? LRB_OK : lrb_report_addf(&v->report, LRB_CHECK_ANCHOR_DIFFERS, err, "%s", file->name);
}
