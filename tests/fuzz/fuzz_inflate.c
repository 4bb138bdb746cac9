/* zlib streams nobody should trust: several decoded in one loop get the answer, and the bytes, of libdeflate for each. */
#include "base/wire.h"
#include "codec/inflate.h"
#include "fuzz.h"

enum { MOST_STREAMS = 6, MOST = 1 << 16 };

static lrb_inflater *inflater;

/* input: bytes expected u16 | (length u16 | stream)... */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t alone[MOST];
    lrb_view view = lrb_view_of(data, size);
    lrb_stream streams[MOST_STREAMS];
    lrb_err err;
    size_t expected = lrb_view_u16(&view), count = 0;
    if (view.bad) return 0;
    if (!inflater) MUST_OK(lrb_inflater_new(&inflater, &err));
    for (; count < MOST_STREAMS && view.left; count++) {
        size_t length = lrb_view_u16(&view);
        if (length > view.left) length = view.left;
        uint8_t *out = lrb_alloc(expected);
        MUST(out);
        streams[count] = (lrb_stream){fuzz_copy(view.at, length), length, out, false};
        lrb_view_bytes(&view, length);
    }
    lrb_inflate_many(inflater, streams, count, expected);
    for (size_t i = 0; i < count; i++) {
        lrb_stream *s = &streams[i];
        MUST(s->good == lrb_inflate(inflater, s->bytes, s->count, alone, expected));
        MUST(!s->good || !memcmp(s->out, alone, expected));
        lrb_free((void *)(uintptr_t)s->bytes);
        lrb_free(s->out);
    }
    return 0;
}
