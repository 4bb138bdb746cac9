/* Memory for a library that takes and gives back many small blocks, and holds thousands of them: malloc's family.
 *
 * libcurl takes some forty for a probe. Those of a thousand targets lay all over the heap, and most of a probe's time
 * outside the kernel went into waiting for them. Here blocks of one size lie side by side, what was given back last is
 * taken first, and all of it is in one place, which the system is asked to make of huge pages. What is large, and what
 * the place has no room for, comes from base/mem.h. A place once used is kept for later blocks.
 *
 * All functions may be called from any thread, and in a forked child.
 */
#ifndef LRB_BASE_BLOCKS_H
#define LRB_BASE_BLOCKS_H

#include <stddef.h>

enum { LRB_BLOCKS_BYTES = 64 << 20, LRB_BLOCKS_LARGEST = 8192 };

/* Before the first block is taken. Where the system refuses the place, every block comes from base/mem.h. */
void lrb_blocks_begin(void);

/* NULL, and nothing else: there is no memory. A block is aligned to 16 bytes. */
void *lrb_blocks_take(size_t size_bytes);
void *lrb_blocks_take_zero(size_t count, size_t size_bytes);
void *lrb_blocks_resize(void *old, size_t size_bytes); /* NULL leaves `old` as it was */
char *lrb_blocks_copy(const char *text);
void lrb_blocks_give(void *block); /* or one of malloc's, or NULL */

#endif
