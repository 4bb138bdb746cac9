/* The world itself, and what is done to it. */
#include "world_private.h"

#include "small_graph.h"
#include "vector_file.h"

const lrb_key *world_key;

/* ---- the world itself ---- */

void world_open(world *w) {
    const char *tmp = getenv("TMPDIR");
    lrb_err err;
    memset(w, 0, sizeof *w);
    w->restored_at = SIZE_MAX;
    snprintf(w->root, sizeof w->root, "%s/lrb-world-XXXXXX", tmp && strlen(tmp) < 100 ? tmp : "/tmp");
    must(mkdtemp(w->root), w->root);
    snprintf(w->source, sizeof w->source, "%s/source", w->root);
    snprintf(w->storage, sizeof w->storage, "%s/storage", w->root);
    snprintf(w->truth, sizeof w->truth, "%s/truth", w->root);
    must(!mkdir(w->source, 0755) && !mkdir(w->truth, 0755), w->root);
    must(!lrb_worker_init(&w->workers[0], 0, &err) && !lrb_worker_init(&w->workers[1], 1, &err), "worker");
    world_change(w, 0);
}

void world_close(world *w) {
    lrb_worker_clear(&w->workers[0]);
    lrb_worker_clear(&w->workers[1]);
    world_remove_tree(w->root);
}

void world_forget(world *w, const world *saved) {
    memcpy(w->runs, saved->runs, sizeof w->runs);
    w->run_count = saved->run_count;
}

void world_save(const world *w, const char *name) {
    char path[512];
    fixture_path(path, w->root, name);
    world_copy_tree(w->storage, path);
}

/* Stored objects are never written to again, so a second name is as good as a copy. */
void world_load(world *w, const char *name) {
    char path[512];
    fixture_path(path, w->root, name);
    world_remove_tree(w->storage);
    seam_rest();
    world_copy_tree_as(path, w->storage, true);
    seam_wake();
}

static void write_text(const char *dir, const char *name, unsigned turn) {
    char path[512];
    fixture_path(path, dir, name);
    FILE *file = fopen(path, "w");
    for (unsigned i = 0; i < 40; i++) fprintf(file, "line %u of turn %u\n", i, i % 7 ? turn : 0);
    fclose(file);
}

static void write_bytes(const char *dir, const char *name, const void *bytes, size_t count) {
    char path[512];
    fixture_path(path, dir, name);
    FILE *file = fopen(path, "w");
    must(file && fwrite(bytes, 1, count, file) == count, path);
    fclose(file);
}

/* A graph that fits together, and vectors enough to be stored as such, one more every turn. */
static void change_graph(world *w, unsigned turn) {
    vector_file f = vector_file_of(16, 150 + turn);
    write_bytes(w->source, "vectors.json", f.bytes.data, f.bytes.length);
    lrb_buf_clear(&f.bytes);
    for (int i = 0; i < SMALL_FILES && !turn; i++) write_bytes(w->source, SMALL_GRAPH[i].name, SMALL_GRAPH[i].text, strlen(SMALL_GRAPH[i].text));
}

/* "big" is there every third turn and makes the pack of that turn mostly dead once it is gone. */
void world_change(world *w, unsigned turn) {
    char path[512];
    fixture_path(path, w->source, "deep");
    mkdir(path, 0750);
    if (w->graph) change_graph(w, turn);
    write_text(w->source, "text", turn);
    fixture_write(w->source, "noise", 500 + turn, turn);
    fixture_write(w->source, "deep/still", 50000, 7);
    fixture_path(path, w->source, "link");
    unlink(path);
    must(!symlink(turn % 2 ? "text" : "deep/still", path), path);
    fixture_path(path, w->source, "big");
    if (turn % 3 == 0) fixture_write(w->source, "big", 120000, turn);
    else unlink(path);
    fixture_path(path, w->source, "deep/empty");
    if (turn % 2) unlink(path);
    else fixture_write(w->source, "deep/empty", 0, 0);
}

/* ---- what is done to it ---- */

/* A log that is damaged would be read as far as it is intact; here that is a failure. */
int world_open_repo(const char *storage, bool create, lrb_repo **repo, lrb_err *err) {
    int code = lrb_repo_open_with(storage, "g", create, world_key, repo, err);
    if (code || !(code = lrb_repo_check_whole(*repo, err))) return code;
    lrb_repo_close(*repo);
    *repo = NULL;
    return code;
}

