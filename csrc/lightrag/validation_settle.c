/* What can be said once everything is read: which files are missing, which contradict each other as a whole, and in
 * which of them something has to be looked for by name. */
#include "lightrag/validation_private.h"

static uint64_t amount(const lrb_validation *v, lrb_amount of) {
    return v->report.amounts[of];
}

static bool is_absent(const lrb_validation *v, lrb_role role) {
    return v->files[role].state == LRB_FILE_ABSENT;
}

/* ---- missing files ---- */

static const char *why_missing(const lrb_validation *v, lrb_role role) {
    return v->files[role].is_link ? ": it is a symbolic link, which is not followed; put the file itself there" : "";
}

static int missing(lrb_validation *v, lrb_check check, lrb_role role, lrb_err *err) {
    return lrb_report_addf(&v->report, check, err, "%s%s", lrb_role_name(role), why_missing(v, role));
}

static int missing_vectors(lrb_validation *v, lrb_vector_kind kind, bool needed, lrb_err *err) {
    const lrb_role nano = LRB_ROLE_RELATION_VECTORS + kind, index = LRB_ROLE_RELATION_INDEX + kind, meta = LRB_ROLE_RELATION_META + kind;
    if (!needed || !is_absent(v, index) || !is_absent(v, meta) || !is_absent(v, nano)) return LRB_OK;
    lrb_role role = v->files[index].is_link ? index : v->files[meta].is_link ? meta : nano;
    return missing(v, v->files[role].is_link ? LRB_CHECK_VECTORS_LINKED : LRB_CHECK_VECTORS_MISSING, role, err);
}

/* A store that nobody has written to yet has no file: one is missing when the others show that it had something. */
static int judge_missing(lrb_validation *v, lrb_err *err) {
    uint64_t nodes = amount(v, LRB_AMOUNT_NODES), edges = amount(v, LRB_AMOUNT_EDGES), chunks = amount(v, LRB_AMOUNT_CHUNKS);
    bool graph = amount(v, LRB_AMOUNT_ENTITY_VECTORS) || amount(v, LRB_AMOUNT_RELATION_VECTORS) ||
                 v->files[LRB_ROLE_ENTITY_CHUNKS].row || v->files[LRB_ROLE_RELATION_CHUNKS].row;
    bool texts = nodes || amount(v, LRB_AMOUNT_CHUNK_VECTORS) || v->listed_processed;
    int code = LRB_OK;
    if (is_absent(v, LRB_ROLE_GRAPH) && graph) code = missing(v, LRB_CHECK_FILE_MISSING, LRB_ROLE_GRAPH, err);
    if (!code && is_absent(v, LRB_ROLE_TEXT_CHUNKS) && texts) code = missing(v, LRB_CHECK_FILE_MISSING, LRB_ROLE_TEXT_CHUNKS, err);
    if (!code && is_absent(v, LRB_ROLE_FULL_DOCS) && amount(v, LRB_AMOUNT_PROCESSED))
        code = missing(v, LRB_CHECK_FILE_MISSING, LRB_ROLE_FULL_DOCS, err);
    if (!code && is_absent(v, LRB_ROLE_DOC_STATUS) && v->files[LRB_ROLE_FULL_DOCS].row)
        code = missing(v, LRB_CHECK_FILE_MISSING, LRB_ROLE_DOC_STATUS, err);
    if (!code) code = missing_vectors(v, LRB_OF_ENTITIES, v->needs_entity_vectors, err);
    if (!code) code = missing_vectors(v, LRB_OF_RELATIONS, edges, err);
    return code ? code : missing_vectors(v, LRB_OF_CHUNKS, chunks, err);
}

static bool is_emptied_status(const lrb_validation *v) {
    bool none = lrb_was_read(v, LRB_ROLE_DOC_STATUS) && !amount(v, LRB_AMOUNT_DOCUMENTS);
    return none && lrb_was_read(v, LRB_ROLE_FULL_DOCS) && v->files[LRB_ROLE_FULL_DOCS].row; /* which nobody reads again */
}

