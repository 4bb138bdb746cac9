#include "repo/entry.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/wire.h"

#include <string.h>

static const uint8_t magic[8] = {'l', 'r', 'b', 'l', 'o', 'g', '0', '1'};

enum {
    AT_VERSION = 8, AT_KIND = 10, AT_SEAL = 12, AT_ZERO_A = 13, AT_REPOSITORY = 16, AT_NUMBER = 32, AT_EPOCH = 40,
    AT_NONCE = 48, AT_TIME = 64, AT_PREVIOUS = 72, AT_SALT = 104, AT_GRAPH_LENGTH = 136, AT_ZERO_B = 138,
    AT_PACKS = 140, AT_PAYLOAD_LENGTH = 144, AT_ZERO_C = 148
};

static bool kind_known(unsigned kind) {
    return kind >= LRB_ENTRY_SNAPSHOT && kind <= LRB_ENTRY_RECORD;
}

static bool all_zero(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes[i]) return false;
    return true;
}

static bool is_sealed(const lrb_vault *vault) { return vault && vault->sealed; }

static size_t tag_bytes(const lrb_vault *vault) { return is_sealed(vault) ? LRB_TAG_BYTES : 0; }

/* The last 32 bytes: a digest, or what nobody makes without the key. */
static int sum_up(const lrb_vault *vault, const uint8_t *bytes, size_t count, uint8_t out[LRB_DIGEST_BYTES],
                  lrb_err *err) {
    return lrb_hmac_sha256(is_sealed(vault) ? &vault->mac_key : NULL, bytes, count, out, err);
}

/* A sealer with the key of the entry that begins at `bytes`. */
static int open_sealer(const lrb_vault *vault, const uint8_t *bytes, lrb_sealer **out, lrb_err *err) {
    lrb_key key;
    int code = lrb_vault_key(vault, "entry", bytes + AT_SALT, &key, err);
    if (!code) code = lrb_sealer_new(out, err);
    if (!code) lrb_sealer_set_key(*out, key.bytes);
    lrb_bytes_wipe(&key, sizeof key);
    return code;
}

/* ---- encoding ---- */

/* The parts that are not stored at a fixed place, and the whole. */
static int encoded_length(const lrb_entry *entry, const lrb_vault *vault, size_t *total, lrb_err *err) {
    size_t packs, sum = LRB_ENTRY_HEADER_BYTES + strlen(entry->graph_id) + LRB_DIGEST_BYTES + tag_bytes(vault);
    if (!lrb_mul_fits(entry->pack_count, LRB_ENTRY_PACK_BYTES, &packs) || !lrb_add_fits(sum, packs, &sum) ||
        !lrb_add_fits(sum, entry->payload_length, &sum) || sum > LRB_ENTRY_MAX_BYTES)
        return lrb_err_set(err, LRB_E_LIMIT, "encode", "log entry",
                           "a log entry of %u packs and a payload of %zu bytes was above the ceiling",
                           (unsigned)entry->pack_count, entry->payload_length);
    *total = sum;
    return LRB_OK;
}

static void put_header(uint8_t *at, const lrb_entry *entry, const lrb_vault *vault) {
    memset(at, 0, LRB_ENTRY_HEADER_BYTES);
    memcpy(at, magic, sizeof magic);
    lrb_put_u16(at + AT_VERSION, LRB_FORMAT_VERSION);
    lrb_put_u16(at + AT_KIND, (uint16_t)entry->kind);
    at[AT_SEAL] = is_sealed(vault) ? LRB_SEAL_AES256_GCM : LRB_SEAL_NONE;
    memcpy(at + AT_REPOSITORY, entry->repository_id, LRB_REPO_ID_BYTES);
    lrb_put_u64(at + AT_NUMBER, entry->number);
    lrb_put_u64(at + AT_EPOCH, entry->epoch);
    memcpy(at + AT_NONCE, entry->nonce, LRB_NONCE_BYTES);
    lrb_put_u64(at + AT_TIME, (uint64_t)entry->time_ns);
    memcpy(at + AT_PREVIOUS, entry->previous.bytes, LRB_DIGEST_BYTES);
    lrb_put_u16(at + AT_GRAPH_LENGTH, (uint16_t)strlen(entry->graph_id));
    lrb_put_u32(at + AT_PACKS, entry->pack_count);
    lrb_put_u32(at + AT_PAYLOAD_LENGTH, (uint32_t)(entry->payload_length + tag_bytes(vault)));
}

