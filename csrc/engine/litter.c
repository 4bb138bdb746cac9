#include "engine/litter.h"

#include <string.h>

#include "base/fs.h"
#include "base/path.h"
#include "repo/agreement.h"
#include "repo/storage.h"

static const int64_t LEAST_GRACE_NS = INT64_C(60) * 1000 * 1000 * 1000;

typedef struct sweep {
    int dir;
    bool (*unfinished)(const char *name); /* NULL: all are */
    int64_t before_ns; /* what was touched since is not old */
    bool dry_run;
    lrb_litter_gone gone;
} sweep;

static int64_t before(int64_t now_ns, int64_t wait_ns) {
    return now_ns - (wait_ns > LEAST_GRACE_NS ? wait_ns : LEAST_GRACE_NS);
}

/* A file whose time lies in the future is not old, and what cannot be looked at is left alone. */
static bool is_old(const sweep *self, int fd, uint64_t *bytes) {
    lrb_identity identity;
    lrb_err ignored;
    if (lrb_fs_identify(fd, &identity, &ignored)) return false;
    *bytes = identity.size_bytes;
    return identity.mtime_ns < self->before_ns;
}

static bool has_dot(const char *name) {
    return strchr(name, '.');
}

static int remove_one(void *arg, const char *name, lrb_err *err) {
    sweep *self = arg;
    int fd;
    bool taken = false;
    uint64_t bytes;
    lrb_err ignored; /* gone meanwhile, or no regular file */
    if (self->unfinished && !self->unfinished(name)) return LRB_OK;
    if (lrb_fs_open_read(self->dir, name, &fd, &ignored)) return LRB_OK;
    int code = LRB_OK;
    if (is_old(self, fd, &bytes) && !lrb_fs_try_lock(fd, &taken, &ignored) && taken) {
        if (!self->dry_run) code = lrb_fs_unlink(self->dir, name, err);
        if (!code) self->gone.files++, self->gone.bytes += bytes;
    }
    lrb_fs_close(fd);
    return code;
}

static int sweep_both(sweep *self, int tmp, int cache, lrb_err *err) {
    self->dir = tmp;
    self->unfinished = NULL;
    int code = tmp < 0 ? LRB_OK : lrb_fs_list(tmp, remove_one, self, "tmp", err);
    self->dir = cache;
    self->unfinished = has_dot;
    return code || cache < 0 ? code : lrb_fs_list(cache, remove_one, self, "cache", err);
}

int lrb_litter_remove(lrb_repo *repo, int64_t now_ns, int64_t wait_ns, bool dry_run, uint64_t *removed, lrb_err *err) {
    sweep self = {.before_ns = before(now_ns, wait_ns), .dry_run = dry_run};
    int code = sweep_both(&self, lrb_repo_tmp_dir(repo), lrb_repo_cache_dir(repo), err);
    *removed = self.gone.files;
    return code;
}

/* ---- of a graph nobody has open ---- */

static int open_if_there(int graph, const char *name, int *fd, lrb_err *err) {
    int code = lrb_storage_subdir(graph, name, false, fd, err);
    if (code != LRB_E_NOT_FOUND) return code;
    lrb_err_clear(err);
    *fd = -1;
    return LRB_OK;
}

static int sweep_graph(sweep *self, int graph, lrb_err *err) {
    int tmp = -1, cache = -1;
    lrb_fs_nature nature;
    int code = lrb_fs_look_at_nature(graph, &nature, err);
    if (!code && nature.locks) code = open_if_there(graph, "tmp", &tmp, err);
    if (!code && nature.locks) code = open_if_there(graph, "cache", &cache, err);
    if (!code) code = sweep_both(self, tmp, cache, err);
    lrb_fs_close(cache);
    lrb_fs_close(tmp);
    return code;
}

static int sweep_beside_graphs(sweep *self, int graphs, lrb_err *err) {
    self->dir = graphs;
    self->unfinished = lrb_agreement_is_aside;
    return lrb_fs_list(graphs, remove_one, self, "graphs", err);
}

int lrb_litter_reclaim(const char *storage_path, const char *graph_id, int64_t now_ns, int64_t wait_ns,
                       lrb_litter_gone *gone, lrb_err *err) {
    sweep self = {.before_ns = before(now_ns, wait_ns)};
    int graphs = -1, graph = -1;
    *gone = self.gone;
    if (graph_id && !lrb_graph_id_valid(graph_id))
        return lrb_err_set(err, LRB_E_INVALID, "reclaim", graph_id, "this is no graph's id");
    int code = lrb_storage_open(storage_path, false, &graphs, err);
    if (!code && graph_id) code = lrb_storage_subdir(graphs, graph_id, false, &graph, err);
    if (!code) code = graph_id ? sweep_graph(&self, graph, err) : sweep_beside_graphs(&self, graphs, err);
    *gone = self.gone;
    lrb_fs_close(graph);
    lrb_fs_close(graphs);
    return code;
}
