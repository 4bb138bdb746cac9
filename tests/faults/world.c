#include "world.h"

#include <dirent.h>
#include <stdarg.h>
#include <time.h>

#include "check.h"
#include "restoring.h"
#include "small_graph.h"
#include "vector_file.h"

const lrb_key *world_key;

/* What the harness itself needs and does not test. */
static void must(bool ok, const char *what) {
    if (ok) return;
    perror(what);
    abort();
}

/* ---- trees ---- */

static void copy_file(const char *from, const char *to, const struct stat *st) {
    int in = open(from, O_RDONLY | O_NOFOLLOW), out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0600);
    static uint8_t bytes[1 << 16];
    must(in >= 0 && out >= 0, from);
    for (ssize_t got; (got = read(in, bytes, sizeof bytes)) > 0;) must(write(out, bytes, (size_t)got) == got, to);
    must(!fchmod(out, st->st_mode & 07777) && !futimens(out, (struct timespec[2]){st->st_atim, st->st_mtim}), to);
    close(in);
    close(out);
}

static void copy_tree(const char *from, const char *to, bool by_links) {
    struct stat st;
    char text[512] = "";
    must(!lstat(from, &st), from);
    struct timespec times[2] = {st.st_atim, st.st_mtim};
    if (S_ISREG(st.st_mode) && by_links) {
        must(!link(from, to), to);
    } else if (S_ISREG(st.st_mode)) {
        copy_file(from, to, &st);
    } else if (S_ISLNK(st.st_mode)) {
        must(readlink(from, text, sizeof text - 1) > 0 && !symlink(text, to), to);
        utimensat(AT_FDCWD, to, times, AT_SYMLINK_NOFOLLOW);
    } else if (S_ISDIR(st.st_mode)) {
        must(!mkdir(to, 0700), to);
        DIR *dir = opendir(from);
        for (struct dirent *entry; (entry = readdir(dir));) {
            char a[512], b[512];
            if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
            fixture_path(a, from, entry->d_name);
            fixture_path(b, to, entry->d_name);
            copy_tree(a, b, by_links);
        }
        closedir(dir);
        must(!chmod(to, st.st_mode & 07777) && !utimensat(AT_FDCWD, to, times, 0), to);
    }
}

void world_copy_tree(const char *from, const char *to) {
    seam_rest();
    copy_tree(from, to, false);
    seam_wake();
}

void world_remove_tree(const char *path) {
    lrb_err err;
    seam_rest();
    if (lrb_fs_remove_tree(AT_FDCWD, path, &err)) printf("left behind: %s: %s\n", path, err.message), abort();
    seam_wake();
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t count) {
    const uint8_t *at = bytes;
    for (size_t i = 0; i < count; i++) hash = (hash ^ at[i]) * 0x100000001b3u;
    return hash ^ hash >> 31;
}

static uint64_t hash_file(uint64_t hash, const char *path) {
    static uint8_t bytes[1 << 16];
    uint64_t word;
    int fd = open(path, O_RDONLY | O_NOFOLLOW);
    for (ssize_t got; (got = read(fd, bytes, sizeof bytes)) > 0;) {
        ssize_t at = 0;
        for (; at + 8 <= got; at += 8) memcpy(&word, bytes + at, 8), hash = (hash ^ word) * 0x9e3779b97f4a7c15u, hash ^= hash >> 29;
        hash = mix(hash, bytes + at, (size_t)(got - at));
    }
    close(fd);
    return hash;
}

static uint64_t hash_tree(const char *path) {
    struct stat st;
    char text[512] = "", below[512];
    uint64_t total = 0xcbf29ce484222325u;
    if (lstat(path, &st)) return 0;
    total = mix(total, &st.st_mode, sizeof st.st_mode);
    if (S_ISREG(st.st_mode)) return hash_file(total, path);
    if (S_ISLNK(st.st_mode)) return mix(total, text, (size_t)readlink(path, text, sizeof text - 1));
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        fixture_path(below, path, entry->d_name);
        uint64_t child = hash_tree(below);
        total += mix(mix(0x9e3779b97f4a7c15u, &child, sizeof child), entry->d_name, strlen(entry->d_name));
    }
    if (dir) closedir(dir);
    return total * 0xc4ceb9fe1a85ec53u;
}

