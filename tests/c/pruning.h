/* What the tests of prune share: repositories with something dead in them, and what one must be like afterwards. */
#ifndef LRB_TESTS_PRUNING_H
#define LRB_TESTS_PRUNING_H

#include "jobs.h"

static inline bool sound(shelf *s) { return count_findings(s, NULL, LRB_VERIFY_DIGESTS) == 0; }

/* Every file of packs/ is a pack the log knows, and none that it has swept. */
static inline bool tidy(shelf *s) {
    return shelf_files(s, "packs") ==
           shelf_count(s, LRB_PACK_KNOWN) + shelf_count(s, LRB_PACK_RETIRED) + shelf_count(s, LRB_PACK_DAMAGED);
}

/* Two snapshots that share "kept"; the first alone has "gone". Separate packs. */
static inline void shelf_with_garbage(shelf *s, char first[LRB_SNAPSHOT_ID_MAX], char second[LRB_SNAPSHOT_ID_MAX]) {
    shelf_open(s);
    fixture_write(s->f.source, "kept", 200 << 10, 1);
    shelf_backup(s, NULL);
    fixture_write(s->f.source, "gone", 300 << 10, 2);
    shelf_backup(s, first);
    shelf_remove_source(s, "gone");
    fixture_write(s->f.source, "new", 1000, 3);
    shelf_backup(s, second);
}

/* One pack: "small" stays, "big" goes with the first snapshot. */
static inline void shelf_to_repack(shelf *s) {
    lrb_err err;
    char first[LRB_SNAPSHOT_ID_MAX];
    shelf_open(s);
    fixture_write(s->f.source, "big", 3 << 20, 1);
    fixture_write(s->f.source, "small", 200 << 10, 2);
    shelf_backup(s, first);
    shelf_remove_source(s, "big");
    shelf_backup(s, NULL);
    if (shelf_drop(s, first, &err)) exit(2);
}

#endif
