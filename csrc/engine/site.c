#define _GNU_SOURCE 1
#include "engine/site.h"

#include "base/clock.h"
#include "codec/digest.h"
#include "engine/obstacle.h"
#include "engine/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { HEX_DIGITS = 8, TRIES = 8 };

#define PREFIX LRB_PUBLISH_PREFIX "-"
#define PROBE_SUFFIX ".probe"

/* ---- the target and what is above it ---- */

static int split(lrb_site *site, const char *target, lrb_err *err) {
    size_t end = strlen(target);
    while (end > 1 && target[end - 1] == '/') end--;
    size_t start = end;
    while (start > 0 && target[start - 1] != '/') start--;
    bool usable = target[0] == '/' && end - start <= LRB_SITE_LEAF_MAX && start < LRB_PATH_MAX - 1 &&
                  lrb_name_valid(target + start, end - start);
    if (!usable)
        return lrb_err_set(err, LRB_E_INVALID, "restore", target,
                           "the target must be the absolute path of a directory below another");
    memcpy(site->leaf, target + start, end - start);
    site->leaf[end - start] = '\0';
    memcpy(site->parent_path, target, start);
    site->parent_path[start] = '\0';
    return LRB_OK;
}

/* path[0..length) ends in '/'. With "." behind it the last component is no link, so links above the target are followed
 * although no open of base/fs.h follows one. */
static int open_above(const char *path, size_t length, int *fd, bool *listed, lrb_err *err) {
    char with_dot[LRB_PATH_MAX];
    memcpy(with_dot, path, length);
    memcpy(with_dot + length, ".", 2);
    return lrb_fs_open_above(AT_FDCWD, with_dot, fd, listed, err);
}

/* Makes a directory that is durable in its parent. */
static int make_durably(int parent, const char *name, size_t length, int *fd, lrb_err *err) {
    char component[LRB_SITE_LEAF_MAX + 1];
    if (length > LRB_SITE_LEAF_MAX) return lrb_err_sys(err, ENAMETOOLONG, "make directory", name);
    memcpy(component, name, length);
    component[length] = '\0';
    lrb_publish_change();
    int code = lrb_fs_make_dir(parent, component, 0777, err);
    if (!code) code = lrb_fs_open_dir(parent, component, fd, err);
    if (code) return code;
    code = lrb_fs_copy_owner(parent, *fd, component, err);
    if (!code) code = lrb_fs_sync_names(parent, *fd, component, err);
    if (code) lrb_fs_close(*fd);
    return code;
}

/* From the top down: opens each directory above the target, making what is missing. */
static int make_parents(lrb_site *site, lrb_err *err) {
    const char *path = site->parent_path;
    int above = -1, next = -1, code = LRB_OK;
    for (size_t start = 0, end = 1; path[start]; start = end++) {
        while (path[end - 1] != '/') end++;
        code = open_above(path, end, &next, &site->listed, err);
        if (code == LRB_E_NOT_FOUND && above >= 0) {
            lrb_err_clear(err);
            code = make_durably(above, path + start, end - 1 - start, &next, err);
            site->listed = true;
        }
        lrb_fs_close(above);
        if (code) return code;
        above = next;
    }
    site->parent = above;
    return LRB_OK;
}

static int open_target(lrb_site *site, lrb_err *err) {
    int code = lrb_fs_open_dir(site->parent, site->leaf, &site->dir, err);
    if (!code) return lrb_fs_identify(site->dir, &site->identity, err);
    if (code != LRB_E_NOT_FOUND) return code;
    lrb_err_clear(err);
    return LRB_OK;
}

static int open_parent(lrb_site *site, const char *target, bool make, lrb_err *err) {
    *site = (lrb_site){.target = target, .parent = -1, .dir = -1};
    int code = split(site, target, err);
    if (code) return code;
    if (make) return make_parents(site, err);
    code = open_above(site->parent_path, strlen(site->parent_path), &site->parent, &site->listed, err);
    if (code != LRB_E_NOT_FOUND) return code;
    lrb_err_clear(err);
    return LRB_OK;
}

int lrb_site_open(lrb_site *site, const char *target, bool make, lrb_err *err) {
    int code = open_parent(site, target, make, err);
    if (!code && site->parent >= 0) code = open_target(site, err);
    if (code) lrb_site_close(site);
    return code;
}

int lrb_site_open_beside(lrb_site *site, const char *target, lrb_err *err) {
    int code = open_parent(site, target, false, err);
    if (!code && site->parent >= 0) code = open_target(site, err);
    if (code == LRB_E_INVALID && site->parent >= 0) {
        lrb_err_clear(err);
        return LRB_OK;
    }
    if (code) lrb_site_close(site);
    return code;
}