uint64_t world_hash(const char *path) {
    seam_rest();
    uint64_t hash = hash_tree(path);
    seam_wake();
    return hash;
}

static int64_t still(clockid_t clock, int64_t real_ns) {
    static int64_t began[2];
    int64_t *at = &began[clock == CLOCK_REALTIME];
    if (!*at) *at = real_ns;
    return *at;
}

void world_repeat(uint64_t seed) {
    seam.random_from_seed = true;
    seam.seed = seed;
    seam.clock = still;
}

int world_descriptors(void) {
    return count_entries("/proc/self/fd");
}

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
    copy_tree(path, w->storage, true);
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
static int open_repo(const char *storage, bool create, lrb_repo **repo, lrb_err *err) {
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
    int code = repo ? LRB_OK : open_repo(w->storage, true, &own, err);
    if (!code) code = backup_with(w, repo ? repo : own, run, err);
    lrb_repo_close(own);
    w->runs[run].made = !code;
    return code;
}

int world_drop(world *w, int run, lrb_err *err) {
    lrb_repo *repo;
    bool dropped = false;
    const char *id = w->runs[run].id;
    int code = open_repo(w->storage, false, &repo, err);
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
    int code = open_repo(w->storage, false, &repo, err);
    if (code) return code;
    code = (hold ? lrb_lifetime_hold : lrb_lifetime_release)(repo, w->runs[run].id, "test", &changed, err);
    lrb_repo_close(repo);
    return code;
}

static int run_job(world *w, lrb_job *job, lrb_err *err) {
    lrb_job_run(job, &w->workers[w->within]);
    *err = job->err;
    return err->code;
}

static int prune_in(world *w, const char *storage, int64_t wait_ns, bool dry_run, lrb_prune_outcome *out, lrb_err *err) {
    lrb_prune_options options = {.wait_ns = wait_ns, .dry_run = dry_run, .repack = true};
    lrb_repo *repo;
    lrb_job *job;
    int code = open_repo(storage, false, &repo, err);
    if (code) return code;
    if (!(code = lrb_prune_new(repo, &options, &job, err))) {
        code = run_job(w, job, err);
        *out = *lrb_prune_result(job);
        lrb_job_free(job);
    }
    lrb_repo_close(repo);
    return code;
}

int world_prune(world *w, int64_t wait_ns, lrb_err *err) {
    lrb_prune_outcome out;
    return prune_in(w, w->storage, wait_ns, false, &out, err);
}

static int verify_with(world *w, lrb_repo *repo, uint64_t *findings, bool mark, lrb_finding *first, lrb_err *err) {
    lrb_job *job;
    uint64_t objects, chunks, bytes;
    int code = lrb_verify_new(repo, NULL, LRB_VERIFY_DIGESTS, mark, &job, err);
    if (code) return code;
    if (!(code = run_job(w, job, err))) lrb_verify_totals(job, &objects, &chunks, &bytes, findings);
    if (!code && *findings && first) *first = *lrb_verify_finding_at(job, 0);
    lrb_job_free(job);
    return code;
}

int world_verify(world *w, const char *storage, uint64_t *findings, bool mark, lrb_err *err) {
    lrb_repo *repo;
    int code = open_repo(storage, false, &repo, err);
    if (code) return code;
    code = verify_with(w, repo, findings, mark, NULL, err);
    lrb_repo_close(repo);
    return code;
}

/* ---- restoring, as lightrag_bkp/restoring/restore.py does it ---- */

typedef struct name_list {
    char *at[64];
    size_t count;
} name_list;

static bool listed(const name_list *names, const char *name) {
    for (size_t i = 0; i < names->count; i++)
        if (!strcmp(names->at[i], name)) return true;
    return false;
}

