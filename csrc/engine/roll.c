#include "engine/roll.h"

#include "base/mem.h"
#include "engine/journal.h"
#include "engine/obstacle.h"
#include "engine/publish.h"
#include "engine/roll_plan.h"

#include <string.h>

#define WORK LRB_PUBLISH_PREFIX
#define STAGING "new"
#define JOURNAL "journal"
#define JOURNAL_LABEL WORK "/" JOURNAL

/* Up to here every directory is synced by itself; above it one syncfs is cheaper, though it writes back others' data
 * too. */
enum { MAX_SINGLE_SYNCS = 64 };

/* ---- one row at a time ---- */

typedef struct roll {
    lrb_tree target, staged;
} roll;

static int look(lrb_tree *tree, const char *name, int *dir, const char **leaf, lrb_file_type *type, uint32_t *mode,
                lrb_err *err) {
    lrb_identity identity;
    *type = (lrb_file_type)0;
    int code = lrb_tree_parent(tree, name, false, dir, leaf, err);
    if (!code) code = lrb_fs_identify_at(*dir, *leaf, &identity, err);
    if (code == LRB_E_NOT_FOUND) {
        lrb_err_clear(err);
        return LRB_OK;
    }
    if (!code) {
        *type = identity.type;
        *mode = identity.mode;
    }
    return code;
}

/* A directory goes only when nothing is left in it. */
static int remove_empty(lrb_tree *tree, int dir, const char *leaf, bool must, lrb_err *err) {
    lrb_publish_change();
    int code = lrb_fs_remove_dir(dir, leaf, err);
    lrb_tree_forget(tree);
    if (!code || must || !lrb_roll_not_empty(err)) return code;
    lrb_err_clear(err);
    return LRB_OK;
}

static int do_remove(roll *r, const char *name, lrb_err *err) {
    int dir;
    const char *leaf;
    lrb_file_type type;
    uint32_t mode;
    int code = look(&r->target, name, &dir, &leaf, &type, &mode, err);
    if (code || !type) return code;
    if (type == LRB_FILE_DIRECTORY) return remove_empty(&r->target, dir, leaf, false, err);
    lrb_publish_change();
    return lrb_fs_unlink(dir, leaf, err);
}

static int do_put(roll *r, const char *name, lrb_err *err) {
    int from_dir, to_dir;
    const char *from, *to;
    lrb_file_type type;
    uint32_t mode;
    int code = look(&r->staged, name, &from_dir, &from, &type, &mode, err);
    if (code || !type) return code;
    code = look(&r->target, name, &to_dir, &to, &type, &mode, err);
    if (!code && type == LRB_FILE_DIRECTORY) code = remove_empty(&r->target, to_dir, to, true, err);
    if (!code) code = lrb_tree_parent(&r->target, name, true, &to_dir, &to, err);
    lrb_publish_change();
    return code ? code : lrb_fs_rename(from_dir, from, to_dir, to, err);
}

/* Opens a directory up to its owner for the time of the restore; step 4 gives it its own mode. */
static int make_workable(int dir, const char *leaf, uint32_t mode, lrb_err *err) {
    if ((mode & 0700) == 0700) return LRB_OK;
    int fd;
    lrb_identity identity;
    int code = lrb_fs_open_dir(dir, leaf, &fd, err);
    if (code) return code;
    code = lrb_fs_identify(fd, &identity, err);
    if (!code) code = lrb_fs_set_attributes(fd, mode | 0700, identity.mtime_ns, leaf, err);
    lrb_fs_close(fd);
    return code;
}

static int do_directory(roll *r, const char *name, bool item, lrb_err *err) {
    int dir;
    const char *leaf;
    lrb_file_type type;
    uint32_t mode = 0;
    int code = look(&r->staged, name, &dir, &leaf, &type, &mode, err);
    if (!code && type == LRB_FILE_DIRECTORY) code = make_workable(dir, leaf, mode, err);
    if (!code) code = look(&r->target, name, &dir, &leaf, &type, &mode, err);
    if (code) return code;
    if (type == LRB_FILE_DIRECTORY) return item ? make_workable(dir, leaf, mode, err) : LRB_OK;
    if (type && item) {
        lrb_publish_change();
        if ((code = lrb_fs_unlink(dir, leaf, err))) return code;
    }
    lrb_publish_change();
    return lrb_tree_directory(&r->target, name, true, &dir, err);
}

