/* cache/index on a real file system: what is loaded equals what was saved for the packs that still count, and a file
 * with any defect is as good as none. */
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>

#include "base/fs.h"
#include "check.h"
#include "logbook.h"
#include "repo/index_file.h"

enum { PACKS = 5, ROWS = 40, MOST_PACKS = 20000 };

static lrb_err err;
static char root[256];
static int cache_dir = -1;
static bool covered[MOST_PACKS];

static int open_root(void) {
    const char *base = getenv("TMPDIR");
    snprintf(root, sizeof root, "%s/lrb-index-XXXXXX", base && strlen(base) < 200 ? base : "/tmp");
    return mkdtemp(root) ? lrb_fs_open_dir(AT_FDCWD, root, &cache_dir, &err) : LRB_E_IO;
}

static void close_root(void) {
    lrb_fs_close(cache_dir);
    if (lrb_fs_remove_tree(AT_FDCWD, root, &err)) printf("left behind: %s\n", root);
}

/* ---- a state and its index ---- */

static lrb_id chunk_id(uint64_t pack, uint64_t ordinal) {
    return logbook_id(1 + pack * LRB_PACK_MAX_CHUNKS + ordinal, 'c');
}

/* A log whose one snapshot names packs 0 to count - 1. */
static int make_state(lrb_state *state, uint32_t count) {
    lrb_pack_ref *packs = lrb_alloc_zero(count, sizeof *packs);
    if (!packs) return LRB_E_NOMEM;
    for (uint32_t i = 0; i < count; i++) packs[i] = logbook_pack(i);
    lrb_state_init(state);
    int code = logbook_begin(state, &err);
    if (!code) code = logbook_take(state, 1, packs, count, &err);
    lrb_free(packs);
    return code;
}

static int make_index(lrb_index *index, uint32_t packs, uint32_t rows) {
    int code = LRB_OK;
    lrb_index_init(index);
    for (uint32_t pack = 0; !code && pack < packs; pack++)
        for (uint32_t i = 0; !code && i < rows; i++) {
            lrb_id id = chunk_id(pack, i);
            code = lrb_index_add(index, &id, pack, i, &err);
        }
    return code;
}

static void cover(uint32_t count, bool value) {
    for (uint32_t i = 0; i < count; i++) covered[i] = value;
}

/* Saves the index of the first PACKS packs, all covered. */
static int save(const lrb_state *state) {
    lrb_index index;
    int code = make_index(&index, PACKS, ROWS);
    cover(PACKS, true);
    if (!code) code = lrb_index_save(&index, state, covered, cache_dir, &err);
    lrb_index_clear(&index);
    return code;
}

static int load(const lrb_state *state, lrb_index *index, bool *loaded) {
    lrb_index_init(index);
    cover(state->pack_count, false);
    return lrb_index_load(index, state, covered, cache_dir, loaded, &err);
}

static bool has_pack(const lrb_index *index, uint64_t original, uint32_t position) {
    for (uint32_t i = 0; i < ROWS; i++) {
        lrb_id id = chunk_id(original, i);
        uint64_t cursor = UINT64_MAX;
        uint32_t pack = 0, ordinal = 0;
        if (!lrb_index_next(index, &id, &cursor, &pack, &ordinal) || pack != position || ordinal != i) return false;
    }
    return true;
}

static bool lacks_pack(const lrb_index *index, uint64_t original) {
    for (uint32_t i = 0; i < ROWS; i++) {
        lrb_id id = chunk_id(original, i);
        uint64_t cursor = UINT64_MAX;
        uint32_t pack, ordinal;
        if (lrb_index_next(index, &id, &cursor, &pack, &ordinal)) return false;
    }
    return true;
}

/* ---- tests ---- */

TEST(a_missing_file_is_no_error) {
    lrb_state state;
    lrb_index index;
    bool loaded = true;
    CHECK_OK(make_state(&state, PACKS));
    CHECK_OK(load(&state, &index, &loaded));
    CHECK(!loaded && !index.used && !covered[0]);
    lrb_state_clear(&state);
}

