/* Restoring, as lightrag_bkp/restoring/restore.py does it. */
#include "world_private.h"

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
    int code = world_run_job(w, job, err);
    *list = code ? NULL : lrb_restore_take(job);
    lrb_job_free(job);
    return code;
}

int world_restore_into(world *w, lrb_repo *repo, const char *id, const lrb_restore_stage_options *options, lrb_restore_list **list,
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
    int code = world_open_repo(storage, false, &repo, err);
    if (code) return code;
    if (lrb_fs_open_dir(AT_FDCWD, target, &compare, &ignored)) compare = -1;
    lrb_restore_stage_options options = {.staging_dir = staging, .compare_dir = compare, .durable = true};
    options.keep = !whole ? LRB_KEEP_SAME : compare >= 0 ? LRB_KEEP_LINKED : LRB_KEEP_NOTHING;
    code = world_restore_into(w, repo, id, &options, &list, err);
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
