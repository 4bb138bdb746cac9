#include "engine/obstacle.h"

#include <errno.h>
#include <string.h>

static int refuse(lrb_code code, int dir, const char *name, const char *message, lrb_err *err) {
    char place[sizeof err->target];
    bool known = lrb_fs_place(dir, name, place, sizeof place);
    return lrb_err_set(err, code, "restore", known ? place : name, "%s", message);
}

int lrb_obstacle_foreign(int dir, const char *name, lrb_err *err) {
    return refuse(LRB_E_EXISTS, dir, name, "it is no item of the graph and in the way of one; move it elsewhere", err);
}

int lrb_obstacle_mounted(int dir, const char *name, uint64_t mount, lrb_err *err) {
    uint64_t here;
    int code = lrb_fs_mount_id_at(dir, name, &here, err);
    if (code || here == mount) return code;
    return refuse(LRB_E_UNSUPPORTED, dir, name,
                  "it is a mount point, which a restore can neither replace nor remove; unmount it, or restore to another"
                  " directory", err);
}

/* Looks at every directory on the way to a name, and at the name itself, as far as they are there: the first that is of
 * another mount is the mount point. */
static int look_on_the_way(lrb_tree *tree, const char *name, uint64_t mount, lrb_err *err) {
    char prefix[LRB_PATH_MAX];
    int dir, code = LRB_OK;
    const char *leaf;
    size_t whole = strlen(name);
    for (size_t length = 1; !code && length <= whole; length++) {
        if (name[length] != '/' && length < whole) continue;
        memcpy(prefix, name, length);
        prefix[length] = '\0';
        code = lrb_tree_parent(tree, prefix, false, &dir, &leaf, err);
        if (!code) code = lrb_obstacle_mounted(dir, leaf, mount, err);
    }
    if (code != LRB_E_NOT_FOUND) return code;
    lrb_err_clear(err);
    return LRB_OK;
}

/* What is of the target's own mount needs no second look. */
static int look(lrb_tree *tree, const char *name, uint64_t mount, lrb_err *err) {
    int dir;
    const char *leaf;
    uint64_t here;
    int code = lrb_tree_parent(tree, name, false, &dir, &leaf, err);
    if (!code) code = lrb_fs_mount_id_at(dir, leaf, &here, err);
    if (!code && here == mount) return LRB_OK;
    if (code && code != LRB_E_NOT_FOUND) return code;
    lrb_err_clear(err);
    return look_on_the_way(tree, name, mount, err);
}

int lrb_obstacle_mounts(int target, lrb_names names, lrb_err *err) {
    lrb_tree tree;
    uint64_t mount;
    int code = lrb_fs_mount_id(target, &mount, err);
    if (code) return code;
    lrb_tree_init(&tree, target);
    for (size_t i = 0; !code && i < names.count; i++) code = look(&tree, names.at[i], mount, err);
    lrb_tree_clear(&tree);
    return code;
}

int lrb_obstacle_try_lock(int dir, int staging, bool *taken, lrb_err *err) {
    char place[sizeof err->target];
    int code = lrb_fs_try_lock(staging, taken, err), number = code ? err->sys_errno : 0;
    if (number != ENOLCK && number != EOPNOTSUPP && number != ENOSYS && number != EINVAL && number != EBADF) return code;
    bool known = lrb_fs_place(dir, NULL, place, sizeof place);
    code = lrb_err_set(err, LRB_E_IO, "lock", known ? place : err->target,
                       "its file system has no locks (%s), without which two restores would get in each other's way; restore to a"
                       " directory of another one, and copy that here", err->message);
    err->sys_errno = number;
    return code;
}
