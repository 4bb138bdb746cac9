/* The directories of a storage path: <path>/graphs/<graph_id>/<what a repository has>.
 *
 * What is made is made durable: the directory above a new one is synced before anything is put into it. A new directory
 * is 0750. No state; any thread.
 */
#ifndef LRB_REPO_STORAGE_H
#define LRB_REPO_STORAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* Opens <path>/graphs; with `create` every missing component is made, without it one that is missing is NOT_FOUND. */
int lrb_storage_open(const char *path, bool create, int *graphs_dir, lrb_err *err);
/* Opens a directory below an open one. */
int lrb_storage_subdir(int parent, const char *name, bool create, int *fd, lrb_err *err);
/* Makes the names on the way to `path`, and those in it, durable: also names that another process made a moment ago and has not
 * synced yet. A directory that may not be opened was not made by a process of this user, and is passed over. */
int lrb_storage_sync(const char *path, lrb_err *err);

enum { LRB_GRAPH_NAME_BYTES = 129 };
typedef struct lrb_graph_names {
    char (*at)[LRB_GRAPH_NAME_BYTES]; /* lrb_free */
    size_t count;
} lrb_graph_names;

/* All directories in graphs/ that can be graphs, by name. */
int lrb_storage_graphs(int graphs_dir, lrb_graph_names *list, lrb_err *err);

#endif
