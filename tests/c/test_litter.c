/* Litter in tmp/ and cache/: only what is unfinished, old and held by nobody goes. */
#include "engine/litter.h"

#include "base/clock.h"
#include "check.h"
#include "jobs.h"

static const int64_t HOUR_NS = INT64_C(3600) * 1000000000;

static bool exists(const shelf *s, const char *below) {
    char path[512];
    shelf_path(s, below, path);
    return access(path, F_OK) == 0;
}

static void shelf_with_litter(shelf *s) {
    shelf_open(s);
    fixture_write(s->f.storage, "graphs/g/tmp/young", 10, 1);
    fixture_write(s->f.storage, "graphs/g/tmp/old", 10, 1);
    fixture_write(s->f.storage, "graphs/g/tmp/held", 10, 1);
    fixture_age(s->f.storage, "graphs/g/tmp/old");
    fixture_age(s->f.storage, "graphs/g/tmp/held");
}

TEST(old_files_nobody_holds_go) {
    shelf s;
    lrb_err err;
    char path[512];
    int fd;
    bool taken;
    uint64_t removed;
    shelf_with_litter(&s);
    shelf_path(&s, "tmp/held", path);
    CHECK((fd = open(path, O_RDONLY)) >= 0);
    CHECK_OK(lrb_fs_try_lock(fd, &taken, &err));
    CHECK_OK(lrb_litter_remove(s.repo, lrb_clock_wall_ns(), HOUR_NS, true, &removed, &err));
    CHECK(removed == 1 && exists(&s, "tmp/old"));
    CHECK_OK(lrb_litter_remove(s.repo, lrb_clock_wall_ns(), HOUR_NS, false, &removed, &err));
    CHECK(removed == 1 && !exists(&s, "tmp/old") && exists(&s, "tmp/held") && exists(&s, "tmp/young"));
    close(fd);
    CHECK_OK(lrb_litter_remove(s.repo, lrb_clock_wall_ns(), HOUR_NS, false, &removed, &err));
    CHECK(removed == 1 && !exists(&s, "tmp/held") && exists(&s, "tmp/young"));
    shelf_close(&s);
}

TEST(age_is_by_the_given_clock) {
    shelf s;
    lrb_err err;
    uint64_t removed;
    shelf_with_litter(&s);
    CHECK_OK(lrb_litter_remove(s.repo, 0, HOUR_NS, false, &removed, &err)); /* a clock that was set back */
    CHECK(removed == 0);
    CHECK_OK(lrb_litter_remove(s.repo, lrb_clock_wall_ns() + 2 * HOUR_NS, HOUR_NS, false, &removed, &err));
    CHECK(removed == 3);
    shelf_close(&s);
}

TEST(without_waiting_a_minute_is_old) {
    shelf s;
    lrb_err err;
    uint64_t removed;
    int64_t minute_ns = HOUR_NS / 60;
    shelf_with_litter(&s);
    CHECK_OK(lrb_litter_remove(s.repo, lrb_clock_wall_ns() + minute_ns / 2, 0, true, &removed, &err));
    CHECK(removed == 2);
    CHECK_OK(lrb_litter_remove(s.repo, lrb_clock_wall_ns() + 2 * minute_ns, 0, true, &removed, &err));
    CHECK(removed == 3);
    shelf_close(&s);
}

TEST(what_is_no_regular_file_is_left_alone) {
    shelf s;
    lrb_err err;
    char path[512];
    uint64_t removed;
    shelf_open(&s);
    shelf_path(&s, "tmp/link", path);
    CHECK(symlink("/etc/passwd", path) == 0);
    shelf_path(&s, "tmp/dir", path);
    CHECK(mkdir(path, 0755) == 0);
    shelf_path(&s, "tmp/fifo", path);
    CHECK(mkfifo(path, 0644) == 0);
    CHECK_OK(lrb_litter_remove(s.repo, lrb_clock_wall_ns() + 2 * HOUR_NS, HOUR_NS, false, &removed, &err));
    CHECK(removed == 0 && exists(&s, "tmp/dir") && exists(&s, "tmp/fifo") && exists(&s, "tmp/link"));
    shelf_close(&s);
}

