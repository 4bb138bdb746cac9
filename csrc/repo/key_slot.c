#include "repo/key_slot.h"

#include <string.h>

#include "base/clock.h"
#include "base/wire.h"

enum {
    AT_VERSION = 8, AT_KIND = 10, AT_LOG2_N = 11, AT_R = 12, AT_P = 13, AT_ZERO_A = 14, AT_ID = 16, AT_KEY_ID = 32,
    AT_CREATED = 48, AT_ZERO_B = 56, AT_SALT = 64, AT_WRAPPED = 96, AT_TAG = 128, AT_MAC = 144, AT_DIGEST = 176,
    MAX_LOG2_N = 20, MAX_R = 32, MAX_P = 16, MAX_MEMORY_BYTES = 256 << 20
};

static const uint8_t magic[8] = {'l', 'r', 'b', 'k', 'e', 'y', '0', '1'};

const lrb_scrypt_cost lrb_passphrase_cost = {15, 8, 1};

static bool all_zero(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes[i]) return false;
    return true;
}

/* ---- what follows from the master key ---- */

static int derive(const lrb_key *key, const char *info, uint8_t out[LRB_KEY_BYTES], lrb_err *err) {
    return lrb_hkdf(key->bytes, "", 0, info, strlen(info), out, err);
}

int lrb_key_id(const lrb_key *key, uint8_t out[LRB_KEY_ID_BYTES], lrb_err *err) {
    uint8_t whole[LRB_KEY_BYTES];
    int code = derive(key, "lightrag-bkp key id", whole, err);
    if (!code) memcpy(out, whole, LRB_KEY_ID_BYTES);
    return code;
}

int lrb_key_for_state(const lrb_key *key, uint8_t out[LRB_KEY_BYTES], lrb_err *err) {
    return derive(key, "lightrag-bkp state", out, err);
}

static int mac(const lrb_key *key, const uint8_t *bytes, uint8_t out[LRB_DIGEST_BYTES], lrb_err *err) {
    uint8_t secret[LRB_KEY_BYTES];
    lrb_hmac_key hmac;
    int code = derive(key, "lightrag-bkp slot", secret, err);
    if (!code) {
        lrb_hmac_key_set(&hmac, secret);
        code = lrb_hmac_sha256(&hmac, bytes, AT_MAC, out, err);
    }
    lrb_bytes_wipe(secret, sizeof secret);
    lrb_bytes_wipe(&hmac, sizeof hmac);
    return code;
}

/* ---- writing ---- */

static int begin(lrb_key_slot *slot, lrb_key_slot_kind kind, const lrb_key *key, int64_t created_ns, lrb_err *err) {
    uint8_t *at = slot->bytes;
    slot->kind = kind;
    slot->created_ns = created_ns;
    memcpy(at, magic, sizeof magic);
    lrb_put_u16(at + AT_VERSION, LRB_FORMAT_VERSION);
    at[AT_KIND] = (uint8_t)kind;
    memcpy(at + AT_ID, slot->id, sizeof slot->id);
    lrb_put_u64(at + AT_CREATED, (uint64_t)created_ns);
    int code = lrb_key_id(key, slot->key_id, err);
    memcpy(at + AT_KEY_ID, slot->key_id, sizeof slot->key_id);
    return code;
}

/* The key that wraps the master key. */
static int sealer_of(const lrb_key_slot *slot, const lrb_passphrase *passphrase, lrb_sealer **out, lrb_err *err) {
    uint8_t wrapping[LRB_KEY_BYTES];
    int code = lrb_scrypt(passphrase->bytes, passphrase->count, slot->bytes + AT_SALT, LRB_SALT_BYTES, slot->cost,
                          wrapping, err);
    if (!code) code = lrb_sealer_new(out, err);
    if (!code) lrb_sealer_set_key(*out, wrapping);
    lrb_bytes_wipe(wrapping, sizeof wrapping);
    return code;
}

