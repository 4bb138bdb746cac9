/* The log directory: numbered, hash-chained, create-only entries; the only order that exists.
 *
 * Names are 20 decimal digits. An entry is created by writing and fdatasyncing tmp/<nonce>.entry, link()ing it to its
 * number (the commit, visible at once) and fsyncing log/ (durable; all entries share the directory, so this makes every
 * earlier one durable too). Numbers have no gaps: a missing number below the highest is damage. So that no power cut
 * makes one, an entry is created only once the one before it is durable (repo_append.c).
 *
 * Functions take directory descriptors and keep no state; callers (repo.h) serialise.
 */
#ifndef LRB_REPO_LOG_H
#define LRB_REPO_LOG_H

#include "repo/entry.h"

/* Highest number present, or found = false for an empty log. Names that are no numbers are ignored. One scan. */
int lrb_log_highest(int log_dir, bool *found, uint64_t *highest, lrb_err *err);

/* All numbers present, ascending; `at` is for lrb_free, also after a failure. */
typedef struct lrb_log_numbers {
    uint64_t *at;
    size_t count, room;
} lrb_log_numbers;
int lrb_log_list(int log_dir, lrb_log_numbers *numbers, lrb_err *err);

/* Reads and decodes entry `number`, checking its number and, where `expect` has them (non-NULL), graph id, repository
 * id and the digest of its predecessor; `vault` unseals it. `bytes` receives the file and must outlive the entry; `digest` the entry's own
 * SHA-256 for the chain. NOT_FOUND when it does not exist. */
typedef struct lrb_log_expect {
    const char *graph_id;
    const uint8_t *repository_id;
    const lrb_id *previous;
    const lrb_vault *vault; /* NULL: not sealed */
} lrb_log_expect;
int lrb_log_read(int log_dir, uint64_t number, const lrb_log_expect *expect, lrb_buf *bytes, lrb_entry *entry,
                 lrb_id *digest, lrb_err *err);

/* The same, and leaves in `bytes` what is on disk, for another's log; then there is no entry to look into. `time_ns` is the one it
 * claims. */
int lrb_log_read_stored(int log_dir, uint64_t number, const lrb_log_expect *expect, lrb_buf *bytes, lrb_id *digest,
                        int64_t *time_ns, lrb_err *err);

/* Creates entry `number` from encoded bytes: EXISTS when the number is taken (nothing changed; *created false).
 * After link() has succeeded *created is true even when the following fsync of the directory fails: the entry is
 * visible and the commit's durability unknown; the error says so. */
int lrb_log_create(int log_dir, int tmp_dir, uint64_t number, const uint8_t nonce[LRB_NONCE_BYTES],
                   const uint8_t *bytes, size_t count, bool *created, lrb_err *err);

/* What the clear header of entry `number` says. NOT_FOUND when it does not exist. */
int lrb_log_peek(int log_dir, uint64_t number, lrb_entry_peek *peek, lrb_err *err);

/* After an unclear answer: whether entry `number` is there and of this nonce. What cannot be read is not. */
bool lrb_log_is_mine(int log_dir, uint64_t number, const lrb_log_expect *expect, const uint8_t nonce[LRB_NONCE_BYTES]);

void lrb_log_name(uint64_t number, char out[21]);

#endif
