#include "engine/roll_plan.h"

#include "base/mem.h"
#include "engine/journal.h"
#include "engine/obstacle.h"
#include "engine/publish.h"

#include <errno.h>
#include <string.h>

enum { MAX_DEPTH = 100 };

typedef struct plan {
    lrb_tree target, staged;
    lrb_names items, removed;
    lrb_buf *bytes;
    char name[LRB_PATH_MAX]; /* the prefix or entry looked at */
} plan;

bool lrb_roll_not_empty(const lrb_err *err) {
    return err->sys_errno == ENOTEMPTY || err->sys_errno == EEXIST;
}

static int in_the_way(const plan *p, const char *name, lrb_err *err) {
    return lrb_obstacle_foreign(p->target.root, name, err);
}

static const char *prefix_of(plan *p, const char *name, size_t length) {
    memcpy(p->name, name, length);
    p->name[length] = '\0';
    return p->name;
}

static bool is_item(const plan *p, const char *name, size_t length) {
    return lrb_names_has(&p->items, name, length);
}

static bool goes_away(const plan *p, const char *name, size_t length) {
    return lrb_names_has(&p->removed, name, length);
}

/* Whether name[0..length) is a directory both names are in, or `other` itself. */
static bool shares(const char *other, const char *name, size_t length) {
    return other && strncmp(other, name, length) == 0 && (other[length] == '/' || other[length] == '\0');
}

/* ---- REMOVE rows ---- */

/* Directories that lose their last item and are none themselves go too. Names below one directory stand together, so
 * it is done with when the next name to remove, in descending order, lies elsewhere. */
static int remove_parents(plan *p, const char *name, const char *next, lrb_err *err) {
    int code = LRB_OK;
    for (size_t length = strlen(name); !code && length-- > 0;) {
        if (name[length] != '/') continue;
        if (shares(next, name, length)) break;
        if (is_item(p, name, length) || lrb_names_below(&p->items, name, length)) continue;
        code = lrb_journal_add(p->bytes, LRB_JOURNAL_REMOVE, name, length, 0, 0, err);
    }
    return code;
}

static int plan_removals(plan *p, lrb_err *err) {
    int code = LRB_OK;
    for (size_t i = p->removed.count; !code && i-- > 0;) {
        const char *name = p->removed.at[i];
        if (is_item(p, name, strlen(name)))
            return lrb_err_set(err, LRB_E_INVALID, "publish", name, "an item cannot be both staged and removed");
        code = lrb_journal_add(p->bytes, LRB_JOURNAL_REMOVE, name, strlen(name), 0, 0, err);
        if (!code) code = remove_parents(p, name, i ? p->removed.at[i - 1] : NULL, err);
    }
    return code;
}

/* ---- what the staged items meet ---- */

typedef struct emptied {
    plan *p;
    int fd;
    size_t length;
    unsigned depth;
} emptied;

static int check_emptied(plan *p, int dir, const char *leaf, size_t length, unsigned depth, lrb_err *err);

static int check_entry(void *arg, const char *leaf, lrb_err *err) {
    emptied *here = arg;
    plan *p = here->p;
    lrb_identity identity;
    size_t length = here->length + 1 + strlen(leaf);
    if (length > LRB_NAME_MAX)
        return lrb_err_set(err, LRB_E_LIMIT, "publish", leaf, "its name below the target is longer than %d bytes",
                           LRB_NAME_MAX);
    p->name[here->length] = '/';
    memcpy(p->name + here->length + 1, leaf, strlen(leaf) + 1);
    int code = lrb_fs_identify_at(here->fd, leaf, &identity, err);
    if (code) return code;
    if (identity.type != LRB_FILE_DIRECTORY) return goes_away(p, p->name, length) ? LRB_OK : in_the_way(p, p->name, err);
    if (!goes_away(p, p->name, length) && !lrb_names_below(&p->removed, p->name, length))
        return in_the_way(p, p->name, err);
    return check_emptied(p, here->fd, leaf, length, here->depth + 1, err);
}

