/* A small world to do harm to: a source that changes, a repository of it, and the truth about every snapshot.
 *
 * Each backup is a run with a number, which its snapshot carries as metadata; before it begins the source is copied to
 * truth/<run>, so that what comes back is compared with what was there and with nothing the core says. `made` and
 * `dropped` are what the core promised: a run whose backup returned must be there unless somebody began to drop it.
 *
 * world_judge looks at a repository, wherever it lies, and says what is wrong with it: it does not open, raises an
 * alarm, lacks a promised snapshot, gives back other bytes, has findings, cannot be cleaned or cannot be written to.
 */
#ifndef LRB_TESTS_WORLD_H
#define LRB_TESTS_WORLD_H

#include "engine/prune.h"
#include "engine/publish.h"
#include "engine/restore.h"
#include "engine/verify.h"
#include "fixture.h"
#include "engine/lifetime.h"
#include "seam.h"

enum { WORLD_RUNS = 64 };

/* What repositories are sealed with; NULL: they are not. */
extern const lrb_key *world_key;

typedef struct world_run {
    bool begun, made, dropping;   /* a run that is dropping may be there or not */
    size_t made_at;               /* event of the disk at which it was promised */
    char id[LRB_SNAPSHOT_ID_MAX]; /* once made */
} world_run;

typedef struct world {
    char root[128], source[160], storage[160], truth[160];
    lrb_worker workers[2]; /* of who works, and of who works within */
    int within;
    world_run runs[WORLD_RUNS];
    int run_count;
    bool graph;            /* the source has a graph of LightRAG's besides, and backups judge it */
    size_t restored_at;    /* event of the disk at which a restore was promised; SIZE_MAX: none was */
} world;

/* Begins in TMPDIR with a first state of the source and no repository. */
void world_open(world *w);
void world_close(world *w);
/* Makes `to` like `from`: content, modes and times. `to` must not exist. */
void world_copy_tree(const char *from, const char *to);
void world_remove_tree(const char *path);
/* Takes back what was promised since `saved` was copied from the world. */
void world_forget(world *w, const world *saved);
/* What is on disk, to go back to. */
void world_save(const world *w, const char *name);
void world_load(world *w, const char *name);

/* The source changes: file "big" appears or goes, others are rewritten, added and removed. Reproducible by `turn`. */
void world_change(world *w, unsigned turn);
/* A run on a handle of its own (or `repo`, when given). *run is its number, also when it fails. */
int world_backup(world *w, lrb_repo *repo, int *run, lrb_err *err);
int world_drop(world *w, int run, lrb_err *err);
int world_hold(world *w, int run, bool hold, lrb_err *err);
int world_prune(world *w, int64_t wait_ns, lrb_err *err);
/* The way of publishing is chosen as the product does it. */
int world_restore(world *w, const char *storage, const char *id, const char *target, bool shared, lrb_err *err);
int world_verify(world *w, const char *storage, uint64_t *findings, bool mark, lrb_err *err);

/* The run of a snapshot, from its metadata; -1 when it says none. */
int world_run_of(const lrb_snapshot *snapshot);

typedef struct world_demand {
    size_t since;      /* runs made after this event are not promised yet */
    bool deep;         /* besides: it can be cleaned until nothing is left over, and be written to */
    bool maybe_absent; /* nothing is promised, so there may be no repository at all */
} world_demand;

/* What is wrong with the repository below `storage`: "" or one sentence. With `deep` the storage is changed. */
const char *world_judge(world *w, const char *storage, const world_demand *demand);
/* Whether a directory is what the source was at that run: names, types, modes, bytes, and times (but those of
 * links) when asked for. A child
 * "another" is another workspace's, and passed over. */
bool world_is_run(const world *w, int run, const char *directory, bool times);

/* A number that differs for trees that differ in names, types, modes or bytes. */
uint64_t world_hash(const char *path);
/* From now on chance and the clock are the same in every run of the same work, so that equal work leaves equal trees. */
void world_repeat(uint64_t seed);
/* How many descriptors are open. */
int world_descriptors(void);

#endif
