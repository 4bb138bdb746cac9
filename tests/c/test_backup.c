/* The backup job from end to end: what comes back is what was there, and what is known is not stored again. */
#include "engine/backup.h"

#include <dirent.h>
#include <sys/stat.h>

#include "check.h"
#include "engine/mailbox.h"
#include "engine/pool.h"
#include "fixture.h"

/* The one item of this name in a snapshot, compared with the file byte for byte. */
static int compare_bytes(lrb_repo *repo, lrb_worker *worker, const lrb_row *root, const char *path, lrb_err *err) {
    lrb_repo_reader reader = {repo, worker->coder};
    lrb_recipe_walker *walker;
    FILE *file = fopen(path, "rb");
    if (!file) return lrb_err_sys(err, 2, "open", path);
    int code = lrb_recipe_walker_new(root, lrb_repo_fetch, &reader, &walker, err);
    bool done = root->kind == LRB_CHUNK_NONE;
    uint8_t *there = malloc(LRB_CONTENT_MAX_BYTES);
    while (!code && !done) {
        lrb_row row;
        if ((code = lrb_recipe_walker_next(walker, false, &row, &done, err)) || done) break;
        code = lrb_repo_read(repo, &row.id, row.kind, true, worker->coder, &worker->content, err);
        if (!code && (fread(there, 1, row.count, file) != row.count || worker->content.length != row.count || memcmp(there, worker->content.data, row.count)))
            code = lrb_err_set(err, LRB_E_INTERNAL, "compare", path, "the bytes differ");
    }
    if (!code && fgetc(file) != EOF) code = lrb_err_set(err, LRB_E_INTERNAL, "compare", path, "the stored item is shorter");
    free(there);
    fclose(file);
    lrb_recipe_walker_free(walker);
    return code;
}

/* Every regular item of the newest snapshot equals its file; *items counts all records of items. */
static int compare_all(fixture *f, lrb_repo *repo, size_t *items, lrb_err *err) {
    const lrb_state *state = lrb_repo_begin_read(repo);
    lrb_row root = state->snapshots[state->snapshot_count - 1].body_root;
    lrb_repo_end_read(repo);
    lrb_worker worker;
    if (lrb_worker_init(&worker, 1, err)) return err->code;
    lrb_repo_reader reader = {repo, worker.coder};
    lrb_body_reader *body;
    int code = lrb_body_reader_new(&root, lrb_repo_fetch, &reader, &body, err);
    bool done = false;
    *items = 0;
    while (!code) {
        lrb_body_record record;
        char path[1024];
        if ((code = lrb_body_reader_next(body, &record, &done, err)) || done) break;
        if (record.type != LRB_BODY_ITEM) continue;
        ++*items;
        snprintf(path, sizeof path, "%s/%.*s", f->source, (int)record.item.name_length, record.item.name);
        if (record.item.type == LRB_FILE_REGULAR) code = compare_bytes(repo, &f->worker, &record.item.root, path, err);
    }
    lrb_body_reader_free(body);
    lrb_worker_clear(&worker);
    return code;
}

static void make_source(const fixture *f) {
    char path[512];
    fixture_write(f->source, "empty", 0, 1);
    fixture_write(f->source, "small", 1000, 2);
    fixture_write(f->source, "chunked", 900 << 10, 3);
    fixture_write(f->source, "big", (5 << 20) + 17, 4);
    fixture_path(path, f->source, "below");
    mkdir(path, 0750);
    fixture_write(path, "inner", 70000, 5);
    fixture_path(path, f->source, "link");
    if (symlink("small", path)) perror("symlink");
}

static size_t count_files(const fixture *f, const char *sub) {
    char path[512];
    snprintf(path, sizeof path, "%s/graphs/g/%s", f->storage, sub);
    DIR *dir = opendir(path);
    size_t count = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));) count += entry->d_name[0] != '.';
    if (dir) closedir(dir);
    return count;
}

