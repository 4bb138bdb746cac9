/* The file system: the only place that opens, writes, links, renames, syncs or removes anything.
 *
 * Everything is relative to a directory descriptor, so a renamed parent cannot redirect it. EINTR and short
 * reads and writes are finished here. All descriptors are O_CLOEXEC and all opens O_NOFOLLOW.
 * The caller passes `target`, the object's name for error messages, where the name alone would not tell. What the system refuses
 * (no permission, no room, a broken disk) is named by its whole path: whoever is to mend modes or make room has to find it. What is
 * missing or taken is no refusal, and stays what the caller calls it.
 * Thread-safe: no state. A failed fsync is final: never called again for the same data (fsync-gate: the
 * kernel may have dropped the dirty pages); the caller throws the file away.
 */
#ifndef LRB_BASE_FS_H
#define LRB_BASE_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

typedef enum lrb_file_type {
    LRB_FILE_REGULAR = 1,
    LRB_FILE_DIRECTORY = 2,
    LRB_FILE_SYMLINK = 3,
    LRB_FILE_OTHER = 4
} lrb_file_type;

/* What makes a file "the same file with the same content": all of device, inode, size, mtime and ctime. */
typedef struct lrb_identity {
    uint64_t device, inode, size_bytes;
    int64_t mtime_ns, ctime_ns;
    uint32_t mode;        /* permission bits only, 07777 */
    lrb_file_type type;
} lrb_identity;

bool lrb_identity_same(const lrb_identity *a, const lrb_identity *b); /* mode is not compared; ctime covers it */

/* The path of an open file or directory, or of the name `below` in it, into out[room]: where it is now, or was when it lost its name.
 * False when the kernel does not tell, or it does not fit. */
bool lrb_fs_place(int fd, const char *below, char *out, size_t room);
/* As lrb_err_sys, of a call on `fd`, and of one on a name in a directory; a refusal names the place. */
int lrb_fs_refused(int fd, int sys_errno, const char *op, const char *target, lrb_err *err);
int lrb_fs_refused_at(int dir_fd, const char *name, int sys_errno, const char *op, lrb_err *err);

/* Opening a name that is taken by something of another type, a symlink above all, is INVALID and says what it is. */
int lrb_fs_open_dir(int dir_fd, const char *name, int *fd, lrb_err *err);        /* AT_FDCWD allowed */
/* The same for a directory on the way to another: one that may be searched and not read is opened O_PATH, and *listed is false. */
int lrb_fs_open_above(int dir_fd, const char *name, int *fd, bool *listed, lrb_err *err);
int lrb_fs_make_dir(int dir_fd, const char *name, uint32_t mode, lrb_err *err);  /* an existing directory is success */
int lrb_fs_open_read(int dir_fd, const char *name, int *fd, lrb_err *err);       /* regular files; no wait on a fifo */
/* O_CREAT|O_EXCL, for reading and writing: EXISTS when the name is taken. */
int lrb_fs_create(int dir_fd, const char *name, uint32_t mode, int *fd, lrb_err *err);
/* The same, and a file that is there already is opened as it is. */
int lrb_fs_open_or_create(int dir_fd, const char *name, uint32_t mode, int *fd, lrb_err *err);
/* Opens a regular file at a relative path of several components for reading; no component may be a symlink. */
int lrb_fs_open_below(int dir_fd, const char *path, int *fd, lrb_err *err);
int lrb_fs_duplicate(int fd, int *copy, lrb_err *err);
void lrb_fs_close(int fd);                                                       /* negative: nothing */

int lrb_fs_identify(int fd, lrb_identity *out, lrb_err *err);
int lrb_fs_identify_at(int dir_fd, const char *name, lrb_identity *out, lrb_err *err); /* not following links */

/* Reads up to `room` bytes at `offset`; *got is less than `room` only at the end of the file. */
int lrb_fs_read_at(int fd, void *into, size_t room, uint64_t offset, size_t *got, const char *target, lrb_err *err);
/* Reads exactly `count` bytes or fails with DAMAGED "ended early". */
int lrb_fs_read_exact(int fd, void *into, size_t count, uint64_t offset, const char *target, lrb_err *err);
/* Reads a whole small file: LIMIT above `ceiling_bytes`, CHANGED when its size changes meanwhile. Memory from
 * lrb_alloc, freed by the caller. */
