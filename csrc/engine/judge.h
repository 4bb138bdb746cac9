/* A graph being judged within a job: its files opened, from a source or out of a snapshot, and a validation of them
 * (lightrag/validation.h) stepped by the job's threads. The validate job is one, and a backup has one inside.
 *
 * Borrows the job (for its cancel flag, and its counters where `counted`), and the source or the repository; they must
 * last as long as it does. Opened by one thread; stepped by any.
 */
#ifndef LRB_ENGINE_JUDGE_H
#define LRB_ENGINE_JUDGE_H

#include "engine/job.h"
#include "engine/source.h"
#include "lightrag/validation.h"
#include "repo/repo.h"

typedef struct lrb_judge lrb_judge;

int lrb_judge_new(lrb_job *job, bool counted, const lrb_validation_options *options, lrb_judge **out, lrb_err *err);
/* Closes what is open; the report stays. */
void lrb_judge_close(lrb_judge *judge);
void lrb_judge_free(lrb_judge *judge); /* NULL: nothing */

int lrb_judge_open_source(lrb_judge *judge, const lrb_source *source, lrb_err *err);
int lrb_judge_open_snapshot(lrb_judge *judge, lrb_repo *repo, const char *snapshot_id, lrb_coder *coder, lrb_err *err);
/* The numbers of this file were compared before, and nothing was wrong with them. Before the first step. */
void lrb_judge_trust(lrb_judge *judge, const char *name);
/* What another reader of this file saw of its rows (lightrag/row_check.h). Before the first step. */
void lrb_judge_rows_seen(lrb_judge *judge, const char *name, const lrb_rows_seen *seen);

/* DONE once all is judged, to every caller from then on. CHANGED, naming it, when a source's file was rewritten
 * meanwhile. */
int lrb_judge_step(lrb_judge *judge, lrb_worker *worker, lrb_step *next, lrb_err *err);
const lrb_report *lrb_judge_report(const lrb_judge *judge);

#endif
