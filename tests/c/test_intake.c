/* The intake alone: the three ways an item can end, batches that come in out of order, and starting over. */
#include "engine/intake.h"

#include "base/mem.h"
#include "check.h"
#include "taking.h"
#include "vector_file.h"

TEST(content_decides_the_result_not_the_way) {
    scene s;
    lrb_err err;
    uint64_t reused, encoded;
    CHECK_OK(open_scene(&s, &err));
    fixture_write(s.f.source, "big", 9 << 20, 1);
    fixture_write(s.f.source, "small", 1 << 20, 2);
    CHECK_OK(begin(&s, &err));
    CHECK_OK(run(&s, &err));
    lrb_taken big = taken(&s, 0), small = taken(&s, 1);
    lrb_intake_counts(s.intake, &reused, &encoded);
    CHECK(reused == 0 && encoded == 2);
    CHECK(big.root.kind == LRB_CHUNK_RECIPE && big.root.count >= 2);
    lrb_intake_restart(s.intake);
    CHECK_OK(run(&s, &err));
    lrb_taken again = taken(&s, 0);
    CHECK(!memcmp(&again, &big, sizeof big));
    again = taken(&s, 1);
    CHECK(!memcmp(&again, &small, sizeof small));
    end(&s);
    close_scene(&s);
}

TEST(an_offer_is_taken_only_when_its_chunks_are_known) {
    scene s;
    lrb_err err;
    uint64_t reused, encoded;
    lrb_backup_outcome outcome;
    CHECK_OK(open_scene(&s, &err));
    fixture_write(s.f.source, "big", 3 << 20, 1);
    CHECK_OK(begin(&s, &err));
    CHECK_OK(run(&s, &err));
    lrb_taken before = taken(&s, 0);
    end(&s);
    for (int committed = 0; committed < 2; committed++) {
        CHECK_OK(begin(&s, &err));
        lrb_intake_offer(s.intake, 0, &before, true);
        CHECK(lrb_intake_is_unread(s.intake, 0));
        CHECK_OK(run(&s, &err));
        lrb_intake_counts(s.intake, &reused, &encoded);
        CHECK(reused == (committed ? 1 : 0));
        lrb_taken after = taken(&s, 0);
        CHECK(!memcmp(&after, &before, sizeof before));
        end(&s);
        CHECK_OK(fixture_backup(&s.f, s.repo, &outcome, &err));
    }
    close_scene(&s);
}

TEST(progress_ends_at_its_totals) {
    scene s;
    lrb_err err;
    CHECK_OK(open_scene(&s, &err));
    fixture_write(s.f.source, "big", 5 << 20, 1);
    fixture_write(s.f.source, "empty", 0, 1);
    fixture_write(s.f.source, "small", 77, 2);
    CHECK_OK(begin(&s, &err));
    CHECK_OK(run(&s, &err));
    CHECK(atomic_load(&s.job.counters.items_done) == 3 && atomic_load(&s.job.counters.items_total) == 3);
    CHECK(atomic_load(&s.job.counters.bytes_in) == (5 << 20) + 77);
    CHECK(atomic_load(&s.job.counters.bytes_total) == (5 << 20) + 77);
    end(&s);
    close_scene(&s);
}

TEST(progress_moves_with_every_step_and_never_beyond_its_totals) {
    scene s;
    lrb_err err;
    lrb_step next = LRB_STEP_MORE;
    CHECK_OK(open_scene(&s, &err));
    fixture_write(s.f.source, "big", (17 << 20) + 5, 1);
    fixture_write(s.f.source, "bigger", (23 << 20) + 7, 2);
    CHECK_OK(begin(&s, &err));
    uint64_t before = 0, total = atomic_load(&s.job.counters.bytes_total);
    for (unsigned turn = 0, moved = 0; next != LRB_STEP_DONE; turn++) {
        CHECK_OK(lrb_intake_step(s.intake, turn % 2 ? &s.other : &s.f.worker, &next, &err));
        uint64_t now = atomic_load(&s.job.counters.bytes_in);
        CHECK(now >= before && now <= total);
        moved += now > before;
        before = now;
        if (!turn) CHECK(now > 1 << 20); /* the first slice of the digest pass */
        CHECK(moved >= (turn + 1) / 2);
    }
    CHECK(before == total);
    end(&s);
    close_scene(&s);
}

