#define _GNU_SOURCE 1
#include "base/clock.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

/* Both clocks always exist on Linux, so reading them cannot fail. */
static int64_t read_ns(clockid_t clock) {
    struct timespec now = {0, 0};
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t lrb_clock_wall_ns(void) {
    return read_ns(CLOCK_REALTIME);
}

int64_t lrb_clock_monotonic_ns(void) {
    return read_ns(CLOCK_MONOTONIC);
}

int lrb_random_bytes(void *into, size_t count, lrb_err *err) {
    uint8_t *at = into;
    while (count > 0) {
        ssize_t got = getrandom(at, count, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return lrb_err_sys(err, errno, "getrandom", "");
        at += got;
        count -= (size_t)got;
    }
    return LRB_OK;
}
