/* Nodes and edges of the graph. Everything a node or an edge names but its vector is read before. */
#include "lightrag/validation_private.h"

#include "base/mem.h"

enum {
    FEED_BYTES = 256 << 10,
    NODE_HAS = LRB_GRAPH_ENTITY_ID | LRB_GRAPH_ENTITY_TYPE | LRB_GRAPH_DESCRIPTION | LRB_GRAPH_SOURCE_ID |
               LRB_GRAPH_FILE_PATH | LRB_GRAPH_CREATED_AT,
    EDGE_HAS = LRB_GRAPH_WEIGHT | LRB_GRAPH_DESCRIPTION | LRB_GRAPH_KEYWORDS | LRB_GRAPH_SOURCE_ID
};

typedef struct visit { /* one object on its way through the checks */
    lrb_validation *v;
    lrb_file *file;
    const lrb_graph_object *object;
    lrb_hash id;
    lrb_idset *set;
} visit;

/* The name of the object is in file->row_key. */
static int finding(const visit *at, lrb_check check, lrb_err *err) {
    return lrb_row_finding(at->v, at->file, check, err);
}

static int begin_visit(lrb_file *file, lrb_validation *v, const lrb_graph_object *object, visit *at, lrb_err *err) {
    *at = (visit){.v = v, .file = file, .object = object, .set = object->is_edge ? &v->relations : &v->entities};
    size_t length = strlen(object->id);
    int code;
    lrb_buf_empty(&file->row_key);
    if (object->is_edge)
        code = lrb_join_names(&file->row_key, object->id, length, object->target, strlen(object->target), err);
    else code = lrb_buf_append(&file->row_key, object->id, length, err);
    if (code) return code;
    at->id = lrb_hash_of_buf(v, &file->row_key);
    lrb_sources_empty(&file->sources);
    code = lrb_sources_split(&file->sources, &v->key, object->source_id, strlen(object->source_id), err);
    lrb_sources_settle(&file->sources);
    return code;
}

/* ---- the first reading ---- */

/* What the slot says of the object so far, and what the object adds to it. */
static int meet(const visit *at, uint32_t *before, lrb_err *err) {
    const lrb_graph_object *o = at->object;
    const lrb_source_list *sources = &at->file->sources;
    lrb_id_slot *slot = lrb_idset_hold(at->set, &at->id, true);
    if (!slot) return lrb_err_nomem(err, "remember a node or an edge");
    *before = slot->flags;
    slot->flags |= LRB_IN_GRAPH;
    if (o->type_unknown && o->description_unknown) slot->flags |= LRB_IS_PLACEHOLDER;
    if (slot->flags & LRB_SOURCES_SUMMED) slot->flags |= slot->words[1] == sources->sum_all ? 0 : LRB_SOURCES_DIFFER;
    else slot->words[1] = sources->sum_all;
    slot->flags |= LRB_SOURCES_SUMMED;
    if (slot->flags & LRB_IS_TRACKED && slot->words[0] != sources->sum) slot->flags |= LRB_TRACKS_OTHERS;
    lrb_idset_release(at->set, &at->id);
    return LRB_OK;
}

static int meet_endpoints(const visit *at, lrb_err *err) {
    const char *ends[] = {at->object->id, at->object->target};
    for (int i = 0; i < 2; i++) {
        lrb_hash id = lrb_hash_of(at->v, ends[i], strlen(ends[i]));
        int code = lrb_idset_mark(&at->v->entities, &id, LRB_IS_ENDPOINT, NULL, err);
        if (code) return code;
    }
    return LRB_OK;
}

static int judge_attributes(const visit *at, lrb_err *err) {
    const lrb_graph_object *o = at->object;
    int code = LRB_OK;
    unsigned needed = o->is_edge ? EDGE_HAS : NODE_HAS;
    if ((o->attributes & needed) != needed || (o->is_edge && !o->weight_is_number))
        code = finding(at, o->is_edge ? LRB_CHECK_EDGE_ATTRIBUTES : LRB_CHECK_NODE_ATTRIBUTES, err);
    if (!code && !(o->attributes & LRB_GRAPH_TRUNCATE)) code = finding(at, LRB_CHECK_NO_TRUNCATE, err);
    if (!code && o->is_edge && !strcmp(o->id, o->target)) code = finding(at, LRB_CHECK_SELF_LOOP, err);
    if (!code && o->is_edge && o->directed) code = finding(at, LRB_CHECK_GRAPH_DIRECTED, err);
    if (!code && !o->is_edge && o->attributes & LRB_GRAPH_ENTITY_ID && strcmp(o->id, o->entity_id))
        code = finding(at, LRB_CHECK_NODE_ID, err);
    return code;
}

