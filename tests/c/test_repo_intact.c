/* A damaged log: what is intact of it is read, what is not is named, and nothing is written. */
#include "repo/repo.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "jobs.h"
#include "repo/repo_private.h"

enum { SNAPSHOTS = 4 }; /* entries 1 to 4; entry 0 is the checkpoint of nothing */

static void log_path(const shelf *s, uint64_t number, char *out) {
    snprintf(out, 512, "%s/graphs/g/log/%020llu", s->f.storage, (unsigned long long)number);
}

static void make(shelf *s, char ids[SNAPSHOTS][LRB_SNAPSHOT_ID_MAX]) {
    shelf_open(s);
    for (int i = 0; i < SNAPSHOTS; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", i);
        fixture_write(s->f.source, name, 3000, (uint64_t)i + 1);
        shelf_backup(s, ids[i]);
    }
}

static void cut(const shelf *s, uint64_t number) {
    char path[512];
    log_path(s, number, path);
    cut_file(path, 100);
}

static void lose(const shelf *s, uint64_t number) {
    char path[512];
    log_path(s, number, path);
    CHECK(unlink(path) == 0);
}

static void write_at(const char *path, off_t at, const void *bytes, size_t count) {
    int fd = (chmod(path, 0600), open(path, O_WRONLY));
    CHECK(fd >= 0 && pwrite(fd, bytes, count, at) == (ssize_t)count);
    close(fd);
}

static void flip_version(const shelf *s, uint64_t number) {
    char path[512];
    log_path(s, number, path);
    write_at(path, 9, "\x40", 1);
}

static void flip_seal(const shelf *s, uint64_t number) {
    char path[512];
    log_path(s, number, path);
    write_at(path, 12, "\x40", 1);
}

/* What bears an entry's name, in its place or beyond the last one, and is no file. */
static void put_directory(const shelf *s, uint64_t number) {
    char path[512];
    log_path(s, number, path);
    (void)unlink(path);
    CHECK(mkdir(path, 0700) == 0);
}

static void put_fifo(const shelf *s, uint64_t number) {
    char path[512];
    log_path(s, number, path);
    (void)unlink(path);
    CHECK(mkfifo(path, 0600) == 0);
}

static void put_symlink(const shelf *s, uint64_t number) {
    char path[512];
    log_path(s, number, path);
    (void)unlink(path);
    CHECK(symlink("00000000000000000001", path) == 0);
}

/* A copy of an entry under a number of its own. */
static void stray(const shelf *s, uint64_t number) {
    char from[512], to[512];
    log_path(s, 1, from);
    log_path(s, number, to);
    CHECK(link(from, to) == 0);
}

static void exchange(const shelf *s, uint64_t number) {
    char one[512], other[512], aside[512];
    log_path(s, number, one);
    log_path(s, number + 1, other);
    shelf_path(s, "aside", aside);
    CHECK(rename(one, aside) == 0 && rename(other, one) == 0 && rename(aside, other) == 0);
}

static bool has(const shelf *s, const char *id) {
    bool found = lrb_state_find(lrb_repo_begin_read(s->repo), id);
    lrb_repo_end_read(s->repo);
    return found;
}