TEST(everything_comes_back) {
    fixture f;
    lrb_err err;
    lrb_repo *repo;
    lrb_backup_outcome outcome;
    size_t items;
    fixture_open(&f);
    make_source(&f);
    CHECK_OK(lrb_repo_open(f.storage, "g", true, &repo, &err));
    CHECK_OK(fixture_backup(&f, repo, &outcome, &err));
    CHECK_OK(compare_all(&f, repo, &items, &err));
    CHECK(items == 7);
    CHECK(outcome.number == 1);
    CHECK(outcome.items_encoded == 7 && outcome.items_reused == 0);
    CHECK(outcome.stored_bytes > (5 << 20) && outcome.stored_bytes < (7 << 20));
    CHECK(count_files(&f, "tmp") == 0);
    lrb_repo_close(repo);
    CHECK_OK(lrb_repo_open(f.storage, "g", false, &repo, &err));
    CHECK_OK(compare_all(&f, repo, &items, &err));
    lrb_repo_close(repo);
    fixture_close(&f);
}

TEST(unchanged_adds_one_small_entry) {
    fixture f;
    lrb_err err;
    lrb_repo *repo;
    lrb_backup_outcome first, second, third;
    fixture_open(&f);
    make_source(&f);
    CHECK_OK(lrb_repo_open(f.storage, "g", true, &repo, &err));
    CHECK_OK(fixture_backup(&f, repo, &first, &err));
    size_t packs = count_files(&f, "packs");
    CHECK_OK(fixture_backup(&f, repo, &second, &err));
    CHECK(second.stored_bytes <= 4096);
    CHECK(second.items_reused == 5);
    sleep(3); /* past the safe margin: the identity alone serves now */
    CHECK_OK(fixture_backup(&f, repo, &third, &err));
    CHECK_OK(fixture_backup(&f, repo, &third, &err));
    CHECK(third.stored_bytes <= 4096);
    CHECK(count_files(&f, "packs") == packs);
    CHECK(strcmp(first.snapshot_id, second.snapshot_id));
    lrb_repo_close(repo);
    fixture_close(&f);
}

TEST(a_change_in_the_middle_stores_little) {
    fixture f;
    lrb_err err;
    lrb_repo *repo;
    lrb_backup_outcome outcome;
    size_t items;
    char path[512];
    fixture_open(&f);
    fixture_write(f.source, "big", 20 << 20, 9);
    CHECK_OK(lrb_repo_open(f.storage, "g", true, &repo, &err));
    CHECK_OK(fixture_backup(&f, repo, &outcome, &err));
    fixture_path(path, f.source, "big");
    int fd = open(path, O_WRONLY);
    CHECK(pwrite(fd, "changed", 7, 10 << 20) == 7);
    close(fd);
    CHECK_OK(fixture_backup(&f, repo, &outcome, &err));
    CHECK(outcome.stored_bytes < (1 << 20));
    CHECK_OK(compare_all(&f, repo, &items, &err));
    lrb_repo_close(repo);
    fixture_close(&f);
}

TEST(many_threads_make_the_same_recipe) {
    fixture f;
    lrb_err err;
    lrb_repo *repo;
    lrb_pool *pool;
    lrb_mailbox *mailbox;
    lrb_source *source;
    lrb_job *job;
    lrb_backup_outcome alone;
    lrb_backup_options options = fixture_options();
    options.use_source_cache = false;
    size_t items;
    fixture_open(&f);
    make_source(&f);
    fixture_write(f.source, "huge", 40 << 20, 11);
    CHECK_OK(lrb_repo_open(f.storage, "g", true, &repo, &err));
    CHECK_OK(lrb_pool_start(4, 4, &pool, &err));
    CHECK_OK(lrb_mailbox_open(&mailbox, &err));
    CHECK_OK(fixture_list(f.source, &source, &err));
    CHECK_OK(lrb_backup_new(repo, source, &options, &job, &err));
    lrb_pool_submit(pool, job, mailbox);
    CHECK(lrb_mailbox_wait(mailbox, 60000) == job);
    err = job->err;
    CHECK_OK(job->err.code);
    lrb_job_free(job);
    CHECK_OK(compare_all(&f, repo, &items, &err));
    CHECK_OK(fixture_backup(&f, repo, &alone, &err));
    CHECK(alone.stored_bytes <= 4096); /* one thread alone finds every chunk and every recipe node known */
    lrb_mailbox_close(mailbox);
    lrb_pool_stop(pool);
    lrb_repo_close(repo);
    fixture_close(&f);
}

