/* Many small texts that live and die together: the names of a listing cost one allocation per 64 KiB.
 *
 * Zero-initialised. Owns its memory; copies stay where they are until lrb_arena_clear. One thread at a time.
 */
#ifndef LRB_BASE_ARENA_H
#define LRB_BASE_ARENA_H

#include <stddef.h>

typedef struct lrb_arena {
    struct lrb_arena_block *newest;
} lrb_arena;

/* A NUL-terminated copy of text[0..length); NULL: no memory. */
char *lrb_arena_keep(lrb_arena *arena, const char *text, size_t length);
void lrb_arena_clear(lrb_arena *arena); /* to be used again, or not */

#endif
