/* Big files that were written anew: what their tags spare, what they notice, and that a wrong tag costs time only. */
#include "check.h"
#include "codec/cpu.h"
#include "taking.h"

enum { SEGMENTS = 11, SIZE = (SEGMENTS - 1) * LRB_SEGMENT_BYTES + 12345 };

typedef struct known { /* of the file, as it was */
    lrb_taken taken;
    uint8_t key[LRB_KEY_BYTES];
    lrb_tag tags[SEGMENTS];
} known;

/* Lists the source anew; what is known of its one file is offered. */
static int begin_offered(scene *s, const known *k, bool unread, lrb_err *err) {
    int code = begin(s, err);
    if (code) return code;
    lrb_tag *tags = lrb_alloc(sizeof k->tags);
    if (!tags) return lrb_err_nomem(err, "offer");
    memcpy(tags, k->tags, sizeof k->tags);
    memcpy(lrb_intake_tag_key(s->intake), k->key, sizeof k->key);
    lrb_intake_offer(s->intake, 0, &k->taken, unread);
    lrb_intake_offer_tags(s->intake, 0, tags);
    return LRB_OK;
}

/* What is found without an offer. */
static int find(scene *s, known *k, lrb_err *err) {
    int code = begin(s, err);
    if (!code) code = run(s, err);
    const lrb_tag *tags = code ? NULL : lrb_intake_tags(s->intake, 0);
    if (!code && !tags) code = lrb_err_set(err, LRB_E_UNSUPPORTED, "find", "tags", "this processor cannot multiply without carries");
    if (!code) {
        k->taken = taken(s, 0);
        memcpy(k->key, lrb_intake_tag_key(s->intake), sizeof k->key);
        memcpy(k->tags, tags, sizeof k->tags);
    }
    end(s);
    return code;
}

/* A file whose chunks are in a snapshot, and what is known of it. */
static int open_known(scene *s, known *k, lrb_err *err) {
    lrb_backup_outcome outcome;
    int code = open_scene(s, err);
    fixture_write(s->f.source, "big", SIZE, 1);
    if (!code) code = find(s, k, err);
    return code ? code : fixture_backup(&s->f, s->repo, &outcome, err);
}

static int run_offered(scene *s, const known *k, lrb_taken *found, uint64_t *reused, lrb_err *err) {
    uint64_t encoded;
    int code = begin_offered(s, k, false, err);
    if (!code) code = run(s, err);
    if (!code) *found = taken(s, 0);
    if (!code) lrb_intake_counts(s->intake, reused, &encoded);
    if (!code && atomic_load(&s->job.counters.bytes_in) != SIZE) code = lrb_err_set(err, LRB_E_INTERNAL, "count", "", "bytes were miscounted");
    end(s);
    return code;
}

static void exchange(const scene *s, size_t one, size_t other, size_t count) {
    static uint8_t a[LRB_SEGMENT_BYTES], b[LRB_SEGMENT_BYTES];
    char path[512];
    fixture_path(path, s->f.source, "big");
    int fd = open(path, O_RDWR);
    if (fd < 0 || pread(fd, a, count, (off_t)one) < 0 || pread(fd, b, count, (off_t)other) < 0) perror(path), exit(2);
    if (pwrite(fd, b, count, (off_t)one) < 0 || pwrite(fd, a, count, (off_t)other) < 0) perror(path), exit(2);
    close(fd);
}

static void flip(const scene *s, size_t place) {
    char path[512];
    uint8_t byte;
    fixture_path(path, s->f.source, "big");
    int fd = open(path, O_RDWR);
    if (fd < 0 || pread(fd, &byte, 1, (off_t)place) != 1) perror(path), exit(2);
    byte ^= 4;
    if (pwrite(fd, &byte, 1, (off_t)place) != 1) perror(path), exit(2);
    close(fd);
}

