#include "engine/publish.h"

#include "engine/obstacle.h"
#include "engine/roll.h"
#include "engine/site.h"
#include "engine/swap.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* ---- the switch for tests ---- */

static _Atomic int64_t changes_left = -1;

void lrb_publish_stop_after(int64_t changes) {
    atomic_store(&changes_left, changes);
}

void lrb_publish_change(void) {
    int64_t left = atomic_load(&changes_left);
    if (left < 0) return;
    if (!left) _exit(77);
    atomic_store(&changes_left, left - 1);
}

bool lrb_publish_reserved(const char *name) {
    return strncmp(name, LRB_PUBLISH_PREFIX, strlen(LRB_PUBLISH_PREFIX)) == 0;
}

/* ---- what stands beside a target ---- */

typedef struct sweep {
    const lrb_site *s;
    bool remove;         /* else only look */
    size_t staged_alive; /* staging directories that a living process holds */
    size_t litter;
} sweep;

/* What was exchanged out is a sibling too, and not litter while the target has the marker; a swap may have happened
 * since the target was opened, so it is looked at again with the lock in hand. */
static int is_old_tree(const lrb_site *s, bool *old, lrb_err *err) {
    int fd;
    *old = false;
    int code = lrb_fs_open_dir(s->parent, s->leaf, &fd, err);
    if (!code) {
        code = lrb_swap_marked(fd, old, err);
        lrb_fs_close(fd);
    } else if (code == LRB_E_NOT_FOUND || code == LRB_E_INVALID) {
        lrb_err_clear(err);
        code = LRB_OK;
    }
    return code;
}

static int sweep_one(void *arg, const char *name, lrb_err *err) {
    sweep *all = arg;
    int fd;
    bool taken, probe, old;
    if (!lrb_site_owns(all->s, name, &probe)) return LRB_OK;
    int code = lrb_site_lock(all->s->parent, name, &fd, &taken, err);
    if (code == LRB_E_NOT_FOUND || code == LRB_E_INVALID) { /* gone meanwhile, or no directory: not from here */
        lrb_err_clear(err);
        return LRB_OK;
    }
    if (code) return code;
    code = is_old_tree(all->s, &old, err);
    if (!taken) all->staged_alive += !probe;
    else if (!old) all->litter++;
    if (!code && taken && !old && all->remove) {
        lrb_publish_change();
        code = lrb_fs_remove_tree(all->s->parent, name, err);
    }
    lrb_fs_close(fd);
    return code;
}

/* Beside a parent that may not be listed nothing is staged but where the target is missing, and what stands there is not
 * seen: the rename that ends such a restore finds out whether another one was faster. */
static int sweep_siblings(sweep *all, lrb_err *err) {
    return all->s->listed ? lrb_fs_list(all->s->parent, sweep_one, all, all->s->parent_path, err) : LRB_OK;
}

/* ---- staging ---- */

static int busy(const char *target, lrb_err *err) {
    return lrb_err_set(err, LRB_E_BUSY, "restore", target,
                       "another restore into this directory is under way, in this process or another; wait for it to end");
}

static int unfinished(const char *target, lrb_err *err) {
    return lrb_err_set(err, LRB_E_UNFINISHED, "restore", target, "an interrupted restore has to be finished first");
}

/* What has a name of this module's and another type is nobody's work, and would go away with the old directory. */
static int refuse_disguised(const lrb_site *s, lrb_err *err) {
    bool foreign = false;
    int code = s->dir < 0 ? LRB_OK : lrb_roll_disguised(s->dir, &foreign, err);
    return code || !foreign ? code : lrb_obstacle_foreign(s->dir, LRB_PUBLISH_PREFIX, err);
}

/* A restore refuses to begin on top of one that is not over. */
static int check_free(const lrb_site *s, size_t own, lrb_err *err) {
    sweep all = {.s = s};
    bool marked = false, journal = false, litter = false;
    int code = sweep_siblings(&all, err);
    if (!code && s->dir >= 0) code = lrb_swap_marked(s->dir, &marked, err);
    if (!code && s->dir >= 0) code = lrb_roll_look(s->dir, &journal, &litter, err);
    if (code) return code;
    if (marked || journal) return unfinished(s->target, err);
    return all.staged_alive > own ? busy(s->target, err) : LRB_OK;
}

/* The new directory looks to others like the one whose place it takes. */
static int dress(const lrb_site *s, int staging, lrb_err *err) {
    lrb_identity identity;
    int code = lrb_fs_copy_owner(s->dir >= 0 ? s->dir : s->parent, staging, s->target, err);
    if (!code) code = lrb_fs_identify(staging, &identity, err);
    if (!code && s->dir >= 0)
        code = lrb_fs_set_attributes(staging, s->identity.mode | 0700, identity.mtime_ns, s->target, err);
    return code;
}

