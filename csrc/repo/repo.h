/* One graph's repository, opened: log state, index and packs behind one handle.
 *
 * A handle may be used by many threads. State and index are read under a shared lock taken inside each call; refresh and
 * append take it exclusively. Entries of other processes are seen by lrb_repo_refresh, which append calls itself. A handle
 * belongs to the process that opened it; after a fork the child opens its own (the caller checks lrb_repo_pid).
 *
 * What "known" means: rule 2 of the log. lrb_repo_find answers only with packs a writer may rely on; lrb_repo_read also
 * reads retired ones.
 */
#ifndef LRB_REPO_REPO_H
#define LRB_REPO_REPO_H

#include <sys/types.h>

#include "repo/body.h"
#include "repo/index.h"
#include "repo/pack.h"
#include "repo/state.h"

typedef struct lrb_repo lrb_repo;

/* Opens <storage>/graphs/<graph_id>. With `create` the directories and entry 0 are made when missing; without it a missing
 * graph is NOT_FOUND. Reads the log (cached state: none; newest checkpoint and what follows) and checks the chain. With `create` a
 * damaged log is an error; without it what is intact is read (lrb_repo_check_whole). */
int lrb_repo_open(const char *storage_path, const char *graph_id, bool create, lrb_repo **out, lrb_err *err);
/* The same for a sealed repository; `key` NULL: one that is not. LOCKED when it is the other way round. */
int lrb_repo_open_with(const char *storage_path, const char *graph_id, bool create, const lrb_key *key, lrb_repo **out,
                       lrb_err *err);
void lrb_repo_close(lrb_repo *repo);
pid_t lrb_repo_pid(const lrb_repo *repo);
const char *lrb_repo_path(const lrb_repo *repo);      /* <storage>/graphs/<graph_id> */
const char *lrb_repo_graph_id(const lrb_repo *repo);
const uint8_t *lrb_repo_id(const lrb_repo *repo);     /* 16 bytes */
const lrb_vault *lrb_repo_vault(const lrb_repo *repo); /* what packs, chunks and caches of it are sealed with */
/* NULL, or one sentence when the log is not the one an earlier process of this host saw (rolled back, replaced). Prune refuses then,
 * verify reports it; it stays until cache/head is removed. */
const char *lrb_repo_alarm(const lrb_repo *repo);
/* DAMAGED when the log is damaged, naming the entry and what to do. What its intact entries say can be read: snapshots whose own
 * entries hold, from every pack that is there. Nothing is appended, pruned or refreshed, and `latest` is not known. */
int lrb_repo_check_whole(const lrb_repo *repo, lrb_err *err);
/* The same, INVALID for a replica (replica.h), and the error of tmp/ or cache/ when one of them could not be opened. Such a handle, which only a reader gets, appends
 * nothing; opened anew it may, once they are mended. */
int lrb_repo_check_writable(const lrb_repo *repo, lrb_err *err);
/* Whether its path still leads to the log that is open: two looks, no reading. IO, naming the path, where the storage was moved, replaced,
 * or has another file system mounted over it: what is written through the handle would be found by nobody who goes by the path. */
int lrb_repo_check_place(const lrb_repo *repo, lrb_err *err);
int lrb_repo_root_dir(const lrb_repo *repo);
int lrb_repo_packs_dir(const lrb_repo *repo);
int lrb_repo_tmp_dir(const lrb_repo *repo);
int lrb_repo_log_dir(const lrb_repo *repo);
int lrb_repo_cache_dir(const lrb_repo *repo);

int lrb_repo_refresh(lrb_repo *repo, lrb_err *err);

/* Shared access to the state for a short while; no other repo call in between. */
const lrb_state *lrb_repo_begin_read(lrb_repo *repo);
void lrb_repo_end_read(lrb_repo *repo);

/* ---- chunks ---- */
typedef struct lrb_place { uint32_t pack, ordinal; } lrb_place;

/* *found and the place of a chunk in a KNOWN pack, its full id compared with the trailer. A pack that cannot be opened
 * counts as not holding it. */
int lrb_repo_find(lrb_repo *repo, const lrb_id *id, bool *found, lrb_place *place, lrb_err *err);
/* The same of all chunks that these rows name, in one look: *found false when one is in no such pack. packs[i] is the
 * one of rows[i]. Chunks that are named together mostly lie together, and are then found without the index. */
