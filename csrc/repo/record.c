#include "repo/record.h"

#include <string.h>

#include "base/path.h"
#include "repo/field.h"

enum { SHOWN_NAME_BYTES = 120 };

/* ---- what an item can be ---- */

static const char *link_complaint(const lrb_body_item *item) {
    if (item->type != LRB_FILE_SYMLINK) return item->link_target_length ? "has a link target but is no symlink" : NULL;
    if (!item->link_target_length || item->link_target_length >= LRB_PATH_MAX ||
        memchr(item->link_target, 0, item->link_target_length))
        return "has a link target that no symlink can have";
    return item->size_bytes == item->link_target_length ? NULL : "is a symlink of another size than its target";
}

/* Why an item cannot be, or NULL. */
static const char *item_complaint(const lrb_body_item *item) {
    if (!lrb_name_valid(item->name, item->name_length)) return "has a name that no item may have";
    if (item->type != LRB_FILE_REGULAR && item->type != LRB_FILE_DIRECTORY && item->type != LRB_FILE_SYMLINK)
        return "is neither a file nor a directory nor a symlink";
    if (item->mode > 07777) return "has more than permission bits in its mode";
    if (item->type == LRB_FILE_DIRECTORY && item->size_bytes) return "is a directory with a size";
    bool has_content = item->type == LRB_FILE_REGULAR && item->size_bytes;
    bool names_content = item->root.kind == LRB_CHUNK_RAW || item->root.kind == LRB_CHUNK_RECIPE;
    if (has_content ? !names_content : item->root.kind != LRB_CHUNK_NONE)
        return "has a root that does not fit its type and size";
    return link_complaint(item);
}

/* ---- encoding ---- */

static int refuse(lrb_err *err, const char *name, size_t length, const char *complaint) {
    char shown[SHOWN_NAME_BYTES];
    lrb_name_printable(shown, sizeof shown, name, length);
    return lrb_err_set(err, LRB_E_INVALID, "encode a record", shown, "'%s' %s", shown, complaint);
}

static int begin_record(lrb_buf *out, lrb_body_type type, lrb_err *err) {
    uint8_t head[LRB_RECORD_HEAD_BYTES] = {(uint8_t)type};
    return lrb_buf_append(out, head, sizeof head, err);
}

/* Completes the head of the record that begins at `start`, or takes its bytes back after a failure. */
static int end_record(lrb_buf *out, size_t start, int code, lrb_err *err) {
    size_t value_bytes = code ? 0 : out->length - start - LRB_RECORD_HEAD_BYTES;
    if (value_bytes > LRB_RECORD_MAX_BYTES)
        code = lrb_err_set(err, LRB_E_LIMIT, "encode a record", "", "a record of %zu bytes was above the ceiling of %d",
                           value_bytes, (int)LRB_RECORD_MAX_BYTES);
    if (code)
        out->length = start;
    else
        lrb_put_u32(out->data + start + 4, (uint32_t)value_bytes);
    return code;
}

int lrb_record_put_facts(lrb_buf *out, const char *json, size_t count, lrb_err *err) {
    if (!count) return lrb_err_set(err, LRB_E_INVALID, "encode a record", "", "the facts were empty");
    size_t start = out->length;
    int code = begin_record(out, LRB_BODY_FACTS, err);
    if (!code) code = lrb_buf_append(out, json, count, err);
    return end_record(out, start, code, err);
}

static int put_content_fields(lrb_buf *out, const lrb_body_item *item, lrb_err *err) {
    int code = lrb_field_put_u64(out, LRB_F_SIZE_BYTES, item->size_bytes, err);
    if (!code) code = lrb_field_put(out, LRB_F_SHA256, item->sha256, sizeof item->sha256, err);
    if (code) return code;
    if (item->type == LRB_FILE_SYMLINK)
        return lrb_field_put(out, LRB_F_LINK_TARGET, item->link_target, item->link_target_length, err);
    uint8_t root[LRB_ROW_BYTES];
    lrb_row_encode(&item->root, root);
    return lrb_field_put(out, LRB_F_ROOT, root, sizeof root, err);
}

