#include "lightrag/cut.h"

#include <stdbool.h>
#include <stdlib.h>

#include "check.h"

enum { MANY = 20000, REACH = 8 };

static uint64_t hashes[MANY];
static uint8_t extents[MANY], others[MANY];

static void hash_numbers(size_t count) {
    char id[32];
    for (size_t i = 0; i < count; i++) {
        int length = snprintf(id, sizeof id, "ent-%zu", i);
        hashes[i] = lrb_cut_hash((const uint8_t *)id, (size_t)length, 0);
    }
}

/* These may never change: stored chunks are found again by them. Made by an independent program from cut.h. */
TEST(golden_hashes) {
    static const char *const ids[] = {"", "a", "ent-0e51a87ec173dd9534a056a403c85881"};
    static const uint64_t wanted[] = {0xefd01f60ba992926, 0x82a2a958a9bece5b, 0xcfffba9ccd8aa073};
    for (size_t i = 0; i < 3; i++) CHECK(lrb_cut_hash((const uint8_t *)ids[i], strlen(ids[i]), 0) == wanted[i]);
    CHECK(lrb_cut_hash((const uint8_t *)"a", 1, 1) != wanted[1]);
}

/* What the header says, word by word. */
static bool all_greater(size_t count, size_t at, size_t reach) {
    if (at < reach || at + reach >= count) return false;
    for (size_t d = 1; d <= reach; d++)
        if (hashes[at - d] <= hashes[at] || hashes[at + d] < hashes[at]) return false;
    return true;
}

TEST(an_extent_is_how_many_neighbours_are_greater) {
    hash_numbers(2000);
    for (size_t i = 0; i < 2000; i += 3) hashes[i] %= 5; /* many equal ones */
    lrb_cut_extents(hashes, 2000, REACH, extents);
    for (size_t i = 0; i < 2000; i++) {
        CHECK(extents[i] <= REACH);
        for (size_t reach = 1; reach <= REACH; reach++) CHECK((extents[i] >= reach) == all_greater(2000, i, reach));
    }
}

TEST(groups_are_as_long_as_promised) {
    for (unsigned reach = 1; reach <= REACH; reach++) {
        size_t groups = 0, last = 0;
        hash_numbers(MANY);
        lrb_cut_extents(hashes, MANY, reach, extents);
        for (size_t i = 0; i < MANY; i++) {
            if (extents[i] < reach) continue;
            CHECK(!groups || i - last > reach);
            last = i;
            groups++;
        }
        double mean = (double)MANY / (double)groups;
        CHECK(mean > 0.95 * (2 * reach + 1) && mean < 1.05 * (2 * reach + 1));
    }
}

/* Ends within `reach` of the change may move, no other. */
TEST(a_record_that_goes_moves_only_ends_beside_it) {
    hash_numbers(1000);
    lrb_cut_extents(hashes, 1000, REACH, extents);
    for (size_t gone = 0; gone < 1000; gone++) {
        hash_numbers(1000);
        memmove(hashes + gone, hashes + gone + 1, (999 - gone) * sizeof *hashes);
        lrb_cut_extents(hashes, 999, REACH, others);
        for (size_t i = 0; i < 1000; i++) {
            size_t away = i > gone ? i - gone : gone - i;
            if (away > REACH && i >= REACH && i < 999 - REACH) CHECK(extents[i] == others[i - (i > gone)]);
        }
    }
}

int main(void) {
    RUN(golden_hashes);
    RUN(an_extent_is_how_many_neighbours_are_greater);
    RUN(groups_are_as_long_as_promised);
    RUN(a_record_that_goes_moves_only_ends_beside_it);
    return check_report();
}
