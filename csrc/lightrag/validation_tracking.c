/* entity_chunks and relation_chunks (which chunks an object comes from, completely), full_entities and full_relations
 * (which objects a document contributed, its anchors). */
#include "lightrag/validation_private.h"

static lrb_idset *objects_of(lrb_validation *v, lrb_role role) {
    return role == LRB_ROLE_ENTITY_CHUNKS || role == LRB_ROLE_FULL_ENTITIES ? &v->entities : &v->relations;
}

/* ---- tracking rows ---- */

static int note_tracking(lrb_validation *v, lrb_file *file, const lrb_hash *object, bool count_is_right, lrb_err *err) {
    lrb_idset *objects = objects_of(v, file->role);
    lrb_id_slot *slot = lrb_idset_hold(objects, object, true);
    if (!slot) return lrb_err_nomem(err, "remember a tracking row");
    bool twice = slot->flags & LRB_IS_TRACKED;
    slot->flags |= LRB_IS_TRACKED;
    slot->words[0] = file->sources.sum;
    lrb_idset_release(objects, object);
    int code = twice ? lrb_file_broken(v, file, "has a row twice", err) : LRB_OK;
    return code || count_is_right ? code : lrb_row_finding(v, file, LRB_CHECK_TRACKING_COUNT, err);
}

/* Loads what is to be compared with the graph one by one, as much as one round has room for. */
static int load_tracking(lrb_validation *v, lrb_file *file, const lrb_hash *object, lrb_err *err) {
    lrb_idset *objects = objects_of(v, file->role);
    if (atomic_load(&v->pairs_loaded) >= LRB_ROUND_PAIRS) return LRB_OK;
    atomic_fetch_add(&v->pairs_loaded, file->sources.count);
    for (size_t i = 0; i < file->sources.count; i++) {
        bool was;
        lrb_hash pair = lrb_hash_of_pair(v, object, &file->sources.at[i]);
        int code = lrb_idset_join(&v->pairs, &pair, &was, err);
        if (code) return code;
    }
    return lrb_idset_mark(objects, object, LRB_TRACKS_LOADED, NULL, err);
}

static int name_tracking(lrb_validation *v, lrb_file *file, const lrb_hash *object, lrb_err *err) {
    uint32_t flags = lrb_idset_flags(objects_of(v, file->role), object);
    if (!(flags & LRB_IN_GRAPH) && lrb_was_read(v, LRB_ROLE_GRAPH) && !v->round)
        return lrb_object_is_lost(v, objects_of(v, file->role), object, &file->sources) /* its vector says so */
                   ? LRB_OK
                   : lrb_row_finding(v, file, LRB_CHECK_TRACKING_ORPHAN, err);
    return flags & LRB_TRACKS_OTHERS ? load_tracking(v, file, object, err) : LRB_OK;
}

/* LightRAG takes a row without a list for no row at all (has_chunk_tracking_row). */
int lrb_row_tracking(lrb_validation *v, lrb_file *file, lrb_err *err) {
    lrb_json_value value;
    bool is_list = false, has_count = false;
    uint64_t items = 0;
    int64_t count = 0;
    for (;;) {
        int code = lrb_row_member(v, file, &value, err);
        if (code) return code;
        if (value.kind == LRB_JSON_OBJECT_END) break;
        if (lrb_json_key_is(&value, "chunk_ids")) code = lrb_take_ids(v, file, &value, &is_list, &items, err);
        else if (lrb_json_key_is(&value, "count") && value.kind == LRB_JSON_NUMBER) has_count = lrb_json_integer(&value, &count);
        else code = lrb_json_skip(file->json, &value, err);
        if (code) return code;
    }
    if (!is_list) return LRB_OK;
    lrb_hash object = lrb_hash_of_buf(v, &file->row_key);
    return file->looking ? name_tracking(v, file, &object, err)
                         : note_tracking(v, file, &object, has_count && (uint64_t)count == items, err);
}

/* ---- anchors ---- */

static int anchor(lrb_validation *v, lrb_file *file, const lrb_hash *document, const lrb_hash *object, lrb_err *err) {
    bool was;
    lrb_idset *objects = objects_of(v, file->role);
    if (file->looking)
        return lrb_idset_flags(objects, object) & LRB_IN_GRAPH
                   ? LRB_OK
                   : lrb_report_add(&v->report, LRB_CHECK_ANCHOR_EXTRA, (const char *)file->name_1.data, file->name_1.length, err);
    lrb_hash pair = lrb_hash_of_pair(v, document, object);
    int code = lrb_idset_join(&v->anchors, &pair, &was, err);
    return code ? code : lrb_idset_mark(objects, object, LRB_IS_ANCHORED, NULL, err);
}

static int entity_anchor(lrb_validation *v, lrb_file *file, const lrb_hash *document, const lrb_json_value *value,
                         lrb_err *err) {
    int code = lrb_take_text(file, value, &file->name_1, SIZE_MAX, err);
    lrb_hash object = lrb_hash_of_buf(v, &file->name_1);
    return code || value->kind != LRB_JSON_STRING ? code : anchor(v, file, document, &object, err);
}

/* A pair of names: ["a", "b"]. */
static int relation_anchor(lrb_validation *v, lrb_file *file, const lrb_hash *document, const lrb_json_value *value,
                           lrb_err *err) {
    lrb_json_value inner;
    int names = 0, code = LRB_OK;
    if (value->kind != LRB_JSON_ARRAY) return lrb_json_skip(file->json, value, err);
    for (;;) {
        if ((code = lrb_json_next(file->json, &inner, err)) || inner.kind == LRB_JSON_ARRAY_END) break;
        code = lrb_take_text(file, &inner, names ? &file->name_2 : &file->id, SIZE_MAX, err);
        names++;
        if (code) return code;
    }
    if (code || names != 2) return code;
    code = lrb_join_names(&file->name_1, (const char *)file->id.data, file->id.length, (const char *)file->name_2.data,
                          file->name_2.length, err);
    lrb_hash object = lrb_hash_of_buf(v, &file->name_1);
    return code ? code : anchor(v, file, document, &object, err);
}

typedef int (*take_anchor)(lrb_validation *v, lrb_file *file, const lrb_hash *document, const lrb_json_value *value,
                           lrb_err *err);

static int take_anchors(lrb_validation *v, lrb_file *file, const char *list, take_anchor take, uint32_t flag, lrb_err *err) {
    lrb_json_value value, item;
    lrb_hash document = lrb_hash_of_buf(v, &file->row_key);
    int code = file->looking ? LRB_OK : lrb_idset_mark(&v->documents, &document, flag, NULL, err);
    while (!code) {
        if ((code = lrb_row_member(v, file, &value, err)) || value.kind == LRB_JSON_OBJECT_END) return code;
        if (!lrb_json_key_is(&value, list) || value.kind != LRB_JSON_ARRAY) {
            code = lrb_json_skip(file->json, &value, err);
            continue;
        }
        while (!(code = lrb_json_next(file->json, &item, err)) && item.kind != LRB_JSON_ARRAY_END)
            if ((code = take(v, file, &document, &item, err))) break;
    }
    return code;
}

int lrb_row_full_entities(lrb_validation *v, lrb_file *file, lrb_err *err) {
    return take_anchors(v, file, "entity_names", entity_anchor, LRB_DOC_HAS_ENTITIES, err);
}

int lrb_row_full_relations(lrb_validation *v, lrb_file *file, lrb_err *err) {
    return take_anchors(v, file, "relation_pairs", relation_anchor, LRB_DOC_HAS_RELATIONS, err);
}
