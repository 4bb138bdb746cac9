/* Names below one directory: reached component by component from an open descriptor, never through a symbolic link.
 *
 * A restore writes and removes below directories that others may have filled with anything. Walking from a descriptor
 * with O_NOFOLLOW at every component is what keeps it inside: a link in the middle of a name is "not found" when
 * looking and "in the way" when making, never a way out.
 *
 * An lrb_tree remembers the directory reached last, so that names in byte order cost one open per directory, not per
 * name. One thread at a time; the root descriptor is borrowed. Names have passed lrb_name_valid.
 */
#ifndef LRB_ENGINE_TREE_H
#define LRB_ENGINE_TREE_H

#include "base/fs.h"
#include "base/path.h"

typedef struct lrb_tree {
    int root;
    int fd;                 /* the directory `prefix`, or -1: the root itself */
    size_t prefix_length;
    char prefix[LRB_PATH_MAX];
} lrb_tree;

void lrb_tree_init(lrb_tree *tree, int root);
void lrb_tree_clear(lrb_tree *tree);
/* Forgets the directory reached last: needed after directories below the root were removed or replaced. */
void lrb_tree_forget(lrb_tree *tree);

/* *dir becomes the directory that holds `name` (the tree's own, valid until the next call), *leaf its last component.
 * With `make`, missing directories are made (0777 less the umask, the root's owner) and something else in their place
 * is EXISTS; without it both are NOT_FOUND. */
int lrb_tree_parent(lrb_tree *tree, const char *name, bool make, int *dir, const char **leaf, lrb_err *err);

/* The same for the directory `name` itself. */
int lrb_tree_directory(lrb_tree *tree, const char *name, bool make, int *dir, lrb_err *err);

/* What is at `name`; *found false when nothing is, or when its way leads through something that is no directory. */
int lrb_tree_identify(lrb_tree *tree, const char *name, bool *found, lrb_identity *identity, lrb_err *err);

/* ---- lists of names in byte order, each once ---- */
typedef struct lrb_names {
    const char *const *at;
    size_t count;
} lrb_names;

bool lrb_names_sorted(const lrb_names *names);
bool lrb_names_has(const lrb_names *names, const char *name, size_t length);
/* Whether a name of the list lies below the directory of this name. */
bool lrb_names_below(const lrb_names *names, const char *directory, size_t length);

#endif
