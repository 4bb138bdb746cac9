/* The needs job: the packs of a snapshot, no fewer and no others. */
#include "engine/needs.h"

#include "check.h"
#include "jobs.h"

static int run_needs(shelf *s, const char *id, lrb_job **job, lrb_err *err) {
    int code = lrb_needs_new(s->repo, id, job, err);
    if (code) return code;
    lrb_job_run(*job, &s->f.worker);
    *err = (*job)->err;
    code = err->code;
    if (code) lrb_job_free(*job);
    return code;
}

TEST(each_snapshot_needs_its_own_packs) {
    shelf s;
    lrb_err err;
    lrb_job *job;
    size_t count;
    char first[LRB_SNAPSHOT_ID_MAX], second[LRB_SNAPSHOT_ID_MAX], third[LRB_SNAPSHOT_ID_MAX];
    shelf_open(&s);
    fixture_write(s.f.source, "old", 300 << 10, 1);
    shelf_backup(&s, first);
    fixture_write(s.f.source, "new", 300 << 10, 2);
    shelf_backup(&s, second);
    shelf_remove_source(&s, "old");
    shelf_remove_source(&s, "new");
    fixture_write(s.f.source, "other", 300 << 10, 3);
    shelf_backup(&s, third);
    lrb_id packs[3] = {shelf_pack(&s, 0, NULL), shelf_pack(&s, 1, NULL), shelf_pack(&s, 2, NULL)};

    CHECK_OK(run_needs(&s, first, &job, &err));
    const lrb_pack_ref *needed = lrb_needs_packs(job, &count);
    CHECK(count == 1 && !memcmp(&needed[0].id, &packs[0], sizeof packs[0]) && lrb_needs_number(job) == 1);
    char path[512];
    shelf_pack(&s, 0, path);
    CHECK(needed[0].size_bytes == file_size(path));
    lrb_job_free(job);
    CHECK_OK(run_needs(&s, second, &job, &err));
    needed = lrb_needs_packs(job, &count);
    CHECK(count == 2 && !memcmp(&needed[1].id, &packs[1], sizeof packs[1]) && lrb_needs_number(job) == 2);
    lrb_job_free(job);
    CHECK_OK(run_needs(&s, third, &job, &err));
    needed = lrb_needs_packs(job, &count);
    CHECK(count >= 1 && !memcmp(&needed[count - 1].id, &packs[2], sizeof packs[2]));
    for (size_t i = 0; i < count; i++) CHECK(memcmp(&needed[i].id, &packs[1], sizeof packs[1])); /* what they share is in the first */
    lrb_job_free(job);
    shelf_close(&s);
}

TEST(what_is_unknown_or_lost_is_said) {
    shelf s;
    lrb_err err;
    lrb_job *job;
    char id[LRB_SNAPSHOT_ID_MAX], path[512];
    shelf_open(&s);
    CHECK_FAILS(run_needs(&s, "20260101T000000Z-00000000", &job, &err), LRB_E_NOT_FOUND);
    CHECK_FAILS(run_needs(&s, "", &job, &err), LRB_E_NOT_FOUND);
    CHECK_FAILS(run_needs(&s, "far-too-long-for-the-id-of-any-snapshot-there-is", &job, &err), LRB_E_NOT_FOUND);
    fixture_write(s.f.source, "file", 300 << 10, 1);
    shelf_backup(&s, id);
    shelf_pack(&s, 0, path);
    shelf_reopen(&s);
    unlink(path);
    CHECK_FAILS(run_needs(&s, id, &job, &err), LRB_E_DAMAGED);
    shelf_close(&s);
}

TEST(every_failing_allocation_is_survived) {
    shelf s;
    lrb_err err;
    lrb_job *job;
    char id[LRB_SNAPSHOT_ID_MAX];
    shelf_open(&s);
    fixture_write(s.f.source, "file", 300 << 10, 1);
    shelf_backup(&s, id);
    int code = LRB_E_NOMEM;
    for (int64_t n = 0; code; n++) {
        lrb_mem_fail_after(n, false);
        code = run_needs(&s, id, &job, &err);
        lrb_mem_fail_after(-1, false);
        CHECK(code == LRB_OK || code == LRB_E_NOMEM);
    }
    lrb_job_free(job);
    shelf_close(&s);
}

int main(void) {
    RUN(each_snapshot_needs_its_own_packs);
    RUN(what_is_unknown_or_lost_is_said);
    RUN(every_failing_allocation_is_survived);
    return check_report();
}
