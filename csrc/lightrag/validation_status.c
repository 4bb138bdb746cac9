/* doc_status: what is said of documents, and which chunks are theirs. */
#include "lightrag/validation_private.h"

enum { SHORT_TEXT = 64 };

typedef enum document_state { UNKNOWN_STATE, IN_FLIGHT, PROCESSED, FAILED } document_state;

static document_state state_named(const lrb_buf *status) {
    static const char *const flying[] = {"pending", "parsing", "analyzing", "processing", "preprocessed"};
    for (size_t i = 0; i < sizeof flying / sizeof *flying; i++)
        if (lrb_text_is(status, flying[i])) return IN_FLIGHT;
    return lrb_text_is(status, "processed") ? PROCESSED : lrb_text_is(status, "failed") ? FAILED : UNKNOWN_STATE;
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

/* What a DocProcessingStatus cannot be made without; file_path has a default. */
enum { HAS_SUMMARY = 1, HAS_LENGTH = 2, HAS_CREATED = 4, HAS_UPDATED = 8, HAS_ALL = 15 };

typedef struct status_row {
    document_state state;
    unsigned has;
    bool lists, is_duplicate, is_deleted, extra, has_count, odd_count;
    uint64_t listed;
    int64_t count, length; /* of its chunks, of its text */
} status_row;

static int take_metadata(lrb_file *file, const lrb_json_value *value, status_row *row, lrb_err *err) {
    lrb_json_value inner = {.kind = LRB_JSON_NULL};
    row->is_duplicate = row->is_deleted = false;
    if (value->kind != LRB_JSON_OBJECT) return lrb_json_skip(file->json, value, err);
    for (;;) {
        int code = lrb_json_next(file->json, &inner, err);
        if (code || inner.kind == LRB_JSON_OBJECT_END) return code;
        if (lrb_json_key_is(&inner, "is_duplicate")) row->is_duplicate = inner.kind == LRB_JSON_TRUE;
        if (lrb_json_key_is(&inner, "kg_purge")) row->is_deleted = inner.kind == LRB_JSON_OBJECT;
        if ((code = lrb_json_skip(file->json, &inner, err))) return code;
    }
}

/* Both times are sorted by, so that they have to be texts. */
static unsigned field_of(const lrb_json_value *value) {
    bool text = value->kind == LRB_JSON_STRING;
    if (lrb_json_key_is(value, "content_summary")) return HAS_SUMMARY;
    if (lrb_json_key_is(value, "content_length")) return HAS_LENGTH;
    if (lrb_json_key_is(value, "created_at")) return text ? HAS_CREATED : 0;
    return text && lrb_json_key_is(value, "updated_at") ? HAS_UPDATED : 0;
}

static int take_status_member(lrb_validation *v, lrb_file *file, const lrb_json_value *value, status_row *row,
                              lrb_err *err) {
    row->has |= field_of(value);
    if (lrb_json_key_is(value, "status")) {
        int code = lrb_take_text(file, value, &file->name_1, SHORT_TEXT, err);
        row->state = state_named(&file->name_1);
        return code;
    }
    if (lrb_json_key_is(value, "chunks_list")) return lrb_take_ids(v, file, value, &row->lists, &row->listed, err);
    if (lrb_json_key_is(value, "metadata")) return take_metadata(file, value, row, err);
    if (lrb_json_key_is(value, "chunks_count")) {
        row->has_count = lrb_json_integer(value, &row->count);
        row->odd_count = !row->has_count && value->kind != LRB_JSON_NULL;
    } else if (lrb_json_key_is(value, "content_length")) {
        if (!lrb_json_integer(value, &row->length)) row->length = -1;
    } else if (!known_status_field(value)) row->extra = true;
    return lrb_json_skip(file->json, value, err);
}

/* What it has is whole, then; else LightRAG processes it again, or takes out what is left of it. */
static bool is_whole(const status_row *row) {
    return row->state == PROCESSED && !row->is_deleted;
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
    if (!code && row->is_deleted) code = lrb_row_finding(v, file, LRB_CHECK_DELETION_BEGUN, err);
    if (!code && row->has != HAS_ALL) code = lrb_row_finding(v, file, LRB_CHECK_STATUS_FIELDS, err);
    if (!code && is_whole(row) && !row->lists) code = lrb_row_finding(v, file, LRB_CHECK_STATUS_NO_LIST, err);
    if (!code && (row->odd_count || (row->lists && row->has_count && (uint64_t)row->count != row->listed)))
        code = lrb_row_finding(v, file, LRB_CHECK_CHUNKS_COUNT, err);
    if (!code && ((lrb_begins(&file->row_key, "dup-") && !row->is_duplicate) ||
                  (lrb_begins(&file->row_key, "error-") && row->state == PROCESSED)))
        code = lrb_row_finding(v, file, LRB_CHECK_DUPLICATE_MARK, err);
    if (!code && row->extra) code = lrb_row_finding(v, file, LRB_CHECK_STATUS_EXTRA, err);
    return code;
}

static int note_status(lrb_validation *v, lrb_file *file, const status_row *row, lrb_err *err) {
    static const lrb_amount amounts[] = {[IN_FLIGHT] = LRB_AMOUNT_IN_FLIGHT, [PROCESSED] = LRB_AMOUNT_PROCESSED,
                                         [FAILED] = LRB_AMOUNT_FAILED};
    uint32_t flags = LRB_DOC_KNOWN, before;
    lrb_hash document = lrb_hash_of_buf(v, &file->row_key);
    if (is_whole(row)) flags |= LRB_DOC_PROCESSED;
    if (row->state == IN_FLIGHT) flags |= LRB_DOC_IN_FLIGHT;
    if (row->lists) flags |= LRB_DOC_LISTS;
    int code = lrb_idset_mark(&v->documents, &document, flags, &before, err);
    if (!code && before & LRB_DOC_KNOWN) code = lrb_file_broken(v, file, "has a document twice", err);
    if (code) return code;
    lrb_report_count(&v->report, LRB_AMOUNT_DOCUMENTS, 1);
    if (row->state != UNKNOWN_STATE) lrb_report_count(&v->report, amounts[row->state], 1);
    code = note_listed_chunks(v, file, &document, is_whole(row), err);
    return code ? code : judge_status(v, file, row, err);
}

/* What is missing of a processed document, now that everything is read. */
static int name_status(lrb_validation *v, lrb_file *file, const status_row *row, lrb_err *err) {
    lrb_hash document = lrb_hash_of_buf(v, &file->row_key);
    uint32_t flags = lrb_idset_flags(&v->documents, &document);
    const uint32_t anchors = LRB_DOC_HAS_ENTITIES | LRB_DOC_HAS_RELATIONS;
    int code = LRB_OK;
    if (!is_whole(row)) return LRB_OK;
    bool has_text = flags & LRB_DOC_HAS_TEXT || (flags & LRB_DOC_EMPTY_TEXT && !row->length);
    if (lrb_was_read(v, LRB_ROLE_FULL_DOCS) && !has_text)
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
        int code = lrb_row_member(v, file, &value, err);
        if (code) return code;
        if (value.kind == LRB_JSON_OBJECT_END) break;
        if ((code = take_status_member(v, file, &value, &row, err))) return code;
    }
    return file->looking ? name_status(v, file, &row, err) : note_status(v, file, &row, err);
}
