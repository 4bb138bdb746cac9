/* Log entries: what is accepted is written again as the same bytes. */
#include "fuzz.h"
#include "repo/entry.h"

static void encode_again(const lrb_entry *entry, const uint8_t *bytes, size_t size) {
    lrb_buf out;
    lrb_err err;
    lrb_buf_init(&out, size);
    MUST_OK(lrb_entry_encode(entry, NULL, &out, &err));
    MUST(out.length == size && !memcmp(out.data, bytes, size));
    lrb_buf_clear(&out);
}

/* input: an entry; its digest is put right */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *bytes = fuzz_copy(data, size);
    lrb_entry entry;
    lrb_err err;
    fuzz_seal(bytes, size);
    int code = lrb_entry_decode(bytes, size, NULL, "log/test", &entry, &err);
    must_be_an_answer(code, &err);
    if (!code) {
        MUST((size_t)(entry.payload - bytes) + entry.payload_length + LRB_DIGEST_BYTES == size);
        encode_again(&entry, bytes, size);
        lrb_entry_clear(&entry);
        bytes[size - 1] ^= 1;
        MUST(lrb_entry_decode(bytes, size, NULL, "log/test", &entry, &err) == LRB_E_DAMAGED);
    }
    lrb_free(bytes);
    return 0;
}
