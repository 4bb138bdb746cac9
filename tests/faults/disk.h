/* A disk whose power is cut: what was written to it, and every state it can be in afterwards.
 *
 * disk_begin takes a directory as it is for durable and watches all that is done below it through the seam (it is
 * seam.after). Each call that returned is one event; a cut falls between two events. What is certain after a cut:
 *
 *   - the bytes and the size of a file up to the last fdatasync or fsync of it that had returned, mode and times up to
 *     the last fsync; of a directory, its names up to its last fsync; after syncfs, everything
 *   - one operation on names is done wholly or not at all. A rename into another directory may leave the old name
 *     beside the new one until the old directory is synced, but never takes the name away before the new one is there
 *
 * Everything else that was done before the cut is uncertain, each operation by itself and in whatever order: it may be
 * lost, or be there although an earlier one is lost. A write may also be torn: its first half only, or its length with
 * zeros for bytes. So a file may surface under its name empty or in part, a directory be gone with all in it, and a
 * name be missing although what was written later is there. This allows more than ext4, xfs or btrfs do.
 */
#ifndef LRB_TESTS_DISK_H
#define LRB_TESTS_DISK_H

#include "seam.h"

typedef enum disk_harm { DISK_WHOLE, DISK_LOST, DISK_HALF, DISK_ZEROS, DISK_BOTH_NAMES, DISK_HARMS } disk_harm;

typedef struct disk disk;

disk *disk_begin(const char *root);
void disk_end(disk *d); /* stops watching and frees */
/* Stops watching; what was recorded stays. */
void disk_pause(disk *d);

size_t disk_events(const disk *d);
/* One line about event number `event`, for messages. The memory is the function's own. */
const char *disk_event(const disk *d, size_t event);

/* The operations that are uncertain when the power is cut before event `cut`: at most `room` of them. */
size_t disk_uncertain(const disk *d, size_t cut, size_t *operations, size_t room);
/* Whether this can have happened to this operation by then. */
bool disk_possible(const disk *d, size_t cut, size_t operation, disk_harm harm);
const char *disk_operation(const disk *d, size_t operation);

/* The state after a cut before event `cut`: harm[operation] for each uncertain operation (the array has a place for
 * every operation). Returns a number that differs for states that differ. */
uint64_t disk_cut(disk *d, size_t cut, const uint8_t *harm);
size_t disk_operations(const disk *d);
/* Writes the state of the last disk_cut into an existing, empty directory. */
void disk_write(const disk *d, const char *into);

#endif
