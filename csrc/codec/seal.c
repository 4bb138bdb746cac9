#include "codec/seal.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "base/wire.h"
#include "codec/openssl.h"

enum { NONCE_BYTES = 12 };

struct lrb_sealer {
    EVP_CIPHER_CTX *context;
    uint8_t key[LRB_KEY_BYTES];
    bool has_key, scheduled; /* scheduled: the context holds `key`, for the direction below */
    int encrypts;
};

static int refused(lrb_err *err, const char *op) { return lrb_openssl_failed(err, op, "AES-256-GCM"); }

int lrb_sealer_new(lrb_sealer **out, lrb_err *err) {
    lrb_sealer *sealer = lrb_alloc_zero(1, sizeof *sealer);
    if (!sealer) return lrb_err_nomem(err, "make a sealer");
    sealer->context = EVP_CIPHER_CTX_new();
    if (!sealer->context || !lrb_openssl_aes_256_gcm()) {
        lrb_sealer_free(sealer);
        return refused(err, "make a sealer");
    }
    *out = sealer;
    return LRB_OK;
}

void lrb_sealer_free(lrb_sealer *sealer) {
    if (!sealer) return;
    EVP_CIPHER_CTX_free(sealer->context);
    OPENSSL_cleanse(sealer->key, sizeof sealer->key);
    lrb_free(sealer);
}

/* The context takes it at the next use, when the direction is known. */
void lrb_sealer_set_key(lrb_sealer *sealer, const uint8_t key[LRB_KEY_BYTES]) {
    if (sealer->has_key && !CRYPTO_memcmp(sealer->key, key, LRB_KEY_BYTES)) return;
    memcpy(sealer->key, key, LRB_KEY_BYTES);
    sealer->has_key = true;
    sealer->scheduled = false;
}

/* Begins one message: key where it is new to the context, nonce, associated data. */
static int begin(lrb_sealer *sealer, int encrypts, uint32_t number, const void *associated, size_t count) {
    uint8_t nonce[NONCE_BYTES] = {0};
    int length;
    lrb_put_u32(nonce, number);
    if (!sealer->has_key || count > INT_MAX) return 0;
    if (!sealer->scheduled || sealer->encrypts != encrypts) {
        sealer->scheduled = false;
        if (!EVP_CipherInit_ex2(sealer->context, lrb_openssl_aes_256_gcm(), sealer->key, nonce, encrypts, NULL)) return 0;
        sealer->scheduled = true;
        sealer->encrypts = encrypts;
    } else if (!EVP_CipherInit_ex2(sealer->context, NULL, NULL, nonce, encrypts, NULL)) {
        return 0;
    }
    return !count || EVP_CipherUpdate(sealer->context, NULL, &length, associated, (int)count);
}

static int run(lrb_sealer *sealer, const uint8_t *from, uint8_t *to, size_t count) {
    int length;
    return count <= INT_MAX && (!count || EVP_CipherUpdate(sealer->context, to, &length, from, (int)count));
}

static int get_tag(lrb_sealer *sealer, uint8_t tag[LRB_TAG_BYTES]) {
    uint8_t nothing[LRB_TAG_BYTES];
    int length;
    return EVP_CipherFinal_ex(sealer->context, nothing, &length) &&
           EVP_CIPHER_CTX_ctrl(sealer->context, EVP_CTRL_AEAD_GET_TAG, LRB_TAG_BYTES, tag);
}

/* The context may hold anything after a failure. */
static int settle(lrb_sealer *sealer, int done, lrb_err *err) {
    if (done) return LRB_OK;
    sealer->scheduled = false;
    return refused(err, "seal");
}

int lrb_sealer_seal(lrb_sealer *sealer, uint32_t number, const void *associated, size_t associated_bytes,
                    uint8_t *bytes, size_t count, uint8_t tag[LRB_TAG_BYTES], lrb_err *err) {
    int done = begin(sealer, 1, number, associated, associated_bytes) && run(sealer, bytes, bytes, count) && get_tag(sealer, tag);
    return settle(sealer, done, err);
}

int lrb_sealer_tag_begin(lrb_sealer *sealer, uint32_t number, lrb_err *err) {
    return settle(sealer, begin(sealer, 1, number, NULL, 0), err);
}

int lrb_sealer_tag_add(lrb_sealer *sealer, const void *bytes, size_t count, lrb_err *err) {
    int length;
    return settle(sealer, count <= INT_MAX && (!count || EVP_CipherUpdate(sealer->context, NULL, &length, bytes, (int)count)), err);
}

int lrb_sealer_tag_end(lrb_sealer *sealer, uint8_t tag[LRB_TAG_BYTES], lrb_err *err) { return settle(sealer, get_tag(sealer, tag), err); }

int lrb_sealer_unseal_to(lrb_sealer *sealer, uint32_t number, const void *associated, size_t associated_bytes, const uint8_t *from,
                         uint8_t *to, size_t count, const uint8_t tag[LRB_TAG_BYTES], lrb_err *err) {
    uint8_t nothing[LRB_TAG_BYTES];
    int length;
    if (!begin(sealer, 0, number, associated, associated_bytes) || !run(sealer, from, to, count) ||
        !EVP_CIPHER_CTX_ctrl(sealer->context, EVP_CTRL_AEAD_SET_TAG, LRB_TAG_BYTES, (void *)tag)) {
        sealer->scheduled = false;
        if (count) OPENSSL_cleanse(to, count);
        return refused(err, "unseal");
    }
    if (EVP_CipherFinal_ex(sealer->context, nothing, &length)) return LRB_OK;
    ERR_clear_error();
    if (count) OPENSSL_cleanse(to, count); /* nobody may use what was not proved */
    return lrb_err_set(err, LRB_E_DAMAGED, "unseal", "", "the sealed bytes do not match their tag");
}

int lrb_sealer_unseal(lrb_sealer *sealer, uint32_t number, const void *associated, size_t associated_bytes,
                      uint8_t *bytes, size_t count, const uint8_t tag[LRB_TAG_BYTES], lrb_err *err) {
    return lrb_sealer_unseal_to(sealer, number, associated, associated_bytes, bytes, bytes, count, tag, err);
}
