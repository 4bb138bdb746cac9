#include "codec/digest.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"

typedef enum digest_state { DIGEST_IDLE, DIGEST_PLAIN, DIGEST_KEYED } digest_state;

struct lrb_digest {
    EVP_MD_CTX *plain;
    EVP_MAC_CTX *keyed; /* made at the first keyed use */
    digest_state state;
};

/* Fetching an algorithm takes OpenSSL's locks and walks its providers, so each is fetched once per process and kept
 * until its end. Threads may race to be first; the loser's reference is given back. */
static _Atomic(EVP_MD *) shared_sha256;
static _Atomic(EVP_MAC *) shared_hmac;

static EVP_MD *fetch_sha256(void) {
    EVP_MD *first = NULL, *md = atomic_load(&shared_sha256);
    if (md) return md;
    md = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!md || atomic_compare_exchange_strong(&shared_sha256, &first, md)) return md;
    EVP_MD_free(md);
    return first;
}

static EVP_MAC *fetch_hmac(void) {
    EVP_MAC *first = NULL, *mac = atomic_load(&shared_hmac);
    if (mac) return mac;
    mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    if (!mac || atomic_compare_exchange_strong(&shared_hmac, &first, mac)) return mac;
    EVP_MAC_free(mac);
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
    digest->plain = EVP_MD_CTX_new();
    if (!md || !digest->plain || !EVP_DigestInit_ex2(digest->plain, md, NULL)) {
        lrb_digest_free(digest);
        return openssl_failed(err, "make a digest");
    }
    *out = digest;
    return LRB_OK;
}

void lrb_digest_free(lrb_digest *digest) {
    if (!digest) return;
    EVP_MD_CTX_free(digest->plain);
    EVP_MAC_CTX_free(digest->keyed);
    lrb_free(digest);
}

/* Without an algorithm named, OpenSSL resets the state in place: no fetch, no allocation. */
int lrb_digest_begin(lrb_digest *digest, lrb_err *err) {
    digest->state = DIGEST_IDLE;
    if (!EVP_DigestInit_ex2(digest->plain, NULL, NULL)) return openssl_failed(err, "begin a digest");
    digest->state = DIGEST_PLAIN;
    return LRB_OK;
}

static int make_keyed(lrb_digest *digest, lrb_err *err) {
    char name[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", name, 0), OSSL_PARAM_construct_end()};
    EVP_MAC *mac = fetch_hmac();
    EVP_MAC_CTX *keyed = mac ? EVP_MAC_CTX_new(mac) : NULL;
    if (!keyed || !EVP_MAC_CTX_set_params(keyed, params)) {
        EVP_MAC_CTX_free(keyed);
        return openssl_failed(err, "begin a keyed digest");
    }
    digest->keyed = keyed;
    return LRB_OK;
}

int lrb_digest_begin_keyed(lrb_digest *digest, const uint8_t *key, size_t key_bytes, lrb_err *err) {
    static const uint8_t empty[1]; /* OpenSSL takes a NULL key for "the key of last time" */
    digest->state = DIGEST_IDLE;
    int code = digest->keyed ? LRB_OK : make_keyed(digest, err);
    if (code) return code;
    if (!EVP_MAC_init(digest->keyed, key_bytes ? key : empty, key_bytes, NULL)) {
        return openssl_failed(err, "begin a keyed digest");
    }
    digest->state = DIGEST_KEYED;
    return LRB_OK;
}

static int not_begun(lrb_err *err, const char *op) {
    return lrb_err_set(err, LRB_E_INTERNAL, op, "", "the digest had not been begun");
}

int lrb_digest_update(lrb_digest *digest, const void *bytes, size_t count, lrb_err *err) {
    int done = 0;
    switch (digest->state) {
    case DIGEST_IDLE: return not_begun(err, "update a digest");
    case DIGEST_PLAIN: done = EVP_DigestUpdate(digest->plain, bytes, count); break;
    case DIGEST_KEYED: done = EVP_MAC_update(digest->keyed, bytes, count); break;
    }
    return done ? LRB_OK : openssl_failed(err, "update a digest");
}

int lrb_digest_finish(lrb_digest *digest, uint8_t out[LRB_DIGEST_BYTES], lrb_err *err) {
    digest_state state = digest->state;
    size_t length = 0;
    int done = 0;
    digest->state = DIGEST_IDLE;
    switch (state) {
    case DIGEST_IDLE: return not_begun(err, "finish a digest");
    case DIGEST_PLAIN: done = EVP_DigestFinal_ex(digest->plain, out, NULL); break;
    case DIGEST_KEYED: done = EVP_MAC_final(digest->keyed, out, &length, LRB_DIGEST_BYTES); break;
    }
    return done ? LRB_OK : openssl_failed(err, "finish a digest");
}

static int digest_one(lrb_digest *digest, const uint8_t *key, size_t key_bytes, const lrb_message *m, lrb_err *err) {
    int code = key ? lrb_digest_begin_keyed(digest, key, key_bytes, err) : lrb_digest_begin(digest, err);
    if (!code) code = lrb_digest_update(digest, m->head, m->head_bytes, err);
    if (!code) code = lrb_digest_update(digest, m->bytes, m->count, err);
    if (!code) code = lrb_digest_finish(digest, m->out, err);
    return code;
}

int lrb_digest_many(lrb_digest *digest, const uint8_t *key, size_t key_bytes, const lrb_message *messages, size_t count,
                    lrb_err *err) {
    int code = LRB_OK;
    for (size_t i = 0; i < count && !code; i++) code = digest_one(digest, key, key_bytes, &messages[i], err);
    return code;
}

int lrb_sha256(const void *bytes, size_t count, uint8_t out[LRB_DIGEST_BYTES], lrb_err *err) {
    lrb_digest *digest;
    int code = lrb_digest_new(&digest, err);
    if (code) return code;
    code = lrb_digest_begin(digest, err);
    if (!code) code = lrb_digest_update(digest, bytes, count, err);
    if (!code) code = lrb_digest_finish(digest, out, err);
    lrb_digest_free(digest);
    return code;
}

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