TEST(what_is_saved_is_loaded) {
    lrb_state state;
    lrb_index index;
    bool loaded;
    CHECK_OK(make_state(&state, PACKS));
    CHECK_OK(save(&state));
    CHECK_OK(load(&state, &index, &loaded));
    CHECK(loaded && index.used == PACKS * ROWS);
    for (uint32_t i = 0; i < PACKS; i++) CHECK(covered[i] && has_pack(&index, i, i));
    lrb_index_clear(&index);
    lrb_state_clear(&state);
}

/* The log goes on, one pack is swept since: its rows are left out, those of new packs are not claimed. */
TEST(a_file_of_an_earlier_state_serves_the_packs_that_still_count) {
    lrb_state state;
    lrb_index index;
    bool loaded;
    const lrb_pack_ref later = logbook_pack(77);
    const uint64_t two = 2;
    CHECK_OK(make_state(&state, PACKS));
    CHECK_OK(save(&state));
    CHECK_OK(logbook_take(&state, 2, &later, 1, &err));
    CHECK_OK(logbook_packs(&state, LRB_ENTRY_RETIRE, &two, 1, NULL, 0, &err));
    CHECK_OK(load(&state, &index, &loaded));
    CHECK(loaded && covered[2] && has_pack(&index, 2, 2)); /* a retired pack may still be read */
    lrb_index_clear(&index);
    CHECK_OK(logbook_packs(&state, LRB_ENTRY_SWEEP, &two, 1, NULL, 0, &err));
    CHECK_OK(load(&state, &index, &loaded));
    CHECK(loaded && !covered[2] && !covered[5] && index.used == (PACKS - 1) * ROWS && lacks_pack(&index, 2));
    for (uint32_t i = 0; i < PACKS; i++) CHECK(i == 2 || (covered[i] && has_pack(&index, i, i)));
    lrb_index_clear(&index);
    lrb_state_clear(&state);
}

/* A state read from another checkpoint may number the packs otherwise. */
TEST(packs_are_found_by_name_not_by_position) {
    lrb_state state, other;
    lrb_index index;
    bool loaded;
    const lrb_pack_ref swapped[PACKS + 1] = {logbook_pack(9), logbook_pack(4), logbook_pack(3), logbook_pack(2),
                                             logbook_pack(1), logbook_pack(0)};
    CHECK_OK(make_state(&state, PACKS));
    CHECK_OK(save(&state));
    lrb_state_init(&other);
    CHECK_OK(logbook_begin(&other, &err));
    CHECK_OK(logbook_take(&other, 1, swapped, PACKS + 1, &err));
    CHECK_OK(load(&other, &index, &loaded));
    CHECK(loaded && !covered[0] && lacks_pack(&index, 9));
    for (uint32_t i = 0; i < PACKS; i++) CHECK(covered[PACKS - i] && has_pack(&index, i, PACKS - i));
    lrb_index_clear(&index);
    lrb_state_clear(&other);
    lrb_state_clear(&state);
}

/* Not covered, swept, or covered without a row (it could not be opened): none of these looks covered after loading. */
TEST(only_packs_with_rows_are_saved) {
    lrb_state state;
    lrb_index index;
    bool loaded;
    const uint64_t one = 1;
    CHECK_OK(make_state(&state, PACKS));
    CHECK_OK(logbook_packs(&state, LRB_ENTRY_DAMAGED, &one, 1, NULL, 0, &err));
    CHECK_OK(logbook_packs(&state, LRB_ENTRY_SWEEP, &one, 1, NULL, 0, &err));
    CHECK_OK(make_index(&index, PACKS - 1, ROWS));
    cover(PACKS, true);
    covered[0] = false;
    CHECK_OK(lrb_index_save(&index, &state, covered, cache_dir, &err));
    lrb_index_clear(&index);
    CHECK_OK(load(&state, &index, &loaded));
    CHECK(loaded && index.used == 2 * ROWS && has_pack(&index, 2, 2) && has_pack(&index, 3, 3));
    CHECK(!covered[0] && !covered[1] && covered[2] && covered[3] && !covered[4]);
    lrb_index_clear(&index);
    lrb_state_clear(&state);
}

