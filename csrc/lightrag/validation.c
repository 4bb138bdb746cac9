#include "lightrag/validation.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "lightrag/validation_private.h"

enum { ROW_TEXT_MAX_BYTES = 64 << 20 };
typedef enum stage { READING, SETTLING, LOOKING, LOOKING_AT_GRAPH, SETTLING_AGAIN, OVER } stage;

#define AFTER(role) (UINT32_C(1) << LRB_ROLE_##role)

typedef struct plan { /* of a role */
    const char *name;
    lrb_check broken;
    uint32_t after; /* the roles that are read before it */
    int (*read)(lrb_validation *v, lrb_file *file, void *thread, bool *over, lrb_err *err);
} plan;

/* In the order in which files are begun: first what the graph waits for, which is the longest work one thread has to do
 * alone, then the graph, then what all threads can share. */
static const plan PLANS[LRB_ROLE_COUNT] = {
    [LRB_ROLE_LLM_CACHE] = {"kv_store_llm_response_cache.json", LRB_CHECK_CACHE_BROKEN, 0, lrb_read_store},
    [LRB_ROLE_DOC_STATUS] = {"kv_store_doc_status.json", LRB_CHECK_FILE_BROKEN, 0, lrb_read_store},
    [LRB_ROLE_FULL_DOCS] = {"kv_store_full_docs.json", LRB_CHECK_FILE_BROKEN, 0, lrb_read_store},
    [LRB_ROLE_FULL_ENTITIES] = {"kv_store_full_entities.json", LRB_CHECK_INDEX_BROKEN, 0, lrb_read_store},
    [LRB_ROLE_FULL_RELATIONS] = {"kv_store_full_relations.json", LRB_CHECK_INDEX_BROKEN, 0, lrb_read_store},
    [LRB_ROLE_ENTITY_CHUNKS] = {"kv_store_entity_chunks.json", LRB_CHECK_INDEX_BROKEN, 0, lrb_read_store},
    [LRB_ROLE_RELATION_CHUNKS] = {"kv_store_relation_chunks.json", LRB_CHECK_INDEX_BROKEN, 0, lrb_read_store},
    [LRB_ROLE_TEXT_CHUNKS] = {"kv_store_text_chunks.json", LRB_CHECK_FILE_BROKEN,
                              AFTER(LLM_CACHE) | AFTER(DOC_STATUS) | AFTER(FULL_DOCS), lrb_read_store},
    [LRB_ROLE_GRAPH] = {"graph_chunk_entity_relation.graphml", LRB_CHECK_FILE_BROKEN,
                        AFTER(TEXT_CHUNKS) | AFTER(ENTITY_CHUNKS) | AFTER(RELATION_CHUNKS) | AFTER(FULL_ENTITIES) |
                            AFTER(FULL_RELATIONS), lrb_read_graph},
    [LRB_ROLE_RELATION_VECTORS] = {"vdb_relationships.json", LRB_CHECK_VECTORS_BROKEN, 0, lrb_read_vector_file},
    [LRB_ROLE_ENTITY_VECTORS] = {"vdb_entities.json", LRB_CHECK_VECTORS_BROKEN, 0, lrb_read_vector_file},
    [LRB_ROLE_CHUNK_VECTORS] = {"vdb_chunks.json", LRB_CHECK_VECTORS_BROKEN, AFTER(TEXT_CHUNKS), lrb_read_vector_file},
    [LRB_ROLE_RELATION_META] = {"faiss_index_relationships.index.meta.json", LRB_CHECK_FAISS_BROKEN, 0, lrb_read_store},
    [LRB_ROLE_ENTITY_META] = {"faiss_index_entities.index.meta.json", LRB_CHECK_FAISS_BROKEN, 0, lrb_read_store},
    [LRB_ROLE_CHUNK_META] = {"faiss_index_chunks.index.meta.json", LRB_CHECK_FAISS_BROKEN, AFTER(TEXT_CHUNKS), lrb_read_store},
    [LRB_ROLE_RELATION_INDEX] = {"faiss_index_relationships.index", LRB_CHECK_FAISS_BROKEN, 0, lrb_read_faiss_index},
    [LRB_ROLE_ENTITY_INDEX] = {"faiss_index_entities.index", LRB_CHECK_FAISS_BROKEN, 0, lrb_read_faiss_index},
    [LRB_ROLE_CHUNK_INDEX] = {"faiss_index_chunks.index", LRB_CHECK_FAISS_BROKEN, 0, lrb_read_faiss_index},
    [LRB_ROLE_CONFIG] = {"_lightrag_config/kv_server_config.json", LRB_CHECK_CONFIG_BROKEN, 0, lrb_read_store},
    [LRB_ROLE_ANCHOR] = {"_lightrag_config/storage_anchor.json", LRB_CHECK_CONFIG_BROKEN, AFTER(CONFIG), lrb_read_anchor},
    [LRB_ROLE_OTHER] = {"", LRB_CHECK_OTHER_BROKEN, 0, lrb_read_store},
};

