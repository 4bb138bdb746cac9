#include "codec/adler.h"

#include <libdeflate.h>

uint32_t lrb_adler32(const void *bytes, size_t count) { return lrb_adler32_on(1, bytes, count); }
uint32_t lrb_adler32_on(uint32_t sum, const void *bytes, size_t count) { return libdeflate_adler32(sum, bytes, count); }