TEST(a_file_cut_short_while_it_is_read_is_refused) {
    scene s;
    lrb_err err;
    lrb_step next;
    char path[512];
    CHECK_OK(open_scene(&s, &err));
    fixture_write(s.f.source, "big", 9 << 20, 1);
    CHECK_OK(begin(&s, &err));
    CHECK_OK(lrb_intake_step(s.intake, &s.f.worker, &next, &err)); /* the first slice */
    fixture_path(path, s.f.source, "big");
    CHECK(truncate(path, 5 << 20) == 0);
    CHECK_FAILS(run(&s, &err), LRB_E_CHANGED);
    CHECK(fixture_lies_at(&s.f, "big", err.target));
    end(&s);
    close_scene(&s);
}

/* ---- rows of vector files ---- */

static void write_vectors(const scene *s, const char *name, const vector_file *f) {
    char path[512];
    fixture_path(path, s->f.source, name);
    unlink(path);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(f->bytes.data, 1, f->bytes.length, file) != f->bytes.length) perror(path), exit(2);
    fclose(file);
}

static int look_at_rows(scene *s, bool compare, lrb_rows_seen *seen) {
    lrb_err err;
    int code = begin(s, &err);
    if (!code && compare) lrb_intake_compare_rows(s->intake);
    if (!code) code = run(s, &err);
    const lrb_rows_seen *found = code ? NULL : lrb_intake_rows_seen(s->intake, 0);
    *seen = found ? *found : (lrb_rows_seen){.rows = 0};
    return code;
}

TEST(rows_are_seen_as_they_are_encoded_and_when_they_are_known) {
    enum { DIM = 24, ROWS = 3000 };
    scene s;
    lrb_err err;
    lrb_rows_seen first, second;
    lrb_backup_outcome outcome;
    CHECK_OK(open_scene(&s, &err));
    vector_file f = vector_file_of(DIM, ROWS);
    write_vectors(&s, "vdb", &f);
    CHECK_OK(look_at_rows(&s, false, &first));
    CHECK(!first.rows);
    end(&s);
    CHECK_OK(look_at_rows(&s, true, &first));
    end(&s);
    uint64_t places = 0, row = 0;
    for (const uint8_t *at = f.bytes.data, *end; (at = memmem(at, f.matrix_at - (size_t)(at - f.bytes.data), ": \"eJw", 6)); at = end) {
        at += 3;
        end = memchr(at, '"', f.bytes.length);
        places += lrb_row_place(row++, (uint64_t)(at - f.bytes.data), (uint64_t)(end - at));
    }
    CHECK(row == ROWS && first.rows == ROWS && first.dim == DIM && first.matrix_at == f.matrix_at && first.places == places);
    CHECK_OK(fixture_backup(&s.f, s.repo, &outcome, &err));
    CHECK_OK(look_at_rows(&s, true, &second)); /* every chunk is known now */
    CHECK(!memcmp(&first, &second, sizeof first));
    end(&s);
    lrb_buf_clear(&f.bytes);
    close_scene(&s);
}

/* ---- what moves no time ---- */

/* Stores one byte before step `moment`; -1 when there were no more steps. */
static int store_at(scene *s, uint8_t *at, size_t moment, lrb_err *err) {
    lrb_step next = LRB_STEP_MORE;
    size_t turn = 0;
    int code = begin(s, err);
    for (; !code && next != LRB_STEP_DONE; turn++) {
        if (turn == moment) *at ^= 1;
        code = lrb_intake_step(s->intake, turn % 2 ? &s->other : &s->f.worker, &next, err);
    }
    return code || turn > moment ? code : -1;
}

