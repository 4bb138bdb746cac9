#include "engine/tree.h"

#include <string.h>

void lrb_tree_init(lrb_tree *tree, int root) {
    tree->root = root;
    tree->fd = -1;
    tree->prefix_length = 0;
}

void lrb_tree_clear(lrb_tree *tree) {
    lrb_fs_close(tree->fd);
    tree->fd = -1;
    tree->prefix_length = 0;
}

void lrb_tree_forget(lrb_tree *tree) {
    lrb_tree_clear(tree);
}

/* Whether the directory reached last is that of name[0..length) or one above it. */
static bool stands_above(const lrb_tree *tree, const char *name, size_t length) {
    return tree->fd >= 0 && tree->prefix_length <= length && memcmp(tree->prefix, name, tree->prefix_length) == 0 &&
           (tree->prefix_length == length || name[tree->prefix_length] == '/');
}

/* Makes one missing directory and gives it the root's owner, as if the root's owner had made it. */
static int make_one(const lrb_tree *tree, int dir, const char *component, int *fd, lrb_err *err) {
    int code = lrb_fs_make_dir(dir, component, 0777, err);
    if (!code) code = lrb_fs_open_dir(dir, component, fd, err);
    if (code) return code;
    code = lrb_fs_copy_owner(tree->root, *fd, tree->prefix, err);
    if (code) lrb_fs_close(*fd);
    return code;
}

/* Goes one component down: tree->prefix already holds its whole name. */
static int descend(lrb_tree *tree, const char *component, bool make, lrb_err *err) {
    int from = tree->fd >= 0 ? tree->fd : tree->root, fd = -1;
    int code = lrb_fs_open_dir(from, component, &fd, err);
    if (code == LRB_E_NOT_FOUND && make) {
        lrb_err_clear(err);
        code = make_one(tree, from, component, &fd, err);
    }
    if (code == LRB_E_INVALID) /* taken by a link, a file, a device */
        return lrb_err_set(err, make ? LRB_E_EXISTS : LRB_E_NOT_FOUND, "open directory", tree->prefix,
                           "something that is no directory is in its place");
    if (code) return code;
    lrb_fs_close(tree->fd);
    tree->fd = fd;
    return LRB_OK;
}

/* Reaches the directory name[0..length), length > 0. */
static int reach(lrb_tree *tree, const char *name, size_t length, bool make, lrb_err *err) {
    if (!stands_above(tree, name, length)) lrb_tree_forget(tree);
    while (tree->fd < 0 || tree->prefix_length < length) {
        size_t start = tree->fd < 0 ? 0 : tree->prefix_length + 1, end = start;
        while (end < length && name[end] != '/') end++;
        memcpy(tree->prefix + start, name + start, end - start);
        if (start) tree->prefix[start - 1] = '/';
        tree->prefix[end] = '\0';
        int code = descend(tree, tree->prefix + start, make, err);
        if (code) {
            lrb_tree_forget(tree);
            return code;
        }
        tree->prefix_length = end;
    }
    return LRB_OK;
}

static int check_name(const char *name, size_t length, lrb_err *err) {
    if (lrb_name_valid(name, length)) return LRB_OK;
    return lrb_err_set(err, LRB_E_INVALID, "open", name, "not a usable item name");
}

int lrb_tree_parent(lrb_tree *tree, const char *name, bool make, int *dir, const char **leaf, lrb_err *err) {
    int code = check_name(name, strlen(name), err);
    if (code) return code;
    const char *slash = strrchr(name, '/');
    *leaf = slash ? slash + 1 : name;
    *dir = tree->root;
    if (!slash) return LRB_OK;
    code = reach(tree, name, (size_t)(slash - name), make, err);
    *dir = tree->fd;
    return code;
}

int lrb_tree_directory(lrb_tree *tree, const char *name, bool make, int *dir, lrb_err *err) {
    size_t length = strlen(name);
    int code = check_name(name, length, err);
    if (!code) code = reach(tree, name, length, make, err);
    *dir = tree->fd;
    return code;
}

int lrb_tree_identify(lrb_tree *tree, const char *name, bool *found, lrb_identity *identity, lrb_err *err) {
    int dir;
    const char *leaf;
    int code = lrb_tree_parent(tree, name, false, &dir, &leaf, err);
    if (!code) code = lrb_fs_identify_at(dir, leaf, identity, err);
    *found = code == LRB_OK;
    if (code != LRB_E_NOT_FOUND) return code;
    lrb_err_clear(err);
    return LRB_OK;
}

/* ---- lists of names ---- */

/* Compares a name of the list with key[0..length) followed by `last`; a name that goes on behind a '/' counts as
 * equal. */
static int compare(const char *name, const char *key, size_t length, char last) {
    int order = strncmp(name, key, length);
    return order ? order : (int)(unsigned char)name[length] - (int)(unsigned char)last;
}

static bool find(const lrb_names *names, const char *key, size_t length, char last) {
    size_t low = 0, high = names->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(names->at[middle], key, length, last);
        if (order == 0) return true;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return false;
}

bool lrb_names_sorted(const lrb_names *names) {
    for (size_t i = 1; i < names->count; i++)
        if (strcmp(names->at[i - 1], names->at[i]) >= 0) return false;
    return true;
}

bool lrb_names_has(const lrb_names *names, const char *name, size_t length) {
    return find(names, name, length, '\0');
}

bool lrb_names_below(const lrb_names *names, const char *directory, size_t length) {
    return find(names, directory, length, '/');
}