/* A source that is not there: an error when it is written as chunks are, else the caller's own word for something. */
static int judge_missing_source(const visit *at, lrb_err *err) {
    const char *text = at->object->source_id, *id;
    size_t length = strlen(text), id_length;
    bool gone = false;
    while (lrb_source_next(&text, &length, &id, &id_length)) {
        lrb_hash chunk = lrb_hash_of(at->v, id, id_length);
        if (lrb_source_is_chunk(id, id_length) && lrb_source_claims_chunk(id, id_length) &&
            !(lrb_idset_flags(&at->v->chunks, &chunk) & LRB_CHUNK_HERE))
            gone = true;
    }
    return finding(at, gone ? LRB_CHECK_SOURCE_GONE : LRB_CHECK_SOURCE_FOREIGN, err);
}

/* Whether the document of a chunk lists the object, or need not. */
static bool is_anchored(const visit *at, const lrb_hash *document) {
    lrb_role role = at->object->is_edge ? LRB_ROLE_FULL_RELATIONS : LRB_ROLE_FULL_ENTITIES;
    uint32_t row = at->object->is_edge ? LRB_DOC_HAS_RELATIONS : LRB_DOC_HAS_ENTITIES;
    uint32_t flags = lrb_idset_flags(&at->v->documents, document);
    if (!lrb_was_read(at->v, role) || !(flags & LRB_DOC_PROCESSED) || !(flags & row)) return true;
    lrb_hash pair = lrb_hash_of_pair(at->v, document, &at->id);
    return lrb_idset_has(&at->v->anchors, &pair);
}

static int judge_sources(const visit *at, lrb_err *err) {
    bool missing = false, anchored = true;
    if (!lrb_was_read(at->v, LRB_ROLE_TEXT_CHUNKS)) return LRB_OK;
    for (size_t i = 0; i < at->file->sources.count; i++) {
        lrb_hash document = {0, 0};
        lrb_id_slot *slot = lrb_idset_hold(&at->v->chunks, &at->file->sources.at[i], false);
        bool here = slot && slot->flags & LRB_CHUNK_HERE;
        if (here) document = (lrb_hash){slot->words[0], slot->words[1]};
        if (slot) lrb_idset_release(&at->v->chunks, &at->file->sources.at[i]);
        missing |= !here;
        if (here && anchored) anchored = is_anchored(at, &document);
    }
    int code = missing ? judge_missing_source(at, err) : LRB_OK;
    return code || anchored ? code : finding(at, LRB_CHECK_UNANCHORED, err);
}

static int note_object(const visit *at, lrb_err *err) {
    bool edge = at->object->is_edge;
    uint32_t before = 0;
    lrb_role tracking = edge ? LRB_ROLE_RELATION_CHUNKS : LRB_ROLE_ENTITY_CHUNKS;
    size_t *most = &at->v->most_sources[edge];
    if (at->file->sources.count > *most) *most = at->file->sources.count;
    lrb_report_count(&at->v->report, edge ? LRB_AMOUNT_EDGES : LRB_AMOUNT_NODES, 1);
    int code = meet(at, &before, err);
    if (!code && before & LRB_IN_GRAPH) code = finding(at, edge ? LRB_CHECK_EDGE_TWICE : LRB_CHECK_NODE_TWICE, err);
    if (!code && edge) code = meet_endpoints(at, err);
    if (!code) code = judge_attributes(at, err);
    if (!code) code = judge_sources(at, err);
    if (!code && !(before & LRB_IS_TRACKED) && at->file->sources.count && lrb_was_read(at->v, tracking) &&
        at->v->files[tracking].row)
        code = finding(at, LRB_CHECK_TRACKING_ABSENT, err);
    return code;
}

/* ---- the second look ---- */

/* The tracking row names other sources than the object. It has to name at least those; and it may name more when the
 * graph's list was cut at LightRAG's cap. `truncate` says so in most cases. Else the cap, which is configured, shows in
 * the lists themselves: none is longer. A custom graph replaces what the graph says of an object that was there and writes
 * no tracking. A chunk that is gone may be left in the graph alone, when its document was deleted after a merge. */
