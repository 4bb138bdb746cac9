/* Memory: the only place that calls malloc, realloc, free and mmap; checked sizes; a switch that makes the n-th
 * allocation fail, so that a test can walk every out-of-memory path.
 *
 * All functions may be called from any thread. A failed allocation returns NULL and nothing else;
 * callers turn it into an error. Sizes of zero return a valid, unique pointer.
 */
#ifndef LRB_BASE_MEM_H
#define LRB_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *lrb_alloc(size_t size_bytes) __attribute__((malloc));
void *lrb_alloc_zero(size_t count, size_t size_bytes) __attribute__((malloc)); /* NULL when the product overflows */
void *lrb_resize_array(void *old, size_t count, size_t size_bytes);             /* NULL leaves `old` as it was */
void lrb_free(void *pointer);
char *lrb_copy_string(const char *text);                                        /* NULL on failure */

/* For one large table that grows: whole pages that the kernel moves by their addresses, so that old and new never lie
 * in memory both, as they may with lrb_resize_array. `old` NULL: a new one. Bytes added are zero. NULL leaves `old` as
 * it was. Freed with lrb_free_pages and the size it has then. */
void *lrb_resize_pages(void *old, size_t old_bytes, size_t new_bytes);
void lrb_free_pages(void *pages, size_t size_bytes);

/* Makes the allocation after `countdown` more successful ones fail (0: the next one), and every later one too
 * when `stay` is set. A negative countdown switches the fault off. Process-wide; for tests. */
void lrb_mem_fail_after(int64_t countdown, bool stay);
/* How many allocations were asked for, failed ones included, since the last lrb_mem_fail_after. */
int64_t lrb_mem_count(void);

/* How many allocations there was no memory for so far: a library that says so may mean a limit of its own. */
int64_t lrb_mem_refusals(void);

/* Checked arithmetic: false when the result does not fit, and *out is untouched. */
static inline bool lrb_add_fits(size_t a, size_t b, size_t *out) {
    size_t r;
    if (__builtin_add_overflow(a, b, &r)) return false;
    *out = r;
    return true;
}
static inline bool lrb_mul_fits(size_t a, size_t b, size_t *out) {
    size_t r;
    if (__builtin_mul_overflow(a, b, &r)) return false;
    *out = r;
    return true;
}

#endif
