#define _GNU_SOURCE 1
#include "base/blocks.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"

/* The place is cut into runs, and each run into blocks of one size, counted in steps. */
enum { STEP = 16, SIZES = LRB_BLOCKS_LARGEST / STEP + 1, RUN = 64 << 10, RUNS = LRB_BLOCKS_BYTES / RUN };

typedef struct block {
    struct block *next;
} block;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *place; /* NULL: there is none */
static size_t runs; /* cut so far */
static uint16_t steps_of[RUNS];
static struct {
    block *given_back;
    char *fresh, *end; /* what is left of the last run */
} sizes[SIZES];

/* ---- beginning ---- */

static void hold(void) {
    pthread_mutex_lock(&lock);
}

static void let_go(void) {
    pthread_mutex_unlock(&lock);
}

void lrb_blocks_begin(void) {
    if (place || !(place = lrb_resize_pages(NULL, 0, LRB_BLOCKS_BYTES))) return;
    (void)madvise(place, LRB_BLOCKS_BYTES, MADV_HUGEPAGE);
    if (!pthread_atfork(hold, let_go, let_go)) return; /* a thread that a child does not have may hold the lock */
    lrb_free_pages(place, LRB_BLOCKS_BYTES);
    place = NULL;
}

/* ---- in the place ---- */

static bool is_in_place(const void *pointer) {
    return place && (uintptr_t)pointer - (uintptr_t)place < LRB_BLOCKS_BYTES;
}

static size_t steps_of_block(const void *pointer) {
    return steps_of[((uintptr_t)pointer - (uintptr_t)place) / RUN];
}

static void *cut(size_t steps) {
    size_t bytes = steps * STEP;
    if ((size_t)(sizes[steps].end - sizes[steps].fresh) < bytes) {
        if (runs == RUNS) return NULL;
        steps_of[runs] = (uint16_t)steps;
        sizes[steps].fresh = place + runs++ * RUN;
        sizes[steps].end = sizes[steps].fresh + RUN;
    }
    void *made = sizes[steps].fresh;
    sizes[steps].fresh += bytes;
    return made;
}

static void *take_in_place(size_t size_bytes) {
    size_t steps = size_bytes ? (size_bytes - 1) / STEP + 1 : 1;
    pthread_mutex_lock(&lock);
    block *last = sizes[steps].given_back;
    if (last) sizes[steps].given_back = last->next;
    void *taken = last ? last : cut(steps);
    pthread_mutex_unlock(&lock);
    return taken;
}

static void give_in_place(block *given) {
    size_t steps = steps_of_block(given);
    pthread_mutex_lock(&lock);
    given->next = sizes[steps].given_back;
    sizes[steps].given_back = given;
    pthread_mutex_unlock(&lock);
}

/* ---- malloc's family ---- */

void *lrb_blocks_take(size_t size_bytes) {
    void *taken = place && size_bytes <= LRB_BLOCKS_LARGEST ? take_in_place(size_bytes) : NULL;
    return taken ? taken : lrb_alloc(size_bytes);
}

void *lrb_blocks_take_zero(size_t count, size_t size_bytes) {
    size_t total;
    void *taken = lrb_mul_fits(count, size_bytes, &total) ? lrb_blocks_take(total) : NULL;
    return taken ? memset(taken, 0, total) : NULL;
}

void lrb_blocks_give(void *given) {
    if (is_in_place(given)) give_in_place(given);
    else lrb_free(given);
}

void *lrb_blocks_resize(void *old, size_t size_bytes) {
    if (!is_in_place(old)) return old ? lrb_resize_array(old, 1, size_bytes) : lrb_blocks_take(size_bytes);
    size_t room = steps_of_block(old) * STEP;
    if (size_bytes <= room) return old;
    void *taken = lrb_blocks_take(size_bytes);
    if (!taken) return NULL;
    memcpy(taken, old, room);
    lrb_blocks_give(old);
    return taken;
}

char *lrb_blocks_copy(const char *text) {
    size_t size_bytes = strlen(text) + 1;
    char *copy = lrb_blocks_take(size_bytes);
    return copy ? memcpy(copy, text, size_bytes) : NULL;
}