static int compare_tracking(const visit *at, lrb_err *err) {
    bool lacks = false, custom = false;
    for (size_t i = 0; i < at->file->sources.count && !lacks; i++) {
        const lrb_hash *source = &at->file->sources.at[i];
        lrb_hash pair = lrb_hash_of_pair(at->v, &at->id, source);
        if (lrb_idset_has(&at->v->pairs, &pair)) continue;
        uint32_t flags = lrb_idset_flags(&at->v->chunks, source);
        if (!(flags & LRB_CHUNK_HERE) && lrb_was_read(at->v, LRB_ROLE_TEXT_CHUNKS)) continue; /* source_gone tells */
        if (flags & LRB_CHUNK_IS_CUSTOM) custom = true;
        else lacks = true;
    }
    lrb_id_slot *slot = lrb_idset_hold(at->set, &at->id, false);
    slot->flags &= ~(uint32_t)(LRB_TRACKS_OTHERS | LRB_TRACKS_LOADED);
    lrb_idset_release(at->set, &at->id);
    if (lacks || custom) return finding(at, lacks ? LRB_CHECK_TRACKING_LACKS : LRB_CHECK_TRACKING_CUSTOM, err);
    bool cut = at->object->truncated || at->file->sources.count >= at->v->most_sources[at->object->is_edge];
    return cut ? LRB_OK : finding(at, LRB_CHECK_TRACKING_DIFFERS, err);
}

static int name_endpoint(const visit *at, lrb_err *err) {
    const char *ends[] = {at->object->id, at->object->target};
    for (int i = 0; i < 2; i++) {
        lrb_hash id = lrb_hash_of(at->v, ends[i], strlen(ends[i]));
        if (!(lrb_idset_flags(&at->v->entities, &id) & LRB_IN_GRAPH)) return finding(at, LRB_CHECK_EDGE_ENDPOINT, err);
    }
    return LRB_OK;
}

static int name_missing_vector(const visit *at, uint32_t flags, lrb_err *err) {
    bool edge = at->object->is_edge;
    if (!lrb_vectors_read(at->v, edge ? LRB_OF_RELATIONS : LRB_OF_ENTITIES)) return LRB_OK;
    if (flags & LRB_SOURCES_DIFFER) return finding(at, edge ? LRB_CHECK_EDGE_SOURCES : LRB_CHECK_NODE_SOURCES, err);
    if (flags & LRB_IN_VECTORS) return LRB_OK;
    if (edge) return finding(at, LRB_CHECK_EDGE_NO_VECTOR, err);
    return finding(at, flags & LRB_IS_PLACEHOLDER ? LRB_CHECK_PLACEHOLDER : LRB_CHECK_NODE_NO_VECTOR, err);
}

static int name_object(const visit *at, lrb_err *err) {
    uint32_t flags = lrb_idset_flags(at->set, &at->id);
    int code = LRB_OK;
    if (!at->v->round) {
        code = name_missing_vector(at, flags, err);
        if (!code && at->object->is_edge) code = name_endpoint(at, err);
    }
    return !code && flags & LRB_TRACKS_LOADED ? compare_tracking(at, err) : code;
}

/* ---- reading ---- */

static int take_object(void *arg, const lrb_graph_object *object, lrb_err *err) {
    lrb_file *file = arg;
    visit at;
    int code = begin_visit(file, file->validation, object, &at, err);
    if (code) return code;
    return file->looking ? name_object(&at, err) : note_object(&at, err);
}

int lrb_read_graph(lrb_validation *v, lrb_file *file, void *thread, bool *over, lrb_err *err) {
    int code = LRB_OK;
    *over = false;
    file->validation = v;
    if (!file->graphml) {
        file->at = 0;
        code = lrb_graphml_new(take_object, file, &file->graphml, err);
    }
    size_t room = file->bytes.length < FEED_BYTES ? (size_t)file->bytes.length : FEED_BYTES;
    uint8_t *bytes = code ? NULL : lrb_alloc(room);
    if (!code && !bytes) code = lrb_err_nomem(err, "read GraphML");
    for (size_t taken = 0; !code && !*over && taken < LRB_STEP_BYTES;) {
        size_t got;
        code = file->bytes.read(&file->bytes, thread, file->at, bytes, room, &got, err);
        if (!code && got) code = lrb_graphml_feed(file->graphml, bytes, got, err);
        if (code) break;
        file->at += got;
        taken += got;
        *over = file->at == file->bytes.length || got < room;
    }
    lrb_free(bytes);
    if (!code && *over) code = lrb_graphml_finish(file->graphml, &v->graph_directed, err);
    if (!code && *over && v->graph_directed && !file->looking)
        code = lrb_report_addf(&v->report, LRB_CHECK_GRAPH_DIRECTED, err, "%s", file->name);
    return code;
}
