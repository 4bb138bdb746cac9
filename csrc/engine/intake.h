/* The intake: every item of a source is brought to "its digest and its recipe are known and all its chunks are stored".
 *
 * Each item ends in one of three ways: unchanged by identity (not read), unchanged by its tags or its digest (read once, its previous
 * recipe reused), or encoded (read twice: digest pass, then cut, hashed and stored). The tags of a big file's segments (codec/fingerprint.h)
 * are compared by all threads and tell the same bytes without a digest; the first that differs sends the file to its digest pass,
 * which makes them anew. A section of a vector file whose records and canonical rows have the tags of one that the file had
 * before is not cut, hashed and compared again: its chunks are in the previous recipe. A reused recipe counts only when every chunk it reaches is known
 * to the writer; otherwise the item is encoded. Items up to 1 MiB are read once and handled in one step. Bigger ones are digested
 * in slices by one thread at a time and encoded in batches by all: a batch is read and cut under the item's lock, because a cut depends on the one
 * before, and hashed and compressed outside it; finished batches enter the recipe in order. The big items come first, so that no
 * thread is left with a long digest at the end.
 *
 * Memory: a batch per thread, and per open item a digest, a recipe builder and at most a batch's rows per thread; some 100 bytes per item; the rows of
 * the previous recipe of vector files that are encoded.
 */
#ifndef LRB_ENGINE_INTAKE_H
#define LRB_ENGINE_INTAKE_H

#include "codec/chunker.h"
#include "codec/fingerprint.h"
#include "engine/source.h"
#include "engine/writer.h"
#include "lightrag/row_check.h"

typedef struct lrb_taken { /* what is known of one item */
    uint8_t sha256[32];
    lrb_row root;
} lrb_taken;

/* The tags of a vector file's sections, in order: of the records and of the canonical rows of each. */
typedef struct lrb_section_tags {
    lrb_tag *tags;   /* two for each section */
    size_t sections; /* 0: there are none */
    bool clear;      /* all rows were compared, and clear (lightrag/row_check.h) */
} lrb_section_tags;

typedef struct lrb_intake lrb_intake;

int lrb_intake_new(lrb_source *source, lrb_repo *repo, lrb_writer *writer, lrb_job *job, lrb_intake **out, lrb_err *err);
void lrb_intake_free(lrb_intake *intake);

/* Before the first step: what an earlier snapshot says of item `position`. `unread`: the file is the same by identity, so it need not be read. */
void lrb_intake_offer(lrb_intake *intake, size_t position, const lrb_taken *previous, bool unread);

/* With an offer: the tags of those bytes, as many as a file of the item's size has segments, made with the intake's key. Taken over. */
void lrb_intake_offer_tags(lrb_intake *intake, size_t position, lrb_tag *tags);
/* With an offer: the same of the sections of a vector file, of whatever size it was. Taken over. */
void lrb_intake_offer_sections(lrb_intake *intake, size_t position, lrb_section_tags sections);
/* Random at first; whoever offers tags puts theirs there before the first step. LRB_KEY_BYTES. */
uint8_t *lrb_intake_tag_key(lrb_intake *intake);

/* Not read, or before it is begun: that need not be read. */
bool lrb_intake_is_unread(const lrb_intake *intake, size_t position);
/* After the last step: no file was read, each was as it was known to be. */
bool lrb_intake_read_nothing(const lrb_intake *intake);

/* Before the first step: the rows of vector files are to be compared (lightrag/row_check.h) while they are encoded. */
void lrb_intake_compare_rows(lrb_intake *intake);

/* One step on any thread. MORE: something was done; IDLE: only others' work is left; DONE: every item is finished. */
int lrb_intake_step(lrb_intake *intake, lrb_worker *worker, lrb_step *next, lrb_err *err);

const lrb_taken *lrb_intake_result(const lrb_intake *intake, size_t position);
/* The tags of the same bytes; NULL when there are none. */
const lrb_tag *lrb_intake_tags(const lrb_intake *intake, size_t position);
const lrb_section_tags *lrb_intake_sections(const lrb_intake *intake, size_t position);
/* What was seen of the rows of a vector file; NULL when they were not all compared, or one had a flaw. */
const lrb_rows_seen *lrb_intake_rows_seen(const lrb_intake *intake, size_t position);
/* Starts over because packs were lost: everything is read again, nothing is taken on trust. One thread, none inside a step. */
void lrb_intake_restart(lrb_intake *intake);
void lrb_intake_counts(const lrb_intake *intake, uint64_t *reused, uint64_t *encoded);

#endif
