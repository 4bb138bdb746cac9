#include "engine/journal.h"

#include "base/mem.h"
#include "base/wire.h"
#include "codec/digest.h"

#include <stdio.h>
#include <string.h>

static const char MAGIC[8] = {'l', 'r', 'b', 'j', 'r', 'n', 'l', '1'};

int lrb_journal_begin(lrb_buf *bytes, lrb_err *err) {
    uint8_t header[LRB_JOURNAL_HEADER_BYTES] = {0};
    memcpy(header, MAGIC, sizeof MAGIC);
    lrb_put_u16(header + 8, LRB_JOURNAL_VERSION);
    lrb_buf_init(bytes, LRB_JOURNAL_MAX_BYTES);
    return lrb_buf_append(bytes, header, sizeof header, err);
}

int lrb_journal_add(lrb_buf *bytes, lrb_journal_op op, const char *name, size_t length, uint32_t mode, int64_t mtime_ns,
                    lrb_err *err) {
    if (!lrb_name_valid(name, length))
        return lrb_err_set(err, LRB_E_INVALID, "write journal", name, "not a usable item name");
    uint8_t row[LRB_JOURNAL_ROW_BYTES] = {(uint8_t)op};
    lrb_put_u16(row + 2, (uint16_t)length);
    lrb_put_u32(row + 4, mode);
    lrb_put_u64(row + 8, (uint64_t)mtime_ns);
    int code = lrb_buf_reserve(bytes, sizeof row + length, err);
    if (!code) code = lrb_buf_append(bytes, row, sizeof row, err);
    if (!code) code = lrb_buf_append(bytes, name, length, err);
    if (!code) lrb_put_u32(bytes->data + 16, lrb_get_u32(bytes->data + 16) + 1);
    return code;
}

static int write_durably(const lrb_buf *bytes, int dir, const char *name, lrb_err *err) {
    int fd;
    int code = lrb_fs_unlink(dir, name, err);
    if (!code) code = lrb_fs_create(dir, name, 0600, &fd, err);
    if (code) return code;
    code = lrb_fs_write(fd, bytes->data, bytes->length, name, err);
    if (!code) code = lrb_fs_sync(fd, name, err);
    lrb_fs_close(fd);
    return code;
}

int lrb_journal_save(lrb_buf *bytes, int dir, const char *name, lrb_err *err) {
    uint8_t digest[LRB_DIGEST_BYTES];
    char draft[64];
    snprintf(draft, sizeof draft, "%s.tmp", name);
    int code = lrb_sha256(bytes->data, bytes->length, digest, err);
    if (!code) code = lrb_buf_append(bytes, digest, sizeof digest, err);
    if (!code) code = write_durably(bytes, dir, draft, err);
    if (!code) code = lrb_fs_rename(dir, draft, dir, name, err);
    if (!code) code = lrb_fs_sync(dir, name, err);
    return code;
}

static int damaged(lrb_err *err, const char *label, const char *what) {
    return lrb_err_set(err, LRB_E_DAMAGED, "read journal", label, "%s", what);
}

/* Header and digest; *rows is how many rows there must be. */
static int check_frame(const uint8_t *bytes, size_t count, const char *label, size_t *rows, lrb_err *err) {
    static const uint8_t zero[6];
    uint8_t digest[LRB_DIGEST_BYTES];
    if (count < LRB_JOURNAL_HEADER_BYTES + LRB_DIGEST_BYTES || memcmp(bytes, MAGIC, sizeof MAGIC) != 0)
        return damaged(err, label, "not a journal");
    if (lrb_get_u16(bytes + 8) != LRB_JOURNAL_VERSION)
        return lrb_err_set(err, LRB_E_UNSUPPORTED, "read journal", label,
                           "journal version %u is not known to this version; use a newer one", lrb_get_u16(bytes + 8));
    int code = lrb_sha256(bytes, count - LRB_DIGEST_BYTES, digest, err);
    if (code) return code;
    if (memcmp(digest, bytes + count - LRB_DIGEST_BYTES, LRB_DIGEST_BYTES) != 0)
        return damaged(err, label, "its digest does not match");
    if (memcmp(bytes + 10, zero, 6) != 0 || memcmp(bytes + 20, zero, 4) != 0)
        return damaged(err, label, "reserved bytes are set");
    *rows = lrb_get_u32(bytes + 16);
    if (*rows > (count - LRB_JOURNAL_HEADER_BYTES - LRB_DIGEST_BYTES) / LRB_JOURNAL_ROW_BYTES)
        return damaged(err, label, "it has fewer rows than it claims");
    return LRB_OK;
}

