#include "engine/restore_private.h"

#include <string.h>

/* ---- errors that name the item ---- */

int lrb_restore_blame(lrb_restore *r, const lrb_restore_item *item, lrb_err *err) {
    char name[120];
    lrb_name_printable(name, sizeof name, item->shown.name, strlen(item->shown.name));
    return lrb_err_context(err, "item %s of snapshot %s", name, r->snapshot_id);
}

static int fail(lrb_restore *r, const lrb_restore_item *item, lrb_code code, const char *what, lrb_err *err) {
    lrb_err_set(err, code, "restore", item->shown.name, "%s", what);
    return lrb_restore_blame(r, item, err);
}

int lrb_restore_mismatch(lrb_restore *r, const lrb_restore_item *item, lrb_err *err) {
    return fail(r, item, LRB_E_DAMAGED,
                "every chunk had the right id, yet the file read back had another SHA-256: the list of its chunks is "
                "wrong, or the disk it is "
                "restored to does not keep what is written",
                err);
}

/* ---- rows ---- */

int lrb_restore_rows_begin(lrb_restore *r, const lrb_restore_item *item, lrb_restore_rows *rows, lrb_err *err) {
    *rows = (lrb_restore_rows){.item = item, .reader = {.repo = r->repo}};
    if (item->root.kind != LRB_CHUNK_RECIPE) return LRB_OK;
    int code = lrb_recipe_walker_new(&item->root, lrb_repo_fetch, &rows->reader, &rows->walker, err);
    if (!code) lrb_recipe_walker_limit(rows->walker, item->shown.size_bytes); /* every row has at least one byte */
    return code;
}

void lrb_restore_rows_end(lrb_restore_rows *rows) {
    lrb_recipe_walker_free(rows->walker);
    rows->walker = NULL;
}

/* The root of an item of one chunk is that chunk; of none, NONE. */
static int next_row(lrb_restore_rows *rows, lrb_row *row, bool *done, lrb_err *err) {
    if (rows->walker) return lrb_recipe_walker_next(rows->walker, false, row, done, err);
    *done = rows->offset > 0 || rows->item->root.kind == LRB_CHUNK_NONE;
    *row = rows->item->root;
    return LRB_OK;
}

/* How many of the item's bytes a row stands for. A later encoding's kinds get their rule here and their decoder in
 * place_content; everything around them stays. */
static int row_bytes(lrb_restore *r, const lrb_restore_item *item, const lrb_row *row, uint64_t *bytes, lrb_err *err) {
    if (row->kind == LRB_CHUNK_RAW) {
        *bytes = row->count;
        return LRB_OK;
    }
    lrb_err_set(err, LRB_E_UNSUPPORTED, "restore", item->shown.name,
                "it holds chunks of kind %s, which this version cannot restore; use a newer one",
                lrb_chunk_kind_name(row->kind));
    return lrb_restore_blame(r, item, err);
}

int lrb_restore_rows_next(lrb_restore *r, lrb_restore_rows *rows, lrb_coder *coder, lrb_row *row, bool *done,
                          lrb_err *err) {
    uint64_t bytes = 0, size = rows->item->shown.size_bytes;
    rows->reader.coder = coder;
    int code = next_row(rows, row, done, err);
    if (code) return lrb_restore_blame(r, rows->item, err);
    rows->over = *done;
    if (*done)
        return rows->offset == size
                   ? LRB_OK
                   : fail(r, rows->item, LRB_E_DAMAGED, "its chunks add up to fewer bytes than its size", err);
    code = row_bytes(r, rows->item, row, &bytes, err);
    if (code) return code;
    if (!bytes) return fail(r, rows->item, LRB_E_DAMAGED, "one of its chunks is listed as empty", err);
    if (bytes > size - rows->offset)
        return fail(r, rows->item, LRB_E_DAMAGED, "its chunks add up to more bytes than its size", err);
    rows->offset += bytes;
    return LRB_OK;
}

/* ---- writing ---- */

static bool all_zero(const uint8_t *bytes, size_t count) {
    return !bytes[0] && !memcmp(bytes, bytes + 1, count - 1);
}

