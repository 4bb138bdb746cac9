#include "codec/kdf.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdatomic.h>

#include "base/mem.h"

/* Fetched once per process, as digests are. */
static _Atomic(EVP_KDF *) shared_hkdf;

static EVP_KDF *fetch_hkdf(void) {
    EVP_KDF *first = NULL, *kdf = atomic_load(&shared_hkdf);
    if (kdf) return kdf;
    kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    if (!kdf || atomic_compare_exchange_strong(&shared_hkdf, &first, kdf)) return kdf;
    EVP_KDF_free(kdf);
    return first;
}

/* Takes OpenSSL's errors off the thread's queue: it is shared with whatever else in the process uses OpenSSL. */
static int openssl_failed(lrb_err *err, const char *op, const char *what) {
    unsigned long number = ERR_peek_last_error();
    const char *reason = number ? ERR_reason_error_string(number) : NULL;
    ERR_clear_error();
    if (ERR_GET_REASON(number) == ERR_R_MALLOC_FAILURE) return lrb_err_nomem(err, op);
    return lrb_err_set(err, LRB_E_INTERNAL, op, "", "OpenSSL refused %s: %s", what, reason ? reason : "no reason given");
}

int lrb_hkdf(const uint8_t key[LRB_KEY_BYTES], const void *salt, size_t salt_bytes, const void *info, size_t info_bytes,
             uint8_t out[LRB_KEY_BYTES], lrb_err *err) {
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string("digest", digest, 0),
        OSSL_PARAM_construct_octet_string("key", (void *)key, LRB_KEY_BYTES),
        OSSL_PARAM_construct_octet_string("salt", (void *)salt, salt_bytes),
        OSSL_PARAM_construct_octet_string("info", (void *)info, info_bytes),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = fetch_hkdf();
    EVP_KDF_CTX *context = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    int done = context && EVP_KDF_derive(context, out, LRB_KEY_BYTES, params) > 0;
    EVP_KDF_CTX_free(context);
    return done ? LRB_OK : openssl_failed(err, "derive a key", "HKDF");
}

int lrb_scrypt(const void *passphrase, size_t passphrase_bytes, const uint8_t *salt, size_t salt_bytes,
               lrb_scrypt_cost cost, uint8_t out[LRB_KEY_BYTES], lrb_err *err) {
    if (!cost.log2_n || cost.log2_n > 40 || !cost.r || !cost.p)
        return lrb_err_set(err, LRB_E_INVALID, "derive a key", "", "scrypt cannot work with 2^%u, %u, %u",
                           (unsigned)cost.log2_n, (unsigned)cost.r, (unsigned)cost.p);
    /* OpenSSL's own ceiling would refuse 32 MiB; the caller has decided how much is too much. */
    uint64_t n = UINT64_C(1) << cost.log2_n, ceiling = 128 * n * cost.r + UINT64_C(128) * cost.r * cost.p + (1 << 20);
    if (EVP_PBE_scrypt(passphrase, passphrase_bytes, salt, salt_bytes, n, cost.r, cost.p, ceiling, out, LRB_KEY_BYTES))
        return LRB_OK;
    return openssl_failed(err, "derive a key", "scrypt");
}
