/* Where groups of records end: at a record whose id hashes lower than the ids of its neighbours.
 *
 * The hash of a record is compared with those of the records before and behind it; its extent is how many of them, on
 * either side, are all greater. A group of one level ends at every record whose extent is at least that level's reach:
 * with a reach of r groups have r + 1 records at least and 2r + 1 on average, and are much more even than where a
 * threshold decides, so that a changed record stores less of its neighbours again. A record that comes, goes or
 * changes its id moves only ends within r records of it. Levels nest by themselves: who is lowest among many is lowest
 * among few. The hash and the rule may never change for a given format version: deduplication rests on them.
 */
#ifndef LRB_LIGHTRAG_CUT_H
#define LRB_LIGHTRAG_CUT_H

#include <stddef.h>
#include <stdint.h>

enum { LRB_CUT_MAX_REACH = 255 };

/* `seed` is 0, or a secret where the lengths of groups should tell nothing about ids. */
uint64_t lrb_cut_hash(const uint8_t *id, size_t count, uint64_t seed);

/* extents[i], at most `reach`, for each of hashes[count]. Of equal hashes the first is the lowest. What lies outside of
 * the list counts as lower than everything: nothing ends close to the ends of the list, and the caller ends the last
 * group there. */
void lrb_cut_extents(const uint64_t *hashes, size_t count, unsigned reach, uint8_t *extents);

#endif
