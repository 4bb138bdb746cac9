#define _GNU_SOURCE 1
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A descriptor of its own: one made by dup would share its position with every other user of `dir_fd`. */
static int open_stream(int dir_fd, const char *name, const char *target, DIR **out, lrb_err *err) {
    int fd;
    int code = lrb_fs_open_dir(dir_fd, name, &fd, err);
    if (code) return err->sys_errno && err->target[0] != '/' ? lrb_err_sys(err, err->sys_errno, "list", target) : code; /* a refusal has its place */
    DIR *stream = fdopendir(fd);
    if (stream) {
        *out = stream;
        return LRB_OK;
    }
    code = lrb_fs_refused(fd, errno, "list", target, err);
    lrb_fs_close(fd);
    return code;
}

/* The next name but "." and ".."; NULL at the end. */
static int next_name(DIR *stream, const char *target, const char **name, lrb_err *err) {
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (!entry && errno) return lrb_fs_refused(dirfd(stream), errno, "list", target, err);
        *name = entry ? entry->d_name : NULL;
        if (!entry || (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)) return LRB_OK;
    }
}

int lrb_fs_list(int dir_fd, lrb_fs_each each, void *arg, const char *target, lrb_err *err) {
    DIR *stream;
    const char *name;
    int code = open_stream(dir_fd, ".", target, &stream, err);
    if (code) return code;
    while (!(code = next_name(stream, target, &name, err)) && name) {
        if ((code = each(arg, name, err))) break;
    }
    closedir(stream);
    return code;
}

/* Removing a tree.
 *
 * One directory is open at a time. A pass removes what can be removed at once; the first directory that is not empty
 * is entered; an emptied one is left through "..", and the next pass over its parent removes it. The way back is
 * checked against the identities met on the way in, so a directory moved meanwhile cannot lead the removal elsewhere.
 * A mount point is never entered: removing it says "busy" before it could say "not empty".
 */
enum { TREE_DEPTH_MAX = 1000 };

typedef struct tree_place {
    uint64_t device, inode;
} tree_place;

typedef struct tree_walk {
    DIR *here;
    size_t depth;
    tree_place above[TREE_DEPTH_MAX];
    const char *target;
} tree_walk;

/* 0 or an errno; ENOTEMPTY for a directory with something in it. */
static int remove_name(int dir_fd, const char *name) {
    if (unlinkat(dir_fd, name, 0) == 0) return 0;
    if (errno == EISDIR && unlinkat(dir_fd, name, AT_REMOVEDIR) == 0) return 0;
    if (errno == ENOENT) return 0;
    return errno == EEXIST ? ENOTEMPTY : errno;
}

static int place_of(DIR *stream, tree_place *out, lrb_err *err) {
    lrb_identity identity;
    int code = lrb_fs_identify(dirfd(stream), &identity, err);
    if (!code) *out = (tree_place){identity.device, identity.inode};
    return code;
}

/* A restored directory may be read-only; its owner empties it all the same. */
static int open_writable(int dir_fd, const char *name, const char *target, DIR **out, lrb_err *err) {
    int code = open_stream(dir_fd, name, target, out, err);
    if (!code) (void)fchmod(dirfd(*out), 0700);
    return code;
}

static int tree_enter(tree_walk *walk, const char *name, lrb_err *err) {
    DIR *below;
    if (walk->depth == TREE_DEPTH_MAX) {
        return lrb_err_set(err, LRB_E_LIMIT, "remove", walk->target, "it was nested deeper than %d directories",
                           TREE_DEPTH_MAX);
    }
    int code = place_of(walk->here, &walk->above[walk->depth], err);
    if (!code) code = open_writable(dirfd(walk->here), name, walk->target, &below, err);
    if (code) return code;
    closedir(walk->here);
    walk->here = below;
    walk->depth++;
    return LRB_OK;
}

static int tree_leave(tree_walk *walk, lrb_err *err) {
    DIR *parent;
    tree_place place;
    int code = open_stream(dirfd(walk->here), "..", walk->target, &parent, err);
    if (code) return code;
    closedir(walk->here);
    walk->here = parent;
    walk->depth--;
    code = place_of(parent, &place, err);
    if (code) return code;
    const tree_place *expected = &walk->above[walk->depth];
    if (place.device == expected->device && place.inode == expected->inode) return LRB_OK;
    return lrb_err_set(err, LRB_E_CHANGED, "remove", walk->target, "a directory was moved while the tree was removed");
}

/* Removes names until the directory is empty (*done) or a directory below has been entered. */
static int tree_pass(tree_walk *walk, bool *done, lrb_err *err) {
    const char *name;
    int code;
    while (!(code = next_name(walk->here, walk->target, &name, err)) && name) {
        int failed = remove_name(dirfd(walk->here), name);
        if (failed == ENOTEMPTY) return tree_enter(walk, name, err);
        if (failed) return lrb_fs_refused_at(dirfd(walk->here), name, failed, "remove", err);
    }
    *done = true;
    return code;
}

static int tree_empty(tree_walk *walk, lrb_err *err) {
    for (;;) {
        bool done = false;
        int code = tree_pass(walk, &done, err);
        if (code || (done && walk->depth == 0)) return code;
        if (done && (code = tree_leave(walk, err))) return code;
    }
}

int lrb_fs_remove_tree(int dir_fd, const char *name, lrb_err *err) {
    int failed = remove_name(dir_fd, name);
    if (failed == ENOTEMPTY) {
        tree_walk walk;
        walk.depth = 0;
        walk.target = name;
        int code = open_writable(dir_fd, name, name, &walk.here, err);
        if (code) return code;
        code = tree_empty(&walk, err);
        closedir(walk.here);
        if (code) return code;
        failed = remove_name(dir_fd, name);
    }
    return failed ? lrb_fs_refused_at(dir_fd, name, failed, "remove", err) : LRB_OK;
}
