/* Writes chunks of one run into packs, by several threads at once: deduplicates, fills packs, makes them durable.
 *
 * put() answers at once when the chunk is known (in the repository, or already put by this run); otherwise it encodes and appends
 * it to the open pack. Two threads that put the same new chunk at the same moment may both store it: harmless. A full pack is named,
 * written to tmp/ and its write-back started; it is fdatasynced and renamed into packs/ later, by flush() at the latest. flush() makes everything
 * put so far durable: packs fdatasynced, renamed, packs/ fsynced. A failed write or fsync fails the run.
 *
 * The writer remembers every pack the run relies on, old or new: lrb_writer_check is the precommit of a commit. When a relied pack
 * is no longer known there, the run must put its content again: lrb_writer_forget_lost drops what was lost and the caller repeats.
 * At most one pack's memory is open per writer, plus one being written per thread.
 */
#ifndef LRB_ENGINE_WRITER_H
#define LRB_ENGINE_WRITER_H

#include "engine/job.h"
#include "repo/repo.h"

typedef struct lrb_writer lrb_writer;

int lrb_writer_new(lrb_repo *repo, lrb_job *job, lrb_writer **out, lrb_err *err);
void lrb_writer_free(lrb_writer *writer);        /* unlinks what was not committed in tmp/; renamed packs stay as garbage */

/* Makes sure a chunk is stored. *id receives its id, *added whether this call stored it. Counts bytes into job counters. */
int lrb_writer_put(lrb_writer *writer, lrb_coder *coder, lrb_chunk_kind kind, uint32_t dim, const void *content, size_t count, lrb_id *id, bool *added, lrb_err *err);
/* The same for content whose id is at hand (lrb_chunk_ids). */
int lrb_writer_put_known(lrb_writer *writer, lrb_coder *coder, const lrb_id *id, lrb_chunk_kind kind, uint32_t dim, const void *content, size_t count, bool *added, lrb_err *err);
/* Records that the run relies on a chunk it does not put (a reused recipe): *known false when no known pack has it. */
int lrb_writer_rely(lrb_writer *writer, const lrb_id *id, bool *known, lrb_err *err);
/* The same of at most LRB_RELY_MAX chunks at once, which mostly lie together. */
enum { LRB_RELY_MAX = 64 };
int lrb_writer_rely_on(lrb_writer *writer, const lrb_row *rows, size_t count, bool *known, lrb_err *err);
int lrb_writer_flush(lrb_writer *writer, lrb_coder *coder, lrb_err *err);

/* The packs written by this run, durable and not lost, for the entry's list. Valid until the next call. */
int lrb_writer_packs(lrb_writer *writer, const lrb_pack_ref **packs, uint32_t *count, lrb_err *err);
bool lrb_writer_has_chunks(const lrb_writer *writer); /* whether this run stored anything */
uint64_t lrb_writer_stored_bytes(const lrb_writer *writer);

/* Precommit: every relied pack is KNOWN in `state` (or this run's own and neither retired nor swept) and present with its exact size.
 * BUSY when one is not: then call lrb_writer_forget_lost outside the lock, when no other thread uses the writer any more, and rely
 * on or put everything again. What it enters as damaged was seen missing in a state that may be old: unlike an entry that retires,
 * it needs not come right behind that state, since a damaged pack stays what it is until it is swept (repo/state.h). */
int lrb_writer_check(lrb_writer *writer, const lrb_state *state, lrb_err *err);
int lrb_writer_forget_lost(lrb_writer *writer, lrb_err *err);

#endif
