/* The inside of an lrb_repo, shared by the files that implement repo.h and by nobody else.
 *
 * Locks, in the order they are taken: append_lock (one appender at a time) > state_lock (state and index; shared to read)
 * > pack_lock (the cache of open packs). No lock is held while an entry is written, so a slow disk stops no reader.
 */
#ifndef LRB_REPO_REPO_PRIVATE_H
#define LRB_REPO_REPO_PRIVATE_H

#include <pthread.h>

#include "base/path.h"
#include "repo/index_file.h"
#include "repo/log.h"
#include "repo/repo.h"

/* Packs of small chunks have up to 65536 rows, 3.5 MiB each: the cache ends at whichever comes first. */
enum { LRB_PACK_CACHE_SLOTS = 32, LRB_PACK_CACHE_ROWS = 1 << 18 };

typedef struct lrb_cached_pack {
    lrb_pack *pack; /* NULL: free */
    uint32_t position, users;
    uint64_t last_use;
} lrb_cached_pack;

struct lrb_repo {
    pid_t pid;
    char path[LRB_PATH_MAX];
    char graph_id[129];
    lrb_vault vault;         /* its repository id and graph id, and the keys when it is sealed */
    int root_dir, log_dir, packs_dir, tmp_dir, cache_dir;

    pthread_mutex_t append_lock;
    pthread_rwlock_t state_lock;
    lrb_state state;
    char alarm[320];         /* "" or what is wrong with the log as a whole */
    lrb_err damage;          /* of the log; code 0: none. Then the state is what its intact entries say, and nothing is written */
    lrb_err unwritable;      /* why nothing may be written: tmp/ or cache/ could not be opened, or this is a replica; code 0: it may */
    bool replica;            /* the log is a sender's: read from its first entry, and narrowed to what is here (replica.h) */
    bool damage_at_end;      /* no intact entry comes after it */
    uint64_t durable_entries; /* so many from entry 0 on are known to be on disk; under append_lock */

    lrb_index index;
    bool index_loaded;
    bool *covered;           /* per pack position: its rows are in the index, or it cannot be opened */
    uint32_t covered_count;  /* positions looked at so far; less than state.pack_count: the index is behind */
    uint32_t packs_unsaved;  /* covered from trailers, not from cache/index */

    pthread_mutex_t pack_lock;
    lrb_cached_pack cache[LRB_PACK_CACHE_SLOTS];
    uint64_t use_counter;
};

/* Reads entries after the last one applied, until there is none. The caller holds state_lock exclusively. */
int lrb_repo_read_new_entries(lrb_repo *repo, lrb_err *err);
/* Opens the vault as an entry's clear header says, once its seal, the key slots and `key` agree. */
int lrb_repo_open_vault(lrb_repo *repo, const lrb_entry_peek *peek, uint64_t number, const lrb_key *key, lrb_err *err);
/* Reads what is intact of a damaged log into the state, which is thrown away before, and notes in `damage` what is not. `reason` is
 * why it could not be read as a whole; it is the error when nothing is intact. */
int lrb_repo_read_intact(lrb_repo *repo, const lrb_key *key, const lrb_err *reason, lrb_err *err);
int lrb_repo_missing_entry(uint64_t number, lrb_err *err);
/* Remembers in cache/head that entry state.last_number, which must be durable, was there, so that a log that goes back is noticed. Best
 * effort. */
void lrb_repo_remember_head(lrb_repo *repo);
void lrb_repo_drop_packs(lrb_repo *repo);

#endif