/* ---- what the parts share ---- */

const char *lrb_role_name(lrb_role role) {
    return PLANS[role].name;
}

bool lrb_was_read(const lrb_validation *v, lrb_role role) {
    return v->files[role].state == LRB_FILE_READ;
}

bool lrb_vectors_read(const lrb_validation *v, lrb_vector_kind kind) {
    return lrb_was_read(v, LRB_ROLE_RELATION_VECTORS + kind) || lrb_was_read(v, LRB_ROLE_RELATION_META + kind);
}

bool lrb_is_unfinished(lrb_validation *v, const lrb_hash *document) {
    return (lrb_idset_flags(&v->documents, document) & (LRB_DOC_KNOWN | LRB_DOC_PROCESSED)) == LRB_DOC_KNOWN;
}

int lrb_file_broken(lrb_validation *v, lrb_file *file, const char *message, lrb_err *err) {
    return lrb_report_addf(&v->report, PLANS[file->role].broken, err, "%s: %s", file->name, message);
}

int lrb_row_finding(lrb_validation *v, const lrb_file *file, lrb_check check, lrb_err *err) {
    return lrb_report_add(&v->report, check, (const char *)file->row_key.data, file->row_key.length, err);
}

int lrb_join_names(lrb_buf *joined, const char *one, size_t one_length, const char *other, size_t other_length, lrb_err *err) {
    bool in_order = lrb_name_compare(one, one_length, other, other_length) <= 0;
    lrb_buf_empty(joined);
    int code = lrb_buf_append(joined, in_order ? one : other, in_order ? one_length : other_length, err);
    if (!code) code = lrb_buf_append(joined, "<SEP>", 5, err);
    return code ? code : lrb_buf_append(joined, in_order ? other : one, in_order ? other_length : one_length, err);
}

/* ---- making and freeing ---- */

static void init_file(lrb_file *file, lrb_role role) {
    *file = (lrb_file){.role = role};
    lrb_buf *buffers[] = {&file->row_key, &file->name_1, &file->name_2, &file->id, &file->content};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) lrb_buf_init(buffers[i], ROW_TEXT_MAX_BYTES);
}

static void end_reading(lrb_file *file) {
    lrb_json_free(file->json);
    lrb_graphml_free(file->graphml);
    lrb_md5_free(file->md5);
    file->json = NULL;
    file->graphml = NULL;
    file->md5 = NULL;
    lrb_sources_clear(&file->sources);
    lrb_buf *buffers[] = {&file->row_key, &file->name_1, &file->name_2, &file->id, &file->content};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) lrb_buf_clear(buffers[i]);
}

static void clear_file(lrb_file *file) {
    end_reading(file);
    lrb_vector_file_clear(&file->vectors);
    lrb_free(file->name);
}

