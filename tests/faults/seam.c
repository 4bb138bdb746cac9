#define _GNU_SOURCE 1
#include "seam.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

const char *const seam_names[SEAM_KINDS] = {
    "open",  "create",  "make-dir", "duplicate", "stat",     "list",   "read",       "read-link", "write", "set-size", "attributes",
    "sync",  "sync-all", "link",    "rename",    "exchange", "unlink", "remove-dir", "make-link", "room",  "lock",
};

seam_watch seam;

/* A call of ours, or of `after`'s, on this thread: not looked at. */
static _Thread_local int unwatched;

void seam_rest(void) { unwatched++; }
void seam_wake(void) { unwatched--; }

uint64_t seam_random(uint64_t *state) {
    uint64_t x = *state ? *state : 0x9e3779b97f4a7c15u;
    x ^= x >> 12, x ^= x << 25, x ^= x >> 27;
    *state = x;
    return x * 0x2545f4914f6cdd1du;
}

const int *seam_errnos(seam_kind kind, size_t *count) {
    static const int any[] = {EIO}, room[] = {ENOSPC, EIO, EDQUOT}, opened[] = {EIO, EMFILE, EACCES}, lock[] = {ENOLCK};
    switch (kind) {
    case SEAM_WRITE:
    case SEAM_CREATE:
    case SEAM_MAKE_DIR:
    case SEAM_SYNC:
    case SEAM_LINK:
    case SEAM_RENAME:
    case SEAM_SET_SIZE:
    case SEAM_MAKE_LINK:
        *count = 3;
        return room;
    case SEAM_OPEN:
        *count = 3;
        return opened;
    case SEAM_LOCK:
        *count = 1;
        return lock;
    default:
        *count = 1;
        return any;
    }
}

bool seam_can_interrupt(seam_kind kind) {
    return kind == SEAM_OPEN || kind == SEAM_CREATE || kind == SEAM_READ || kind == SEAM_WRITE || kind == SEAM_SET_SIZE ||
           kind == SEAM_SYNC || kind == SEAM_LOCK;
}

/* ---- which calls are watched ---- */