TEST(an_index_of_another_history_is_not_used) {
    lrb_state state, other;
    lrb_index index;
    bool loaded = true;
    CHECK_OK(make_state(&state, PACKS));
    CHECK_OK(make_state(&other, PACKS));
    CHECK_OK(logbook_hold(&state, LRB_ENTRY_HOLD, 1, "user", &err));
    CHECK_OK(save(&state));
    CHECK_OK(load(&other, &index, &loaded)); /* the file is ahead of the log */
    CHECK(!loaded);
    CHECK_OK(logbook_hold(&other, LRB_ENTRY_HOLD, 1, "user", &err));
    CHECK_OK(load(&other, &index, &loaded));
    CHECK(loaded);
    lrb_index_clear(&index);
    other.last_digest.bytes[9] ^= 1;
    CHECK_OK(load(&other, &index, &loaded)); /* another entry has the same number */
    CHECK(!loaded);
    other.last_digest.bytes[9] ^= 1;
    other.repository_id[3] ^= 1;
    CHECK_OK(load(&other, &index, &loaded));
    CHECK(!loaded && !index.slots && !covered[0]);
    lrb_state_clear(&other);
    lrb_state_clear(&state);
}

/* Puts `count` bytes in place of the file. */
static int put_file(const uint8_t *bytes, size_t count) {
    int fd = -1;
    int code = lrb_fs_unlink(cache_dir, "index", &err);
    if (!code) code = lrb_fs_create(cache_dir, "index", 0640, &fd, &err);
    if (!code) code = lrb_fs_write(fd, bytes, count, "index", &err);
    lrb_fs_close(fd);
    return code;
}

static int loads(const lrb_state *state, bool *loaded) {
    lrb_index index;
    int code = load(state, &index, loaded);
    lrb_index_clear(&index);
    return code;
}

TEST(no_truncated_grown_or_flipped_file_is_loaded) {
    lrb_state state;
    uint8_t *bytes, more[4000];
    size_t count;
    bool loaded;
    CHECK_OK(make_state(&state, PACKS));
    CHECK_OK(save(&state));
    CHECK_OK(lrb_fs_read_file(cache_dir, "index", sizeof more - 1, &bytes, &count, &err));
    for (size_t length = 0; length < count; length += length < 400 ? 1 : 13) {
        CHECK_OK(put_file(bytes, length));
        CHECK_OK(loads(&state, &loaded));
        CHECK(!loaded);
    }
    memcpy(more, bytes, count);
    more[count] = 0;
    CHECK_OK(put_file(more, count + 1));
    CHECK_OK(loads(&state, &loaded));
    CHECK(!loaded);
    for (size_t at = 0; at < count; at++) {
        bytes[at] ^= (uint8_t)(1u << at % 8);
        CHECK_OK(put_file(bytes, count));
        CHECK_OK(loads(&state, &loaded));
        CHECK(!loaded && !covered[0]);
        bytes[at] ^= (uint8_t)(1u << at % 8);
    }
    lrb_free(bytes);
    lrb_state_clear(&state);
}

/* Changes `width` bytes of a good file and makes its digest fit again. */
static int loads_with(const lrb_state *state, size_t at, size_t width, uint64_t value, bool *loaded) {
    uint8_t *bytes = NULL, number[8];
    size_t count;
    int code = save(state);
    if (!code) code = lrb_fs_read_file(cache_dir, "index", 1 << 20, &bytes, &count, &err);
    if (code) return code;
    lrb_put_u64(number, value);
    memcpy(bytes + at, number, width);
    code = lrb_sha256(bytes, count - 32, bytes + count - 32, &err);
    if (!code) code = put_file(bytes, count);
    if (!code) code = loads(state, loaded);
    lrb_free(bytes);
    return code;
}