static int do_row(roll *r, const lrb_journal_row *row, const char *name, lrb_err *err) {
    switch (row->op) {
    case LRB_JOURNAL_PUT: return do_put(r, name, err);
    case LRB_JOURNAL_REMOVE: return do_remove(r, name, err);
    case LRB_JOURNAL_DIRECTORY: return do_directory(r, name, true, err);
    case LRB_JOURNAL_PARENT: return do_directory(r, name, false, err);
    default:
        return lrb_err_set(err, LRB_E_DAMAGED, "finish a restore", JOURNAL_LABEL,
                           "it holds a row of another kind of journal");
    }
}

/* ---- step 4 ---- */

/* Deepest first: what is put into a directory changes its time. */
static int set_attributes(roll *r, const lrb_journal *journal, lrb_err *err) {
    int code = LRB_OK;
    for (size_t i = journal->count; !code && i-- > 0;) {
        const lrb_journal_row *row = &journal->rows[i];
        int dir;
        if (row->op != LRB_JOURNAL_DIRECTORY) continue;
        code = lrb_tree_directory(&r->target, journal->names[i], false, &dir, err);
        lrb_publish_change();
        if (!code) code = lrb_fs_set_attributes(dir, row->mode, row->mtime_ns, journal->names[i], err);
    }
    return code;
}

static size_t parent_length(const char *name) {
    const char *slash = strrchr(name, '/');
    return slash ? (size_t)(slash - name) : 0;
}

/* Whether row i touched another directory than the row before it. */
static bool new_parent(const lrb_journal *journal, size_t i) {
    if (!i) return true;
    size_t length = parent_length(journal->names[i]);
    return length != parent_length(journal->names[i - 1]) ||
           memcmp(journal->names[i], journal->names[i - 1], length) != 0;
}

static int sync_row(roll *r, const lrb_journal *journal, size_t i, lrb_err *err) {
    int dir, code = LRB_OK;
    const char *leaf;
    if (new_parent(journal, i)) {
        code = lrb_tree_parent(&r->target, journal->names[i], false, &dir, &leaf, err);
        if (!code) code = lrb_fs_sync(dir, journal->names[i], err);
    }
    if (!code && journal->rows[i].op == LRB_JOURNAL_DIRECTORY) {
        code = lrb_tree_directory(&r->target, journal->names[i], false, &dir, err);
        if (!code) code = lrb_fs_sync(dir, journal->names[i], err);
    }
    if (code != LRB_E_NOT_FOUND) return code;
    lrb_err_clear(err); /* a directory that was removed; its own parent has a row too */
    return LRB_OK;
}

static int make_durable(roll *r, const lrb_journal *journal, lrb_err *err) {
    size_t syncs = 0;
    for (size_t i = 0; i < journal->count; i++)
        syncs += (size_t)new_parent(journal, i) + (journal->rows[i].op == LRB_JOURNAL_DIRECTORY);
    if (syncs > MAX_SINGLE_SYNCS) return lrb_fs_sync_filesystem(r->target.root, "target", err);
    int code = lrb_fs_sync(r->target.root, "target", err);
    for (size_t i = 0; !code && i < journal->count; i++) code = sync_row(r, journal, i, err);
    return code;
}

/* ---- rolling forward ---- */

static int do_journal(roll *r, const lrb_journal *journal, lrb_err *err) {
    int code = LRB_OK;
    for (size_t i = 0; !code && i < journal->count; i++) {
        if (lrb_publish_reserved(journal->names[i]))
            code = lrb_err_set(err, LRB_E_DAMAGED, "finish a restore", JOURNAL_LABEL,
                               "it names an item that may not exist");
        else
            code = do_row(r, &journal->rows[i], journal->names[i], err);
    }
    lrb_tree_forget(&r->target);
    if (!code) code = set_attributes(r, journal, err);
    if (!code) code = make_durable(r, journal, err);
    return code;
}