static uint8_t *put_packs(uint8_t *at, const lrb_pack_ref *packs, uint32_t count) {
    for (uint32_t i = 0; i < count; i++, at += LRB_ENTRY_PACK_BYTES) {
        memcpy(at, packs[i].id.bytes, LRB_DIGEST_BYTES);
        lrb_put_u64(at + LRB_DIGEST_BYTES, packs[i].size_bytes);
    }
    return at;
}

/* Seals the payload at `at`, which has room for its tag behind it. */
static int seal_payload(const lrb_vault *vault, uint8_t *start, uint8_t *at, size_t length, lrb_err *err) {
    lrb_sealer *sealer = NULL;
    int code = lrb_random_bytes(start + AT_SALT, LRB_SALT_BYTES, err);
    if (!code) code = open_sealer(vault, start, &sealer, err);
    if (!code) code = lrb_sealer_seal(sealer, 0, start, (size_t)(at - start), at, length, at + length, err);
    lrb_sealer_free(sealer);
    return code;
}

int lrb_entry_encode(const lrb_entry *entry, const lrb_vault *vault, lrb_buf *out, lrb_err *err) {
    size_t total = 0;
    if (!kind_known(entry->kind) || !lrb_graph_id_valid(entry->graph_id))
        return lrb_err_set(err, LRB_E_INVALID, "encode", "log entry", "a log entry had no valid kind or graph id");
    int code = encoded_length(entry, vault, &total, err);
    if (!code) code = lrb_buf_reserve(out, total, err);
    if (code) return code;

    uint8_t *start = out->data + out->length, *at = start + LRB_ENTRY_HEADER_BYTES;
    size_t graph_length = strlen(entry->graph_id);
    put_header(start, entry, vault);
    memcpy(at, entry->graph_id, graph_length);
    at = put_packs(at + graph_length, entry->packs, entry->pack_count);
    if (entry->payload_length) memcpy(at, entry->payload, entry->payload_length);
    if (is_sealed(vault)) code = seal_payload(vault, start, at, entry->payload_length, err);
    at += entry->payload_length + tag_bytes(vault);
    if (!code) code = sum_up(vault, start, (size_t)(at - start), at, err);
    if (!code) out->length += total;
    return code;
}

/* ---- decoding ---- */

static int damaged(lrb_err *err, const char *label, const char *what) {
    return lrb_err_set(err, LRB_E_DAMAGED, "parse", label, "log entry %s", what);
}

/* What must be understood before the rest of the bytes mean anything. */
static int check_start(const uint8_t *bytes, const char *label, lrb_err *err) {
    if (memcmp(bytes, magic, sizeof magic)) return damaged(err, label, "does not begin like one");
    unsigned version = lrb_get_u16(bytes + AT_VERSION), seal = bytes[AT_SEAL];
    if (version != LRB_FORMAT_VERSION)
        return lrb_err_set(err, LRB_E_UNSUPPORTED, "parse", label,
                           "log entry has format version %u, which this build does not know", version);
    if (seal != LRB_SEAL_NONE && seal != LRB_SEAL_AES256_GCM)
        return lrb_err_set(err, LRB_E_UNSUPPORTED, "parse", label, "log entry is sealed by algorithm %u, "
                           "which this build does not know", seal);
    return LRB_OK;
}

int lrb_entry_peek_at(const uint8_t *bytes, const char *label, lrb_entry_peek *peek, lrb_err *err) {
    int code = check_start(bytes, label, err);
    if (code) return code;
    peek->kind = (lrb_entry_kind)lrb_get_u16(bytes + AT_KIND);
    peek->sealed = bytes[AT_SEAL] == LRB_SEAL_AES256_GCM;
    memcpy(peek->repository_id, bytes + AT_REPOSITORY, LRB_REPO_ID_BYTES);
    return LRB_OK;
}