static int stage_beside(const lrb_site *s, char *staging_path, int *staging_dir, lrb_err *err) {
    char name[LRB_SITE_LEAF_MAX + 1], without_slash[LRB_PATH_MAX];
    lrb_err later = {0};
    int code = lrb_site_make_beside(s, false, name, staging_dir, err);
    if (code) return code;
    code = dress(s, *staging_dir, err);
    if (!code) code = check_free(s, 1, err);
    if (!code) {
        size_t length = strlen(s->parent_path) - 1;
        memcpy(without_slash, s->parent_path, length);
        without_slash[length] = '\0';
        code = lrb_path_join(staging_path, without_slash, name, err);
    }
    if (!code) return LRB_OK;
    (void)lrb_fs_remove_tree(s->parent, name, &later);
    lrb_fs_close(*staging_dir);
    return code;
}

static int stage_inside(lrb_site *s, char *staging_path, int *staging_dir, lrb_err *err) {
    int code = LRB_OK;
    if (s->dir < 0) code = lrb_site_make_target(s, err);
    if (!code) code = lrb_path_join(staging_path, s->target, LRB_PUBLISH_PREFIX "/new", err);
    if (!code) code = check_free(s, 0, err);
    return code ? code : lrb_roll_stage(s->dir, staging_dir, err);
}

int lrb_publish_stage(const char *target, lrb_publish_way way, char *staging_path, int *staging_dir, lrb_err *err) {
    lrb_site s;
    int code = lrb_site_open(&s, target, true, err);
    if (code) return code;
    code = refuse_disguised(&s, err);
    if (!code)
        code = way == LRB_PUBLISH_JOURNAL ? stage_inside(&s, staging_path, staging_dir, err)
                                          : stage_beside(&s, staging_path, staging_dir, err);
    lrb_site_close(&s);
    return code;
}

/* The staging directory's name beside the target; INVALID for a path that stage did not give. */
static int sibling_name(const lrb_site *s, const char *staging_path, const char **name, lrb_err *err) {
    const char *slash = strrchr(staging_path, '/');
    bool probe;
    *name = slash ? slash + 1 : staging_path;
    if (lrb_site_owns(s, *name, &probe) && !probe) return LRB_OK;
    return lrb_err_set(err, LRB_E_INVALID, "restore", staging_path, "it is no staging directory of this target");
}

int lrb_publish_abandon(const char *target, lrb_publish_way way, const char *staging_path, lrb_err *err) {
    lrb_site s;
    const char *name;
    bool marked = false;
    int code = lrb_site_open(&s, target, false, err);
    if (code) return code;
    if (way == LRB_PUBLISH_JOURNAL) {
        if (s.dir >= 0) code = lrb_roll_abandon(s.dir, err);
    } else if (s.parent >= 0) {
        code = sibling_name(&s, staging_path, &name, err);
        if (!code && s.dir >= 0) code = lrb_swap_marked(s.dir, &marked, err);
        if (!code && marked) code = unfinished(target, err);
        if (!code) code = lrb_fs_remove_tree(s.parent, name, err);
    }
    lrb_site_close(&s);
    return code;
}

/* ---- putting it in place ---- */

static int check_names(const lrb_names *names, lrb_err *err) {
    for (size_t i = 0; i < names->count; i++)
        if (!lrb_name_valid(names->at[i], strlen(names->at[i])) || lrb_publish_reserved(names->at[i]))
            return lrb_err_set(err, LRB_E_INVALID, "publish", names->at[i], "not a usable item name");
    if (lrb_names_sorted(names)) return LRB_OK;
    return lrb_err_set(err, LRB_E_INVALID, "publish", "items", "their names were not in byte order");
}

static int rename_into_place(const lrb_site *s, const char *name, int staging, lrb_err *err) {
    int code = lrb_fs_sync_dir(s->parent, name, err);
    lrb_publish_change();
    if (!code) code = lrb_fs_rename(s->parent, name, s->parent, s->leaf, err);
    if (code && (err->sys_errno == ENOTEMPTY || err->sys_errno == EEXIST))
        return lrb_err_set(err, LRB_E_EXISTS, "publish", s->target,
                           "it was filled while the restore was prepared; restore again");
    return code ? code : lrb_fs_sync_names(s->parent, staging, s->target, err);
}

