/* What a validation found, and what follows from it.
 *
 * Findings are counted by check (check.def); of each check the first ids in byte order are kept, so that a report says
 * the same however many threads made it. Any thread may add; reading is for when nobody adds any more. Bounded: at most
 * LRB_REPORT_IDS ids of at most LRB_REPORT_ID_BYTES per check.
 *
 * The verdict:
 *   usable                     no error
 *   usable_with_reprocessing   no error, and documents in flight, which LightRAG processes again when it starts
 *   repairable                 every error is in what can be made again from the rest
 *   unusable                   something that nothing else holds is lost, or contradicts itself
 */
#ifndef LRB_LIGHTRAG_REPORT_H
#define LRB_LIGHTRAG_REPORT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

typedef enum lrb_check {
#define LRB_CHECK(symbol, invariant, severity, remedy, text) LRB_CHECK_##symbol,
#include "lightrag/check.def"
#undef LRB_CHECK
    LRB_CHECK_COUNT
} lrb_check;

typedef enum lrb_severity { LRB_SEVERITY_INFO, LRB_SEVERITY_WARN, LRB_SEVERITY_ERROR } lrb_severity;

typedef enum lrb_remedy {
    LRB_REMEDY_NONE,
    LRB_REMEDY_RERUN,   /* LightRAG does it by itself */
    LRB_REMEDY_RETRY,   /* POST /documents/reprocess_failed */
    LRB_REMEDY_VECTORS, /* lightrag-rebuild-vdb: vectors from graph and chunks */
    LRB_REMEDY_UNLINK,  /* the file is there, and a link leads to it */
    LRB_REMEDY_ANCHORS, /* kg_integrity_repair --apply: anchors from graph and chunks */
    LRB_REMEDY_REFILL,  /* without the file, LightRAG fills it from the graph when it starts */
    LRB_REMEDY_CACHE,   /* without the file, LightRAG asks the LLM again */
    LRB_REMEDY_LOST,
    LRB_REMEDY_COUNT
} lrb_remedy;

typedef enum lrb_verdict {
    LRB_VERDICT_USABLE,
    LRB_VERDICT_REPROCESSING,
    LRB_VERDICT_REPAIRABLE,
    LRB_VERDICT_UNUSABLE
} lrb_verdict;

/* How much there is of what. */
typedef enum lrb_amount {
    LRB_AMOUNT_NODES,
    LRB_AMOUNT_EDGES,
    LRB_AMOUNT_ENTITY_VECTORS,
    LRB_AMOUNT_RELATION_VECTORS,
    LRB_AMOUNT_CHUNK_VECTORS,
    LRB_AMOUNT_EMBEDDING_DIM,
    LRB_AMOUNT_CHUNKS,
    LRB_AMOUNT_DOCUMENTS,
    LRB_AMOUNT_PROCESSED,
    LRB_AMOUNT_IN_FLIGHT,
    LRB_AMOUNT_FAILED,
    LRB_AMOUNT_LLM_ANSWERS,
    LRB_AMOUNT_COUNT
} lrb_amount;

enum { LRB_REPORT_IDS = 20, LRB_REPORT_ID_BYTES = 200 };

typedef struct lrb_report_line {
    uint64_t count;
    unsigned kept;
    char (*ids)[LRB_REPORT_ID_BYTES + 1]; /* in byte order, each as often as it was added */
} lrb_report_line;

typedef struct lrb_report {
    pthread_mutex_t lock;
    lrb_report_line lines[LRB_CHECK_COUNT];
    uint64_t amounts[LRB_AMOUNT_COUNT];
} lrb_report;

typedef struct lrb_check_info {
    const char *name; /* "node_no_vector" */
    unsigned invariant;
    lrb_severity severity;
    lrb_remedy remedy;
    const char *text;
} lrb_check_info;

const lrb_check_info *lrb_check_of(lrb_check check);
const char *lrb_severity_name(lrb_severity severity); /* "error" */
const char *lrb_remedy_name(lrb_remedy remedy);       /* "lightrag-rebuild-vdb"; "" for NONE and LOST */
const char *lrb_verdict_name(lrb_verdict verdict);    /* "usable_with_reprocessing" */

void lrb_report_init(lrb_report *report);
void lrb_report_clear(lrb_report *report);
/* One finding; the id is cut to LRB_REPORT_ID_BYTES, not within a UTF-8 sequence. NOMEM only. */
int lrb_report_add(lrb_report *report, lrb_check check, const char *id, size_t length, lrb_err *err);
/* The same with "name: message" for an id. */
int lrb_report_addf(lrb_report *report, lrb_check check, lrb_err *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void lrb_report_count(lrb_report *report, lrb_amount amount, uint64_t by);
lrb_verdict lrb_report_verdict(const lrb_report *report);

/* Grows when checks come, go or change: a report of another version is no report of today's checks. */
enum { LRB_REPORT_VERSION = 4 };

/* One JSON object: {"version", "verdict", "findings": [{"check", "invariant", "severity", "text", "remedy", "count", "ids"}],
 * "amounts"}; findings that were made, errors first, then by invariant. Pure ASCII. */
int lrb_report_json(const lrb_report *report, lrb_buf *out, lrb_err *err);

#endif