void lrb_site_close(lrb_site *site) {
    lrb_fs_close(site->parent);
    lrb_fs_close(site->dir);
    site->parent = site->dir = -1;
}

int lrb_site_make_target(lrb_site *site, lrb_err *err) {
    int code = make_durably(site->parent, site->leaf, strlen(site->leaf), &site->dir, err);
    if (!code) return lrb_fs_identify(site->dir, &site->identity, err);
    site->dir = -1;
    return code;
}

/* ---- beside the target ---- */

bool lrb_site_fits_beside(const lrb_site *site) {
    return strlen(PREFIX) + strlen(site->leaf) + 1 + HEX_DIGITS + strlen(PROBE_SUFFIX) <= LRB_SITE_LEAF_MAX;
}

bool lrb_site_owns(const lrb_site *site, const char *name, bool *probe) {
    uint8_t number[HEX_DIGITS / 2];
    char digits[HEX_DIGITS + 1] = {0};
    size_t prefix = strlen(PREFIX), leaf = strlen(site->leaf);
    if (strncmp(name, PREFIX, prefix) != 0 || strncmp(name + prefix, site->leaf, leaf) != 0 ||
        name[prefix + leaf] != '-')
        return false;
    const char *rest = name + prefix + leaf + 1;
    if (strlen(rest) < HEX_DIGITS) return false;
    memcpy(digits, rest, HEX_DIGITS);
    *probe = strcmp(rest + HEX_DIGITS, PROBE_SUFFIX) == 0;
    return lrb_unhex(digits, number, sizeof number) == 0 && (*probe || !rest[HEX_DIGITS]);
}

static int fresh_name(const lrb_site *site, bool probe, char name[LRB_SITE_LEAF_MAX + 1], lrb_err *err) {
    uint8_t number[HEX_DIGITS / 2];
    char digits[HEX_DIGITS + 1];
    int code = lrb_random_bytes(number, sizeof number, err);
    if (code) return code;
    lrb_hex(number, sizeof number, digits);
    int length = snprintf(name, LRB_SITE_LEAF_MAX + 1, PREFIX "%s-%s%s", site->leaf, digits, probe ? PROBE_SUFFIX : "");
    if (length > 0 && length <= LRB_SITE_LEAF_MAX) return LRB_OK;
    return lrb_err_set(err, LRB_E_LIMIT, "restore", site->target,
                       "the target's name is too long for a directory beside it");
}

int lrb_site_lock(int dir, const char *name, int *fd, bool *taken, lrb_err *err) {
    lrb_identity held, named;
    *taken = false;
    int code = lrb_fs_open_dir(dir, name, fd, err);
    if (code) return code;
    code = lrb_obstacle_try_lock(dir, *fd, taken, err);
    if (!code && *taken) { /* somebody may have put another directory there between open and lock */
        code = lrb_fs_identify(*fd, &held, err);
        if (!code) code = lrb_fs_identify_at(dir, name, &named, err);
        if (!code && (held.inode != named.inode || held.device != named.device))
            code = lrb_err_set(err, LRB_E_NOT_FOUND, "lock", name, "it was replaced meanwhile");
    }
    if (code) lrb_fs_close(*fd);
    return code;
}

/* Until the lock is there, somebody may take the new directory for litter: then another name is tried. */
int lrb_site_make_beside(const lrb_site *site, bool probe, char name[LRB_SITE_LEAF_MAX + 1], int *fd, lrb_err *err) {
    for (int tries = 0; tries < TRIES; tries++) {
        lrb_identity present;
        bool taken;
        int code = fresh_name(site, probe, name, err);
        if (code) return code;
        if (lrb_fs_identify_at(site->parent, name, &present, err) != LRB_E_NOT_FOUND) continue;
        lrb_err_clear(err);
        lrb_publish_change();
        code = lrb_fs_make_dir(site->parent, name, 0777, err);
        if (code) return code;
        code = lrb_site_lock(site->parent, name, fd, &taken, err);
        if (!code && taken) return LRB_OK;
        if (!code) lrb_fs_close(*fd);
        if (code && code != LRB_E_NOT_FOUND) {
            lrb_err ignored;
            (void)lrb_fs_remove_dir(site->parent, name, &ignored);
            return code;
        }
    }
    return lrb_err_set(err, LRB_E_BUSY, "restore", site->target,
                       "no staging directory could be made beside it because others keep removing it");
}
