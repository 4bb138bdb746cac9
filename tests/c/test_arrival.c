/* Objects that come in parts: whoever brings them, in whatever pieces, the whole is what its name says, or nothing. */
#include "repo/arrival.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>

#include "base/fs.h"
#include "base/fs_direct.h"
#include "base/mem.h"
#include "check.h"
#include "codec/adler.h"
#include "codec/digest.h"
#include "fixture.h"

enum { PART = 300 << 10, SIZE = 3 * PART + 1234 };

static lrb_err err;

/* An object whose bytes begin at a page, the place it grows at, and who brings it. */
typedef struct scene {
    fixture f;
    char path[512], home[512];
    uint8_t *bytes, sha256[LRB_DIGEST_BYTES];
    lrb_arrival *arrival;
} scene;

static bool open_scene(scene *s) {
    fixture_open(&s->f);
    fixture_path(s->path, s->f.root, "growing");
    fixture_path(s->home, s->f.root, "home");
    s->bytes = lrb_resize_pages(NULL, 0, SIZE);
    fixture_fill(s->bytes, SIZE, 1);
    return !lrb_sha256(s->bytes, SIZE, s->sha256, &err) && !lrb_arrival_new(&s->arrival, &err);
}

static void close_scene(scene *s) {
    lrb_arrival_free(s->arrival);
    lrb_free_pages(s->bytes, SIZE);
    fixture_close(&s->f);
}

static lrb_arrival_part part_of(const scene *s, uint64_t begin, uint64_t end) {
    const uint8_t *bytes = s->bytes + begin;
    size_t count = (size_t)(end - begin);
    return (lrb_arrival_part){.path = s->path, .home = s->home, .sha256 = s->sha256, .size = SIZE, .offset = begin,
                              .bytes = bytes, .count = count, .has_sum = true, .sum = lrb_adler32(bytes, count)};
}

static uint64_t end_of(uint64_t begin, uint64_t step) { return begin + step < SIZE ? begin + step : SIZE; }

static bool is_locked(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool locked = flock(fd, LOCK_EX | LOCK_NB) != 0;
    close(fd);
    return locked;
}

static bool holds_all(const scene *s) {
    static uint8_t back[SIZE + 1];
    FILE *file = fopen(s->path, "rb");
    size_t got = file ? fread(back, 1, sizeof back, file) : 0;
    if (file) fclose(file);
    return got == SIZE && !memcmp(back, s->bytes, SIZE);
}

/* What becomes of one part; a whole one's descriptor is closed. */
static lrb_arrival_outcome outcome(lrb_arrival *arrival, lrb_arrival_part part, uint64_t held) {
    lrb_arrival_end end;
    if (lrb_arrival_take(arrival, &part, &end, &err) || end.held != held) return (lrb_arrival_outcome)-1;
    bool whole = end.outcome == LRB_ARRIVAL_WHOLE;
    if (whole != (end.fd >= 0) || (whole && !is_locked(part.path))) return (lrb_arrival_outcome)-1;
    lrb_fs_close(end.fd);
    return end.outcome;
}

TEST(parts_of_any_length_make_the_whole_by_whoever_brings_them) {
    static const uint64_t steps[] = {SIZE, PART, 4096, 100000};
    scene s;
    CHECK(open_scene(&s));
    lrb_arrival *other;
    CHECK_OK(lrb_arrival_new(&other, &err));
    for (size_t i = 0; i < 2 * sizeof steps / sizeof *steps; i++) {
        lrb_arrival *by[] = {s.arrival, i % 2 ? other : s.arrival};
        unsigned turn = 0;
        for (uint64_t begin = 0, end; begin < SIZE; begin = end) {
            end = end_of(begin, steps[i / 2]);
            lrb_arrival_outcome due = end < SIZE ? LRB_ARRIVAL_MORE : LRB_ARRIVAL_WHOLE;
            CHECK(outcome(by[turn++ % 2], part_of(&s, begin, end), end) == due);
        }
        CHECK(holds_all(&s));
        CHECK(!unlink(s.path));
    }
    lrb_arrival_free(other);
    close_scene(&s);
}

