#include "engine/restore_private.h"

#include <string.h>

enum { DIRECTORIES_PER_SLICE = 500 };

static void count_item(lrb_restore *r) {
    atomic_fetch_add_explicit(&r->job.counters.items_done, 1, memory_order_relaxed);
}

/* ---- directories, by one thread ---- */

int lrb_restore_directories(lrb_restore *r, lrb_err *err) {
    lrb_tree tree;
    int dir, code = LRB_OK;
    lrb_tree_init(&tree, r->staging_dir);
    for (int made = 0; !code && r->next_item < r->count && made < DIRECTORIES_PER_SLICE; r->next_item++) {
        const lrb_restore_item *item = &r->items[r->next_item];
        if (item->shown.type != LRB_FILE_DIRECTORY) continue;
        code = lrb_tree_directory(&tree, item->shown.name, true, &dir, err);
        made++;
    }
    lrb_tree_clear(&tree);
    r->stage_done = r->next_item == r->count;
    return code;
}

/* Deepest first: a directory's time moves when something is made in it, and its mode may forbid it. */
int lrb_restore_attributes(lrb_restore *r, lrb_err *err) {
    lrb_tree tree;
    int code = LRB_OK;
    lrb_tree_init(&tree, r->staging_dir);
    for (int set = 0; !code && r->next_item < r->count && set < DIRECTORIES_PER_SLICE; r->next_item++) {
        const lrb_restore_item *item = &r->items[r->count - 1 - r->next_item];
        int dir;
        if (item->shown.type != LRB_FILE_DIRECTORY) continue;
        code = lrb_tree_directory(&tree, item->shown.name, false, &dir, err);
        if (!code) code = lrb_fs_set_attributes(dir, item->mode, item->mtime_ns, item->shown.name, err);
        set++;
        count_item(r);
    }
    lrb_tree_clear(&tree);
    r->stage_done = r->next_item == r->count;
    return code;
}

/* The bytes of a linked file were written by somebody else. */
static int sync_linked(lrb_tree *tree, const char *name, lrb_err *err) {
    int dir, fd;
    const char *leaf;
    int code = lrb_tree_parent(tree, name, false, &dir, &leaf, err);
    if (!code) code = lrb_fs_open_read(dir, leaf, &fd, err);
    if (code) return code;
    code = lrb_fs_sync(fd, name, err);
    lrb_fs_close(fd);
    return code;
}

/* Every directory with a staged name in it, once: names of one directory stand together. */
static int sync_parents(lrb_tree *tree, const char *name, const char *previous, lrb_err *err) {
    int dir, code = LRB_OK;
    char prefix[LRB_PATH_MAX];
    for (size_t i = 1; !code && name[i]; i++) {
        if (name[i] != '/' || (previous && strncmp(previous, name, i) == 0 && previous[i] == '/')) continue;
        memcpy(prefix, name, i);
        prefix[i] = '\0';
        code = lrb_tree_directory(tree, prefix, false, &dir, err);
        if (!code) code = lrb_fs_sync(dir, prefix, err);
    }
    return code;
}

/* Many small files: an fsync each is a journal commit each, milliseconds apiece. One syncfs writes the same data back
 * once, and others' data on that file system with it. The staging directory was opened before the first write, so
 * write-back errors are told here. */
int lrb_restore_sync(lrb_restore *r, lrb_err *err) {
    lrb_tree tree;
    const char *previous = NULL;
    r->stage_done = true;
    if (!r->durable) return LRB_OK;
    if (!r->sync_each) return lrb_fs_sync_filesystem(r->staging_dir, "staging", err);
    int dir, code = LRB_OK;
    lrb_tree_init(&tree, r->staging_dir);
    for (size_t i = 0; !code && i < r->count; i++) {
        const char *name = r->items[i].shown.name;
        if (!r->items[i].shown.staged) continue;
        code = sync_parents(&tree, name, previous, err);
        if (!code && r->items[i].linked) code = sync_linked(&tree, name, err);
        if (!code && r->items[i].shown.type == LRB_FILE_DIRECTORY) {
            code = lrb_tree_directory(&tree, name, false, &dir, err);
            if (!code) code = lrb_fs_sync(dir, name, err);
        }
        previous = name;
    }
    lrb_tree_clear(&tree);
    return code ? code : lrb_fs_sync(r->staging_dir, "staging", err);
}

/* ---- claiming, under the lock ---- */

static bool is_small(const lrb_restore_item *item) {
    return item->shown.type == LRB_FILE_SYMLINK ||
           (item->shown.type == LRB_FILE_REGULAR && item->shown.size_bytes <= LRB_RESTORE_SMALL_BYTES);
}

