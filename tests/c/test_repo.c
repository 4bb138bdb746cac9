/* The handle over one graph's repository: opening, several writers on one log, gaps, roll-back, checkpoints. */
#include "repo/repo.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "jobs.h"
#include "repo/repo_private.h"

static int append_named(lrb_repo *repo, const char *holder, uint64_t *number, lrb_err *err) {
    lrb_buf payload;
    lrb_buf_init(&payload, 4096);
    int code = lrb_field_put_text(&payload, LRB_F_SNAPSHOT_REF, "none", err);
    if (!code) code = lrb_field_put_text(&payload, LRB_F_HOLDER, holder, err);
    lrb_draft draft = {.kind = LRB_ENTRY_HOLD, .payload = payload.data, .payload_length = payload.length};
    if (!code) code = lrb_repo_append(repo, &draft, NULL, NULL, number, err);
    lrb_buf_clear(&payload);
    return code;
}

static void log_path(const fixture *f, uint64_t number, char *out) {
    snprintf(out, 512, "%s/graphs/g/log/%020llu", f->storage, (unsigned long long)number);
}

TEST(a_graph_is_made_once_and_found_again) {
    fixture f;
    lrb_err err;
    lrb_repo *repo, *again;
    fixture_open(&f);
    CHECK_FAILS(lrb_repo_open(f.storage, "g", false, &repo, &err), LRB_E_NOT_FOUND);
    CHECK_OK(lrb_repo_open(f.storage, "g", true, &repo, &err));
    CHECK_OK(lrb_repo_open(f.storage, "g", true, &again, &err));
    CHECK(!memcmp(lrb_repo_id(repo), lrb_repo_id(again), LRB_REPO_ID_BYTES));
    CHECK(!strcmp(lrb_repo_graph_id(repo), "g"));
    CHECK(lrb_repo_pid(repo) == getpid());
    lrb_repo_close(again);
    lrb_repo_close(repo);
    CHECK_FAILS(lrb_repo_open(f.storage, "../g", true, &repo, &err), LRB_E_INVALID);
    fixture_close(&f);
}

TEST(two_handles_share_one_order) {
    fixture f;
    lrb_err err;
    lrb_repo *a, *b;
    uint64_t number;
    fixture_open(&f);
    CHECK_OK(lrb_repo_open(f.storage, "g", true, &a, &err));
    CHECK_OK(lrb_repo_open(f.storage, "g", true, &b, &err));
    for (uint64_t i = 1; i <= 40; i++) {
        CHECK_OK(append_named(i % 3 ? a : b, "x", &number, &err));
        CHECK(number == i);
    }
    CHECK_OK(lrb_repo_refresh(a, &err));
    CHECK(lrb_repo_begin_read(a)->last_number == 40);
    lrb_repo_end_read(a);
    lrb_repo_close(a);
    lrb_repo_close(b);
    fixture_close(&f);
}

static int refuse(void *arg, const lrb_state *state, lrb_draft *draft, lrb_err *err) {
    (void)draft;
    *(uint64_t *)arg = state->last_number;
    return lrb_err_set(err, LRB_E_BUSY, "test", "", "refused");
}

TEST(a_precommit_sees_the_newest_state_and_may_refuse) {
    fixture f;
    lrb_err err;
    lrb_repo *a, *b;
    uint64_t number, seen = 0;
    fixture_open(&f);
    CHECK_OK(lrb_repo_open(f.storage, "g", true, &a, &err));
    CHECK_OK(lrb_repo_open(f.storage, "g", true, &b, &err));
    CHECK_OK(append_named(b, "x", &number, &err));
    lrb_draft draft = {.kind = LRB_ENTRY_RETIRE};
    CHECK_FAILS(lrb_repo_append(a, &draft, refuse, &seen, &number, &err), LRB_E_BUSY);
    CHECK(seen == 1);
    CHECK_OK(lrb_repo_refresh(b, &err));
    CHECK(lrb_repo_begin_read(b)->last_number == 1);
    lrb_repo_end_read(b);
    lrb_repo_close(a);
    lrb_repo_close(b);
    fixture_close(&f);
}

