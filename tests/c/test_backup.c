/* The backup job from end to end: what comes back is what was there, and what is known is not stored again. */
#include "engine/backup.h"

#include <dirent.h>

#include "check.h"
#include "comparing.h"

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
    RUN(a_missing_pack_is_stored_again);
    RUN(a_file_that_changes_is_refused);
    RUN(a_cancelled_backup_leaves_nothing);
    RUN(memory_may_run_out_anywhere);
    return check_report();
}
