#include "engine/source.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/mem.h"

enum { MAX_ROOTS = 16, MAX_DEPTH = 256 };

struct lrb_source {
    lrb_source_item *items;
    size_t count, room;
    lrb_source_skip *skips;
    size_t skip_count, skip_room;
    int roots[MAX_ROOTS];
    uint32_t root_count;
    lrb_arena names;
    bool sealed;
};

int lrb_source_new(lrb_source **out, lrb_err *err) {
    lrb_source *source = lrb_alloc_zero(1, sizeof *source);
    if (!source) return lrb_err_nomem(err, "list the source");
    *out = source;
    return LRB_OK;
}

void lrb_source_free(lrb_source *source) {
    if (!source) return;
    for (size_t i = 0; i < source->count; i++) lrb_fs_close(source->items[i].fd);
    for (uint32_t i = 0; i < source->root_count; i++) lrb_fs_close(source->roots[i]);
    lrb_arena_clear(&source->names);
    lrb_free(source->items);
    lrb_free(source->skips);
    lrb_free(source);
}

static int grow(void **array, size_t *room, size_t count, size_t size_bytes, lrb_err *err) {
    if (count < *room) return LRB_OK;
    size_t wanted = *room ? *room * 2 : 16;
    void *larger = lrb_resize_array(*array, wanted, size_bytes);
    if (!larger) return lrb_err_nomem(err, "list the source");
    *array = larger;
    *room = wanted;
    return LRB_OK;
}

static int check_open(const lrb_source *source, lrb_err *err) {
    return source->sealed ? lrb_err_set(err, LRB_E_INVALID, "list", "source", "the list of items was closed already") : LRB_OK;
}

/* Appends an item; `name` is copied. */
static int add(lrb_source *source, const char *name, const lrb_source_item *model, const char *link_target, lrb_err *err) {
    size_t length = strlen(name);
    if (!lrb_name_valid(name, length)) {
        char printable[120];
        lrb_name_printable(printable, sizeof printable, name, length);
        return lrb_err_set(err, LRB_E_INVALID, "list", printable, "the name cannot be an item name: it must be relative and without '..'");
    }
    int code = grow((void **)&source->items, &source->room, source->count, sizeof *source->items, err);
    if (code) return code;
    lrb_source_item item = *model;
    item.name = lrb_arena_keep(&source->names, name, length);
    item.name_length = (uint32_t)length;
    if (link_target) item.link_target = lrb_arena_keep(&source->names, link_target, strlen(link_target));
    if (!item.name || (link_target && !item.link_target)) return lrb_err_nomem(err, "list the source");
    source->items[source->count++] = item;
    return LRB_OK;
}

int lrb_source_pin(lrb_source *source, const char *name, int fd, lrb_err *err) {
    lrb_source_item item = {.fd = fd};
    int code = check_open(source, err);
    if (!code) code = lrb_fs_identify(fd, &item.identity, err);
    if (!code && item.identity.type != LRB_FILE_REGULAR) code = lrb_err_set(err, LRB_E_INVALID, "pin", name, "the item is no regular file");
    if (!code) code = add(source, name, &item, NULL, err);
    if (code) lrb_fs_close(fd);
    return code;
}

int lrb_source_skip_name(lrb_source *source, const char *name, const char *reason, lrb_err *err) {
    int code = check_open(source, err);
    if (!code) code = grow((void **)&source->skips, &source->skip_room, source->skip_count, sizeof *source->skips, err);
    if (code) return code;
    lrb_source_skip skip = {lrb_arena_keep(&source->names, name, strlen(name)),
                            lrb_arena_keep(&source->names, reason, strlen(reason))};
    if (!skip.name || !skip.reason) return lrb_err_nomem(err, "list the source");
    source->skips[source->skip_count++] = skip;
    return LRB_OK;
}

/* ---- directories ---- */

typedef struct listing {
    lrb_source *source;
    uint32_t root, path_offset, depth;
    int dir_fd;
    char *path;      /* LRB_PATH_MAX bytes: "<prefix>/<relative>" of the directory being listed */
    size_t length;
} listing;

static int list_directory(listing *at, lrb_err *err);

static int enter(listing *at, const char *name, lrb_err *err) {
    if (at->depth >= MAX_DEPTH)
        return lrb_err_set(err, LRB_E_LIMIT, "list", at->path, "the directory is nested deeper than %d levels", MAX_DEPTH);
    listing below = *at;
    below.depth++;
    int code = lrb_fs_open_dir(at->dir_fd, name, &below.dir_fd, err);
    if (code) return code;
    code = list_directory(&below, err);
    lrb_fs_close(below.dir_fd);
    return code;
}

static int add_entry(listing *at, const char *name, lrb_err *err) {
    lrb_source_item item = {.fd = -1, .root = at->root, .path_offset = at->path_offset};
    int code = lrb_fs_identify_at(at->dir_fd, name, &item.identity, err);
    if (code == LRB_E_NOT_FOUND) { /* gone since it was listed: it is not part of this moment */
        lrb_err_clear(err);
        return LRB_OK;
    }
    if (code) return code;
    char link_target[LRB_PATH_MAX];
    size_t link_length;
    switch (item.identity.type) {
    case LRB_FILE_REGULAR: return add(at->source, at->path, &item, NULL, err);
    case LRB_FILE_SYMLINK:
        code = lrb_fs_read_symlink(at->dir_fd, name, link_target, sizeof link_target, &link_length, err);
        return code ? code : add(at->source, at->path, &item, link_target, err);
    case LRB_FILE_DIRECTORY:
        if (!(code = add(at->source, at->path, &item, NULL, err))) code = enter(at, name, err);
        return code;
    case LRB_FILE_OTHER: break;
    }
    return lrb_source_skip_name(at->source, at->path, "not a regular file, directory or symlink", err);
}