TEST(nothing_is_entered_where_the_path_does_not_lead) {
    fixture f;
    lrb_err err;
    lrb_repo *repo;
    uint64_t number;
    char path[512], aside[512];
    fixture_open(&f);
    CHECK_OK(lrb_repo_open(f.storage, "g", true, &repo, &err));
    snprintf(path, sizeof path, "%s/graphs/g", f.storage);
    snprintf(aside, sizeof aside, "%s/graphs/h", f.storage);
    CHECK_OK(lrb_repo_check_place(repo, &err));
    CHECK(rename(path, aside) == 0);
    CHECK_FAILS(append_named(repo, "x", &number, &err), LRB_E_IO);
    CHECK(strstr(err.message, "moved away") && !strcmp(err.target, path));
    CHECK(mkdir(path, 0750) == 0);
    strcat(path, "/log");
    CHECK(mkdir(path, 0750) == 0);
    CHECK_FAILS(append_named(repo, "x", &number, &err), LRB_E_IO);
    CHECK(strstr(err.message, "another directory"));
    *strrchr(path, '/') = '\0';
    CHECK(renameat2(AT_FDCWD, aside, AT_FDCWD, path, RENAME_EXCHANGE) == 0);
    CHECK_OK(append_named(repo, "x", &number, &err)); /* back in its place, and nothing of before was entered */
    CHECK(number == 1);
    lrb_repo_close(repo);
    fixture_close(&f);
}

TEST(a_missing_entry_is_damage) {
    fixture f;
    lrb_err err;
    lrb_repo *repo;
    uint64_t number;
    char path[512];
    fixture_open(&f);
    CHECK_OK(lrb_repo_open(f.storage, "g", true, &repo, &err));
    for (int i = 0; i < 5; i++) CHECK_OK(append_named(repo, "x", &number, &err));
    lrb_repo_close(repo);
    log_path(&f, 3, path);
    CHECK(unlink(path) == 0);
    CHECK_FAILS(lrb_repo_open(f.storage, "g", true, &repo, &err), LRB_E_DAMAGED);
    CHECK(strstr(err.target, "00000000000000000003"));
    CHECK_OK(lrb_repo_open(f.storage, "g", false, &repo, &err));
    CHECK_FAILS(lrb_repo_check_whole(repo, &err), LRB_E_DAMAGED);
    CHECK(strstr(err.target, "00000000000000000003"));
    CHECK_FAILS(append_named(repo, "x", &number, &err), LRB_E_DAMAGED);
    lrb_repo_close(repo);
    fixture_close(&f);
}

TEST(a_log_that_went_back_raises_the_alarm) {
    fixture f;
    lrb_err err;
    lrb_repo *repo;
    uint64_t number;
    char path[512];
    fixture_open(&f);
    CHECK_OK(lrb_repo_open(f.storage, "g", true, &repo, &err));
    for (int i = 0; i < 5; i++) CHECK_OK(append_named(repo, "x", &number, &err));
    CHECK(!lrb_repo_alarm(repo));
    lrb_repo_close(repo);
    log_path(&f, 5, path);
    CHECK(unlink(path) == 0);
    CHECK_OK(lrb_repo_open(f.storage, "g", false, &repo, &err));
    CHECK(lrb_repo_alarm(repo) && strstr(lrb_repo_alarm(repo), "rolled back"));
    CHECK_OK(append_named(repo, "y", &number, &err)); /* backups go on, the alarm stays */
    lrb_repo_close(repo);
    CHECK_OK(lrb_repo_open(f.storage, "g", false, &repo, &err));
    CHECK(lrb_repo_alarm(repo) && strstr(lrb_repo_alarm(repo), "replaced"));
    CHECK_OK(append_named(repo, "z", &number, &err)); /* and grows past the entries that were lost */
    lrb_repo_close(repo);
    CHECK_OK(lrb_repo_open(f.storage, "g", false, &repo, &err));
    CHECK(lrb_repo_alarm(repo) && strstr(lrb_repo_alarm(repo), "replaced"));
    lrb_repo_close(repo);
    fixture_close(&f);
}

/* fsync of this process fails with ENOSPC while this is set, as it may on a file system that allots late. */
static bool sync_finds_the_disk_full;

int fsync(int fd) {
    if (!sync_finds_the_disk_full) return (int)syscall(SYS_fsync, fd);
    errno = ENOSPC;
    return -1;
}

