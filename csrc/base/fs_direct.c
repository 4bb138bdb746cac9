#define _GNU_SOURCE 1 /* O_DIRECT */
#include "base/fs_direct.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/fs.h"

static bool set_direct(int fd, bool on) {
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

/* Writes whole blocks as long as that works; *done says how far. A refusal of the way is none of the write: the rest
 * goes the other way. So does what follows a write that ended within a block. */
static int write_blocks(int fd, const uint8_t *bytes, size_t count, uint64_t offset, size_t *done, const char *target,
                        lrb_err *err) {
    while (*done < count && *done % LRB_FS_DIRECT_BLOCK_BYTES == 0) {
        ssize_t n = pwrite(fd, bytes + *done, count - *done, (off_t)(offset + *done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EINVAL || errno == EOPNOTSUPP)) return LRB_OK;
        if (n <= 0) return lrb_fs_refused(fd, n < 0 ? errno : ENOSPC, "write", target, err);
        *done += (size_t)n;
    }
    return LRB_OK;
}

int lrb_fs_write_direct(int fd, const void *bytes, size_t count, uint64_t offset, const char *target, lrb_err *err) {
    size_t done = 0;
    int code = LRB_OK;
    bool aligned = ((uintptr_t)bytes | offset) % LRB_FS_DIRECT_BLOCK_BYTES == 0 && offset <= INT64_MAX - (uint64_t)count;
    if (aligned && count >= LRB_FS_DIRECT_MIN_BYTES && set_direct(fd, true)) {
        code = write_blocks(fd, bytes, count - count % LRB_FS_DIRECT_BLOCK_BYTES, offset, &done, target, err);
        if (!set_direct(fd, false) && !code) code = lrb_fs_refused(fd, errno, "write", target, err);
    }
    return code ? code : lrb_fs_write_at(fd, (const uint8_t *)bytes + done, count - done, offset + done, target, err);
}
