#include "repo/snapshot.h"

#include "base/mem.h"

const lrb_shape lrb_snapshot_shape = {
    .once = LRB_FIELD_BIT(LRB_F_SNAPSHOT_ID) | LRB_FIELD_BIT(LRB_F_CREATED_NS) | LRB_FIELD_BIT(LRB_F_SIZE_BYTES) |
            LRB_FIELD_BIT(LRB_F_DATA_HASH) | LRB_FIELD_BIT(LRB_F_CONSISTENCY) | LRB_FIELD_BIT(LRB_F_VERDICT) |
            LRB_FIELD_BIT(LRB_F_RETENTION_DAYS) | LRB_FIELD_BIT(LRB_F_BODY_ROOT) | LRB_FIELD_BIT(LRB_F_ITEM_COUNT) |
            LRB_FIELD_BIT(LRB_F_METADATA) | LRB_FIELD_BIT(LRB_F_SAFETY),
    .required = LRB_FIELD_BIT(LRB_F_SNAPSHOT_ID) | LRB_FIELD_BIT(LRB_F_CREATED_NS) | LRB_FIELD_BIT(LRB_F_SIZE_BYTES) |
                LRB_FIELD_BIT(LRB_F_DATA_HASH) | LRB_FIELD_BIT(LRB_F_CONSISTENCY) |
                LRB_FIELD_BIT(LRB_F_RETENTION_DAYS) | LRB_FIELD_BIT(LRB_F_BODY_ROOT) | LRB_FIELD_BIT(LRB_F_ITEM_COUNT),
};

/* ---- what may stand in a snapshot, asked both when writing and when reading ---- */

static bool is_id_char(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           c == '-' || c == '_' || c == '.';
}

bool lrb_snapshot_id_valid(const char *id) {
    size_t length = 0;
    while (length < LRB_SNAPSHOT_ID_MAX && is_id_char(id[length])) length++;
    return length > 0 && length < LRB_SNAPSHOT_ID_MAX && !id[length];
}

static bool word_valid(const char *word) {
    size_t length = 0;
    while (length < LRB_WORD_MAX && ((word[length] >= 'a' && word[length] <= 'z') || word[length] == '_')) length++;
    return length > 0 && length < LRB_WORD_MAX && !word[length];
}

/* ---- encoding ---- */

static int check_writable(const lrb_snapshot *s, lrb_err *err) {
    if (!lrb_snapshot_id_valid(s->id))
        return lrb_err_set(err, LRB_E_INVALID, "encode", "snapshot",
                           "a snapshot id was not 1 to 39 letters, digits, '-', '_' or '.'");
    if (!word_valid(s->consistency) || (s->verdict[0] && !word_valid(s->verdict)))
        return lrb_err_set(err, LRB_E_INVALID, "encode", s->id, "consistency or verdict was no lower-case word");
    if (s->metadata && strlen(s->metadata) > LRB_METADATA_MAX_BYTES)
        return lrb_err_set(err, LRB_E_LIMIT, "encode", s->id,
                           "the metadata was %zu bytes of JSON, and at most %d may be stored",
                           strlen(s->metadata), LRB_METADATA_MAX_BYTES);
    return LRB_OK;
}

static int put_root(lrb_buf *out, const lrb_row *root, lrb_err *err) {
    uint8_t row[LRB_ROW_BYTES];
    lrb_row_encode(root, row);
    return lrb_field_put(out, LRB_F_BODY_ROOT, row, sizeof row, err);
}

/* Fields that are absent at their default, so that the common snapshot stays small. */
static int put_options(lrb_buf *out, const lrb_snapshot *s, lrb_err *err) {
    static const uint8_t yes = 1;
    int code = LRB_OK;
    if (s->verdict[0]) code = lrb_field_put_text(out, LRB_F_VERDICT, s->verdict, err);
    if (!code && s->metadata && s->metadata[0] && strcmp(s->metadata, "{}"))
        code = lrb_field_put_text(out, LRB_F_METADATA, s->metadata, err);
    if (!code && s->safety) code = lrb_field_put(out, LRB_F_SAFETY, &yes, 1, err);
    return code;
}

int lrb_snapshot_encode(const lrb_snapshot *s, lrb_buf *out, lrb_err *err) {
    size_t before = out->length;
    int code = check_writable(s, err);
    if (!code) code = lrb_field_put_text(out, LRB_F_SNAPSHOT_ID, s->id, err);
    if (!code) code = lrb_field_put_u64(out, LRB_F_CREATED_NS, (uint64_t)s->created_ns, err);
    if (!code) code = lrb_field_put_u64(out, LRB_F_SIZE_BYTES, s->size_bytes, err);
    if (!code) code = lrb_field_put(out, LRB_F_DATA_HASH, s->data_hash.bytes, sizeof s->data_hash.bytes, err);
    if (!code) code = lrb_field_put_text(out, LRB_F_CONSISTENCY, s->consistency, err);
    if (!code) code = lrb_field_put_u32(out, LRB_F_RETENTION_DAYS, s->retention_days, err);
    if (!code) code = put_root(out, &s->body_root, err);
    if (!code) code = lrb_field_put_u64(out, LRB_F_ITEM_COUNT, s->item_count, err);
    if (!code) code = put_options(out, s, err);
    if (code) out->length = before;
    return code;
}

/* ---- decoding ---- */