int lrb_validation_new(const lrb_validation_options *options, lrb_validation **out, lrb_err *err) {
    lrb_validation *v = lrb_alloc_zero(1, sizeof *v);
    if (!v) return lrb_err_nomem(err, "validate");
    v->options = *options;
    pthread_mutex_init(&v->lock, NULL);
    lrb_report_init(&v->report);
    lrb_idset *slots[] = {&v->entities, &v->relations, &v->chunks, &v->documents};
    lrb_idset *members[] = {&v->anchors, &v->listings, &v->answers, &v->pairs};
    for (int i = 0; i < 4; i++) lrb_idset_init(slots[i], false);
    for (int i = 0; i < 4; i++) lrb_idset_init(members[i], true);
    for (int i = 0; i < LRB_VECTOR_KINDS; i++) lrb_idset_init(&v->record_ids[i], true);
    for (int role = 0; role < LRB_ROLE_OTHER; role++) init_file(&v->files[role], (lrb_role)role);
    v->workspace = lrb_copy_string(options->workspace ? options->workspace : "");
    int code = v->workspace ? lrb_random_bytes(&v->key, sizeof v->key, err) : lrb_err_nomem(err, "validate");
    if (code) lrb_validation_free(v);
    else *out = v;
    return code;
}

void lrb_validation_free(lrb_validation *v) {
    if (!v) return;
    for (int role = 0; role < LRB_ROLE_OTHER; role++) clear_file(&v->files[role]);
    for (size_t i = 0; i < v->other_count; i++) {
        clear_file(v->others[i]);
        lrb_free(v->others[i]);
    }
    lrb_free_row_scratch(v);
    lrb_idset *sets[] = {&v->entities, &v->relations, &v->chunks, &v->documents, &v->anchors, &v->listings, &v->answers, &v->pairs};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) lrb_idset_clear(sets[i]);
    for (int i = 0; i < LRB_VECTOR_KINDS; i++) lrb_idset_clear(&v->record_ids[i]);
    lrb_report_clear(&v->report);
    pthread_mutex_destroy(&v->lock);
    lrb_free(v->workspace);
    lrb_free(v);
}

const lrb_report *lrb_validation_report(const lrb_validation *v) {
    return &v->report;
}

/* ---- adding files ---- */

/* kv_store_*.json, with a namespace as LightRAG has them (lightrag_bkp/sources/names.py has the same rule). */
static bool is_store(const char *name) {
    static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    if (strncmp(name, "kv_store_", 9)) return false;
    size_t length = strspn(name + 9, word);
    return length && !strcmp(name + 9 + length, ".json");
}

static lrb_role role_named(const char *name) {
    for (int role = 0; role < LRB_ROLE_OTHER; role++)
        if (!strcmp(PLANS[role].name, name)) return (lrb_role)role;
    return is_store(name) ? LRB_ROLE_OTHER : LRB_ROLE_COUNT;
}

bool lrb_validation_takes(const char *name) {
    return role_named(name) != LRB_ROLE_COUNT;
}

static lrb_file *other_file(lrb_validation *v) {
    if (v->other_count == LRB_MAX_OTHERS) return NULL;
    lrb_file *file = lrb_alloc(sizeof *file);
    if (!file) return NULL;
    init_file(file, LRB_ROLE_OTHER);
    v->others[v->other_count++] = file;
    return file;
}

/* The file of a name, which is not known yet; NULL for a name that is none, and for one store too many. */
static int claim_file(lrb_validation *v, const char *name, lrb_file **out, lrb_err *err) {
    lrb_role role = role_named(name);
    *out = NULL;
    if (role > LRB_ROLE_OTHER || (role == LRB_ROLE_OTHER && v->other_count == LRB_MAX_OTHERS)) return LRB_OK;
    lrb_file *file = role == LRB_ROLE_OTHER ? other_file(v) : &v->files[role];
    if (!file) return lrb_err_nomem(err, "validate");
    if (file->state != LRB_FILE_ABSENT) return lrb_err_set(err, LRB_E_EXISTS, "validate", name, "the file was given twice");
    file->validation = v;
    file->name = lrb_copy_string(name);
    if (!file->name) return lrb_err_nomem(err, "validate");
    *out = file;
    return LRB_OK;
}

int lrb_validation_add(lrb_validation *v, const char *name, const lrb_bytes *bytes, bool *taken, lrb_err *err) {
    lrb_file *file;
    int code = claim_file(v, name, &file, err);
    *taken = file != NULL;
    if (!file) return code;
    file->bytes = *bytes;
    file->state = LRB_FILE_WAITING;
    return LRB_OK;
}

