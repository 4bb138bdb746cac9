/* What damage costs: which items of a snapshot cannot be restored, and which pack is to blame.
 *
 * That is what an operator needs to know; that a pack is rotten says little. The reach has walked the snapshot
 * already, with the same bad places, and added up what it saw; items are asked for one by one and share what it remembers.
 */
#ifndef LRB_ENGINE_LOSS_H
#define LRB_ENGINE_LOSS_H

#include "engine/findings.h"
#include "engine/reach.h"
#include "engine/target.h"

typedef struct lrb_loss {
    lrb_repo *repo;
    const lrb_job *job; /* for its cancel flag */
    lrb_reach *reach;
    const lrb_marks *bad;
    const lrb_marks *newer; /* whole packs that a newer version wrote */
    lrb_findings *findings;
} lrb_loss;

/* Whether anything of a snapshot cannot be restored, or its list of items is not what the log says. */
int lrb_loss_any(const lrb_loss *loss, lrb_worker *worker, const lrb_target *target, bool *any, lrb_err *err);
/* Adds "snapshot <id> item <name>" for every lost item and every one whose list does not make it, and "snapshot <id>" when its list of items breaks off. */
int lrb_loss_report(const lrb_loss *loss, lrb_worker *worker, const lrb_target *target, lrb_err *err);

#endif
