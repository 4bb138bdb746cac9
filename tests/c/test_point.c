/* Recovery points on a real file system: what was appended comes back in order, and nothing else does. */
#include "repo/point.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "check.h"
#include "scratch.h"

static lrb_err err;
static scratch s;
static const lrb_key master = {{1, 2, 3}}, other_master = {{1, 2, 4}};

static lrb_point_place place(const char *id, const lrb_key *key) { return (lrb_point_place){s.root, id, key}; }

static int append(const char *id, const lrb_key *key, bool create, const char *text) {
    lrb_point_place p = place(id, key);
    uint64_t number;
    return lrb_point_append(&p, create, text, strlen(text), &number, &err);
}

/* Everything that was read, one after the other. */
static char seen[8192];

static int note(void *arg, uint64_t number, int64_t time_ns, const char *text, size_t length, lrb_err *e) {
    (void)arg, (void)e;
    size_t at = strlen(seen);
    snprintf(seen + at, sizeof seen - at, "%d%s:%.*s ", (int)number, time_ns > 0 ? "" : "(no time)", (int)length, text);
    return LRB_OK;
}

static int read_all(const char *id, const lrb_key *key) {
    lrb_point_place p = place(id, key);
    seen[0] = 0;
    return lrb_point_read(&p, note, NULL, &err);
}

static void path_of(const char *id, int number, char out[256]) {
    snprintf(out, 256, "%s/recovery_points/%s/%020d", s.root, id, number);
}

TEST(what_is_appended_comes_back_in_order) {
    CHECK_OK(append("p", NULL, true, "{\"point\": 1}"));
    CHECK_OK(append("p", NULL, false, "{}"));
    CHECK_OK(append("p", NULL, false, ""));
    CHECK_OK(read_all("p", NULL));
    CHECK(!strcmp(seen, "0:{\"point\": 1} 1:{} 2: "));
}

TEST(a_point_is_created_once_and_added_to_only_when_there) {
    CHECK_FAILS(append("p", NULL, true, "again"), LRB_E_EXISTS);
    CHECK_FAILS(append("unknown", NULL, false, "{}"), LRB_E_NOT_FOUND);
    CHECK_FAILS(read_all("unknown", NULL), LRB_E_NOT_FOUND);
    CHECK_OK(read_all("p", NULL));
}

TEST(what_is_no_id_leads_nowhere) {
    static const char *const hostile[] = {"", ".", "..", "../p", ".tmp", "a/b"};
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        bool existed;
        CHECK_FAILS(append(hostile[i], NULL, true, "{}"), LRB_E_INVALID);
        CHECK_FAILS(read_all(hostile[i], NULL), LRB_E_INVALID);
        CHECK_FAILS(lrb_point_delete(s.root, hostile[i], &existed, &err), LRB_E_INVALID);
    }
}

TEST(a_deleted_point_is_gone_and_may_be_made_again) {
    bool existed;
    CHECK_OK(append("gone", NULL, true, "{}"));
    CHECK_OK(append("gone", NULL, false, "{}"));
    CHECK_OK(lrb_point_delete(s.root, "gone", &existed, &err));
    CHECK(existed);
    CHECK_FAILS(read_all("gone", NULL), LRB_E_NOT_FOUND);
    CHECK_OK(lrb_point_delete(s.root, "gone", &existed, &err));
    CHECK(!existed);
    CHECK_OK(append("gone", NULL, true, "anew"));
    CHECK_OK(read_all("gone", NULL));
    CHECK(!strcmp(seen, "0:anew "));
}

TEST(a_deletion_that_died_is_a_deletion) {
    char point[256], aside[256];
    bool existed;
    CHECK_OK(append("half", NULL, true, "{}"));
    snprintf(point, sizeof point, "%s/recovery_points/half", s.root);
    snprintf(aside, sizeof aside, "%s/recovery_points/.tmp/half", s.root);
    CHECK(!rename(point, aside));
    CHECK_FAILS(read_all("half", NULL), LRB_E_NOT_FOUND);
    CHECK_FAILS(append("half", NULL, false, "{}"), LRB_E_NOT_FOUND);
    CHECK_OK(lrb_point_delete(s.root, "half", &existed, &err));
    CHECK(!existed);
    CHECK(access(aside, F_OK));
}

TEST(a_point_that_lost_its_first_entry_is_damaged_and_can_be_deleted) {
    char path[256];
    bool existed;
    CHECK_OK(append("headless", NULL, true, "{}"));
    CHECK_OK(append("headless", NULL, false, "{}"));
    path_of("headless", 0, path);
    CHECK(!unlink(path));
    CHECK_FAILS(read_all("headless", NULL), LRB_E_DAMAGED);
    CHECK_FAILS(append("headless", NULL, false, "{}"), LRB_E_DAMAGED);
    CHECK_FAILS(append("headless", NULL, true, "{}"), LRB_E_DAMAGED);
    CHECK_OK(lrb_point_delete(s.root, "headless", &existed, &err));
    CHECK(existed);
    CHECK_FAILS(read_all("headless", NULL), LRB_E_NOT_FOUND);
}

TEST(a_sealed_point_shows_nothing_and_wants_its_key) {
    char path[256], bytes[4096];
    CHECK_OK(append("sealed", &master, true, "a secret document"));
    CHECK_OK(append("sealed", &master, false, "another"));
    CHECK_OK(read_all("sealed", &master));
    CHECK(!strcmp(seen, "0:a secret document 1:another "));
    path_of("sealed", 0, path);
    FILE *file = fopen(path, "rb");
    size_t count = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    CHECK(!memmem(bytes, count, "secret", 6));
    CHECK_FAILS(read_all("sealed", NULL), LRB_E_LOCKED);
    CHECK_FAILS(append("sealed", NULL, false, "{}"), LRB_E_LOCKED);
    CHECK_FAILS(read_all("sealed", &other_master), LRB_E_DAMAGED);
    CHECK_FAILS(read_all("p", &master), LRB_E_LOCKED);
}

