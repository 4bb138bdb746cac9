/* Re-reading the whole log: every kind of hole and break is reported, and the reading goes on behind it. */
#include "engine/chain.h"

#include "check.h"
#include "jobs.h"

enum { ENTRIES = 12 }; /* 0 .. 11 */

typedef struct defects {
    unsigned count;
    char object[8][40], message[8][320];
} defects;

static int collect(void *arg, const char *object, const char *message, lrb_err *err) {
    defects *found = arg;
    (void)err;
    if (found->count < 8) {
        snprintf(found->object[found->count], sizeof found->object[0], "%s", object);
        snprintf(found->message[found->count], sizeof found->message[0], "%s", message);
    }
    found->count++;
    return LRB_OK;
}

static int read_chain(lrb_repo *repo, lrb_chain_report report, void *arg, uint64_t *entries, lrb_err *err) {
    lrb_chain *chain;
    bool done = false;
    int code = lrb_chain_new(repo, report, arg, &chain, err);
    if (code) return code;
    while (!code && !done) code = lrb_chain_step(chain, &done, err);
    *entries = lrb_chain_entries(chain);
    lrb_chain_free(chain);
    return code;
}

static void shelf_with_log(shelf *s) {
    lrb_err err;
    shelf_open(s);
    for (int i = 1; i < ENTRIES; i++)
        if (shelf_drop(s, "none", &err)) exit(2);
}

static void log_path(const shelf *s, unsigned number, char *out) {
    char below[40];
    snprintf(below, sizeof below, "log/%020u", number);
    shelf_path(s, below, out);
}

static void remove_entry(const shelf *s, unsigned number) {
    char path[512];
    log_path(s, number, path);
    if (unlink(path)) perror(path), exit(2);
}

TEST(a_whole_log_has_no_defect) {
    shelf s;
    lrb_err err;
    defects found = {0};
    uint64_t entries;
    shelf_with_log(&s);
    CHECK_OK(read_chain(s.repo, collect, &found, &entries, &err));
    CHECK(found.count == 0 && entries == ENTRIES);
    shelf_close(&s);
}

TEST(missing_entries_are_named_alone_and_in_runs) {
    shelf s;
    lrb_err err;
    defects found = {0};
    uint64_t entries;
    shelf_with_log(&s);
    remove_entry(&s, 0);
    remove_entry(&s, 3);
    for (unsigned i = 5; i <= 8; i++) remove_entry(&s, i);
    CHECK_OK(read_chain(s.repo, collect, &found, &entries, &err));
    CHECK(found.count == 3 && entries == ENTRIES - 6);
    CHECK(!strcmp(found.object[0], "log/00000000000000000000"));
    CHECK(!strcmp(found.object[1], "log/00000000000000000003") && !strcmp(found.message[1], "the entry is missing"));
    CHECK(!strcmp(found.object[2], "log/00000000000000000005"));
    CHECK(!strcmp(found.message[2], "entries 5 to 8 are missing"));
    shelf_close(&s);
}

TEST(entries_that_were_read_before_must_still_be_there) {
    shelf s;
    lrb_err err;
    defects found = {0};
    uint64_t entries;
    shelf_with_log(&s);
    remove_entry(&s, ENTRIES - 1);
    CHECK_OK(read_chain(s.repo, collect, &found, &entries, &err));
    CHECK(found.count == 1 && !strcmp(found.object[0], "log/00000000000000000011"));
    for (unsigned i = 0; i < ENTRIES - 1; i++) remove_entry(&s, i);
    found = (defects){0};
    CHECK_OK(read_chain(s.repo, collect, &found, &entries, &err));
    CHECK(found.count == 1 && entries == 0 && strstr(found.message[0], "entries 0 to 11"));
    shelf_close(&s);
}

TEST(every_flipped_byte_of_an_entry_is_reported) {
    shelf s;
    lrb_err err;
    char path[512];
    uint64_t entries;
    shelf_with_log(&s);
    log_path(&s, 4, path);
    size_t size = file_size(path);
    CHECK(size > 0);
    for (size_t i = 0; i < size; i++) {
        defects found = {0};
        flip_byte(path, i);
        CHECK_OK(read_chain(s.repo, collect, &found, &entries, &err));
        CHECK(found.count == 1 && entries == ENTRIES && !strcmp(found.object[0], "log/00000000000000000004"));
        flip_byte(path, i);
    }
    shelf_close(&s);
}

TEST(an_entry_cut_at_any_byte_is_reported) {
    shelf s;
    lrb_err err;
    char path[512];
    uint64_t entries;
    shelf_with_log(&s);
    log_path(&s, ENTRIES - 1, path);
    for (size_t size = file_size(path); size-- > 0;) {
        defects found = {0};
        cut_file(path, size);
        CHECK_OK(read_chain(s.repo, collect, &found, &entries, &err));
        CHECK(found.count == 1 && !strcmp(found.object[0], "log/00000000000000000011"));
    }
    shelf_close(&s);
}

TEST(another_whole_entry_in_place_of_one_breaks_the_chain) {
    shelf s, other;
    lrb_err err;
    defects found = {0};
    uint64_t entries;
    char here[512], there[512];
    shelf_with_log(&s);
    shelf_with_log(&other);
    log_path(&s, 6, here);
    log_path(&other, 6, there);
    CHECK(rename(there, here) == 0); /* of another repository */
    log_path(&s, 2, here);
    log_path(&s, 1, there);
    CHECK(rename(there, here) == 0); /* entry 1 under the name of entry 2 */
    CHECK_OK(read_chain(s.repo, collect, &found, &entries, &err));
    CHECK(found.count == 3);
    CHECK(!strcmp(found.object[0], "log/00000000000000000001") && !strcmp(found.object[1], "log/00000000000000000002"));
    CHECK(!strcmp(found.object[2], "log/00000000000000000006"));
    shelf_close(&other);
    shelf_close(&s);
}

