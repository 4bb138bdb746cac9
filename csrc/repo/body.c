#include "repo/body.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "repo/sequence.h"

enum { CUT_MODULUS = 64, CHUNK_ROOM_BYTES = LRB_RECORD_HEAD_BYTES + LRB_RECORD_MAX_BYTES };

/* ---- writing ---- */

struct lrb_body_writer {
    lrb_recipe_store store;
    void *arg;
    lrb_recipe_builder *builder;
    lrb_digest *cut_digest, *data_digest;
    lrb_buf record, chunk; /* the record being added; those of the open chunk */
    lrb_sequence sequence;
    uint64_t items, size_bytes;
    bool broken; /* a record may have been lost */
};

int lrb_body_writer_new(lrb_recipe_store store, void *arg, lrb_body_writer **out, lrb_err *err) {
    lrb_body_writer *writer = lrb_alloc_zero(1, sizeof *writer);
    if (!writer) return lrb_err_nomem(err, "write a snapshot's body");
    writer->store = store;
    writer->arg = arg;
    lrb_buf_init(&writer->record, CHUNK_ROOM_BYTES);
    lrb_buf_init(&writer->chunk, CHUNK_ROOM_BYTES);
    int code = lrb_recipe_builder_new(store, arg, &writer->builder, err);
    if (!code) code = lrb_digest_new(&writer->cut_digest, err);
    if (!code) code = lrb_digest_new(&writer->data_digest, err);
    if (!code) code = lrb_digest_begin(writer->data_digest, err);
    if (code)
        lrb_body_writer_free(writer);
    else
        *out = writer;
    return code;
}

void lrb_body_writer_free(lrb_body_writer *writer) {
    if (!writer) return;
    lrb_recipe_builder_free(writer->builder);
    lrb_digest_free(writer->cut_digest);
    lrb_digest_free(writer->data_digest);
    lrb_buf_clear(&writer->record);
    lrb_buf_clear(&writer->chunk);
    lrb_free(writer);
}

static int invalid(lrb_err *err, const char *name, size_t length, const char *complaint) {
    char shown[120];
    lrb_name_printable(shown, sizeof shown, name, length);
    return lrb_err_set(err, LRB_E_INVALID, "write a snapshot's body", shown, "'%s' %s", shown, complaint);
}

/* Why nothing more may be written, or that this record may not come next. */
static int check_next(const lrb_body_writer *writer, const lrb_body_record *record, const char *name, size_t length,
                      lrb_err *err) {
    if (writer->broken)
        return lrb_err_set(err, LRB_E_INTERNAL, "write a snapshot's body", "",
                           "a body was continued after it had failed");
    const char *complaint = lrb_sequence_complaint(&writer->sequence, record);
    return complaint ? invalid(err, name, length, complaint) : LRB_OK;
}

static int end_chunk(lrb_body_writer *writer, lrb_err *err) {
    if (!writer->chunk.length) return LRB_OK;
    lrb_row row = {.kind = LRB_CHUNK_BODY, .count = (uint32_t)writer->chunk.length};
    int code = writer->store(writer->arg, row.kind, writer->chunk.data, writer->chunk.length, &row.id, err);
    if (!code) code = lrb_recipe_builder_add(writer->builder, &row, err);
    lrb_buf_empty(&writer->chunk);
    return code;
}

static int record_cuts(lrb_body_writer *writer, bool *cuts, lrb_err *err) {
    uint8_t digest[LRB_DIGEST_BYTES];
    int code = lrb_digest_begin(writer->cut_digest, err);
    if (!code) code = lrb_digest_update(writer->cut_digest, writer->record.data, writer->record.length, err);
    if (!code) code = lrb_digest_finish(writer->cut_digest, digest, err);
    if (!code) *cuts = lrb_get_u64(digest) % CUT_MODULUS == 0;
    return code;
}

