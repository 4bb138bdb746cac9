/* Writing chunks into packs: deduplication inside a run and against the repository, durability, and packs lost meanwhile. */
#include "engine/writer.h"

#include <dirent.h>
#include <pthread.h>

#include "base/mem.h"
#include "check.h"
#include "fixture.h"
#include "repo/field.h"

typedef struct scene {
    fixture f;
    lrb_repo *repo;
    lrb_job job;
    lrb_writer *writer;
} scene;

static int open_scene(scene *s, lrb_err *err) {
    static const lrb_job_ops NONE;
    fixture_open(&s->f);
    lrb_job_init(&s->job, &NONE);
    int code = fixture_repo_open(s->f.storage, "g", true, &s->repo, err);
    return code ? code : lrb_writer_new(s->repo, &s->job, &s->writer, err);
}

static void close_scene(scene *s) {
    lrb_writer_free(s->writer);
    lrb_repo_close(s->repo);
    fixture_close(&s->f);
}

static int put(scene *s, uint64_t seed, size_t count, lrb_id *id, bool *added, lrb_err *err) {
    fixture_fill(s->f.worker.input, count, seed);
    return lrb_writer_put(s->writer, s->f.worker.coder, LRB_CHUNK_RAW, 0, s->f.worker.input, count, id, added, err);
}

static size_t files_in(const scene *s, const char *sub) {
    char path[512];
    snprintf(path, sizeof path, "%s/graphs/g/%s", s->f.storage, sub);
    DIR *dir = opendir(path);
    size_t count = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));) count += entry->d_name[0] != '.';
    if (dir) closedir(dir);
    return count;
}

/* Commits what the writer holds as a bare repack entry, which makes its packs known. */
static int commit(scene *s, lrb_err *err) {
    lrb_draft draft = {.kind = LRB_ENTRY_REPACK};
    uint64_t number;
    int code = lrb_writer_flush(s->writer, s->f.worker.coder, err);
    if (!code) code = lrb_writer_packs(s->writer, &draft.packs, &draft.pack_count, err);
    return code ? code : lrb_repo_append(s->repo, &draft, NULL, NULL, &number, err);
}

TEST(a_chunk_is_stored_once_wherever_its_pack_is) {
    scene s;
    lrb_err err;
    lrb_id id;
    bool added;
    CHECK_OK(open_scene(&s, &err));
    CHECK_OK(put(&s, 1, 50000, &id, &added, &err));
    CHECK(added);
    CHECK_OK(put(&s, 1, 50000, &id, &added, &err)); /* in the open pack */
    CHECK(!added);
    for (uint64_t i = 0; i < 400; i++) CHECK_OK(put(&s, 1000 + i, 50000, &id, &added, &err));
    CHECK_OK(put(&s, 1, 50000, &id, &added, &err)); /* in a pack written but not settled */
    CHECK(!added);
    CHECK_OK(lrb_writer_flush(s.writer, s.f.worker.coder, &err));
    CHECK_OK(put(&s, 1, 50000, &id, &added, &err)); /* in a settled pack */
    CHECK(!added);
    CHECK(files_in(&s, "packs") == 3 && files_in(&s, "tmp") == 0);
    CHECK_OK(commit(&s, &err));
    lrb_writer_free(s.writer);
    CHECK_OK(lrb_writer_new(s.repo, &s.job, &s.writer, &err));
    CHECK_OK(put(&s, 1, 50000, &id, &added, &err)); /* in the repository */
    CHECK(!added && !lrb_writer_has_chunks(s.writer));
    close_scene(&s);
}

TEST(nothing_uncommitted_is_left_in_tmp) {
    scene s;
    lrb_err err;
    lrb_id id;
    bool added;
    CHECK_OK(open_scene(&s, &err));
    for (uint64_t i = 0; i < 400; i++) CHECK_OK(put(&s, i, 50000, &id, &added, &err));
    CHECK(files_in(&s, "tmp") == 2);
    lrb_writer_free(s.writer);
    s.writer = NULL;
    CHECK(files_in(&s, "tmp") == 0 && files_in(&s, "packs") == 0);
    close_scene(&s);
}

TEST(unknown_packs_do_not_count) {
    scene s;
    lrb_err err;
    lrb_id id;
    bool added, known;
    CHECK_OK(open_scene(&s, &err));
    CHECK_OK(put(&s, 7, 1000, &id, &added, &err));
    CHECK_OK(lrb_writer_flush(s.writer, s.f.worker.coder, &err)); /* in packs/, but no entry names it */
    lrb_writer_free(s.writer);
    CHECK_OK(lrb_writer_new(s.repo, &s.job, &s.writer, &err));
    CHECK_OK(lrb_writer_rely(s.writer, &id, &known, &err));
    CHECK(!known);
    close_scene(&s);
}

