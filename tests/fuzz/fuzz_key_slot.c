/* Key slots: what is accepted is what it says, costs no more than the ceilings, and opens for nobody by chance. */
#include "fuzz.h"
#include "repo/key_slot.h"

enum { CHEAP_LOG2_N = 8, CHEAP_R = 8, CHEAP_P = 4 }; /* of what is tried to open, for speed */

static void try_to_open(const lrb_key_slot *slot) {
    static const uint8_t words[] = "passphrase";
    lrb_passphrase passphrase = {words, sizeof words - 1};
    lrb_key key = {{0}};
    bool opened, genuine;
    lrb_err err;
    if (slot->cost.log2_n > CHEAP_LOG2_N || slot->cost.r > CHEAP_R || slot->cost.p > CHEAP_P) return;
    MUST_OK(lrb_key_slot_open(slot, &passphrase, &opened, &key, &err));
    if (!opened) return; /* the seed of the corpus opens */
    MUST_OK(lrb_key_slot_check(slot, &key, &genuine, &err));
}

/* input: a slot; its digest is put right */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *bytes = fuzz_copy(data, size);
    lrb_key_slot slot, again;
    lrb_err err;
    fuzz_seal(bytes, size);
    int code = lrb_key_slot_parse(bytes, size, "keys/test", &slot, &err);
    must_be_an_answer(code, &err);
    if (!code) {
        MUST(size == LRB_KEY_SLOT_BYTES && !memcmp(slot.bytes, bytes, size));
        MUST_OK(lrb_key_slot_parse(slot.bytes, sizeof slot.bytes, "keys/test", &again, &err));
        MUST(!memcmp(&slot, &again, sizeof slot));
        if (slot.kind == LRB_KEY_SLOT_PASSPHRASE) {
            MUST((UINT64_C(128) * slot.cost.r << slot.cost.log2_n) <= 256 << 20);
            try_to_open(&slot);
        }
        bytes[size - 1] ^= 1;
        MUST(lrb_key_slot_parse(bytes, size, "keys/test", &again, &err) == LRB_E_DAMAGED);
    }
    lrb_free(bytes);
    return 0;
}
