#include "base/clock.h"

#include <time.h>

#include "check.h"

TEST(the_wall_clock_is_the_systems) {
    int64_t before = (int64_t)time(NULL);
    int64_t now = lrb_clock_wall_ns() / 1000000000;
    CHECK(now >= before - 1 && now <= before + 60);
}

TEST(the_monotonic_clock_never_goes_back) {
    int64_t first = lrb_clock_monotonic_ns(), last = first;
    for (int i = 0; i < 10000; i++) {
        int64_t now = lrb_clock_monotonic_ns();
        CHECK(now >= last);
        last = now;
    }
    CHECK(last > first);
}

TEST(random_bytes_differ_and_stay_in_their_room) {
    lrb_err err;
    uint8_t a[33] = {0}, b[33] = {0};
    CHECK_OK(lrb_random_bytes(a, 32, &err));
    CHECK_OK(lrb_random_bytes(b, 32, &err));
    CHECK(memcmp(a, b, 32) != 0 && a[32] == 0 && b[32] == 0);
    CHECK_OK(lrb_random_bytes(a, 0, &err));
}

/* More than the kernel hands out in one uninterrupted piece. */
TEST(many_random_bytes) {
    static uint8_t bytes[1 << 20];
    size_t counts[256] = {0};
    lrb_err err;
    CHECK_OK(lrb_random_bytes(bytes, sizeof bytes, &err));
    for (size_t i = 0; i < sizeof bytes; i++) counts[bytes[i]]++;
    for (int i = 0; i < 256; i++) CHECK(counts[i] > 3000 && counts[i] < 5200);
}

int main(void) {
    RUN(the_wall_clock_is_the_systems);
    RUN(the_monotonic_clock_never_goes_back);
    RUN(random_bytes_differ_and_stay_in_their_room);
    RUN(many_random_bytes);
    return check_report();
}
