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

void lrb_restore_rows_end(lrb_restore_rows *rows) {
    lrb_recipe_walker_free(rows->walker);
    lrb_restore_vectors_end(rows->vectors);
    rows->walker = NULL;
    rows->vectors = NULL;
}

/* The root of an item of one chunk is that chunk; of none, NONE. */
int lrb_restore_next_row(lrb_restore *r, lrb_restore_rows *rows, lrb_row *row, bool *done, lrb_err *err) {
    *row = rows->ahead;
    *done = false;
    if (rows->has_ahead) {
        rows->has_ahead = false;
        return LRB_OK;
    }
    if (rows->walker) {
        int code = lrb_recipe_walker_next(rows->walker, false, row, done, err);
        return code ? lrb_restore_blame(r, rows->item, err) : LRB_OK;
    }
    *done = rows->begun || rows->item->root.kind == LRB_CHUNK_NONE;
    rows->begun = true;
    *row = rows->item->root;
    return LRB_OK;
}

void lrb_restore_put_back(lrb_restore_rows *rows, const lrb_row *row) {
    rows->ahead = *row;
    rows->has_ahead = true;
}

/* An item that begins with a frame is a vector file, all others are plain bytes. */
int lrb_restore_rows_begin(lrb_restore *r, lrb_worker *worker, const lrb_restore_item *item, int fd, lrb_restore_rows *rows,
                           lrb_err *err) {
    lrb_row first;
    bool done = false;
    *rows = (lrb_restore_rows){.item = item, .reader = {r->repo, worker->coder}};
    if (item->root.kind == LRB_CHUNK_RECIPE) {
        int code = lrb_recipe_walker_new(&item->root, lrb_repo_fetch, &rows->reader, &rows->walker, err);
        if (code) return code;
        lrb_recipe_walker_limit(rows->walker, item->shown.size_bytes); /* every row has at least one byte */
    }
    int code = lrb_restore_next_row(r, rows, &first, &done, err);
    if (code) return code;
    if (first.kind != LRB_CHUNK_FRAME || done) {
        if (!done) lrb_restore_put_back(rows, &first);
        rows->over = done;
        return done && item->shown.size_bytes ? fail(r, item, LRB_E_DAMAGED, "its chunks add up to fewer bytes than its size", err) : LRB_OK;
    }
    code = lrb_restore_vectors_begin(r, rows, &first, err);
    return code ? code : lrb_restore_write_frame(r, rows, fd, err);
}

static int claim_bytes(lrb_restore *r, lrb_restore_rows *rows, lrb_restore_work *work, lrb_err *err) {
    uint64_t size = rows->item->shown.size_bytes;
    work->from = rows->offset;
    while (work->row_count < LRB_RESTORE_BATCH_ROWS && rows->offset - work->from < LRB_RESTORE_BATCH_BYTES) {
        lrb_row *row = &work->rows[work->row_count];
        int code = lrb_restore_next_row(r, rows, row, &rows->over, err);
        if (code) return code;
        if (rows->over)
            return rows->offset == size
                       ? LRB_OK
                       : fail(r, rows->item, LRB_E_DAMAGED, "its chunks add up to fewer bytes than its size", err);
        if (row->kind != LRB_CHUNK_RAW)
            return fail(r, rows->item, LRB_E_DAMAGED, "one of its chunks is of a kind that cannot stand there", err);
        if (!row->count) return fail(r, rows->item, LRB_E_DAMAGED, "one of its chunks is listed as empty", err);
        if (row->count > size - rows->offset)
            return fail(r, rows->item, LRB_E_DAMAGED, "its chunks add up to more bytes than its size", err);
        rows->offset += row->count;
        work->row_count++;
    }
    return LRB_OK;
}

int lrb_restore_claim_rows(lrb_restore *r, lrb_worker *worker, lrb_restore_rows *rows, lrb_restore_work *work, lrb_err *err) {
    rows->reader.coder = worker->coder;
    work->row_count = 0;
    return rows->vectors ? lrb_restore_claim_spans(r, rows, work, err) : claim_bytes(r, rows, work, err);
}

/* ---- writing ---- */

static bool all_zero(const uint8_t *bytes, size_t count) {
    return !bytes[0] && !memcmp(bytes, bytes + 1, count - 1);
}

void lrb_restore_count_written(lrb_restore *r, uint64_t bytes, bool hole) {
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
    if (!code) lrb_restore_count_written(r, content->length, hole);
    return code;
}

static int write_bytes(lrb_restore *r, lrb_worker *worker, const lrb_restore_item *item, int fd, const lrb_restore_work *work,
                       bool check_ids, lrb_err *err) {
    uint64_t offset = work->from;
    int code = LRB_OK;
    for (uint32_t i = 0; !code && i < work->row_count; i++) {
        const lrb_row *row = &work->rows[i];
        if ((code = lrb_job_check(&r->job, err))) break;
        code = lrb_repo_read(r->repo, &row->id, row->kind, check_ids, worker->coder, &worker->content, err);
        if (code) return lrb_restore_blame(r, item, err);
        code = place_content(r, item, fd, row, &worker->content, offset, err);
        offset += row->count;
    }
    return code;
}

int lrb_restore_write_rows(lrb_restore *r, lrb_worker *worker, const lrb_restore_rows *rows, int fd, const lrb_restore_work *work,
                           bool check_ids, lrb_err *err) {
    return rows->vectors ? lrb_restore_write_spans(r, worker, rows, fd, work, check_ids, err)
                         : write_bytes(r, worker, rows->item, fd, work, check_ids, err);
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
    lrb_restore_rows rows = {.item = item};
    lrb_restore_work work;
    int code = lrb_fs_set_size(fd, 0, item->shown.name, err);
    if (!code) code = lrb_fs_set_size(fd, item->shown.size_bytes, item->shown.name, err);
    if (!code) code = lrb_restore_rows_begin(r, worker, item, fd, &rows, err);
    while (!code && !rows.over) {
        code = lrb_restore_claim_rows(r, worker, &rows, &work, err);
        if (!code && work.row_count) code = lrb_restore_write_rows(r, worker, &rows, fd, &work, check_ids, err);
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