static int place_record(lrb_body_writer *writer, lrb_body_type type, lrb_err *err) {
    const lrb_buf *record = &writer->record;
    bool cuts = type == LRB_BODY_FACTS;
    int code = cuts ? LRB_OK : record_cuts(writer, &cuts, err);
    if (!code && writer->chunk.length + record->length > LRB_BODY_CHUNK_MAX_BYTES) code = end_chunk(writer, err);
    if (!code) code = lrb_buf_append(&writer->chunk, record->data, record->length, err);
    if (!code && cuts) code = end_chunk(writer, err);
    return code;
}

/* Moves the encoded record, when encoding went well, into the chunk. An INVALID record has left no trace. */
static int finish_record(lrb_body_writer *writer, const lrb_body_record *record, int code, lrb_err *err) {
    if (code == LRB_E_INVALID) return code;
    if (!code) code = place_record(writer, record->type, err);
    if (!code) lrb_sequence_note(&writer->sequence, record);
    writer->broken = code != LRB_OK;
    return code;
}

int lrb_body_writer_facts(lrb_body_writer *writer, const char *json, size_t count, lrb_err *err) {
    lrb_body_record record = {.type = LRB_BODY_FACTS};
    int code = check_next(writer, &record, "facts", 5, err);
    if (code) return code;
    lrb_buf_empty(&writer->record);
    return finish_record(writer, &record, lrb_record_put_facts(&writer->record, json, count, err), err);
}

static int hash_item(lrb_digest *digest, const lrb_body_item *item, lrb_err *err) {
    uint8_t length[4], size[8];
    if (item->type == LRB_FILE_DIRECTORY) return LRB_OK;
    lrb_put_u32(length, (uint32_t)item->name_length);
    lrb_put_u64(size, item->size_bytes);
    int code = lrb_digest_update(digest, length, sizeof length, err);
    if (!code) code = lrb_digest_update(digest, item->name, item->name_length, err);
    if (!code) code = lrb_digest_update(digest, size, sizeof size, err);
    if (!code) code = lrb_digest_update(digest, item->sha256, sizeof item->sha256, err);
    return code;
}

int lrb_body_writer_item(lrb_body_writer *writer, const lrb_body_item *item, lrb_err *err) {
    lrb_body_record record = {.type = LRB_BODY_ITEM, .item = *item};
    lrb_buf_empty(&writer->record);
    int code = check_next(writer, &record, item->name, item->name_length, err);
    if (code) return code;
    if (item->size_bytes > UINT64_MAX - writer->size_bytes)
        return invalid(err, item->name, item->name_length, "made the sizes of all items overflow");
    code = lrb_record_put_item(&writer->record, item, err);
    if (!code) code = hash_item(writer->data_digest, item, err);
    code = finish_record(writer, &record, code, err);
    if (code) return code;
    writer->items++;
    writer->size_bytes += item->size_bytes;
    return LRB_OK;
}

int lrb_body_writer_skipped(lrb_body_writer *writer, const char *name, const char *reason, lrb_err *err) {
    const lrb_sequence *sequence = &writer->sequence;
    lrb_body_record record = {.type = LRB_BODY_SKIPPED, .skipped = name, .skipped_length = strlen(name)};
    if (sequence->last == LRB_BODY_SKIPPED && record.skipped_length == sequence->length &&
        memcmp(name, sequence->name, sequence->length) == 0)
        return LRB_OK;
    int code = check_next(writer, &record, name, record.skipped_length, err);
    if (code) return code;
    lrb_buf_empty(&writer->record);
    return finish_record(writer, &record, lrb_record_put_skipped(&writer->record, name, reason, err), err);
}

int lrb_body_writer_finish(lrb_body_writer *writer, lrb_row *root, uint8_t data_hash[32], uint64_t *items,
                           uint64_t *size_bytes, lrb_err *err) {
    if (writer->broken)
        return lrb_err_set(err, LRB_E_INTERNAL, "write a snapshot's body", "",
                           "a body was finished after it had failed");
    if (!writer->sequence.last)
        return lrb_err_set(err, LRB_E_INVALID, "write a snapshot's body", "", "a body was finished without facts");
    writer->broken = true;
    int code = end_chunk(writer, err);
    if (!code) code = lrb_recipe_builder_finish(writer->builder, root, err);
    if (!code) code = lrb_digest_finish(writer->data_digest, data_hash, err);
    if (code) return code;
    *items = writer->items;
    *size_bytes = writer->size_bytes;
    return LRB_OK;
}

