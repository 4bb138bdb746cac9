/* The arena: copies of any length stay what and where they were. */
#include "base/arena.h"

#include "base/mem.h"
#include "check.h"

enum { TEXTS = 20000, LONGEST = 200000 };

static char text[LONGEST + 1];

static size_t length_of(int number) {
    return number % 5000 ? (size_t)number % 97 : (size_t)number * 10; /* now and then more than a block */
}

TEST(copies_stay_what_and_where_they_were) {
    lrb_arena arena = {0};
    char **copies = lrb_alloc(TEXTS * sizeof *copies);
    CHECK(copies);
    for (int i = 0; i < TEXTS; i++) {
        memset(text, 'a' + i % 26, length_of(i));
        copies[i] = lrb_arena_keep(&arena, text, length_of(i));
        CHECK(copies[i]);
    }
    for (int i = 0; i < TEXTS; i++) {
        size_t length = length_of(i);
        CHECK(strlen(copies[i]) == length);
        CHECK(!length || (copies[i][0] == 'a' + i % 26 && copies[i][length - 1] == 'a' + i % 26));
    }
    lrb_free(copies);
    lrb_arena_clear(&arena);
    CHECK(!arena.newest);
    char *again = lrb_arena_keep(&arena, "again", 3);
    CHECK(again && !strcmp(again, "aga"));
    lrb_arena_clear(&arena);
}

TEST(a_refused_block_leaves_the_copies) {
    lrb_arena arena = {0};
    char *first = lrb_arena_keep(&arena, "first", 5);
    lrb_mem_fail_after(0, false);
    char *refused = lrb_arena_keep(&arena, text, LONGEST);
    lrb_mem_fail_after(-1, false);
    CHECK(first && !refused && !strcmp(first, "first"));
    CHECK(!lrb_arena_keep(&arena, text, SIZE_MAX) && !lrb_arena_keep(&arena, text, SIZE_MAX - 1));
    char *second = lrb_arena_keep(&arena, "", 0);
    CHECK(second && !*second && !strcmp(first, "first"));
    lrb_arena_clear(&arena);
}

int main(void) {
    RUN(copies_stay_what_and_where_they_were);
    RUN(a_refused_block_leaves_the_copies);
    return check_report();
}
