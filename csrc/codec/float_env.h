/* The floating-point rules the vector codec's arithmetic is done under: round to nearest, subnormals kept, no traps.
 *
 * A thread inherits its rules from the one that started it, and libraries built for speed alone switch subnormals off
 * for the whole process. Stored bytes must not depend on that, so every function that multiplies, divides or adds
 * floats of vectors stands between a begin and an end. Both are calls the compiler cannot see into: arithmetic on what
 * lies in memory is not moved across them.
 */
#ifndef LRB_CODEC_FLOAT_ENV_H
#define LRB_CODEC_FLOAT_ENV_H

#if defined(__x86_64__)
typedef unsigned lrb_float_env;
#else
#include <fenv.h>
typedef fenv_t lrb_float_env;
#endif

lrb_float_env lrb_float_env_begin(void) __attribute__((noinline)); /* returns the rules that were in force */
void lrb_float_env_end(lrb_float_env before) __attribute__((noinline));

#endif