/* Whatever is taken is what one of the two states gives, or there is an error. */
static void store_at_every_moment(scene *s, size_t count, size_t place) {
    lrb_err err;
    lrb_taken states[2];
    uint8_t *mapped = map_stirred(s, "f", count);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(begin(s, &err));
        CHECK_OK(run(s, &err));
        states[i] = taken(s, 0);
        end(s);
        mapped[place] ^= 1;
    }
    CHECK(memcmp(&states[0], &states[1], sizeof states[0]));
    size_t refused = 0;
    int code = 0;
    for (size_t moment = 0; code >= 0; moment++) {
        code = store_at(s, mapped + place, moment, &err);
        CHECK(code <= 0 || code == LRB_E_CHANGED);
        refused += code > 0;
        lrb_taken found = code ? states[0] : taken(s, 0);
        CHECK(!memcmp(&found, &states[0], sizeof found) || !memcmp(&found, &states[1], sizeof found));
        end(s);
    }
    CHECK(refused);
    munmap(mapped, count);
}

TEST(a_store_that_moves_no_time_never_makes_two_states_one) {
    static const uint32_t dims[] = {24, 25};
    scene s;
    lrb_err err;
    CHECK_OK(open_scene(&s, &err));
    fixture_write(s.f.source, "f", 3 << 20, 1);
    store_at_every_moment(&s, 3 << 20, 2 << 20);
    for (size_t i = 0; i < 2; i++) {
        vector_file f = vector_file_of(dims[i], 6000);
        write_vectors(&s, "f", &f);
        store_at_every_moment(&s, f.bytes.length, f.bytes.length / 3);
        store_at_every_moment(&s, f.bytes.length, f.matrix_at + 4321);
        lrb_buf_clear(&f.bytes);
    }
    close_scene(&s);
}

TEST(a_file_with_one_wrong_row_was_not_seen) {
    enum { ROWS = 400 };
    scene s;
    lrb_err err;
    lrb_rows_seen seen;
    CHECK_OK(open_scene(&s, &err));
    for (size_t wrong = 0; wrong < ROWS; wrong += 57) {
        vector_file f = vector_file_of(24, ROWS);
        memset(f.bytes.data + f.matrix_at + 128 * wrong + 8, '/', 80); /* 128 characters a row */
        write_vectors(&s, "vdb", &f);
        CHECK_OK(look_at_rows(&s, true, &seen));
        CHECK(!seen.rows);
        end(&s);
        lrb_buf_clear(&f.bytes);
    }
    close_scene(&s);
}

TEST(every_failing_allocation_is_survived) {
    int64_t failed = 0;
    scene s;
    lrb_err err;
    CHECK_OK(open_scene(&s, &err));
    fixture_write(s.f.source, "big", 2 << 20, 1);
    fixture_write(s.f.source, "small", 5000, 2);
    vector_file f = vector_file_of(8, 60);
    write_vectors(&s, "vdb", &f);
    for (int code = LRB_E_NOMEM; code; failed++) {
        s.source = NULL, s.writer = NULL, s.intake = NULL;
        lrb_mem_fail_after(failed, false);
        code = begin(&s, &err);
        if (!code) lrb_intake_compare_rows(s.intake);
        if (!code) code = run(&s, &err);
        lrb_mem_fail_after(-1, false);
        if (code) CHECK_FAILS(code, LRB_E_NOMEM);
        end(&s);
    }
    CHECK(failed > 20);
    lrb_buf_clear(&f.bytes);
    close_scene(&s);
}

int main(void) {
    RUN(every_failing_allocation_is_survived);
    RUN(content_decides_the_result_not_the_way);
    RUN(an_offer_is_taken_only_when_its_chunks_are_known);
    RUN(rows_are_seen_as_they_are_encoded_and_when_they_are_known);
    RUN(a_file_with_one_wrong_row_was_not_seen);
    RUN(progress_ends_at_its_totals);
    RUN(progress_moves_with_every_step_and_never_beyond_its_totals);
    RUN(a_store_that_moves_no_time_never_makes_two_states_one);
    RUN(a_file_cut_short_while_it_is_read_is_refused);
    return check_report();
}
