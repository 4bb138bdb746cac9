#include "engine/reserve.h"

#include "base/fs.h"
#include "base/mem.h"

static const char reserve_name[] = "reserve";

int lrb_reserve_append(lrb_repo *repo, const lrb_draft *draft, lrb_repo_precommit precommit, void *arg,
                       uint64_t *number, lrb_err *err) {
    int code = lrb_repo_append(repo, draft, precommit, arg, number, err);
    if (code != LRB_E_NO_SPACE) return code;
    lrb_err full = *err;
    if (lrb_fs_unlink(lrb_repo_root_dir(repo), reserve_name, err)) {
        *err = full;
        return code;
    }
    lrb_err_clear(err);
    return lrb_repo_append(repo, draft, precommit, arg, number, err);
}

void lrb_reserve_fill(lrb_repo *repo) {
    lrb_err ignored;
    int fd;
    uint8_t *zeros = lrb_alloc_zero(1, LRB_RESERVE_BYTES);
    if (!zeros) return;
    if (!lrb_fs_create(lrb_repo_root_dir(repo), reserve_name, 0640, &fd, &ignored)) {
        /* Written, not only sized: a hole would reserve nothing. */
        if (lrb_fs_write(fd, zeros, LRB_RESERVE_BYTES, reserve_name, &ignored) ||
            lrb_fs_sync(fd, reserve_name, &ignored))
            lrb_fs_unlink(lrb_repo_root_dir(repo), reserve_name, &ignored);
        lrb_fs_close(fd);
    }
    lrb_free(zeros);
}
