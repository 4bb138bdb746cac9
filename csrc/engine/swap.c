#include "engine/swap.h"

#include "base/mem.h"
#include "engine/journal.h"
#include "engine/obstacle.h"
#include "engine/publish.h"

#include <errno.h>
#include <string.h>

#define MARKER LRB_PUBLISH_PREFIX ".swap"

enum { MAX_DEPTH = 100 };

/* ---- carrying over what is no item ----
 *
 * One walk over the old directory, in three passes: CHECK refuses what cannot go over, LINK gives files a second name
 * in the new directory before the exchange, MOVE takes the rest over after it. Directories without any item in them
 * go over whole, by rename, so that an open working directory or descriptor in them stays good. */

typedef enum pass { CHECK, LINK, MOVE } pass;

typedef struct carrier {
    pass pass;
    lrb_names items, removed;
    int root;                /* the old directory */
    uint64_t mount;
    bool moved;
    char name[LRB_PATH_MAX]; /* of the entry looked at, below the target */
} carrier;

typedef struct level {
    carrier *all;
    struct level *above;
    int old_fd, new_fd;      /* new_fd -1: there is no such directory in the new tree (yet) */
    bool blocked;            /* the new tree has something else of this name */
    bool foreign;            /* something here, or below, is no item and went over */
    uint32_t mode;
    size_t length;           /* of this directory's name in all->name */
    unsigned depth;
} level;

static int in_the_way(const carrier *all, lrb_err *err) {
    return lrb_obstacle_foreign(all->root, all->name, err);
}

/* Makes the directory of `here` in the new tree, with those above it. */
static int ensure(level *here, lrb_err *err) {
    if (here->new_fd >= 0) return LRB_OK;
    if (here->blocked) return in_the_way(here->all, err);
    char leaf[256];
    size_t start = here->above->length ? here->above->length + 1 : 0, count = here->length - start;
    int fd, code = ensure(here->above, err);
    if (code) return code;
    memcpy(leaf, here->all->name + start, count);
    leaf[count] = '\0';
    lrb_publish_change();
    code = lrb_fs_make_dir(here->above->new_fd, leaf, 0700, err);
    if (!code) code = lrb_fs_open_dir(here->above->new_fd, leaf, &fd, err);
    if (code) return code;
    here->new_fd = fd;
    lrb_identity identity;
    code = lrb_fs_identify(fd, &identity, err);
    if (!code) code = lrb_fs_copy_owner(here->old_fd, fd, leaf, err);
    if (!code) code = lrb_fs_set_attributes(fd, here->mode | 0700, identity.mtime_ns, leaf, err);
    return code;
}

/* A link that the file system or the kernel's hard-link rules refuse is no failure: MOVE takes the file over. A
 * directory that may not be written is one, because MOVE would stand before the same wall after the exchange. */
static int link_over(level *here, const char *name, lrb_err *err) {
    lrb_publish_change();
    int code = lrb_fs_link(here->old_fd, name, here->new_fd, name, err);
    if (!code || err->sys_errno == EACCES || code == LRB_E_NO_SPACE) return code;
    lrb_err_clear(err);
    return LRB_OK;
}

static int move_over(level *here, const char *name, lrb_err *err) {
    lrb_publish_change();
    here->all->moved = true;
    return lrb_fs_rename(here->old_fd, name, here->new_fd, name, err);
}

/* An entry that is no item, with nothing of its name in the new tree. */
static int carry(level *here, const char *name, bool directory, lrb_err *err) {
    pass now = here->all->pass;
    here->foreign = true;
    if (now == CHECK) return here->blocked ? in_the_way(here->all, err) : LRB_OK;
    if (now == LINK && directory) return LRB_OK;
    int code = ensure(here, err);
    if (code) return code;
    return now == LINK ? link_over(here, name, err) : move_over(here, name, err);
}

static int walk(level *here, lrb_err *err);

/* An entry's type in the new tree; 0: it has none. */
static int look_new(const level *here, const char *name, lrb_file_type *type, lrb_err *err) {
    lrb_identity identity;
    *type = (lrb_file_type)0;
    if (here->new_fd < 0) return LRB_OK;
    int code = lrb_fs_identify_at(here->new_fd, name, &identity, err);
    if (!code) *type = identity.type;
    if (code != LRB_E_NOT_FOUND) return code;
    lrb_err_clear(err);
    return LRB_OK;
}

