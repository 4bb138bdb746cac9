/* What a receiver says of itself, and what is made of an HTTP answer.
 *
 * `GET <base_url>/api/v1/backup-replication/receive/capabilities`, with the key in `X-API-Key`, is answered by our
 * receiver with
 *
 *   {"product": "lightrag-bkp", "protocol": 1, "version": "0.1.0", "instance_id": "...", "authenticated": true,
 *    "ready": true, "busy": false, "low_space": false, "epoch": 0, "free_bytes": 123, "reason": ""}
 *
 * HEALTHY needs all of that, not a bare 200: something else may listen there, or a proxy may answer for it. Members that
 * are not known are passed over, so that newer receivers can say more. The document comes from a stranger: it is read
 * with a ceiling on its length and depth, its texts are cut and lose their control characters, and whatever is wrong with
 * it is a finding.
 */
#ifndef LRB_NET_ANSWER_H
#define LRB_NET_ANSWER_H

#include <stddef.h>

#include "base/err.h"
#include "net/health.h"

#define LRB_RECEIVE_PATH "/api/v1/backup-replication/receive"

enum { LRB_PROTOCOL = 1, LRB_ANSWER_MAX_BYTES = 64 << 10, LRB_ANSWER_MAX_DEPTH = 8 };

typedef struct lrb_answer {
    long http_status;
    const void *body; /* not NUL-terminated */
    size_t body_bytes;
    int64_t took_ms, slow_ms; /* an answer that took longer is DEGRADED; 0: never */
    bool with_key;            /* one was sent */
} lrb_answer;

/* NOMEM only: then nothing is found. */
int lrb_answer_judge(const lrb_answer *answer, lrb_finding *finding, lrb_err *err);

#endif
