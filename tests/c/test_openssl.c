/* Algorithms fetched by many threads at once are one; a refusal says why and leaves nothing behind; and whatever allocation
 * of OpenSSL's fails, what stands on it says so and works again afterwards. */
#include "codec/openssl.h"

#include <openssl/err.h>
#include <pthread.h>

#include "check.h"
#include "codec/digest.h"
#include "codec/md5.h"
#include "codec/seal.h"
#include "openssl_memory.h"

static lrb_err err;

typedef struct algorithms {
    EVP_MD *sha256, *md5;
    EVP_KDF *hkdf;
    EVP_CIPHER *cipher;
} algorithms;

static pthread_barrier_t barrier;

static void *fetch_all(void *into) {
    algorithms *a = into;
    pthread_barrier_wait(&barrier);
    *a = (algorithms){lrb_openssl_sha256(), lrb_openssl_md5(), lrb_openssl_hkdf(), lrb_openssl_aes_256_gcm()};
    return NULL;
}

TEST(threads_that_race_for_an_algorithm_get_the_same) {
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    algorithms got[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) CHECK(!pthread_create(&threads[i], NULL, fetch_all, &got[i]));
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
    for (int i = 0; i < THREADS; i++) CHECK(!memcmp(&got[i], &got[0], sizeof got[0]));
    CHECK(EVP_MD_is_a(got[0].sha256, "SHA256") && EVP_MD_is_a(got[0].md5, "MD5"));
    CHECK(EVP_KDF_is_a(got[0].hkdf, "HKDF") && EVP_CIPHER_is_a(got[0].cipher, "AES-256-GCM"));
}

TEST(a_refusal_gives_the_reason_and_leaves_none_behind) {
    ERR_raise(ERR_LIB_EVP, EVP_R_INITIALIZATION_ERROR);
    CHECK_FAILS(lrb_openssl_failed(&err, "seal", "AES"), LRB_E_INTERNAL);
    CHECK(!strcmp(err.op, "seal") && !strcmp(err.message, "OpenSSL refused AES: initialization error"));
    CHECK(!ERR_peek_last_error());
    CHECK_FAILS(lrb_openssl_failed(&err, "seal", "AES"), LRB_E_INTERNAL);
    CHECK(!strcmp(err.message, "OpenSSL refused AES: no reason given"));
    ERR_raise(ERR_LIB_EVP, ERR_R_MALLOC_FAILURE);
    ERR_raise(ERR_LIB_EVP, EVP_R_INITIALIZATION_ERROR);
    CHECK_FAILS(lrb_openssl_failed(&err, "seal", "AES"), LRB_E_NOMEM);
    CHECK(!ERR_peek_last_error());
}

/* ---- OpenSSL without memory ---- */

static const uint8_t key[LRB_KEY_BYTES] = {1};

static int digest_something(void) {
    uint8_t out[LRB_DIGEST_BYTES];
    return lrb_sha256("abc", 3, out, &err);
}

static int hash_an_id(void) {
    lrb_md5 *md5;
    uint8_t out[LRB_MD5_BYTES];
    int code = lrb_md5_new(&md5, &err);
    if (code) return code;
    code = lrb_md5_begin(md5, &err);
    if (!code) code = lrb_md5_update(md5, "abc", 3, &err);
    if (!code) code = lrb_md5_finish(md5, out, &err);
    lrb_md5_free(md5);
    return code;
}

static int derive_from_a_key(void) {
    uint8_t out[LRB_KEY_BYTES];
    return lrb_hkdf(key, "salt", 4, "info", 4, out, &err);
}

static int derive_from_a_passphrase(void) {
    uint8_t out[LRB_KEY_BYTES];
    return lrb_scrypt("pass", 4, (const uint8_t *)"salt", 4, (lrb_scrypt_cost){4, 1, 1}, out, &err);
}

static int seal_and_unseal(void) {
    lrb_sealer *sealer;
    uint8_t bytes[5] = "abcd", tag[LRB_TAG_BYTES];
    int code = lrb_sealer_new(&sealer, &err);
    if (code) return code;
    lrb_sealer_set_key(sealer, key);
    code = lrb_sealer_seal(sealer, 1, "x", 1, bytes, sizeof bytes, tag, &err);
    if (!code) code = lrb_sealer_unseal(sealer, 1, "x", 1, bytes, sizeof bytes, tag, &err);
    lrb_sealer_free(sealer);
    return code;
}

/* Not one works by half: it is done, or says that something failed, and that is never taken for damage. */
TEST(whatever_allocation_of_openssl_fails_it_is_said_and_passes) {
    static int (*const works[])(void) = {digest_something, hash_an_id, derive_from_a_key, derive_from_a_passphrase, seal_and_unseal};
    for (size_t i = 0; i < sizeof works / sizeof *works; i++) {
        int tries = 0;
        CHECK_OK(works[i]());
        for (bool met = true; met; tries++) {
            openssl_memory_fail_after(tries);
            int code = works[i]();
            met = openssl_memory_failed;
            openssl_memory_fail_after(-1);
            CHECK(!code || (met && (code == LRB_E_NOMEM || code == LRB_E_INTERNAL) && err.message[0]));
            CHECK(!code || !ERR_peek_last_error());
            CHECK_OK(works[i]());
        }
        CHECK(tries > 1);
    }
}

int main(void) {
    if (!openssl_memory_take()) return 1;
    RUN(threads_that_race_for_an_algorithm_get_the_same); /* first: nothing is fetched yet */
    RUN(a_refusal_gives_the_reason_and_leaves_none_behind);
    RUN(whatever_allocation_of_openssl_fails_it_is_said_and_passes);
    return check_report();
}
