/* A bounded list of findings: what verify found, in words. Beyond the ceiling findings are only counted.
 *
 * Any thread may add; reading is for when nobody adds any more. Owns its memory.
 */
#ifndef LRB_ENGINE_FINDINGS_H
#define LRB_ENGINE_FINDINGS_H

#include <pthread.h>

#include "engine/verify.h"

typedef struct lrb_findings {
    pthread_mutex_t lock;
    lrb_finding *list;
    size_t count, room;
    uint64_t total; /* with those only counted */
} lrb_findings;

void lrb_findings_init(lrb_findings *findings);
void lrb_findings_clear(lrb_findings *findings);
int lrb_findings_add(lrb_findings *findings, const char *object, const char *message, lrb_err *err);
bool lrb_findings_full(lrb_findings *findings); /* whether the next one is only counted */

#endif