static int check_now(scene *s, lrb_err *err) {
    int code = lrb_writer_check(s->writer, lrb_repo_begin_read(s->repo), err);
    lrb_repo_end_read(s->repo);
    return code;
}

/* An entry of this kind that names every pack. */
static int enter_all(scene *s, lrb_entry_kind kind, lrb_err *err) {
    lrb_buf payload;
    lrb_buf_init(&payload, 1 << 20);
    const lrb_state *state = lrb_repo_begin_read(s->repo);
    int code = LRB_OK;
    for (uint32_t i = 0; !code && i < state->pack_count; i++) code = lrb_field_put(&payload, LRB_F_PACK_REF, state->packs[i].id.bytes, 32, err);
    lrb_repo_end_read(s->repo);
    lrb_draft draft = {.kind = kind, .payload = payload.data, .payload_length = payload.length};
    uint64_t number;
    if (!code) code = lrb_repo_append(s->repo, &draft, NULL, NULL, &number, err);
    lrb_buf_clear(&payload);
    return code;
}

static int retire_all(scene *s, lrb_err *err) { return enter_all(s, LRB_ENTRY_RETIRE, err); }

/* By hand, or by a disk that lost them. */
static int remove_packs(scene *s) {
    char path[512], name[65];
    int failed = 0;
    const lrb_state *state = lrb_repo_begin_read(s->repo);
    for (uint32_t i = 0; i < state->pack_count; i++) {
        lrb_hex(state->packs[i].id.bytes, 32, name);
        snprintf(path, sizeof path, "%s/graphs/g/packs/%s", s->f.storage, name);
        failed |= unlink(path);
    }
    lrb_repo_end_read(s->repo);
    return failed;
}

/* What this run stored and what it found stored, side by side. */
TEST(many_chunks_are_relied_on_at_once) {
    enum { CHUNKS = 40 };
    scene s;
    lrb_err err;
    lrb_row rows[CHUNKS];
    bool added, known;
    CHECK_OK(open_scene(&s, &err));
    for (uint64_t i = 0; i < CHUNKS / 2; i++) CHECK_OK(put(&s, i, 1000, &rows[i].id, &added, &err));
    CHECK_OK(commit(&s, &err));
    lrb_writer_free(s.writer);
    CHECK_OK(lrb_writer_new(s.repo, &s.job, &s.writer, &err));
    for (uint64_t i = CHUNKS / 2; i < CHUNKS; i++) CHECK_OK(put(&s, i, 1000, &rows[i].id, &added, &err));
    CHECK_OK(lrb_writer_rely_on(s.writer, rows, CHUNKS, &known, &err));
    CHECK(known);
    CHECK_OK(check_now(&s, &err));
    rows[CHUNKS - 1].id.bytes[0] ^= 1;
    CHECK_OK(lrb_writer_rely_on(s.writer, rows, CHUNKS, &known, &err));
    CHECK(!known);
    lrb_writer_free(s.writer);
    CHECK_OK(lrb_writer_new(s.repo, &s.job, &s.writer, &err));
    CHECK_OK(lrb_writer_rely_on(s.writer, rows, CHUNKS / 2, &known, &err));
    CHECK(known);
    CHECK_OK(retire_all(&s, &err));
    CHECK_FAILS(check_now(&s, &err), LRB_E_BUSY); /* each is remembered */
    close_scene(&s);
}

TEST(a_pack_retired_meanwhile_is_stored_again) {
    scene s;
    lrb_err err;
    lrb_id id;
    bool added;
    CHECK_OK(open_scene(&s, &err));
    CHECK_OK(put(&s, 7, 1000, &id, &added, &err));
    CHECK_OK(commit(&s, &err));
    lrb_writer_free(s.writer);
    CHECK_OK(lrb_writer_new(s.repo, &s.job, &s.writer, &err));
    CHECK_OK(put(&s, 7, 1000, &id, &added, &err));
    CHECK(!added);
    CHECK_OK(check_now(&s, &err));
    CHECK_OK(retire_all(&s, &err));
    CHECK_FAILS(check_now(&s, &err), LRB_E_BUSY);
    CHECK_OK(lrb_writer_forget_lost(s.writer, &err));
    CHECK_OK(put(&s, 7, 1000, &id, &added, &err));
    CHECK(added);
    CHECK_OK(commit(&s, &err));
    CHECK_OK(check_now(&s, &err));
    close_scene(&s);
}