static void count_written(lrb_restore *r, uint64_t bytes, bool hole) {
    atomic_fetch_add_explicit(&r->job.counters.bytes_in, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(hole ? &r->job.counters.bytes_skipped : &r->job.counters.bytes_stored, bytes,
                              memory_order_relaxed);
}

/* Zeros stay a hole: the file has its full size before anything is written. */
static int place_content(lrb_restore *r, const lrb_restore_item *item, int fd, const lrb_row *row,
                         const lrb_buf *content, uint64_t offset, lrb_err *err) {
    if (content->length != row->count)
        return fail(r, item, LRB_E_DAMAGED, "one of its chunks is not as long as it is listed", err);
    bool hole = all_zero(content->data, content->length);
    int code = hole ? LRB_OK : lrb_fs_write_at(fd, content->data, content->length, offset, item->shown.name, err);
    if (!code) count_written(r, content->length, hole);
    return code;
}

int lrb_restore_write_row(lrb_restore *r, lrb_worker *worker, const lrb_restore_item *item, int fd, const lrb_row *row,
                          uint64_t offset, bool check_ids, lrb_err *err) {
    int code = lrb_job_check(&r->job, err);
    if (code) return code;
    code = lrb_repo_read(r->repo, &row->id, row->kind, check_ids, worker->coder, &worker->content, err);
    if (code) return lrb_restore_blame(r, item, err);
    return place_content(r, item, fd, row, &worker->content, offset, err);
}

int lrb_restore_finish_file(lrb_restore *r, const lrb_restore_item *item, int fd, lrb_err *err) {
    int code = lrb_fs_copy_owner(r->staging_dir, fd, item->shown.name, err);
    if (!code) code = lrb_fs_set_attributes(fd, item->mode, item->mtime_ns, item->shown.name, err);
    if (!code && r->durable && r->sync_each) code = lrb_fs_sync(fd, item->shown.name, err);
    return code;
}

/* ---- small items ---- */

static int write_small(lrb_restore *r, lrb_worker *worker, const lrb_restore_item *item, int fd, bool check_ids,
                       lrb_err *err) {
    lrb_restore_rows rows;
    lrb_row row;
    bool done = false;
    int code = lrb_fs_set_size(fd, 0, item->shown.name, err);
    if (!code) code = lrb_fs_set_size(fd, item->shown.size_bytes, item->shown.name, err);
    if (!code) code = lrb_restore_rows_begin(r, item, &rows, err);
    if (code) return code;
    while (!code && !done) {
        uint64_t offset = rows.offset;
        code = lrb_restore_rows_next(r, &rows, worker->coder, &row, &done, err);
        if (!code && !done) code = lrb_restore_write_row(r, worker, item, fd, &row, offset, check_ids, err);
    }
    lrb_restore_rows_end(&rows);
    return code;
}

static int check_small(lrb_worker *worker, const lrb_restore_item *item, int fd, bool *good, lrb_err *err) {
    uint8_t digest[LRB_DIGEST_BYTES];
    size_t size = (size_t)item->shown.size_bytes;
    int code = lrb_fs_read_exact(fd, worker->input, size, 0, item->shown.name, err);
    if (!code) code = lrb_sha256(worker->input, size, digest, err);
    *good = !code && memcmp(digest, item->sha256, sizeof digest) == 0;
    return code;
}

static int small_file(lrb_restore *r, lrb_worker *worker, const lrb_restore_item *item, int fd, lrb_err *err) {
    bool good;
    int code = write_small(r, worker, item, fd, false, err);
    if (!code) code = check_small(worker, item, fd, &good, err);
    if (!code && !good) {
        code = write_small(r, worker, item, fd, true, err);
        if (!code) code = check_small(worker, item, fd, &good, err);
        if (!code && !good) code = lrb_restore_mismatch(r, item, err);
    }
    return code ? code : lrb_restore_finish_file(r, item, fd, err);
}

int lrb_restore_small(lrb_restore *r, lrb_worker *worker, lrb_tree *tree, const lrb_restore_item *item, lrb_err *err) {
    int dir, fd;
    const char *leaf;
    int code = lrb_job_check(&r->job, err);
    if (!code) code = lrb_tree_parent(tree, item->shown.name, true, &dir, &leaf, err);
    if (!code && item->shown.type == LRB_FILE_SYMLINK) {
        code = lrb_fs_make_symlink(dir, leaf, item->link_target, err);
        return code ? code : lrb_fs_set_link_mtime(dir, leaf, item->mtime_ns, err);
    }
    if (!code) code = lrb_fs_create(dir, leaf, 0600, &fd, err);
    if (code) return code;
    code = small_file(r, worker, item, fd, err);
    lrb_fs_close(fd);
    return code;
}