/* ---- reading ---- */

struct lrb_body_reader {
    lrb_recipe_fetch fetch;
    void *arg;
    lrb_recipe_walker *walker;
    lrb_buf content; /* of the chunk being read */
    lrb_view left;   /* what of it was not read yet */
    char label[32];
    lrb_sequence sequence;
};

int lrb_body_reader_new(const lrb_row *root, lrb_recipe_fetch fetch, void *arg, lrb_body_reader **out, lrb_err *err) {
    lrb_body_reader *reader = lrb_alloc_zero(1, sizeof *reader);
    if (!reader) return lrb_err_nomem(err, "read a snapshot's body");
    reader->fetch = fetch;
    reader->arg = arg;
    lrb_buf_init(&reader->content, LRB_CONTENT_MAX_BYTES);
    int code = lrb_recipe_walker_new(root, fetch, arg, &reader->walker, err);
    if (code)
        lrb_body_reader_free(reader);
    else
        *out = reader;
    return code;
}

void lrb_body_reader_free(lrb_body_reader *reader) {
    if (!reader) return;
    lrb_recipe_walker_free(reader->walker);
    lrb_buf_clear(&reader->content);
    lrb_free(reader);
}

static int damaged(const lrb_body_reader *reader, const char *what, lrb_err *err) {
    return lrb_err_set(err, LRB_E_DAMAGED, "read a snapshot's body", reader->label, "%s %s", reader->label, what);
}

static int next_chunk(lrb_body_reader *reader, bool *done, lrb_err *err) {
    lrb_row row;
    char prefix[17];
    int code = lrb_recipe_walker_next(reader->walker, false, &row, done, err);
    if (code || *done) return code;
    lrb_id_prefix(&row.id, prefix);
    snprintf(reader->label, sizeof reader->label, "body chunk %s", prefix);
    if (row.kind != LRB_CHUNK_BODY || !row.count || row.count > CHUNK_ROOM_BYTES)
        return damaged(reader, "is of a kind or length that no body has", err);
    lrb_buf_empty(&reader->content);
    code = reader->fetch(reader->arg, &row, &reader->content, err);
    if (code) return code;
    if (reader->content.length != row.count) return damaged(reader, "did not have the length it was named with", err);
    reader->left = lrb_view_of(reader->content.data, reader->content.length);
    return LRB_OK;
}

static int check_order(const lrb_body_reader *reader, const lrb_body_record *record, lrb_err *err) {
    const char *complaint = lrb_sequence_complaint(&reader->sequence, record);
    if (!complaint) return LRB_OK;
    bool item = record->type == LRB_BODY_ITEM;
    char shown[120] = "facts";
    if (record->type != LRB_BODY_FACTS)
        lrb_name_printable(shown, sizeof shown, item ? record->item.name : record->skipped,
                           item ? record->item.name_length : record->skipped_length);
    return lrb_err_set(err, LRB_E_DAMAGED, "read a snapshot's body", reader->label, "'%s' %s", shown, complaint);
}

int lrb_body_reader_next(lrb_body_reader *reader, lrb_body_record *record, bool *done, lrb_err *err) {
    int code = LRB_OK;
    *done = false;
    if (!reader->left.left) code = next_chunk(reader, done, err);
    if (code) return code;
    if (*done && !reader->sequence.last)
        return lrb_err_set(err, LRB_E_DAMAGED, "read a snapshot's body", "body", "the body had no facts");
    if (*done) return LRB_OK;
    code = lrb_record_parse(&reader->left, reader->label, record, err);
    if (!code) code = check_order(reader, record, err);
    if (!code) lrb_sequence_note(&reader->sequence, record);
    return code;
}
