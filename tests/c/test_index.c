/* The chunk index: everything added is found again among all candidates, at every size, and it stays small. */
#include <sys/resource.h>
#include <time.h>

#include "base/mem.h"
#include "base/wire.h"
#include "check.h"
#include "repo/index.h"

static lrb_err err;

static lrb_id make_id(uint64_t number) {
    lrb_id id = {{0}};
    uint64_t x = number * UINT64_C(0x9e3779b97f4a7c15); /* a bijection: all prefixes differ, spread like digests */
    x = (x ^ x >> 31) * UINT64_C(0xbf58476d1ce4e5b9);
    lrb_put_u64(id.bytes, x ^ x >> 29);
    lrb_put_u64(id.bytes + 8, number);
    return id;
}

static lrb_id with_prefix(uint64_t prefix) {
    lrb_id id = {{0}};
    lrb_put_u64(id.bytes, prefix);
    return id;
}

static unsigned count_candidates(const lrb_index *index, const lrb_id *id) {
    uint64_t cursor = UINT64_MAX;
    uint32_t pack, ordinal;
    unsigned count = 0;
    while (lrb_index_next(index, id, &cursor, &pack, &ordinal)) count++;
    return count;
}

static bool has(const lrb_index *index, const lrb_id *id, uint32_t pack, uint32_t ordinal) {
    uint64_t cursor = UINT64_MAX;
    uint32_t p, o;
    while (lrb_index_next(index, id, &cursor, &p, &o))
        if (p == pack && o == ordinal) return true;
    return false;
}

TEST(an_empty_index_has_nothing) {
    lrb_index index;
    lrb_id id = make_id(1);
    lrb_index_init(&index);
    CHECK(count_candidates(&index, &id) == 0);
    CHECK_OK(lrb_index_reserve(&index, 0, &err));
    CHECK(count_candidates(&index, &id) == 0);
    lrb_index_clear(&index);
    CHECK(!index.slots && !index.capacity);
}

TEST(a_hundred_thousand_ids_are_found_while_it_grows) {
    enum { COUNT = 100000 };
    lrb_index index;
    lrb_index_init(&index);
    for (uint32_t i = 0; i < COUNT; i++) {
        lrb_id id = make_id(i);
        CHECK_OK(lrb_index_add(&index, &id, i / 100, i % 100, &err));
        CHECK(has(&index, &id, i / 100, i % 100));
        if (i > 1000) CHECK(index.capacity * sizeof(lrb_slot) <= (uint64_t)(i + 1) * 24);
    }
    CHECK(index.used == COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        lrb_id id = make_id(i), unknown = make_id(i + COUNT);
        CHECK(count_candidates(&index, &id) == 1 && has(&index, &id, i / 100, i % 100));
        CHECK(count_candidates(&index, &unknown) == 0);
    }
    lrb_index_clear(&index);
}

TEST(every_copy_of_an_id_is_a_candidate) {
    lrb_index index;
    lrb_id id = make_id(5);
    lrb_index_init(&index);
    for (uint32_t pack = 0; pack < 50; pack++) CHECK_OK(lrb_index_add(&index, &id, pack, 7, &err));
    for (uint32_t i = 100; i < 1100; i++) {
        lrb_id other = make_id(i);
        CHECK_OK(lrb_index_add(&index, &other, i, i, &err));
    }
    CHECK(count_candidates(&index, &id) == 50);
    for (uint32_t pack = 0; pack < 50; pack++) CHECK(has(&index, &id, pack, 7));
    lrb_index_clear(&index);
}

/* Prefixes chosen by somebody: all equal, and all at the very end of the table, so that runs go on at its start. */
TEST(chosen_prefixes_cost_time_only) {
    static const uint64_t prefixes[] = {0, UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63};
    lrb_index index;
    lrb_index_init(&index);
    for (uint32_t i = 0; i < 2000; i++)
        for (size_t p = 0; p < 4; p++) {
            lrb_id id = with_prefix(prefixes[p]);
            CHECK_OK(lrb_index_add(&index, &id, i, (uint32_t)p, &err));
        }
    for (size_t p = 0; p < 4; p++) {
        lrb_id id = with_prefix(prefixes[p]), near = with_prefix(prefixes[p] ^ 2);
        CHECK(count_candidates(&index, &id) == 2000);
        CHECK(has(&index, &id, 0, (uint32_t)p) && has(&index, &id, 1999, (uint32_t)p));
        CHECK(count_candidates(&index, &near) == 0);
    }
    lrb_index_clear(&index);
}

