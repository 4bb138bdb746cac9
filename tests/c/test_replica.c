/* A replica: what its sender's log takes away stays, what was never completed or is gone is not told, and nobody appends. */
#include "repo/replica.h"

#include <errno.h>

#include "check.h"
#include "jobs.h"

typedef struct copy {
    shelf s;
    char first[LRB_SNAPSHOT_ID_MAX], second[LRB_SNAPSHOT_ID_MAX];
} copy;

static void make_directory(const shelf *s, const char *below) {
    char path[512];
    shelf_path(s, below, path);
    if (mkdir(path, 0750) && errno != EEXIST) perror(path), exit(2);
}

static void make_receipt(const shelf *s, uint64_t number) {
    char path[512], below[64];
    make_directory(s, "replica");
    make_directory(s, "replica/receipts");
    snprintf(below, sizeof below, "replica/receipts/%020llu", (unsigned long long)number);
    shelf_path(s, below, path);
    close(open(path, O_CREAT | O_WRONLY, 0440));
}

static uint64_t number_of(const shelf *s, const char *id) {
    const lrb_snapshot *snapshot = lrb_state_find(lrb_repo_begin_read(s->repo), id);
    uint64_t number = snapshot ? snapshot->number : 0;
    lrb_repo_end_read(s->repo);
    return number;
}

/* Two snapshots, of which the sender let the first one go: dropped, its pack retired and swept. */
static void copy_open(copy *c) {
    lrb_err err;
    shelf_open(&c->s);
    fixture_write(c->s.f.source, "one", 50000, 1);
    shelf_backup(&c->s, c->first);
    fixture_write(c->s.f.source, "one", 50000, 2);
    shelf_backup(&c->s, c->second);
    lrb_id pack = shelf_pack(&c->s, 0, NULL);
    uint64_t first = number_of(&c->s, c->first), second = number_of(&c->s, c->second);
    CHECK_OK(shelf_drop(&c->s, c->first, &err));
    CHECK_OK(shelf_name_pack(&c->s, LRB_ENTRY_RETIRE, &pack, &err));
    CHECK_OK(shelf_name_pack(&c->s, LRB_ENTRY_SWEEP, &pack, &err));
    CHECK(!number_of(&c->s, c->first) && shelf_count(&c->s, LRB_PACK_SWEPT) == 1);
    make_receipt(&c->s, first);
    make_receipt(&c->s, second);
    shelf_reopen(&c->s);
}

static void remove_below(const shelf *s, const char *below) {
    char path[512];
    shelf_path(s, below, path);
    if (unlink(path)) perror(path), exit(2);
}

TEST(what_the_sender_let_go_stays) {
    copy c;
    copy_open(&c);
    CHECK(number_of(&c.s, c.first) && number_of(&c.s, c.second));
    CHECK(shelf_count(&c.s, LRB_PACK_KNOWN) == 2);
    shelf_close(&c.s);
}

TEST(a_snapshot_without_a_receipt_and_a_pack_without_a_file_are_not_told) {
    copy c;
    char below[64], pack[512];
    copy_open(&c);
    shelf_pack(&c.s, 0, pack);
    snprintf(below, sizeof below, "replica/receipts/%020llu", (unsigned long long)number_of(&c.s, c.first));
    remove_below(&c.s, below);
    CHECK(!unlink(pack));
    shelf_reopen(&c.s);
    CHECK(!number_of(&c.s, c.first) && number_of(&c.s, c.second));
    CHECK(shelf_count(&c.s, LRB_PACK_KNOWN) == 1 && shelf_count(&c.s, LRB_PACK_SWEPT) == 1);
    shelf_close(&c.s);
}

TEST(without_any_receipt_there_are_no_snapshots) {
    copy c;
    char path[512];
    copy_open(&c);
    uint64_t numbers[] = {number_of(&c.s, c.first), number_of(&c.s, c.second)};
    for (int i = 0; i < 2; i++) {
        char below[64];
        snprintf(below, sizeof below, "replica/receipts/%020llu", (unsigned long long)numbers[i]);
        remove_below(&c.s, below);
    }
    shelf_path(&c.s, "replica/receipts", path);
    CHECK(!rmdir(path));
    shelf_reopen(&c.s);
    CHECK(lrb_repo_begin_read(c.s.repo)->snapshot_count == 0);
    lrb_repo_end_read(c.s.repo);
    shelf_close(&c.s);
}

TEST(nobody_appends_here) {
    copy c;
    lrb_err err;
    lrb_repo *repo;
    bool is_replica;
    copy_open(&c);
    CHECK_OK(lrb_replica_look(lrb_repo_root_dir(c.s.repo), &is_replica, &err));
    CHECK(is_replica);
    CHECK_FAILS(shelf_drop(&c.s, c.first, &err), LRB_E_INVALID);
    CHECK(strstr(err.message, "this is a replica"));
    CHECK_FAILS(fixture_repo_open(c.s.f.storage, "g", true, &repo, &err), LRB_E_INVALID);
    shelf_close(&c.s);
}

TEST(a_damaged_log_of_a_replica_tells_what_its_own_entries_say) {
    copy c;
    copy_open(&c);
    uint64_t first = number_of(&c.s, c.first);
    char below[64];
    snprintf(below, sizeof below, "log/%020llu", (unsigned long long)first + 1);
    remove_below(&c.s, below);
    lrb_err err;
    shelf_reopen(&c.s);
    CHECK_FAILS(lrb_repo_check_whole(c.s.repo, &err), LRB_E_DAMAGED);
    CHECK(number_of(&c.s, c.first) == first);
    shelf_close(&c.s);
}

TEST(opening_survives_every_failed_allocation) {
    copy c;
    lrb_err err;
    lrb_repo *repo;
    copy_open(&c);
    int code = LRB_E_NOMEM;
    for (int64_t n = 0; code; n++) {
        lrb_mem_fail_after(n, false);
        code = fixture_repo_open(c.s.f.storage, "g", false, &repo, &err);
        lrb_mem_fail_after(-1, false);
        CHECK(code == LRB_OK || code == LRB_E_NOMEM);
    }
    CHECK(lrb_repo_begin_read(repo)->snapshot_count == 2);
    lrb_repo_end_read(repo);
    lrb_repo_close(repo);
    shelf_close(&c.s);
}

static void all(void) {
    RUN(what_the_sender_let_go_stays);
    RUN(a_snapshot_without_a_receipt_and_a_pack_without_a_file_are_not_told);
    RUN(without_any_receipt_there_are_no_snapshots);
    RUN(nobody_appends_here);
    RUN(a_damaged_log_of_a_replica_tells_what_its_own_entries_say);
    RUN(opening_survives_every_failed_allocation);
}

int main(void) {
    all();
    fixture_key = &fixture_some_key;
    all();
    return check_report();
}
