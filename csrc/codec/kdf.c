#include "codec/kdf.h"

#include <openssl/params.h>

#include "codec/openssl.h"

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
    EVP_KDF *kdf = lrb_openssl_hkdf();
    EVP_KDF_CTX *context = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    int done = context && EVP_KDF_derive(context, out, LRB_KEY_BYTES, params) > 0;
    EVP_KDF_CTX_free(context);
    return done ? LRB_OK : lrb_openssl_failed(err, "derive a key", "HKDF");
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
    return lrb_openssl_failed(err, "derive a key", "scrypt");
}