/* Reads one row; its name is not terminated yet. */
static int read_row(lrb_view *view, const char *label, lrb_journal_row *row, const char **name, size_t *length,
                    lrb_err *err) {
    unsigned op = lrb_view_u8(view), zero = lrb_view_u8(view);
    *length = lrb_view_u16(view);
    row->mode = lrb_view_u32(view);
    row->mtime_ns = (int64_t)lrb_view_u64(view);
    *name = (const char *)lrb_view_bytes(view, *length);
    if (view->bad || zero || op < LRB_JOURNAL_PUT || op > LRB_JOURNAL_ASIDE || row->mode > 07777)
        return damaged(err, label, "a row is not well formed");
    if (!lrb_name_valid(*name, *length)) return damaged(err, label, "a row holds a name that leads elsewhere");
    row->op = (lrb_journal_op)op;
    return LRB_OK;
}

/* Names become C strings in place: what follows a name is the next row's op or the digest, both read by then. */
static int read_rows(lrb_journal *out, size_t area_bytes, const char *label, size_t rows, lrb_err *err) {
    uint8_t *area = out->bytes + LRB_JOURNAL_HEADER_BYTES, *end = NULL;
    lrb_view view = lrb_view_of(area, area_bytes);
    for (size_t i = 0; i < rows; i++) {
        size_t length;
        int code = read_row(&view, label, &out->rows[i], &out->names[i], &length, err);
        if (code) return code;
        if (end) *end = '\0';
        end = area + (area_bytes - view.left);
    }
    if (end) *end = '\0';
    if (view.left) return damaged(err, label, "it has bytes behind its last row");
    out->count = rows;
    return LRB_OK;
}

int lrb_journal_parse(uint8_t *bytes, size_t count, const char *label, lrb_journal *out, lrb_err *err) {
    size_t rows = 0;
    *out = (lrb_journal){.bytes = bytes};
    int code = check_frame(bytes, count, label, &rows, err);
    if (!code) {
        out->rows = lrb_alloc_zero(rows, sizeof *out->rows);
        out->names = lrb_alloc_zero(rows, sizeof *out->names);
        if (!out->rows || !out->names) code = lrb_err_nomem(err, "read journal");
    }
    if (!code) code = read_rows(out, count - LRB_JOURNAL_HEADER_BYTES - LRB_DIGEST_BYTES, label, rows, err);
    if (code) lrb_journal_clear(out);
    return code;
}

int lrb_journal_load(int dir, const char *name, const char *label, lrb_journal *out, lrb_err *err) {
    uint8_t *bytes;
    size_t count;
    *out = (lrb_journal){0};
    int code = lrb_fs_read_file(dir, name, LRB_JOURNAL_MAX_BYTES, &bytes, &count, err);
    return code ? code : lrb_journal_parse(bytes, count, label, out, err);
}

void lrb_journal_clear(lrb_journal *journal) {
    lrb_free(journal->rows);
    lrb_free(journal->names);
    lrb_free(journal->bytes);
    *journal = (lrb_journal){0};
}

lrb_names lrb_journal_names(const lrb_journal *journal, lrb_journal_op op) {
    size_t first = 0, end;
    while (first < journal->count && journal->rows[first].op != op) first++;
    for (end = first; end < journal->count && journal->rows[end].op == op;) end++;
    return (lrb_names){.at = journal->names + first, .count = end - first};
}