int lrb_repo_find_all(lrb_repo *repo, const lrb_row *rows, size_t count, bool *found, uint32_t *packs, lrb_err *err);
typedef struct lrb_copy { /* where a chunk lies, and what its pack's trailer says of it */
    lrb_place place;
    lrb_chunk_kind kind;
    uint32_t content_length;
} lrb_copy;
/* All copies of a chunk in packs that are not swept, known or not: at most `room`, full ids compared. */
int lrb_repo_copies(lrb_repo *repo, const lrb_id *id, lrb_copy *copies, size_t room, size_t *count, lrb_err *err);
/* Reads, decodes and (with check_id) verifies a chunk from any pack that is not swept; tries every copy; when none is good the
 * error of the last one, or DAMAGED naming the chunk when no pack has it. */
int lrb_repo_read(lrb_repo *repo, const lrb_id *id, lrb_chunk_kind kind, bool check_id, lrb_coder *coder, lrb_buf *content, lrb_err *err);

typedef struct lrb_repo_reader { lrb_repo *repo; lrb_coder *coder; } lrb_repo_reader;
/* An lrb_recipe_fetch over a repository; arg is an lrb_repo_reader. */
int lrb_repo_fetch(void *arg, const lrb_row *node, lrb_buf *content, lrb_err *err);

/* ---- packs ---- */
/* Opened through a small cache; release after use. */
int lrb_repo_pack_acquire(lrb_repo *repo, uint32_t pack, lrb_pack **out, lrb_err *err);
void lrb_repo_pack_release(lrb_repo *repo, lrb_pack *pack);
/* Closes the handle kept open of a pack nobody uses: the room of an unlinked file is free only once nobody has it open. */
void lrb_repo_pack_forget(lrb_repo *repo, uint32_t pack);
/* Lets go of what only work needs: handles of packs nobody uses right now, and an index that is not small. The next look-up
 * brings it back. Jobs call it when they end, so that a host with many graphs open holds little for those at rest. */
void lrb_repo_rest(lrb_repo *repo);
/* rule 2: the pack's file exists with its exact size. */
int lrb_pack_file_present(int packs_dir, const lrb_id *id, uint64_t size_bytes, bool *present, lrb_err *err);

/* ---- what a replica is made of (repo_copy.c) ---- */
typedef struct lrb_head { /* where the log ends, as read last */
    uint64_t number, epoch;
    lrb_id digest;
} lrb_head;
lrb_head lrb_repo_head(lrb_repo *repo);
/* Entry `number` as it is on disk, once it was found to be one of this log; the time is the one it claims. */
int lrb_repo_read_entry(lrb_repo *repo, uint64_t number, lrb_buf *bytes, lrb_id *digest, int64_t *time_ns, lrb_err *err);
/* The known packs that became so by an entry from number `from` on; *out is for lrb_free. */
int lrb_repo_list_known(lrb_repo *repo, uint64_t from, lrb_pack_ref **out, size_t *count, lrb_err *err);
/* The file of a pack, to read it as it is; the caller closes it. NOT_FOUND when it is gone. */
int lrb_repo_open_pack_file(const lrb_repo *repo, const lrb_id *id, int *fd, lrb_err *err);

/* ---- appending ---- */
typedef struct lrb_draft {
    lrb_entry_kind kind;
    const lrb_pack_ref *packs; /* written by this run, durable already */
    uint32_t pack_count;
    const uint8_t *payload;
    size_t payload_length;
    int64_t time_ns;           /* 0: now */
} lrb_draft;

/* Called with the newest state, before each try, under the exclusive lock: may refuse (any error code is passed up and nothing is
 * appended) or rewrite the draft. It must not call into the repo. */
typedef int (*lrb_repo_precommit)(void *arg, const lrb_state *state, lrb_draft *draft, lrb_err *err);

/* Appends one entry as the next number, however many others come between, and applies it to the state. An unclear answer is
 * settled by reading the number back and comparing the nonce. After success the entry is durable; BUSY and NO_SPACE say that it
 * does not exist, any other error leaves that open. */
int lrb_repo_append(lrb_repo *repo, const lrb_draft *draft, lrb_repo_precommit precommit, void *arg, uint64_t *number, lrb_err *err);
/* Appends a checkpoint when enough entries came since the last one: max(256, snapshots / 2). */
int lrb_repo_maybe_checkpoint(lrb_repo *repo, lrb_err *err);
/* Writes cache/index when much was added since it was written; failure to write it is no error. */
int lrb_repo_save_index(lrb_repo *repo, lrb_err *err);

#endif
