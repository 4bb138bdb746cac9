/* Whether a replication target can receive: what one probe found, and what is made of several.
 *
 * A probe ends in one lrb_finding: a status with a reason of one sentence. A target's own status follows from its
 * findings: the first one decides; later ones change it for the worse after LRB_FALL in a row that are worse, for the
 * better after LRB_RISE in a row that are better, so that one lost packet flips nothing. No I/O, no memory, no clock.
 */
#ifndef LRB_NET_HEALTH_H
#define LRB_NET_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

enum { LRB_RISE = 2, LRB_FALL = 3, LRB_REASON_BYTES = 256, LRB_INSTANCE_BYTES = 64, LRB_VERSION_BYTES = 32 };

typedef enum lrb_target_status { /* from better to worse */
    LRB_TARGET_UNKNOWN,          /* not probed yet */
    LRB_TARGET_HEALTHY,          /* our receiver answers, knows us, and is ready */
    LRB_TARGET_DEGRADED,         /* something answers, and cannot receive as it is */
    LRB_TARGET_UNREACHABLE       /* nothing answers */
} lrb_target_status;

typedef struct lrb_finding {
    lrb_target_status status;
    char reason[LRB_REASON_BYTES]; /* one sentence without a final stop */
    int64_t took_ms;
    char instance_id[LRB_INSTANCE_BYTES], version[LRB_VERSION_BYTES]; /* "" where nobody of ours answers */
    int64_t epoch, free_bytes;                                        /* -1: not said */
} lrb_finding;

void lrb_finding_clear(lrb_finding *finding);
void lrb_finding_say(lrb_finding *finding, lrb_target_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

typedef struct lrb_health { /* zero-initialised: unknown */
    lrb_target_status status;
    unsigned worse, better; /* findings in a row that are */
    lrb_finding last;
} lrb_health;

/* Takes one finding in; `hold` keeps the status where it is (the prober suspects itself), and the counts go on. Returns
 * whether the status changed. */
bool lrb_health_feed(lrb_health *health, const lrb_finding *finding, bool hold);
/* Whether one more finding like this would make a target that answered UNREACHABLE. */
bool lrb_health_would_fall(const lrb_health *health, const lrb_finding *finding);

const char *lrb_target_status_name(lrb_target_status status); /* "UNKNOWN", ... */

#endif