static int take_metadata(const lrb_field *field, lrb_snapshot *s, const char *label, lrb_err *err) {
    size_t length = field->value.left;
    if (!length || length > LRB_METADATA_MAX_BYTES || memchr(field->value.at, 0, length))
        return lrb_payload_refuse(field->tag, label, err);
    s->metadata = lrb_alloc(length + 1);
    if (!s->metadata) return lrb_err_nomem(err, "read a snapshot entry");
    memcpy(s->metadata, field->value.at, length);
    s->metadata[length] = 0;
    return LRB_OK;
}

static int take_word(const lrb_field *field, char out[LRB_WORD_MAX], const char *label, lrb_err *err) {
    int code = lrb_payload_text(field, out, LRB_WORD_MAX, label, err);
    if (!code && !word_valid(out)) code = lrb_payload_refuse(field->tag, label, err);
    return code;
}

static int take_id(const lrb_field *field, char out[LRB_SNAPSHOT_ID_MAX], const char *label, lrb_err *err) {
    int code = lrb_payload_text(field, out, LRB_SNAPSHOT_ID_MAX, label, err);
    if (!code && !lrb_snapshot_id_valid(out)) code = lrb_payload_refuse(field->tag, label, err);
    return code;
}

static int take_root(const lrb_field *field, lrb_row *root, const char *label, lrb_err *err) {
    uint8_t row[LRB_ROW_BYTES];
    if (!lrb_field_fixed(field, row, sizeof row)) return lrb_payload_refuse(field->tag, label, err);
    return lrb_row_decode(row, root, label, err);
}

static int take_flag(const lrb_field *field, bool *flag, const char *label, lrb_err *err) {
    if (field->value.left != 1 || field->value.at[0] != 1) return lrb_payload_refuse(field->tag, label, err);
    *flag = true;
    return LRB_OK;
}

static int take_fixed(const lrb_field *field, void *into, size_t count, const char *label, lrb_err *err) {
    return lrb_field_fixed(field, into, count) ? LRB_OK : lrb_payload_refuse(field->tag, label, err);
}

static int take_u64(const lrb_field *field, uint64_t *value, const char *label, lrb_err *err) {
    return lrb_field_u64(field, value) ? LRB_OK : lrb_payload_refuse(field->tag, label, err);
}

static int take_created(const lrb_field *field, int64_t *created_ns, const char *label, lrb_err *err) {
    uint64_t value = 0;
    int code = take_u64(field, &value, label, err);
    *created_ns = (int64_t)value;
    return code;
}

static int take_field(const lrb_field *f, lrb_snapshot *s, const char *label, lrb_err *err) {
    switch (f->tag) {
    case LRB_F_SNAPSHOT_ID: return take_id(f, s->id, label, err);
    case LRB_F_CREATED_NS: return take_created(f, &s->created_ns, label, err);
    case LRB_F_SIZE_BYTES: return take_u64(f, &s->size_bytes, label, err);
    case LRB_F_ITEM_COUNT: return take_u64(f, &s->item_count, label, err);
    case LRB_F_DATA_HASH:
        return take_fixed(f, s->data_hash.bytes, LRB_DIGEST_BYTES, label, err);
    case LRB_F_CONSISTENCY: return take_word(f, s->consistency, label, err);
    case LRB_F_VERDICT: return take_word(f, s->verdict, label, err);
    case LRB_F_RETENTION_DAYS:
        return lrb_field_u32(f, &s->retention_days) ? LRB_OK : lrb_payload_refuse(f->tag, label, err);
    case LRB_F_BODY_ROOT: return take_root(f, &s->body_root, label, err);
    case LRB_F_METADATA: return take_metadata(f, s, label, err);
    case LRB_F_SAFETY: return take_flag(f, &s->safety, label, err);
    default: return LRB_OK;
    }
}

int lrb_snapshot_decode(const uint8_t *bytes, size_t count, const char *label, lrb_snapshot *s, lrb_err *err) {
    lrb_view view = lrb_view_of(bytes, count);
    lrb_field field;
    int code = LRB_OK;
    memset(s, 0, sizeof *s);
    while (!code && lrb_field_next(&view, &field)) code = take_field(&field, s, label, err);
    if (!code && !s->metadata) {
        s->metadata = lrb_copy_string("{}");
        if (!s->metadata) code = lrb_err_nomem(err, "read a snapshot entry");
    }
    if (code) lrb_snapshot_clear(s);
    return code;
}

void lrb_snapshot_clear(lrb_snapshot *s) {
    for (uint32_t i = 0; i < s->holder_count; i++) lrb_free(s->holders[i]);
    lrb_free(s->holders);
    lrb_free(s->metadata);
    memset(s, 0, sizeof *s);
}

/* ---- holders ---- */

static uint32_t find_holder(const lrb_snapshot *s, const char *holder) {
    uint32_t i = 0;
    while (i < s->holder_count && strcmp(s->holders[i], holder)) i++;
    return i;
}

int lrb_snapshot_hold(lrb_snapshot *s, const char *holder, lrb_err *err) {
    if (find_holder(s, holder) < s->holder_count) return LRB_OK;
    char *copy = lrb_copy_string(holder);
    char **holders = copy ? lrb_resize_array(s->holders, (size_t)s->holder_count + 1, sizeof *holders) : NULL;
    if (!holders) {
        lrb_free(copy);
        return lrb_err_nomem(err, "hold a snapshot");
    }
    s->holders = holders;
    s->holders[s->holder_count++] = copy;
    return LRB_OK;
}

void lrb_snapshot_release(lrb_snapshot *s, const char *holder) {
    uint32_t at = find_holder(s, holder);
    if (at == s->holder_count) return;
    lrb_free(s->holders[at]);
    s->holder_count--;
    memmove(s->holders + at, s->holders + at + 1, (s->holder_count - at) * sizeof *s->holders);
}
