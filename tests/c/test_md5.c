/* MD5: the examples of RFC 1321, a context used again, memory running out, and an OpenSSL without it. */
#include <openssl/provider.h>

#include "base/mem.h"
#include "check.h"
#include "codec/digest.h"
#include "codec/md5.h"

static lrb_err err;

static int md5_of(lrb_md5 *md5, const char *text, char hex[33]) {
    uint8_t digest[LRB_MD5_BYTES];
    int code = lrb_md5_begin(md5, &err);
    if (!code) code = lrb_md5_update(md5, text, strlen(text), &err);
    if (!code) code = lrb_md5_finish(md5, digest, &err);
    if (!code) lrb_hex(digest, sizeof digest, hex);
    return code;
}

TEST(the_examples_of_the_standard) {
    static const char *const examples[][2] = {
        {"", "d41d8cd98f00b204e9800998ecf8427e"},
        {"abc", "900150983cd24fb0d6963f7d28e17f72"},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
         "57edf4a22be3c955ac49da2e2107b67a"}};
    lrb_md5 *md5;
    char hex[33];
    CHECK_OK(lrb_md5_new(&md5, &err));
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
            CHECK_OK(md5_of(md5, examples[i][0], hex));
            CHECK(!strcmp(hex, examples[i][1]));
        }
    lrb_md5_free(md5);
}

TEST(no_memory_is_an_error) {
    lrb_md5 *md5;
    lrb_mem_fail_after(0, false);
    int code = lrb_md5_new(&md5, &err);
    lrb_mem_fail_after(-1, false);
    CHECK_FAILS(code, LRB_E_NOMEM);
}

/* As where only algorithms of FIPS are to be had. */
TEST(where_there_is_no_md5_it_is_said) {
    lrb_md5 *md5;
    OSSL_PROVIDER *none = OSSL_PROVIDER_load(NULL, "null");
    CHECK(none);
    CHECK_FAILS(lrb_md5_new(&md5, &err), LRB_E_UNSUPPORTED);
    CHECK(strstr(err.message, "OpenSSL has no MD5 here"));
    OSSL_PROVIDER_unload(none);
    CHECK(OSSL_PROVIDER_load(NULL, "default"));
}

int main(void) {
    RUN(where_there_is_no_md5_it_is_said); /* first: MD5 is fetched once */
    RUN(the_examples_of_the_standard);
    RUN(no_memory_is_an_error);
    return check_report();
}