/* Steps 3 to 5. The caller has the lock of the staging directory, or there is none any more. */
static int roll_forward(int target, int work, lrb_err *err) {
    lrb_journal journal;
    int staging = -1;
    int code = lrb_journal_load(work, JOURNAL, JOURNAL_LABEL, &journal, err);
    if (code) return code;
    roll *r = lrb_alloc(sizeof *r);
    /* Without a staging directory every PUT was done: an empty one says so. */
    code = lrb_fs_make_dir(work, STAGING, 0700, err);
    if (!code) code = lrb_fs_open_dir(work, STAGING, &staging, err);
    if (!code && !r) code = lrb_err_nomem(err, "finish a restore");
    if (!code) {
        lrb_tree_init(&r->target, target);
        lrb_tree_init(&r->staged, staging);
        code = do_journal(r, &journal, err);
        lrb_tree_clear(&r->target);
        lrb_tree_clear(&r->staged);
    }
    lrb_free(r);
    lrb_fs_close(staging);
    lrb_journal_clear(&journal);
    lrb_publish_change();
    if (!code) code = lrb_fs_unlink(work, JOURNAL, err);
    if (!code) code = lrb_fs_sync(work, JOURNAL_LABEL, err);
    return code;
}

/* `mine`: there is a staging directory and the caller has its lock. Without one, somebody may be making the next just
 * now. */
static int remove_work(int target, int work, bool mine, lrb_err *err) {
    int code = LRB_OK;
    lrb_publish_change();
    if (mine) code = lrb_fs_remove_tree(work, STAGING, err);
    lrb_publish_change();
    if (!code && mine) code = lrb_fs_unlink(work, JOURNAL ".tmp", err);
    lrb_publish_change();
    if (!code) code = lrb_fs_remove_dir(target, WORK, err);
    if (!code || !lrb_roll_not_empty(err)) return code;
    lrb_err_clear(err);
    return LRB_OK;
}

int lrb_roll_commit(int target, lrb_names items, lrb_names removed, lrb_err *err) {
    int work = -1, staging = -1;
    lrb_buf bytes;
    lrb_buf_init(&bytes, 0);
    int code = lrb_fs_open_dir(target, WORK, &work, err);
    if (!code) code = lrb_fs_open_dir(work, STAGING, &staging, err);
    if (!code) code = lrb_roll_plan(target, staging, items, removed, &bytes, err);
    lrb_publish_change();
    if (!code) code = lrb_journal_save(&bytes, work, JOURNAL, err);
    lrb_buf_clear(&bytes);
    if (!code) {
        code = roll_forward(target, work, err);
        if (!code) code = remove_work(target, work, true, err);
        if (code) lrb_err_context(err, "the restore is under way and has to be finished");
    }
    lrb_fs_close(staging);
    lrb_fs_close(work);
    return code;
}

/* ---- staging, leftovers ---- */

static int exists(int dir, const char *name, bool *found, lrb_err *err) {
    lrb_identity identity;
    int code = lrb_fs_identify_at(dir, name, &identity, err);
    *found = code == LRB_OK;
    if (code != LRB_E_NOT_FOUND) return code;
    lrb_err_clear(err);
    return LRB_OK;
}

/* Opens and locks the staging directory. *fd -1: there is none; *taken: nobody else holds it. */
static int lock_staging(int work, int *fd, bool *taken, lrb_err *err) {
    lrb_identity held, named;
    *fd = -1;
    *taken = true;
    int code = lrb_fs_open_dir(work, STAGING, fd, err);
    if (code == LRB_E_NOT_FOUND) {
        lrb_err_clear(err);
        return LRB_OK;
    }
    if (!code) code = lrb_obstacle_try_lock(work, *fd, taken, err);
    if (!code && *taken) { /* somebody may have replaced it between open and lock */
        code = lrb_fs_identify(*fd, &held, err);
        if (!code) code = lrb_fs_identify_at(work, STAGING, &named, err);
        *taken = !code && held.inode == named.inode && held.device == named.device;
        if (code == LRB_E_NOT_FOUND) {
            lrb_err_clear(err);
            code = LRB_OK;
        }
    }
    if (code) lrb_fs_close(*fd);
    return code;
}

/* What has the name and is no directory is not from here. */
static int open_work(int target, int *work, bool *found, lrb_err *err) {
    int code = lrb_fs_open_dir(target, WORK, work, err);
    *found = code == LRB_OK;
    if (code != LRB_E_NOT_FOUND && code != LRB_E_INVALID) return code;
    lrb_err_clear(err);
    return LRB_OK;
}

