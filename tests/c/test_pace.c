/* Token buckets by given clocks: what fits into a second goes at once, what is above it waits, and what was idle is not
 * made up for. */
#include <math.h>

#include "check.h"
#include "net/pace.h"

enum { MS = 1000000 };
static const int64_t S = 1000 * INT64_C(1000000);

TEST(a_second_goes_at_once_and_the_rest_as_it_comes_in) {
    lrb_pace pace;
    lrb_pace_init(&pace, 1000, 5 * S);
    CHECK(lrb_pace_take(&pace, 600, 5 * S) == 0 && lrb_pace_take(&pace, 400, 5 * S) == 0);
    CHECK(lrb_pace_take(&pace, 250, 5 * S) == 250 * MS);
    CHECK(lrb_pace_take(&pace, 250, 5 * S) == 500 * MS); /* who takes next waits behind it */
    CHECK(lrb_pace_take(&pace, 0, 5 * S + 200 * MS) == 300 * MS);
    CHECK(lrb_pace_take(&pace, 100, 6 * S) == 0); /* 500 came in since */
    lrb_pace_clear(&pace);
}

TEST(what_was_idle_holds_a_second_and_no_more) {
    lrb_pace pace;
    lrb_pace_init(&pace, 1000, 0);
    CHECK(lrb_pace_take(&pace, 1000, 0) == 0);
    CHECK(lrb_pace_take(&pace, 1000, 3600 * S) == 0 && lrb_pace_take(&pace, 1000, 3600 * S) == S);
    lrb_pace_clear(&pace);
}

TEST(whatever_is_taken_the_wait_is_a_time) {
    static const double rates[] = {1e-300, 1e-3, 1, 1e18, INFINITY};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        lrb_pace pace;
        lrb_pace_init(&pace, rates[i], S);
        for (int64_t now = S; now < 4 * S; now += S) {
            int64_t wait = lrb_pace_take(&pace, SIZE_MAX, now);
            CHECK(wait >= 0 && now + wait >= now && (wait == 0) == (rates[i] == INFINITY));
        }
        lrb_pace_clear(&pace);
    }
}

TEST(of_a_slow_link_little_is_taken_at_once) {
    lrb_pace quick, slow, crawling;
    lrb_pace_init(&quick, 1e9, 0), lrb_pace_init(&slow, 4000, 0), lrb_pace_init(&crawling, 0.5, 0);
    lrb_pace *paces[] = {&quick, &slow, &crawling};
    CHECK(lrb_pace_piece(paces, 0, 65536) == 65536 && lrb_pace_piece(paces, 1, 65536) == 65536);
    CHECK(lrb_pace_piece(paces, 2, 65536) == 1000 && lrb_pace_piece(paces, 2, 10) == 10);
    CHECK(lrb_pace_piece(paces, 3, 65536) == 1 && lrb_pace_piece(paces, 0, 0) == 1); /* nothing at all would never end */
    lrb_pace_clear(&quick), lrb_pace_clear(&slow), lrb_pace_clear(&crawling);
}

/* ---- several who take ---- */

enum { TAKERS = 4, TAKES = 5000 };

static void *take_often(void *arg) {
    for (int i = 0; i < TAKES; i++) (void)lrb_pace_take(arg, 1, S);
    return NULL;
}

TEST(takers_of_several_threads_queue_up) {
    lrb_pace pace;
    pthread_t takers[TAKERS];
    lrb_pace_init(&pace, 1000, S);
    for (int i = 0; i < TAKERS; i++) CHECK(!pthread_create(&takers[i], NULL, take_often, &pace));
    for (int i = 0; i < TAKERS; i++) pthread_join(takers[i], NULL);
    CHECK(lrb_pace_take(&pace, 0, S) == (TAKERS * TAKES - 1000) * (int64_t)MS);
    lrb_pace_clear(&pace);
}

int main(void) {
    RUN(a_second_goes_at_once_and_the_rest_as_it_comes_in);
    RUN(what_was_idle_holds_a_second_and_no_more);
    RUN(whatever_is_taken_the_wait_is_a_time);
    RUN(of_a_slow_link_little_is_taken_at_once);
    RUN(takers_of_several_threads_queue_up);
    return check_report();
}
