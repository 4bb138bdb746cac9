/* SipHash-2-4-128 against OpenSSL's. */
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/wire.h"
#include "check.h"
#include "codec/siphash.h"

enum { MOST = 200 };

static bool openssl_says(const uint8_t key[16], const uint8_t *bytes, size_t count, uint8_t out[16]) {
    size_t size = 16, written = 0;
    OSSL_PARAM size_of[] = {OSSL_PARAM_construct_size_t("size", &size), OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    EVP_MAC_CTX *context = mac ? EVP_MAC_CTX_new(mac) : NULL;
    bool done = context && EVP_MAC_init(context, key, 16, size_of) && EVP_MAC_update(context, bytes, count) &&
                EVP_MAC_final(context, out, &written, 16) && written == 16;
    EVP_MAC_CTX_free(context);
    EVP_MAC_free(mac);
    return done;
}

TEST(every_length_is_what_openssl_says) {
    uint8_t bytes[MOST], key[16], wanted[16], got[16];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 7 + 1);
    for (size_t i = 0; i < sizeof key; i++) key[i] = (uint8_t)(200 - i);
    lrb_hash_key keyed = {lrb_get_u64(key), lrb_get_u64(key + 8)};
    for (size_t count = 0; count <= MOST; count++) {
        CHECK(openssl_says(key, bytes, count, wanted));
        lrb_hash hash = lrb_siphash(&keyed, bytes, count);
        lrb_put_u64(got, hash.low);
        lrb_put_u64(got + 8, hash.high);
        CHECK(!memcmp(wanted, got, sizeof got));
    }
}

int main(void) {
    RUN(every_length_is_what_openssl_says);
    return check_report();
}
