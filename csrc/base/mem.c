#define _GNU_SOURCE 1
#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static _Atomic int64_t allocations;
static _Atomic int64_t first_failure = -1;
static _Atomic bool failure_stays;

static bool must_fail(void) {
    int64_t number = atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    int64_t first = atomic_load_explicit(&first_failure, memory_order_relaxed);
    if (first < 0) return false;
    return number == first || (number > first && atomic_load_explicit(&failure_stays, memory_order_relaxed));
}

static _Atomic int64_t refusals;

static void *noted(void *taken) {
    if (!taken) atomic_fetch_add_explicit(&refusals, 1, memory_order_relaxed);
    return taken;
}

static size_t at_least_one(size_t size_bytes) {
    return size_bytes ? size_bytes : 1;
}

void *lrb_alloc(size_t size_bytes) {
    return noted(must_fail() ? NULL : malloc(at_least_one(size_bytes)));
}

void *lrb_alloc_zero(size_t count, size_t size_bytes) {
    size_t total;
    if (must_fail() || !lrb_mul_fits(count, size_bytes, &total)) return noted(NULL);
    return noted(calloc(at_least_one(total), 1));
}

void *lrb_resize_array(void *old, size_t count, size_t size_bytes) {
    size_t total;
    if (must_fail() || !lrb_mul_fits(count, size_bytes, &total)) return noted(NULL);
    return noted(realloc(old, at_least_one(total)));
}

void lrb_free(void *pointer) {
    free(pointer);
}

char *lrb_copy_string(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = lrb_alloc(size);
    if (copy) memcpy(copy, text, size);
    return copy;
}

void *lrb_resize_pages(void *old, size_t old_bytes, size_t new_bytes) {
    if (must_fail()) return NULL;
    void *pages = old ? mremap(old, at_least_one(old_bytes), at_least_one(new_bytes), MREMAP_MAYMOVE)
                      : mmap(NULL, at_least_one(new_bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

void lrb_free_pages(void *pages, size_t size_bytes) {
    if (pages) munmap(pages, at_least_one(size_bytes));
}

void lrb_mem_fail_after(int64_t countdown, bool stay) {
    atomic_store(&allocations, 0);
    atomic_store(&failure_stays, stay);
    atomic_store(&first_failure, countdown);
}

int64_t lrb_mem_count(void) {
    return atomic_load(&allocations);
}

int64_t lrb_mem_refusals(void) {
    return atomic_load_explicit(&refusals, memory_order_relaxed);
}