TEST(reserved_room_is_not_outgrown) {
    lrb_index index;
    lrb_index_init(&index);
    CHECK_OK(lrb_index_reserve(&index, 10000, &err));
    uint64_t capacity = index.capacity;
    CHECK(capacity * sizeof(lrb_slot) <= 10000 * 20);
    for (uint32_t i = 0; i < 10000; i++) {
        lrb_id id = make_id(i);
        CHECK_OK(lrb_index_add(&index, &id, 1, i, &err));
    }
    CHECK(index.capacity == capacity);
    CHECK_OK(lrb_index_reserve(&index, 100, &err));
    CHECK(index.capacity == capacity && index.used == 10000);
    CHECK_FAILS(lrb_index_reserve(&index, UINT64_MAX, &err), LRB_E_LIMIT);
    CHECK_FAILS(lrb_index_reserve(&index, (UINT64_C(1) << 32) + 1, &err), LRB_E_LIMIT);
    CHECK(index.used == 10000);
    lrb_index_clear(&index);
}

TEST(a_failing_allocation_leaves_the_index_as_before) {
    lrb_index index;
    uint32_t refused = 0;
    lrb_index_init(&index);
    for (uint32_t i = 0; i < 1000; i++) {
        lrb_id id = make_id(i);
        lrb_mem_fail_after(0, false);
        int code = lrb_index_add(&index, &id, 3, i, &err);
        lrb_mem_fail_after(-1, false);
        if (!code) continue;
        CHECK(code == LRB_E_NOMEM && index.used == i && count_candidates(&index, &id) == 0);
        refused++;
        CHECK_OK(lrb_index_add(&index, &id, 3, i, &err));
    }
    CHECK(refused > 3);
    for (uint32_t i = 0; i < 1000; i++) {
        lrb_id id = make_id(i);
        CHECK(has(&index, &id, 3, i));
    }
    lrb_index_clear(&index);
}

/* CPU time, so that other work on the machine does not count. */
static double seconds_since(const struct timespec *start) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static long peak_kib(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* The size of a repository of about 130 GB of source. Growing needs no second table. */
TEST(two_million_chunks_are_quick) {
    enum { COUNT = 2000000 };
    lrb_index index;
    struct timespec start;
    uint64_t found = 0;
    long before = peak_kib();
    lrb_index_init(&index);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    for (uint32_t i = 0; i < COUNT; i++) {
        lrb_id id = make_id(i);
        CHECK_OK(lrb_index_add(&index, &id, i >> 7, i & 127, &err));
    }
    long grown = peak_kib() - before;
    printf("%d inserts: %.0f ms, %.1f bytes each, %ld KiB of peak memory\n", COUNT, seconds_since(&start) * 1000,
           (double)index.capacity * sizeof(lrb_slot) / COUNT, grown);
    CHECK(grown <= (long)COUNT * 24 / 1024);
    CHECK(index.capacity * sizeof(lrb_slot) <= (uint64_t)COUNT * 24);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    for (uint32_t i = COUNT / 2; i < COUNT / 2 * 3; i++) {
        lrb_id id = make_id(i);
        found += count_candidates(&index, &id);
    }
    printf("%d lookups, half of them in vain: %.0f ms\n", COUNT, seconds_since(&start) * 1000);
    CHECK(found == COUNT / 2);
    lrb_index_clear(&index);
}

int main(void) {
    RUN(an_empty_index_has_nothing);
    RUN(a_hundred_thousand_ids_are_found_while_it_grows);
    RUN(every_copy_of_an_id_is_a_candidate);
    RUN(chosen_prefixes_cost_time_only);
    RUN(reserved_room_is_not_outgrown);
    RUN(a_failing_allocation_leaves_the_index_as_before);
    RUN(two_million_chunks_are_quick);
    return check_report();
}
