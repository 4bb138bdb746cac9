/* A set of chunk places: one bit per (pack, ordinal), grown on demand.
 *
 * A million chunks take 128 KiB, whatever their ids are. Owns its memory; all-zero is the empty set; not thread-safe.
 */
#ifndef LRB_ENGINE_MARKS_H
#define LRB_ENGINE_MARKS_H

#include "repo/repo.h"

typedef struct lrb_marks_pack {
    uint64_t *words;
    uint32_t word_count;
    bool all; /* every ordinal there may be */
} lrb_marks_pack;

typedef struct lrb_marks {
    lrb_marks_pack *packs; /* by pack position */
    uint32_t pack_count;
} lrb_marks;

void lrb_marks_init(lrb_marks *marks);
void lrb_marks_clear(lrb_marks *marks);
int lrb_marks_add(lrb_marks *marks, lrb_place place, lrb_err *err); /* INVALID for an ordinal no pack can have */
int lrb_marks_add_pack(lrb_marks *marks, uint32_t pack, lrb_err *err); /* every place of it */
bool lrb_marks_has(const lrb_marks *marks, lrb_place place);
bool lrb_marks_has_pack(const lrb_marks *marks, uint32_t pack);     /* whether it was added as a whole */
bool lrb_marks_touch(const lrb_marks *marks, uint32_t pack);        /* whether any place of this pack is in the set */

#endif