/* A digest that nobody could have computed comes back. */
TEST(the_same_bytes_are_known_without_their_digest) {
    scene s;
    lrb_err err;
    known k;
    lrb_taken found;
    uint64_t reused;
    CHECK_OK(open_known(&s, &k, &err));
    fixture_write(s.f.source, "big", SIZE, 1);
    k.taken.sha256[5] ^= 1;
    CHECK_OK(run_offered(&s, &k, &found, &reused, &err));
    CHECK(reused == 1 && !memcmp(&found, &k.taken, sizeof found));
    close_scene(&s);
}

/* As it is written down, and read again: what the tags made of it is what is found without them. */
static int check_noticed(scene *s, const known *k, lrb_err *err) {
    known truth;
    lrb_taken found;
    uint64_t reused = 0;
    int code = find(s, &truth, err);
    if (!code) code = run_offered(s, k, &found, &reused, err);
    if (!code && (reused || memcmp(&found, &truth.taken, sizeof found) || !memcmp(&found, &k->taken, sizeof found)))
        code = lrb_err_set(err, LRB_E_INTERNAL, "compare", "", "the change was not noticed");
    return code;
}

TEST(one_byte_of_any_segment_is_noticed) {
    static const size_t places[] = {0, LRB_SEGMENT_BYTES - 1, 5 * LRB_SEGMENT_BYTES + 77, (SEGMENTS - 2) * LRB_SEGMENT_BYTES,
                                    (SEGMENTS - 1) * LRB_SEGMENT_BYTES, SIZE - 1};
    scene s;
    lrb_err err;
    known k;
    CHECK_OK(open_known(&s, &k, &err));
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        flip(&s, places[i]);
        CHECK_OK(check_noticed(&s, &k, &err));
        flip(&s, places[i]);
    }
    close_scene(&s);
}

TEST(exchanged_segments_are_noticed) {
    scene s;
    lrb_err err;
    known k;
    CHECK_OK(open_known(&s, &k, &err));
    for (size_t i = 1; i < SEGMENTS - 1; i += 3) {
        exchange(&s, 0, i * LRB_SEGMENT_BYTES, LRB_SEGMENT_BYTES);
        CHECK_OK(check_noticed(&s, &k, &err));
        exchange(&s, 0, i * LRB_SEGMENT_BYTES, LRB_SEGMENT_BYTES);
    }
    close_scene(&s);
}

TEST(a_wrong_tag_or_key_costs_time_only) {
    scene s;
    lrb_err err;
    known k;
    lrb_taken found;
    uint64_t reused;
    CHECK_OK(open_known(&s, &k, &err));
    for (size_t i = 0; i <= SEGMENTS; i++) {
        uint8_t *wrong = i < SEGMENTS ? &k.tags[i].bytes[i] : &k.key[7];
        *wrong ^= 0x20;
        CHECK_OK(run_offered(&s, &k, &found, &reused, &err));
        *wrong ^= 0x20;
        CHECK(reused == 1 && !memcmp(&found, &k.taken, sizeof found));
    }
    close_scene(&s);
}

TEST(tags_stay_with_what_is_not_read_and_go_where_nobody_makes_them) {
    scene s;
    lrb_err err;
    known k;
    lrb_taken found;
    uint64_t reused;
    CHECK_OK(open_known(&s, &k, &err));
    CHECK_OK(begin_offered(&s, &k, true, &err));
    CHECK_OK(run(&s, &err));
    CHECK(lrb_intake_tags(s.intake, 0) && !memcmp(lrb_intake_tags(s.intake, 0), k.tags, sizeof k.tags));
    lrb_intake_restart(s.intake);
    CHECK(!lrb_intake_tags(s.intake, 0));
    end(&s);
    lrb_cpu_limit(LRB_CPU_PLAIN);
    CHECK_OK(run_offered(&s, &k, &found, &reused, &err));
    CHECK(reused == 1 && !memcmp(&found, &k.taken, sizeof found));
    flip(&s, 3);
    CHECK_OK(begin_offered(&s, &k, false, &err));
    CHECK_OK(run(&s, &err));
    CHECK(!lrb_intake_tags(s.intake, 0)); /* old tags beside a new digest would vouch for other bytes */
    end(&s);
    lrb_cpu_limit(LRB_CPU_LEVELS);
    close_scene(&s);
}

