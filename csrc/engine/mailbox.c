#include "engine/mailbox.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"

enum { NS_PER_MS = 1000000 };

struct lrb_mailbox {
    pthread_mutex_t lock;
    lrb_job *first, *last;
    int fd;
};

int lrb_mailbox_open(lrb_mailbox **out, lrb_err *err) {
    lrb_mailbox *mailbox = lrb_alloc_zero(1, sizeof *mailbox);
    if (!mailbox) return lrb_err_nomem(err, "open a mailbox");
    mailbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (mailbox->fd < 0) {
        int saved = errno;
        lrb_free(mailbox);
        return lrb_err_sys(err, saved, "open", "eventfd");
    }
    pthread_mutex_init(&mailbox->lock, NULL);
    *out = mailbox;
    return LRB_OK;
}

void lrb_mailbox_close(lrb_mailbox *mailbox) {
    if (!mailbox) return;
    lrb_fs_close(mailbox->fd);
    pthread_mutex_destroy(&mailbox->lock);
    lrb_free(mailbox);
}

int lrb_mailbox_fd(const lrb_mailbox *mailbox) {
    return mailbox->fd;
}

/* The counter of the eventfd is only ever 0 or 1, so neither call can block or fail. */
static void raise_flag(lrb_mailbox *mailbox) {
    (void)eventfd_write(mailbox->fd, 1);
}

static void lower_flag(lrb_mailbox *mailbox) {
    eventfd_t count;
    (void)eventfd_read(mailbox->fd, &count);
}

void lrb_mailbox_post(lrb_mailbox *mailbox, lrb_job *job) {
    pthread_mutex_lock(&mailbox->lock);
    job->next = NULL;
    if (mailbox->last) mailbox->last->next = job;
    else mailbox->first = job;
    mailbox->last = job;
    if (mailbox->first == job) raise_flag(mailbox);
    pthread_mutex_unlock(&mailbox->lock);
}

lrb_job *lrb_mailbox_take(lrb_mailbox *mailbox) {
    pthread_mutex_lock(&mailbox->lock);
    lrb_job *job = mailbox->first;
    if (job) {
        mailbox->first = job->next;
        job->next = NULL;
        if (!mailbox->first) {
            mailbox->last = NULL;
            lower_flag(mailbox);
        }
    }
    pthread_mutex_unlock(&mailbox->lock);
    return job;
}

static int poll_timeout(int64_t deadline_ns) {
    int64_t left_ns = deadline_ns - lrb_clock_monotonic_ns();
    if (left_ns <= 0) return 0;
    int64_t left_ms = (left_ns - 1) / NS_PER_MS + 1;
    return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

lrb_job *lrb_mailbox_wait(lrb_mailbox *mailbox, int64_t timeout_ms) {
    bool forever = timeout_ms < 0 || timeout_ms > INT_MAX;
    int64_t deadline_ns = forever ? 0 : lrb_clock_monotonic_ns() + timeout_ms * NS_PER_MS;
    for (;;) {
        lrb_job *job = lrb_mailbox_take(mailbox); /* another waiter may have been faster: then wait again */
        if (job) return job;
        struct pollfd readable = {.fd = mailbox->fd, .events = POLLIN};
        if (poll(&readable, 1, forever ? -1 : poll_timeout(deadline_ns)) <= 0) return NULL;
    }
}