int lrb_validation_refuse(lrb_validation *v, const char *name, const char *why, lrb_err *err) {
    lrb_file *file;
    int code = claim_file(v, name, &file, err);
    if (!file) return code;
    file->state = LRB_FILE_BROKEN;
    return lrb_file_broken(v, file, why, err);
}

void lrb_validation_link(lrb_validation *v, const char *name) {
    lrb_role role = role_named(name);
    if (role < LRB_ROLE_OTHER) v->files[role].is_link = true;
}

int lrb_validation_newer_index(lrb_validation *v, const char *name, lrb_err *err) {
    return lrb_report_addf(&v->report, LRB_CHECK_FAISS_TIMES, err, "%s newer than its .meta.json", name);
}

void lrb_validation_trust(lrb_validation *v, const char *name) {
    lrb_role role = role_named(name);
    if (role < LRB_ROLE_OTHER) v->files[role].vectors.trusted = true;
}

void lrb_validation_rows_seen(lrb_validation *v, const char *name, const lrb_rows_seen *seen) {
    lrb_role role = role_named(name);
    if (role < LRB_ROLE_OTHER) v->files[role].vectors.seen = *seen;
}

/* ---- which work next, under the lock ---- */

typedef struct task {
    enum { NOTHING, READ_FILE, COMPARE_ROWS, SETTLE, SETTLE_AGAIN } kind;
    lrb_file *file;
    uint64_t first, count;
} task;

static lrb_file *file_at(lrb_validation *v, size_t i) {
    return i < LRB_ROLE_OTHER ? &v->files[i] : v->others[i - LRB_ROLE_OTHER];
}

static size_t file_count(const lrb_validation *v) {
    return LRB_ROLE_OTHER + v->other_count;
}

static bool is_over(const lrb_file *file) {
    return file->state == LRB_FILE_ABSENT || file->state == LRB_FILE_READ || file->state == LRB_FILE_BROKEN;
}

static bool may_begin(const lrb_validation *v, const lrb_file *file) {
    if (file->state == LRB_FILE_PAUSED) return true;
    if (file->state != LRB_FILE_WAITING) return false;
    for (int role = 0; role < LRB_ROLE_OTHER; role++)
        if (PLANS[file->role].after >> role & 1 && !is_over(&v->files[role])) return false;
    return true;
}

static bool claim_reading(lrb_validation *v, task *t) {
    for (size_t i = 0; i < file_count(v); i++) {
        lrb_file *file = file_at(v, i);
        if (!may_begin(v, file)) continue;
        file->state = LRB_FILE_BUSY;
        *t = (task){.kind = READ_FILE, .file = file};
        return true;
    }
    for (int kind = 0; kind < LRB_VECTOR_KINDS; kind++) {
        lrb_file *file = &v->files[LRB_ROLE_RELATION_VECTORS + kind];
        if (file->state != LRB_FILE_READ) continue;
        task rows = {.kind = COMPARE_ROWS, .file = file};
        lrb_claim_rows(file, &rows.first, &rows.count);
        if (!rows.count) continue;
        *t = rows;
        return true;
    }
    return false;
}

/* A look at a file that is wanted, or is under way: the graph comes when all others are through. */
static bool claim_look(lrb_validation *v, bool graph, task *t) {
    for (size_t i = 0; i < LRB_ROLE_OTHER; i++) {
        lrb_file *file = &v->files[i];
        if ((file->role == LRB_ROLE_GRAPH) != graph || !(file->wanted || file->paused_look)) continue;
        if (file->wanted) file->looking = true; /* a new one */
        file->wanted = file->paused_look = false;
        *t = (task){.kind = READ_FILE, .file = file};
        return true;
    }
    return false;
}

static task claim(lrb_validation *v) {
    task t = {.kind = NOTHING};
    for (;;) {
        bool alone = !v->inside;
        switch ((stage)v->stage) {
        case READING:
            if (claim_reading(v, &t) || !alone) return t;
            v->stage = SETTLING;
            return (task){.kind = SETTLE};
        case LOOKING:
            if (claim_look(v, false, &t) || !alone) return t;
            v->stage = LOOKING_AT_GRAPH;
            break;
        case LOOKING_AT_GRAPH:
            if (claim_look(v, true, &t) || !alone) return t;
            v->stage = SETTLING_AGAIN;
            return (task){.kind = SETTLE_AGAIN};
        default: return t;
        }
    }
}

