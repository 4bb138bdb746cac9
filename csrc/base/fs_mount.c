#define _GNU_SOURCE 1
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static uint64_t mount_of(const struct statx *st) {
    bool has_id = st->stx_mask & STATX_MNT_ID;
    return has_id ? st->stx_mnt_id : (uint64_t)st->stx_dev_major << 32 | st->stx_dev_minor;
}

int lrb_fs_mount_id(int fd, uint64_t *mount, lrb_err *err) {
    struct statx st;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) != 0) return lrb_fs_refused(fd, errno, "stat", "", err);
    *mount = mount_of(&st);
    return LRB_OK;
}

int lrb_fs_mount_id_at(int dir_fd, const char *name, uint64_t *mount, lrb_err *err) {
    struct statx st;
    if (statx(dir_fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_MNT_ID, &st) != 0)
        return lrb_fs_refused_at(dir_fd, name, errno, "stat", err);
    *mount = mount_of(&st);
    return LRB_OK;
}