TEST(of_the_cache_only_unfinished_files_go) {
    shelf s;
    lrb_err err;
    const char *const names[] = {"head", "index", "sources-0a", "head.17.3f", "sources-0a.17.3f", "index.new"};
    char below[64];
    uint64_t removed;
    shelf_open(&s);
    for (int i = 0; i < 6; i++) {
        snprintf(below, sizeof below, "graphs/g/cache/%s", names[i]);
        fixture_write(s.f.storage, below, 10, 1);
        fixture_age(s.f.storage, below);
    }
    fixture_write(s.f.storage, "graphs/g/cache/head.18.40", 10, 1);
    CHECK_OK(lrb_litter_remove(s.repo, lrb_clock_wall_ns(), HOUR_NS, false, &removed, &err));
    CHECK(removed == 3 && exists(&s, "cache/head.18.40"));
    for (int i = 0; i < 6; i++) {
        snprintf(below, sizeof below, "cache/%s", names[i]);
        CHECK(exists(&s, below) == (i < 3));
    }
    shelf_close(&s);
}

TEST(of_a_graph_nobody_has_open_the_same_goes) {
    shelf s;
    lrb_err err;
    lrb_litter_gone gone;
    int64_t now_ns = lrb_clock_wall_ns();
    shelf_with_litter(&s);
    fixture_write(s.f.storage, "graphs/g/cache/head.17.3f", 7, 1);
    fixture_age(s.f.storage, "graphs/g/cache/head.17.3f");
    fixture_write(s.f.storage, "graphs/g/log/00000000000000000001", 10, 1); /* no entry: damage keeps no litter */
    CHECK_OK(lrb_litter_reclaim(s.f.storage, "g", now_ns, HOUR_NS, &gone, &err));
    CHECK(gone.files == 3 && gone.bytes == 27 && exists(&s, "tmp/young") && !exists(&s, "tmp/old"));
    CHECK_OK(lrb_litter_reclaim(s.f.storage, "g", now_ns, HOUR_NS, &gone, &err));
    CHECK(gone.files == 0 && gone.bytes == 0);
    CHECK(lrb_litter_reclaim(s.f.storage, "h", now_ns, HOUR_NS, &gone, &err) == LRB_E_NOT_FOUND);
    CHECK(lrb_litter_reclaim(s.f.storage, "../g", now_ns, HOUR_NS, &gone, &err) == LRB_E_INVALID);
    shelf_close(&s);
}

TEST(beside_the_graphs_words_written_aside_go) {
    shelf s;
    lrb_err err;
    lrb_litter_gone gone;
    static const char *const names[] = {".sealing.0123", ".sealing.4567", ".sealing", ".sealings"};
    char path[64];
    shelf_with_litter(&s);
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "graphs/%s", names[i]);
        fixture_write(s.f.storage, path, 7, 1);
        if (i != 1) fixture_age(s.f.storage, path);
    }
    CHECK_OK(lrb_litter_reclaim(s.f.storage, NULL, lrb_clock_wall_ns(), HOUR_NS, &gone, &err));
    CHECK(gone.files == 1 && gone.bytes == 7 && exists(&s, "tmp/old"));
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "../%s", names[i]);
        CHECK(exists(&s, path) == (i > 0));
    }
    shelf_close(&s);
}

TEST(a_graph_without_tmp_or_cache_has_no_litter) {
    fixture f;
    lrb_err err;
    char path[512];
    lrb_litter_gone gone;
    fixture_open(&f);
    snprintf(path, sizeof path, "mkdir -p %s/graphs/g/log", f.storage);
    CHECK(system(path) == 0);
    CHECK_OK(lrb_litter_reclaim(f.storage, "g", lrb_clock_wall_ns(), 0, &gone, &err));
    CHECK(gone.files == 0);
    fixture_close(&f);
}

int main(void) {
    RUN(old_files_nobody_holds_go);
    RUN(age_is_by_the_given_clock);
    RUN(without_waiting_a_minute_is_old);
    RUN(what_is_no_regular_file_is_left_alone);
    RUN(of_the_cache_only_unfinished_files_go);
    RUN(of_a_graph_nobody_has_open_the_same_goes);
    RUN(beside_the_graphs_words_written_aside_go);
    RUN(a_graph_without_tmp_or_cache_has_no_litter);
    return check_report();
}