/* How far an item is written without a gap. The matrix of a vector file is written along with what lies before it. */
static uint64_t frontier(const lrb_restore_slot *slot) {
    uint64_t at = slot->rows.over && !slot->writers ? slot->item->shown.size_bytes : slot->rows.offset;
    for (unsigned i = 0; i < slot->writers; i++)
        if (slot->writing[i] < at) at = slot->writing[i];
    return at;
}

static bool claim_check(lrb_restore_slot *slot, lrb_restore_work *work) {
    if (slot->checking) return false;
    uint64_t ready = frontier(slot) - slot->checked;
    bool written = slot->rows.over && !slot->writers;
    if (ready < LRB_RESTORE_SLICE_BYTES && !written) return false;
    work->kind = ready ? LRB_WORK_CHECK : LRB_WORK_SETTLE;
    slot->busy = !ready; /* a second try begins its rows anew: nobody may take some meanwhile */
    work->slot = slot;
    work->from = slot->checked;
    work->to = slot->checked + (ready < LRB_RESTORE_SLICE_BYTES ? ready : LRB_RESTORE_SLICE_BYTES);
    slot->checking = true;
    return true;
}

static int claim_rows(lrb_restore *r, lrb_worker *worker, lrb_restore_slot *slot, lrb_restore_work *work,
                      lrb_err *err) {
    int code = lrb_restore_claim_rows(r, worker, &slot->rows, work, err);
    if (code || !work->row_count) return code;
    work->kind = LRB_WORK_WRITE;
    work->slot = slot;
    slot->writing[slot->writers++] = work->from;
    return code;
}

static bool claim_large(lrb_restore *r, lrb_restore_work *work) {
    lrb_restore_slot *slot = NULL;
    for (size_t i = 0; i < LRB_RESTORE_MAX_OPEN && !slot; i++)
        if (!r->slots[i].item) slot = &r->slots[i];
    if (!slot || r->next_large == r->large_count) return false;
    slot->item = r->large[r->next_large++];
    slot->fd = -1;
    slot->busy = true;
    slot->check_ids = false;
    work->kind = LRB_WORK_OPEN;
    work->slot = slot;
    return true;
}

static bool claim_small(lrb_restore *r, lrb_restore_work *work) {
    uint64_t bytes = 0;
    unsigned items = 0;
    work->first = r->next_small;
    for (; r->next_small < r->count && items < LRB_RESTORE_SMALL_ITEMS && bytes < LRB_RESTORE_BATCH_BYTES;
         r->next_small++) {
        const lrb_restore_item *item = &r->items[r->next_small];
        if (!lrb_restore_is_written(item) || !is_small(item)) continue;
        items++;
        bytes += item->shown.size_bytes;
    }
    work->end = r->next_small;
    if (items) work->kind = LRB_WORK_SMALL;
    return items > 0;
}

/* Open items first and hashing before writing: what was just written is still in the caches, and fewer items are
 * open. */
int lrb_restore_claim_file(lrb_restore *r, lrb_worker *worker, lrb_restore_work *work, lrb_err *err) {
    for (size_t i = 0; i < LRB_RESTORE_MAX_OPEN; i++)
        if (r->slots[i].item && !r->slots[i].busy && claim_check(&r->slots[i], work)) return LRB_OK;
    for (size_t i = 0; i < LRB_RESTORE_MAX_OPEN; i++) {
        lrb_restore_slot *slot = &r->slots[i];
        if (!slot->item || slot->busy || slot->rows.over || slot->writers == LRB_RESTORE_MAX_WRITERS) continue;
        int code = claim_rows(r, worker, slot, work, err);
        /* The end was found without a row before it: now the rest can be checked. */
        if (code || work->kind || claim_check(slot, work)) return code;
    }
    if (claim_large(r, work) || claim_small(r, work)) return LRB_OK;
    atomic_store_explicit(&r->job.counters.phase, LRB_RESTORE_CHECK, memory_order_relaxed);
    return LRB_OK;
}

/* ---- doing, without the lock ---- */

static int begin_item(lrb_restore *r, lrb_worker *worker, lrb_restore_slot *slot, lrb_err *err) {
    const lrb_restore_item *item = slot->item;
    int code = lrb_fs_set_size(slot->fd, 0, item->shown.name, err);
    if (!code) code = lrb_fs_set_size(slot->fd, item->shown.size_bytes, item->shown.name, err);
    if (!code && !slot->digest) code = lrb_digest_new(&slot->digest, err);
    if (!code) code = lrb_digest_begin(slot->digest, err);
    if (!code) code = lrb_restore_rows_begin(r, worker, item, slot->fd, &slot->rows, err);
    slot->checked = 0;
    return code;
}