/* Whoever is told NO_SPACE takes back the packs his entry names; that must not happen to an entry that can be seen. */
TEST(an_entry_that_may_not_be_durable_is_not_called_unwritten) {
    fixture f;
    lrb_err err;
    lrb_repo *repo;
    uint64_t number;
    fixture_open(&f);
    CHECK_OK(lrb_repo_open(f.storage, "g", true, &repo, &err));
    sync_finds_the_disk_full = true;
    CHECK_FAILS(append_named(repo, "x", &number, &err), LRB_E_IO);
    sync_finds_the_disk_full = false;
    CHECK(strstr(err.message, "is visible") && err.sys_errno == ENOSPC);
    CHECK(lrb_repo_begin_read(repo)->last_number == 1);
    lrb_repo_end_read(repo);
    lrb_repo_close(repo);
    fixture_close(&f);
}

TEST(an_empty_log_beside_packs_is_no_new_graph) {
    fixture f;
    lrb_err err;
    lrb_repo *repo;
    char path[512];
    fixture_open(&f);
    CHECK_OK(lrb_repo_open(f.storage, "g", true, &repo, &err));
    lrb_repo_close(repo);
    log_path(&f, 0, path);
    CHECK(unlink(path) == 0);
    snprintf(path, sizeof path, "%s/graphs/g/packs", f.storage);
    fixture_write(path, "0000", 10, 1);
    CHECK_FAILS(lrb_repo_open(f.storage, "g", true, &repo, &err), LRB_E_DAMAGED);
    CHECK_FAILS(lrb_repo_open(f.storage, "g", false, &repo, &err), LRB_E_DAMAGED);
    snprintf(path, sizeof path, "%s/graphs/g/log", f.storage);
    CHECK(rmdir(path) == 0);
    CHECK_FAILS(lrb_repo_open(f.storage, "g", true, &repo, &err), LRB_E_DAMAGED);
    CHECK_FAILS(lrb_repo_open(f.storage, "g", false, &repo, &err), LRB_E_DAMAGED);
    CHECK(rmdir(path) != 0); /* nothing was made */
    fixture_close(&f);
}

TEST(checkpoints_come_by_themselves_and_start_the_reading) {
    fixture f;
    lrb_err err;
    lrb_repo *repo;
    uint64_t number;
    fixture_open(&f);
    CHECK_OK(lrb_repo_open(f.storage, "g", true, &repo, &err));
    for (int i = 0; i < 300; i++) {
        CHECK_OK(append_named(repo, "x", &number, &err));
        CHECK_OK(lrb_repo_maybe_checkpoint(repo, &err));
    }
    CHECK(lrb_repo_begin_read(repo)->last_checkpoint == 257);
    lrb_repo_end_read(repo);
    lrb_repo_close(repo);
    CHECK_OK(lrb_repo_open(f.storage, "g", false, &repo, &err));
    CHECK(lrb_repo_begin_read(repo)->last_number == 301);
    lrb_repo_end_read(repo);
    lrb_repo_close(repo);
    fixture_close(&f);
}

TEST(chunks_are_found_with_and_without_the_index_file) {
    fixture f;
    lrb_err err;
    lrb_repo *repo;
    lrb_backup_outcome outcome;
    lrb_place place;
    bool found;
    char path[512];
    fixture_open(&f);
    fixture_write(f.source, "one", 30000, 1);
    CHECK_OK(lrb_repo_open(f.storage, "g", true, &repo, &err));
    for (int i = 0; i < 20; i++) { /* enough packs for the index to be saved */
        fixture_write(f.source, "one", 30000, 100 + i);
        CHECK_OK(fixture_backup(&f, repo, &outcome, &err));
    }
    lrb_row root = lrb_repo_begin_read(repo)->snapshots[0].body_root;
    lrb_repo_end_read(repo);
    lrb_repo_close(repo);
    snprintf(path, sizeof path, "%s/graphs/g/cache/index", f.storage);
    CHECK(access(path, R_OK) == 0);
    for (int with_file = 1; with_file >= 0; with_file--) {
        CHECK_OK(lrb_repo_open(f.storage, "g", false, &repo, &err));
        CHECK_OK(lrb_repo_find(repo, &root.id, &found, &place, &err));
        CHECK(found);
        root.id.bytes[31] ^= 1;
        CHECK_OK(lrb_repo_find(repo, &root.id, &found, &place, &err));
        CHECK(!found);
        CHECK_FAILS(lrb_repo_read(repo, &root.id, root.kind, true, f.worker.coder, &f.worker.content, &err), LRB_E_DAMAGED);
        root.id.bytes[31] ^= 1;
        lrb_repo_close(repo);
        CHECK(unlink(path) == 0 || !with_file);
    }
    fixture_close(&f);
}

