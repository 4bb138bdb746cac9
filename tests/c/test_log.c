/* The log directory on a real file system: exclusive creation, the chain, and what counts as an entry. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "check.h"
#include "repo/log.h"

static lrb_err err;
static char root[256];
static int log_dir = -1, tmp_dir = -1;
static const uint8_t nonce[LRB_NONCE_BYTES] = {0xab, 1};
static const char temporary[] = "ab010000000000000000000000000000.entry";

static int open_root(void) {
    const char *base = getenv("TMPDIR");
    int fd = -1;
    snprintf(root, sizeof root, "%s/lrb-log-XXXXXX", base && strlen(base) < 200 ? base : "/tmp");
    if (!mkdtemp(root)) return LRB_E_IO;
    int code = lrb_fs_open_dir(AT_FDCWD, root, &fd, &err);
    if (!code) code = lrb_fs_make_dir(fd, "log", 0750, &err);
    if (!code) code = lrb_fs_make_dir(fd, "tmp", 0750, &err);
    if (!code) code = lrb_fs_open_dir(fd, "log", &log_dir, &err);
    if (!code) code = lrb_fs_open_dir(fd, "tmp", &tmp_dir, &err);
    lrb_fs_close(fd);
    return code;
}

static void close_root(void) {
    lrb_fs_close(log_dir);
    lrb_fs_close(tmp_dir);
    if (lrb_fs_remove_tree(AT_FDCWD, root, &err)) printf("left behind: %s\n", root);
}

static int encode(uint64_t number, const lrb_id *previous, lrb_buf *bytes) {
    lrb_entry entry = {.kind = LRB_ENTRY_RETIRE, .repository_id = "repository 0001", .number = number, .graph_id = "g"};
    if (previous) entry.previous = *previous;
    lrb_buf_init(bytes, 1 << 16);
    return lrb_entry_encode(&entry, NULL, bytes, &err);
}

static int create(uint64_t number, const lrb_id *previous, bool *created) {
    lrb_buf bytes;
    int code = encode(number, previous, &bytes);
    if (!code) code = lrb_log_create(log_dir, tmp_dir, number, nonce, bytes.data, bytes.length, created, &err);
    lrb_buf_clear(&bytes);
    return code;
}

static int read_entry(uint64_t number, const lrb_log_expect *expect, lrb_id *digest) {
    lrb_buf bytes;
    lrb_entry entry;
    lrb_buf_init(&bytes, LRB_ENTRY_MAX_BYTES);
    int code = lrb_log_read(log_dir, number, expect, &bytes, &entry, digest, &err);
    if (!code) lrb_entry_clear(&entry);
    lrb_buf_clear(&bytes);
    return code;
}

static bool exists(int dir, const char *name) {
    return faccessat(dir, name, F_OK, 0) == 0;
}

static int put_file(const char *name, const void *bytes, size_t count) {
    int fd = -1;
    int code = lrb_fs_create(log_dir, name, 0640, &fd, &err);
    if (!code) code = lrb_fs_write(fd, bytes, count, name, &err);
    lrb_fs_close(fd);
    return code;
}

TEST(names_are_twenty_digits) {
    char name[21];
    lrb_log_name(0, name);
    CHECK(!strcmp(name, "00000000000000000000"));
    lrb_log_name(UINT64_MAX, name);
    CHECK(!strcmp(name, "18446744073709551615"));
}

TEST(the_highest_number_is_found_among_other_names) {
    static const char *const others[] = {"99999999999999999999", "18446744073709551616", "0000000000000000009x", "7",
                                         "000000000000000000099", "-0000000000000000009", ".hidden"};
    bool found = true, created;
    uint64_t highest = 5;
    CHECK_OK(lrb_log_highest(log_dir, &found, &highest, &err));
    CHECK(!found);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) CHECK_OK(put_file(others[i], "x", 1));
    CHECK_OK(lrb_log_highest(log_dir, &found, &highest, &err));
    CHECK(!found);
    CHECK_OK(create(0, NULL, &created));
    CHECK_OK(create(12, NULL, &created));
    CHECK_OK(create(3, NULL, &created));
    CHECK_OK(lrb_log_highest(log_dir, &found, &highest, &err));
    CHECK(found && highest == 12);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) CHECK_OK(lrb_fs_unlink(log_dir, others[i], &err));
}

TEST(a_number_is_taken_once) {
    bool created = false;
    lrb_id first, again;
    struct stat status;
    CHECK_OK(create(20, NULL, &created));
    CHECK(created && !exists(tmp_dir, temporary));
    CHECK(!fstatat(log_dir, "00000000000000000020", &status, 0) && (status.st_mode & 0777) == 0440);
    CHECK_OK(read_entry(20, NULL, &first));
    CHECK_FAILS(create(20, &first, &created), LRB_E_EXISTS);
    CHECK(!created && !exists(tmp_dir, temporary));
    CHECK_OK(read_entry(20, NULL, &again));
    CHECK(!lrb_id_compare(&first, &again));
}

TEST(litter_of_the_same_writer_is_no_taken_number) {
    bool created = false;
    int fd = -1;
    CHECK_OK(lrb_fs_create(tmp_dir, temporary, 0440, &fd, &err));
    lrb_fs_close(fd);
    CHECK_OK(create(25, NULL, &created));
    CHECK(created);
}

/* link() cannot cross from a directory that does not exist any more; the answer is passed on as it is. */
TEST(a_failed_create_leaves_no_entry) {
    bool created = true, found;
    uint64_t highest = 0;
    lrb_buf bytes;
    CHECK_OK(encode(30, NULL, &bytes));
    CHECK(lrb_log_create(-1, tmp_dir, 30, nonce, bytes.data, bytes.length, &created, &err));
    CHECK(!created && !exists(tmp_dir, temporary));
    CHECK(lrb_log_create(log_dir, -1, 30, nonce, bytes.data, bytes.length, &created, &err));
    CHECK(!created);
    CHECK_OK(lrb_log_highest(log_dir, &found, &highest, &err));
    CHECK(highest == 25);
    lrb_buf_clear(&bytes);
}

