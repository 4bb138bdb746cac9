/* Log entries that name packs: retire, unretire, sweep, repack, damaged. Split so that each is at most 4 KiB.
 *
 * Which packs to name follows from a state of the log, so the entry may only come right behind that state: `at` is
 * the number of the newest entry it was computed from. When anything else was appended meanwhile nothing is written:
 * BUSY, and the caller computes again.
 */
#ifndef LRB_ENGINE_PACK_LIST_H
#define LRB_ENGINE_PACK_LIST_H

#include "repo/repo.h"

enum { LRB_PACK_LIST_MAX = 96 }; /* 96 x 38 bytes of payload + header and graph id stay below 4 KiB */

/* `written`: packs this run made durable, named by the first entry. *at moves on with each entry. *entered counts the
 * ids that are in the log, also when a later entry failed. A full disk: see reserve.h. */
int lrb_pack_list_append(lrb_repo *repo, lrb_entry_kind kind, const lrb_pack_ref *written, uint32_t written_count,
                         const lrb_id *ids, size_t count, uint64_t *at, size_t *entered, lrb_err *err);

#endif