static void check_found(lrb_repo *repo, const lrb_row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        lrb_err err;
        lrb_place place;
        bool found;
        CHECK_OK(lrb_repo_find(repo, &rows[i].id, &found, &place, &err));
        CHECK(found);
    }
}

/* In one look, whatever their order; and not when one of them is missing. */
static void check_all_found(lrb_repo *repo, const lrb_row *rows, size_t count) {
    enum { MANY = 300 };
    lrb_row order[MANY];
    uint32_t packs[MANY];
    lrb_place place;
    lrb_err err;
    bool found;
    for (size_t stride = 1; stride < count; stride = stride * 3 + 1) {
        for (size_t i = 0; i < count; i++) order[i] = rows[i * stride % count];
        CHECK_OK(lrb_repo_find_all(repo, order, count, &found, packs, &err));
        CHECK(found);
        for (size_t i = 0; i < count; i++) {
            CHECK_OK(lrb_repo_find(repo, &order[i].id, &found, &place, &err));
            CHECK(found && place.pack == packs[i]);
        }
        order[count / 2].id.bytes[31] ^= 1;
        CHECK_OK(lrb_repo_find_all(repo, order, count, &found, packs, &err));
        CHECK(!found);
    }
    CHECK_OK(lrb_repo_find_all(repo, rows, 0, &found, packs, &err));
    CHECK(found);
}

TEST(many_chunks_are_found_in_one_look) {
    enum { PACKS = 3, EACH = 100 };
    shelf s;
    lrb_err err;
    bool found;
    lrb_row rows[PACKS * EACH];
    uint32_t packs[PACKS * EACH];
    shelf_open(&s);
    for (size_t n = 0; n < PACKS; n++) {
        bundle b;
        bundle_begin(&b, &s);
        for (size_t i = 0; i < EACH; i++) {
            char text[32];
            int length = snprintf(text, sizeof text, "chunk %zu of pack %zu", i, n);
            rows[n * EACH + i] = bundle_add(&b, LRB_CHUNK_RAW, text, (size_t)length);
        }
        bundle_end(&b, true);
    }
    check_all_found(s.repo, rows, PACKS * EACH);
    lrb_mem_fail_after(0, false);
    lrb_repo_drop_packs(s.repo);
    int code = lrb_repo_find_all(s.repo, rows, PACKS * EACH, &found, packs, &err);
    lrb_mem_fail_after(-1, false);
    CHECK_FAILS(code, LRB_E_NOMEM);
    shelf_close(&s);
}

static unsigned open_packs(const lrb_repo *repo) {
    unsigned count = 0;
    for (size_t i = 0; i < LRB_PACK_CACHE_SLOTS; i++) count += repo->cache[i].pack != NULL;
    return count;
}

TEST(at_rest_it_keeps_a_small_index_and_no_pack_open_but_those_in_use) {
    enum { MANY = 60000 };
    shelf s;
    lrb_err err;
    bundle b;
    lrb_pack *used;
    lrb_row rows[2];
    shelf_open(&s);
    bundle_begin(&b, &s);
    rows[0] = bundle_add(&b, LRB_CHUNK_RAW, "one", 3);
    bundle_end(&b, true);
    check_found(s.repo, rows, 1);
    CHECK_OK(lrb_repo_pack_acquire(s.repo, 0, &used, &err));
    lrb_repo_rest(s.repo);
    CHECK(s.repo->index_loaded && open_packs(s.repo) == 1);
    lrb_repo_pack_release(s.repo, used);
    lrb_repo_rest(s.repo);
    CHECK(s.repo->index_loaded && open_packs(s.repo) == 0);

    bundle_begin(&b, &s);
    for (uint32_t i = 0; i < MANY; i++) rows[1] = bundle_add(&b, LRB_CHUNK_RAW, &i, sizeof i);
    bundle_end(&b, true);
    check_found(s.repo, rows, 2);
    lrb_repo_rest(s.repo);
    CHECK(!s.repo->index_loaded && !s.repo->index.capacity && open_packs(s.repo) == 0);
    check_found(s.repo, rows, 2);
    CHECK(s.repo->index.used == MANY + 1);
    shelf_close(&s);
}