static int open_below(level *below, const char *name, lrb_file_type new_type, const lrb_identity *old, lrb_err *err) {
    int code = lrb_fs_open_dir(below->above->old_fd, name, &below->old_fd, err);
    if (!code && new_type == LRB_FILE_DIRECTORY)
        code = lrb_fs_open_dir(below->above->new_fd, name, &below->new_fd, err);
    /* The old directory goes away, so its owner may open it up to take out what stays. */
    if (!code && below->all->pass == MOVE && (old->mode & 0700) != 0700)
        code = lrb_fs_set_attributes(below->old_fd, old->mode | 0700, old->mtime_ns, below->all->name, err);
    return code;
}

static int visit_directory(level *here, const char *name, size_t length, const lrb_identity *old,
                           lrb_file_type new_type, lrb_err *err) {
    carrier *all = here->all;
    level below = {.all = all,
                   .above = here,
                   .old_fd = -1,
                   .new_fd = -1,
                   .length = length,
                   .depth = here->depth + 1,
                   .mode = old->mode,
                   .blocked = here->blocked || (new_type && new_type != LRB_FILE_DIRECTORY)};
    bool ours = lrb_names_has(&all->items, all->name, length) || lrb_names_has(&all->removed, all->name, length) ||
                lrb_names_below(&all->items, all->name, length) || lrb_names_below(&all->removed, all->name, length);
    bool whole = !ours && !new_type;
    if (below.depth > MAX_DEPTH)
        return lrb_err_set(err, LRB_E_LIMIT, "publish", all->name, "it is nested deeper than %d directories",
                           MAX_DEPTH);
    if (whole && all->pass != CHECK) return carry(here, name, true, err);
    int code = open_below(&below, name, new_type, old, err);
    if (!code) code = whole ? carry(here, name, true, err) : walk(&below, err);
    here->foreign |= below.foreign;
    lrb_fs_close(below.old_fd);
    lrb_fs_close(below.new_fd);
    return code;
}

static int visit_other(level *here, const char *name, size_t length, lrb_file_type new_type, lrb_err *err) {
    carrier *all = here->all;
    if (lrb_names_has(&all->items, all->name, length) || lrb_names_has(&all->removed, all->name, length)) return LRB_OK;
    if (!new_type) return carry(here, name, false, err);
    if (all->pass == CHECK) return in_the_way(all, err);
    here->foreign = true; /* linked before the exchange, or made anew by its owner after it: the new one stays */
    return LRB_OK;
}

static int visit(void *arg, const char *name, lrb_err *err) {
    level *here = arg;
    carrier *all = here->all;
    lrb_identity old;
    lrb_file_type new_type;
    size_t start = here->length ? here->length + 1 : 0, length = start + strlen(name);
    if (!here->length && lrb_publish_reserved(name)) return LRB_OK;
    if (length > LRB_NAME_MAX)
        return lrb_err_set(err, LRB_E_LIMIT, "publish", name, "its name below the target is longer than %d bytes",
                           LRB_NAME_MAX);
    if (start) all->name[start - 1] = '/';
    memcpy(all->name + start, name, length - start + 1);
    int code = lrb_fs_identify_at(here->old_fd, name, &old, err);
    if (code == LRB_E_NOT_FOUND) { /* gone meanwhile */
        lrb_err_clear(err);
        return LRB_OK;
    }
    if (!code && all->pass == CHECK) code = lrb_obstacle_mounted(here->old_fd, name, all->mount, err);
    if (!code) code = look_new(here, name, &new_type, err);
    if (code) return code;
    return old.type == LRB_FILE_DIRECTORY ? visit_directory(here, name, length, &old, new_type, err)
                                          : visit_other(here, name, length, new_type, err);
}

static int walk(level *here, lrb_err *err) {
    int code = lrb_fs_list(here->old_fd, visit, here, "target", err);
    if (!code && here->all->pass == MOVE && here->foreign && here->new_fd >= 0)
        code = lrb_fs_sync(here->new_fd, "target", err);
    return code;
}

static int run_pass(carrier *all, pass now, int old_fd, int new_fd, lrb_err *err) {
    level top = {.all = all, .old_fd = old_fd, .new_fd = new_fd};
    all->pass = now;
    all->root = old_fd;
    all->moved = false;
    int code = lrb_fs_mount_id(old_fd, &all->mount, err);
    return code ? code : walk(&top, err);
}

/* ---- the steps ---- */