int lrb_fs_read_file(int dir_fd, const char *name, size_t ceiling_bytes, uint8_t **bytes, size_t *count, lrb_err *err);
int lrb_fs_write(int fd, const void *bytes, size_t count, const char *target, lrb_err *err);
int lrb_fs_write_at(int fd, const void *bytes, size_t count, uint64_t offset, const char *target, lrb_err *err);
int lrb_fs_set_size(int fd, uint64_t size_bytes, const char *target, lrb_err *err);
int lrb_fs_set_attributes(int fd, uint32_t mode, int64_t mtime_ns, const char *target, lrb_err *err);
void lrb_fs_start_writeback(int fd);                                             /* a hint; failure is nothing */
int lrb_fs_sync_data(int fd, const char *target, lrb_err *err);                  /* fdatasync */
int lrb_fs_sync(int fd, const char *target, lrb_err *err);                       /* fsync: new metadata, directories */
/* Makes the names in a directory durable; one opened O_PATH with the whole file system of `below`, a descriptor of something in it. */
int lrb_fs_sync_names(int dir_fd, int below, const char *target, lrb_err *err);
int lrb_fs_sync_dir(int dir_fd, const char *name, lrb_err *err);                 /* opens, fsyncs, closes */

int lrb_fs_link(int from_dir, const char *from, int to_dir, const char *to, lrb_err *err);    /* EXISTS when taken */
int lrb_fs_rename(int from_dir, const char *from, int to_dir, const char *to, lrb_err *err);
/* RENAME_EXCHANGE; UNSUPPORTED where the file system cannot, and for a mount point. */
int lrb_fs_exchange(int a_dir, const char *a, int b_dir, const char *b, lrb_err *err);
int lrb_fs_unlink(int dir_fd, const char *name, lrb_err *err);                   /* a missing file is success */
int lrb_fs_remove_dir(int dir_fd, const char *name, lrb_err *err);               /* empty; a missing one is success */
/* Removes a file, link or directory with all that is in it; never follows a link, never enters a mount point (IO).
 * LIMIT for more than 1000 levels; CHANGED when a directory is moved meanwhile; a missing name is success. */
int lrb_fs_remove_tree(int dir_fd, const char *name, lrb_err *err);
int lrb_fs_make_symlink(int dir_fd, const char *name, const char *target, lrb_err *err);
/* Link text into out[room], NUL-terminated; LIMIT when longer. */
int lrb_fs_read_symlink(int dir_fd, const char *name, char *out, size_t room, size_t *length, lrb_err *err);

/* Calls `each` for every name but "." and "..", in the directory's own order; a non-zero return stops and is passed
 * up. `each` may remove the name it was called with. */
typedef int (*lrb_fs_each)(void *arg, const char *name, lrb_err *err);
int lrb_fs_list(int dir_fd, lrb_fs_each each, void *arg, const char *target, lrb_err *err);

/* syncfs: everything written so far on the file system of `fd`, others' data too. `fd` must have been opened before the
 * writes, so that their write-back errors are reported. */
int lrb_fs_sync_filesystem(int fd, const char *target, lrb_err *err);
/* Gives `to` the owner and group of `from` where they differ; what the process may not give is left, without an
 * error. */
int lrb_fs_copy_owner(int from, int to, const char *target, lrb_err *err);
int lrb_fs_set_link_mtime(int dir_fd, const char *name, int64_t mtime_ns, lrb_err *err);     /* of the link itself */
/* Tells one mount from another, bind mounts of one file system too; the device number where the kernel has no mount
 * ids. */
int lrb_fs_mount_id(int fd, uint64_t *mount, lrb_err *err);
int lrb_fs_mount_id_at(int dir_fd, const char *name, uint64_t *mount, lrb_err *err); /* not following links */

/* Bytes an unprivileged writer may still use on the file system of `fd`. */
int lrb_fs_free_bytes(int fd, uint64_t *free_bytes, lrb_err *err);
/* What a file system is besides a place for bytes. */
typedef struct lrb_fs_nature {
    const char *remote; /* "NFS", "SMB", "FUSE" …: its links, locks and syncs are as good as somebody else makes them; "" for a local one */
    bool locks;         /* false: two descriptors of one directory were given its lock at the same time */
} lrb_fs_nature;
/* Looks at the file system of a directory. */
int lrb_fs_look_at_nature(int dir_fd, lrb_fs_nature *out, lrb_err *err);
/* Tries an exclusive advisory lock without waiting: *taken says whether. Held until the descriptor closes. */
int lrb_fs_try_lock(int fd, bool *taken, lrb_err *err);
/* The same, waiting for it. */
int lrb_fs_wait_lock(int fd, const char *target, lrb_err *err);
/* Before the descriptor closes: a child that was forked meanwhile has it, too, and would keep the lock. */
void lrb_fs_end_lock(int fd);

#endif