static int check_digest(const uint8_t *bytes, size_t count, const lrb_vault *vault, const char *label, lrb_err *err) {
    uint8_t digest[LRB_DIGEST_BYTES];
    int code = sum_up(vault, bytes, count - LRB_DIGEST_BYTES, digest, err);
    if (code || lrb_bytes_same(digest, bytes + count - LRB_DIGEST_BYTES, LRB_DIGEST_BYTES)) return code;
    return damaged(err, label, is_sealed(vault) ? "does not match its MAC" : "does not match its digest");
}

/* Says of a version or seal that is not known whether it is a newer writer's. It has flipped when the entry holds with the version of
 * this build and the seal of its repository: of other bytes, no writer's digest or MAC is the same. */
static int judge_unknown(uint8_t *bytes, size_t count, const lrb_vault *vault, const char *label, lrb_err *err) {
    uint8_t said[AT_ZERO_A - AT_VERSION];
    lrb_err unknown = *err;
    memcpy(said, bytes + AT_VERSION, sizeof said);
    lrb_put_u16(bytes + AT_VERSION, LRB_FORMAT_VERSION);
    bytes[AT_SEAL] = is_sealed(vault) ? LRB_SEAL_AES256_GCM : LRB_SEAL_NONE;
    int code = check_digest(bytes, count, vault, label, err);
    memcpy(bytes + AT_VERSION, said, sizeof said);
    if (!code) return damaged(err, label, "names a version or seal it was not written with: it was damaged");
    if (code != LRB_E_DAMAGED) return code;
    *err = unknown;
    return unknown.code;
}

static int check_format(uint8_t *bytes, size_t count, const lrb_vault *vault, const char *label, lrb_err *err) {
    if (count < LRB_ENTRY_HEADER_BYTES + LRB_DIGEST_BYTES + tag_bytes(vault)) return damaged(err, label, "is too short");
    if (count > LRB_ENTRY_MAX_BYTES) return damaged(err, label, "is longer than any entry may be");
    int code = check_start(bytes, label, err);
    if (code == LRB_E_UNSUPPORTED) return judge_unknown(bytes, count, vault, label, err);
    bool sealed = !code && bytes[AT_SEAL] == LRB_SEAL_AES256_GCM;
    if (code || sealed == is_sealed(vault)) return code;
    if (vault) return damaged(err, label, sealed ? "is sealed while its repository is not" : "is not sealed while its repository is");
    return lrb_err_set(err, LRB_E_LOCKED, "parse", label, "log entry is sealed, and its key is not known");
}

/* Lengths and reserved bytes of a header whose digest matched: still hostile, but no accident. */
static int check_header(const uint8_t *bytes, size_t count, const lrb_vault *vault, const char *label, lrb_err *err) {
    unsigned kind = lrb_get_u16(bytes + AT_KIND);
    uint64_t graph_length = lrb_get_u16(bytes + AT_GRAPH_LENGTH), packs = lrb_get_u32(bytes + AT_PACKS);
    uint64_t total = LRB_ENTRY_HEADER_BYTES + graph_length + packs * LRB_ENTRY_PACK_BYTES +
                     lrb_get_u32(bytes + AT_PAYLOAD_LENGTH) + LRB_DIGEST_BYTES; /* five terms below 2^38: no overflow */
    if (!kind_known(kind))
        return lrb_err_set(err, LRB_E_UNSUPPORTED, "parse", label, "log entry has kind %u, "
                           "which this build does not know", kind);
    if (total != count || lrb_get_u32(bytes + AT_PAYLOAD_LENGTH) < tag_bytes(vault)) return damaged(err, label, "is not as long as its header says");
    if (!all_zero(bytes + AT_ZERO_A, 3) || !all_zero(bytes + AT_ZERO_B, 2) || !all_zero(bytes + AT_ZERO_C, 4) ||
        (!is_sealed(vault) && !all_zero(bytes + AT_SALT, LRB_SALT_BYTES)))
        return damaged(err, label, "has reserved bytes that are not zero");
    return LRB_OK;
}