static int open_item(lrb_restore *r, lrb_worker *worker, lrb_restore_slot *slot, lrb_err *err) {
    lrb_tree tree;
    int dir;
    const char *leaf;
    lrb_tree_init(&tree, r->staging_dir);
    int code = lrb_tree_parent(&tree, slot->item->shown.name, true, &dir, &leaf, err);
    if (!code && (code = lrb_fs_create(dir, leaf, 0600, &slot->fd, err))) slot->fd = -1;
    lrb_tree_clear(&tree);
    return code ? code : begin_item(r, worker, slot, err);
}

static int check_slice(lrb_restore *r, lrb_worker *worker, const lrb_restore_work *work, lrb_err *err) {
    const lrb_restore_slot *slot = work->slot;
    int code = LRB_OK;
    for (uint64_t at = work->from; !code && at < work->to;) {
        size_t count = work->to - at < LRB_WORKER_INPUT_BYTES ? (size_t)(work->to - at) : LRB_WORKER_INPUT_BYTES;
        code = lrb_job_check(&r->job, err);
        if (!code) code = lrb_fs_read_exact(slot->fd, worker->input, count, at, slot->item->shown.name, err);
        if (!code) code = lrb_digest_update(slot->digest, worker->input, count, err);
        at += count;
    }
    if (r->durable) lrb_fs_start_writeback(slot->fd); /* so that the fsync at the end finds little to do */
    return code;
}

/* All written and hashed: the file is right, or it is written once more with every chunk looked at. */
static int settle(lrb_restore *r, lrb_worker *worker, lrb_restore_work *work, lrb_err *err) {
    lrb_restore_slot *slot = work->slot;
    uint8_t digest[LRB_DIGEST_BYTES];
    int code = lrb_digest_finish(slot->digest, digest, err);
    if (code) return code;
    work->over = memcmp(digest, slot->item->sha256, sizeof digest) == 0;
    if (work->over) return lrb_restore_finish_file(r, slot->item, slot->fd, err);
    if (slot->check_ids) return lrb_restore_mismatch(r, slot->item, err);
    slot->check_ids = true;
    lrb_restore_rows_end(&slot->rows);
    return begin_item(r, worker, slot, err);
}

static int small_items(lrb_restore *r, lrb_worker *worker, const lrb_restore_work *work, lrb_err *err) {
    lrb_tree tree;
    int code = LRB_OK;
    lrb_tree_init(&tree, r->staging_dir);
    for (size_t i = work->first; !code && i < work->end; i++) {
        const lrb_restore_item *item = &r->items[i];
        if (!lrb_restore_is_written(item) || !is_small(item)) continue;
        code = lrb_restore_small(r, worker, &tree, item, err);
        if (!code) count_item(r);
    }
    lrb_tree_clear(&tree);
    return code;
}

int lrb_restore_do_file(lrb_restore *r, lrb_worker *worker, lrb_restore_work *work, lrb_err *err) {
    switch (work->kind) {
    case LRB_WORK_OPEN: return open_item(r, worker, work->slot, err);
    case LRB_WORK_WRITE:
        return lrb_restore_write_rows(r, worker, &work->slot->rows, work->slot->fd, work, work->slot->check_ids, err);
    case LRB_WORK_CHECK: return check_slice(r, worker, work, err);
    case LRB_WORK_SETTLE: return settle(r, worker, work, err);
    default: return small_items(r, worker, work, err);
    }
}

/* ---- releasing, under the lock ---- */

void lrb_restore_close_slot(lrb_restore_slot *slot) {
    if (!slot->item) return;
    lrb_restore_rows_end(&slot->rows);
    lrb_fs_close(slot->fd);
    slot->fd = -1;
    slot->item = NULL;
    slot->busy = slot->checking = false;
    slot->writers = 0;
}

static void forget_writer(lrb_restore_slot *slot, uint64_t from) {
    for (unsigned i = 0; i < slot->writers; i++)
        if (slot->writing[i] == from) {
            slot->writing[i] = slot->writing[--slot->writers];
            return;
        }
}

void lrb_restore_release_file(lrb_restore *r, const lrb_restore_work *work) {
    lrb_restore_slot *slot = work->slot;
    if (!slot) return;
    if (work->kind == LRB_WORK_WRITE) forget_writer(slot, work->from);
    if (work->kind == LRB_WORK_CHECK) slot->checked = work->to;
    if (work->kind == LRB_WORK_CHECK || work->kind == LRB_WORK_SETTLE) slot->checking = false;
    if (work->kind == LRB_WORK_OPEN || work->kind == LRB_WORK_COMPARE || work->kind == LRB_WORK_SETTLE) slot->busy = false;
    if (!work->over) return;
    lrb_restore_close_slot(slot);
    if (work->kind == LRB_WORK_SETTLE) count_item(r);
}
