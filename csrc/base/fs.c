#define _GNU_SOURCE 1
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mem.h"

static const int64_t NS_PER_S = 1000000000;

/* ---- identity ---- */

static lrb_file_type type_of_mode(mode_t mode) {
    if (S_ISREG(mode)) return LRB_FILE_REGULAR;
    if (S_ISDIR(mode)) return LRB_FILE_DIRECTORY;
    if (S_ISLNK(mode)) return LRB_FILE_SYMLINK;
    return LRB_FILE_OTHER;
}

static int64_t nanoseconds(struct timespec t) {
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static lrb_identity identity_of_stat(const struct stat *st) {
    return (lrb_identity){
        .device = st->st_dev,
        .inode = st->st_ino,
        .size_bytes = (uint64_t)st->st_size,
        .mtime_ns = nanoseconds(st->st_mtim),
        .ctime_ns = nanoseconds(st->st_ctim),
        .mode = st->st_mode & 07777,
        .type = type_of_mode(st->st_mode),
    };
}

bool lrb_identity_same(const lrb_identity *a, const lrb_identity *b) {
    return a->device == b->device && a->inode == b->inode && a->size_bytes == b->size_bytes &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

static int identify(int fd, const char *target, lrb_identity *out, lrb_err *err) {
    struct stat st;
    if (fstat(fd, &st) != 0) return lrb_fs_refused(fd, errno, "stat", target, err);
    *out = identity_of_stat(&st);
    return LRB_OK;
}

int lrb_fs_identify(int fd, lrb_identity *out, lrb_err *err) {
    return identify(fd, "", out, err);
}

int lrb_fs_identify_at(int dir_fd, const char *name, lrb_identity *out, lrb_err *err) {
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return lrb_fs_refused_at(dir_fd, name, errno, "stat", err);
    *out = identity_of_stat(&st);
    return LRB_OK;
}

/* ---- opening ---- */

static int open_at(int dir_fd, const char *name, int flags, mode_t mode) {
    int fd;
    do fd = openat(dir_fd, name, flags | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static int wrong_type(const char *name, lrb_file_type is, lrb_file_type wanted, lrb_err *err) {
    static const char *const names[] = {
        [LRB_FILE_REGULAR] = "a regular file",
        [LRB_FILE_DIRECTORY] = "a directory",
        [LRB_FILE_SYMLINK] = "a symbolic link",
        [LRB_FILE_OTHER] = "a device, socket or fifo",
    };
    return lrb_err_set(err, LRB_E_INVALID, "open", name, "it was %s, not %s", names[is], names[wanted]);
}

/* The kernel says ENOTDIR, ELOOP or ENXIO for a name of the wrong type. "Not found" would be a lie about a name
 * that is taken, so the type is looked up and told. */
static int open_failed(int dir_fd, const char *name, int sys_errno, lrb_file_type wanted, lrb_err *err) {
    struct stat st;
    if (sys_errno != ENOENT && fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        lrb_file_type is = type_of_mode(st.st_mode);
        if (is != wanted) return wrong_type(name, is, wanted, err);
    }
    return lrb_fs_refused_at(dir_fd, name, sys_errno, "open", err);
}

int lrb_fs_open_dir(int dir_fd, const char *name, int *fd, lrb_err *err) {
    int got = open_at(dir_fd, name, O_RDONLY | O_DIRECTORY, 0);
    if (got < 0) return open_failed(dir_fd, name, errno, LRB_FILE_DIRECTORY, err);
    *fd = got;
    return LRB_OK;
}

int lrb_fs_open_above(int dir_fd, const char *name, int *fd, bool *listed, lrb_err *err) {
    int code = lrb_fs_open_dir(dir_fd, name, fd, err);
    *listed = code == LRB_OK;
    if (*listed || err->sys_errno != EACCES) return code;
    int got = open_at(dir_fd, name, O_PATH | O_DIRECTORY, 0);
    if (got < 0) return open_failed(dir_fd, name, errno, LRB_FILE_DIRECTORY, err);
    lrb_err_clear(err);
    *fd = got;
    return LRB_OK;
}

int lrb_fs_make_dir(int dir_fd, const char *name, uint32_t mode, lrb_err *err) {
    struct stat st;
    if (mkdirat(dir_fd, name, (mode_t)mode) == 0) return LRB_OK;
    int saved = errno;
    if (saved == EEXIST && fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)) return LRB_OK;
    return lrb_fs_refused_at(dir_fd, name, saved, "make directory", err);
}

/* O_NONBLOCK: opening a fifo must not wait for its writer. Reading a regular file ignores it. */
int lrb_fs_open_read(int dir_fd, const char *name, int *fd, lrb_err *err) {
    lrb_identity identity;
    int got = open_at(dir_fd, name, O_RDONLY | O_NONBLOCK, 0);
    if (got < 0) return open_failed(dir_fd, name, errno, LRB_FILE_REGULAR, err);
    int code = identify(got, name, &identity, err);
    if (!code && identity.type != LRB_FILE_REGULAR) code = wrong_type(name, identity.type, LRB_FILE_REGULAR, err);
    if (code) lrb_fs_close(got);
    else *fd = got;
    return code;
}

static int create(int dir_fd, const char *name, int flags, uint32_t mode, int *fd, lrb_err *err) {
    int got = open_at(dir_fd, name, O_RDWR | O_CREAT | flags, (mode_t)mode);
    if (got < 0) return lrb_fs_refused_at(dir_fd, name, errno, "create", err);
    *fd = got;
    return LRB_OK;
}

int lrb_fs_create(int dir_fd, const char *name, uint32_t mode, int *fd, lrb_err *err) {
    return create(dir_fd, name, O_EXCL, mode, fd, err);
}

int lrb_fs_open_or_create(int dir_fd, const char *name, uint32_t mode, int *fd, lrb_err *err) {
    return create(dir_fd, name, 0, mode, fd, err);
}

/* One component at a time, each opened O_NOFOLLOW: a directory swapped for a symlink meanwhile is an error, not a way
 * out. */
int lrb_fs_open_below(int dir_fd, const char *path, int *fd, lrb_err *err) {
    char component[NAME_MAX + 1];
    int dir = dir_fd, code = LRB_OK;
    for (const char *slash; !code && (slash = strchr(path, '/')); path = slash + 1) {
        size_t length = (size_t)(slash - path);
        if (length > NAME_MAX) {
            code = lrb_err_sys(err, ENAMETOOLONG, "open", path);
            break;
        }
        memcpy(component, path, length);
        component[length] = '\0';
        int below;
        code = lrb_fs_open_dir(dir, component, &below, err);
        if (dir != dir_fd) lrb_fs_close(dir);
        dir = code ? dir_fd : below;
    }
    if (!code) code = lrb_fs_open_read(dir, path, fd, err);
    if (dir != dir_fd) lrb_fs_close(dir);
    return code;
}

int lrb_fs_duplicate(int fd, int *copy, lrb_err *err) {
    int got = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (got < 0) return lrb_fs_refused(fd, errno, "duplicate", "descriptor", err);
    *copy = got;
    return LRB_OK;
}

/* The descriptor is gone whatever close says (also for EINTR on Linux); what was written is judged by fsync. */
void lrb_fs_close(int fd) {
    if (fd >= 0) (void)close(fd);
}

/* ---- reading ---- */

static int check_range(uint64_t offset, size_t count, const char *op, const char *target, lrb_err *err) {
    if (offset <= INT64_MAX && count <= INT64_MAX - offset) return LRB_OK;
    return lrb_err_set(err, LRB_E_INVALID, op, target, "offset %llu is beyond what a file can have",
                       (unsigned long long)offset);
}

int lrb_fs_read_at(int fd, void *into, size_t room, uint64_t offset, size_t *got, const char *target, lrb_err *err) {
    uint8_t *at = into;
    size_t done = 0;
    int code = check_range(offset, room, "read", target, err);
    if (code) return code;
    while (done < room) {
        ssize_t count = pread(fd, at + done, room - done, (off_t)(offset + done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return lrb_fs_refused(fd, errno, "read", target, err);
        if (count == 0) break;
        done += (size_t)count;
    }
    *got = done;
    return LRB_OK;
}

int lrb_fs_read_exact(int fd, void *into, size_t count, uint64_t offset, const char *target, lrb_err *err) {
    size_t got;
    int code = lrb_fs_read_at(fd, into, count, offset, &got, target, err);
    if (code || got == count) return code;
    return lrb_err_set(err, LRB_E_DAMAGED, "read", target, "it ended early: %zu of %zu bytes at offset %llu", got,
                       count, (unsigned long long)offset);
}

static int read_whole(int fd, const char *name, size_t ceiling_bytes, uint8_t **bytes, size_t *count, lrb_err *err) {
    lrb_identity identity;
    size_t got;
    int code = identify(fd, name, &identity, err);
    if (code) return code;
    if (identity.size_bytes > ceiling_bytes || identity.size_bytes >= SIZE_MAX) {
        return lrb_err_set(err, LRB_E_LIMIT, "read", name, "its %llu bytes were above the ceiling of %zu",
                           (unsigned long long)identity.size_bytes, ceiling_bytes);
    }
    size_t size = (size_t)identity.size_bytes;
    uint8_t *read = lrb_alloc(size + 1); /* one more than there should be: a file that grows is seen */
    if (!read) return lrb_err_nomem(err, "read a file");
    code = lrb_fs_read_at(fd, read, size + 1, 0, &got, name, err);
    if (!code && got != size) code = lrb_err_set(err, LRB_E_CHANGED, "read", name, "its size changed meanwhile");
    if (code) {
        lrb_free(read);
        return code;
    }
    *bytes = read;
    *count = size;
    return LRB_OK;
}

int lrb_fs_read_file(int dir_fd, const char *name, size_t ceiling_bytes, uint8_t **bytes, size_t *count, lrb_err *err) {
    int fd;
    int code = lrb_fs_open_read(dir_fd, name, &fd, err);
    if (code) return code;
    code = read_whole(fd, name, ceiling_bytes, bytes, count, err);
    lrb_fs_close(fd);
    return code;
}

/* ---- writing ---- */

/* A write of nothing for more than nothing would loop for ever; it means the device takes no more. */
static int written(int fd, ssize_t count, const char *target, size_t *done, lrb_err *err) {
    if (count < 0 && errno == EINTR) return LRB_OK;
    if (count <= 0) return lrb_fs_refused(fd, count < 0 ? errno : ENOSPC, "write", target, err);
    *done += (size_t)count;
    return LRB_OK;
}

int lrb_fs_write(int fd, const void *bytes, size_t count, const char *target, lrb_err *err) {
    const uint8_t *at = bytes;
    int code = LRB_OK;
    for (size_t done = 0; !code && done < count;) {
        code = written(fd, write(fd, at + done, count - done), target, &done, err);
    }
    return code;
}

int lrb_fs_write_at(int fd, const void *bytes, size_t count, uint64_t offset, const char *target, lrb_err *err) {
    const uint8_t *at = bytes;
    int code = check_range(offset, count, "write", target, err);
    for (size_t done = 0; !code && done < count;) {
        code = written(fd, pwrite(fd, at + done, count - done, (off_t)(offset + done)), target, &done, err);
    }
    return code;
}

int lrb_fs_set_size(int fd, uint64_t size_bytes, const char *target, lrb_err *err) {
    int failed, code = check_range(size_bytes, 0, "set size", target, err);
    if (code) return code;
    do failed = ftruncate(fd, (off_t)size_bytes);
    while (failed && errno == EINTR);
    return failed ? lrb_fs_refused(fd, errno, "set size", target, err) : LRB_OK;
}

static struct timespec timespec_of(int64_t ns) {
    int64_t seconds = ns / NS_PER_S, rest = ns % NS_PER_S;
    if (rest < 0) { /* before 1970: tv_nsec counts upwards all the same */
        seconds--;
        rest += NS_PER_S;
    }
    return (struct timespec){.tv_sec = (time_t)seconds, .tv_nsec = (long)rest};
}

int lrb_fs_set_attributes(int fd, uint32_t mode, int64_t mtime_ns, const char *target, lrb_err *err) {
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, timespec_of(mtime_ns)};
    if (fchmod(fd, (mode_t)(mode & 07777)) != 0) return lrb_fs_refused(fd, errno, "set mode", target, err);
    if (futimens(fd, times) != 0) return lrb_fs_refused(fd, errno, "set time", target, err);
    return LRB_OK;
}

int lrb_fs_set_link_mtime(int dir_fd, const char *name, int64_t mtime_ns, lrb_err *err) {
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, timespec_of(mtime_ns)};
    if (utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) == 0) return LRB_OK;
    return lrb_fs_refused_at(dir_fd, name, errno, "set time", err);
}

/* Only a privileged process may give files away; for any other the difference is not an error but the normal case. */
int lrb_fs_copy_owner(int from, int to, const char *target, lrb_err *err) {
    struct stat model, st;
    if (fstat(from, &model) != 0 || fstat(to, &st) != 0) return lrb_fs_refused(to, errno, "stat", target, err);
    if (model.st_uid == st.st_uid && model.st_gid == st.st_gid) return LRB_OK;
    if (fchown(to, model.st_uid, model.st_gid) == 0 || errno == EPERM) return LRB_OK;
    return lrb_fs_refused(to, errno, "set owner", target, err);
}

void lrb_fs_start_writeback(int fd) {
    (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

/* EINTR is no verdict on the data: the call was broken off before one. Any other failure is final. */
static int sync_with(int (*call)(int), int fd, const char *target, lrb_err *err) {
    int failed;
    do failed = call(fd);
    while (failed && errno == EINTR);
    return failed ? lrb_fs_refused(fd, errno, "sync", target, err) : LRB_OK;
}

int lrb_fs_sync_data(int fd, const char *target, lrb_err *err) {
    return sync_with(fdatasync, fd, target, err);
}

int lrb_fs_sync(int fd, const char *target, lrb_err *err) {
    return sync_with(fsync, fd, target, err);
}

int lrb_fs_sync_filesystem(int fd, const char *target, lrb_err *err) {
    return sync_with(syncfs, fd, target, err);
}

int lrb_fs_sync_names(int dir_fd, int below, const char *target, lrb_err *err) {
    if (fcntl(dir_fd, F_GETFL) & O_PATH) return lrb_fs_sync_filesystem(below, target, err);
    return lrb_fs_sync(dir_fd, target, err);
}

int lrb_fs_sync_dir(int dir_fd, const char *name, lrb_err *err) {
    int fd;
    int code = lrb_fs_open_dir(dir_fd, name, &fd, err);
    if (code) return code;
    code = lrb_fs_sync(fd, name, err);
    lrb_fs_close(fd);
    return code;
}

/* ---- names ---- */

static int unsupported(int dir_fd, const char *name, int sys_errno, const char *op, const char *message, lrb_err *err) {
    char place[sizeof err->target];
    bool known = name[0] != '/' && lrb_fs_place(dir_fd, name, place, sizeof place);
    int code = lrb_err_set(err, LRB_E_UNSUPPORTED, op, known ? place : name, "%s", message);
    err->sys_errno = sys_errno;
    return code;
}

int lrb_fs_link(int from_dir, const char *from, int to_dir, const char *to, lrb_err *err) {
    if (linkat(from_dir, from, to_dir, to, 0) == 0) return LRB_OK;
    switch (errno) {
    case EPERM:
    case EOPNOTSUPP:
    case ENOSYS: return unsupported(to_dir, to, errno, "link", "the file system refused a hard link; use one with them", err);
    default: return lrb_fs_refused_at(to_dir, to, errno, "link", err);
    }
}

int lrb_fs_rename(int from_dir, const char *from, int to_dir, const char *to, lrb_err *err) {
    return renameat(from_dir, from, to_dir, to) == 0 ? LRB_OK : lrb_fs_refused_at(to_dir, to, errno, "rename", err);
}

/* EBUSY and EXDEV are what a mount point answers: it cannot change places either. */
int lrb_fs_exchange(int a_dir, const char *a, int b_dir, const char *b, lrb_err *err) {
    if (renameat2(a_dir, a, b_dir, b, RENAME_EXCHANGE) == 0) return LRB_OK;
    switch (errno) {
    case EPERM:
    case EOPNOTSUPP:
    case ENOSYS:
    case EINVAL:
    case EBUSY:
    case EXDEV: return unsupported(b_dir, b, errno, "exchange", "the file system could not exchange the two names", err);
    default: return lrb_fs_refused_at(b_dir, b, errno, "exchange", err);
    }
}

int lrb_fs_unlink(int dir_fd, const char *name, lrb_err *err) {
    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT) return LRB_OK;
    return lrb_fs_refused_at(dir_fd, name, errno, "remove", err);
}

int lrb_fs_remove_dir(int dir_fd, const char *name, lrb_err *err) {
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return LRB_OK;
    return lrb_fs_refused_at(dir_fd, name, errno, "remove directory", err);
}

int lrb_fs_make_symlink(int dir_fd, const char *name, const char *target, lrb_err *err) {
    return symlinkat(target, dir_fd, name) == 0 ? LRB_OK : lrb_fs_refused_at(dir_fd, name, errno, "make symbolic link", err);
}

int lrb_fs_read_symlink(int dir_fd, const char *name, char *out, size_t room, size_t *length, lrb_err *err) {
    ssize_t count = readlinkat(dir_fd, name, out, room);
    if (count < 0) return lrb_fs_refused_at(dir_fd, name, errno, "read symbolic link", err);
    if ((size_t)count >= room) {
        return lrb_err_set(err, LRB_E_LIMIT, "read symbolic link", name, "its text had more than %zu bytes", room - 1);
    }
    out[count] = '\0';
    *length = (size_t)count;
    return LRB_OK;
}

/* ---- room and locks ---- */

int lrb_fs_free_bytes(int fd, uint64_t *free_bytes, lrb_err *err) {
    struct statvfs st;
    if (fstatvfs(fd, &st) != 0) return lrb_fs_refused(fd, errno, "stat file system", "", err);
    if (__builtin_mul_overflow((uint64_t)st.f_bavail, (uint64_t)st.f_frsize, free_bytes)) *free_bytes = UINT64_MAX;
    return LRB_OK;
}

int lrb_fs_try_lock(int fd, bool *taken, lrb_err *err) {
    int failed;
    do failed = flock(fd, LOCK_EX | LOCK_NB);
    while (failed && errno == EINTR);
    if (failed && errno != EWOULDBLOCK) return lrb_fs_refused(fd, errno, "lock", "", err);
    *taken = !failed;
    return LRB_OK;
}

int lrb_fs_wait_lock(int fd, const char *target, lrb_err *err) {
    int failed;
    do failed = flock(fd, LOCK_EX);
    while (failed && errno == EINTR);
    return failed ? lrb_fs_refused(fd, errno, "lock", target, err) : LRB_OK;
}

void lrb_fs_end_lock(int fd) {
    (void)flock(fd, LOCK_UN);
}