static int each_name(void *arg, const char *name, lrb_err *err) {
    listing *at = arg;
    size_t before = at->length, length = strlen(name);
    if (before + 1 + length >= LRB_PATH_MAX) return lrb_err_set(err, LRB_E_LIMIT, "list", at->path, "a path below it is longer than %d bytes", LRB_PATH_MAX - 1);
    if (before) at->path[at->length++] = '/';
    memcpy(at->path + at->length, name, length + 1);
    at->length += length;
    int code = add_entry(at, name, err);
    at->length = before;
    at->path[before] = '\0';
    return code;
}

static int list_directory(listing *at, lrb_err *err) { return lrb_fs_list(at->dir_fd, each_name, at, at->path[0] ? at->path : "source", err); }

/* The place of a directory among the roots. One that was added just before is found again, so that a long list of single names
 * needs one descriptor. */
static int find_root(lrb_source *source, int fd, const char *prefix, uint32_t *place, lrb_err *err) {
    lrb_identity wanted, last;
    int code = lrb_fs_identify(fd, &wanted, err);
    if (code) return code;
    if (source->root_count) {
        if ((code = lrb_fs_identify(source->roots[source->root_count - 1], &last, err))) return code;
        if (last.device == wanted.device && last.inode == wanted.inode) {
            *place = source->root_count - 1;
            return LRB_OK;
        }
    }
    if (source->root_count == MAX_ROOTS) return lrb_err_set(err, LRB_E_LIMIT, "list", prefix, "a source has at most %d roots", MAX_ROOTS);
    if ((code = lrb_fs_duplicate(fd, &source->roots[source->root_count], err))) return code;
    *place = source->root_count++;
    return LRB_OK;
}

int lrb_source_add_tree(lrb_source *source, int fd, const char *prefix, const char *only, lrb_err *err) {
    int code = check_open(source, err);
    if (code) return code;
    uint32_t root = 0;
    if ((code = find_root(source, fd, prefix, &root, err))) return code;
    size_t length = strlen(prefix);
    char path[LRB_PATH_MAX];
    if (length >= sizeof path) return lrb_err_set(err, LRB_E_LIMIT, "list", "source", "the prefix was too long");
    memcpy(path, prefix, length + 1);
    listing at = {source, root, (uint32_t)(length ? length + 1 : 0), 0, source->roots[root], path, length};
    return only ? each_name(&at, only, err) : list_directory(&at, err);
}

/* ---- the closed list ---- */

static int by_name(const void *a, const void *b) { return strcmp(((const lrb_source_item *)a)->name, ((const lrb_source_item *)b)->name); }

static int by_skipped_name(const void *a, const void *b) { return strcmp(((const lrb_source_skip *)a)->name, ((const lrb_source_skip *)b)->name); }

int lrb_source_seal(lrb_source *source, lrb_err *err) {
    if (source->count) qsort(source->items, source->count, sizeof *source->items, by_name);
    if (source->skip_count) qsort(source->skips, source->skip_count, sizeof *source->skips, by_skipped_name);
    for (size_t i = 1; i < source->count; i++)
        if (!strcmp(source->items[i - 1].name, source->items[i].name)) {
            char printable[120];
            lrb_name_printable(printable, sizeof printable, source->items[i].name, source->items[i].name_length);
            return lrb_err_set(err, LRB_E_INVALID, "list", printable, "two items have this name");
        }
    source->sealed = true;
    return LRB_OK;
}

size_t lrb_source_count(const lrb_source *source) { return source->count; }
const lrb_source_item *lrb_source_at(const lrb_source *source, size_t position) { return &source->items[position]; }
size_t lrb_source_skip_count(const lrb_source *source) { return source->skip_count; }
const lrb_source_skip *lrb_source_skip_at(const lrb_source *source, size_t position) { return &source->skips[position]; }

static int changed(const lrb_source_item *item, int fd, const char *below, const char *op, const char *message, lrb_err *err) {
    char place[sizeof err->target];
    if (!lrb_fs_place(fd, below, place, sizeof place)) lrb_name_printable(place, sizeof place, item->name, item->name_length);
    return lrb_err_set(err, LRB_E_CHANGED, op, place, "%s", message);
}

int lrb_source_changed(const lrb_source_item *item, int fd, const char *op, const char *message, lrb_err *err) {
    return changed(item, fd, NULL, op, message, err);
}

int lrb_source_open(const lrb_source *source, const lrb_source_item *item, int *fd, lrb_err *err) {
    if (item->fd >= 0) return lrb_fs_duplicate(item->fd, fd, err);
    int root = source->roots[item->root];
    const char *below = item->name + item->path_offset;
    int code = lrb_fs_open_below(root, below, fd, err);
    lrb_identity now;
    if (!code && (code = lrb_fs_identify(*fd, &now, err))) lrb_fs_close(*fd);
    if (!code && !lrb_identity_same(&now, &item->identity)) {
        lrb_fs_close(*fd);
        code = LRB_E_NOT_FOUND;
    }
    if (code != LRB_E_NOT_FOUND) return code;
    return changed(item, root, below, "open", "the file was changed, replaced or removed while the backup ran; run it again", err);
}
