#include "codec/inflate.h"

#include <libdeflate.h>

#include "base/mem.h"
#include "codec/inflate_private.h"

struct lrb_inflater {
    struct libdeflate_decompressor *library;
    lrb_lane lanes[LRB_LANES];
};

int lrb_inflater_new(lrb_inflater **out, lrb_err *err) {
    lrb_inflater *inflater = lrb_alloc_zero(1, sizeof *inflater);
    if (!inflater) return lrb_err_nomem(err, "make an inflater");
    inflater->library = libdeflate_alloc_decompressor();
    if (!inflater->library) {
        lrb_inflater_free(inflater);
        return lrb_err_nomem(err, "make an inflater");
    }
    *out = inflater;
    return LRB_OK;
}

void lrb_inflater_free(lrb_inflater *inflater) {
    if (!inflater) return;
    if (inflater->library) libdeflate_free_decompressor(inflater->library);
    lrb_free(inflater);
}

/* Without a place for the length written, libdeflate demands exactly `expected` bytes. */
bool lrb_inflate(lrb_inflater *inflater, const void *stream, size_t count, void *out, size_t expected) {
    size_t used = 0;
    return libdeflate_zlib_decompress_ex(inflater->library, stream, count, out, expected, &used, NULL) ==
               LIBDEFLATE_SUCCESS &&
           used == count;
}

void lrb_inflate_many(lrb_inflater *inflater, lrb_stream *streams, size_t count, size_t expected) {
    lrb_inflate_lanes(inflater->lanes, streams, count, expected);
    for (lrb_stream *s = streams; s < streams + count; s++)
        s->good = s->good || lrb_inflate(inflater, s->bytes, s->count, s->out, expected);
}
