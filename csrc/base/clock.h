/* Time and randomness from the operating system. No state, any thread.
 *
 * The wall clock may jump either way: it is shown to people and compared with generous margins, and no order or safety ever
 * rests on it.
 */
#ifndef LRB_BASE_CLOCK_H
#define LRB_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

int64_t lrb_clock_wall_ns(void);      /* since 1970, UTC; may jump */
int64_t lrb_clock_monotonic_ns(void); /* only differences mean something */
int lrb_random_bytes(void *into, size_t count, lrb_err *err);

#endif
