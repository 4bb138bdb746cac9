#include "base/arena.h"

#include <string.h>

#include "base/mem.h"

enum { BLOCK_BYTES = 64 << 10 };

struct lrb_arena_block {
    struct lrb_arena_block *older;
    size_t used, room;
    char bytes[];
};

char *lrb_arena_keep(lrb_arena *arena, const char *text, size_t length) {
    struct lrb_arena_block *block = arena->newest;
    size_t needed, total;
    if (!lrb_add_fits(length, 1, &needed)) return NULL;
    if (!block || block->room - block->used < needed) {
        size_t room = needed > BLOCK_BYTES - sizeof *block ? needed : BLOCK_BYTES - sizeof *block;
        block = lrb_add_fits(sizeof *block, room, &total) ? lrb_alloc(total) : NULL;
        if (!block) return NULL;
        *block = (struct lrb_arena_block){arena->newest, 0, room};
        arena->newest = block;
    }
    char *copy = block->bytes + block->used;
    if (length) memcpy(copy, text, length);
    copy[length] = '\0';
    block->used += needed;
    return copy;
}

void lrb_arena_clear(lrb_arena *arena) {
    for (struct lrb_arena_block *block = arena->newest, *older; block; block = older) {
        older = block->older;
        lrb_free(block);
    }
    arena->newest = NULL;
}
