/* The backup job: a source becomes one snapshot entry.
 *
 * Phases: 1 compare (identity against cache/sources; digest pass over what is not known from it), 2 encode (what differs from the previous
 * snapshot), 4 judge (whether the graph fits together, assess.h), 3 flush and commit. Within 1 and 2 any thread takes the next digest slice or the next batch of any item, so one big file
 * uses all threads. Everything read comes from the pinned descriptor or from an open whose identity is compared before and after.
 */
#ifndef LRB_ENGINE_BACKUP_H
#define LRB_ENGINE_BACKUP_H

#include "engine/source.h"
#include "lightrag/validation.h"
#include "engine/writer.h"

typedef struct lrb_backup_options {
    const char *consistency;     /* body.h's words; at most 23 bytes */
    const char *verdict;         /* of a validation made before, whose report is in the facts; "": none */
    const lrb_validation_options *validate; /* the graph is judged, with these options; NULL: it is not */
    const char *metadata;        /* JSON object, at most 16 KiB */
    const char *facts;           /* JSON object for the body, at most 1 MiB */
    uint32_t retention_days;
    bool safety;
    bool use_source_cache;       /* false: read every byte */
    const char *source_label;    /* identifies the source for cache/sources: "<canonical dir>:<workspace>" */
} lrb_backup_options;

typedef struct lrb_backup_outcome {
    char snapshot_id[LRB_SNAPSHOT_ID_MAX];
    uint64_t number;
    uint64_t stored_bytes;       /* packs written + the entry */
    uint64_t items_reused, items_encoded;
} lrb_backup_outcome;

typedef enum lrb_backup_phase { LRB_BACKUP_COMPARE = 1, LRB_BACKUP_ENCODE = 2, LRB_BACKUP_COMMIT = 3, LRB_BACKUP_JUDGE = 4 } lrb_backup_phase;

/* Takes over the sealed source. Strings are copied. The repo must outlive the job. */
int lrb_backup_new(lrb_repo *repo, lrb_source *source, const lrb_backup_options *options, lrb_job **out, lrb_err *err);
const lrb_backup_outcome *lrb_backup_result(const lrb_job *job); /* once done without error */

#endif
