/* OpenSSL's memory in a test's hands: it does not come from base/mem.c, and may run out all the same.
 *
 * openssl_memory_take() before anything of OpenSSL was used. openssl_memory_fail_after(n) makes the allocation after n
 * more successful ones fail, that one alone; negative: none.
 */
#ifndef LRB_TESTS_OPENSSL_MEMORY_H
#define LRB_TESTS_OPENSSL_MEMORY_H

#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

static int64_t openssl_memory_left = -1;
static bool openssl_memory_failed;

static bool openssl_memory_fails(void) {
    if (openssl_memory_left < 0 || openssl_memory_left-- > 0) return false;
    openssl_memory_failed = true;
    return true;
}

static void *openssl_memory_alloc(size_t size, const char *file, int line) {
    (void)file, (void)line;
    return openssl_memory_fails() ? NULL : malloc(size);
}

static void *openssl_memory_resize(void *old, size_t size, const char *file, int line) {
    (void)file, (void)line;
    return openssl_memory_fails() ? NULL : realloc(old, size);
}

static void openssl_memory_free(void *pointer, const char *file, int line) {
    (void)file, (void)line;
    free(pointer);
}

static bool openssl_memory_take(void) {
    return CRYPTO_set_mem_functions(openssl_memory_alloc, openssl_memory_resize, openssl_memory_free);
}

static void openssl_memory_fail_after(int64_t countdown) {
    openssl_memory_left = countdown;
    openssl_memory_failed = false;
}

#endif
