/* Health probes of many replication targets at once, by one thread, over libcurl's multi interface and epoll.
 *
 * Every target is probed once per period, at a phase that its id decides, so that neither a thousand targets of one
 * prober nor one target's many probers meet. A probe has a deadline for the connection and one for everything: a wedged
 * server hangs instead of refusing. Connections are kept; every LRB_PROBE_COLD_EVERY-th probe makes a new one, since only
 * that shows that new ones still work. Nothing is followed, no proxy of the environment is used, an answer has a
 * ceiling, certificates are checked. Where a URL leads is judged by the address that is connected to, each time
 * (net/address.h); a key goes over plain HTTP only where that was allowed, or to this machine.
 *
 * When most targets that used to answer stop at about the same time, the prober suspects its own network: it says so
 * once (lrb_prober_isolated) and keeps every status for as long again as a fall takes; what still fails then falls.
 *
 * News: whenever a status changed, a probe or a sweep that was asked for ended, or the isolation began or ended, the descriptor
 * becomes readable, and lrb_prober_next hands out each target concerned once, as it is then. Nothing queues up. A sweep
 * concerns no target by itself: what it found is looked at.
 *
 * All functions may be called from any thread but stop, which is the last call. A forked child has no thread: there
 * lrb_prober_forget is the only call.
 */
#ifndef LRB_NET_PROBER_H
#define LRB_NET_PROBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "net/health.h"

enum {
    LRB_TARGET_ID_BYTES = 64, /* with the NUL */
    LRB_PROBE_COLD_EVERY = 10,
    LRB_PROBE_MAX_RESOLVING = 32, /* names looked up at once: each takes a thread of libcurl's for its time */
    LRB_PROBE_MAX_KEPT = 1024      /* idle connections */
};

typedef struct lrb_prober lrb_prober;

typedef struct lrb_probe_target { /* texts are copied; NULL where there is none */
    const char *id, *base_url;    /* https://host:port or http://..., without a trailing slash, user or query */
    const char *key;
    const char *ca_file, *certificate, *certificate_key; /* paths; ca_file is whom to trust, and nobody else */
    bool allow_http, allow_private;
    int64_t period_ms, connect_ms, total_ms, slow_ms;
} lrb_probe_target;

typedef struct lrb_prober_news {
    char id[LRB_TARGET_ID_BYTES];
    lrb_target_status status;
    lrb_finding last;
    int64_t probed_ns, since_ns; /* wall clock: the last probe's end, and when the status became what it is; 0: never */
    uint64_t probes;             /* ended so far */
    uint64_t checked;            /* the highest ticket of lrb_prober_check that has been answered */
} lrb_prober_news;

int lrb_prober_start(lrb_prober **out, lrb_err *err);
void lrb_prober_stop(lrb_prober *prober);   /* ends probes under way, joins the thread, frees; NULL: nothing */
void lrb_prober_forget(lrb_prober *prober); /* in a forked child: closes its copies of the descriptors */

/* Adds a target, or changes one: then its status starts anew. INVALID names what cannot be used. */
int lrb_prober_set(lrb_prober *prober, const lrb_probe_target *target, lrb_err *err);
bool lrb_prober_remove(lrb_prober *prober, const char *id); /* false: unknown */
/* Probes as soon as possible; *ticket tells which answer is newer than this call (news.checked >= ticket). */
bool lrb_prober_check(lrb_prober *prober, const char *id, uint64_t *ticket);
/* The same for every target there is, as one piece of news: the descriptor becomes readable when the last of them has been
 * probed, and lrb_prober_swept is the ticket or a later one. Without targets that is at once. While one is under way, all
 * who ask share the next one. */
uint64_t lrb_prober_check_all(lrb_prober *prober);
uint64_t lrb_prober_swept(lrb_prober *prober);
bool lrb_prober_look(lrb_prober *prober, const char *id, lrb_prober_news *out);
/* The same for at most `room` targets, in the order of their ids, from the first one after `after` on; returns how many. */
size_t lrb_prober_look_after(lrb_prober *prober, const char *after, lrb_prober_news *out, size_t room);

int lrb_prober_fd(const lrb_prober *prober); /* readable while there is news */
bool lrb_prober_next(lrb_prober *prober, lrb_prober_news *out);
/* Whether most targets stopped answering at once, and how often that has begun or ended so far. */
bool lrb_prober_isolated(lrb_prober *prober, uint64_t *changes);

#endif
