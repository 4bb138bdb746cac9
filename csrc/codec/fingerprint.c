#include "codec/fingerprint.h"

size_t lrb_segment_count(uint64_t size_bytes) {
    uint64_t count = size_bytes / LRB_SEGMENT_BYTES + (size_bytes % LRB_SEGMENT_BYTES != 0);
    return count <= LRB_SEGMENTS_MAX ? (size_t)count : 0;
}

int lrb_segment_tags(lrb_sealer *sealer, const uint8_t key[LRB_KEY_BYTES], size_t first, const uint8_t *bytes, size_t count,
                     lrb_tag *tags, lrb_err *err) {
    uint8_t nothing[1];
    int code = LRB_OK;
    lrb_sealer_set_key(sealer, key);
    for (size_t at = 0, i = 0; !code && at < count; at += LRB_SEGMENT_BYTES, i++) {
        size_t length = count - at < LRB_SEGMENT_BYTES ? count - at : LRB_SEGMENT_BYTES;
        code = lrb_sealer_seal(sealer, (uint32_t)(first + i), bytes + at, length, nothing, 0, tags[i].bytes, err);
    }
    return code;
}
