#include "codec/openssl.h"

#include <openssl/err.h>
#include <stdatomic.h>

/* Threads may race to be first; the loser's reference is given back. */
#define FETCHED_ONCE(type, function, algorithm)                                                    \
    type *function(void) {                                                                         \
        static _Atomic(type *) shared;                                                             \
        type *first = NULL, *mine = atomic_load(&shared);                                          \
        if (mine) return mine;                                                                     \
        mine = type##_fetch(NULL, algorithm, NULL);                                                \
        if (!mine || atomic_compare_exchange_strong(&shared, &first, mine)) return mine;           \
        type##_free(mine);                                                                         \
        return first;                                                                              \
    }

FETCHED_ONCE(EVP_MD, lrb_openssl_sha256, "SHA256")
FETCHED_ONCE(EVP_MD, lrb_openssl_md5, "MD5")
FETCHED_ONCE(EVP_KDF, lrb_openssl_hkdf, "HKDF")
FETCHED_ONCE(EVP_CIPHER, lrb_openssl_aes_256_gcm, "AES-256-GCM")

/* The want of memory is often the first of several errors, of which the last one names only what could not be done. */
int lrb_openssl_failed(lrb_err *err, const char *op, const char *what) {
    const char *reason = NULL;
    bool no_memory = false;
    for (unsigned long number; (number = ERR_get_error());) {
        no_memory |= ERR_GET_REASON(number) == ERR_R_MALLOC_FAILURE;
        reason = ERR_reason_error_string(number);
    }
    if (no_memory) return lrb_err_nomem(err, op);
    return lrb_err_set(err, LRB_E_INTERNAL, op, "", "OpenSSL refused %s: %s", what, reason ? reason : "no reason given");
}
