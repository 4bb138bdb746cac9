#include "engine/restore_private.h"

#include "base/mem.h"
#include "engine/publish.h"

#include <stdlib.h>
#include <string.h>

enum { RECORDS_PER_SLICE = 1000, DISK_BLOCK_BYTES = 4096, SINGLE_SYNCS = 64 };

void lrb_restore_free_plan(lrb_restore *r) {
    lrb_body_reader_free(r->body);
    lrb_free(r->only);
    lrb_free(r->only_met);
    lrb_free(r->large);
    lrb_free(r->items);
    lrb_arena_clear(&r->texts);
}

/* ---- which items ---- */

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int lrb_restore_copy_options(lrb_restore *r, const lrb_restore_plan_options *options, lrb_err *err) {
    size_t length = strlen(options->snapshot_id);
    if (length >= sizeof r->snapshot_id)
        return lrb_err_set(err, LRB_E_INVALID, "restore", options->snapshot_id, "no snapshot has so long an id");
    memcpy(r->snapshot_id, options->snapshot_id, length + 1);
    r->compare_dir = options->compare_dir;
    if (!options->only) return LRB_OK;
    r->only = lrb_alloc_zero(options->only_count, sizeof *r->only);
    r->only_met = lrb_alloc_zero(options->only_count, sizeof *r->only_met);
    if (!r->only || !r->only_met) return lrb_err_nomem(err, "restore");
    for (size_t i = 0; i < options->only_count; i++) {
        const char *name = options->only[i];
        if (!lrb_name_valid(name, strlen(name)))
            return lrb_err_set(err, LRB_E_INVALID, "restore", name, "not a usable item name");
        r->only[i] = lrb_arena_keep(&r->texts, name, strlen(name));
        if (!r->only[i]) return lrb_err_nomem(err, "restore");
    }
    r->only_count = options->only_count;
    if (r->only_count) qsort(r->only, r->only_count, sizeof *r->only, by_name);
    return LRB_OK;
}

/* Marks every wish that is name[0..length); there may be several of one name. */
static bool meet(lrb_restore *r, const char *name, size_t length) {
    size_t low = 0, high = r->only_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strncmp(r->only[middle], name, length);
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    bool met = false;
    for (; low < r->only_count && strncmp(r->only[low], name, length) == 0 && !r->only[low][length]; low++)
        met = r->only_met[low] = true;
    return met;
}

/* Wished for by its own name or that of a directory above it. */
static bool wanted(lrb_restore *r, const char *name, size_t length) {
    if (!r->only) return true;
    bool met = meet(r, name, length);
    for (size_t i = 1; i < length; i++)
        if (name[i] == '/') met |= meet(r, name, i);
    return met;
}

/* ---- reading the list ---- */

static int make_room(lrb_restore *r, lrb_err *err) {
    if (r->count < r->room) return LRB_OK;
    size_t room = r->room ? r->room * 2 : 64;
    lrb_restore_item *items = lrb_resize_array(r->items, room, sizeof *items);
    if (!items) return lrb_err_nomem(err, "restore");
    r->items = items;
    r->room = room;
    return LRB_OK;
}

/* The reader has checked that the item makes sense by itself. */
static int add_item(lrb_restore *r, const lrb_body_item *item, lrb_err *err) {
    int code = make_room(r, err);
    if (code) return code;
    lrb_restore_item *kept = &r->items[r->count];
    *kept = (lrb_restore_item){.mtime_ns = item->mtime_ns, .mode = item->mode & 07777, .root = item->root};
    memcpy(kept->sha256, item->sha256, sizeof kept->sha256);
    kept->shown.name = lrb_arena_keep(&r->texts, item->name, item->name_length);
    kept->shown.type = (uint8_t)item->type;
    kept->shown.action = LRB_RESTORE_CREATE;
    kept->shown.size_bytes = item->size_bytes;
    if (item->type == LRB_FILE_SYMLINK)
        kept->link_target = lrb_arena_keep(&r->texts, item->link_target, item->link_target_length);
    if (!kept->shown.name || (item->type == LRB_FILE_SYMLINK && !kept->link_target))
        return lrb_err_nomem(err, "restore");
    if (lrb_publish_reserved(kept->shown.name)) {
        lrb_err_set(err, LRB_E_UNSUPPORTED, "restore", kept->shown.name,
                    "its name is one of a restore's own; choose the other items by name");
        return lrb_restore_blame(r, kept, err);
    }
    r->count++;
    atomic_store_explicit(&r->job.counters.items_total, r->count, memory_order_relaxed);
    atomic_fetch_add_explicit(&r->job.counters.bytes_total, item->size_bytes, memory_order_relaxed);
    return LRB_OK;
}

static int find_body(lrb_restore *r, lrb_row *root, lrb_err *err) {
    const lrb_snapshot *snapshot = lrb_state_find(lrb_repo_begin_read(r->repo), r->snapshot_id);
    if (snapshot) *root = snapshot->body_root;
    lrb_repo_end_read(r->repo);
    if (snapshot) return LRB_OK;
    return lrb_err_set(err, LRB_E_NOT_FOUND, "restore", r->snapshot_id, "graph %s has no snapshot %s",
                       lrb_repo_graph_id(r->repo), r->snapshot_id);
}

static int check_wishes(const lrb_restore *r, lrb_err *err) {
    for (size_t i = 0; i < r->only_count; i++)
        if (!r->only_met[i])
            return lrb_err_set(err, LRB_E_NOT_FOUND, "restore", r->only[i], "snapshot %s has no such item",
                               r->snapshot_id);
    return LRB_OK;
}