TEST(a_file_that_changes_while_it_is_compared_is_refused) {
    scene s;
    lrb_err err;
    known k;
    lrb_step next;
    char path[512];
    CHECK_OK(open_known(&s, &k, &err));
    fixture_path(path, s.f.source, "big");
    for (int cut = 0; cut < 2; cut++) {
        CHECK_OK(begin_offered(&s, &k, false, &err));
        CHECK_OK(lrb_intake_step(s.intake, &s.f.worker, &next, &err)); /* the last segment */
        if (cut) CHECK(truncate(path, 2 << 20) == 0);
        else fixture_age(s.f.source, "big");
        CHECK_FAILS(run(&s, &err), LRB_E_CHANGED);
        CHECK(fixture_lies_at(&s.f, "big", err.target));
        end(&s);
    }
    close_scene(&s);
}

/* Whatever is taken is one of the two states, or there is an error. */
TEST(a_store_that_moves_no_time_never_makes_two_states_one) {
    static const size_t places[] = {77, SIZE - 5};
    scene s;
    lrb_err err;
    known k, other;
    lrb_step next;
    CHECK_OK(open_known(&s, &k, &err));
    uint8_t *mapped = map_stirred(&s, "big", SIZE);
    for (size_t i = 0; i < 2; i++) {
        uint8_t before = mapped[places[i]];
        mapped[places[i]] ^= 1;
        CHECK_OK(find(&s, &other, &err));
        for (size_t moment = 0, turns = 1; moment < turns; moment++) {
            mapped[places[i]] = before;
            CHECK_OK(begin_offered(&s, &k, false, &err));
            int code = LRB_OK;
            next = LRB_STEP_MORE;
            for (turns = 0; !code && next != LRB_STEP_DONE; turns++) {
                if (turns == moment) mapped[places[i]] ^= 1;
                code = lrb_intake_step(s.intake, turns % 2 ? &s.other : &s.f.worker, &next, &err);
            }
            CHECK(!code || code == LRB_E_CHANGED);
            lrb_taken found = code ? k.taken : taken(&s, 0);
            CHECK(!memcmp(&found, &k.taken, sizeof found) || !memcmp(&found, &other.taken, sizeof found));
            end(&s);
        }
        mapped[places[i]] = before;
    }
    munmap(mapped, SIZE);
    close_scene(&s);
}

TEST(every_failing_allocation_is_survived) {
    scene s;
    lrb_err err;
    known k;
    int64_t failed = 0;
    CHECK_OK(open_known(&s, &k, &err));
    for (int changed = 0; changed < 2; changed++) {
        if (changed) flip(&s, SIZE / 2);
        failed = 0;
        for (int code = LRB_E_NOMEM; code; failed++) {
            s.source = NULL, s.writer = NULL, s.intake = NULL;
            lrb_mem_fail_after(failed, false);
            code = begin_offered(&s, &k, false, &err);
            if (!code) code = run(&s, &err);
            lrb_mem_fail_after(-1, false);
            if (code) CHECK_FAILS(code, LRB_E_NOMEM);
            end(&s);
        }
        CHECK(failed > 10);
    }
    close_scene(&s);
}

int main(void) {
    if (!lrb_cpu_has_clmul()) { /* x86-64 of the last decade has it, and most of aarch64 */
        printf("left out: this processor cannot multiply without carries, so nothing has tags\n");
        return 0;
    }
    RUN(every_failing_allocation_is_survived);
    RUN(the_same_bytes_are_known_without_their_digest);
    RUN(one_byte_of_any_segment_is_noticed);
    RUN(exchanged_segments_are_noticed);
    RUN(a_wrong_tag_or_key_costs_time_only);
    RUN(tags_stay_with_what_is_not_read_and_go_where_nobody_makes_them);
    RUN(a_file_that_changes_while_it_is_compared_is_refused);
    RUN(a_store_that_moves_no_time_never_makes_two_states_one);
    return check_report();
}
