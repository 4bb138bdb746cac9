#include "codec/digest.h"

#include <openssl/crypto.h>
#include <string.h>

#include "base/mem.h"
#include "codec/digest_private.h"
#include "codec/openssl.h"

typedef enum digest_state { DIGEST_IDLE, DIGEST_BEGUN } digest_state;

enum { BLOCK = LRB_SHA256_BLOCK_BYTES, LENGTH_BYTES = 8 };

struct lrb_digest {
    EVP_MD_CTX *context;
    digest_state state;
    const lrb_hmac_key *key; /* of the message begun; NULL: none */
    bool wide;               /* of the message begun: what follows is used, and not the context */
    uint32_t words[LRB_SHA256_WORDS];
    uint64_t total;          /* bytes so far */
    uint8_t rest[BLOCK];     /* those of them that are no whole block yet: total % BLOCK */
};

static int refused(lrb_err *err, const char *op) { return lrb_openssl_failed(err, op, "SHA-256"); }

int lrb_digest_new(lrb_digest **out, lrb_err *err) {
    lrb_digest *digest = lrb_alloc_zero(1, sizeof *digest);
    if (!digest) return lrb_err_nomem(err, "make a digest");
    EVP_MD *md = lrb_openssl_sha256();
    digest->context = EVP_MD_CTX_new();
    if (!md || !digest->context || !EVP_DigestInit_ex2(digest->context, md, NULL)) {
        lrb_digest_free(digest);
        return refused(err, "make a digest");
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

/* ---- without OpenSSL ---- */

/* Takes bytes until the block at hand is whole and gone; fewer when there are not enough. */
static size_t fill_block(lrb_digest *d, const uint8_t *bytes, size_t count) {
    size_t filled = (size_t)(d->total % BLOCK), taken = filled ? BLOCK - filled : 0;
    if (taken > count) taken = count;
    if (!taken) return 0;
    memcpy(d->rest + filled, bytes, taken);
    d->total += taken;
    if (filled + taken == BLOCK) lrb_sha256_one(d->words, d->rest, 1);
    return taken;
}

/* Behind fill_block: what is left begins a block, or is nothing. */
static void take_blocks(lrb_digest *d, const uint8_t *bytes, size_t count) {
    size_t rest = count % BLOCK;
    if (count >= BLOCK) lrb_sha256_one(d->words, bytes, count / BLOCK);
    if (rest) memcpy(d->rest, bytes + count - rest, rest);
    d->total += count;
}

static void wide_finish(lrb_digest *d, uint8_t out[LRB_DIGEST_BYTES]) {
    uint8_t edge[2 * BLOCK] = {0};
    size_t used = d->total % BLOCK, blocks = used + 1 + LENGTH_BYTES <= BLOCK ? 1 : 2;
    memcpy(edge, d->rest, used);
    edge[used] = 0x80;
    for (unsigned i = 0; i < LENGTH_BYTES; i++) edge[BLOCK * blocks - 1 - i] = (uint8_t)(8 * d->total >> 8 * i);
    lrb_sha256_one(d->words, edge, blocks);
    for (unsigned i = 0; i < LRB_DIGEST_BYTES; i++) out[i] = (uint8_t)(d->words[i / 4] >> (24 - 8 * (i % 4)));
}

/* ---- messages ---- */

/* Without an algorithm named, OpenSSL resets the state in place: no fetch, no allocation. */
int lrb_digest_begin(lrb_digest *digest, lrb_err *err) {
    digest->state = DIGEST_IDLE;
    digest->key = NULL;
    digest->wide = lrb_sha256_wide_available();
    digest->total = 0;
    memcpy(digest->words, lrb_sha256_start, sizeof digest->words);
    if (!digest->wide && !EVP_DigestInit_ex2(digest->context, NULL, NULL)) return refused(err, "begin a digest");
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
    if (!count) return LRB_OK;
    if (digest->wide) {
        size_t taken = fill_block(digest, bytes, count);
        take_blocks(digest, (const uint8_t *)bytes + taken, count - taken);
        return LRB_OK;
    }
    return EVP_DigestUpdate(digest->context, bytes, count) ? LRB_OK : refused(err, "update a digest");
}

int lrb_digest_update_two(lrb_digest *first, const void *first_bytes, size_t first_count, lrb_digest *second,
                          const void *second_bytes, size_t second_count, lrb_err *err) {
    bool both = first->wide && second->wide && first->state == DIGEST_BEGUN && second->state == DIGEST_BEGUN;
    if (!both || !first_count || !second_count) {
        int code = lrb_digest_update(first, first_bytes, first_count, err);
        return code ? code : lrb_digest_update(second, second_bytes, second_count, err);
    }
    size_t a = fill_block(first, first_bytes, first_count), b = fill_block(second, second_bytes, second_count);
    size_t shared = (first_count - a < second_count - b ? first_count - a : second_count - b) / BLOCK * BLOCK;
    const uint8_t *first_at = (const uint8_t *)first_bytes + a, *second_at = (const uint8_t *)second_bytes + b;
    if (shared) lrb_sha256_two(first->words, second->words, first_at, second_at, shared / BLOCK);
    first->total += shared;
    second->total += shared;
    take_blocks(first, first_at + shared, first_count - a - shared);
    take_blocks(second, second_at + shared, second_count - b - shared);
    return LRB_OK;
}

int lrb_digest_many_beside(lrb_digest *digest, const lrb_hmac_key *key, const lrb_message *messages, size_t count,
                           const lrb_digest_flow *flow, lrb_err *err) {
    lrb_digest *d = flow ? flow->digest : NULL;
    if (!d || !d->wide || d->state != DIGEST_BEGUN) {
        int code = d ? lrb_digest_update(d, flow->bytes, flow->count, err) : LRB_OK;
        return code ? code : lrb_digest_many(digest, key, messages, count, err);
    }
    size_t taken = fill_block(d, flow->bytes, flow->count), left = flow->count - taken, whole = left / BLOCK * BLOCK;
    const uint8_t *at = flow->bytes + taken;
    lrb_digest_wide(key, messages, count, &(lrb_blocks){d->words, at, whole / BLOCK});
    d->total += whole;
    take_blocks(d, at + whole, left - whole);
    return LRB_OK;
}

static int finish_plain(lrb_digest *digest, uint8_t out[LRB_DIGEST_BYTES], lrb_err *err) {
    digest->state = DIGEST_IDLE;
    if (digest->wide) {
        wide_finish(digest, out);
        return LRB_OK;
    }
    return EVP_DigestFinal_ex(digest->context, out, NULL) ? LRB_OK : refused(err, "finish a digest");
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
