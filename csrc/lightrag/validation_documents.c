/* full_docs, text_chunks and the LLM cache: the texts of documents, their chunks, and what the LLM said of these. */
#include "lightrag/validation_private.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/path.h"
#include "codec/digest.h"

enum { SHORT_TEXT = 64, PATH_TEXT = LRB_PATH_MAX };

/* ---- full_docs ---- */

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* The path of a file:// URI of this host; false for anything else. */
static bool path_of(const lrb_buf *uri, char path[PATH_TEXT]) {
    static const char scheme[] = "file:///";
    size_t length = 0;
    if (!lrb_begins(uri, scheme)) return false;
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

/* LightRAG follows file:, leaves other schemes to whoever knows them, and takes anything else for no place at all. */
static bool is_uri(const lrb_buf *text) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", more[] = "0123456789+.-";
    const char *at = (const char *)text->data, *colon = memchr(at, ':', text->length);
    if (!colon || !memchr(letters, *at, sizeof letters - 1)) return false;
    while (at < colon && (memchr(letters, *at, sizeof letters - 1) || memchr(more, *at, sizeof more - 1))) at++;
    return at == colon;
}

static int judge_sidecar(lrb_validation *v, lrb_file *file, lrb_err *err) {
    char path[PATH_TEXT];
    lrb_identity identity;
    lrb_err ignored;
    if (file->name_1.length && !lrb_text_is(&file->name_1, "unknown_source") && !is_uri(&file->name_1))
        return lrb_row_finding(v, file, LRB_CHECK_SIDECAR_PATH, err);
    if (!v->options.live || !path_of(&file->name_1, path)) return LRB_OK;
    return lrb_fs_identify_at(AT_FDCWD, path, &identity, &ignored) ? lrb_row_finding(v, file, LRB_CHECK_SIDECAR_GONE, err)
                                                                   : LRB_OK;
}

#define MD5_OF_NOTHING "d41d8cd98f00b204e9800998ecf8427e"

typedef struct text_row {
    char md5[33];     /* of the content; "": there is none */
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
    if (!code && row->raw && row->has_hash && !lrb_text_is(&file->content, row->md5))
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
        row->raw = lrb_text_is(&file->id, "raw");
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
        int code = lrb_row_member(v, file, &value, err);
        if (code) return code;
        if (value.kind == LRB_JSON_OBJECT_END) break;
        if ((code = take_document_member(file, &value, &row, err))) return code;
    }
    uint32_t before, flags = LRB_DOC_HAS_ROW;
    if (*row.md5) flags |= strcmp(row.md5, MD5_OF_NOTHING) ? LRB_DOC_HAS_TEXT : LRB_DOC_EMPTY_TEXT;
    lrb_hash document = lrb_hash_of_buf(v, &file->row_key);
    int code = lrb_idset_mark(&v->documents, &document, flags, &before, err);
    if (!code && before & LRB_DOC_HAS_ROW) code = lrb_file_broken(v, file, "has a document twice", err);
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
    if (!lrb_begins(chunk, "doc-") || !document->length) return false;
    const char *end = memmem(chunk->data, chunk->length, inner, sizeof inner - 1);
    if (!end) return false;
    size_t length = (size_t)(end - (const char *)chunk->data);
    return length != document->length || memcmp(chunk->data, document->data, length);
}

typedef struct chunk_row {
    bool has_text, is_empty, has_document, has_source, has_status;
} chunk_row;

/* LightRAG passes over empty chunks; those of custom graphs and of releases before 1.5, which it does not, are called
 * after their text. */
static bool has_its_text(const lrb_file *file, const chunk_row *row) {
    return row->has_text && (!row->is_empty || lrb_text_is(&file->row_key, "chunk-" MD5_OF_NOTHING));
}

/* Only ainsert_custom_kg writes the caller's word for the source, and a status, into a chunk. */
static bool is_custom(const chunk_row *row) {
    return row->has_source && row->has_status;
}