int lrb_restore_read(lrb_restore *r, lrb_worker *worker, lrb_err *err) {
    int code = LRB_OK;
    bool done = false;
    r->fetcher = (lrb_repo_reader){r->repo, worker->coder};
    if (!r->body) {
        lrb_row root;
        code = find_body(r, &root, err);
        if (!code) code = lrb_body_reader_new(&root, lrb_repo_fetch, &r->fetcher, &r->body, err);
    }
    for (int i = 0; !code && !done && i < RECORDS_PER_SLICE; i++) {
        lrb_body_record record;
        code = lrb_body_reader_next(r->body, &record, &done, err);
        if (code) lrb_err_context(err, "the list of items of snapshot %s", r->snapshot_id);
        if (!code && !done && record.type == LRB_BODY_ITEM && wanted(r, record.item.name, record.item.name_length))
            code = add_item(r, &record.item, err);
    }
    r->stage_done = done;
    return code || !done ? code : check_wishes(r, err);
}

/* ---- room ---- */

static uint64_t add(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t disk_bytes(const lrb_restore_item *item) {
    uint64_t size = item->shown.type == LRB_FILE_REGULAR ? item->shown.size_bytes : 1;
    return (size / DISK_BLOCK_BYTES + (size % DISK_BLOCK_BYTES != 0)) * DISK_BLOCK_BYTES;
}

static double mebibytes(uint64_t bytes) {
    return (double)bytes / (1 << 20);
}

/* The margin is for what a file system needs besides: inodes, directories, extents. */
static int check_room(const lrb_restore *r, lrb_err *err) {
    uint64_t free_bytes, needed = r->totals.needed_bytes;
    uint64_t wanted_bytes = add(needed, needed / 32 + (1 << 20));
    int code = lrb_fs_free_bytes(r->staging_dir, &free_bytes, err);
    if (code || free_bytes >= wanted_bytes) return code;
    return lrb_err_set(err, LRB_E_NO_SPACE, "restore", r->snapshot_id,
                       "the restore needs %.1f MiB beside the target and %.1f MiB are free; make room or restore to "
                       "another file system",
                       mebibytes(wanted_bytes), mebibytes(free_bytes));
}

static bool is_exact(const lrb_restore_item *item) {
    return item->shown.action == LRB_RESTORE_SAME && item->exact;
}

static bool may_stay(const lrb_restore_item *item, lrb_restore_keep keep) {
    if (item->shown.type == LRB_FILE_DIRECTORY) return false;
    return keep == LRB_KEEP_EXACT ? is_exact(item) : keep == LRB_KEEP_SAME && item->shown.action == LRB_RESTORE_SAME;
}

static void decide(lrb_restore_item *item, lrb_restore_keep keep) {
    item->shown.staged = !may_stay(item, keep);
    item->linked = keep == LRB_KEEP_LINKED && is_exact(item) && item->shown.type == LRB_FILE_REGULAR;
}

static void count(lrb_restore_totals *totals, const lrb_restore_item *item) {
    totals->create += item->shown.action == LRB_RESTORE_CREATE;
    totals->replace += item->shown.action == LRB_RESTORE_REPLACE;
    totals->same += item->shown.action == LRB_RESTORE_SAME;
    totals->exact += is_exact(item);
    if (item->shown.staged && !item->linked) totals->needed_bytes = add(totals->needed_bytes, disk_bytes(item));
}

int lrb_restore_room(lrb_restore *r, lrb_err *err) {
    lrb_counters *counters = &r->job.counters;
    uint64_t bytes = 0;
    size_t staged = 0;
    r->totals = (lrb_restore_totals){0};
    for (size_t i = 0; i < r->count; i++) {
        lrb_restore_item *item = &r->items[i];
        decide(item, r->keep);
        count(&r->totals, item);
        staged += item->shown.staged;
        if (item->shown.staged && !item->linked && item->shown.type == LRB_FILE_REGULAR)
            bytes = add(bytes, item->shown.size_bytes);
    }
    r->sync_each = staged <= SINGLE_SYNCS;
    r->stage_done = true;
    if (r->staging_dir < 0) return LRB_OK;
    atomic_store_explicit(&counters->items_total, r->count, memory_order_relaxed);
    atomic_store_explicit(&counters->items_done, r->count - staged, memory_order_relaxed);
    atomic_store_explicit(&counters->bytes_total, bytes, memory_order_relaxed);
    return check_room(r, err);
}

static bool is_large(const lrb_restore_item *item) {
    return lrb_restore_is_written(item) && item->shown.type == LRB_FILE_REGULAR &&
           item->shown.size_bytes > LRB_RESTORE_SMALL_BYTES;
}

static int largest_first(const void *a, const void *b) {
    const lrb_restore_item *x = *(lrb_restore_item *const *)a, *y = *(lrb_restore_item *const *)b;
    if (x->shown.size_bytes != y->shown.size_bytes) return x->shown.size_bytes > y->shown.size_bytes ? -1 : 1;
    return x < y ? -1 : 1;
}

int lrb_restore_list_large(lrb_restore *r, lrb_err *err) {
    size_t count = 0;
    for (size_t i = 0; i < r->count; i++) count += is_large(&r->items[i]);
    if (!count) return LRB_OK;
    r->large = lrb_alloc_zero(count, sizeof *r->large);
    if (!r->large) return lrb_err_nomem(err, "restore");
    for (size_t i = 0; i < r->count; i++)
        if (is_large(&r->items[i])) r->large[r->large_count++] = &r->items[i];
    qsort(r->large, count, sizeof *r->large, largest_first);
    return LRB_OK;
}
