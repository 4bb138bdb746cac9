/* A restore's target, the directory it is in, and the staging directories beside it.
 *
 * A staging directory beside the target is "<parent>/.lrb_restore-<leaf>-<8 hex>"; one that only tries the file
 * system has ".probe" behind that. Whoever made it holds an advisory lock on it; unlocked, it is what a dead process
 * left.
 */
#ifndef LRB_ENGINE_SITE_H
#define LRB_ENGINE_SITE_H

#include "base/fs.h"
#include "base/path.h"

enum { LRB_SITE_LEAF_MAX = 255 };

typedef struct lrb_site {
    const char *target;                 /* borrowed: as the caller wrote it */
    char parent_path[LRB_PATH_MAX];     /* with its final '/' */
    char leaf[LRB_SITE_LEAF_MAX + 1];
    int parent, dir;                    /* -1: does not exist */
    bool listed;                        /* whether the parent may be read; else it is open O_PATH, for names known already */
    lrb_identity identity;              /* of dir */
} lrb_site;

/* A missing target, or parent unless `make`, is no failure. Links above the target are followed; INVALID for a target
 * that is no absolute path, or is something else than a directory. */
int lrb_site_open(lrb_site *site, const char *target, bool make, lrb_err *err);
/* The same for who only clears up beside the target: a target that is no directory counts as missing. */
int lrb_site_open_beside(lrb_site *site, const char *target, lrb_err *err);
void lrb_site_close(lrb_site *site);
/* Makes the missing target itself. */
int lrb_site_make_target(lrb_site *site, lrb_err *err);

/* Whether names beside the target can hold the target's own. */
bool lrb_site_fits_beside(const lrb_site *site);
/* Whether `name` is one of this target's staging directories, or *probe one of its tries. */
bool lrb_site_owns(const lrb_site *site, const char *name, bool *probe);
/* Makes a directory beside the target under a fresh name, and locks it: *fd. */
int lrb_site_make_beside(const lrb_site *site, bool probe, char name[LRB_SITE_LEAF_MAX + 1], int *fd, lrb_err *err);
/* Opens dir/name and tries its lock; *fd is open even when the lock was not *taken. */
int lrb_site_lock(int dir, const char *name, int *fd, bool *taken, lrb_err *err);

#endif