/* Whether the chunk is called after its document: doc-...-chunk-000, or doc-...-mm-table-000. */
static bool is_named_after(const lrb_buf *chunk, const lrb_buf *document) {
    static const char *const inner[] = {"-chunk-", "-mm-"};
    size_t length = document->length;
    if (!length || chunk->length <= length || memcmp(chunk->data, document->data, length)) return false;
    for (size_t i = 0; i < sizeof inner / sizeof *inner; i++) {
        size_t more = strlen(inner[i]);
        if (chunk->length > length + more && !memcmp(chunk->data + length, inner[i], more)) return true;
    }
    return false;
}

/* A chunk of a document that doc_status does not have. */
static int note_owner(lrb_validation *v, const lrb_file *file, const lrb_hash *document, lrb_err *err) {
    bool named = is_named_after(&file->row_key, &file->name_1);
    return lrb_idset_mark(&v->documents, document, LRB_DOC_HAS_CHUNKS | (named ? LRB_DOC_NAMES_CHUNKS : 0), NULL, err);
}

static int judge_owner(lrb_validation *v, lrb_file *file, const chunk_row *row, const lrb_hash *chunk, const lrb_hash *document,
                       lrb_err *err) {
    uint32_t flags = lrb_idset_flags(&v->documents, document);
    lrb_hash pair = lrb_hash_of_pair(v, document, chunk);
    int code = LRB_OK;
    if (!(flags & LRB_DOC_KNOWN) && row->has_document && !is_custom(row)) code = note_owner(v, file, document, err);
    if (code) return code;
    if (!(flags & (LRB_DOC_KNOWN | LRB_DOC_HAS_ROW))) return lrb_row_finding(v, file, LRB_CHECK_CHUNK_NO_DOC, err);
    if (!(flags & LRB_DOC_LISTS) || lrb_idset_has(&v->listings, &pair)) return LRB_OK;
    if (is_custom(row)) return lrb_row_finding(v, file, LRB_CHECK_CHUNK_NO_DOC, err);
    return lrb_row_finding(v, file, flags & LRB_DOC_PROCESSED ? LRB_CHECK_CHUNK_UNLISTED : LRB_CHECK_CHUNK_IN_FLIGHT, err);
}

static int judge_chunk(lrb_validation *v, lrb_file *file, const chunk_row *row, const lrb_hash *chunk, const lrb_hash *document,
                       lrb_err *err) {
    int code = LRB_OK;
    if (names_another_document(&file->row_key, &file->name_1)) code = lrb_row_finding(v, file, LRB_CHECK_CHUNK_OTHER_DOC, err);
    if (!code && !has_its_text(file, row) && !lrb_is_unfinished(v, document)) code = lrb_row_finding(v, file, LRB_CHECK_CHUNK_TEXT, err);
    if (!code && !row->has_document) code = lrb_row_finding(v, file, LRB_CHECK_CHUNK_ORIGIN, err);
    return code || !lrb_was_read(v, LRB_ROLE_DOC_STATUS) ? code : judge_owner(v, file, row, chunk, document, err);
}

static int note_chunk(lrb_validation *v, lrb_file *file, const chunk_row *row, const lrb_hash *chunk, lrb_err *err) {
    lrb_hash document = lrb_hash_of_buf(v, &file->name_1);
    lrb_id_slot *slot = lrb_idset_hold(&v->chunks, chunk, true);
    if (!slot) return lrb_err_nomem(err, "remember a chunk");
    bool twice = slot->flags & LRB_CHUNK_HERE;
    slot->flags |= LRB_CHUNK_HERE | (is_custom(row) ? LRB_CHUNK_IS_CUSTOM : 0);
    slot->words[0] = document.low;
    slot->words[1] = document.high;
    lrb_idset_release(&v->chunks, chunk);
    lrb_report_count(&v->report, LRB_AMOUNT_CHUNKS, 1);
    int code = twice ? lrb_file_broken(v, file, "has a chunk twice", err) : LRB_OK;
    if (!code) code = judge_chunk(v, file, row, chunk, &document, err);
    return code ? code : judge_answers(v, file, err);
}