/* Entries and packs come out as they lie there, and only packs that became known since. */
TEST(what_a_replica_lacks_can_be_read) {
    shelf s;
    lrb_err err;
    bundle b;
    lrb_pack_ref *packs;
    size_t count;
    lrb_buf bytes;
    lrb_id digest, again;
    lrb_identity identity;
    int64_t time_ns;
    int fd;
    shelf_open(&s);
    lrb_buf_init(&bytes, LRB_ENTRY_MAX_BYTES);
    lrb_head before = lrb_repo_head(s.repo);
    bundle_begin(&b, &s);
    bundle_add(&b, LRB_CHUNK_RAW, "one", 3);
    bundle_end(&b, true);
    lrb_head head = lrb_repo_head(s.repo);
    CHECK(head.number > before.number);

    CHECK_OK(lrb_repo_list_known(s.repo, before.number + 1, &packs, &count, &err));
    CHECK(count == 1 && packs[0].size_bytes > 0);
    CHECK_OK(lrb_repo_open_pack_file(s.repo, &packs[0].id, &fd, &err));
    CHECK_OK(lrb_fs_identify(fd, &identity, &err));
    CHECK(identity.size_bytes == packs[0].size_bytes);
    lrb_fs_close(fd);
    packs[0].id.bytes[0] ^= 1;
    CHECK_FAILS(lrb_repo_open_pack_file(s.repo, &packs[0].id, &fd, &err), LRB_E_NOT_FOUND);
    lrb_free(packs);
    CHECK_OK(lrb_repo_list_known(s.repo, head.number + 1, &packs, &count, &err));
    CHECK(count == 0);
    lrb_free(packs);

    CHECK_OK(lrb_repo_read_entry(s.repo, head.number, &bytes, &digest, &time_ns, &err));
    CHECK_OK(lrb_sha256(bytes.data, bytes.length, again.bytes, &err));
    CHECK(!memcmp(&digest, &head.digest, sizeof digest) && !memcmp(&digest, &again, sizeof digest) && time_ns > 0);
    CHECK_FAILS(lrb_repo_read_entry(s.repo, head.number + 1, &bytes, &digest, &time_ns, &err), LRB_E_NOT_FOUND);
    int code = LRB_E_NOMEM;
    for (int64_t n = 0; code; n++) {
        packs = NULL;
        lrb_mem_fail_after(n, false);
        code = lrb_repo_list_known(s.repo, 0, &packs, &count, &err);
        lrb_mem_fail_after(-1, false);
        CHECK(code == LRB_OK || code == LRB_E_NOMEM);
        lrb_free(packs);
    }
    lrb_buf_clear(&bytes);
    shelf_close(&s);
}

TEST(opening_survives_every_failed_allocation) {
    fixture f;
    lrb_err err;
    lrb_repo *repo;
    uint64_t number;
    fixture_open(&f);
    CHECK_OK(lrb_repo_open(f.storage, "g", true, &repo, &err));
    CHECK_OK(append_named(repo, "x", &number, &err));
    lrb_repo_close(repo);
    int code = LRB_E_NOMEM;
    for (int64_t n = 0; code; n++) {
        lrb_mem_fail_after(n, false);
        code = lrb_repo_open(f.storage, "g", false, &repo, &err);
        lrb_mem_fail_after(-1, false);
        CHECK(code == LRB_OK || code == LRB_E_NOMEM);
    }
    lrb_repo_close(repo);
    fixture_close(&f);
}

int main(void) {
    RUN(a_graph_is_made_once_and_found_again);
    RUN(two_handles_share_one_order);
    RUN(a_precommit_sees_the_newest_state_and_may_refuse);
    RUN(nothing_is_entered_where_the_path_does_not_lead);
    RUN(a_missing_entry_is_damage);
    RUN(a_log_that_went_back_raises_the_alarm);
    RUN(an_entry_that_may_not_be_durable_is_not_called_unwritten);
    RUN(an_empty_log_beside_packs_is_no_new_graph);
    RUN(checkpoints_come_by_themselves_and_start_the_reading);
    RUN(chunks_are_found_with_and_without_the_index_file);
    RUN(many_chunks_are_found_in_one_look);
    RUN(at_rest_it_keeps_a_small_index_and_no_pack_open_but_those_in_use);
    RUN(what_a_replica_lacks_can_be_read);
    RUN(opening_survives_every_failed_allocation);
    return check_report();
}