TEST(a_pack_removed_by_hand_is_entered_as_damaged) {
    scene s;
    lrb_err err;
    lrb_id id;
    bool added;
    char path[512], name[65];
    CHECK_OK(open_scene(&s, &err));
    CHECK_OK(put(&s, 7, 1000, &id, &added, &err));
    CHECK_OK(commit(&s, &err));
    lrb_writer_free(s.writer);
    CHECK_OK(lrb_writer_new(s.repo, &s.job, &s.writer, &err));
    CHECK_OK(put(&s, 7, 1000, &id, &added, &err));
    lrb_hex(lrb_repo_begin_read(s.repo)->packs[0].id.bytes, 32, name);
    lrb_repo_end_read(s.repo);
    snprintf(path, sizeof path, "%s/graphs/g/packs/%s", s.f.storage, name);
    CHECK(unlink(path) == 0);
    CHECK_FAILS(check_now(&s, &err), LRB_E_BUSY);
    CHECK(strstr(err.target, name));
    CHECK_OK(lrb_writer_forget_lost(s.writer, &err));
    CHECK(lrb_repo_begin_read(s.repo)->packs[0].status == LRB_PACK_DAMAGED);
    lrb_repo_end_read(s.repo);
    CHECK_OK(put(&s, 7, 1000, &id, &added, &err));
    CHECK(added);
    close_scene(&s);
}

/* Enters this of every pack, as another process does. */
static int enter_elsewhere(scene *s, lrb_entry_kind kind, lrb_err *err) {
    scene other = *s;
    int code = fixture_repo_open(s->f.storage, "g", false, &other.repo, err);
    if (code) return code;
    code = enter_all(&other, kind, err);
    lrb_repo_close(other.repo);
    return code;
}

/* forget_lost enters what it saw in an older state. Whatever another process entered of the pack since, the log stays one
 * that can be read, a pack that is swept stays so, and the chunk is stored again in a pack that counts. */
TEST(a_lost_pack_is_forgotten_whatever_another_enters_of_it_meanwhile) {
    static const struct { lrb_entry_kind entered[2]; lrb_pack_status then; } cases[] = {
        {{0, 0}, LRB_PACK_DAMAGED},
        {{LRB_ENTRY_DAMAGED, 0}, LRB_PACK_DAMAGED}, /* the other one missed it, too */
        {{LRB_ENTRY_RETIRE, 0}, LRB_PACK_DAMAGED},
        {{LRB_ENTRY_RETIRE, LRB_ENTRY_UNRETIRE}, LRB_PACK_DAMAGED},
        {{LRB_ENTRY_RETIRE, LRB_ENTRY_SWEEP}, LRB_PACK_SWEPT}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scene s;
        lrb_err err;
        lrb_id id;
        bool added;
        CHECK_OK(open_scene(&s, &err));
        CHECK_OK(put(&s, 7, 1000, &id, &added, &err));
        CHECK_OK(commit(&s, &err));
        lrb_writer_free(s.writer);
        CHECK_OK(lrb_writer_new(s.repo, &s.job, &s.writer, &err));
        CHECK_OK(put(&s, 7, 1000, &id, &added, &err));
        CHECK(!added);
        CHECK(!remove_packs(&s));
        CHECK_FAILS(check_now(&s, &err), LRB_E_BUSY);
        for (int k = 0; k < 2 && cases[i].entered[k]; k++) CHECK_OK(enter_elsewhere(&s, cases[i].entered[k], &err));
        CHECK_OK(lrb_writer_forget_lost(s.writer, &err));
        CHECK(lrb_repo_begin_read(s.repo)->packs[0].status == cases[i].then);
        lrb_repo_end_read(s.repo);
        CHECK_OK(put(&s, 7, 1000, &id, &added, &err));
        CHECK(added);
        CHECK_OK(commit(&s, &err));
        CHECK_OK(check_now(&s, &err));
        lrb_repo *fresh;
        CHECK_OK(fixture_repo_open(s.f.storage, "g", false, &fresh, &err));
        const lrb_state *state = lrb_repo_begin_read(fresh);
        bool counts = state->pack_count == 2 && state->packs[0].status == cases[i].then && state->packs[1].status == LRB_PACK_KNOWN;
        lrb_repo_end_read(fresh);
        CHECK(counts);
        lrb_repo_close(fresh);
        close_scene(&s);
    }
}

