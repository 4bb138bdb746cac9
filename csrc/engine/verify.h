/* The verify job: is what the log names there, and is it what it must be?
 *
 * CATALOGUE: every log entry decodes and chains; every pack that is not swept exists with its exact size and a good
 * trailer; every chunk the chosen snapshots need is in a pack, and their lists of chunks and items add up (tally.h).
 * DIGESTS: besides, every byte of every needed pack is
 * read (its SHA-256 is its name) and every needed chunk decoded and its id recomputed. Findings name the object and
 * what is wrong; they are results, not errors: the job fails only when it could not look. Rotten packs are entered in
 * the log as damaged when `mark` is set, so that the next backup heals them.
 */
#ifndef LRB_ENGINE_VERIFY_H
#define LRB_ENGINE_VERIFY_H

#include "engine/job.h"
#include "repo/repo.h"

typedef enum lrb_verify_level { LRB_VERIFY_CATALOGUE = 1, LRB_VERIFY_DIGESTS = 2 } lrb_verify_level;

typedef struct lrb_finding {
    char object[160];   /* "log/000...", "packs/<hex>", "snapshot <id> item <name>" */
    char message[320];
} lrb_finding;

/* Of the job's counters; items are packs. NEEDED comes for one snapshot only. */
typedef enum lrb_verify_phase {
    LRB_VERIFY_LOG = 1, /* the log is re-read */
    LRB_VERIFY_NEEDED,  /* which packs and chunks the snapshot needs */
    LRB_VERIFY_PACKS,   /* they are looked at, by all threads, while one walks the lists; all else is work for one */
    LRB_VERIFY_ITEMS,   /* what the damage costs; only when something is damaged or missing */
    LRB_VERIFY_ENTER,   /* rotten packs are entered in the log */
    LRB_VERIFY_OVER
} lrb_verify_phase;

enum { LRB_VERIFY_MAX_FINDINGS = 1000 };

/* snapshot_id NULL: every snapshot and every pack. */
int lrb_verify_new(lrb_repo *repo, const char *snapshot_id, lrb_verify_level level, bool mark, lrb_job **out,
                   lrb_err *err);
size_t lrb_verify_finding_count(const lrb_job *job);      /* at most LRB_VERIFY_MAX_FINDINGS */
const lrb_finding *lrb_verify_finding_at(const lrb_job *job, size_t position);
/* Packs that were entered as damaged before, and still are: no news, and what it costs the findings say. */
size_t lrb_verify_note_count(const lrb_job *job);
const lrb_finding *lrb_verify_note_at(const lrb_job *job, size_t position);
/* *objects: log entries and packs looked at; *chunks: decoded; *bytes: read. */
void lrb_verify_totals(const lrb_job *job, uint64_t *objects, uint64_t *chunks, uint64_t *bytes, uint64_t *findings);

#endif
