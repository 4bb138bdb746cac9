/* The validate job: does a graph fit together? (lightrag/validation.h), of open files or of a snapshot's items.
 *
 * A source's pinned files are read where they are; one that is rewritten meanwhile fails the job with CHANGED. A snapshot is read
 * from the repository, without restoring it. All pool threads take part. Findings are results, not errors: the job fails
 * only when it could not look. The first step opens everything; after that any thread takes the next piece of work.
 */
#ifndef LRB_ENGINE_VALIDATE_H
#define LRB_ENGINE_VALIDATE_H

#include "engine/job.h"
#include "engine/source.h"
#include "lightrag/validation.h"
#include "repo/repo.h"

/* Takes over the sealed source, on failure too. `options` and its text are copied. */
int lrb_validate_source_new(lrb_source *source, const lrb_validation_options *options, lrb_job **out, lrb_err *err);
/* The repo must outlive the job; the snapshot's id is looked up by the first step. */
int lrb_validate_snapshot_new(lrb_repo *repo, const char *snapshot_id, const lrb_validation_options *options, lrb_job **out,
                              lrb_err *err);
/* Once done without error; lives as long as the job. */
const lrb_report *lrb_validate_report(const lrb_job *job);

#endif
