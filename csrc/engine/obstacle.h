/* What a restore cannot get past: mount points, which can be neither renamed nor removed, what is no item and in the way
 * of one, and a file system without locks. All of it is looked for before the first change, and named by its whole path.
 */
#ifndef LRB_ENGINE_OBSTACLE_H
#define LRB_ENGINE_OBSTACLE_H

#include "engine/tree.h"

/* EXISTS: dir/name is no item and in the way of one. */
int lrb_obstacle_foreign(int dir, const char *name, lrb_err *err);
/* UNSUPPORTED when dir/name, which is there, is of another mount than `mount`: a directory or a single file. */
int lrb_obstacle_mounted(int dir, const char *name, uint64_t mount, lrb_err *err);
/* UNSUPPORTED when one of the names, in byte order, is a mount point below `target` or lies in one, whether it is there
 * already or is to be. */
int lrb_obstacle_mounts(int target, lrb_names names, lrb_err *err);
/* Tries the lock of a staging directory, which lies in `dir`. IO where that is of a file system without locks. */
int lrb_obstacle_try_lock(int dir, int staging, bool *taken, lrb_err *err);

#endif