/* Everything a run asks of its writer, a pack that was lost meanwhile included. */
static int whole_run(scene *s, lrb_err *err) {
    lrb_id id;
    bool added, known;
    int code = lrb_writer_new(s->repo, &s->job, &s->writer, err);
    if (!code) code = put(s, 7, 1000, &id, &added, err);
    if (!code) code = lrb_writer_rely(s->writer, &id, &known, err);
    if (!code) code = commit(s, err);
    if (!code) code = check_now(s, err);
    if (!code) code = retire_all(s, err);
    if (!code && (code = check_now(s, err)) == LRB_E_BUSY) code = lrb_writer_forget_lost(s->writer, err);
    if (!code) code = put(s, 7, 1000, &id, &added, err);
    return code ? code : commit(s, err);
}

TEST(every_failing_allocation_is_survived) {
    int64_t failed = 0;
    for (int code = LRB_E_NOMEM; code; failed++) {
        scene s;
        lrb_err err;
        CHECK_OK(open_scene(&s, &err));
        lrb_writer_free(s.writer);
        s.writer = NULL;
        lrb_mem_fail_after(failed, false);
        code = whole_run(&s, &err);
        lrb_mem_fail_after(-1, false);
        if (code) CHECK_FAILS(code, LRB_E_NOMEM);
        lrb_writer_free(s.writer);
        CHECK(files_in(&s, "tmp") == 0);
        CHECK_OK(whole_run(&s, &err)); /* what failed is in nobody's way */
        close_scene(&s);
    }
    CHECK(failed > 20);
}

enum { WRITERS = 4, ROUNDS = 25 };

typedef struct crowd {
    scene *s;
    lrb_worker worker;
    unsigned number;
    int failed;
} crowd;

/* Puts what only this thread has and what all have, and has it made durable at once: others look up and append meanwhile. */
static void *put_and_flush(void *arg) {
    crowd *c = arg;
    lrb_err err;
    lrb_id id;
    bool added;
    for (unsigned i = 0; i < ROUNDS && !c->failed; i++) {
        fixture_fill(c->worker.input, 3000, 1000 * c->number + i);
        c->failed = lrb_writer_put(c->s->writer, c->worker.coder, LRB_CHUNK_RAW, 0, c->worker.input, 3000, &id, &added, &err);
        if (!c->failed && !added) c->failed = LRB_E_INTERNAL;
        fixture_fill(c->worker.input, 3000, 100000 + i);
        if (!c->failed) c->failed = lrb_writer_put(c->s->writer, c->worker.coder, LRB_CHUNK_RAW, 0, c->worker.input, 3000, &id, &added, &err);
        if (!c->failed) c->failed = lrb_writer_flush(c->s->writer, c->worker.coder, &err);
    }
    return NULL;
}

TEST(others_write_while_a_pack_becomes_durable) {
    scene s;
    lrb_err err;
    lrb_id id;
    bool added;
    crowd crowds[WRITERS];
    pthread_t threads[WRITERS];
    CHECK_OK(open_scene(&s, &err));
    for (unsigned i = 0; i < WRITERS; i++) {
        crowds[i] = (crowd){.s = &s, .number = i + 1};
        CHECK_OK(lrb_worker_init(&crowds[i].worker, 0, &err));
        CHECK(!pthread_create(&threads[i], NULL, put_and_flush, &crowds[i]));
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        lrb_worker_clear(&crowds[i].worker);
    }
    for (unsigned i = 0; i < WRITERS; i++) CHECK(!crowds[i].failed);
    CHECK(files_in(&s, "tmp") == 0); /* whoever flushed has waited for what others had begun */
    CHECK_OK(commit(&s, &err));
    lrb_writer_free(s.writer);
    CHECK_OK(lrb_writer_new(s.repo, &s.job, &s.writer, &err));
    for (unsigned i = 0; i < WRITERS * ROUNDS; i++) {
        CHECK_OK(put(&s, 1000 * (i / ROUNDS + 1) + i % ROUNDS, 3000, &id, &added, &err));
        CHECK(!added);
    }
    close_scene(&s);
}

static void run_all(void) {
    RUN(others_write_while_a_pack_becomes_durable);
    RUN(every_failing_allocation_is_survived);
    RUN(a_chunk_is_stored_once_wherever_its_pack_is);
    RUN(nothing_uncommitted_is_left_in_tmp);
    RUN(many_chunks_are_relied_on_at_once);
    RUN(unknown_packs_do_not_count);
    RUN(a_pack_retired_meanwhile_is_stored_again);
    RUN(a_pack_removed_by_hand_is_entered_as_damaged);
    RUN(a_lost_pack_is_forgotten_whatever_another_enters_of_it_meanwhile);
}

int main(void) {
    run_all();
    fixture_key = &fixture_some_key;
    run_all();
    return check_report();
}