int lrb_record_put_item(lrb_buf *out, const lrb_body_item *item, lrb_err *err) {
    const char *complaint = item_complaint(item);
    if (complaint) return refuse(err, item->name, item->name_length, complaint);
    uint8_t type = (uint8_t)item->type;
    size_t start = out->length;
    int code = begin_record(out, LRB_BODY_ITEM, err);
    if (!code) code = lrb_field_put(out, LRB_F_NAME, item->name, item->name_length, err);
    if (!code) code = lrb_field_put(out, LRB_F_TYPE, &type, sizeof type, err);
    if (!code) code = lrb_field_put_u32(out, LRB_F_MODE, item->mode, err);
    if (!code) code = lrb_field_put_u64(out, LRB_F_MTIME_NS, (uint64_t)item->mtime_ns, err);
    if (!code && item->type != LRB_FILE_DIRECTORY) code = put_content_fields(out, item, err);
    return end_record(out, start, code, err);
}

int lrb_record_put_skipped(lrb_buf *out, const char *name, const char *reason, lrb_err *err) {
    size_t length = strlen(name), start = out->length;
    if (!lrb_name_valid(name, length)) return refuse(err, name, length, "is a name that no item may have");
    int code = begin_record(out, LRB_BODY_SKIPPED, err);
    if (!code) code = lrb_field_put(out, LRB_F_NAME, name, length, err);
    if (!code) code = lrb_field_put_text(out, LRB_F_REASON, reason, err);
    return end_record(out, start, code, err);
}

/* ---- parsing ---- */

enum {
    HAS_NAME = 1 << 0,
    HAS_TYPE = 1 << 1,
    HAS_MODE = 1 << 2,
    HAS_MTIME = 1 << 3,
    HAS_SIZE = 1 << 4,
    HAS_SHA256 = 1 << 5,
    HAS_ROOT = 1 << 6,
    HAS_LINK = 1 << 7,
    HAS_REASON = 1 << 8,
    DIRECTORY_HAS = HAS_NAME | HAS_TYPE | HAS_MODE | HAS_MTIME,
    SYMLINK_HAS = DIRECTORY_HAS | HAS_SIZE | HAS_SHA256 | HAS_LINK,
    FILE_HAS = DIRECTORY_HAS | HAS_SIZE | HAS_SHA256 | HAS_ROOT,
    SKIPPED_HAS = HAS_NAME | HAS_REASON
};

/* Everything fields can say, before it is known to make sense. */
typedef struct parsed {
    unsigned has;
    lrb_view name, link_target, reason;
    uint8_t type, sha256[32], root[LRB_ROW_BYTES];
    uint32_t mode;
    uint64_t mtime_ns, size_bytes;
} parsed;

static int damaged(lrb_err *err, const char *label, const char *what) {
    return lrb_err_set(err, LRB_E_DAMAGED, "read a record", label, "a record of a snapshot's body %s", what);
}

/* The HAS_ bit of the field, 0 for a tag that no record has; *fits is false when the value has a wrong length. */
static unsigned take_field(const lrb_field *field, parsed *into, bool *fits) {
    switch (field->tag) {
    case LRB_F_NAME: into->name = field->value; return HAS_NAME;
    case LRB_F_TYPE: *fits = lrb_field_fixed(field, &into->type, sizeof into->type); return HAS_TYPE;
    case LRB_F_MODE: *fits = lrb_field_u32(field, &into->mode); return HAS_MODE;
    case LRB_F_MTIME_NS: *fits = lrb_field_u64(field, &into->mtime_ns); return HAS_MTIME;
    case LRB_F_SIZE_BYTES: *fits = lrb_field_u64(field, &into->size_bytes); return HAS_SIZE;
    case LRB_F_SHA256: *fits = lrb_field_fixed(field, into->sha256, sizeof into->sha256); return HAS_SHA256;
    case LRB_F_ROOT: *fits = lrb_field_fixed(field, into->root, sizeof into->root); return HAS_ROOT;
    case LRB_F_LINK_TARGET: into->link_target = field->value; return HAS_LINK;
    case LRB_F_REASON: into->reason = field->value; return HAS_REASON;
    default: return 0;
    }
}

