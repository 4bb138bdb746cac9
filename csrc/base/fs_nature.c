#define _GNU_SOURCE 1
#include "base/fs.h"

#include <errno.h>
#include <linux/magic.h>
#include <sys/vfs.h>

/* statfs(2) and the file systems' own sources; <linux/magic.h> lacks some. */
static const struct {
    unsigned long magic;
    const char *name;
} remotes[] = {
    {NFS_SUPER_MAGIC, "NFS"},  {SMB_SUPER_MAGIC, "SMB"},   {0xff534d42, "SMB"},         {0xfe534d42, "SMB"},
    {0x65735546, "FUSE"},      {V9FS_MAGIC, "9P"},         {AFS_SUPER_MAGIC, "AFS"},    {0x6b414653, "AFS"},
    {0x00c36400, "Ceph"},      {0x0bd00bd0, "Lustre"},     {0x19830326, "BeeGFS"},      {CODA_SUPER_MAGIC, "Coda"},
};

static const char *remote_name(unsigned long magic) {
    for (size_t i = 0; i < sizeof remotes / sizeof *remotes; i++)
        if (remotes[i].magic == magic) return remotes[i].name;
    return "";
}

/* Two descriptors of one directory: the second lock must be refused. One that somebody else holds, or that cannot be
 * had, says nothing. */
static int try_locks(int dir_fd, bool *locks, lrb_err *err) {
    int one = -1, other = -1;
    bool first = false, second = false;
    lrb_err ignored;
    *locks = true;
    int code = lrb_fs_open_dir(dir_fd, ".", &one, err);
    if (!code) code = lrb_fs_open_dir(dir_fd, ".", &other, err);
    if (!code && !lrb_fs_try_lock(one, &first, &ignored) && first && !lrb_fs_try_lock(other, &second, &ignored))
        *locks = !second;
    lrb_fs_close(one);
    lrb_fs_close(other);
    return code;
}

int lrb_fs_look_at_nature(int dir_fd, lrb_fs_nature *out, lrb_err *err) {
    struct statfs st;
    if (fstatfs(dir_fd, &st) != 0) return lrb_fs_refused(dir_fd, errno, "stat file system", "", err);
    out->remote = remote_name((unsigned long)st.f_type & 0xffffffff);
    return try_locks(dir_fd, &out->locks, err);
}
