#include "engine/litter.h"

#include <string.h>

#include "base/fs.h"

static const int64_t LEAST_GRACE_NS = INT64_C(60) * 1000 * 1000 * 1000;

typedef struct sweep {
    int dir;
    bool dotted_only;
    int64_t before_ns; /* what was touched since is not old */
    bool dry_run;
    uint64_t removed;
} sweep;

/* A file whose time lies in the future is not old. */
static bool is_old(const sweep *self, int fd) {
    lrb_identity identity;
    lrb_err ignored; /* what cannot be looked at is left alone */
    if (lrb_fs_identify(fd, &identity, &ignored)) return false;
    return identity.mtime_ns < self->before_ns;
}

static int remove_one(void *arg, const char *name, lrb_err *err) {
    sweep *self = arg;
    int fd;
    bool taken = false;
    lrb_err ignored; /* gone meanwhile, or no regular file */
    if (self->dotted_only && !strchr(name, '.')) return LRB_OK;
    if (lrb_fs_open_read(self->dir, name, &fd, &ignored)) return LRB_OK;
    int code = LRB_OK;
    if (is_old(self, fd) && !lrb_fs_try_lock(fd, &taken, &ignored) && taken) {
        if (!self->dry_run) code = lrb_fs_unlink(self->dir, name, err);
        if (!code) self->removed++;
    }
    lrb_fs_close(fd);
    return code;
}

int lrb_litter_remove(lrb_repo *repo, int64_t now_ns, int64_t wait_ns, bool dry_run, uint64_t *removed, lrb_err *err) {
    int64_t grace_ns = wait_ns > LEAST_GRACE_NS ? wait_ns : LEAST_GRACE_NS;
    sweep self = {.dir = lrb_repo_tmp_dir(repo), .before_ns = now_ns - grace_ns, .dry_run = dry_run};
    int code = lrb_fs_list(self.dir, remove_one, &self, "tmp", err);
    self.dir = lrb_repo_cache_dir(repo);
    self.dotted_only = true;
    if (!code) code = lrb_fs_list(self.dir, remove_one, &self, "cache", err);
    *removed = self.removed;
    return code;
}
