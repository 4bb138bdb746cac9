/* Holding, releasing and dropping snapshots: decided by the newest state, in small entries. */
#define _GNU_SOURCE 1 /* the fixture's file functions */
#include "check.h"

#include "engine/lifetime.h"
#include "fixture.h"
#include "repo/log.h"

enum { MANY = 250 };

typedef struct shelf {
    fixture f;
    lrb_repo *repo;
} shelf;

static int shelf_open(shelf *s, lrb_err *err) {
    fixture_open(&s->f);
    return lrb_repo_open(s->f.storage, "g", true, &s->repo, err);
}

static void shelf_close(shelf *s) {
    lrb_repo_close(s->repo);
    fixture_close(&s->f);
}

/* A snapshot entry without content: nothing here looks further. */
static int add_snapshot(lrb_repo *repo, const char *id, lrb_err *err) {
    lrb_snapshot snapshot = {.created_ns = 1, .consistency = "plain"};
    snprintf(snapshot.id, sizeof snapshot.id, "%s", id);
    lrb_buf payload;
    lrb_buf_init(&payload, 4096);
    int code = lrb_snapshot_encode(&snapshot, &payload, err);
    lrb_draft draft = {.kind = LRB_ENTRY_SNAPSHOT, .payload = payload.data, .payload_length = payload.length};
    uint64_t number;
    if (!code) code = lrb_repo_append(repo, &draft, NULL, NULL, &number, err);
    lrb_buf_clear(&payload);
    return code;
}

static uint64_t last_number(lrb_repo *repo) {
    uint64_t number = lrb_repo_begin_read(repo)->last_number;
    lrb_repo_end_read(repo);
    return number;
}

static size_t snapshot_count(lrb_repo *repo) {
    size_t count = lrb_repo_begin_read(repo)->snapshot_count;
    lrb_repo_end_read(repo);
    return count;
}

TEST(held_once_and_released_once) {
    shelf s;
    lrb_err err;
    bool changed;
    CHECK_OK(shelf_open(&s, &err));
    CHECK_OK(add_snapshot(s.repo, "a", &err));
    CHECK_OK(lrb_lifetime_hold(s.repo, "a", "user", &changed, &err));
    CHECK(changed);
    uint64_t entries = last_number(s.repo);
    CHECK_OK(lrb_lifetime_hold(s.repo, "a", "user", &changed, &err));
    CHECK(!changed && last_number(s.repo) == entries);
    CHECK_OK(lrb_lifetime_release(s.repo, "a", "somebody else", &changed, &err));
    CHECK(!changed && last_number(s.repo) == entries);
    CHECK_OK(lrb_lifetime_release(s.repo, "a", "user", &changed, &err));
    CHECK(changed);
    shelf_close(&s);
}

TEST(an_unknown_snapshot_is_named) {
    shelf s;
    lrb_err err;
    bool changed;
    CHECK_OK(shelf_open(&s, &err));
    CHECK_FAILS(lrb_lifetime_hold(s.repo, "a", "user", &changed, &err), LRB_E_NOT_FOUND);
    CHECK(!strcmp(err.target, "a"));
    CHECK_FAILS(lrb_lifetime_release(s.repo, "a", "user", &changed, &err), LRB_E_NOT_FOUND);
    CHECK(last_number(s.repo) == 0);
    shelf_close(&s);
}

TEST(held_unknown_and_repeated_ids_are_left_out_of_a_drop) {
    shelf s;
    lrb_err err;
    bool changed, dropped[5];
    CHECK_OK(shelf_open(&s, &err));
    CHECK_OK(add_snapshot(s.repo, "a", &err));
    CHECK_OK(add_snapshot(s.repo, "b", &err));
    CHECK_OK(lrb_lifetime_hold(s.repo, "a", "user", &changed, &err));
    const char *ids[] = {"a", "b", "b", "unknown", "an-id-that-is-longer-than-any-snapshot-id-can-be"};
    CHECK_OK(lrb_lifetime_drop(s.repo, ids, 5, "retention", dropped, &err));
    CHECK(!dropped[0] && dropped[1] && !dropped[2] && !dropped[3] && !dropped[4]);
    CHECK(snapshot_count(s.repo) == 1);
    shelf_close(&s);
}

TEST(a_drop_of_nothing_appends_nothing) {
    shelf s;
    lrb_err err;
    bool dropped[1];
    const char *ids[] = {"unknown"};
    CHECK_OK(shelf_open(&s, &err));
    CHECK_OK(lrb_lifetime_drop(s.repo, ids, 0, "retention", dropped, &err));
    CHECK_OK(lrb_lifetime_drop(s.repo, ids, 1, "retention", dropped, &err));
    CHECK(!dropped[0] && last_number(s.repo) == 0);
    shelf_close(&s);
}