static int wrap(lrb_key_slot *slot, const lrb_key *key, const lrb_passphrase *passphrase, lrb_scrypt_cost cost,
                lrb_err *err) {
    lrb_sealer *sealer = NULL;
    uint8_t *at = slot->bytes;
    slot->cost = cost;
    at[AT_LOG2_N] = cost.log2_n;
    at[AT_R] = cost.r;
    at[AT_P] = cost.p;
    int code = lrb_random_bytes(at + AT_SALT, LRB_SALT_BYTES, err);
    if (!code) code = sealer_of(slot, passphrase, &sealer, err);
    if (!code) {
        memcpy(at + AT_WRAPPED, key->bytes, LRB_KEY_BYTES);
        code = lrb_sealer_seal(sealer, 0, at, AT_WRAPPED, at + AT_WRAPPED, LRB_KEY_BYTES, at + AT_TAG, err);
    }
    lrb_sealer_free(sealer);
    return code;
}

static int end(lrb_key_slot *slot, const lrb_key *key, lrb_err *err) {
    int code = mac(key, slot->bytes, slot->bytes + AT_MAC, err);
    if (!code) code = lrb_sha256(slot->bytes, AT_DIGEST, slot->bytes + AT_DIGEST, err);
    if (code) lrb_bytes_wipe(slot, sizeof *slot);
    return code;
}

static int check_passphrase(const lrb_passphrase *passphrase, lrb_err *err) {
    if (passphrase->count && passphrase->count <= LRB_PASSPHRASE_MAX_BYTES) return LRB_OK;
    return lrb_err_set(err, LRB_E_INVALID, "take a passphrase", "", "a passphrase has 1 to %d bytes",
                       (int)LRB_PASSPHRASE_MAX_BYTES);
}

int lrb_key_slot_new(const lrb_key *key, const lrb_passphrase *passphrase, lrb_scrypt_cost cost, int64_t created_ns,
                     lrb_key_slot *slot, lrb_err *err) {
    memset(slot, 0, sizeof *slot);
    int code = passphrase ? check_passphrase(passphrase, err) : LRB_OK;
    if (!code) code = lrb_random_bytes(slot->id, sizeof slot->id, err);
    if (!code) code = begin(slot, passphrase ? LRB_KEY_SLOT_PASSPHRASE : LRB_KEY_SLOT_FILE, key, created_ns, err);
    if (!code && passphrase) code = wrap(slot, key, passphrase, cost, err);
    return code ? code : end(slot, key, err);
}

int lrb_key_slot_removal(const lrb_key *key, const lrb_key_slot *of, int64_t created_ns, lrb_key_slot *slot,
                         lrb_err *err) {
    memset(slot, 0, sizeof *slot);
    memcpy(slot->id, of->id, sizeof slot->id);
    int code = begin(slot, LRB_KEY_SLOT_REMOVED, key, created_ns, err);
    return code ? code : end(slot, key, err);
}

/* ---- reading ---- */

static int damaged(lrb_err *err, const char *label, const char *what) {
    return lrb_err_set(err, LRB_E_DAMAGED, "read a key slot", label, "the key slot %s", what);
}

/* Whether the digest holds for the bytes as this version would have written them: then a version that is another one has flipped. */
static int holds(const uint8_t *bytes, size_t count, bool *out, lrb_err *err) {
    uint8_t copy[AT_DIGEST], digest[LRB_DIGEST_BYTES];
    *out = false;
    if (count != LRB_KEY_SLOT_BYTES) return LRB_OK;
    memcpy(copy, bytes, sizeof copy);
    lrb_put_u16(copy + AT_VERSION, LRB_FORMAT_VERSION);
    int code = lrb_sha256(copy, sizeof copy, digest, err);
    *out = !code && !memcmp(digest, bytes + AT_DIGEST, sizeof digest);
    return code;
}

