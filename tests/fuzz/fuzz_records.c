/* Cuts between records: chunks tile whatever comes, none is empty or too long, and the rest of a file at hand or not does
 * not move a cut. */
#include "fuzz.h"
#include "lightrag/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t seed[32];
    static lrb_chunker chunker;
    lrb_err err;
    if (!chunker.gear[0]) MUST_OK(lrb_chunker_init(&chunker, seed, &err));
    uint8_t *bytes = fuzz_copy(data, size);
    lrb_records_form form = lrb_records_recognise(bytes, size);
    for (size_t at = 0; at < size;) {
        size_t left = size - at, length = lrb_records_cut(form, &chunker, 0, bytes + at, left);
        MUST(length && length <= left && length <= LRB_CHUNK_MAX_BYTES);
        if (left > LRB_CHUNK_MAX_BYTES)
            MUST(length == lrb_records_cut(form, &chunker, 0, bytes + at, LRB_CHUNK_MAX_BYTES));
        at += length;
    }
    lrb_free(bytes);
    return 0;
}
