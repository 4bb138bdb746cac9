#include "codec/inflate.h"

#include <libdeflate.h>

struct lrb_inflater; /* libdeflate's own structure under this name */

int lrb_inflater_new(lrb_inflater **out, lrb_err *err) {
    struct libdeflate_decompressor *made = libdeflate_alloc_decompressor();
    if (!made) return lrb_err_nomem(err, "make an inflater");
    *out = (lrb_inflater *)made;
    return LRB_OK;
}

void lrb_inflater_free(lrb_inflater *inflater) {
    if (inflater) libdeflate_free_decompressor((struct libdeflate_decompressor *)inflater);
}

/* Without a place for the length written, libdeflate demands exactly `expected` bytes. */
bool lrb_inflate(lrb_inflater *inflater, const void *stream, size_t count, void *out, size_t expected) {
    size_t used = 0;
    return libdeflate_zlib_decompress_ex((struct libdeflate_decompressor *)inflater, stream, count, out, expected,
                                         &used, NULL) == LIBDEFLATE_SUCCESS &&
           used == count;
}

uint32_t lrb_adler32(const void *bytes, size_t count) { return libdeflate_adler32(1, bytes, count); }
