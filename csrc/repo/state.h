/* What a log says when read from its start: which snapshots exist and are held, which packs are known.
 *
 * A state is made by applying entries in order, or from a checkpoint and the entries after it; both give the
 * same state (a test compares them). Not thread-safe: repo.h owns one under a lock.
 *
 * Several processes append to one log, and what one decides may be overtaken by an entry it had not seen. Such an entry
 * is valid and the part of it that came too late has no effect, so that no race can break a log:
 *   hold, release   of an unknown snapshot, or by a holder that has, or has not, held it already: nothing
 *   drop            of an unknown snapshot, or of one that is held: that snapshot is passed over
 *   retire          KNOWN and unnamed packs (orphans) become RETIRED; DAMAGED and SWEPT ones stay as they are
 *   unretire        RETIRED packs become KNOWN; orphans, whose size nobody knows, and all others stay as they are
 *   sweep           RETIRED and DAMAGED packs become SWEPT; all others stay as they are
 *   damaged         packs that are not SWEPT become DAMAGED
 *   snapshot        the packs in its header that no entry named before become KNOWN; one that was retired (as an orphan),
 *                   entered as damaged or swept meanwhile stays so: a sweep is for ever, whoever unlinks late
 *   repack          likewise for the packs in its header; those it refers to are retired
 * What no race can explain is DAMAGED, naming the entry: a number, chain digest, repository id or epoch that does
 * not follow, a snapshot id that exists, one pack under two sizes, a checkpoint that differs from the state in its
 * counts.
 *
 * Only packs in status KNOWN may be relied on by a writer. Readers may also use RETIRED ones. */
#ifndef LRB_REPO_STATE_H
#define LRB_REPO_STATE_H

#include "repo/entry.h"
#include "repo/snapshot.h"

typedef enum lrb_pack_status {
    LRB_PACK_KNOWN = 1,   /* named by a durable entry */
    LRB_PACK_RETIRED = 2, /* reversible: unretire makes it known again */
    LRB_PACK_DAMAGED = 3, /* found rotten */
    LRB_PACK_SWEPT = 4    /* may be unlinked by anyone; kept so that a name that comes back is recognised */
} lrb_pack_status;

typedef struct lrb_state_pack {
    lrb_id id;
    uint64_t size_bytes;    /* 0 for an orphan retired by name only; never 0 while KNOWN */
    lrb_pack_status status;
    uint64_t since_entry;   /* the entry that gave it this status */
    int64_t since_ns;       /* that entry's claimed time */
} lrb_state_pack;

typedef struct lrb_state {
    bool empty;                    /* no entry read yet */
    bool replica;                  /* set by the owner of an empty state: the log is another one's, and what it takes away stays (replica.h) */
    uint64_t last_number, last_checkpoint;
    uint64_t floor;                /* entries below this number may be absent */
    lrb_id last_digest;
    uint8_t repository_id[LRB_REPO_ID_BYTES];
    uint64_t epoch;
    lrb_snapshot *snapshots;       /* in log order, so by rising number */
    size_t snapshot_count, snapshot_room;
    lrb_state_pack *packs;         /* never reordered: positions are stable names within the process */
    uint32_t pack_count, pack_room;

    /* private to state.c and state_table.c */
    uint32_t *pack_slots;          /* hash table over packs by id: position + 1, 0 is free */
    uint32_t pack_slot_count;
    uint64_t *snapshot_slots;      /* hash table over snapshots by id: entry number, 0 is free */
    size_t snapshot_slot_count, snapshot_slots_used;
    size_t gaps;                   /* dropped snapshots still in the array: only within a batch */
    bool batch;
} lrb_state;

enum { LRB_NO_PACK = UINT32_MAX };

void lrb_state_init(lrb_state *state);
void lrb_state_clear(lrb_state *state);

/* Applies one entry; `entry_bytes` is its length on disk. On failure the state is as before. An empty state
 * takes a checkpoint of any number as its start. */
int lrb_state_apply(lrb_state *state, const lrb_entry *entry, const lrb_id *digest, size_t entry_bytes, lrb_err *err);

/* What a damaged log still says: applies an intact entry of a higher number although what came before it is damaged, missing or
 * replaced. An empty state begins with whatever comes first. A checkpoint in the midst is passed over: it counts what is not here. */
int lrb_state_apply_beyond(lrb_state *state, const lrb_entry *entry, const lrb_id *digest, size_t entry_bytes, lrb_err *err);
/* Makes a pack that was found, but that the entries which could be read do not name, one that may be read: RETIRED. */
int lrb_state_add_found_pack(lrb_state *state, const lrb_id *id, uint64_t size_bytes, lrb_err *err);

/* For applying many entries in a row: between these two, drops may leave gaps in `snapshots`, which makes them cheap,
 * and nobody may look at `snapshots` or `snapshot_count`. Everything else works as always. */
void lrb_state_begin_batch(lrb_state *state);
void lrb_state_end_batch(lrb_state *state);

/* Payload of a checkpoint of this state, appended to `payload`; not within a batch. */
int lrb_state_checkpoint(const lrb_state *state, lrb_buf *payload, lrb_err *err);

const lrb_snapshot *lrb_state_find(const lrb_state *state, const char *snapshot_id); /* NULL: unknown */
uint32_t lrb_state_find_pack(const lrb_state *state, const lrb_id *id);             /* position or LRB_NO_PACK */

#endif
