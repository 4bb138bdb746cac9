/* Mailboxes: order, readiness of the descriptor, waiting, and many posters at once. */
#include "check.h"

#include <poll.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine/mailbox.h"

enum { POSTERS = 4, JOBS_EACH = 2000 };

static bool readable(const lrb_mailbox *mailbox) {
    struct pollfd fd = {.fd = lrb_mailbox_fd(mailbox), .events = POLLIN};
    return poll(&fd, 1, 0) == 1;
}

TEST(jobs_come_out_in_the_order_they_went_in) {
    lrb_mailbox *mailbox;
    lrb_err err;
    lrb_job jobs[3] = {0};
    CHECK_OK(lrb_mailbox_open(&mailbox, &err));
    for (int i = 0; i < 3; i++) lrb_mailbox_post(mailbox, &jobs[i]);
    for (int i = 0; i < 3; i++) CHECK(lrb_mailbox_take(mailbox) == &jobs[i]);
    CHECK(lrb_mailbox_take(mailbox) == NULL);
    lrb_mailbox_close(mailbox);
}

TEST(readable_exactly_while_a_job_is_inside) {
    lrb_mailbox *mailbox;
    lrb_err err;
    lrb_job jobs[2] = {0};
    CHECK_OK(lrb_mailbox_open(&mailbox, &err));
    CHECK(!readable(mailbox));
    lrb_mailbox_post(mailbox, &jobs[0]);
    lrb_mailbox_post(mailbox, &jobs[1]);
    CHECK(readable(mailbox));
    lrb_mailbox_take(mailbox);
    CHECK(readable(mailbox));
    lrb_mailbox_take(mailbox);
    CHECK(!readable(mailbox));
    lrb_mailbox_close(mailbox);
}

TEST(waiting_times_out) {
    lrb_mailbox *mailbox;
    lrb_err err;
    CHECK_OK(lrb_mailbox_open(&mailbox, &err));
    int64_t begun_ns = lrb_clock_monotonic_ns();
    CHECK(lrb_mailbox_wait(mailbox, 20) == NULL);
    CHECK(lrb_clock_monotonic_ns() - begun_ns >= 20 * 1000000);
    CHECK(lrb_mailbox_wait(mailbox, 0) == NULL);
    lrb_mailbox_close(mailbox);
}

typedef struct poster {
    lrb_mailbox *mailbox;
    lrb_job *jobs;
} poster;

static void *post_all(void *arg) {
    poster *self = arg;
    for (int i = 0; i < JOBS_EACH; i++) lrb_mailbox_post(self->mailbox, &self->jobs[i]);
    return NULL;
}

TEST(no_job_is_lost_among_many_posters) {
    static lrb_job jobs[POSTERS][JOBS_EACH];
    pthread_t threads[POSTERS];
    poster posters[POSTERS];
    lrb_mailbox *mailbox;
    lrb_err err;
    CHECK_OK(lrb_mailbox_open(&mailbox, &err));
    for (int p = 0; p < POSTERS; p++) {
        posters[p] = (poster){mailbox, jobs[p]};
        CHECK(!pthread_create(&threads[p], NULL, post_all, &posters[p]));
    }
    for (int i = 0; i < POSTERS * JOBS_EACH; i++) CHECK(lrb_mailbox_wait(mailbox, 10000) != NULL);
    for (int p = 0; p < POSTERS; p++) pthread_join(threads[p], NULL);
    CHECK(lrb_mailbox_take(mailbox) == NULL && !readable(mailbox));
    lrb_mailbox_close(mailbox);
}

TEST(opening_survives_an_allocation_failure) {
    lrb_mailbox *mailbox;
    lrb_err err;
    lrb_mem_fail_after(0, false);
    int code = lrb_mailbox_open(&mailbox, &err);
    lrb_mem_fail_after(-1, false);
    CHECK_FAILS(code, LRB_E_NOMEM);
    lrb_mailbox_close(NULL);
}

int main(void) {
    RUN(jobs_come_out_in_the_order_they_went_in);
    RUN(readable_exactly_while_a_job_is_inside);
    RUN(waiting_times_out);
    RUN(no_job_is_lost_among_many_posters);
    RUN(opening_survives_an_allocation_failure);
    return check_report();
}
