/* doc_status, full_docs, text_chunks and the LLM cache: what documents say of their chunks, and chunks of them. */
#include "lightrag/validation_private.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/path.h"
#include "codec/digest.h"

enum { SHORT_TEXT = 64, PATH_TEXT = LRB_PATH_MAX };

static bool text_is(const lrb_buf *text, const char *wanted) {
    return text->length == strlen(wanted) && !memcmp(text->data, wanted, text->length);
}

static bool begins(const lrb_buf *text, const char *with) {
    size_t length = strlen(with);
    return text->length >= length && !memcmp(text->data, with, length);
}

/* ---- doc_status ---- */

typedef enum document_state { UNKNOWN_STATE, IN_FLIGHT, PROCESSED, FAILED } document_state;

static document_state state_named(const lrb_buf *status) {
    static const char *const flying[] = {"pending", "parsing", "analyzing", "processing", "preprocessed"};
    for (size_t i = 0; i < sizeof flying / sizeof *flying; i++)
        if (text_is(status, flying[i])) return IN_FLIGHT;
    return text_is(status, "processed") ? PROCESSED : text_is(status, "failed") ? FAILED : UNKNOWN_STATE;
}

static bool known_status_field(const lrb_json_value *value) {
    static const char *const known[] = {"content_summary", "content_length", "file_path", "created_at", "updated_at",
                                        "track_id", "error_msg", "multimodal_processed", "content_hash",
                                        /* of the store itself, and of releases before 1.3 */
                                        "_id", "create_time", "update_time", "content", "error"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (lrb_json_key_is(value, known[i])) return true;
    return false;
}

typedef struct status_row {
    document_state state;
    bool lists, is_duplicate, extra, has_count;
    uint64_t listed;
    int64_t count;
} status_row;

static int take_metadata(lrb_file *file, const lrb_json_value *value, status_row *row, lrb_err *err) {
    lrb_json_value inner = {.kind = LRB_JSON_NULL};
    if (value->kind != LRB_JSON_OBJECT) return lrb_json_skip(file->json, value, err);
    for (;;) {
        int code = lrb_json_next(file->json, &inner, err);
        if (code || inner.kind == LRB_JSON_OBJECT_END) return code;
        if (lrb_json_key_is(&inner, "is_duplicate")) row->is_duplicate = inner.kind == LRB_JSON_TRUE;
        if ((code = lrb_json_skip(file->json, &inner, err))) return code;
    }
}

static int take_status_member(lrb_validation *v, lrb_file *file, const lrb_json_value *value, status_row *row,
                              lrb_err *err) {
    if (lrb_json_key_is(value, "status")) {
        int code = lrb_take_text(file, value, &file->name_1, SHORT_TEXT, err);
        row->state = state_named(&file->name_1);
        return code;
    }
    if (lrb_json_key_is(value, "chunks_list")) return lrb_take_ids(v, file, value, &row->lists, &row->listed, err);
    if (lrb_json_key_is(value, "metadata")) return take_metadata(file, value, row, err);
    if (lrb_json_key_is(value, "chunks_count")) row->has_count = lrb_json_integer(value, &row->count);
    else if (!known_status_field(value)) row->extra = true;
    return lrb_json_skip(file->json, value, err);
}

static int note_listed_chunks(lrb_validation *v, lrb_file *file, const lrb_hash *document, bool processed, lrb_err *err) {
    int code = LRB_OK;
    for (size_t i = 0; !code && i < file->sources.count; i++) {
        bool was;
        lrb_hash pair = lrb_hash_of_pair(v, document, &file->sources.at[i]);
        code = lrb_idset_join(&v->listings, &pair, &was, err);
        if (!code && processed) code = lrb_idset_mark(&v->chunks, &file->sources.at[i], LRB_CHUNK_IN_PROCESSED, NULL, err);
    }
    return code;
}

static int judge_status(lrb_validation *v, lrb_file *file, const status_row *row, lrb_err *err) {
    int code = LRB_OK;
    if (row->state == UNKNOWN_STATE) code = lrb_row_finding(v, file, LRB_CHECK_STATUS_UNKNOWN, err);
    if (!code && row->state == IN_FLIGHT) code = lrb_row_finding(v, file, LRB_CHECK_IN_FLIGHT, err);
    if (!code && row->state == FAILED && !row->is_duplicate) code = lrb_row_finding(v, file, LRB_CHECK_DOCUMENT_FAILED, err);
    if (!code && row->lists && row->has_count && (uint64_t)row->count != row->listed)
        code = lrb_row_finding(v, file, LRB_CHECK_CHUNKS_COUNT, err);
    if (!code && ((begins(&file->row_key, "dup-") && !row->is_duplicate) ||
                  (begins(&file->row_key, "error-") && row->state == PROCESSED)))
        code = lrb_row_finding(v, file, LRB_CHECK_DUPLICATE_MARK, err);
    if (!code && row->extra) code = lrb_row_finding(v, file, LRB_CHECK_STATUS_EXTRA, err);
    return code;
}

static int note_status(lrb_validation *v, lrb_file *file, const status_row *row, lrb_err *err) {
    static const lrb_amount amounts[] = {[IN_FLIGHT] = LRB_AMOUNT_IN_FLIGHT, [PROCESSED] = LRB_AMOUNT_PROCESSED,
                                         [FAILED] = LRB_AMOUNT_FAILED};
    uint32_t flags = LRB_DOC_KNOWN, before;
    lrb_hash document = lrb_hash_of_buf(v, &file->row_key);
    if (row->state == PROCESSED) flags |= LRB_DOC_PROCESSED;
    if (row->state == IN_FLIGHT) flags |= LRB_DOC_IN_FLIGHT;
    if (row->lists) flags |= LRB_DOC_LISTS;
    int code = lrb_idset_mark(&v->documents, &document, flags, &before, err);
    if (!code && before & LRB_DOC_KNOWN) code = lrb_file_broken(v, file, "has a document twice", err);
    if (code) return code;
    lrb_report_count(&v->report, LRB_AMOUNT_DOCUMENTS, 1);
    if (row->state != UNKNOWN_STATE) lrb_report_count(&v->report, amounts[row->state], 1);
    code = note_listed_chunks(v, file, &document, row->state == PROCESSED, err);
    return code ? code : judge_status(v, file, row, err);
}

/* What is missing of a processed document, now that everything is read. */
static int name_status(lrb_validation *v, lrb_file *file, const status_row *row, lrb_err *err) {
    lrb_hash document = lrb_hash_of_buf(v, &file->row_key);
    uint32_t flags = lrb_idset_flags(&v->documents, &document);
    const uint32_t anchors = LRB_DOC_HAS_ENTITIES | LRB_DOC_HAS_RELATIONS;
    int code = LRB_OK;
    if (row->state != PROCESSED) return LRB_OK;
    if (lrb_was_read(v, LRB_ROLE_FULL_DOCS) && !(flags & LRB_DOC_HAS_TEXT))
        code = lrb_row_finding(v, file, LRB_CHECK_DOCUMENT_GONE, err);
    if (!code && lrb_was_read(v, LRB_ROLE_FULL_ENTITIES) && lrb_was_read(v, LRB_ROLE_FULL_RELATIONS) &&
        (flags & anchors) != anchors)
        code = lrb_row_finding(v, file, LRB_CHECK_NO_ANCHORS, err);
    if (code || !lrb_was_read(v, LRB_ROLE_TEXT_CHUNKS)) return code;
    for (size_t i = 0; i < file->sources.count; i++)
        if (!(lrb_idset_flags(&v->chunks, &file->sources.at[i]) & LRB_CHUNK_HERE))
            return lrb_row_finding(v, file, LRB_CHECK_CHUNK_GONE, err);
    return LRB_OK;
}

int lrb_row_doc_status(lrb_validation *v, lrb_file *file, lrb_err *err) {
    lrb_json_value value;
    status_row row = {.state = UNKNOWN_STATE};
    lrb_sources_empty(&file->sources);
    for (;;) {
        int code = lrb_json_next(file->json, &value, err);
        if (code) return code;
        if (value.kind == LRB_JSON_OBJECT_END) break;
        if ((code = take_status_member(v, file, &value, &row, err))) return code;
    }
    return file->looking ? name_status(v, file, &row, err) : note_status(v, file, &row, err);
}

/* ---- full_docs ---- */

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* The path of a file:// URI of this host; false for anything else. */
static bool path_of(const lrb_buf *uri, char path[PATH_TEXT]) {
    static const char scheme[] = "file:///";
    size_t length = 0;
    if (!begins(uri, scheme)) return false;
    for (size_t at = sizeof scheme - 2; at < uri->length; at++) {
        char c = (char)uri->data[at];
        if (c == '%' && at + 2 < uri->length) {
            int high = hex_digit((char)uri->data[at + 1]), low = hex_digit((char)uri->data[at + 2]);
            if (high < 0 || low < 0) return false;
            c = (char)(high << 4 | low);
            at += 2;
        }
        if (!c || length == PATH_TEXT - 1) return false;
        path[length++] = c;
    }
    path[length] = '\0';
    return true;
}

static int judge_sidecar(lrb_validation *v, lrb_file *file, lrb_err *err) {
    char path[PATH_TEXT];
    lrb_identity identity;
    lrb_err ignored;
    if (!v->options.live || !path_of(&file->name_1, path)) return LRB_OK;
    return lrb_fs_identify_at(AT_FDCWD, path, &identity, &ignored) ? lrb_row_finding(v, file, LRB_CHECK_SIDECAR_GONE, err)
                                                                   : LRB_OK;
}

typedef struct text_row {
    char md5[33];     /* of the content */
    bool raw;         /* the content is the document's own */
    bool has_hash;
} text_row;

/* doc- and the MD5 of where it comes from, or of what it says. */
static int judge_document_id(lrb_validation *v, lrb_file *file, const text_row *row, lrb_err *err) {
    bool by_path;
    int code = lrb_is_md5_id(file, &file->row_key, "doc-", &file->name_2, NULL, &by_path, err);
    if (code) return code;
    bool by_content = file->row_key.length == 36 && !memcmp(file->row_key.data, "doc-", 4) &&
                      !memcmp(file->row_key.data + 4, row->md5, 32);
    if (!by_path && !by_content) code = lrb_row_finding(v, file, LRB_CHECK_DOCUMENT_ID, err);
    if (!code && row->raw && row->has_hash && !text_is(&file->content, row->md5))
        code = lrb_row_finding(v, file, LRB_CHECK_CONTENT_HASH, err);
    return code;
}

static int take_document_member(lrb_file *file, const lrb_json_value *value, text_row *row, lrb_err *err) {
    if (lrb_json_key_is(value, "content")) return lrb_take_md5(file, value, row->md5, err);
    if (lrb_json_key_is(value, "file_path")) return lrb_take_text(file, value, &file->name_2, PATH_TEXT, err);
    if (lrb_json_key_is(value, "sidecar_location")) return lrb_take_text(file, value, &file->name_1, PATH_TEXT, err);
    if (lrb_json_key_is(value, "content_hash")) {
        row->has_hash = value->kind == LRB_JSON_STRING;
        return lrb_take_text(file, value, &file->content, SHORT_TEXT, err);
    }
    if (lrb_json_key_is(value, "parse_format")) {
        int code = lrb_take_text(file, value, &file->id, SHORT_TEXT, err);
        row->raw = text_is(&file->id, "raw");
        return code;
    }
    return lrb_json_skip(file->json, value, err);
}

int lrb_row_full_docs(lrb_validation *v, lrb_file *file, lrb_err *err) {
    lrb_json_value value;
    text_row row = {.raw = false};
    lrb_buf_empty(&file->name_1);
    lrb_buf_empty(&file->name_2);
    for (;;) {
        int code = lrb_json_next(file->json, &value, err);
        if (code) return code;
        if (value.kind == LRB_JSON_OBJECT_END) break;
        if ((code = take_document_member(file, &value, &row, err))) return code;
    }
    uint32_t before;
    lrb_hash document = lrb_hash_of_buf(v, &file->row_key);
    int code = lrb_idset_mark(&v->documents, &document, LRB_DOC_HAS_TEXT, &before, err);
    if (!code && before & LRB_DOC_HAS_TEXT) code = lrb_file_broken(v, file, "has a document twice", err);
    if (!code) code = judge_document_id(v, file, &row, err);
    return code ? code : judge_sidecar(v, file, err);
}

/* ---- text_chunks ---- */

static int judge_answers(lrb_validation *v, lrb_file *file, lrb_err *err) {
    if (!lrb_was_read(v, LRB_ROLE_LLM_CACHE)) return LRB_OK;
    for (size_t i = 0; i < file->sources.count; i++)
        if (!lrb_idset_has(&v->answers, &file->sources.at[i])) return lrb_row_finding(v, file, LRB_CHECK_ANSWER_GONE, err);
    return LRB_OK;
}

/* The document's own chunks begin with its id; chunk- and a hash are custom chunks and those of older releases. */
static bool names_another_document(const lrb_buf *chunk, const lrb_buf *document) {
    static const char inner[] = "-chunk-";
    if (!begins(chunk, "doc-") || !document->length) return false;
    const char *end = memmem(chunk->data, chunk->length, inner, sizeof inner - 1);
    if (!end) return false;
    size_t length = (size_t)(end - (const char *)chunk->data);
    return length != document->length || memcmp(chunk->data, document->data, length);
}

static int judge_chunk(lrb_validation *v, lrb_file *file, const lrb_hash *chunk, const lrb_hash *document, lrb_err *err) {
    int code = LRB_OK;
    if (names_another_document(&file->row_key, &file->name_1)) code = lrb_row_finding(v, file, LRB_CHECK_CHUNK_OTHER_DOC, err);
    if (code || !lrb_was_read(v, LRB_ROLE_DOC_STATUS)) return code;
    uint32_t flags = lrb_idset_flags(&v->documents, document);
    lrb_hash pair = lrb_hash_of_pair(v, document, chunk);
    if (!(flags & (LRB_DOC_KNOWN | LRB_DOC_HAS_TEXT))) return lrb_row_finding(v, file, LRB_CHECK_CHUNK_NO_DOC, err);
    if (!(flags & LRB_DOC_LISTS) || lrb_idset_has(&v->listings, &pair)) return LRB_OK;
    return lrb_row_finding(v, file, flags & LRB_DOC_PROCESSED ? LRB_CHECK_CHUNK_UNLISTED : LRB_CHECK_CHUNK_IN_FLIGHT, err);
}

static int note_chunk(lrb_validation *v, lrb_file *file, const lrb_hash *chunk, lrb_err *err) {
    lrb_hash document = lrb_hash_of_buf(v, &file->name_1);
    lrb_id_slot *slot = lrb_idset_hold(&v->chunks, chunk, true);
    if (!slot) return lrb_err_nomem(err, "remember a chunk");
    bool twice = slot->flags & LRB_CHUNK_HERE;
    slot->flags |= LRB_CHUNK_HERE;
    slot->words[0] = document.low;
    slot->words[1] = document.high;
    lrb_idset_release(&v->chunks, chunk);
    lrb_report_count(&v->report, LRB_AMOUNT_CHUNKS, 1);
    int code = twice ? lrb_file_broken(v, file, "has a chunk twice", err) : LRB_OK;
    if (!code) code = judge_chunk(v, file, chunk, &document, err);
    return code ? code : judge_answers(v, file, err);
}

int lrb_row_text_chunks(lrb_validation *v, lrb_file *file, lrb_err *err) {
    lrb_json_value value;
    lrb_buf_empty(&file->name_1);
    lrb_sources_empty(&file->sources);
    for (;;) {
        bool is_list;
        uint64_t items;
        int code = lrb_json_next(file->json, &value, err);
        if (code) return code;
        if (value.kind == LRB_JSON_OBJECT_END) break;
        if (lrb_json_key_is(&value, "full_doc_id")) code = lrb_take_text(file, &value, &file->name_1, PATH_TEXT, err);
        else if (lrb_json_key_is(&value, "llm_cache_list")) code = lrb_take_ids(v, file, &value, &is_list, &items, err);
        else code = lrb_json_skip(file->json, &value, err);
        if (code) return code;
    }
    lrb_hash chunk = lrb_hash_of_buf(v, &file->row_key);
    if (!file->looking) return note_chunk(v, file, &chunk, err);
    lrb_hash document = lrb_hash_of_buf(v, &file->name_1);
    if (!lrb_vectors_read(v, LRB_OF_CHUNKS) || lrb_idset_flags(&v->chunks, &chunk) & LRB_CHUNK_HAS_VECTOR) return LRB_OK;
    bool unfinished = lrb_is_unfinished(v, &document);
    return lrb_row_finding(v, file, unfinished ? LRB_CHECK_CHUNK_UNFINISHED : LRB_CHECK_CHUNK_NO_VECTOR, err);
}

/* ---- the LLM cache ---- */

int lrb_row_llm_cache(lrb_validation *v, lrb_file *file, lrb_err *err) {
    bool was;
    lrb_hash answer = lrb_hash_of_buf(v, &file->row_key);
    lrb_report_count(&v->report, LRB_AMOUNT_LLM_ANSWERS, 1);
    int code = lrb_idset_join(&v->answers, &answer, &was, err);
    return code ? code : lrb_row_ignored(v, file, err);
}