/* ---- doing it ---- */

/* The texts of rows are there from the start, so that an empty one has an address. */
static int begin_texts(lrb_file *file, lrb_err *err) {
    lrb_buf *buffers[] = {&file->row_key, &file->name_1, &file->name_2, &file->id, &file->content};
    int code = LRB_OK;
    for (size_t i = 0; !code && i < sizeof buffers / sizeof *buffers; i++) code = lrb_buf_reserve(buffers[i], 1, err);
    return code;
}

static int read_on(lrb_validation *v, lrb_file *file, void *thread, bool *over, lrb_err *err) {
    if (!file->bytes.length) {
        *over = true;
        return lrb_err_set(err, LRB_E_INVALID, "parse", file->name, "it is empty");
    }
    int code = begin_texts(file, err);
    return code ? code : PLANS[file->role].read(v, file, thread, over, err);
}

static int read_file(lrb_validation *v, lrb_file *file, void *thread, lrb_err *err) {
    bool over = false;
    lrb_file_state state = LRB_FILE_PAUSED;
    int code = read_on(v, file, thread, &over, err);
    if (code == LRB_E_INVALID) { /* a finding, and the end of this file */
        char message[sizeof err->message];
        snprintf(message, sizeof message, "%s", err->message);
        lrb_err_clear(err);
        code = file->looking ? LRB_OK : lrb_file_broken(v, file, message, err);
        state = LRB_FILE_BROKEN;
        over = true;
    } else if (over) state = LRB_FILE_READ;
    if (over || code) end_reading(file);
    pthread_mutex_lock(&v->lock);
    if (!file->looking) file->state = state;
    else if (over) file->looking = false;
    else file->paused_look = true;
    pthread_mutex_unlock(&v->lock);
    return code;
}

static int settle(lrb_validation *v, lrb_err *err) {
    int code = lrb_settle(v, err);
    pthread_mutex_lock(&v->lock);
    v->stage = LOOKING;
    pthread_mutex_unlock(&v->lock);
    return code;
}

static void settle_again(lrb_validation *v) {
    bool again = lrb_settle_again(v);
    pthread_mutex_lock(&v->lock);
    v->stage = again ? LOOKING : OVER;
    pthread_mutex_unlock(&v->lock);
}

/* The file was read once and was JSON then. */
static int compare_rows(lrb_validation *v, const task *t, void *thread, lrb_err *err) {
    int code = lrb_compare_rows(v, t->file, t->first, t->count, thread, err);
    if (code != LRB_E_INVALID && code != LRB_E_DAMAGED) return code;
    return lrb_err_set(err, LRB_E_CHANGED, "read", t->file->name, "the file changed while it was read");
}

static int perform(lrb_validation *v, const task *t, void *thread, lrb_err *err) {
    switch (t->kind) {
    case READ_FILE: return read_file(v, t->file, thread, err);
    case COMPARE_ROWS: return compare_rows(v, t, thread, err);
    case SETTLE: return settle(v, err);
    case SETTLE_AGAIN: settle_again(v); return LRB_OK;
    case NOTHING: break;
    }
    return LRB_OK;
}

int lrb_validation_step(lrb_validation *v, void *thread, lrb_validation_state *state, lrb_err *err) {
    pthread_mutex_lock(&v->lock);
    task t = claim(v);
    if (t.kind != NOTHING) v->inside++;
    *state = t.kind != NOTHING ? LRB_VALIDATION_MORE : v->stage == OVER && !v->inside ? LRB_VALIDATION_DONE : LRB_VALIDATION_IDLE;
    pthread_mutex_unlock(&v->lock);
    if (t.kind == NOTHING) return LRB_OK;
    int code = perform(v, &t, thread, err);
    pthread_mutex_lock(&v->lock);
    v->inside--;
    pthread_mutex_unlock(&v->lock);
    return code;
}
