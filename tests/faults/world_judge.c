/* Judging: whether a repository is what was promised, and a directory what its source was. */
#include "world_private.h"

#include <dirent.h>
#include <stdarg.h>

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
    int code = world_restore_into(w, repo, id, &options, &list, &err);
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
    if (world_verify_with(w, repo, &findings, false, &first, &err)) return say("verify fails: %s: %s", err.target, err.message);
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
    int code = world_prune_in(w, storage, 0, false, &out, &err);
    if (!code) code = world_prune_in(w, storage, 0, true, &again, &err);
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
    int code = world_open_repo(storage, true, &repo, &err);
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
    int code = world_open_repo(storage, false, &repo, &err);
    if (code == LRB_E_NOT_FOUND && demand->maybe_absent) return demand->deep ? judge_next_run(w, storage) : "";
    if (code) return say("it does not open: %s: %s: %s", lrb_code_symbol(code), err.target, err.message);
    const char *wrong = judge_open(w, repo, demand);
    lrb_repo_close(repo);
    if (*wrong || !demand->deep) return wrong;
    if (*(wrong = judge_cleaning(w, storage))) return wrong;
    if (*(wrong = judge_next_run(w, storage))) return wrong;
    world_demand shallow = {.since = demand->since};
    if ((code = world_open_repo(storage, false, &repo, &err))) return say("it does not open again: %s", err.message);
    w->run_count++; /* the run just made is judged as well */
    wrong = judge_open(w, repo, &shallow);
    w->run_count--;
    lrb_repo_close(repo);
    return wrong;
}