static int write_marker(int staging, const char *aside, const carrier *all, lrb_err *err) {
    lrb_buf bytes;
    int code = lrb_journal_begin(&bytes, err);
    if (!code) code = lrb_journal_add(&bytes, LRB_JOURNAL_ASIDE, aside, strlen(aside), 0, 0, err);
    for (size_t i = 0; !code && i < all->items.count; i++)
        code = lrb_journal_add(&bytes, LRB_JOURNAL_PUT, all->items.at[i], strlen(all->items.at[i]), 0, 0, err);
    for (size_t i = 0; !code && i < all->removed.count; i++)
        code = lrb_journal_add(&bytes, LRB_JOURNAL_REMOVE, all->removed.at[i], strlen(all->removed.at[i]), 0, 0, err);
    lrb_publish_change();
    if (!code) code = lrb_journal_save(&bytes, staging, MARKER, err);
    lrb_buf_clear(&bytes);
    return code;
}

/* Step 5, with what the marker says. Listing a directory while names leave it may miss some, and what is left in the
 * old tree is removed: so passes are made until one moves nothing. */
static int clean_up(carrier *all, int parent, const char *aside, int target, lrb_err *err) {
    int old_fd;
    int code = lrb_fs_open_dir(parent, aside, &old_fd, err);
    if (code == LRB_E_NOT_FOUND) {
        lrb_err_clear(err);
        code = LRB_OK;
    } else if (!code) {
        do code = run_pass(all, MOVE, old_fd, target, err);
        while (!code && all->moved);
        lrb_fs_close(old_fd);
        lrb_publish_change();
        if (!code) code = lrb_fs_remove_tree(parent, aside, err);
    }
    lrb_publish_change();
    if (!code) code = lrb_fs_unlink(target, MARKER, err);
    if (!code) code = lrb_fs_sync(target, "target", err);
    return code;
}

static int exchange(carrier *all, int parent, const char *leaf, const char *staging, int target, int staging_fd,
                    lrb_err *err) {
    int code = run_pass(all, CHECK, target, staging_fd, err);
    if (!code) code = run_pass(all, LINK, target, staging_fd, err);
    if (!code) code = write_marker(staging_fd, staging, all, err);
    lrb_publish_change();
    if (!code) code = lrb_fs_exchange(parent, staging, parent, leaf, err);
    if (code) return code;
    lrb_publish_change();
    code = lrb_fs_sync_names(parent, staging_fd, leaf, err);
    if (!code) code = clean_up(all, parent, staging, staging_fd, err);
    if (code) lrb_err_context(err, "the restored files are in place, but clearing away the old ones did not end");
    return code;
}

int lrb_swap_commit(int parent, const char *leaf, const char *staging, lrb_names items, lrb_names removed,
                    lrb_err *err) {
    int target = -1, staging_fd = -1;
    carrier *all = lrb_alloc_zero(1, sizeof *all);
    if (!all) return lrb_err_nomem(err, "publish");
    all->items = items;
    all->removed = removed;
    int code = lrb_fs_open_dir(parent, leaf, &target, err);
    if (!code) code = lrb_fs_open_dir(parent, staging, &staging_fd, err);
    if (!code) code = exchange(all, parent, leaf, staging, target, staging_fd, err);
    lrb_fs_close(target);
    lrb_fs_close(staging_fd);
    lrb_free(all);
    return code;
}

int lrb_swap_marked(int target, bool *marked, lrb_err *err) {
    lrb_identity identity;
    int code = lrb_fs_identify_at(target, MARKER, &identity, err);
    *marked = code == LRB_OK;
    if (code != LRB_E_NOT_FOUND) return code;
    lrb_err_clear(err);
    return LRB_OK;
}

int lrb_swap_finish(int parent, int target, lrb_err *err) {
    lrb_journal marker;
    carrier *all = lrb_alloc_zero(1, sizeof *all);
    if (!all) return lrb_err_nomem(err, "finish a restore");
    int code = lrb_journal_load(target, MARKER, MARKER, &marker, err);
    if (code) goto done;
    lrb_names aside = lrb_journal_names(&marker, LRB_JOURNAL_ASIDE);
    all->items = lrb_journal_names(&marker, LRB_JOURNAL_PUT);
    all->removed = lrb_journal_names(&marker, LRB_JOURNAL_REMOVE);
    /* What is removed is a tree beside the target: its name must be one that staging gave. */
    if (aside.count != 1 || strchr(aside.at[0], '/') ||
        strncmp(aside.at[0], LRB_PUBLISH_PREFIX "-", strlen(LRB_PUBLISH_PREFIX "-")) != 0)
        code = lrb_err_set(err, LRB_E_DAMAGED, "finish a restore", MARKER, "it names no directory of a restore");
    /* The exchange is there to be seen, but the process that made it may have died before it was durable. */
    if (!code) code = lrb_fs_sync_names(parent, target, "target", err);
    if (!code) code = clean_up(all, parent, aside.at[0], target, err);
    lrb_journal_clear(&marker);
done:
    lrb_free(all);
    return code;
}