TEST(what_does_not_follow_changes_nothing) {
    scene s;
    CHECK(open_scene(&s));
    CHECK(outcome(s.arrival, part_of(&s, 10, 20), 0) == LRB_ARRIVAL_GAP);
    CHECK(outcome(s.arrival, part_of(&s, 0, PART), PART) == LRB_ARRIVAL_MORE);
    CHECK(outcome(s.arrival, part_of(&s, 0, PART), PART) == LRB_ARRIVAL_MORE);
    CHECK(outcome(s.arrival, part_of(&s, PART + 1, SIZE), PART) == LRB_ARRIVAL_GAP);
    lrb_arrival_part flipped = part_of(&s, PART, SIZE);
    flipped.sum++;
    CHECK(outcome(s.arrival, flipped, 0) == LRB_ARRIVAL_FLIPPED);
    flipped.offset = SIZE;
    lrb_arrival_end end;
    CHECK_FAILS(lrb_arrival_take(s.arrival, &flipped, &end, &err), LRB_E_INVALID);
    flipped = part_of(&s, PART, SIZE);
    flipped.sum++, flipped.has_sum = false;
    CHECK(outcome(s.arrival, flipped, SIZE) == LRB_ARRIVAL_WHOLE);
    CHECK(holds_all(&s));
    CHECK(outcome(s.arrival, part_of(&s, SIZE, SIZE), SIZE) == LRB_ARRIVAL_WHOLE); /* it was not taken away, and is looked at */
    CHECK(!rename(s.path, s.home));
    CHECK(outcome(s.arrival, part_of(&s, 0, PART), SIZE) == LRB_ARRIVAL_HOME);
    CHECK(access(s.path, F_OK));
    close_scene(&s);
}

static uint64_t grown(const scene *s) {
    lrb_identity found = {0};
    return lrb_fs_identify_at(AT_FDCWD, s->path, &found, &err) ? 0 : found.size_bytes;
}

TEST(who_left_the_file_goes_on_in_it) {
    scene s;
    CHECK(open_scene(&s));
    CHECK(outcome(s.arrival, part_of(&s, 0, PART), PART) == LRB_ARRIVAL_MORE);
    for (uint64_t at = PART; at < 3 * PART; at += PART) {
        lrb_arrival_part part = part_of(&s, at, at + PART);
        CHECK(lrb_arrival_follow(s.arrival, &part) && grown(&s) == at + PART);
    }
    CHECK(!is_locked(s.path));
    CHECK(outcome(s.arrival, part_of(&s, 3 * PART, SIZE), SIZE) == LRB_ARRIVAL_WHOLE);
    CHECK(holds_all(&s));
    close_scene(&s);
}

/* Of each nothing is done, and whoever is asked next says what it is, or does it. */
TEST(what_may_not_follow_is_left_to_be_taken) {
    enum { FLIPPED, WITHOUT_SUM, BEFORE, BEHIND, THE_LAST, BEYOND, TOUCHED, ANOTHER_FILE, GONE, KINDS };
    for (int kind = 0; kind < KINDS; kind++) {
        scene s;
        CHECK(open_scene(&s));
        CHECK(outcome(s.arrival, part_of(&s, 0, PART), PART) == LRB_ARRIVAL_MORE);
        uint64_t begin = kind == BEFORE ? 0 : kind == BEHIND ? 2 * PART : PART;
        lrb_arrival_part part = part_of(&s, begin, kind == THE_LAST ? SIZE : begin + PART);
        part.sum += kind == FLIPPED;
        part.has_sum = kind != WITHOUT_SUM;
        if (kind == BEYOND) part.size = PART + 1;
        if (kind == TOUCHED) CHECK(!utimensat(AT_FDCWD, s.path, NULL, 0));
        if (kind == ANOTHER_FILE || kind == GONE) CHECK(!unlink(s.path));
        if (kind == ANOTHER_FILE) fixture_write(s.f.root, "growing", PART, 2);
        uint64_t before = grown(&s);
        CHECK(!lrb_arrival_follow(s.arrival, &part) && grown(&s) == before);
        CHECK(kind != GONE || access(s.path, F_OK));
        if (kind == TOUCHED || kind == WITHOUT_SUM) CHECK(outcome(s.arrival, part, 2 * PART) == LRB_ARRIVAL_MORE);
        close_scene(&s);
    }
}

