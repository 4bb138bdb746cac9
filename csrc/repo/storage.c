#include "repo/storage.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/path.h"

int lrb_storage_subdir(int parent, const char *name, bool create, int *fd, lrb_err *err) {
    int code = lrb_fs_open_dir(parent, name, fd, err);
    if (code != LRB_E_NOT_FOUND || !create) return code;
    lrb_err_clear(err);
    if ((code = lrb_fs_make_dir(parent, name, 0750, err)) != LRB_OK) return code;
    if ((code = lrb_fs_open_dir(parent, name, fd, err)) != LRB_OK) return code;
    if (parent != AT_FDCWD && (code = lrb_fs_sync(parent, name, err)) != LRB_OK) {
        lrb_fs_close(*fd);
        *fd = -1;
    }
    return code;
}

/* Makes partial[0..length) durable in the directory above it. */
static int sync_parent(char *partial, size_t length, lrb_err *err) {
    size_t slash = length;
    while (slash > 0 && partial[slash - 1] != '/') slash--;
    if (!slash) return lrb_fs_sync_dir(AT_FDCWD, ".", err);
    char first = partial[slash];
    partial[slash] = '\0';
    int code = lrb_fs_sync_dir(AT_FDCWD, partial, err);
    partial[slash] = first;
    return code;
}

int lrb_storage_sync(const char *path, lrb_err *err) {
    char at[LRB_PATH_MAX];
    lrb_err ignored;
    int fd, code = lrb_path_join(at, "", path, err);
    for (char *slash = at; !code && slash;) {
        if (!lrb_fs_open_dir(AT_FDCWD, at[0] ? at : "/", &fd, &ignored)) {
            code = lrb_fs_sync(fd, at, err);
            lrb_fs_close(fd);
        }
        if ((slash = strrchr(at, '/'))) *slash = '\0';
    }
    return code || path[0] == '/' ? code : lrb_fs_sync_dir(AT_FDCWD, ".", err);
}

/* Opens the directory `path`, making every missing component. */
static int open_path(const char *path, bool create, int *fd, lrb_err *err) {
    int code = lrb_fs_open_dir(AT_FDCWD, path, fd, err);
    if (code != LRB_E_NOT_FOUND || !create) return code;
    char partial[LRB_PATH_MAX];
    if (strlen(path) >= sizeof partial) return lrb_err_set(err, LRB_E_LIMIT, "open", path, 
                                                            "the storage path was too long");
    for (size_t end = 1; path[end - 1]; end++) {
        if (path[end] && path[end] != '/') continue;
        memcpy(partial, path, end);
        partial[end] = '\0';
        lrb_identity present;
        if (lrb_fs_identify_at(AT_FDCWD, partial, &present, err) == LRB_E_NOT_FOUND) {
            lrb_err_clear(err);
            if ((code = lrb_fs_make_dir(AT_FDCWD, partial, 0750, err)) || (code = sync_parent(partial, end, err))) return code;
        }
        if (!path[end]) break;
    }
    lrb_err_clear(err);
    return lrb_fs_open_dir(AT_FDCWD, path, fd, err);
}

int lrb_storage_open(const char *path, bool create, int *graphs_dir, lrb_err *err) {
    int storage = -1;
    int code = open_path(path, create, &storage, err);
    if (!code) code = lrb_storage_subdir(storage, "graphs", create, graphs_dir, err);
    lrb_fs_close(storage);
    if (code != LRB_E_INVALID || storage < 0) return code;
    lrb_err found = *err;
    return lrb_err_set(err, LRB_E_DAMAGED, "open", "graphs", "%.100s: put the directory itself there", found.message);
}

typedef struct taking {
    int dir;
    lrb_graph_names *list;
} taking;

static int take_graph(void *arg, const char *name, lrb_err *err) {
    lrb_graph_names *list = ((taking *)arg)->list;
    lrb_identity identity;
    lrb_err ignored; /* gone meanwhile */
    if (!lrb_graph_id_valid(name) || lrb_fs_identify_at(((taking *)arg)->dir, name, &identity, &ignored) ||
        identity.type != LRB_FILE_DIRECTORY)
        return LRB_OK;
    char (*at)[LRB_GRAPH_NAME_BYTES] = lrb_resize_array(list->at, list->count + 1, sizeof *at);
    if (!at) return lrb_err_nomem(err, "list the graphs");
    list->at = at;
    memcpy(at[list->count++], name, strlen(name) + 1);
    return LRB_OK;
}

static int by_name(const void *a, const void *b) { return strcmp(a, b); }

int lrb_storage_graphs(int graphs_dir, lrb_graph_names *list, lrb_err *err) {
    *list = (lrb_graph_names){0};
    taking t = {graphs_dir, list};
    int code = lrb_fs_list(graphs_dir, take_graph, &t, "graphs", err);
    if (code) {
        lrb_free(list->at);
        *list = (lrb_graph_names){0};
    } else if (list->count) {
        qsort(list->at, list->count, sizeof *list->at, by_name);
    }
    return code;
}
