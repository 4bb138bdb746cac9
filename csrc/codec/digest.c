#include "codec/digest.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"

typedef enum digest_state { DIGEST_IDLE, DIGEST_BEGUN } digest_state;

struct lrb_digest {
    EVP_MD_CTX *context;
    digest_state state;
    const lrb_hmac_key *key; /* of the message begun; NULL: none */
};

/* Fetching an algorithm takes OpenSSL's locks and walks its providers, so it is fetched once per process and kept
 * until its end. Threads may race to be first; the loser's reference is given back. */
static _Atomic(EVP_MD *) shared_sha256;

static EVP_MD *fetch_sha256(void) {
    EVP_MD *first = NULL, *md = atomic_load(&shared_sha256);
    if (md) return md;
    md = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!md || atomic_compare_exchange_strong(&shared_sha256, &first, md)) return md;
    EVP_MD_free(md);
    return first;
}

/* Takes OpenSSL's errors off the thread's queue: it is shared with whatever else in the process uses OpenSSL. */
static int openssl_failed(lrb_err *err, const char *op) {
    unsigned long number = ERR_peek_last_error();
    const char *reason = number ? ERR_reason_error_string(number) : NULL;
    ERR_clear_error();
    if (ERR_GET_REASON(number) == ERR_R_MALLOC_FAILURE) return lrb_err_nomem(err, op);
    return lrb_err_set(err, LRB_E_INTERNAL, op, "", "OpenSSL refused SHA-256: %s", reason ? reason : "no reason given");
}

int lrb_digest_new(lrb_digest **out, lrb_err *err) {
    lrb_digest *digest = lrb_alloc_zero(1, sizeof *digest);
    if (!digest) return lrb_err_nomem(err, "make a digest");
    EVP_MD *md = fetch_sha256();
    digest->context = EVP_MD_CTX_new();
    if (!md || !digest->context || !EVP_DigestInit_ex2(digest->context, md, NULL)) {
        lrb_digest_free(digest);
        return openssl_failed(err, "make a digest");
    }
    *out = digest;
    return LRB_OK;
}

void lrb_digest_free(lrb_digest *digest) {
    if (!digest) return;
    EVP_MD_CTX_free(digest->context);
    lrb_free(digest);
}

void lrb_hmac_key_set(lrb_hmac_key *key, const uint8_t secret[LRB_DIGEST_BYTES]) {
    enum { INNER_PAD = 0x36, OUTER_PAD = 0x5c }; /* RFC 2104 */
    memset(key->inner, INNER_PAD, sizeof key->inner);
    memset(key->outer, OUTER_PAD, sizeof key->outer);
    for (size_t i = 0; i < LRB_DIGEST_BYTES; i++) {
        key->inner[i] ^= secret[i];
        key->outer[i] ^= secret[i];
    }
}

/* Without an algorithm named, OpenSSL resets the state in place: no fetch, no allocation. */
int lrb_digest_begin(lrb_digest *digest, lrb_err *err) {
    digest->state = DIGEST_IDLE;
    digest->key = NULL;
    if (!EVP_DigestInit_ex2(digest->context, NULL, NULL)) return openssl_failed(err, "begin a digest");
    digest->state = DIGEST_BEGUN;
    return LRB_OK;
}

int lrb_digest_begin_keyed(lrb_digest *digest, const lrb_hmac_key *key, lrb_err *err) {
    int code = lrb_digest_begin(digest, err);
    if (!code && key) code = lrb_digest_update(digest, key->inner, sizeof key->inner, err);
    if (!code) digest->key = key;
    return code;
}

static int not_begun(lrb_err *err, const char *op) {
    return lrb_err_set(err, LRB_E_INTERNAL, op, "", "the digest had not been begun");
}

int lrb_digest_update(lrb_digest *digest, const void *bytes, size_t count, lrb_err *err) {
    if (digest->state == DIGEST_IDLE) return not_begun(err, "update a digest");
    return EVP_DigestUpdate(digest->context, bytes, count) ? LRB_OK : openssl_failed(err, "update a digest");
}

static int finish_plain(lrb_digest *digest, uint8_t out[LRB_DIGEST_BYTES], lrb_err *err) {
    digest->state = DIGEST_IDLE;
    return EVP_DigestFinal_ex(digest->context, out, NULL) ? LRB_OK : openssl_failed(err, "finish a digest");
}

int lrb_digest_finish(lrb_digest *digest, uint8_t out[LRB_DIGEST_BYTES], lrb_err *err) {
    const lrb_hmac_key *key = digest->key;
    if (digest->state == DIGEST_IDLE) return not_begun(err, "finish a digest");
    int code = finish_plain(digest, out, err);
    if (code || !key) return code;
    code = lrb_digest_begin(digest, err);
    if (!code) code = lrb_digest_update(digest, key->outer, sizeof key->outer, err);
    if (!code) code = lrb_digest_update(digest, out, LRB_DIGEST_BYTES, err);
    return code ? code : finish_plain(digest, out, err);
}

int lrb_hmac_sha256(const lrb_hmac_key *key, const void *bytes, size_t count, uint8_t out[LRB_DIGEST_BYTES],
                    lrb_err *err) {
    lrb_digest *digest;
    int code = lrb_digest_new(&digest, err);
    if (code) return code;
    code = lrb_digest_begin_keyed(digest, key, err);
    if (!code) code = lrb_digest_update(digest, bytes, count, err);
    if (!code) code = lrb_digest_finish(digest, out, err);
    lrb_digest_free(digest);
    return code;
}

int lrb_sha256(const void *bytes, size_t count, uint8_t out[LRB_DIGEST_BYTES], lrb_err *err) {
    return lrb_hmac_sha256(NULL, bytes, count, out, err);
}

bool lrb_bytes_same(const void *a, const void *b, size_t count) { return !CRYPTO_memcmp(a, b, count); }

void lrb_bytes_wipe(void *bytes, size_t count) { OPENSSL_cleanse(bytes, count); }

void lrb_hex(const uint8_t *bytes, size_t count, char *out) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * count] = '\0';
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

/* A short text stops at its NUL, which is no digit, before anything behind it is read. */
int lrb_unhex(const char *text, uint8_t *out, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int high = hex_value(text[2 * i]);
        int low = high < 0 ? -1 : hex_value(text[2 * i + 1]);
        if (low < 0) return -1;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return text[2 * count] == '\0' ? 0 : -1;
}