/* A store without a row whose neighbours show that it had some: a worker that began with nothing in memory wrote it. LightRAG itself
 * deletes on both sides. */
static int judge_emptied(lrb_validation *v, lrb_err *err) {
    uint64_t vectors = amount(v, LRB_AMOUNT_ENTITY_VECTORS);
    int code = LRB_OK;
    if (v->files[LRB_ROLE_GRAPH].state == LRB_FILE_READ && !amount(v, LRB_AMOUNT_NODES) && vectors)
        code = lrb_report_addf(&v->report, LRB_CHECK_GRAPH_EMPTIED, err, "graph_chunk_entity_relation.graphml: 0 nodes, %llu vectors of nodes",
                               (unsigned long long)vectors);
    if (!code && is_emptied_status(v))
        code = lrb_report_addf(&v->report, LRB_CHECK_STATUS_EMPTIED, err, "kv_store_doc_status.json: 0 documents, %llu texts",
                               (unsigned long long)v->files[LRB_ROLE_FULL_DOCS].row);
    return code;
}

/* ---- what is lost though others name it ---- */

/* LightRAG deletes the chunks of a document before its anchors, and its status last. Only anchors, or ids made from the
 * document's, tell it from the custom chunks of releases before 1.5, which wrote no status. */
bool lrb_status_is_lost(const lrb_validation *v, uint32_t flags) {
    const uint32_t owned = LRB_DOC_NAMES_CHUNKS | LRB_DOC_HAS_ENTITIES | LRB_DOC_HAS_RELATIONS;
    return !(flags & LRB_DOC_KNOWN) && flags & LRB_DOC_HAS_CHUNKS && flags & owned && !is_emptied_status(v);
}

bool lrb_object_is_lost(lrb_validation *v, lrb_idset *objects, const lrb_hash *object, const lrb_source_list *sources) {
    const uint32_t witnesses = LRB_IN_VECTORS | LRB_IS_TRACKED | LRB_IS_ANCHORED;
    uint32_t flags = lrb_idset_flags(objects, object);
    if (flags & LRB_IN_GRAPH || (flags & witnesses) != witnesses || !amount(v, LRB_AMOUNT_NODES)) return false;
    for (size_t i = 0; i < sources->count; i++) {
        lrb_hash document;
        lrb_id_slot *slot = lrb_idset_hold(&v->chunks, &sources->at[i], false);
        if (!slot) continue;
        document = (lrb_hash){slot->words[0], slot->words[1]};
        lrb_idset_release(&v->chunks, &sources->at[i]);
        lrb_hash pair = lrb_hash_of_pair(v, &document, object);
        if (lrb_idset_flags(&v->documents, &document) & LRB_DOC_PROCESSED && lrb_idset_has(&v->anchors, &pair)) return true;
    }
    return false;
}

/* ---- dimensions ---- */

static int64_t dim_of(const lrb_validation *v, lrb_vector_kind kind) {
    const lrb_file *nano = &v->files[LRB_ROLE_RELATION_VECTORS + kind], *faiss = &v->files[LRB_ROLE_RELATION_INDEX + kind];
    return nano->state == LRB_FILE_READ ? nano->vectors.dim : faiss->state == LRB_FILE_READ ? faiss->index_dim : 0;
}

