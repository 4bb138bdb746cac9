/* Writing a large new file past the page cache.
 *
 * What a backup writes nobody reads soon. Through the page cache it costs a copy and pages the host's own files then
 * lack; straight from memory that begins at a page the device fetches it. Durability is the same: the file still has to
 * be synced. Where the file system or the device cannot do it, where it is not worth it (a small file) or the memory is
 * not so aligned, this is lrb_fs_write.
 */
#ifndef LRB_BASE_FS_DIRECT_H
#define LRB_BASE_FS_DIRECT_H

#include <stddef.h>

#include "base/err.h"

enum { LRB_FS_DIRECT_BLOCK_BYTES = 4096, LRB_FS_DIRECT_MIN_BYTES = 1 << 20 };

/* Writes all bytes to a file just created, from its beginning. Returns when the device has them, or the page cache. */
int lrb_fs_write_direct(int fd, const void *bytes, size_t count, const char *target, lrb_err *err);

#endif
