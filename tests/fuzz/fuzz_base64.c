/* Text that may be base64: what decodes encodes to the same text, in one piece and in several, and every variant agrees. */
#include "codec/base64.h"
#include "codec/cpu.h"
#include "fuzz.h"

static bool decode(lrb_cpu level, const char *text, size_t size, uint8_t *out, size_t *written) {
    lrb_cpu_limit(level);
    bool good = lrb_base64_decode(text, size, out, written);
    lrb_cpu_limit(LRB_CPU_LEVELS);
    return good;
}

static void encode_again(const uint8_t *bytes, size_t count, const char *text, size_t size) {
    lrb_base64_stream stream = {.carried = 0};
    char *again = lrb_alloc(size);
    size_t half = count / 2, made;
    MUST(again && lrb_base64_encoded_length(count) == size);
    lrb_base64_encode(bytes, count, again);
    MUST(!memcmp(text, again, size));
    memset(again, 0, size);
    made = lrb_base64_stream_update(&stream, bytes, half, again);
    made += lrb_base64_stream_update(&stream, bytes + half, count - half, again + made);
    made += lrb_base64_stream_finish(&stream, again + made);
    MUST(made == size && !memcmp(text, again, size));
    lrb_free(again);
}

/* input: the text */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = (char *)fuzz_copy(data, size);
    uint8_t *plain = lrb_alloc(lrb_base64_decoded_bound(size)), *wide = lrb_alloc(lrb_base64_decoded_bound(size));
    size_t count, wide_count;
    MUST(plain && wide);
    bool good = decode(LRB_CPU_PLAIN, text, size, plain, &count);
    for (lrb_cpu level = LRB_CPU_AVX2; level < LRB_CPU_LEVELS; level++) {
        MUST(decode(level, text, size, wide, &wide_count) == good);
        MUST(!good || (wide_count == count && !memcmp(plain, wide, count)));
    }
    if (good) {
        MUST(lrb_base64_decoded_length(text, size) == count);
        encode_again(plain, count, text, size);
    }
    lrb_free(text);
    lrb_free(plain);
    lrb_free(wide);
    return 0;
}