TEST(a_wrong_byte_of_anybody_s_is_found) {
    scene s;
    for (int by_somebody_here = 0; by_somebody_here < 2; by_somebody_here++) {
        CHECK(open_scene(&s));
        if (!by_somebody_here) s.bytes[9] ^= 1;
        CHECK(outcome(s.arrival, part_of(&s, 0, PART), PART) == LRB_ARRIVAL_MORE);
        int fd = open(s.path, O_WRONLY | O_CLOEXEC);
        if (by_somebody_here) CHECK(pwrite(fd, "wrong", 5, 9) == 5);
        close(fd);
        CHECK(outcome(s.arrival, part_of(&s, PART, SIZE), SIZE) == LRB_ARRIVAL_WRONG);
        CHECK(access(s.path, F_OK));
        close_scene(&s);
    }
}

TEST(what_is_longer_than_it_may_be_begins_anew) {
    scene s;
    CHECK(open_scene(&s));
    fixture_write(s.f.root, "growing", SIZE + 1, 2);
    CHECK(outcome(s.arrival, part_of(&s, PART, SIZE), 0) == LRB_ARRIVAL_GAP);
    CHECK(outcome(s.arrival, part_of(&s, 0, SIZE), SIZE) == LRB_ARRIVAL_WHOLE);
    CHECK(holds_all(&s));
    close_scene(&s);
}

/* The kernel takes what fits, and refuses the rest: nothing of such a part is kept, and it comes again. */
TEST(a_part_that_is_written_by_half_is_not_there) {
    struct rlimit before, little = {.rlim_cur = PART + 8192, .rlim_max = RLIM_INFINITY};
    scene s;
    lrb_arrival_end end;
    CHECK(open_scene(&s));
    CHECK(outcome(s.arrival, part_of(&s, 0, PART), PART) == LRB_ARRIVAL_MORE);
    lrb_arrival_part part = part_of(&s, PART, 2 * PART);
    getrlimit(RLIMIT_FSIZE, &before);
    little.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    CHECK(!setrlimit(RLIMIT_FSIZE, &little));
    bool followed = lrb_arrival_follow(s.arrival, &part);
    uint64_t left = grown(&s);
    int code = lrb_arrival_take(s.arrival, &part, &end, &err);
    CHECK(!setrlimit(RLIMIT_FSIZE, &before));
    CHECK_FAILS(code, LRB_E_IO);
    CHECK(!followed && left == PART && grown(&s) == PART);
    CHECK(outcome(s.arrival, part, 2 * PART) == LRB_ARRIVAL_MORE);
    CHECK(outcome(s.arrival, part_of(&s, 2 * PART, SIZE), SIZE) == LRB_ARRIVAL_WHOLE);
    close_scene(&s);
}