static bool every_flip_is_found(const char *id, const lrb_key *key) {
    for (int number = 0; number < 2; number++) {
        char path[256];
        struct stat st;
        path_of(id, number, path);
        if (stat(path, &st) || chmod(path, 0640)) return false;
        for (off_t at = 0; at < st.st_size; at++) {
            int fd = open(path, O_RDWR);
            uint8_t old, flipped;
            bool done = fd >= 0 && pread(fd, &old, 1, at) == 1 && (flipped = old ^ 1, pwrite(fd, &flipped, 1, at) == 1);
            int code = read_all(id, key);
            bool found = code == LRB_E_DAMAGED || code == LRB_E_UNSUPPORTED || code == LRB_E_FOREIGN || code == LRB_E_LOCKED;
            done = done && pwrite(fd, &old, 1, at) == 1;
            close(fd);
            if (!done || !found) return printf("%s: byte %d of entry %d: %s\n", id, (int)at, number, lrb_code_symbol(code)), false;
        }
    }
    return !read_all(id, key);
}

TEST(every_flipped_byte_is_found) {
    CHECK_OK(append("flip", NULL, true, "{\"a\": 1}"));
    CHECK_OK(append("flip", NULL, false, "{}"));
    CHECK(every_flip_is_found("flip", NULL));
    CHECK(every_flip_is_found("sealed", &master));
}

TEST(a_missing_or_exchanged_entry_is_found) {
    char one[256], two[256], aside[256];
    CHECK_OK(append("chain", NULL, true, "zero"));
    for (int i = 1; i < 4; i++) CHECK_OK(append("chain", NULL, false, i & 1 ? "one" : "two"));
    path_of("chain", 1, one);
    path_of("chain", 3, two);
    snprintf(aside, sizeof aside, "%s/aside", s.root);
    CHECK(!rename(one, aside));
    CHECK_FAILS(read_all("chain", NULL), LRB_E_DAMAGED);
    CHECK(!strcmp(seen, "0:zero "));
    CHECK(!rename(two, one) && !rename(aside, two));
    CHECK_FAILS(read_all("chain", NULL), LRB_E_DAMAGED);
    path_of("flip", 0, one);
    path_of("chain", 0, two);
    CHECK(!rename(one, two));
    CHECK_FAILS(read_all("chain", NULL), LRB_E_FOREIGN);
}

TEST(a_document_has_a_ceiling) {
    lrb_point_place p = place("big", NULL);
    uint64_t number;
    char *text = lrb_alloc_zero(LRB_POINT_TEXT_MAX_BYTES + 1, 1);
    CHECK(text);
    memset(text, 'x', LRB_POINT_TEXT_MAX_BYTES + 1);
    int above = lrb_point_append(&p, true, text, LRB_POINT_TEXT_MAX_BYTES + 1, &number, &err);
    int most = lrb_point_append(&p, true, text, LRB_POINT_TEXT_MAX_BYTES, &number, &err);
    lrb_free(text);
    CHECK_FAILS(above, LRB_E_LIMIT);
    CHECK_OK(most);
    CHECK_OK(read_all("big", NULL));
}

TEST(processes_that_append_at_once_lose_nothing) {
    enum { WRITERS = 3, EACH = 10 };
    CHECK_OK(append("shared", NULL, true, "s"));
    for (int i = 0; i < WRITERS; i++) {
        if (fork()) continue;
        int failed = 0;
        for (int n = 0; n < EACH; n++) failed |= append("shared", NULL, false, "w");
        _exit(failed != 0);
    }
    int status, failed = 0;
    while (wait(&status) > 0) failed |= status;
    CHECK(!failed);
    CHECK_OK(read_all("shared", NULL));
    int count = 0;
    for (const char *at = seen; (at = strchr(at, 'w')); at++) count++;
    CHECK(count == WRITERS * EACH);
}

TEST(every_failing_allocation_is_survived) {
    for (int64_t n = 0;; n++) {
        char id[32];
        snprintf(id, sizeof id, "nomem-%d", (int)n);
        lrb_mem_fail_after(n, false);
        int code = append(id, &master, true, "{}");
        if (!code) code = append(id, &master, false, "{}");
        if (!code) code = read_all(id, &master);
        bool over = lrb_mem_count() <= n;
        lrb_mem_fail_after(-1, false);
        CHECK(code == LRB_E_NOMEM || !code);
        if (over) {
            CHECK_OK(code);
            return;
        }
    }
}

int main(void) {
    scratch_open(&s);
    RUN(what_is_appended_comes_back_in_order);
    RUN(a_point_is_created_once_and_added_to_only_when_there);
    RUN(what_is_no_id_leads_nowhere);
    RUN(a_deleted_point_is_gone_and_may_be_made_again);
    RUN(a_deletion_that_died_is_a_deletion);
    RUN(a_point_that_lost_its_first_entry_is_damaged_and_can_be_deleted);
    RUN(a_sealed_point_shows_nothing_and_wants_its_key);
    RUN(every_flipped_byte_is_found);
    RUN(a_missing_or_exchanged_entry_is_found);
    RUN(a_document_has_a_ceiling);
    RUN(processes_that_append_at_once_lose_nothing);
    RUN(every_failing_allocation_is_survived);
    scratch_close(&s);
    return check_report();
}