static int check_start(const uint8_t *bytes, size_t count, const char *label, lrb_err *err) {
    bool whole;
    if (count < AT_KIND || memcmp(bytes, magic, sizeof magic)) return damaged(err, label, "does not begin like one");
    unsigned version = lrb_get_u16(bytes + AT_VERSION);
    int code = holds(bytes, count, &whole, err);
    if (code) return code;
    if (version != LRB_FORMAT_VERSION && !whole)
        return lrb_err_set(err, LRB_E_UNSUPPORTED, "read a key slot", label,
                           "the key slot is of format version %u, which needs a newer version", version);
    if (count != LRB_KEY_SLOT_BYTES) return damaged(err, label, "is not as long as one");
    return whole && version == LRB_FORMAT_VERSION ? LRB_OK : damaged(err, label, "does not match its digest");
}

static int check_cost(lrb_scrypt_cost cost, const char *label, lrb_err *err) {
    if (!cost.log2_n || !cost.r || !cost.p) return damaged(err, label, "has no cost");
    if (cost.log2_n > MAX_LOG2_N || cost.r > MAX_R || cost.p > MAX_P ||
        (UINT64_C(128) * cost.r << cost.log2_n) > MAX_MEMORY_BYTES)
        return lrb_err_set(err, LRB_E_LIMIT, "read a key slot", label,
                           "the key slot asks for more work than any passphrase is worth");
    return LRB_OK;
}

int lrb_key_slot_parse(const uint8_t *bytes, size_t count, const char *label, lrb_key_slot *slot, lrb_err *err) {
    memset(slot, 0, sizeof *slot);
    int code = check_start(bytes, count, label, err);
    if (code) return code;
    unsigned kind = bytes[AT_KIND];
    if (kind < LRB_KEY_SLOT_PASSPHRASE || kind > LRB_KEY_SLOT_REMOVED)
        return lrb_err_set(err, LRB_E_UNSUPPORTED, "read a key slot", label,
                           "the key slot is of kind %u, which needs a newer version", kind);
    if (!all_zero(bytes + AT_ZERO_A, 2) || !all_zero(bytes + AT_ZERO_B, 8)) return damaged(err, label, "is broken");
    slot->cost = (lrb_scrypt_cost){bytes[AT_LOG2_N], bytes[AT_R], bytes[AT_P]};
    if (kind == LRB_KEY_SLOT_PASSPHRASE) code = check_cost(slot->cost, label, err);
    else if (!all_zero(bytes + AT_LOG2_N, 3) || !all_zero(bytes + AT_SALT, AT_MAC - AT_SALT))
        code = damaged(err, label, "is broken");
    if (code) return code;
    slot->kind = (lrb_key_slot_kind)kind;
    slot->created_ns = (int64_t)lrb_get_u64(bytes + AT_CREATED);
    memcpy(slot->id, bytes + AT_ID, sizeof slot->id);
    memcpy(slot->key_id, bytes + AT_KEY_ID, sizeof slot->key_id);
    memcpy(slot->bytes, bytes, LRB_KEY_SLOT_BYTES);
    return LRB_OK;
}

int lrb_key_slot_open(const lrb_key_slot *slot, const lrb_passphrase *passphrase, bool *opened, lrb_key *key,
                      lrb_err *err) {
    lrb_sealer *sealer = NULL;
    *opened = false;
    memcpy(key->bytes, slot->bytes + AT_WRAPPED, LRB_KEY_BYTES);
    int code = sealer_of(slot, passphrase, &sealer, err);
    if (!code)
        code = lrb_sealer_unseal(sealer, 0, slot->bytes, AT_WRAPPED, key->bytes, LRB_KEY_BYTES, slot->bytes + AT_TAG, err);
    lrb_sealer_free(sealer);
    *opened = !code;
    if (code) lrb_bytes_wipe(key, sizeof *key);
    if (code != LRB_E_DAMAGED) return code;
    lrb_err_clear(err);
    return LRB_OK;
}

const uint8_t *lrb_key_slot_digest(const lrb_key_slot *slot) { return slot->bytes + AT_DIGEST; }

int lrb_key_slot_check(const lrb_key_slot *slot, const lrb_key *key, bool *genuine, lrb_err *err) {
    uint8_t expected[LRB_DIGEST_BYTES];
    int code = mac(key, slot->bytes, expected, err);
    *genuine = !code && lrb_bytes_same(expected, slot->bytes + AT_MAC, sizeof expected);
    return code;
}
