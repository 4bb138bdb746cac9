#include <sys/eventfd.h>

#include "net/prober_private.h"

void lrb_news_raise(lrb_prober *prober) {
    (void)eventfd_write(prober->news_fd, 1);
}

static void lower_flag(lrb_prober *prober) {
    eventfd_t count;
    (void)eventfd_read(prober->news_fd, &count);
}

void lrb_news_put(lrb_prober *prober, target *target) {
    if (target->is_news) return;
    target->is_news = true;
    target->next_news = NULL;
    if (prober->last_news) prober->last_news->next_news = target;
    else prober->first_news = target;
    prober->last_news = target;
}

target *lrb_news_take(lrb_prober *prober) {
    target *first = prober->first_news;
    if (first) {
        prober->first_news = first->next_news;
        first->is_news = false;
    }
    if (!prober->first_news) {
        prober->last_news = NULL;
        lower_flag(prober);
    }
    return first;
}

void lrb_news_drop(lrb_prober *prober, target *gone) {
    if (!gone->is_news) return;
    target *before = NULL;
    for (target *at = prober->first_news; at != gone; at = at->next_news) before = at;
    if (before) before->next_news = gone->next_news;
    else prober->first_news = gone->next_news;
    if (prober->last_news == gone) prober->last_news = before;
    if (!prober->first_news) lower_flag(prober);
}
