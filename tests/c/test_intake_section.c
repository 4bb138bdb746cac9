/* Vector files of which sections are as they were: what their tags spare after a restart, and that what is taken is what would
 * have been encoded, whatever changed and whatever the tags say. */
#include "check.h"
#include "codec/cpu.h"
#include "taking.h"
#include "vector_file.h"

enum { DIM = 48, ROW_CHARS = DIM * 16 / 3, RECORDS = 8000, NUMBERS_MAX = RECORDS + 100 }; /* some four sections */

typedef struct known { /* of the file, as it was */
    lrb_taken taken;
    uint8_t key[LRB_KEY_BYTES];
    lrb_section_tags sections;
} known;

typedef struct outcome {
    lrb_taken taken;
    lrb_rows_seen seen;
    uint64_t skipped; /* bytes of content that were made and found to be stored */
    bool clear;
} outcome;

static uint64_t numbers[NUMBERS_MAX]; /* of the file as it was the first RECORDS; filled by open_known */

static vector_file file_of(const uint64_t *records, size_t count) {
    vector_file f = {.dim = DIM, .newline = "", .end = "\"}"};
    vector_file_make(&f, records, count);
    return f;
}

static void write_file(const scene *s, const vector_file *f) {
    char path[512];
    fixture_path(path, s->f.source, "vdb");
    unlink(path);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(f->bytes.data, 1, f->bytes.length, file) != f->bytes.length) perror(path), exit(2);
    fclose(file);
}

/* With `k`, what is known of the file before. */
static int begin_offered(scene *s, const known *k, lrb_err *err) {
    int code = begin(s, err);
    if (!code) lrb_intake_compare_rows(s->intake);
    if (code || !k) return code;
    size_t bytes = 2 * k->sections.sections * sizeof *k->sections.tags;
    lrb_tag *tags = lrb_alloc(bytes);
    if (!tags) return lrb_err_nomem(err, "offer");
    memcpy(tags, k->sections.tags, bytes);
    memcpy(lrb_intake_tag_key(s->intake), k->key, sizeof k->key);
    lrb_intake_offer(s->intake, 0, &k->taken, false);
    lrb_intake_offer_sections(s->intake, 0, (lrb_section_tags){tags, k->sections.sections, k->sections.clear});
    return LRB_OK;
}

static outcome look(scene *s) {
    const lrb_rows_seen *seen = lrb_intake_rows_seen(s->intake, 0);
    outcome o = {.taken = taken(s, 0), .skipped = atomic_load(&s->job.counters.bytes_skipped), .clear = lrb_intake_sections(s->intake, 0)->clear};
    if (seen) o.seen = *seen;
    return o;
}

/* Zeros when it failed, which equal nothing. */
static outcome take(scene *s, const known *k) {
    lrb_err err;
    int code = begin_offered(s, k, &err);
    if (!code) code = run(s, &err);
    outcome o = code ? (outcome){.skipped = 0} : look(s);
    end(s);
    return o;
}

static bool same(const outcome *a, const outcome *b) {
    return a->taken.root.kind && !memcmp(&a->taken, &b->taken, sizeof a->taken) && !memcmp(&a->seen, &b->seen, sizeof a->seen) && a->clear == b->clear;
}

/* A file whose chunks are in a snapshot, and what is known of it. */
static void open_known(scene *s, known *k) {
    lrb_err err;
    lrb_backup_outcome stored;
    CHECK_OK(open_scene(s, &err));
    for (size_t i = 0; i < NUMBERS_MAX; i++) numbers[i] = i;
    vector_file f = file_of(numbers, RECORDS);
    write_file(s, &f);
    lrb_buf_clear(&f.bytes);
    CHECK_OK(begin_offered(s, NULL, &err));
    CHECK_OK(run(s, &err));
    const lrb_section_tags *sections = lrb_intake_sections(s->intake, 0);
    *k = (known){.taken = taken(s, 0), .sections = *sections};
    memcpy(k->key, lrb_intake_tag_key(s->intake), sizeof k->key);
    CHECK(sections->sections > 2 && sections->clear);
    k->sections.tags = lrb_alloc(2 * sections->sections * sizeof *sections->tags);
    memcpy(k->sections.tags, sections->tags, 2 * sections->sections * sizeof *sections->tags);
    end(s);
    CHECK_OK(fixture_backup(&s->f, s->repo, &stored, &err));
}