/* Whether the directory p->name, where a file is to stand, will be empty once the removals are done. */
static int check_emptied(plan *p, int dir, const char *leaf, size_t length, unsigned depth, lrb_err *err) {
    emptied here = {p, -1, length, depth};
    if (depth > MAX_DEPTH)
        return lrb_err_set(err, LRB_E_LIMIT, "publish", p->name, "it is nested deeper than %d directories", MAX_DEPTH);
    int code = lrb_fs_open_dir(dir, leaf, &here.fd, err);
    if (code) return code;
    code = lrb_fs_list(here.fd, check_entry, &here, leaf, err);
    lrb_fs_close(here.fd);
    return code;
}

/* A directory that is no item and holds some. */
static int plan_parent(plan *p, const char *name, size_t length, lrb_err *err) {
    const char *directory = prefix_of(p, name, length);
    bool found;
    lrb_identity identity;
    int code = lrb_tree_identify(&p->target, directory, &found, &identity, err);
    if (code) return code;
    if (found && identity.type != LRB_FILE_DIRECTORY && !goes_away(p, name, length)) return in_the_way(p, directory, err);
    return lrb_journal_add(p->bytes, LRB_JOURNAL_PARENT, name, length, 0, 0, err);
}

static int plan_parents(plan *p, const char *name, const char *previous, lrb_err *err) {
    int code = LRB_OK;
    for (size_t length = 1; !code && name[length]; length++)
        if (name[length] == '/' && !shares(previous, name, length) && !is_item(p, name, length))
            code = plan_parent(p, name, length, err);
    return code;
}

static int plan_item(plan *p, const char *name, lrb_err *err) {
    bool staged, found;
    lrb_identity item, present;
    int code = lrb_tree_identify(&p->staged, name, &staged, &item, err);
    if (!code) code = lrb_tree_identify(&p->target, name, &found, &present, err);
    if (code) return code;
    if (!staged || item.type == LRB_FILE_OTHER)
        return lrb_err_set(err, LRB_E_INVALID, "publish", name, "it was not staged");
    bool onto_directory = found && present.type == LRB_FILE_DIRECTORY;
    if (item.type == LRB_FILE_DIRECTORY)
        return lrb_journal_add(p->bytes, LRB_JOURNAL_DIRECTORY, name, strlen(name), item.mode, item.mtime_ns, err);
    if (onto_directory) {
        int dir;
        const char *leaf;
        prefix_of(p, name, strlen(name));
        code = lrb_tree_parent(&p->target, name, false, &dir, &leaf, err);
        if (!code) code = check_emptied(p, dir, leaf, strlen(name), 0, err);
    }
    return code ? code : lrb_journal_add(p->bytes, LRB_JOURNAL_PUT, name, strlen(name), 0, 0, err);
}

static int plan_rows(plan *p, int target, lrb_err *err) {
    int code = lrb_obstacle_mounts(target, p->items, err);
    if (!code) code = lrb_obstacle_mounts(target, p->removed, err);
    if (!code) code = plan_removals(p, err);
    for (size_t i = 0; !code && i < p->items.count; i++) {
        code = plan_parents(p, p->items.at[i], i ? p->items.at[i - 1] : NULL, err);
        if (!code) code = plan_item(p, p->items.at[i], err);
    }
    return code;
}

int lrb_roll_plan(int target, int staging, lrb_names items, lrb_names removed, lrb_buf *bytes, lrb_err *err) {
    int code = lrb_journal_begin(bytes, err);
    if (code) return code;
    plan *p = lrb_alloc(sizeof *p);
    if (!p) return lrb_err_nomem(err, "publish");
    p->items = items;
    p->removed = removed;
    p->bytes = bytes;
    lrb_tree_init(&p->target, target);
    lrb_tree_init(&p->staged, staging);
    code = plan_rows(p, target, err);
    lrb_tree_clear(&p->target);
    lrb_tree_clear(&p->staged);
    lrb_free(p);
    return code;
}
