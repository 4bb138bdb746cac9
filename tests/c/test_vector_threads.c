/* Vector files backed up and restored by many threads at once. */
#include "vector_bench.h"

enum { THREADS = 4 };

static lrb_err err;

static int back_up(bench *b) {
    lrb_source *source;
    lrb_job *job;
    lrb_backup_options options = fixture_options();
    int code = fixture_list(b->f.source, &source, &err);
    if (!code) code = lrb_backup_new(b->repo, source, &options, &job, &err);
    if (code) return code;
    code = crew_run(&b->crew, job, &err);
    b->outcome = *lrb_backup_result(job);
    lrb_job_free(job);
    return code;
}

/* Batches that many threads write at once share quanta of the matrix, in three files out of four. */
TEST(many_threads_write_what_one_wrote) {
    bench b;
    bench_open(&b);
    static const uint32_t dims[] = {100, 384, 64, 1000};
    for (size_t i = 0; i < 4; i++) {
        char name[16];
        vector_file *f = file_of(dims[i], dims[i] < 384 ? VECTOR_MANY : 1200);
        snprintf(name, sizeof name, "vdb-%zu", i);
        if (i == 3) f->bytes.data[f->matrix_at + 5000] = '!';
        put_file(&b, name, f->bytes.data, f->bytes.length);
    }
    crew_start(&b.crew, THREADS, THREADS);
    CHECK_OK(back_up(&b));
    lrb_job *job;
    for (int round = 0; round < 3; round++) {
        lrb_restore_list *list;
        bench_renew_staging(&b);
        wishes w = bench_wishes(&b);
        CHECK_OK(lrb_restore_plan(b.repo, &w.plan, &job, &err));
        CHECK_OK(bench_run(&b, job, &list, &err));
        CHECK_OK(lrb_restore_stage(b.repo, list, &w.stage, &job, &err));
        CHECK_OK(crew_run(&b.crew, job, &err));
        CHECK(atomic_load(&job->counters.bytes_stored) == atomic_load(&job->counters.bytes_total));
        lrb_job_free(job);
        CHECK(same_trees(b.f.source, b.staging));
    }
    bench_close(&b);
}

TEST(many_threads_take_over_what_a_restart_left_alone) {
    bench b;
    bench_open(&b);
    vector_file *f = file_of(384, VECTOR_MANY);
    put_file(&b, "vdb", f->bytes.data, f->bytes.length);
    crew_start(&b.crew, THREADS, THREADS);
    CHECK_OK(back_up(&b));
    for (int round = 0; round < 2; round++) {
        vector_file_restart(f);
        replace_file(&b, "vdb", f);
        CHECK_OK(back_up(&b));
        CHECK(b.outcome.items_encoded == 1 && b.outcome.stored_bytes < f->bytes.length / 100);
        CHECK(comes_back(&b));
    }
    bench_close(&b);
}

int main(void) {
    RUN(many_threads_write_what_one_wrote);
    RUN(many_threads_take_over_what_a_restart_left_alone);
    lrb_buf_clear(&file_of(1, 1)->bytes);
    return check_report();
}