/* The path of `fd`, or of `name` in it; false when there is none. */
static bool path_of(int fd, const char *name, char out[PATH_MAX]) {
    char link[32];
    size_t length = 0;
    if (!name || name[0] != '/') {
        if (fd == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        long got = syscall(SYS_readlinkat, AT_FDCWD, link, out, PATH_MAX - 1);
        if (got <= 0) return false;
        length = (size_t)got;
        out[length] = '\0';
    }
    if (!name) return true;
    return (size_t)snprintf(out + length, PATH_MAX - length, "%s%s", length ? "/" : "", name) < PATH_MAX - length;
}

/* Whether it is below the root; `path` becomes relative to it. */
static bool below_root(char path[PATH_MAX]) {
    size_t length = strlen(seam.root);
    if (strncmp(path, seam.root, length) != 0 || (path[length] && path[length] != '/')) return false;
    memmove(path, path + length + (path[length] == '/'), strlen(path + length) + 1 - (path[length] == '/'));
    return true;
}

static bool watched(seam_call *call) {
    if (unwatched || !seam.root[0] || (!seam.before && !seam.after)) return false;
    int kept = errno;
    bool found = path_of(call->fd, call->name, call->path) && below_root(call->path);
    if (found && call->to_name && !(path_of(call->to_fd, call->to_name, call->to_path) && below_root(call->to_path))) call->to_path[0] = '\0';
    errno = kept;
    return found;
}

static seam_verdict ask(const seam_call *call) {
    int sys_errno = EIO, kept = errno;
    seam_verdict verdict = seam.before ? seam.before(call, &sys_errno) : SEAM_PASS;
    errno = verdict == SEAM_REFUSE || verdict == SEAM_LOSE_ANSWER ? sys_errno : kept;
    return verdict;
}

static void tell(const seam_call *call, long result) {
    if (!seam.after || result < 0) return;
    int kept = errno;
    unwatched++;
    seam.after(call, result);
    unwatched--;
    errno = kept;
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

/* The frame of a call: `made` is the expression that makes it, `failed` what it returns on failure. */
#define THROUGH(type, failed, made) \
    do { \
        if (!watched(&call)) return made; \
        seam_verdict verdict = ask(&call); \
        if (verdict == SEAM_REFUSE) return failed; \
        if (verdict == SEAM_SHORTEN && call.count > 1) call.count /= 2; \
        int lost = errno; \
        type result = made; \
        tell(&call, (long)result); \
        if (verdict != SEAM_LOSE_ANSWER) return result; \
        errno = lost; \
        return failed; \
    } while (0)

/* ---- opening ---- */

static seam_kind kind_of_open(int flags) {
    return flags & O_CREAT ? SEAM_CREATE : SEAM_OPEN;
}

static mode_t mode_of_open(int flags, va_list args) {
    return flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(args, int) : 0;
}

/* Of an answer that is lost what was made stays, but not the descriptor, which nobody would know. */
static int open_through(int dir, const char *name, int flags, mode_t mode) {
    REAL(int, openat, int, const char *, int, ...);
    seam_call call = {.kind = kind_of_open(flags), .fd = dir, .name = name};
    if (!watched(&call)) return real(dir, name, flags, mode);
    seam_verdict verdict = ask(&call);
    if (verdict == SEAM_REFUSE) return -1;
    int lost = errno, result = real(dir, name, flags, mode);
    tell(&call, result);
    if (verdict != SEAM_LOSE_ANSWER) return result;
    if (result >= 0) syscall(SYS_close, result);
    errno = lost;
    return -1;
}

#define OPENAT(name) \
    int name(int dir, const char *path, int flags, ...) { \
        va_list args; \
        va_start(args, flags); \
        mode_t mode = mode_of_open(flags, args); \
        va_end(args); \
        return open_through(dir, path, flags, mode); \
    }
#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list args; \
        va_start(args, flags); \
        mode_t mode = mode_of_open(flags, args); \
        va_end(args); \
        return open_through(AT_FDCWD, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)
OPEN(open)
OPEN(open64)

int mkdirat(int dir, const char *name, mode_t mode) {
    REAL(int, mkdirat, int, const char *, mode_t);
    seam_call call = {.kind = SEAM_MAKE_DIR, .fd = dir, .name = name};
    THROUGH(int, -1, real(dir, name, mode));
}

int fcntl(int fd, int command, ...) {
    REAL(int, fcntl, int, int, ...);
    va_list args;
    va_start(args, command);
    void *argument = va_arg(args, void *);
    va_end(args);
    seam_call call = {.kind = SEAM_DUPLICATE, .fd = fd};
    if (command != F_DUPFD_CLOEXEC || !watched(&call)) return real(fd, command, argument);
    seam_verdict verdict = ask(&call);
    return verdict == SEAM_REFUSE || verdict == SEAM_LOSE_ANSWER ? -1 : real(fd, command, argument); /* no descriptor is lost */
}

/* ---- looking ---- */

int fstat(int fd, struct stat *into) {
    REAL(int, fstat, int, struct stat *);
    seam_call call = {.kind = SEAM_STAT, .fd = fd};
    THROUGH(int, -1, real(fd, into));
}

int fstatat(int dir, const char *name, struct stat *into, int flags) {
    REAL(int, fstatat, int, const char *, struct stat *, int);
    seam_call call = {.kind = SEAM_STAT, .fd = dir, .name = name};
    THROUGH(int, -1, real(dir, name, into, flags));
}

int statx(int dir, const char *name, int flags, unsigned mask, struct statx *into) {
    REAL(int, statx, int, const char *, int, unsigned, struct statx *);
    seam_call call = {.kind = SEAM_STAT, .fd = dir, .name = name[0] ? name : NULL};
    THROUGH(int, -1, real(dir, name, flags, mask, into));
}

DIR *fdopendir(int fd) {
    REAL(DIR *, fdopendir, int);
    seam_call call = {.kind = SEAM_LIST, .fd = fd};
    if (!watched(&call) || ask(&call) != SEAM_REFUSE) return real(fd);
    return NULL;
}

struct dirent *readdir(DIR *stream) {
    REAL(struct dirent *, readdir, DIR *);
    seam_call call = {.kind = SEAM_LIST, .fd = dirfd(stream)};
    if (!watched(&call) || ask(&call) != SEAM_REFUSE) return real(stream);
    return NULL;
}

ssize_t readlinkat(int dir, const char *name, char *into, size_t room) {
    REAL(ssize_t, readlinkat, int, const char *, char *, size_t);
    seam_call call = {.kind = SEAM_READ_LINK, .fd = dir, .name = name};
    THROUGH(ssize_t, -1, real(dir, name, into, room));
}

int fstatvfs(int fd, struct statvfs *into) {
    REAL(int, fstatvfs, int, struct statvfs *);
    seam_call call = {.kind = SEAM_ROOM, .fd = fd};
    THROUGH(int, -1, real(fd, into));
}

int fstatfs(int fd, struct statfs *into) {
    REAL(int, fstatfs, int, struct statfs *);
    seam_call call = {.kind = SEAM_STAT, .fd = fd};
    if (seam.file_system && path_of(fd, NULL, call.path) && below_root(call.path) && !real(fd, into)) {
        into->f_type = (__typeof__(into->f_type))seam.file_system;
        return 0;
    }
    THROUGH(int, -1, real(fd, into));
}

/* ---- bytes ---- */

static ssize_t pread_through(int fd, void *into, size_t count, off_t offset) {
    REAL(ssize_t, pread, int, void *, size_t, off_t);
    seam_call call = {.kind = SEAM_READ, .fd = fd, .count = count, .offset = (uint64_t)offset};
    THROUGH(ssize_t, -1, real(fd, into, call.count, offset));
}

ssize_t pread(int fd, void *into, size_t count, off_t offset) { return pread_through(fd, into, count, offset); }
ssize_t pread64(int fd, void *into, size_t count, off_t offset) { return pread_through(fd, into, count, offset); }

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
    seam_call call = {.kind = SEAM_WRITE, .fd = fd, .bytes = bytes, .count = count, .offset = (uint64_t)offset};
    THROUGH(ssize_t, -1, real(fd, bytes, call.count, offset));
}

ssize_t write(int fd, const void *bytes, size_t count) {
    REAL(ssize_t, write, int, const void *, size_t);
    seam_call call = {.kind = SEAM_WRITE, .fd = fd, .bytes = bytes, .count = count};
    if (unwatched || !seam.root[0]) return real(fd, bytes, count);
    call.offset = (uint64_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
    THROUGH(ssize_t, -1, real(fd, bytes, call.count));
}

int ftruncate(int fd, off_t size) {
    REAL(int, ftruncate, int, off_t);
    seam_call call = {.kind = SEAM_SET_SIZE, .fd = fd, .offset = (uint64_t)size};
    THROUGH(int, -1, real(fd, size));
}

int fchmod(int fd, mode_t mode) {
    REAL(int, fchmod, int, mode_t);
    seam_call call = {.kind = SEAM_ATTRIBUTES, .fd = fd};
    THROUGH(int, -1, real(fd, mode));
}

int fchown(int fd, uid_t owner, gid_t group) {
    REAL(int, fchown, int, uid_t, gid_t);
    seam_call call = {.kind = SEAM_ATTRIBUTES, .fd = fd};
    THROUGH(int, -1, real(fd, owner, group));
}

int futimens(int fd, const struct timespec times[2]) {
    REAL(int, futimens, int, const struct timespec *);
    seam_call call = {.kind = SEAM_ATTRIBUTES, .fd = fd};
    THROUGH(int, -1, real(fd, times));
}

int utimensat(int dir, const char *name, const struct timespec times[2], int flags) {
    REAL(int, utimensat, int, const char *, const struct timespec *, int);
    seam_call call = {.kind = SEAM_ATTRIBUTES, .fd = dir, .name = name};
    THROUGH(int, -1, real(dir, name, times, flags));
}

int fsync(int fd) {
    REAL(int, fsync, int);
    seam_call call = {.kind = SEAM_SYNC, .fd = fd};
    THROUGH(int, -1, real(fd));
}

int fdatasync(int fd) {
    REAL(int, fdatasync, int);
    seam_call call = {.kind = SEAM_SYNC, .fd = fd, .data_only = true};
    THROUGH(int, -1, real(fd));
}

int syncfs(int fd) {
    REAL(int, syncfs, int);
    seam_call call = {.kind = SEAM_SYNC_ALL, .fd = fd};
    THROUGH(int, -1, real(fd));
}

/* ---- names ---- */

int linkat(int dir, const char *name, int to_dir, const char *to_name, int flags) {
    REAL(int, linkat, int, const char *, int, const char *, int);
    seam_call call = {.kind = SEAM_LINK, .fd = dir, .name = name, .to_fd = to_dir, .to_name = to_name};
    THROUGH(int, -1, real(dir, name, to_dir, to_name, flags));
}

int renameat(int dir, const char *name, int to_dir, const char *to_name) {
    REAL(int, renameat, int, const char *, int, const char *);
    seam_call call = {.kind = SEAM_RENAME, .fd = dir, .name = name, .to_fd = to_dir, .to_name = to_name};
    THROUGH(int, -1, real(dir, name, to_dir, to_name));
}

int renameat2(int dir, const char *name, int to_dir, const char *to_name, unsigned flags) {
    REAL(int, renameat2, int, const char *, int, const char *, unsigned);
    seam_call call = {.kind = SEAM_EXCHANGE, .fd = dir, .name = name, .to_fd = to_dir, .to_name = to_name};
    THROUGH(int, -1, real(dir, name, to_dir, to_name, flags));
}

int unlinkat(int dir, const char *name, int flags) {
    REAL(int, unlinkat, int, const char *, int);
    seam_call call = {.kind = flags & AT_REMOVEDIR ? SEAM_REMOVE_DIR : SEAM_UNLINK, .fd = dir, .name = name};
    THROUGH(int, -1, real(dir, name, flags));
}

int symlinkat(const char *text, int dir, const char *name) {
    REAL(int, symlinkat, const char *, int, const char *);
    seam_call call = {.kind = SEAM_MAKE_LINK, .fd = dir, .name = name, .bytes = text, .count = strlen(text)};
    THROUGH(int, -1, real(text, dir, name));
}

int flock(int fd, int operation) {
    REAL(int, flock, int, int);
    seam_call call = {.kind = SEAM_LOCK, .fd = fd};
    if (seam.locks_lie) return 0;
    THROUGH(int, -1, real(fd, operation));
}

/* ---- time and chance ---- */

int clock_gettime(clockid_t clock, struct timespec *into) {
    REAL(int, clock_gettime, clockid_t, struct timespec *);
    int failed = real(clock, into);
    if (!failed && clock == CLOCK_REALTIME) into->tv_sec += seam.ahead_s;
    if (failed || !seam.clock) return failed;
    int64_t ns = seam.clock(clock, (int64_t)into->tv_sec * 1000000000 + into->tv_nsec);
    into->tv_sec = (time_t)(ns / 1000000000);
    into->tv_nsec = (long)(ns % 1000000000);
    return 0;
}

ssize_t getrandom(void *into, size_t count, unsigned flags) {
    REAL(ssize_t, getrandom, void *, size_t, unsigned);
    if (!seam.random_from_seed) return real(into, count, flags);
    uint8_t *at = into;
    for (size_t i = 0; i < count; i++) at[i] = (uint8_t)(seam_random(&seam.seed) >> 56);
    return (ssize_t)count;
}