/* Says of a document once that its status is lost. */
static int name_owner(lrb_validation *v, lrb_file *file, const lrb_hash *document, lrb_err *err) {
    uint32_t before;
    if (!lrb_status_is_lost(v, lrb_idset_flags(&v->documents, document))) return LRB_OK;
    int code = lrb_idset_mark(&v->documents, document, LRB_DOC_TOLD, &before, err);
    if (code || before & LRB_DOC_TOLD) return code;
    return lrb_report_add(&v->report, LRB_CHECK_STATUS_GONE, (const char *)file->name_1.data, file->name_1.length, err);
}

static int name_chunk(lrb_validation *v, lrb_file *file, const lrb_hash *chunk, lrb_err *err) {
    lrb_hash document = lrb_hash_of_buf(v, &file->name_1);
    int code = name_owner(v, file, &document, err);
    if (code || !lrb_vectors_read(v, LRB_OF_CHUNKS) || lrb_idset_flags(&v->chunks, chunk) & LRB_CHUNK_HAS_VECTOR) return code;
    bool unfinished = lrb_is_unfinished(v, &document);
    return lrb_row_finding(v, file, unfinished ? LRB_CHECK_CHUNK_UNFINISHED : LRB_CHECK_CHUNK_NO_VECTOR, err);
}

static int take_whether_empty(lrb_file *file, const lrb_json_value *value, bool *is_empty, lrb_err *err) {
    lrb_json_text text;
    *is_empty = false;
    if (value->kind != LRB_JSON_STRING) return lrb_json_skip(file->json, value, err);
    int code = lrb_json_text_of(file->json, 4, &text, err); /* a character at least */
    *is_empty = !code && !text.length;
    return code;
}

static int take_chunk_member(lrb_validation *v, lrb_file *file, const lrb_json_value *value, chunk_row *row, lrb_err *err) {
    bool is_text = value->kind == LRB_JSON_STRING, is_list;
    uint64_t items;
    if (lrb_json_key_is(value, "llm_cache_list")) return lrb_take_ids(v, file, value, &is_list, &items, err);
    if (lrb_json_key_is(value, "full_doc_id")) {
        row->has_document = is_text;
        return lrb_take_text(file, value, &file->name_1, PATH_TEXT, err);
    }
    if (lrb_json_key_is(value, "content")) {
        row->has_text = is_text;
        return take_whether_empty(file, value, &row->is_empty, err);
    }
    if (lrb_json_key_is(value, "source_id")) row->has_source = is_text;
    else if (lrb_json_key_is(value, "status")) row->has_status = is_text;
    return lrb_json_skip(file->json, value, err);
}

int lrb_row_text_chunks(lrb_validation *v, lrb_file *file, lrb_err *err) {
    lrb_json_value value;
    chunk_row row = {.has_text = false};
    lrb_buf_empty(&file->name_1);
    lrb_sources_empty(&file->sources);
    for (;;) {
        int code = lrb_row_member(v, file, &value, err);
        if (code) return code;
        if (value.kind == LRB_JSON_OBJECT_END) break;
        if ((code = take_chunk_member(v, file, &value, &row, err))) return code;
    }
    lrb_hash chunk = lrb_hash_of_buf(v, &file->row_key);
    return file->looking ? name_chunk(v, file, &chunk, err) : note_chunk(v, file, &row, &chunk, err);
}

/* ---- the LLM cache ---- */

int lrb_row_llm_cache(lrb_validation *v, lrb_file *file, lrb_err *err) {
    bool was;
    lrb_hash answer = lrb_hash_of_buf(v, &file->row_key);
    lrb_report_count(&v->report, LRB_AMOUNT_LLM_ANSWERS, 1);
    int code = lrb_idset_join(&v->answers, &answer, &was, err);
    return code ? code : lrb_row_ignored(v, file, err);
}