static void copy_file(const char *from, const char *to) {
    lrb_err err;
    uint8_t *bytes;
    size_t count;
    unlink(to);
    if (lrb_fs_read_file(AT_FDCWD, from, 1 << 20, &bytes, &count, &err)) exit(2);
    FILE *file = fopen(to, "wb");
    if (!file || fwrite(bytes, 1, count, file) != count) exit(2);
    fclose(file);
    lrb_free(bytes);
}

/* Beyond the last entry that was read: rubbish is named alone, an intact entry shows that those before it are lost. */
TEST(what_went_astray_is_no_gap) {
    shelf s;
    lrb_err err;
    uint64_t entries;
    char from[512], to[512];
    static const char *names[] = {"log/00000000000000000012", "log/00000000000000000900", "log/18446744073709551615"};
    shelf_with_log(&s);
    log_path(&s, 1, from);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        defects found = {0};
        shelf_path(&s, names[i], to);
        copy_file(from, to);
        CHECK_OK(read_chain(s.repo, collect, &found, &entries, &err));
        CHECK(found.count == 1 && !strcmp(found.object[0], names[i]));
        unlink(to);
    }
    lrb_repo *other;
    CHECK_OK(lrb_repo_open(s.f.storage, "g", false, &other, &err));
    for (int i = 0; i < 2; i++) CHECK_OK(shelf_append(other, LRB_ENTRY_DROP, LRB_F_SNAPSHOT_REF, "none", 4, &err));
    remove_entry(&s, ENTRIES);
    defects found = {0};
    CHECK_OK(read_chain(s.repo, collect, &found, &entries, &err));
    CHECK(found.count == 1 && !strcmp(found.object[0], names[0]) && strstr(found.message[0], "missing"));
    lrb_repo_close(other);
    shelf_close(&s);
}

/* Two handles fork the log: the first has read an entry that is not the one on the disk any more. */
TEST(a_newest_entry_that_was_replaced_is_noticed) {
    shelf s;
    lrb_err err;
    defects found = {0};
    uint64_t entries;
    char newest[512], kept[512];
    shelf_with_log(&s);
    log_path(&s, ENTRIES - 1, newest);
    shelf_path(&s, "tmp/kept", kept);
    CHECK(rename(newest, kept) == 0);
    lrb_repo *fork;
    CHECK_OK(lrb_repo_open(s.f.storage, "g", false, &fork, &err));
    CHECK_OK(shelf_append(fork, LRB_ENTRY_DROP, LRB_F_SNAPSHOT_REF, "other", 5, &err));
    CHECK_OK(read_chain(s.repo, collect, &found, &entries, &err));
    CHECK(found.count == 1 && strstr(found.message[0], "replaced"));
    copy_file(kept, newest);
    found = (defects){0};
    CHECK_OK(read_chain(s.repo, collect, &found, &entries, &err));
    CHECK(found.count == 0);
    lrb_repo_close(fork);
    shelf_close(&s);
}

static int stop(void *arg, const char *object, const char *message, lrb_err *err) {
    (void)arg;
    return lrb_err_set(err, LRB_E_DAMAGED, "test", object, "%s", message);
}

TEST(a_report_may_stop_the_reading) {
    shelf s;
    lrb_err err;
    uint64_t entries;
    shelf_with_log(&s);
    remove_entry(&s, 2);
    CHECK_FAILS(read_chain(s.repo, stop, NULL, &entries, &err), LRB_E_DAMAGED);
    CHECK(!strcmp(err.target, "log/00000000000000000002"));
    shelf_close(&s);
}

TEST(files_that_are_no_entries_are_passed_over) {
    shelf s;
    lrb_err err;
    defects found = {0};
    uint64_t entries;
    const char *names[] = {"log/x", "log/1", "log/000000000000000000011", "log/99999999999999999999",
                           "log/-0000000000000000001"};
    shelf_with_log(&s);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        shelf_path(&s, names[i], path);
        FILE *file = fopen(path, "w");
        CHECK(file);
        fclose(file);
    }
    CHECK_OK(read_chain(s.repo, collect, &found, &entries, &err));
    CHECK(found.count == 0 && entries == ENTRIES);
    shelf_close(&s);
}

TEST(running_out_of_memory_is_survived) {
    shelf s;
    lrb_err err;
    uint64_t entries;
    shelf_with_log(&s);
    int code = LRB_E_NOMEM;
    for (int64_t n = 0; code == LRB_E_NOMEM; n++) {
        defects found = {0};
        lrb_mem_fail_after(n, false);
        code = read_chain(s.repo, collect, &found, &entries, &err);
        lrb_mem_fail_after(-1, false);
        CHECK((code == LRB_E_NOMEM || code == LRB_OK) && found.count == 0);
    }
    shelf_close(&s);
}

int main(void) {
    RUN(a_whole_log_has_no_defect);
    RUN(missing_entries_are_named_alone_and_in_runs);
    RUN(entries_that_were_read_before_must_still_be_there);
    RUN(every_flipped_byte_of_an_entry_is_reported);
    RUN(an_entry_cut_at_any_byte_is_reported);
    RUN(another_whole_entry_in_place_of_one_breaks_the_chain);
    RUN(what_went_astray_is_no_gap);
    RUN(a_newest_entry_that_was_replaced_is_noticed);
    RUN(a_report_may_stop_the_reading);
    RUN(files_that_are_no_entries_are_passed_over);
    RUN(running_out_of_memory_is_survived);
    return check_report();
}