static void close_known(scene *s, known *k) {
    lrb_free(k->sections.tags);
    close_scene(s);
}

/* The same, and then the file as a restart leaves it. */
static vector_file open_restarted(scene *s, known *k) {
    open_known(s, k);
    vector_file f = file_of(numbers, RECORDS);
    vector_file_restart(&f);
    write_file(s, &f);
    return f;
}

TEST(after_a_restart_nothing_but_corrections_is_made) {
    scene s;
    known k;
    open_known(&s, &k);
    vector_file f = file_of(numbers, RECORDS);
    for (int restarts = 0; restarts < 3; restarts++) {
        vector_file_restart(&f);
        write_file(&s, &f);
        outcome truth = take(&s, NULL), found = take(&s, &k);
        CHECK(same(&truth, &found) && found.clear && found.seen.rows == RECORDS);
        CHECK(memcmp(&found.taken, &k.taken, sizeof k.taken));
        CHECK(truth.skipped > f.bytes.length / 3 && found.skipped < truth.skipped / 20); /* the frame and nodes */
    }
    lrb_buf_clear(&f.bytes);
    close_known(&s, &k);
}

/* Records that come and go, and one that has another's row: sections that stayed are known wherever they are. */
TEST(sections_that_changed_are_encoded_and_the_others_known) {
    static const struct { size_t gone, added, moved; } changes[] = {{0, 100, 0}, {1, 0, 0}, {RECORDS / 2, 0, 0}, {0, 1, 7}, {RECORDS - 1, 0, 0}};
    scene s;
    known k;
    open_known(&s, &k);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        static uint64_t left[NUMBERS_MAX];
        size_t count = 0;
        for (size_t n = 0; n < RECORDS + changes[i].added; n++)
            if (!changes[i].gone || n != changes[i].gone) left[count++] = numbers[n];
        vector_file f = file_of(left, count);
        uint8_t *matrix = f.bytes.data + f.matrix_at;
        if (changes[i].moved) memcpy(matrix + ROW_CHARS * changes[i].moved, matrix, ROW_CHARS);
        vector_file_restart(&f);
        write_file(&s, &f);
        outcome truth = take(&s, NULL), found = take(&s, &k);
        CHECK(same(&truth, &found) && found.clear == !changes[i].moved);
        CHECK(found.skipped < truth.skipped);
        lrb_buf_clear(&f.bytes);
    }
    close_known(&s, &k);
}

TEST(one_byte_of_any_part_is_noticed) {
    scene s;
    known k;
    open_known(&s, &k);
    vector_file f = file_of(numbers, RECORDS);
    const char *payload = memmem(f.bytes.data, f.bytes.length, ": \"eJw", 6);
    size_t first = (size_t)(payload - (const char *)f.bytes.data);
    const size_t places[] = {60, first + 60, f.matrix_at / 2, f.matrix_at + 40, f.matrix_at + ROW_CHARS * (RECORDS / 2)};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        uint8_t before = f.bytes.data[places[i]];
        f.bytes.data[places[i]] = before == 'Q' ? 'g' : 'Q';
        write_file(&s, &f);
        outcome truth = take(&s, NULL), found = take(&s, &k);
        CHECK(same(&truth, &found) && memcmp(&found.taken, &k.taken, sizeof k.taken));
        f.bytes.data[places[i]] = before;
    }
    lrb_buf_clear(&f.bytes);
    close_known(&s, &k);
}

TEST(wrong_tags_a_wrong_key_and_a_wrong_recipe_cost_time_only) {
    scene s;
    known k;
    vector_file f = open_restarted(&s, &k);
    outcome truth = take(&s, NULL);
    size_t tags = 2 * k.sections.sections;
    uint8_t *flips[] = {&k.sections.tags[0].bytes[3], &k.sections.tags[tags - 1].bytes[15], &k.key[9], &k.taken.root.id.bytes[0]};
    for (size_t i = 0; i < sizeof flips / sizeof *flips; i++) {
        *flips[i] ^= 0x10;
        outcome found = take(&s, &k);
        *flips[i] ^= 0x10;
        CHECK(same(&truth, &found) && found.skipped);
    }
    k.sections.sections--; /* the recipe has one more */
    outcome found = take(&s, &k);
    CHECK(same(&truth, &found) && found.skipped == truth.skipped);
    k.sections.sections++;
    k.sections.clear = false; /* every row is to be looked at */
    found = take(&s, &k);
    CHECK(same(&truth, &found) && found.skipped == truth.skipped);
    lrb_buf_clear(&f.bytes);
    close_known(&s, &k);
}

