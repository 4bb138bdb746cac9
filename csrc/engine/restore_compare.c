#include "engine/restore_private.h"

#include <string.h>

/* Called under the lock: a slot whose present file is half compared, or the next item. */
void lrb_restore_claim_compare(lrb_restore *r, lrb_restore_work *work) {
    lrb_restore_slot *chosen = NULL, *empty = NULL;
    for (size_t i = 0; i < LRB_RESTORE_MAX_OPEN && !chosen; i++) {
        lrb_restore_slot *slot = &r->slots[i];
        if (!slot->item) empty = slot;
        else if (!slot->busy) chosen = slot;
    }
    if (!chosen && empty && r->compare_dir >= 0 && r->next_item < r->count) {
        chosen = empty;
        chosen->item = &r->items[r->next_item++];
        chosen->fd = -1;
        chosen->checked = 0;
    }
    if (!chosen) return;
    chosen->busy = true;
    work->kind = LRB_WORK_COMPARE;
    work->slot = chosen;
}

static int compare_link(const lrb_restore_item *item, int dir, const char *leaf, bool *same, lrb_err *err) {
    char text[LRB_PATH_MAX];
    size_t length;
    int code = lrb_fs_read_symlink(dir, leaf, text, sizeof text, &length, err);
    *same = !code && strcmp(text, item->link_target) == 0;
    return code;
}

/* Looks at what is there; opens it for hashing where its type, size and mode leave the question open. */
static int open_present(lrb_restore_slot *slot, lrb_tree *tree, bool *same, lrb_err *err) {
    lrb_restore_item *item = slot->item;
    lrb_identity present;
    bool found;
    int dir, code = lrb_tree_identify(tree, item->shown.name, &found, &present, err);
    const char *leaf;
    if (code || !found) return code;
    item->shown.action = LRB_RESTORE_REPLACE;
    item->exact = present.mtime_ns == item->mtime_ns || present.type == LRB_FILE_SYMLINK;
    item->present_ctime_ns = present.ctime_ns;
    if (present.type != item->shown.type) return LRB_OK;
    if (present.type != LRB_FILE_SYMLINK && present.mode != item->mode) return LRB_OK;
    if (present.type == LRB_FILE_DIRECTORY) {
        *same = true;
        return LRB_OK;
    }
    code = lrb_tree_parent(tree, item->shown.name, false, &dir, &leaf, err);
    if (code) return code;
    if (present.type == LRB_FILE_SYMLINK) return compare_link(item, dir, leaf, same, err);
    if (present.size_bytes != item->shown.size_bytes) return LRB_OK;
    code = lrb_fs_open_read(dir, leaf, &slot->fd, err);
    if (code) {
        slot->fd = -1;
        return code;
    }
    if (!slot->digest) code = lrb_digest_new(&slot->digest, err);
    return code ? code : lrb_digest_begin(slot->digest, err);
}

static int hash_slice(lrb_restore *r, lrb_worker *worker, lrb_restore_slot *slot, bool *end, lrb_err *err) {
    int code = LRB_OK;
    uint64_t stop = slot->checked + LRB_RESTORE_SLICE_BYTES;
    *end = false;
    while (!code && !*end && slot->checked < stop) {
        size_t got;
        code = lrb_job_check(&r->job, err);
        if (!code)
            code = lrb_fs_read_at(slot->fd, worker->input, LRB_WORKER_INPUT_BYTES, slot->checked, &got,
                                  slot->item->shown.name, err);
        if (!code) code = lrb_digest_update(slot->digest, worker->input, got, err);
        if (code) break;
        slot->checked += got;
        *end = got < LRB_WORKER_INPUT_BYTES || slot->checked > slot->item->shown.size_bytes;
        atomic_fetch_add_explicit(&r->job.counters.bytes_in, got, memory_order_relaxed);
    }
    return code;
}

static int compare_bytes(lrb_restore *r, lrb_worker *worker, lrb_restore_slot *slot, bool *over, bool *same,
                         lrb_err *err) {
    uint8_t digest[LRB_DIGEST_BYTES];
    int code = hash_slice(r, worker, slot, over, err);
    if (code || !*over) return code;
    code = lrb_digest_finish(slot->digest, digest, err);
    *same = !code && memcmp(digest, slot->item->sha256, sizeof digest) == 0;
    return code;
}

/* A present file that cannot be read is not the same: it will be replaced, which is what a restore is for. */
int lrb_restore_compare(lrb_restore *r, lrb_worker *worker, lrb_restore_work *work, lrb_err *err) {
    lrb_restore_slot *slot = work->slot;
    bool same = false, over = false;
    int code = LRB_OK;
    if (slot->fd < 0) {
        lrb_tree tree;
        lrb_tree_init(&tree, r->compare_dir);
        code = open_present(slot, &tree, &same, err);
        lrb_tree_clear(&tree);
    }
    if (!code && slot->fd >= 0) code = compare_bytes(r, worker, slot, &over, &same, err);
    if (code == LRB_E_IO || code == LRB_E_NOT_FOUND || code == LRB_E_INVALID) {
        lrb_err_clear(err);
        code = LRB_OK;
        over = true;
    }
    work->over = over || slot->fd < 0;
    if (same) slot->item->shown.action = LRB_RESTORE_SAME;
    return code;
}