static int judge_dims(lrb_validation *v, lrb_err *err) {
    static const char *const names[] = {"relationships", "entities", "chunks"};
    int64_t first = 0;
    int code = LRB_OK;
    for (int kind = 0; !code && kind < LRB_VECTOR_KINDS; kind++) {
        int64_t dim = dim_of(v, (lrb_vector_kind)kind), configured = v->options.embedding_dim;
        if (!dim) continue;
        if (!first) first = dim;
        if (dim != first) code = lrb_report_addf(&v->report, LRB_CHECK_DIM_DIFFERS, err, "%s: %lld, not %lld", names[kind], (long long)dim, (long long)first);
        if (!code && configured && dim != configured)
            code = lrb_report_addf(&v->report, LRB_CHECK_DIM_UNWANTED, err, "%s: %lld, not %lld", names[kind], (long long)dim, (long long)configured);
        if (!code && v->recorded_dims[kind] && v->recorded_dims[kind] != dim)
            code = lrb_report_addf(&v->report, LRB_CHECK_CONFIG_DIM, err, "%s: %lld, not %lld", names[kind], (long long)v->recorded_dims[kind], (long long)dim);
    }
    v->report.amounts[LRB_AMOUNT_EMBEDDING_DIM] = (uint64_t)first;
    return code;
}

/* ---- Faiss pairs ---- */

static int without_half(lrb_validation *v, const lrb_file *here, lrb_role gone, lrb_err *err) {
    return lrb_report_addf(&v->report, LRB_CHECK_FAISS_TORN, err, "%s without its other half%s", here->name, why_missing(v, gone));
}

static int judge_faiss_pair(lrb_validation *v, const lrb_file *index, const lrb_file *meta, lrb_err *err) {
    if (!v->options.partial && is_absent(v, index->role) != is_absent(v, meta->role))
        return is_absent(v, meta->role) ? without_half(v, index, meta->role, err) : without_half(v, meta, index->role, err);
    if (index->state != LRB_FILE_READ || meta->state != LRB_FILE_READ) return LRB_OK;
    if (index->index_rows != meta->row)
        return lrb_report_addf(&v->report, LRB_CHECK_FAISS_TORN, err, "%s: %llu rows, %llu in its metadata", index->name,
                               (unsigned long long)index->index_rows, (unsigned long long)meta->row);
    if (!meta->ids_off) return LRB_OK; /* LightRAG takes no row of a number the index does not have, and of equal ones the last */
    return lrb_report_addf(&v->report, LRB_CHECK_FAISS_TORN, err, "%s: its rows are not 0 to %llu, as those of the index", meta->name,
                           (unsigned long long)meta->row - 1);
}

static int judge_faiss(lrb_validation *v, lrb_err *err) {
    int code = LRB_OK;
    for (int kind = 0; !code && kind < LRB_VECTOR_KINDS; kind++)
        code = judge_faiss_pair(v, &v->files[LRB_ROLE_RELATION_INDEX + kind], &v->files[LRB_ROLE_RELATION_META + kind], err);
    return code;
}

/* ---- what to look at again ---- */

static void want(lrb_validation *v, lrb_role role) {
    if (v->files[role].state == LRB_FILE_READ) v->files[role].wanted = true;
}

static void want_vectors(lrb_validation *v, lrb_vector_kind kind) {
    want(v, LRB_ROLE_RELATION_VECTORS + kind);
    want(v, LRB_ROLE_RELATION_META + kind);
}

static void look_for_object(lrb_validation *v, const lrb_id_slot *slot, lrb_vector_kind kind, lrb_role tracking, lrb_role anchors) {
    bool in_graph = slot->flags & LRB_IN_GRAPH, in_vectors = slot->flags & LRB_IN_VECTORS;
    bool graph_read = lrb_was_read(v, LRB_ROLE_GRAPH);
    if (in_graph && lrb_vectors_read(v, kind) && (!in_vectors || slot->flags & LRB_SOURCES_DIFFER)) want(v, LRB_ROLE_GRAPH);
    if (in_graph && !in_vectors && !(slot->flags & LRB_IS_PLACEHOLDER) && kind == LRB_OF_ENTITIES) v->needs_entity_vectors = true;
    if (graph_read && !in_graph) {
        if (in_vectors) want_vectors(v, kind);
        if (slot->flags & LRB_IS_TRACKED) want(v, tracking);
        if (slot->flags & LRB_IS_ANCHORED) want(v, anchors);
        if (slot->flags & LRB_IS_ENDPOINT) want(v, LRB_ROLE_GRAPH);
    }
    if (slot->flags & LRB_TRACKS_OTHERS) {
        v->to_compare++;
        want(v, tracking);
        want(v, LRB_ROLE_GRAPH);
    }
}

