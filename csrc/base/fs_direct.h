/* Writing much at once to a file past the page cache.
 *
 * What a backup writes nobody reads soon. Through the page cache it costs a copy and pages the host's own files then
 * lack; straight from memory that begins at a page the device fetches it. Durability is the same: the file still has to
 * be synced. Where the file system or the device cannot do it, where it is not worth it (a few bytes), or where memory or
 * offset are not so aligned, this is lrb_fs_write_at.
 */
#ifndef LRB_BASE_FS_DIRECT_H
#define LRB_BASE_FS_DIRECT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { LRB_FS_DIRECT_BLOCK_BYTES = 4096, LRB_FS_DIRECT_MIN_BYTES = 256 << 10 };

/* Writes all bytes at `offset`. Returns when the device has them, or the page cache. One thread at a time has the descriptor. */
int lrb_fs_write_direct(int fd, const void *bytes, size_t count, uint64_t offset, const char *target, lrb_err *err);

#endif