TEST(tags_go_where_nobody_makes_them_and_with_the_vectors) {
    lrb_err err;
    scene s;
    known k;
    vector_file f = open_restarted(&s, &k);
    lrb_cpu_limit(LRB_CPU_PLAIN);
    CHECK_OK(begin_offered(&s, &k, &err));
    CHECK_OK(run(&s, &err));
    CHECK(!lrb_intake_sections(s.intake, 0)->sections); /* old tags beside a new recipe would vouch for other chunks */
    end(&s);
    lrb_cpu_limit(LRB_CPU_LEVELS);
    static const size_t sizes[] = {3 << 20, 1000};
    for (size_t i = 0; i < 2; i++) {
        fixture_write(s.f.source, "vdb", sizes[i], 1);
        CHECK_OK(begin_offered(&s, &k, &err));
        CHECK_OK(run(&s, &err));
        CHECK(!lrb_intake_sections(s.intake, 0)->sections);
        end(&s);
    }
    lrb_buf_clear(&f.bytes);
    close_known(&s, &k);
}

/* Whatever is taken is what one of the two states gives, or there is an error. */
TEST(a_store_that_moves_no_time_never_makes_two_states_one) {
    lrb_err err;
    scene s;
    known k;
    vector_file f = open_restarted(&s, &k);
    const size_t places[] = {f.matrix_at / 2, f.matrix_at + 4321};
    uint8_t *mapped = map_stirred(&s, "vdb", f.bytes.length);
    for (size_t i = 0; i < 2; i++) {
        outcome states[2];
        for (int state = 0; state < 2; state++) states[state] = take(&s, NULL), mapped[places[i]] ^= 1;
        for (size_t moment = 0, turns = 1; moment < turns; moment++) {
            lrb_step next = LRB_STEP_MORE;
            int code = begin_offered(&s, &k, &err);
            for (turns = 0; !code && next != LRB_STEP_DONE; turns++) {
                if (turns == moment) mapped[places[i]] ^= 1;
                code = lrb_intake_step(s.intake, turns % 2 ? &s.other : &s.f.worker, &next, &err);
            }
            CHECK(!code || code == LRB_E_CHANGED);
            lrb_taken found = code ? states[0].taken : taken(&s, 0);
            CHECK(!memcmp(&found, &states[0].taken, sizeof found) || !memcmp(&found, &states[1].taken, sizeof found));
            end(&s);
        }
    }
    munmap(mapped, f.bytes.length);
    lrb_buf_clear(&f.bytes);
    close_known(&s, &k);
}

TEST(every_failing_allocation_is_survived) {
    lrb_err err;
    scene s;
    known k;
    vector_file f = open_restarted(&s, &k);
    outcome truth = take(&s, NULL), found = {.skipped = 0};
    int64_t failed = 0;
    for (int code = LRB_E_NOMEM; code; failed++) {
        s.source = NULL, s.writer = NULL, s.intake = NULL;
        lrb_mem_fail_after(failed, false);
        code = begin_offered(&s, &k, &err);
        if (!code) code = run(&s, &err);
        lrb_mem_fail_after(-1, false);
        if (code) CHECK_FAILS(code, LRB_E_NOMEM);
        else found = look(&s);
        end(&s);
    }
    CHECK(failed > 20 && same(&truth, &found));
    lrb_buf_clear(&f.bytes);
    close_known(&s, &k);
}

int main(void) {
    if (!lrb_cpu_has_clmul()) { /* x86-64 of the last decade has it, and most of aarch64 */
        printf("left out: this processor cannot multiply without carries, so nothing has tags\n");
        return 0;
    }
    RUN(after_a_restart_nothing_but_corrections_is_made);
    RUN(sections_that_changed_are_encoded_and_the_others_known);
    RUN(one_byte_of_any_part_is_noticed);
    RUN(wrong_tags_a_wrong_key_and_a_wrong_recipe_cost_time_only);
    RUN(tags_go_where_nobody_makes_them_and_with_the_vectors);
    RUN(a_store_that_moves_no_time_never_makes_two_states_one);
    RUN(every_failing_allocation_is_survived);
    return check_report();
}