static void add_name(name_list *names, const char *name) {
    must(names->count < 64, "names");
    names->at[names->count++] = strdup(name);
}

/* Everything below the target but what is ours, and but "another", which stands for another workspace. */
static void list_present(const char *target, const char *prefix, name_list *into) {
    char path[512], name[512];
    fixture_path(path, target, prefix);
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.' || !strcmp(entry->d_name, "another")) continue;
        snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "/" : "", entry->d_name);
        add_name(into, name);
        if (entry->d_type == DT_DIR) list_present(target, name, into);
    }
    if (dir) closedir(dir);
}

static void free_names(name_list *names) {
    while (names->count) free(names->at[--names->count]);
}

static int compare_names(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Runs a job of a restore and takes its list; the job is gone then. */
static int run_restore(world *w, lrb_job *job, lrb_restore_list **list, lrb_err *err) {
    int code = run_job(w, job, err);
    *list = code ? NULL : lrb_restore_take(job);
    lrb_job_free(job);
    return code;
}

static int restore_into(world *w, lrb_repo *repo, const char *id, const lrb_restore_stage_options *options, lrb_restore_list **list,
                        lrb_err *err) {
    lrb_restore_plan_options plan = {.snapshot_id = id, .compare_dir = options->compare_dir};
    lrb_job *job;
    *list = NULL;
    int code = lrb_restore_plan(repo, &plan, &job, err);
    if (!code) code = run_restore(w, job, list, err);
    if (code) return code;
    code = lrb_restore_stage(repo, *list, options, &job, err);
    *list = NULL;
    return code ? code : run_restore(w, job, list, err);
}

static int stage_items(world *w, const char *storage, const char *id, int staging, const char *target, bool whole, name_list *put,
                       name_list *removed, lrb_err *err) {
    lrb_repo *repo;
    lrb_restore_list *list;
    name_list present = {0}, items = {0};
    int compare = -1;
    lrb_err ignored;
    int code = open_repo(storage, false, &repo, err);
    if (code) return code;
    if (lrb_fs_open_dir(AT_FDCWD, target, &compare, &ignored)) compare = -1;
    lrb_restore_stage_options options = {.staging_dir = staging, .compare_dir = compare, .durable = true};
    options.keep = !whole ? LRB_KEEP_SAME : compare >= 0 ? LRB_KEEP_LINKED : LRB_KEEP_NOTHING;
    code = restore_into(w, repo, id, &options, &list, err);
    for (size_t i = 0; !code && i < lrb_restore_list_count(list); i++) {
        add_name(&items, lrb_restore_list_at(list, i)->name);
        if (lrb_restore_list_at(list, i)->staged) add_name(put, lrb_restore_list_at(list, i)->name);
    }
    seam_rest();
    if (!code) list_present(target, "", &present);
    seam_wake();
    for (size_t i = 0; i < present.count; i++)
        if (!listed(&items, present.at[i])) add_name(removed, present.at[i]);
    qsort(removed->at, removed->count, sizeof *removed->at, compare_names);
    free_names(&present);
    free_names(&items);
    lrb_restore_list_free(list);
    lrb_fs_close(compare);
    lrb_repo_close(repo);
    return code;
}

int world_restore(world *w, const char *storage, const char *id, const char *target, bool shared, lrb_err *err) {
    lrb_publish_way way;
    char staging[LRB_PATH_MAX];
    int fd;
    bool finished;
    lrb_err later;
    name_list put = {0}, removed = {0};
    int code = lrb_publish_finish(target, &finished, err);
    if (!code) code = lrb_publish_choose(target, shared, &way, err);
    if (!code) code = lrb_publish_stage(target, way, staging, &fd, err);
    if (code) return code;
    code = stage_items(w, storage, id, fd, target, way != LRB_PUBLISH_JOURNAL, &put, &removed, err);
    bool committing = !code;
    if (!code)
        code = lrb_publish_commit(target, way, staging, (const char *const *)put.at, put.count, (const char *const *)removed.at,
                                  removed.count, err);
    if (!committing) (void)lrb_publish_abandon(target, way, staging, &later);
    lrb_fs_close(fd);
    if (committing && code) (void)lrb_publish_finish(target, &finished, &later);
    free_names(&put);
    free_names(&removed);
    return code;
}

/* ---- judging ---- */

int world_run_of(const lrb_snapshot *snapshot) {
    int run;
    return snapshot->metadata && sscanf(snapshot->metadata, "{\"run\":%d}", &run) == 1 ? run : -1;
}

static unsigned children(const char *path) {
    unsigned count = 0;
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        count += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") && strcmp(entry->d_name, "another");
    if (dir) closedir(dir);
    return count;
}

static bool same(const char *a, const char *b, bool times);

static bool same_children(const char *a, const char *b, bool times) {
    bool is = children(a) == children(b);
    DIR *dir = opendir(a);
    for (struct dirent *entry; is && dir && (entry = readdir(dir));) {
        char x[512], y[512];
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        fixture_path(x, a, entry->d_name);
        fixture_path(y, b, entry->d_name);
        is = same(x, y, times);
    }
    if (dir) closedir(dir);
    return is;
}

static bool same(const char *a, const char *b, bool times) {
    struct stat p, q;
    char left[512] = "", right[512] = "";
    if (lstat(a, &p) || lstat(b, &q) || p.st_mode != q.st_mode) return false;
    if (times && !S_ISLNK(p.st_mode) && (p.st_mtim.tv_sec != q.st_mtim.tv_sec || p.st_mtim.tv_nsec != q.st_mtim.tv_nsec)) return false;
    if (S_ISDIR(p.st_mode)) return same_children(a, b, times);
    if (S_ISREG(p.st_mode)) return same_file(a, b);
    return readlink(a, left, sizeof left - 1) > 0 && readlink(b, right, sizeof right - 1) > 0 && !strcmp(left, right);
}

bool world_is_run(const world *w, int run, const char *directory, bool times) {
    char number[16], path[512];
    snprintf(number, sizeof number, "%d", run);
    fixture_path(path, w->truth, number);
    return same_children(path, directory, times);
}

static char said[1024];

static const char *say(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(said, sizeof said, format, args);
    va_end(args);
    return said;
}

/* Into a plain directory: how it is put in place is another matter. */
static const char *judge_snapshot(world *w, lrb_repo *repo, const char *id, int run) {
    char into[512];
    lrb_restore_list *list;
    lrb_err err;
    int fd;
    fixture_path(into, w->root, "judged");
    must(!mkdir(into, 0700), into);
    fd = open(into, O_RDONLY | O_DIRECTORY);
    lrb_restore_stage_options options = {.staging_dir = fd, .compare_dir = -1};
    int code = restore_into(w, repo, id, &options, &list, &err);
    lrb_restore_list_free(list);
    close(fd);
    const char *wrong = code                            ? say("run %d does not restore: %s: %s", run, err.target, err.message)
                        : !world_is_run(w, run, into, true) ? say("run %d comes back with other bytes", run)
                                                        : "";
    world_remove_tree(into);
    return wrong;
}

static const char *judge_snapshots(world *w, lrb_repo *repo, const world_demand *demand) {
    bool there[WORLD_RUNS] = {false};
    char ids[WORLD_RUNS][LRB_SNAPSHOT_ID_MAX];
    const char *wrong = "";
    const lrb_state *state = lrb_repo_begin_read(repo);
    for (size_t i = 0; i < state->snapshot_count && !*wrong; i++) {
        int run = world_run_of(&state->snapshots[i]);
        if (run < 0 || run >= w->run_count) wrong = say("snapshot %s is of no run", state->snapshots[i].id);
        else if (there[run]) wrong = say("run %d is there twice", run);
        else there[run] = true, memcpy(ids[run], state->snapshots[i].id, sizeof ids[run]);
    }
    lrb_repo_end_read(repo);
    for (int run = 0; run < w->run_count && !*wrong; run++) {
        const world_run *is = &w->runs[run];
        if (is->made && !is->dropping && is->made_at <= demand->since && !there[run]) wrong = say("run %d was committed and is not there", run);
        if (there[run] && !*wrong) wrong = judge_snapshot(w, repo, ids[run], run);
    }
    return wrong;
}

static const char *judge_open(world *w, lrb_repo *repo, const world_demand *demand) {
    uint64_t findings = 0;
    lrb_finding first;
    lrb_err err;
    if (lrb_repo_alarm(repo)) return say("false alarm: %s", lrb_repo_alarm(repo));
    const char *wrong = judge_snapshots(w, repo, demand);
    if (*wrong) return wrong;
    if (verify_with(w, repo, &findings, false, &first, &err)) return say("verify fails: %s: %s", err.target, err.message);
    return findings ? say("verify finds %s: %s", first.object, first.message) : "";
}

static unsigned files_in(const char *storage, const char *below, bool dotted_only) {
    char path[512];
    unsigned count = 0;
    snprintf(path, sizeof path, "%s/graphs/g/%s", storage, below);
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        count += entry->d_name[0] != '.' && (!dotted_only || strchr(entry->d_name, '.'));
    if (dir) closedir(dir);
    return count;
}

static int64_t two_hours_later(clockid_t clock, int64_t real_ns) {
    return clock == CLOCK_REALTIME ? real_ns + INT64_C(7200) * 1000000000 : real_ns;
}

/* Two prunes: one that finds garbage and leaves none, and one that finds nothing. */
static const char *judge_cleaning(world *w, const char *storage) {
    lrb_prune_outcome out, again;
    lrb_err err;
    int64_t (*clock)(clockid_t, int64_t) = seam.clock;
    seam.clock = two_hours_later; /* younger litter is left alone */
    int code = prune_in(w, storage, 0, false, &out, &err);
    if (!code) code = prune_in(w, storage, 0, true, &again, &err);
    seam.clock = clock;
    if (code) return say("prune fails: %s: %s", err.target, err.message);
    if (again.packs_retired || again.packs_swept || again.bytes_freed) return say("prune leaves garbage in packs/");
    if (files_in(storage, "tmp", false)) return say("prune leaves litter in tmp/");
    if (files_in(storage, "cache", true)) return say("prune leaves litter in cache/");
    return "";
}

static const char *judge_next_run(world *w, const char *storage) {
    lrb_repo *repo;
    lrb_err err;
    int run;
    int code = open_repo(storage, true, &repo, &err);
    if (code) return say("the repository cannot be opened for the next run: %s: %s", err.target, err.message);
    code = world_backup(w, repo, &run, &err);
    const char *wrong = code ? say("the next run fails: %s: %s", err.target, err.message) : judge_snapshot(w, repo, w->runs[run].id, run);
    lrb_repo_close(repo);
    w->run_count--;
    return wrong;
}

const char *world_judge(world *w, const char *storage, const world_demand *demand) {
    lrb_repo *repo;
    lrb_err err;
    int code = open_repo(storage, false, &repo, &err);
    if (code == LRB_E_NOT_FOUND && demand->maybe_absent) return demand->deep ? judge_next_run(w, storage) : "";
    if (code) return say("it does not open: %s: %s: %s", lrb_code_symbol(code), err.target, err.message);
    const char *wrong = judge_open(w, repo, demand);
    lrb_repo_close(repo);
    if (*wrong || !demand->deep) return wrong;
    if (*(wrong = judge_cleaning(w, storage))) return wrong;
    if (*(wrong = judge_next_run(w, storage))) return wrong;
    world_demand shallow = {.since = demand->since};
    if ((code = open_repo(storage, false, &repo, &err))) return say("it does not open again: %s", err.message);
    w->run_count++; /* the run just made is judged as well */
    wrong = judge_open(w, repo, &shallow);
    w->run_count--;
    lrb_repo_close(repo);
    return wrong;
}