static int parse_fields(lrb_view value, const char *label, parsed *into, lrb_err *err) {
    lrb_field field;
    while (lrb_field_next(&value, &field)) {
        bool fits = true;
        unsigned bit = take_field(&field, into, &fits);
        if (!bit && !(field.tag & LRB_FIELD_OPTIONAL))
            return lrb_err_set(err, LRB_E_UNSUPPORTED, "read a record", label,
                               "a record of a snapshot's body has field %u, which needs a newer version",
                               (unsigned)field.tag);
        if (!fits) return damaged(err, label, "had a field of a wrong length");
        if (into->has & bit) return damaged(err, label, "had a field twice");
        into->has |= bit;
    }
    return value.bad ? damaged(err, label, "had a field that ran over its end") : LRB_OK;
}

static bool has_what_its_type_needs(const parsed *fields) {
    if (fields->type == LRB_FILE_REGULAR) return fields->has == FILE_HAS;
    if (fields->type == LRB_FILE_SYMLINK) return fields->has == SYMLINK_HAS;
    return fields->has == DIRECTORY_HAS;
}

static int parse_item(lrb_view value, const char *label, lrb_body_item *item, lrb_err *err) {
    parsed fields = {0};
    int code = parse_fields(value, label, &fields, err);
    if (code) return code;
    if (!has_what_its_type_needs(&fields)) return damaged(err, label, "had not the fields of its type");
    *item = (lrb_body_item){
        .name = (const char *)fields.name.at,
        .name_length = fields.name.left,
        .type = (lrb_file_type)fields.type,
        .mode = fields.mode,
        .mtime_ns = (int64_t)fields.mtime_ns,
        .size_bytes = fields.size_bytes,
        .link_target = (const char *)fields.link_target.at,
        .link_target_length = fields.link_target.left,
    };
    memcpy(item->sha256, fields.sha256, sizeof item->sha256);
    code = lrb_row_decode(fields.root, &item->root, label, err);
    if (code) return code;
    const char *complaint = item_complaint(item);
    if (!complaint) return LRB_OK;
    char shown[SHOWN_NAME_BYTES];
    lrb_name_printable(shown, sizeof shown, item->name, item->name_length);
    return lrb_err_set(err, LRB_E_DAMAGED, "read a record", label, "item '%s' %s", shown, complaint);
}

static int parse_skipped(lrb_view value, const char *label, lrb_body_record *record, lrb_err *err) {
    parsed fields = {0};
    int code = parse_fields(value, label, &fields, err);
    if (code) return code;
    if (fields.has != SKIPPED_HAS) return damaged(err, label, "had not the fields of its type");
    record->skipped = (const char *)fields.name.at;
    record->skipped_length = fields.name.left;
    record->reason = (const char *)fields.reason.at;
    record->reason_length = fields.reason.left;
    if (lrb_name_valid(record->skipped, record->skipped_length)) return LRB_OK;
    return damaged(err, label, "had a skipped name that no item may have");
}

static int parse_facts(lrb_view value, const char *label, lrb_body_record *record, lrb_err *err) {
    if (!value.left) return damaged(err, label, "had no facts");
    record->facts = (const char *)value.at;
    record->facts_length = value.left;
    return LRB_OK;
}

int lrb_record_parse(lrb_view *bytes, const char *label, lrb_body_record *record, lrb_err *err) {
    const uint8_t *head = lrb_view_bytes(bytes, LRB_RECORD_HEAD_BYTES);
    if (!head) return damaged(err, label, "ended within its head");
    uint32_t length = lrb_get_u32(head + 4);
    if (head[1] || head[2] || head[3] || length > LRB_RECORD_MAX_BYTES) return damaged(err, label, "had a broken head");
    lrb_view value = lrb_view_of(lrb_view_bytes(bytes, length), length);
    if (bytes->bad) return damaged(err, label, "ran over the end of its chunk");
    *record = (lrb_body_record){.type = (lrb_body_type)head[0]};
    switch (head[0]) {
    case LRB_BODY_FACTS: return parse_facts(value, label, record, err);
    case LRB_BODY_ITEM: return parse_item(value, label, &record->item, err);
    case LRB_BODY_SKIPPED: return parse_skipped(value, label, record, err);
    default:
        return lrb_err_set(err, LRB_E_UNSUPPORTED, "read a record", label,
                           "a snapshot's body has a record of type %u, which needs a newer version", (unsigned)head[0]);
    }
}
