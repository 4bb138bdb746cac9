#include "codec/digest.h"

#include <pthread.h>
#include <stdbool.h>

#include "base/mem.h"
#include "check.h"
#include "codec/cpu.h"
#include "sample.h"

static bool is_hex(const uint8_t sum[LRB_DIGEST_BYTES], const char *expected) {
    char text[2 * LRB_DIGEST_BYTES + 1];
    lrb_hex(sum, LRB_DIGEST_BYTES, text);
    return !strcmp(text, expected);
}

/* Keys of 32 bytes: a shorter one is the same as one filled up with zeros. */
static int keyed(lrb_digest *digest, const char *secret, size_t secret_bytes, const char *message,
                 uint8_t sum[LRB_DIGEST_BYTES], lrb_err *err) {
    uint8_t padded[LRB_DIGEST_BYTES] = {0};
    lrb_hmac_key key;
    memcpy(padded, secret, secret_bytes);
    lrb_hmac_key_set(&key, padded);
    int code = lrb_digest_begin_keyed(digest, &key, err);
    if (!code) code = lrb_digest_update(digest, message, strlen(message), err);
    if (!code) code = lrb_digest_finish(digest, sum, err);
    return code;
}

static const char SHA256_EMPTY[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
static const char SHA256_ABC[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/* FIPS 180-4 examples. */
TEST(sha256_of_known_messages) {
    static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    lrb_err err;
    uint8_t sum[LRB_DIGEST_BYTES];
    CHECK_OK(lrb_sha256("", 0, sum, &err));
    CHECK(is_hex(sum, SHA256_EMPTY));
    CHECK_OK(lrb_sha256(NULL, 0, sum, &err));
    CHECK(is_hex(sum, SHA256_EMPTY));
    CHECK_OK(lrb_sha256("abc", 3, sum, &err));
    CHECK(is_hex(sum, SHA256_ABC));
    CHECK_OK(lrb_sha256(two_blocks, strlen(two_blocks), sum, &err));
    CHECK(is_hex(sum, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"));
}

TEST(pieces_make_the_whole) {
    lrb_err err;
    lrb_digest *digest;
    uint8_t sum[LRB_DIGEST_BYTES];
    char piece[1000];
    memset(piece, 'a', sizeof piece);
    CHECK_OK(lrb_digest_new(&digest, &err));
    CHECK_OK(lrb_digest_begin(digest, &err));
    for (int i = 0; i < 1000; i++) CHECK_OK(lrb_digest_update(digest, piece, sizeof piece, &err));
    CHECK_OK(lrb_digest_update(digest, NULL, 0, &err));
    CHECK_OK(lrb_digest_finish(digest, sum, &err));
    CHECK(is_hex(sum, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"));
    lrb_digest_free(digest);
}

/* RFC 4231 cases 1 to 3, and an empty key over nothing. */
TEST(hmac_of_known_messages) {
    lrb_err err;
    lrb_digest *digest;
    uint8_t sum[LRB_DIGEST_BYTES];
    char key[20], message[51];
    CHECK_OK(lrb_digest_new(&digest, &err));
    memset(key, 0x0b, 20);
    CHECK_OK(keyed(digest, key, 20, "Hi There", sum, &err));
    CHECK(is_hex(sum, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"));
    CHECK_OK(keyed(digest, "Jefe", 4, "what do ya want for nothing?", sum, &err));
    CHECK(is_hex(sum, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
    memset(key, 0xaa, 20);
    memset(message, 0xdd, 50);
    message[50] = '\0';
    CHECK_OK(keyed(digest, key, 20, message, sum, &err));
    CHECK(is_hex(sum, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"));
    CHECK_OK(keyed(digest, "", 0, "", sum, &err));
    CHECK(is_hex(sum, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"));
    lrb_digest_free(digest);
}

TEST(without_a_key_it_is_the_plain_digest) {
    lrb_err err;
    uint8_t sum[LRB_DIGEST_BYTES];
    CHECK_OK(lrb_hmac_sha256(NULL, "abc", 3, sum, &err));
    CHECK(is_hex(sum, SHA256_ABC));
}

TEST(bytes_are_compared_and_wiped) {
    uint8_t a[32] = {1, 2, 3}, b[32] = {1, 2, 3};
    CHECK(lrb_bytes_same(a, b, sizeof a) && lrb_bytes_same(a, b, 0));
    b[31] = 1;
    CHECK(!lrb_bytes_same(a, b, sizeof a) && lrb_bytes_same(a, b, 31));
    lrb_bytes_wipe(a, sizeof a);
    for (size_t i = 0; i < sizeof a; i++) CHECK(!a[i]);
}

TEST(beginning_again_forgets) {
    lrb_err err;
    lrb_digest *digest;
    lrb_hmac_key key = {{1}, {2}};
    uint8_t sum[LRB_DIGEST_BYTES];
    CHECK_OK(lrb_digest_new(&digest, &err));
    CHECK_OK(lrb_digest_begin(digest, &err));
    CHECK_OK(lrb_digest_update(digest, "left over", 9, &err));
    CHECK_OK(lrb_digest_begin_keyed(digest, &key, &err));
    CHECK_OK(lrb_digest_update(digest, "left over", 9, &err));
    for (int i = 0; i < 3; i++) {
        CHECK_OK(lrb_digest_begin(digest, &err));
        CHECK_OK(lrb_digest_update(digest, "abc", 3, &err));
        CHECK_OK(lrb_digest_finish(digest, sum, &err));
        CHECK(is_hex(sum, SHA256_ABC));
    }
    lrb_digest_free(digest);
    lrb_digest_free(NULL);
}

TEST(a_digest_not_begun_is_refused) {
    lrb_err err;
    lrb_digest *digest;
    uint8_t sum[LRB_DIGEST_BYTES];
    CHECK_OK(lrb_digest_new(&digest, &err));
    CHECK_FAILS(lrb_digest_update(digest, "abc", 3, &err), LRB_E_INTERNAL);
    CHECK_FAILS(lrb_digest_finish(digest, sum, &err), LRB_E_INTERNAL);
    CHECK_OK(lrb_digest_begin(digest, &err));
    CHECK_OK(lrb_digest_finish(digest, sum, &err));
    CHECK_FAILS(lrb_digest_finish(digest, sum, &err), LRB_E_INTERNAL);
    lrb_digest_free(digest);
}

TEST(failed_allocations_are_told) {
    lrb_err err;
    uint8_t sum[LRB_DIGEST_BYTES];
    int code = LRB_E_NOMEM;
    for (int n = 0; code == LRB_E_NOMEM; n++) {
        lrb_mem_fail_after(n, true);
        code = lrb_sha256("abc", 3, sum, &err);
        lrb_mem_fail_after(-1, false);
        CHECK((n == 0) == (code == LRB_E_NOMEM));
    }
    CHECK_OK(code);
}

static void *digest_often(void *failed) {
    lrb_err err;
    uint8_t sum[LRB_DIGEST_BYTES];
    for (int i = 0; i < 1000; i++) {
        if (lrb_sha256("abc", 3, sum, &err) || !is_hex(sum, SHA256_ABC)) *(bool *)failed = true;
    }
    return NULL;
}

TEST(threads_have_digests_of_their_own) {
    pthread_t threads[4];
    bool failed[4] = {false};
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, digest_often, &failed[i]) == 0);
    for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < 4; i++) CHECK(!failed[i]);
}

/* Lengths around the block of 64 bytes and a few long ones, next to each other in every mixture. */
static bool many_agree(const lrb_hmac_key *key) {
    enum { COUNT = 300 };
    static uint8_t bytes[5000], out[COUNT][LRB_DIGEST_BYTES];
    static lrb_message messages[COUNT];
    uint8_t one[LRB_DIGEST_BYTES];
    lrb_err err;
    uint64_t seed = 9;
    lrb_digest *digest;
    if (lrb_digest_new(&digest, &err)) return false;
    sample_fill(bytes, sizeof bytes, 1);
    for (size_t i = 0; i < COUNT; i++) {
        size_t count = i < 150 ? i : sample_next(&seed) % 4000;
        messages[i] = (lrb_message){bytes + i, bytes + 40 + i, i % (LRB_MESSAGE_HEAD_MAX + 1), count, out[i]};
    }
    bool same = !lrb_digest_many(digest, key, messages, COUNT, &err);
    for (size_t i = 0; i < COUNT && same; i++) {
        const lrb_message *m = &messages[i];
        same = !lrb_digest_begin_keyed(digest, key, &err) &&
               !lrb_digest_update(digest, m->head, m->head_bytes, &err) &&
               !lrb_digest_update(digest, m->bytes, m->count, &err) && !lrb_digest_finish(digest, one, &err) &&
               !memcmp(one, out[i], sizeof one);
    }
    for (size_t count = 0; count < 4 && same; count++)
        same = !lrb_digest_many(digest, key, messages, count, &err);
    lrb_digest_free(digest);
    return same;
}

TEST(many_messages_have_the_digests_of_each_alone) {
    lrb_hmac_key key;
    lrb_hmac_key_set(&key, (const uint8_t *)"a key of as many bytes as a hash");
    CHECK(many_agree(NULL) && many_agree(&key));
}

/* The digest of bytes[count] in pieces of up to `piece` bytes. */
static int in_pieces(lrb_digest *digest, const lrb_hmac_key *key, const uint8_t *bytes, size_t count, size_t piece, uint8_t *sum, lrb_err *err) {
    int code = lrb_digest_begin_keyed(digest, key, err);
    for (size_t at = 0; !code && at < count; at += piece)
        code = lrb_digest_update(digest, bytes + at, count - at < piece ? count - at : piece, err);
    return code ? code : lrb_digest_finish(digest, sum, err);
}

/* The processor's instructions against OpenSSL. */
TEST(with_and_without_openssl_it_is_the_same) {
    static uint8_t bytes[3000];
    uint8_t wide[LRB_DIGEST_BYTES], plain[LRB_DIGEST_BYTES];
    lrb_err err;
    lrb_digest *digest;
    lrb_hmac_key key;
    CHECK_OK(lrb_digest_new(&digest, &err));
    sample_fill(bytes, sizeof bytes, 3);
    lrb_hmac_key_set(&key, bytes);
    for (size_t count = 0; count < sizeof bytes; count += count < 300 ? 1 : 97) {
        const lrb_hmac_key *with = count % 2 ? &key : NULL;
        lrb_cpu_limit(LRB_CPU_PLAIN);
        CHECK_OK(in_pieces(digest, with, bytes, count, sizeof bytes, plain, &err));
        lrb_cpu_limit(LRB_CPU_LEVELS);
        for (size_t piece = 1; piece < 200; piece += 13) {
            CHECK_OK(in_pieces(digest, with, bytes, count, piece, wide, &err));
            CHECK(!memcmp(wide, plain, sizeof plain));
        }
    }
    lrb_digest_free(digest);
}

/* One message in pieces, each beside none to five whole others; whether all have the digests of each alone. */
static bool beside_agrees(lrb_digest *digest, lrb_digest *flowing, const lrb_hmac_key *key, const uint8_t *bytes, size_t count) {
    uint8_t found[5][LRB_DIGEST_BYTES], alone[LRB_DIGEST_BYTES], sum[LRB_DIGEST_BYTES];
    uint64_t seed = 12;
    lrb_err err;
    bool same = !lrb_digest_begin_keyed(flowing, key, &err);
    for (size_t at = 0; same && at < count;) {
        lrb_message messages[5];
        size_t piece = sample_next(&seed) % 3000, others = sample_next(&seed) % 6;
        if (piece > count - at) piece = count - at;
        for (size_t i = 0; i < others; i++) messages[i] = (lrb_message){bytes, bytes + i, 0, sample_next(&seed) % 3000, found[i]};
        same = !lrb_digest_many_beside(digest, key, messages, others, &(lrb_digest_flow){flowing, bytes + at, piece}, &err);
        for (size_t i = 0; same && i < others; i++)
            same = !in_pieces(digest, key, messages[i].bytes, messages[i].count, count, alone, &err) && !memcmp(alone, found[i], sizeof alone);
        at += piece;
    }
    same = same && !lrb_digest_finish(flowing, sum, &err) && !in_pieces(digest, key, bytes, count, count, alone, &err);
    return same && !memcmp(sum, alone, sizeof sum);
}

TEST(a_message_goes_on_beside_others) {
    static uint8_t bytes[60000];
    lrb_err err;
    lrb_digest *digest, *flowing;
    lrb_hmac_key key;
    CHECK_OK(lrb_digest_new(&digest, &err));
    CHECK_OK(lrb_digest_new(&flowing, &err));
    sample_fill(bytes, sizeof bytes, 5);
    lrb_hmac_key_set(&key, bytes);
    for (int level = LRB_CPU_PLAIN; level <= LRB_CPU_LEVELS; level++) {
        lrb_cpu_limit(level);
        CHECK(beside_agrees(digest, flowing, NULL, bytes, sizeof bytes) && beside_agrees(digest, flowing, &key, bytes, sizeof bytes));
        CHECK(lrb_digest_many_beside(digest, NULL, NULL, 0, &(lrb_digest_flow){flowing, bytes, 1}, &err) == LRB_E_INTERNAL); /* not begun */
        CHECK_OK(lrb_digest_many_beside(digest, NULL, NULL, 0, NULL, &err));
    }
    lrb_digest_free(flowing);
    lrb_digest_free(digest);
}

TEST(two_at_once_are_each_by_itself) {
    static uint8_t bytes[20000];
    uint8_t alone[2][LRB_DIGEST_BYTES], both[2][LRB_DIGEST_BYTES];
    uint64_t seed = 4;
    lrb_err err;
    lrb_digest *first, *second;
    CHECK_OK(lrb_digest_new(&first, &err));
    CHECK_OK(lrb_digest_new(&second, &err));
    sample_fill(bytes, sizeof bytes, 3);
    for (int round = 0; round < 200; round++) {
        size_t a = 0, b = 0;
        lrb_cpu_limit(round % 10 ? LRB_CPU_LEVELS : LRB_CPU_PLAIN);
        CHECK_OK(lrb_digest_begin(first, &err));
        CHECK_OK(lrb_digest_begin(second, &err));
        for (int step = 0; step < 8; step++) {
            size_t of_a = sample_next(&seed) % 1000, of_b = sample_next(&seed) % (step % 2 ? 1000 : 70);
            if (step == 3) of_a = 0;
            CHECK_OK(lrb_digest_update_two(first, bytes + a, of_a, second, bytes + 10000 + b, of_b, &err));
            a += of_a;
            b += of_b;
        }
        CHECK_OK(lrb_digest_finish(first, both[0], &err));
        CHECK_OK(lrb_digest_finish(second, both[1], &err));
        CHECK_OK(lrb_sha256(bytes, a, alone[0], &err));
        CHECK_OK(lrb_sha256(bytes + 10000, b, alone[1], &err));
        CHECK(!memcmp(both, alone, sizeof both));
    }
    lrb_cpu_limit(LRB_CPU_LEVELS);
    CHECK_FAILS(lrb_digest_update_two(first, "a", 1, second, "b", 1, &err), LRB_E_INTERNAL);
    lrb_digest_free(first);
    lrb_digest_free(second);
}

TEST(hex_comes_back) {
    uint8_t bytes[256], back[256];
    char text[513];
    for (int i = 0; i < 256; i++) bytes[i] = (uint8_t)i;
    lrb_hex(bytes, 256, text);
    CHECK(strlen(text) == 512 && !strncmp(text, "000102", 6) && !strcmp(text + 506, "fdfeff"));
    CHECK(lrb_unhex(text, back, 256) == 0 && !memcmp(bytes, back, 256));
    lrb_hex(bytes, 0, text);
    CHECK(!text[0] && lrb_unhex("", back, 0) == 0);
}

TEST(anything_but_lower_case_hex_is_refused) {
    const char *const refused[] = {"", "0", "000", "00000", "0 00", "0x00", "00AF", "00g0", "00:0", "00`0", "00/0"};
    uint8_t out[2];
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) CHECK(lrb_unhex(refused[i], out, 2) == -1);
    CHECK(lrb_unhex("09af", out, 2) == 0 && out[0] == 0x09 && out[1] == 0xaf);
}

int main(void) {
    RUN(threads_have_digests_of_their_own); /* first: the threads race for the shared algorithm */
    RUN(sha256_of_known_messages);
    RUN(pieces_make_the_whole);
    RUN(hmac_of_known_messages);
    RUN(without_a_key_it_is_the_plain_digest);
    RUN(bytes_are_compared_and_wiped);
    RUN(beginning_again_forgets);
    RUN(a_digest_not_begun_is_refused);
    RUN(failed_allocations_are_told);
    RUN(many_messages_have_the_digests_of_each_alone);
    RUN(with_and_without_openssl_it_is_the_same);
    RUN(a_message_goes_on_beside_others);
    RUN(two_at_once_are_each_by_itself);
    RUN(hex_comes_back);
    RUN(anything_but_lower_case_hex_is_refused);
    return check_report();
}