static int take_graph_id(const uint8_t *at, size_t length, char out[129], const char *label, lrb_err *err) {
    if (length > 128 || memchr(at, 0, length)) return damaged(err, label, "names no valid graph");
    memcpy(out, at, length);
    out[length] = 0;
    return lrb_graph_id_valid(out) ? LRB_OK : damaged(err, label, "names no valid graph");
}

static int take_packs(const uint8_t *at, uint32_t count, lrb_entry *entry, lrb_err *err) {
    if (!count) return LRB_OK;
    entry->packs = lrb_alloc_zero(count, sizeof *entry->packs);
    if (!entry->packs) return lrb_err_nomem(err, "parse a log entry");
    for (uint32_t i = 0; i < count; i++, at += LRB_ENTRY_PACK_BYTES) {
        memcpy(entry->packs[i].id.bytes, at, LRB_DIGEST_BYTES);
        entry->packs[i].size_bytes = lrb_get_u64(at + LRB_DIGEST_BYTES);
    }
    entry->pack_count = count;
    return LRB_OK;
}

static void take_header(const uint8_t *bytes, lrb_entry *entry) {
    entry->kind = (lrb_entry_kind)lrb_get_u16(bytes + AT_KIND);
    memcpy(entry->repository_id, bytes + AT_REPOSITORY, LRB_REPO_ID_BYTES);
    entry->number = lrb_get_u64(bytes + AT_NUMBER);
    entry->epoch = lrb_get_u64(bytes + AT_EPOCH);
    memcpy(entry->nonce, bytes + AT_NONCE, LRB_NONCE_BYTES);
    entry->time_ns = (int64_t)lrb_get_u64(bytes + AT_TIME);
    memcpy(entry->previous.bytes, bytes + AT_PREVIOUS, LRB_DIGEST_BYTES);
}

static int unseal_payload(const lrb_vault *vault, uint8_t *bytes, uint8_t *at, size_t length, const char *label,
                          lrb_err *err) {
    lrb_sealer *sealer = NULL;
    int code = open_sealer(vault, bytes, &sealer, err);
    if (!code) code = lrb_sealer_unseal(sealer, 0, bytes, (size_t)(at - bytes), at, length, at + length, err);
    lrb_sealer_free(sealer);
    return code == LRB_E_DAMAGED ? damaged(err, label, "does not match its seal") : code;
}

int lrb_entry_decode(uint8_t *bytes, size_t count, const lrb_vault *vault, const char *label, lrb_entry *entry,
                     lrb_err *err) {
    memset(entry, 0, sizeof *entry);
    int code = check_format(bytes, count, vault, label, err);
    if (!code) code = check_digest(bytes, count, vault, label, err);
    if (!code) code = check_header(bytes, count, vault, label, err);
    if (code) return code;

    size_t graph_length = lrb_get_u16(bytes + AT_GRAPH_LENGTH);
    uint32_t packs = lrb_get_u32(bytes + AT_PACKS);
    uint8_t *graph = bytes + LRB_ENTRY_HEADER_BYTES, *pack_list = graph + graph_length;
    uint8_t *payload = pack_list + (size_t)packs * LRB_ENTRY_PACK_BYTES;
    size_t payload_length = lrb_get_u32(bytes + AT_PAYLOAD_LENGTH) - tag_bytes(vault);
    take_header(bytes, entry);
    code = take_graph_id(graph, graph_length, entry->graph_id, label, err);
    if (!code) code = take_packs(pack_list, packs, entry, err);
    if (!code && is_sealed(vault)) code = unseal_payload(vault, bytes, payload, payload_length, label, err);
    if (code) {
        lrb_entry_clear(entry);
        return code;
    }
    entry->payload = payload;
    entry->payload_length = payload_length;
    return LRB_OK;
}

void lrb_entry_clear(lrb_entry *entry) {
    lrb_free(entry->packs);
    memset(entry, 0, sizeof *entry);
}
