/* Sealed log entries, as somebody with the key could write them: what lies behind seal and MAC. */
#include "base/wire.h"
#include "fuzz.h"
#include "repo/entry.h"

enum { AT_SEAL = 12, AT_SALT = 104, AT_GRAPH_LENGTH = 136, AT_PACKS = 140, AT_PAYLOAD_LENGTH = 144 };

static lrb_vault vault;

/* Seals the payload where the header says it is, when it can be there. */
static bool seal(uint8_t *bytes, size_t size) {
    lrb_sealer *sealer;
    lrb_key key;
    lrb_err err;
    uint64_t at = LRB_ENTRY_HEADER_BYTES + lrb_get_u16(bytes + AT_GRAPH_LENGTH) +
                  (uint64_t)lrb_get_u32(bytes + AT_PACKS) * LRB_ENTRY_PACK_BYTES;
    uint64_t length = lrb_get_u32(bytes + AT_PAYLOAD_LENGTH);
    if (length < LRB_TAG_BYTES || at + length + LRB_DIGEST_BYTES > size) return false;
    length -= LRB_TAG_BYTES;
    MUST_OK(lrb_vault_key(&vault, "entry", bytes + AT_SALT, &key, &err));
    MUST_OK(lrb_sealer_new(&sealer, &err));
    lrb_sealer_set_key(sealer, key.bytes);
    MUST_OK(lrb_sealer_seal(sealer, 0, bytes, at, bytes + at, length, bytes + at + length, &err));
    lrb_sealer_free(sealer);
    return true;
}

/* input: an entry whose payload is followed by 16 bytes of room; seal and MAC are put right */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const lrb_key master = {{1}};
    lrb_entry entry;
    lrb_err err;
    if (!vault.sealed) MUST_OK(lrb_vault_open(&vault, (const uint8_t *)"a repository's id", "g", &master, &err));
    uint8_t *bytes = fuzz_copy(data, size), *flipped = NULL;
    bool sealed = false;
    if (size >= LRB_ENTRY_HEADER_BYTES + LRB_DIGEST_BYTES) {
        size_t end = size - LRB_DIGEST_BYTES;
        bytes[AT_SEAL] = LRB_SEAL_AES256_GCM;
        sealed = seal(bytes, size);
        MUST_OK(lrb_hmac_sha256(&vault.mac_key, bytes, end, bytes + end, &err));
        flipped = fuzz_copy(bytes, size);
    }
    int code = lrb_entry_decode(bytes, size, &vault, "log/test", &entry, &err);
    must_be_an_answer(code, &err);
    if (!code) {
        size_t at = (size_t)(entry.payload - bytes);
        MUST(sealed && at + entry.payload_length + LRB_TAG_BYTES + LRB_DIGEST_BYTES == size);
        MUST(!memcmp(entry.payload, data + at, entry.payload_length));
        lrb_entry_clear(&entry);
        flipped[at] ^= 1;
        MUST(lrb_entry_decode(flipped, size, &vault, "log/test", &entry, &err) == LRB_E_DAMAGED);
        MUST(lrb_entry_decode(flipped, size, NULL, "log/test", &entry, &err) == LRB_E_LOCKED);
    }
    lrb_free(flipped);
    lrb_free(bytes);
    return 0;
}
