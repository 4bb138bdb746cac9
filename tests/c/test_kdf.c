/* HKDF and scrypt against the published vectors. */
#include "codec/kdf.h"

#include "base/mem.h"
#include "check.h"
#include "codec/digest.h"

static lrb_err err;

static bool is_hex(const uint8_t *bytes, const char *expected) {
    char text[2 * LRB_KEY_BYTES + 1];
    lrb_hex(bytes, LRB_KEY_BYTES, text);
    return !strncmp(text, expected, strlen(expected));
}

/* No vector of RFC 5869 has a key of 32 bytes; these were computed with its text by another program. */
TEST(hkdf_gives_what_the_rfc_says) {
    uint8_t key[LRB_KEY_BYTES], out[LRB_KEY_BYTES];
    for (int i = 0; i < LRB_KEY_BYTES; i++) key[i] = (uint8_t)i;
    CHECK_OK(lrb_hkdf(key, "salt", 4, "info", 4, out, &err));
    CHECK(is_hex(out, "64cc2a23b7a1da4310420350405fdf5d632cb9bda3700d753e96cbcfeb81d449"));
    CHECK_OK(lrb_hkdf(key, "", 0, "", 0, out, &err));
    CHECK(is_hex(out, "37ad29109f43265287804b674e2653d0a513718907f97fca97c95bded8104bbf"));
}

/* RFC 7914, section 12: the first 32 of its 64 bytes. */
TEST(scrypt_gives_what_the_rfc_says) {
    uint8_t out[LRB_KEY_BYTES];
    CHECK_OK(lrb_scrypt("", 0, (const uint8_t *)"", 0, (lrb_scrypt_cost){4, 1, 1}, out, &err));
    CHECK(is_hex(out, "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"));
    CHECK_OK(lrb_scrypt("password", 8, (const uint8_t *)"NaCl", 4, (lrb_scrypt_cost){10, 8, 16}, out, &err));
    CHECK(is_hex(out, "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"));
    CHECK_OK(lrb_scrypt("pleaseletmein", 13, (const uint8_t *)"SodiumChloride", 14, (lrb_scrypt_cost){14, 8, 1}, out, &err));
    CHECK(is_hex(out, "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"));
}

/* What slots are written with: above the ceiling OpenSSL has of itself. */
TEST(thirty_two_mebibytes_are_allowed) {
    uint8_t a[LRB_KEY_BYTES], b[LRB_KEY_BYTES];
    CHECK_OK(lrb_scrypt("pass", 4, (const uint8_t *)"salt", 4, (lrb_scrypt_cost){15, 8, 1}, a, &err));
    CHECK_OK(lrb_scrypt("pasT", 4, (const uint8_t *)"salt", 4, (lrb_scrypt_cost){15, 8, 1}, b, &err));
    CHECK(memcmp(a, b, sizeof a) != 0);
}

TEST(costs_that_mean_nothing_are_refused) {
    static const lrb_scrypt_cost costs[] = {{0, 8, 1}, {41, 8, 1}, {15, 0, 1}, {15, 8, 0}};
    uint8_t out[LRB_KEY_BYTES];
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++)
        CHECK_FAILS(lrb_scrypt("", 0, (const uint8_t *)"", 0, costs[i], out, &err), LRB_E_INVALID);
}

int main(void) {
    RUN(hkdf_gives_what_the_rfc_says);
    RUN(scrypt_gives_what_the_rfc_says);
    RUN(thirty_two_mebibytes_are_allowed);
    RUN(costs_that_mean_nothing_are_refused);
    return check_report();
}