TEST(the_chain_is_checked) {
    bool created;
    lrb_id first, second, other = {{1}};
    CHECK_OK(create(40, NULL, &created));
    CHECK_OK(read_entry(40, NULL, &first));
    CHECK_OK(create(41, &first, &created));
    lrb_log_expect expect = {"g", (const uint8_t *)"repository 0001", &first, NULL};
    CHECK_OK(read_entry(41, &expect, &second));
    CHECK(lrb_id_compare(&first, &second));
    expect.previous = &other;
    CHECK_FAILS(read_entry(41, &expect, &second), LRB_E_DAMAGED);
    CHECK(!strcmp(err.target, "log/00000000000000000041"));
    expect.previous = NULL;
    expect.graph_id = "h";
    CHECK_FAILS(read_entry(41, &expect, &second), LRB_E_FOREIGN);
    expect.graph_id = NULL;
    expect.repository_id = (const uint8_t *)"repository 0002";
    CHECK_FAILS(read_entry(41, &expect, &second), LRB_E_FOREIGN);
}

/* The digest of an entry is that of its whole file. */
TEST(the_digest_is_that_of_the_file) {
    uint8_t digest[LRB_DIGEST_BYTES];
    lrb_id got;
    lrb_buf bytes;
    CHECK_OK(encode(40, NULL, &bytes));
    CHECK_OK(lrb_sha256(bytes.data, bytes.length, digest, &err));
    CHECK_OK(read_entry(40, NULL, &got));
    CHECK(!memcmp(got.bytes, digest, sizeof digest));
    lrb_buf_clear(&bytes);
}

TEST(entries_that_are_not_what_their_name_says_are_damage) {
    lrb_id digest;
    lrb_buf bytes;
    CHECK_FAILS(read_entry(50, NULL, &digest), LRB_E_NOT_FOUND);
    CHECK_OK(encode(51, NULL, &bytes));
    CHECK_OK(put_file("00000000000000000050", bytes.data, bytes.length));
    CHECK_FAILS(read_entry(50, NULL, &digest), LRB_E_DAMAGED);
    CHECK_OK(put_file("00000000000000000051", bytes.data, bytes.length - 1));
    CHECK_FAILS(read_entry(51, NULL, &digest), LRB_E_DAMAGED);
    CHECK_OK(put_file("00000000000000000052", "", 0));
    CHECK_FAILS(read_entry(52, NULL, &digest), LRB_E_DAMAGED);
    lrb_buf_clear(&bytes);
}

/* A sparse file costs its maker nothing; it must cost the reader nothing either. */
TEST(an_oversized_entry_is_refused_unread) {
    lrb_id digest;
    int fd = -1;
    CHECK_OK(lrb_fs_create(log_dir, "00000000000000000060", 0640, &fd, &err));
    int code = lrb_fs_set_size(fd, (uint64_t)LRB_ENTRY_MAX_BYTES + 1, "60", &err);
    lrb_fs_close(fd);
    CHECK_OK(code);
    CHECK_FAILS(read_entry(60, NULL, &digest), LRB_E_DAMAGED);
}

TEST(every_failing_allocation_is_survived) {
    lrb_id digest;
    int code = LRB_E_NOMEM;
    for (int64_t n = 0; code; n++) {
        lrb_mem_fail_after(n, false);
        code = read_entry(41, NULL, &digest);
        lrb_mem_fail_after(-1, false);
        CHECK(!code || code == LRB_E_NOMEM);
    }
    code = LRB_E_NOMEM;
    for (int64_t n = 0; code; n++) {
        lrb_buf stored;
        int64_t time_ns;
        lrb_buf_init(&stored, LRB_ENTRY_MAX_BYTES);
        lrb_mem_fail_after(n, false);
        code = lrb_log_read_stored(log_dir, 41, NULL, &stored, &digest, &time_ns, &err);
        lrb_mem_fail_after(-1, false);
        CHECK(!code || code == LRB_E_NOMEM);
        lrb_buf_clear(&stored);
    }
}

int main(void) {
    if (open_root()) return 2;
    RUN(names_are_twenty_digits);
    RUN(the_highest_number_is_found_among_other_names);
    RUN(a_number_is_taken_once);
    RUN(litter_of_the_same_writer_is_no_taken_number);
    RUN(a_failed_create_leaves_no_entry);
    RUN(the_chain_is_checked);
    RUN(the_digest_is_that_of_the_file);
    RUN(entries_that_are_not_what_their_name_says_are_damage);
    RUN(an_oversized_entry_is_refused_unread);
    RUN(every_failing_allocation_is_survived);
    close_root();
    return check_report();
}