TEST(what_is_intact_is_read_and_what_is_not_is_named) {
    static const struct {
        void (*harm)(const shelf *, uint64_t);
        uint64_t number, named;
        unsigned left;      /* bit i: snapshot i is still listed */
        const char *remedy; /* in the sentence */
    } cases[] = {
        {cut, 0, 0, 15, "restore it from a copy; until"},
        {cut, 1, 1, 14, "restore it from a copy; until"},
        {cut, 3, 3, 11, "restore it from a copy; until"},
        {cut, 4, 4, 7, "or remove it to give it up"},
        {flip_version, 0, 0, 15, "restore it from a copy; until"},
        {flip_version, 2, 2, 13, "restore it from a copy; until"},
        {flip_version, 4, 4, 7, "or remove it to give it up"},
        {flip_seal, 3, 3, 11, "restore it from a copy; until"},
        {put_directory, 0, 0, 15, "restore it from a copy; until"},
        {put_directory, 5, 5, 15, "or remove it to give it up"},
        {put_fifo, 2, 2, 13, "restore it from a copy; until"},
        {put_symlink, 4, 4, 7, "or remove it to give it up"},
        {lose, 0, 0, 15, "restore it from a copy; until"},
        {lose, 2, 2, 13, "restore it from a copy; until"},
        {stray, 5, 5, 15, "or remove it to give it up"},
        {stray, 900, 900, 15, "or remove it to give it up"},
        {stray, UINT64_MAX, UINT64_MAX, 15, "or remove it to give it up"},
        {exchange, 2, 2, 9, "restore it from a copy; until"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        shelf s;
        lrb_err err;
        char ids[SNAPSHOTS][LRB_SNAPSHOT_ID_MAX], name[32] = "log/";
        make(&s, ids);
        cases[i].harm(&s, cases[i].number);
        shelf_reopen(&s);
        lrb_log_name(cases[i].named, name + 4);
        CHECK_FAILS(lrb_repo_check_whole(s.repo, &err), LRB_E_DAMAGED);
        CHECK(!strcmp(err.target, name) && strstr(err.message, cases[i].remedy));
        for (int k = 0; k < SNAPSHOTS; k++) CHECK(has(&s, ids[k]) == (cases[i].left >> k & 1));
        CHECK_FAILS(shelf_drop(&s, ids[0], &err), LRB_E_DAMAGED);
        lrb_prune_outcome pruned;
        CHECK_FAILS(run_prune(&s, 0, false, true, &pruned, &err), LRB_E_DAMAGED);
        lrb_repo *writer;
        CHECK_FAILS(lrb_repo_open(s.f.storage, "g", true, &writer, &err), LRB_E_DAMAGED);
        shelf_close(&s);
    }
}

/* Entry 1 named the pack of the first file, which the later snapshots rely on. */
/* What a newer version wrote is whole, and not to be passed over: it may say anything. */
TEST(an_entry_of_a_newer_version_is_refused) {
    static shelf s;
    static uint8_t bytes[4096];
    char ids[SNAPSHOTS][LRB_SNAPSHOT_ID_MAX], path[512];
    lrb_repo *repo;
    lrb_err err;
    make(&s, ids);
    log_path(&s, 3, path);
    int fd = open(path, O_RDONLY);
    ssize_t count = read(fd, bytes, sizeof bytes);
    close(fd);
    CHECK(count > LRB_DIGEST_BYTES && count < (ssize_t)sizeof bytes);
    size_t summed = (size_t)count - LRB_DIGEST_BYTES;
    bytes[8] = 2;
    CHECK_OK(lrb_sha256(bytes, summed, bytes + summed, &err));
    write_at(path, 0, bytes, (size_t)count);
    CHECK_FAILS(lrb_repo_open(s.f.storage, "g", false, &repo, &err), LRB_E_UNSUPPORTED);
    CHECK(!strcmp(err.target, "log/00000000000000000003") && strstr(err.message, "format version 2"));
    shelf_close(&s);
}

TEST(packs_of_a_lost_entry_can_be_read) {
    shelf s;
    lrb_err err;
    char ids[SNAPSHOTS][LRB_SNAPSHOT_ID_MAX];
    make(&s, ids);
    cut(&s, 1);
    shelf_reopen(&s);
    report r;
    CHECK_OK(run_verify(&s, NULL, LRB_VERIFY_DIGESTS, true, &r, &err));
    CHECK(r.count == 1 && report_find(&r, "log/00000000000000000001"));
    report_free(&r);
    shelf_close(&s);
}

/* What is before a checkpoint that holds is not read at all. */
TEST(it_begins_at_the_newest_checkpoint_that_holds) {
    shelf s;
    lrb_err err;
    char id[LRB_SNAPSHOT_ID_MAX];
    shelf_open(&s);
    fixture_write(s.f.source, "f", 3000, 1);
    shelf_backup(&s, id);
    for (int i = 0; i < 260; i++) {
        CHECK_OK(shelf_append(s.repo, LRB_ENTRY_DROP, LRB_F_SNAPSHOT_REF, "none", 4, &err));
        CHECK_OK(lrb_repo_maybe_checkpoint(s.repo, &err));
    }
    uint64_t checkpoint = lrb_repo_begin_read(s.repo)->last_checkpoint, last = lrb_repo_begin_read(s.repo)->last_number;
    lrb_repo_end_read(s.repo);
    lrb_repo_end_read(s.repo);
    CHECK(checkpoint > 1 && checkpoint < last - 1);
    lose(&s, 1);
    shelf_reopen(&s);
    CHECK_OK(lrb_repo_check_whole(s.repo, &err));
    CHECK(has(&s, id));
    cut(&s, last - 1);
    shelf_reopen(&s);
    CHECK_FAILS(lrb_repo_check_whole(s.repo, &err), LRB_E_DAMAGED);
    CHECK(has(&s, id));
    cut(&s, checkpoint); /* now only entry 0 is left to begin with, and the snapshot's own entry is lost */
    shelf_reopen(&s);
    CHECK(!has(&s, id));
    shelf_close(&s);
}

TEST(a_log_of_which_nothing_is_intact_does_not_open) {
    shelf s;
    lrb_err err;
    lrb_repo *repo;
    char ids[SNAPSHOTS][LRB_SNAPSHOT_ID_MAX];
    make(&s, ids);
    for (uint64_t number = 0; number <= SNAPSHOTS; number++) cut(&s, number);
    CHECK_FAILS(lrb_repo_open(s.f.storage, "g", false, &repo, &err), LRB_E_DAMAGED);
    CHECK(!strncmp(err.target, "log/", 4) && strstr(err.message, "restore log/ from a copy"));
    shelf_close(&s);
}

TEST(reading_survives_every_failed_allocation) {
    shelf s;
    lrb_err err;
    lrb_repo *repo;
    char ids[SNAPSHOTS][LRB_SNAPSHOT_ID_MAX];
    make(&s, ids);
    cut(&s, 2);
    int code = LRB_E_NOMEM;
    for (int64_t n = 0; code; n++) {
        lrb_mem_fail_after(n, false);
        code = lrb_repo_open(s.f.storage, "g", false, &repo, &err);
        lrb_mem_fail_after(-1, false);
        CHECK(code == LRB_OK || code == LRB_E_NOMEM);
    }
    CHECK_FAILS(lrb_repo_check_whole(repo, &err), LRB_E_DAMAGED);
    lrb_repo_close(repo);
    shelf_close(&s);
}

int main(void) {
    RUN(what_is_intact_is_read_and_what_is_not_is_named);
    RUN(an_entry_of_a_newer_version_is_refused);
    RUN(packs_of_a_lost_entry_can_be_read);
    RUN(it_begins_at_the_newest_checkpoint_that_holds);
    RUN(a_log_of_which_nothing_is_intact_does_not_open);
    RUN(reading_survives_every_failed_allocation);
    return check_report();
}
