/* Blocks of many sizes: none overlaps another, whichever thread gives it back, in a forked child too, and beside malloc's
 * where the place is full or refused. */
#include "base/blocks.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "check.h"

enum { HELD = 512, SOME_LARGE = LRB_BLOCKS_LARGEST + 100, ROUNDS = 5000, THREADS = 4, CHILDREN = 10, FULL = LRB_BLOCKS_BYTES / LRB_BLOCKS_LARGEST };

static uint32_t next_random(uint32_t *state) {
    return *state = *state * 1664525 + 1013904223;
}

static size_t some_size(uint32_t *state, size_t largest) {
    uint32_t random = next_random(state) >> 8;
    return random % 3 ? random % 200 : random % (largest + 1);
}

typedef struct held {
    unsigned char *at;
    size_t size;
    unsigned char is;
} held;

static void fill(held *one, unsigned char with) {
    memset(one->at, one->is = with, one->size);
}

static bool is_whole(const held *one, size_t size) {
    for (size_t i = 0; i < one->size && i < size; i++)
        if (one->at[i] != one->is) return false;
    return true;
}

/* Takes, resizes and gives back at random, and looks at each block before; how many were not as they were left. */
static int churn(uint32_t seed, size_t largest) {
    held all[HELD] = {0};
    int harmed = 0;
    for (int round = 0; round < ROUNDS; round++) {
        held *one = &all[next_random(&seed) >> 8 & (HELD - 1)];
        size_t size = some_size(&seed, largest);
        harmed += !is_whole(one, one->size);
        if (next_random(&seed) >> 31) {
            unsigned char *resized = lrb_blocks_resize(one->at, size);
            if (!resized) return -1;
            one->at = resized;
            harmed += !is_whole(one, size);
        } else {
            lrb_blocks_give(one->at);
            if (!(one->at = lrb_blocks_take(size))) return -1;
        }
        one->size = size;
        harmed += (uintptr_t)one->at % 16 != 0;
        fill(one, (unsigned char)round);
    }
    for (int i = 0; i < HELD; i++) lrb_blocks_give(all[i].at);
    return harmed;
}

static atomic_bool over;

static void *churn_beside(void *harmed) {
    while (!atomic_load(&over)) *(int *)harmed += churn((uint32_t)(uintptr_t)harmed, SOME_LARGE);
    return NULL;
}

TEST(without_the_place_all_is_mallocs) {
    lrb_mem_fail_after(0, false);
    lrb_blocks_begin();
    lrb_mem_fail_after(-1, false);
    CHECK(churn(1, SOME_LARGE) == 0);
    void *of_malloc = lrb_blocks_take(10);
    lrb_blocks_begin();
    of_malloc = lrb_blocks_resize(of_malloc, 20);
    CHECK(of_malloc);
    lrb_blocks_give(of_malloc);
}

TEST(blocks_keep_what_they_hold) {
    CHECK(churn(2, SOME_LARGE) == 0);
    char *copy = lrb_blocks_copy("text"), *zero = lrb_blocks_take_zero(3, 5);
    CHECK(copy && !strcmp(copy, "text"));
    CHECK(zero && !memcmp(zero, (char[15]){0}, 15));
    CHECK(!lrb_blocks_take_zero(SIZE_MAX, 2));
    lrb_blocks_give(copy);
    lrb_blocks_give(zero);
    lrb_blocks_give(NULL);
}

TEST(what_was_given_back_last_is_taken_first) {
    void *first = lrb_blocks_take(100);
    lrb_blocks_give(first);
    void *again = lrb_blocks_take(101);
    CHECK(again == first);
    lrb_blocks_give(again);
}

TEST(threads_take_and_give_at_once_and_a_child_goes_on) {
    pthread_t threads[THREADS];
    int harmed[THREADS] = {0}, status = 0;
    for (int i = 0; i < THREADS; i++) CHECK(!pthread_create(&threads[i], NULL, churn_beside, &harmed[i]));
    for (int i = 0; i < CHILDREN; i++) {
        pid_t child = fork();
        /* Nothing of malloc's there, whose lock another thread may hold under a sanitizer; an exit, and ThreadSanitizer would miss
         * the threads. */
        if (!child) raise(churn(3, LRB_BLOCKS_LARGEST) ? SIGABRT : SIGKILL);
        CHECK(waitpid(child, &status, 0) == child && WTERMSIG(status) == SIGKILL);
    }
    atomic_store(&over, true);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        CHECK(harmed[i] == 0);
    }
}

TEST(a_full_place_and_memory_that_ends_are_survived) {
    static void *taken[FULL + 1];
    for (int i = 0; i <= FULL; i++) CHECK(taken[i] = lrb_blocks_take(LRB_BLOCKS_LARGEST));
    CHECK(churn(4, SOME_LARGE) == 0);
    lrb_mem_fail_after(0, true);
    void *refused = lrb_blocks_take(LRB_BLOCKS_LARGEST), *large = lrb_blocks_take_zero(1, LRB_BLOCKS_LARGEST + 1);
    void *longer = lrb_blocks_resize(taken[0], LRB_BLOCKS_LARGEST + 1);
    lrb_mem_fail_after(-1, false);
    CHECK(!refused && !large && !longer);
    for (int i = 0; i <= FULL; i++) lrb_blocks_give(taken[i]);
}

int main(void) {
    RUN(without_the_place_all_is_mallocs);
    RUN(blocks_keep_what_they_hold);
    RUN(what_was_given_back_last_is_taken_first);
    RUN(threads_take_and_give_at_once_and_a_child_goes_on);
    RUN(a_full_place_and_memory_that_ends_are_survived);
    return check_report();
}