TEST(what_the_system_refuses_is_told) {
    scene s;
    lrb_arrival_end end;
    CHECK(open_scene(&s));
    lrb_arrival_part part = part_of(&s, 0, SIZE);
    part.path = "/dev/full", part.home = "";
    CHECK_FAILS(lrb_arrival_take(s.arrival, &part, &end, &err), LRB_E_NO_SPACE);
    CHECK(!mkdir(s.path, 0700));
    part.path = s.path;
    CHECK_FAILS(lrb_arrival_take(s.arrival, &part, &end, &err), LRB_E_IO);
    CHECK(!rmdir(s.path));
    CHECK(!symlink(s.home, s.path));
    CHECK_FAILS(lrb_arrival_take(s.arrival, &part, &end, &err), LRB_E_IO);
    CHECK(access(s.home, F_OK));
    close_scene(&s);
}

/* Without memory a part fails, and comes again; what the file has then was whole. */
TEST(every_allocation_may_fail) {
    scene s;
    lrb_arrival_end end;
    bool done = false;
    CHECK(open_scene(&s));
    for (int countdown = 0; !done; countdown++) {
        lrb_arrival *arrival = NULL;
        uint64_t at = 0;
        lrb_mem_fail_after(countdown, true);
        int code = lrb_arrival_new(&arrival, &err);
        for (int tries = 0; !code && at < SIZE && tries < 9; tries++) {
            lrb_arrival_part part = part_of(&s, at, end_of(at, PART));
            if (at == 2 * PART) utimensat(AT_FDCWD, s.path, NULL, 0); /* somebody else's hand: it is read in the end */
            if (at == PART && lrb_arrival_follow(arrival, &part)) {
                at += PART;
                continue;
            }
            if ((code = lrb_arrival_take(arrival, &part, &end, &err))) break;
            at = end.held;
            done = end.outcome == LRB_ARRIVAL_WHOLE;
            lrb_fs_close(end.fd);
        }
        lrb_mem_fail_after(-1, false);
        lrb_arrival_free(arrival);
        CHECK(done || code == LRB_E_NOMEM);
        unlink(s.path);
    }
    close_scene(&s);
}

static void *bring(void *arg) {
    const scene *s = arg;
    lrb_arrival *arrival;
    lrb_arrival_end end = {.held = 0};
    lrb_err own;
    if (lrb_arrival_new(&arrival, &own)) return (void *)1;
    int code = LRB_OK;
    while (!code && end.held < SIZE) {
        lrb_arrival_part part = part_of(s, end.held, end_of(end.held, 50000));
        if (lrb_arrival_follow(arrival, &part)) {
            end.held += part.count;
            continue;
        }
        code = lrb_arrival_take(arrival, &part, &end, &own);
        if (!code && end.outcome == LRB_ARRIVAL_GAP) continue; /* another one took it home, and was seen too late */
        if (!code && end.outcome == LRB_ARRIVAL_WHOLE) code = rename(part.path, part.home);
        if (!code) lrb_fs_close(end.fd);
    }
    lrb_arrival_free(arrival);
    return code ? (void *)1 : NULL;
}

TEST(several_may_bring_the_same) {
    pthread_t crew[4];
    scene s;
    CHECK(open_scene(&s));
    for (size_t i = 0; i < 4; i++) CHECK(!pthread_create(&crew[i], NULL, bring, &s));
    void *failed[4];
    for (size_t i = 0; i < 4; i++) pthread_join(crew[i], &failed[i]);
    for (size_t i = 0; i < 4; i++) CHECK(!failed[i]);
    strcpy(s.path, s.home);
    CHECK(holds_all(&s));
    close_scene(&s);
}

int main(void) {
    RUN(parts_of_any_length_make_the_whole_by_whoever_brings_them);
    RUN(what_does_not_follow_changes_nothing);
    RUN(who_left_the_file_goes_on_in_it);
    RUN(what_may_not_follow_is_left_to_be_taken);
    RUN(a_wrong_byte_of_anybody_s_is_found);
    RUN(what_is_longer_than_it_may_be_begins_anew);
    RUN(a_part_that_is_written_by_half_is_not_there);
    RUN(what_the_system_refuses_is_told);
    RUN(every_allocation_may_fail);
    RUN(several_may_bring_the_same);
    return check_report();
}