/* The caller of stage holds the lock; should he have closed it, it is taken here for the time of the commit. */
static int commit_beside(const lrb_site *s, lrb_publish_way way, const char *staging_path, lrb_names items,
                         lrb_names removed, lrb_err *err) {
    const char *name;
    int fd;
    bool taken, marked = false;
    int code = sibling_name(s, staging_path, &name, err);
    if (!code && s->dir >= 0) code = lrb_swap_marked(s->dir, &marked, err);
    if (!code && marked) code = unfinished(s->target, err);
    if (!code) code = lrb_site_lock(s->parent, name, &fd, &taken, err);
    if (code) return code;
    code = way == LRB_PUBLISH_RENAME ? rename_into_place(s, name, fd, err)
                                     : lrb_swap_commit(s->parent, s->leaf, name, items, removed, err);
    lrb_fs_close(fd);
    return code;
}

int lrb_publish_commit(const char *target, lrb_publish_way way, const char *staging_path, const char *const *names,
                       size_t name_count, const char *const *removed, size_t removed_count, lrb_err *err) {
    lrb_site s;
    lrb_names items = {names, name_count}, gone = {removed, removed_count};
    int code = check_names(&items, err);
    if (!code) code = check_names(&gone, err);
    if (!code) code = lrb_site_open(&s, target, false, err);
    if (code) return code;
    if (s.parent < 0 || (s.dir < 0 && way != LRB_PUBLISH_RENAME))
        code = lrb_err_set(err, LRB_E_NOT_FOUND, "publish", target, "it is not there any more");
    else if (way == LRB_PUBLISH_JOURNAL) code = lrb_roll_commit(s.dir, items, gone, err);
    else code = commit_beside(&s, way, staging_path, items, gone, err);
    lrb_site_close(&s);
    return code;
}

/* ---- after a crash ---- */

/* A marker at the target counts unless the living process that put it there is still at work. */
static int look_marked(const lrb_site *s, int *lock, bool *marked, lrb_err *err) {
    bool taken;
    *lock = -1;
    int code = lrb_swap_marked(s->dir, marked, err);
    if (code || !*marked) return code;
    code = lrb_site_lock(s->parent, s->leaf, lock, &taken, err);
    if (code) {
        *lock = -1;
        return code;
    }
    /* Look again: whoever held the lock may have ended, and the name may lead to another directory by now. */
    if (taken) code = lrb_swap_marked(*lock, marked, err);
    else *marked = false;
    return code;
}

static int look_inside(const lrb_site *s, bool *half_done, bool *litter, lrb_err *err) {
    bool journal = false, marked = false;
    int lock = -1, code = LRB_OK;
    if (s->dir >= 0) code = lrb_roll_look(s->dir, &journal, litter, err);
    if (!code && s->dir >= 0) {
        code = look_marked(s, &lock, &marked, err);
        lrb_fs_close(lock);
    }
    *half_done = journal || marked;
    return code;
}

static int look_pending(const lrb_site *s, bool *pending, lrb_err *err) {
    bool half_done = false, litter = false;
    sweep all = {.s = s};
    int code = look_inside(s, &half_done, &litter, err);
    if (!code) code = sweep_siblings(&all, err);
    *pending = half_done || litter || all.litter;
    return code;
}

static int finish_all(const lrb_site *s, bool *finished, lrb_err *err) {
    bool rolled = false, marked = false;
    int lock = -1, code = LRB_OK;
    sweep all = {.s = s, .remove = true};
    if (s->dir >= 0) code = lrb_roll_finish(s->dir, &rolled, err);
    if (!code && s->dir >= 0) {
        code = look_marked(s, &lock, &marked, err);
        if (!code && marked) code = lrb_swap_finish(s->parent, lock, err);
        lrb_fs_close(lock);
    }
    if (!code) code = sweep_siblings(&all, err);
    *finished = rolled || marked || all.litter;
    return code;
}

int lrb_publish_pending(const char *target, bool *pending, lrb_err *err) {
    lrb_site s;
    *pending = false;
    int code = lrb_site_open_beside(&s, target, err);
    if (code) return code;
    if (s.parent >= 0) code = look_pending(&s, pending, err);
    lrb_site_close(&s);
    return code;
}

int lrb_publish_half_done(const char *target, bool *half_done, lrb_err *err) {
    lrb_site s;
    bool litter = false;
    *half_done = false;
    int code = lrb_site_open_beside(&s, target, err);
    if (code) return code;
    if (s.parent >= 0) code = look_inside(&s, half_done, &litter, err);
    lrb_site_close(&s);
    return code;
}

int lrb_publish_finish(const char *target, bool *finished, lrb_err *err) {
    lrb_site s;
    *finished = false;
    int code = lrb_site_open_beside(&s, target, err);
    if (code) return code;
    if (s.parent >= 0) code = finish_all(&s, finished, err);
    lrb_site_close(&s);
    return code;
}