TEST(hostile_numbers_with_a_good_digest_are_refused) {
    static const struct { size_t at, width; uint64_t value; } hostile[] = {
        {8, 2, 2}, {10, 1, 1}, {76, 1, 1}, {72, 4, PACKS - 1}, {72, 4, PACKS + 1}, {72, 4, UINT32_MAX},
        {80, 8, PACKS * ROWS - 1}, {80, 8, UINT64_MAX}, {80, 8, UINT64_C(1) << 60},
        {88 + PACKS * 32 + 8, 4, PACKS}, {88 + PACKS * 32 + 8, 4, UINT32_MAX},
        {88 + PACKS * 32 + 12, 4, LRB_PACK_MAX_CHUNKS},
    };
    lrb_state state;
    bool loaded = false;
    CHECK_OK(make_state(&state, PACKS));
    CHECK_OK(loads_with(&state, 88, 1, 0, &loaded)); /* an unknown pack name is fine */
    CHECK(loaded);
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        CHECK_OK(loads_with(&state, hostile[i].at, hostile[i].width, hostile[i].value, &loaded));
        CHECK(!loaded);
    }
    lrb_state_clear(&state);
}

/* Somebody died while saving. */
TEST(litter_is_replaced) {
    lrb_state state;
    bool loaded = false;
    int fd = -1;
    CHECK_OK(make_state(&state, PACKS));
    CHECK_OK(lrb_fs_create(cache_dir, "index.new", 0640, &fd, &err));
    lrb_fs_close(fd);
    CHECK_OK(save(&state));
    CHECK_OK(loads(&state, &loaded));
    CHECK(loaded);
    lrb_state_clear(&state);
}

TEST(every_failing_allocation_is_survived) {
    lrb_state state;
    int code = LRB_E_NOMEM;
    bool loaded = false;
    CHECK_OK(make_state(&state, PACKS));
    CHECK_OK(save(&state));
    for (int64_t n = 0; code; n++) {
        lrb_mem_fail_after(n, false);
        code = loads(&state, &loaded);
        lrb_mem_fail_after(-1, false);
        CHECK(loaded ? !code && covered[0] : code == LRB_E_NOMEM && !covered[0]);
    }
    code = LRB_E_NOMEM;
    for (int64_t n = 0; code; n++) {
        lrb_mem_fail_after(n, false);
        code = save(&state);
        lrb_mem_fail_after(-1, false);
        CHECK(!code || code == LRB_E_NOMEM);
        CHECK_OK(loads(&state, &loaded)); /* a failed save leaves the file before it */
        CHECK(loaded);
    }
    lrb_state_clear(&state);
}

/* CPU time, so that other work on the machine does not count. */
static double seconds_since(const struct timespec *start) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

TEST(two_million_chunks_load_quickly) {
    lrb_state state;
    lrb_index index;
    struct timespec start;
    bool loaded;
    CHECK_OK(make_state(&state, MOST_PACKS));
    CHECK_OK(make_index(&index, MOST_PACKS, 100));
    cover(MOST_PACKS, true);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    CHECK_OK(lrb_index_save(&index, &state, covered, cache_dir, &err));
    printf("2000000 chunks saved in %.0f ms", seconds_since(&start) * 1000);
    lrb_index_clear(&index);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    CHECK_OK(load(&state, &index, &loaded));
    printf(", loaded in %.0f ms into %.1f MB\n", seconds_since(&start) * 1000,
           (double)index.capacity * sizeof(lrb_slot) / 1e6);
    CHECK(loaded && index.used == 2000000 && index.capacity * sizeof(lrb_slot) < 64000000);
    lrb_index_clear(&index);
    lrb_state_clear(&state);
}

int main(void) {
    if (open_root()) return 2;
    RUN(a_missing_file_is_no_error);
    RUN(what_is_saved_is_loaded);
    RUN(a_file_of_an_earlier_state_serves_the_packs_that_still_count);
    RUN(packs_are_found_by_name_not_by_position);
    RUN(only_packs_with_rows_are_saved);
    RUN(an_index_of_another_history_is_not_used);
    RUN(no_truncated_grown_or_flipped_file_is_loaded);
    RUN(hostile_numbers_with_a_good_digest_are_refused);
    RUN(litter_is_replaced);
    RUN(every_failing_allocation_is_survived);
    RUN(two_million_chunks_load_quickly);
    close_root();
    return check_report();
}
