/* Files that are what they should be already are given a second name in the staging directory instead of being written
 * anew. The present name is looked at before and the new one after it was made: a file that was changed or replaced
 * since it was compared is written, as is one the file system or the kernel's hard-link rules refuse to link. */
#include "engine/restore_private.h"

enum { LINKS_PER_SLICE = 500 };

static bool as_wanted(const lrb_restore_item *item, const lrb_identity *found) {
    return found->type == LRB_FILE_REGULAR && found->size_bytes == item->shown.size_bytes &&
           found->mtime_ns == item->mtime_ns && found->mode == item->mode;
}

static bool is_present(const lrb_restore_item *item, const lrb_identity *found) {
    return as_wanted(item, found) && found->ctime_ns == item->present_ctime_ns;
}

/* Nothing is left of a try that came to nothing, nor of one whose answer was lost. */
static int link_one(lrb_restore_item *item, int from, int to, const char *leaf, lrb_err *err) {
    lrb_identity present, made;
    lrb_err ignored;
    int code = lrb_fs_identify_at(from, leaf, &present, err);
    if (code || !is_present(item, &present)) return code;
    if ((code = lrb_fs_link(from, leaf, to, leaf, err))) {
        (void)lrb_fs_unlink(to, leaf, &ignored);
        return code;
    }
    code = lrb_fs_identify_at(to, leaf, &made, err);
    item->linked = !code && as_wanted(item, &made) && made.inode == present.inode && made.device == present.device;
    return item->linked ? LRB_OK : lrb_fs_unlink(to, leaf, err);
}

static int link_item(lrb_restore_item *item, lrb_tree *present, lrb_tree *staged, lrb_err *err) {
    int from, to;
    const char *leaf;
    item->linked = false;
    int code = lrb_tree_parent(staged, item->shown.name, true, &to, &leaf, err);
    if (!code) code = lrb_tree_parent(present, item->shown.name, false, &from, &leaf, err);
    if (!code) code = link_one(item, from, to, leaf, err);
    if (code == LRB_E_NO_SPACE || code == LRB_E_NOMEM) return code;
    lrb_err_clear(err); /* writing it meets what is really wrong once more */
    return LRB_OK;
}

int lrb_restore_links(lrb_restore *r, lrb_err *err) {
    lrb_tree present, staged;
    int code = LRB_OK;
    lrb_tree_init(&present, r->compare_dir);
    lrb_tree_init(&staged, r->staging_dir);
    for (int tried = 0; !code && r->next_item < r->count && tried < LINKS_PER_SLICE; r->next_item++) {
        lrb_restore_item *item = &r->items[r->next_item];
        if (!item->linked) continue;
        tried++;
        code = link_item(item, &present, &staged, err);
        if (item->linked) atomic_fetch_add_explicit(&r->job.counters.items_done, 1, memory_order_relaxed);
        else atomic_fetch_add_explicit(&r->job.counters.bytes_total, item->shown.size_bytes, memory_order_relaxed);
    }
    lrb_tree_clear(&present);
    lrb_tree_clear(&staged);
    r->stage_done = r->next_item == r->count;
    return code || !r->stage_done ? code : lrb_restore_list_large(r, err);
}