TEST(a_missing_pack_is_stored_again) {
    fixture f;
    lrb_err err;
    lrb_repo *repo;
    lrb_backup_outcome outcome;
    size_t items;
    char command[512];
    fixture_open(&f);
    make_source(&f);
    CHECK_OK(lrb_repo_open(f.storage, "g", true, &repo, &err));
    CHECK_OK(fixture_backup(&f, repo, &outcome, &err));
    snprintf(command, sizeof command, "%s/graphs/g/packs", f.storage);
    DIR *dir = opendir(command);
    for (struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.') unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    CHECK_OK(fixture_backup(&f, repo, &outcome, &err));
    CHECK(outcome.stored_bytes > (5 << 20));
    CHECK_OK(compare_all(&f, repo, &items, &err));
    lrb_repo_close(repo);
    fixture_close(&f);
}

TEST(a_file_that_changes_is_refused) {
    fixture f;
    lrb_err err;
    lrb_repo *repo;
    lrb_source *source;
    lrb_job *job;
    lrb_backup_options options = fixture_options();
    fixture_open(&f);
    make_source(&f);
    CHECK_OK(lrb_repo_open(f.storage, "g", true, &repo, &err));
    CHECK_OK(fixture_list(f.source, &source, &err));
    CHECK_OK(lrb_backup_new(repo, source, &options, &job, &err));
    fixture_write(f.source, "small", 1001, 2);
    lrb_job_run(job, &f.worker);
    CHECK(job->err.code == LRB_E_CHANGED);
    CHECK(fixture_lies_at(&f, "small", job->err.target));
    lrb_job_free(job);
    CHECK(lrb_repo_begin_read(repo)->snapshot_count == 0);
    lrb_repo_end_read(repo);
    CHECK(count_files(&f, "tmp") == 0);
    lrb_repo_close(repo);
    fixture_close(&f);
}

TEST(a_cancelled_backup_leaves_nothing) {
    fixture f;
    lrb_err err;
    lrb_repo *repo;
    lrb_source *source;
    lrb_job *job;
    lrb_backup_options options = fixture_options();
    fixture_open(&f);
    fixture_write(f.source, "big", 30 << 20, 3);
    CHECK_OK(lrb_repo_open(f.storage, "g", true, &repo, &err));
    CHECK_OK(fixture_list(f.source, &source, &err));
    CHECK_OK(lrb_backup_new(repo, source, &options, &job, &err));
    lrb_step next = LRB_STEP_MORE;
    for (int steps = 0; steps < 30; steps++) CHECK_OK(job->ops->step(job, &f.worker, &next, &err));
    lrb_job_cancel(job);
    CHECK_FAILS(job->ops->step(job, &f.worker, &next, &err), LRB_E_CANCELLED);
    lrb_job_free(job);
    CHECK(count_files(&f, "tmp") == 0);
    CHECK(count_files(&f, "log") == 1);
    lrb_repo_close(repo);
    fixture_close(&f);
}

TEST(memory_may_run_out_anywhere) {
    fixture f;
    lrb_err err;
    lrb_repo *repo;
    lrb_backup_outcome outcome;
    int code = LRB_E_NOMEM;
    size_t items;
    fixture_open(&f);
    make_source(&f);
    for (int64_t n = 0; code == LRB_E_NOMEM; n++) {
        lrb_mem_fail_after(n, false);
        code = lrb_repo_open(f.storage, "g", true, &repo, &err);
        if (!code) {
            code = fixture_backup(&f, repo, &outcome, &err);
            lrb_mem_fail_after(-1, false);
            bool committed = lrb_repo_begin_read(repo)->snapshot_count > 0;
            lrb_repo_end_read(repo);
            lrb_repo_close(repo);
            /* Failed behind its commit: each further snapshot would need more memory than the one before. */
            if (code && committed) CHECK_OK(lrb_fs_remove_tree(AT_FDCWD, f.storage, &err));
        }
        lrb_mem_fail_after(-1, false);
    }
    CHECK_OK(code);
    CHECK_OK(lrb_repo_open(f.storage, "g", false, &repo, &err));
    CHECK_OK(compare_all(&f, repo, &items, &err));
    CHECK(items == 7);
    lrb_repo_close(repo);
    fixture_close(&f);
}

int main(void) {
    RUN(everything_comes_back);
    RUN(unchanged_adds_one_small_entry);
    RUN(a_change_in_the_middle_stores_little);
    RUN(many_threads_make_the_same_recipe);
    RUN(a_missing_pack_is_stored_again);
    RUN(a_file_that_changes_is_refused);
    RUN(a_cancelled_backup_leaves_nothing);
    RUN(memory_may_run_out_anywhere);
    return check_report();
}