static int backup_with(world *w, lrb_repo *repo, int run, lrb_err *err) {
    char metadata[40];
    lrb_source *source;
    lrb_job *job;
    snprintf(metadata, sizeof metadata, "{\"run\":%d}", run);
    lrb_backup_options options = fixture_options();
    lrb_validation_options judged = {.workspace = ""};
    options.metadata = metadata;
    if (w->graph) options.validate = &judged;
    int code = fixture_list(w->source, &source, err);
    if (!code) code = lrb_backup_new(repo, source, &options, &job, err);
    if (code) return code;
    lrb_job_run(job, &w->workers[w->within]);
    *err = job->err;
    if (!(code = err->code)) memcpy(w->runs[run].id, lrb_backup_result(job)->snapshot_id, LRB_SNAPSHOT_ID_MAX);
    lrb_job_free(job);
    return code;
}

int world_backup(world *w, lrb_repo *repo, int *run_out, lrb_err *err) {
    lrb_repo *own = NULL;
    char number[16], path[512];
    must(w->run_count < WORLD_RUNS, "runs");
    int run = *run_out = w->run_count++;
    snprintf(number, sizeof number, "%d", run);
    fixture_path(path, w->truth, number);
    if (access(path, F_OK) == 0) world_remove_tree(path);
    world_copy_tree(w->source, path);
    w->runs[run] = (world_run){.begun = true};
    int code = repo ? LRB_OK : world_open_repo(w->storage, true, &own, err);
    if (!code) code = backup_with(w, repo ? repo : own, run, err);
    lrb_repo_close(own);
    w->runs[run].made = !code;
    return code;
}

int world_drop(world *w, int run, lrb_err *err) {
    lrb_repo *repo;
    bool dropped = false;
    const char *id = w->runs[run].id;
    int code = world_open_repo(w->storage, false, &repo, err);
    if (code) return code;
    w->runs[run].dropping = true;
    code = lrb_lifetime_drop(repo, &id, 1, "test", &dropped, err);
    if (!code && !dropped) w->runs[run].dropping = false;
    lrb_repo_close(repo);
    return code;
}

int world_hold(world *w, int run, bool hold, lrb_err *err) {
    lrb_repo *repo;
    bool changed;
    int code = world_open_repo(w->storage, false, &repo, err);
    if (code) return code;
    code = (hold ? lrb_lifetime_hold : lrb_lifetime_release)(repo, w->runs[run].id, "test", &changed, err);
    lrb_repo_close(repo);
    return code;
}

int world_run_job(world *w, lrb_job *job, lrb_err *err) {
    lrb_job_run(job, &w->workers[w->within]);
    *err = job->err;
    return err->code;
}

int world_prune_in(world *w, const char *storage, int64_t wait_ns, bool dry_run, lrb_prune_outcome *out, lrb_err *err) {
    lrb_prune_options options = {.wait_ns = wait_ns, .dry_run = dry_run, .repack = true};
    lrb_repo *repo;
    lrb_job *job;
    int code = world_open_repo(storage, false, &repo, err);
    if (code) return code;
    if (!(code = lrb_prune_new(repo, &options, &job, err))) {
        code = world_run_job(w, job, err);
        *out = *lrb_prune_result(job);
        lrb_job_free(job);
    }
    lrb_repo_close(repo);
    return code;
}

int world_prune(world *w, int64_t wait_ns, lrb_err *err) {
    lrb_prune_outcome out;
    return world_prune_in(w, w->storage, wait_ns, false, &out, err);
}

int world_verify_with(world *w, lrb_repo *repo, uint64_t *findings, bool mark, lrb_finding *first, lrb_err *err) {
    lrb_job *job;
    uint64_t objects, chunks, bytes;
    int code = lrb_verify_new(repo, NULL, LRB_VERIFY_DIGESTS, mark, &job, err);
    if (code) return code;
    if (!(code = world_run_job(w, job, err))) lrb_verify_totals(job, &objects, &chunks, &bytes, findings);
    if (!code && *findings && first) *first = *lrb_verify_finding_at(job, 0);
    lrb_job_free(job);
    return code;
}

int world_verify(world *w, const char *storage, uint64_t *findings, bool mark, lrb_err *err) {
    lrb_repo *repo;
    int code = world_open_repo(storage, false, &repo, err);
    if (code) return code;
    code = world_verify_with(w, repo, findings, mark, NULL, err);
    lrb_repo_close(repo);
    return code;
}
