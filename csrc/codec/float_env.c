#include "codec/float_env.h"

#if defined(__x86_64__)

#include <immintrin.h>

enum { ALL_MASKED_TO_NEAREST = 0x1F80 };

lrb_float_env lrb_float_env_begin(void) {
    lrb_float_env before = _mm_getcsr();
    _mm_setcsr(ALL_MASKED_TO_NEAREST);
    return before;
}

void lrb_float_env_end(lrb_float_env before) { _mm_setcsr(before); }

#else

lrb_float_env lrb_float_env_begin(void) {
    lrb_float_env before;
    fegetenv(&before);
    fesetenv(FE_DFL_ENV);
    return before;
}

void lrb_float_env_end(lrb_float_env before) { fesetenv(&before); }

#endif
