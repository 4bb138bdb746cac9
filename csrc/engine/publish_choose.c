#include "engine/publish.h"

#include "engine/site.h"

#include <errno.h>

static int count_one(void *arg, const char *name, lrb_err *err) {
    (void)name;
    (void)err;
    ++*(size_t *)arg;
    return LRB_OK;
}

typedef struct inner_mounts {
    const lrb_site *s;
    uint64_t mount;
    bool found;
} inner_mounts;

static int look_for_mount(void *arg, const char *name, lrb_err *err) {
    inner_mounts *look = arg;
    uint64_t mount;
    int code = lrb_fs_mount_id_at(look->s->dir, name, &mount, err);
    look->found |= !code && mount != look->mount;
    if (code != LRB_E_NOT_FOUND) return code;
    lrb_err_clear(err); /* gone meanwhile: commit looks again */
    return LRB_OK;
}

/* Tries, without touching the target, what commit would do. Renaming the target onto a directory that is not empty
 * cannot succeed, and the reason it fails for tells: "not empty" comes last, after "busy" (a mount point),
 * "cross-device" (a lower layer of an overlay) and missing permission. */
static int try_out(const lrb_site *s, int probe, const char *name, bool *can_move, bool *can_exchange, lrb_err *err) {
    lrb_publish_change();
    int code = lrb_fs_make_dir(probe, "a", 0700, err);
    lrb_publish_change();
    if (!code) code = lrb_fs_make_dir(probe, "b", 0700, err);
    if (code) return code;
    lrb_publish_change();
    code = lrb_fs_exchange(probe, "a", probe, "b", err);
    *can_exchange = code == LRB_OK;
    if (code && code != LRB_E_UNSUPPORTED) return code;
    code = lrb_fs_rename(s->parent, s->leaf, s->parent, name, err);
    *can_move = code && (err->sys_errno == ENOTEMPTY || err->sys_errno == EEXIST);
    lrb_err_clear(err);
    return LRB_OK;
}

static int try_beside(const lrb_site *s, bool *can_move, bool *can_exchange, lrb_err *err) {
    char name[LRB_SITE_LEAF_MAX + 1];
    int probe;
    *can_move = *can_exchange = false;
    if (!lrb_site_fits_beside(s) || !s->listed) return LRB_OK;
    int code = lrb_site_make_beside(s, true, name, &probe, err);
    if (code == LRB_E_IO && (err->sys_errno == EACCES || err->sys_errno == EPERM || err->sys_errno == EROFS)) {
        lrb_err_clear(err);
        return LRB_OK;
    }
    if (code) return code;
    code = try_out(s, probe, name, can_move, can_exchange, err);
    lrb_err later = {0};
    int removed = lrb_fs_remove_tree(s->parent, name, code ? &later : err);
    lrb_fs_close(probe);
    return code ? code : removed;
}

static int choose_existing(const lrb_site *s, lrb_publish_way *way, lrb_err *err) {
    bool can_move, can_exchange;
    size_t entries = 0;
    inner_mounts inner = {.s = s};
    int code = lrb_fs_list(s->dir, count_one, &entries, s->target, err);
    if (!code) code = lrb_fs_mount_id(s->dir, &inner.mount, err);
    if (!code) code = lrb_fs_list(s->dir, look_for_mount, &inner, s->target, err);
    if (!code) code = try_beside(s, &can_move, &can_exchange, err);
    if (code) return code;
    if (!can_move || inner.found) *way = LRB_PUBLISH_JOURNAL;
    else if (!entries) *way = LRB_PUBLISH_RENAME;
    else *way = can_exchange ? LRB_PUBLISH_EXCHANGE : LRB_PUBLISH_JOURNAL;
    return LRB_OK;
}

int lrb_publish_choose(const char *target, bool shared, lrb_publish_way *way, lrb_err *err) {
    lrb_site s;
    int code = lrb_site_open(&s, target, false, err);
    if (code) return code;
    if (s.dir < 0) *way = lrb_site_fits_beside(&s) ? LRB_PUBLISH_RENAME : LRB_PUBLISH_JOURNAL;
    else if (shared) *way = LRB_PUBLISH_JOURNAL;
    else code = choose_existing(&s, way, err);
    lrb_site_close(&s);
    return code;
}