int lrb_roll_disguised(int target, bool *disguised, lrb_err *err) {
    lrb_identity identity;
    int code = lrb_fs_identify_at(target, WORK, &identity, err);
    *disguised = !code && identity.type != LRB_FILE_DIRECTORY;
    if (code != LRB_E_NOT_FOUND) return code;
    lrb_err_clear(err);
    return LRB_OK;
}

static int busy(lrb_err *err) {
    return lrb_err_set(err, LRB_E_BUSY, "restore", WORK,
                       "another restore into this directory is under way, in this process or another; wait for it to end");
}

static int unfinished(lrb_err *err) {
    return lrb_err_set(err, LRB_E_UNFINISHED, "restore", JOURNAL_LABEL,
                       "an interrupted restore has to be finished first");
}

static int renew_staging(int target, int work, int *staging, lrb_err *err) {
    int old;
    bool taken;
    int code = lock_staging(work, &old, &taken, err);
    if (code) return code;
    lrb_publish_change();
    if (!taken) code = busy(err);
    else if (old >= 0) code = lrb_fs_remove_tree(work, STAGING, err);
    lrb_fs_close(old);
    lrb_publish_change();
    if (!code) code = lrb_fs_make_dir(work, STAGING, 0700, err);
    if (!code && (code = lock_staging(work, staging, &taken, err))) {
        lrb_err ignored; /* what could not be locked is nobody's */
        (void)lrb_fs_remove_dir(work, STAGING, &ignored);
        (void)lrb_fs_remove_dir(target, WORK, &ignored);
    }
    if (code) return code;
    if (!taken || *staging < 0) code = busy(err);
    if (!code) code = lrb_fs_copy_owner(target, *staging, WORK, err);
    if (!code) code = lrb_fs_sync(work, WORK, err);
    if (!code) code = lrb_fs_sync(target, "target", err);
    if (code) lrb_fs_close(*staging);
    return code;
}

int lrb_roll_stage(int target, int *staging, lrb_err *err) {
    int work;
    bool journal;
    lrb_publish_change();
    int code = lrb_fs_make_dir(target, WORK, 0700, err);
    if (!code) code = lrb_fs_open_dir(target, WORK, &work, err);
    if (code) return code;
    code = exists(work, JOURNAL, &journal, err);
    if (!code && journal) code = unfinished(err);
    if (!code) code = lrb_fs_copy_owner(target, work, WORK, err);
    if (!code) code = renew_staging(target, work, staging, err);
    lrb_fs_close(work);
    return code;
}

int lrb_roll_look(int target, bool *journal, bool *litter, lrb_err *err) {
    int work, staging;
    bool found;
    *journal = *litter = false;
    int code = open_work(target, &work, &found, err);
    if (code || !found) return code;
    code = exists(work, JOURNAL, journal, err);
    if (!code && !*journal && !(code = lock_staging(work, &staging, litter, err))) lrb_fs_close(staging);
    lrb_fs_close(work);
    return code;
}

int lrb_roll_finish(int target, bool *finished, lrb_err *err) {
    int work, staging;
    bool found, journal, taken;
    *finished = false;
    int code = open_work(target, &work, &found, err);
    if (code || !found) return code;
    code = lock_staging(work, &staging, &taken, err);
    if (code) goto done;
    code = exists(work, JOURNAL, &journal, err);
    if (!code && journal && !taken) code = busy(err);
    if (!code && journal && taken) code = roll_forward(target, work, err);
    if (!code && taken) code = remove_work(target, work, staging >= 0 || journal, err);
    *finished = !code && taken;
    lrb_fs_close(staging);
done:
    lrb_fs_close(work);
    return code;
}

int lrb_roll_abandon(int target, lrb_err *err) {
    int work;
    bool found, journal;
    int code = open_work(target, &work, &found, err);
    if (code || !found) return code;
    code = exists(work, JOURNAL, &journal, err);
    if (!code && journal) code = unfinished(err);
    if (!code) code = remove_work(target, work, true, err);
    lrb_fs_close(work);
    return code;
}