/* Two handles stand for two processes: what one did, the other sees before it decides. */
TEST(what_another_process_held_meanwhile_is_not_dropped) {
    shelf s;
    lrb_repo *other;
    lrb_err err;
    bool changed, dropped[1];
    const char *ids[] = {"a"};
    CHECK_OK(shelf_open(&s, &err));
    CHECK_OK(add_snapshot(s.repo, "a", &err));
    CHECK_OK(lrb_repo_open(s.f.storage, "g", false, &other, &err));
    CHECK_OK(lrb_lifetime_hold(other, "a", "user", &changed, &err));
    CHECK_OK(lrb_lifetime_drop(s.repo, ids, 1, "retention", dropped, &err));
    CHECK(!dropped[0]);
    lrb_repo_close(other);
    shelf_close(&s);
}

static bool every_entry_is_small(const shelf *s) {
    for (uint64_t number = 0; number <= last_number(s->repo); number++) {
        char name[21];
        lrb_identity identity;
        lrb_err err;
        lrb_log_name(number, name);
        if (lrb_fs_identify_at(lrb_repo_log_dir(s->repo), name, &identity, &err) || identity.size_bytes > 4096)
            return false;
    }
    return true;
}

TEST(long_lists_are_split_into_small_entries) {
    static char names[MANY][LRB_SNAPSHOT_ID_MAX];
    static const char *ids[MANY];
    static bool dropped[MANY];
    char reason[LRB_REASON_MAX_BYTES + 1];
    shelf s;
    lrb_err err;
    CHECK_OK(shelf_open(&s, &err));
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "20261123T130112Z-snapshot-number-%06d", i);
        ids[i] = names[i];
        CHECK_OK(add_snapshot(s.repo, names[i], &err));
    }
    memset(reason, 'r', LRB_REASON_MAX_BYTES);
    reason[LRB_REASON_MAX_BYTES] = 0;
    uint64_t before = last_number(s.repo);
    CHECK_OK(lrb_lifetime_drop(s.repo, ids, MANY, reason, dropped, &err));
    for (int i = 0; i < MANY; i++) CHECK(dropped[i]);
    CHECK(snapshot_count(s.repo) == 0);
    CHECK(last_number(s.repo) > before + 2);
    CHECK(every_entry_is_small(&s));
    shelf_close(&s);
}

/* A reader refuses such texts, so writing one would make the log unreadable. */
TEST(texts_no_reader_accepts_are_never_written) {
    static char long_text[LRB_REASON_MAX_BYTES + 2];
    memset(long_text, 'x', sizeof long_text - 1);
    const char *bad[] = {"", "line\nbreak", "delete\x7f", long_text};
    shelf s;
    lrb_err err;
    bool changed, dropped[1];
    const char *ids[] = {"a"};
    CHECK_OK(shelf_open(&s, &err));
    CHECK_OK(add_snapshot(s.repo, "a", &err));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_FAILS(lrb_lifetime_hold(s.repo, "a", bad[i], &changed, &err), LRB_E_INVALID);
        CHECK_FAILS(lrb_lifetime_release(s.repo, "a", bad[i], &changed, &err), LRB_E_INVALID);
        if (bad[i][0]) CHECK_FAILS(lrb_lifetime_drop(s.repo, ids, 1, bad[i], dropped, &err), LRB_E_INVALID);
    }
    long_text[LRB_HOLDER_MAX - 1] = 0;
    CHECK_OK(lrb_lifetime_hold(s.repo, "a", long_text, &changed, &err));
    lrb_repo_close(s.repo);
    CHECK_OK(lrb_repo_open(s.f.storage, "g", false, &s.repo, &err));
    CHECK(snapshot_count(s.repo) == 1);
    shelf_close(&s);
}

static int use_everything(lrb_repo *repo, lrb_err *err) {
    const char *ids[] = {"a"};
    bool changed, dropped[1];
    int code = lrb_lifetime_hold(repo, "a", "user", &changed, err);
    if (!code) code = lrb_lifetime_release(repo, "a", "user", &changed, err);
    if (!code) code = lrb_lifetime_drop(repo, ids, 1, "retention", dropped, err);
    return code;
}

TEST(every_allocation_failure_is_survived) {
    shelf s;
    lrb_err err;
    int code = LRB_E_NOMEM;
    int64_t failed = 0;
    CHECK_OK(shelf_open(&s, &err));
    CHECK_OK(add_snapshot(s.repo, "a", &err));
    for (; code; failed++) {
        lrb_mem_fail_after(failed, false);
        code = use_everything(s.repo, &err);
        lrb_mem_fail_after(-1, false);
        CHECK(code == LRB_OK || code == LRB_E_NOMEM);
    }
    CHECK(failed > 3 && snapshot_count(s.repo) == 0);
    shelf_close(&s);
}

int main(void) {
    RUN(held_once_and_released_once);
    RUN(an_unknown_snapshot_is_named);
    RUN(held_unknown_and_repeated_ids_are_left_out_of_a_drop);
    RUN(a_drop_of_nothing_appends_nothing);
    RUN(what_another_process_held_meanwhile_is_not_dropped);
    RUN(long_lists_are_split_into_small_entries);
    RUN(texts_no_reader_accepts_are_never_written);
    RUN(every_allocation_failure_is_survived);
    return check_report();
}