static void look_for_entity(void *arg, lrb_id_slot *slot) {
    look_for_object(arg, slot, LRB_OF_ENTITIES, LRB_ROLE_ENTITY_CHUNKS, LRB_ROLE_FULL_ENTITIES);
}

static void look_for_relation(void *arg, lrb_id_slot *slot) {
    look_for_object(arg, slot, LRB_OF_RELATIONS, LRB_ROLE_RELATION_CHUNKS, LRB_ROLE_FULL_RELATIONS);
}

static void look_for_chunk(void *arg, lrb_id_slot *slot) {
    lrb_validation *v = arg;
    bool here = slot->flags & LRB_CHUNK_HERE;
    if (here && !(slot->flags & LRB_CHUNK_HAS_VECTOR) && lrb_vectors_read(v, LRB_OF_CHUNKS)) want(v, LRB_ROLE_TEXT_CHUNKS);
    if (slot->flags & LRB_CHUNK_IN_PROCESSED) {
        v->listed_processed = true;
        if (!here && lrb_was_read(v, LRB_ROLE_TEXT_CHUNKS)) want(v, LRB_ROLE_DOC_STATUS);
    }
}

static void look_for_document(void *arg, lrb_id_slot *slot) {
    lrb_validation *v = arg;
    const uint32_t anchors = LRB_DOC_HAS_ENTITIES | LRB_DOC_HAS_RELATIONS;
    if (lrb_status_is_lost(v, slot->flags)) want(v, LRB_ROLE_TEXT_CHUNKS);
    if (!(slot->flags & LRB_DOC_PROCESSED)) return;
    bool text = slot->flags & LRB_DOC_HAS_TEXT || !lrb_was_read(v, LRB_ROLE_FULL_DOCS);
    bool anchored = (slot->flags & anchors) == anchors || !lrb_was_read(v, LRB_ROLE_FULL_ENTITIES) ||
                    !lrb_was_read(v, LRB_ROLE_FULL_RELATIONS);
    if (!text || !anchored) want(v, LRB_ROLE_DOC_STATUS);
}

int lrb_settle(lrb_validation *v, lrb_err *err) {
    lrb_idset_each(&v->entities, look_for_entity, v);
    lrb_idset_each(&v->relations, look_for_relation, v);
    lrb_idset_each(&v->chunks, look_for_chunk, v);
    lrb_idset_each(&v->documents, look_for_document, v);
    for (int kind = 0; kind < LRB_VECTOR_KINDS; kind++)
        if (lrb_any_wrong_row(&v->files[LRB_ROLE_RELATION_VECTORS + kind])) want(v, LRB_ROLE_RELATION_VECTORS + kind);
    int code = v->options.partial ? LRB_OK : judge_missing(v, err);
    if (!code) code = judge_emptied(v, err);
    if (!code) code = judge_dims(v, err);
    return code ? code : judge_faiss(v, err);
}

static void count_other(void *arg, lrb_id_slot *slot) {
    *(uint64_t *)arg += (slot->flags & LRB_TRACKS_OTHERS) != 0;
}

bool lrb_settle_again(lrb_validation *v) {
    uint64_t left = 0;
    lrb_idset_each(&v->entities, count_other, &left);
    lrb_idset_each(&v->relations, count_other, &left);
    bool progress = left < v->to_compare; /* without any there is nothing that another round could find */
    v->to_compare = left;
    v->round++;
    v->pairs_loaded = 0;
    lrb_idset_clear(&v->pairs);
    lrb_idset_init(&v->pairs, true);
    if (!left || !progress) return false;
    want(v, LRB_ROLE_ENTITY_CHUNKS);
    want(v, LRB_ROLE_RELATION_CHUNKS);
    want(v, LRB_ROLE_GRAPH);
    return true;
}
