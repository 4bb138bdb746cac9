/* What a backup says of the graph it stores: a verdict with its report (lightrag/report.h), which goes into the
 * snapshot's facts as "validation".
 *
 * An earlier snapshot with the same data has the verdict already: it is taken over, and nothing is read. Otherwise the
 * files are judged now; of a vector file that is the same as in the newest judged snapshot, and had no wrong row there,
 * or whose rows the intake compared while it encoded them, only the records are read. That an assessment fails keeps no snapshot from being made: it then stores why there is no
 * verdict. Only a cancelled job, and a file that changed meanwhile, fail the backup.
 *
 * begin and finish by one thread, with nobody stepping; step by any number.
 */
#ifndef LRB_ENGINE_ASSESS_H
#define LRB_ENGINE_ASSESS_H

#include "engine/intake.h"
#include "engine/judge.h"

typedef struct lrb_assess lrb_assess;

/* Everything is borrowed, and lasts as long as it does; the options are copied. */
int lrb_assess_new(lrb_repo *repo, lrb_job *job, const lrb_source *source, const lrb_validation_options *options, lrb_assess **out,
                   lrb_err *err);
void lrb_assess_free(lrb_assess *assess); /* NULL: nothing */

/* When the intake is done: *known is true when there is nothing to step. */
int lrb_assess_begin(lrb_assess *assess, const lrb_intake *intake, const uint8_t data_hash[LRB_DIGEST_BYTES], lrb_worker *worker,
                     bool *known, lrb_err *err);
int lrb_assess_step(lrb_assess *assess, lrb_worker *worker, lrb_step *next, lrb_err *err);
int lrb_assess_finish(lrb_assess *assess, lrb_err *err);

/* After finish. "" when there is none; the report is a JSON object in any case, and lives as long as the assessment. */
const char *lrb_assess_verdict(const lrb_assess *assess);
const char *lrb_assess_report(const lrb_assess *assess);

#endif
