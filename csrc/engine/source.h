/* What a backup reads: a list of items, either pinned (an open descriptor) or opened one at a time when read.
 *
 * Items keep the byte order of their names after lrb_source_seal. A pinned descriptor belongs to the source and is closed with it. An
 * item that is not pinned is opened O_NOFOLLOW below its root descriptor when its turn comes; its identity must be the same
 * before and after reading, else the backup fails with CHANGED naming it. Names are item names (path.h).
 */
#ifndef LRB_ENGINE_SOURCE_H
#define LRB_ENGINE_SOURCE_H

#include "base/fs.h"
#include "base/path.h"

typedef struct lrb_source_item {
    const char *name;
    uint32_t name_length;
    int fd;                 /* pinned, or -1 */
    uint32_t root;          /* which root descriptor, when not pinned */
    uint32_t path_offset;   /* the name below the root is name + path_offset (a prefix may stand before it) */
    lrb_identity identity;  /* when listed or pinned */
    const char *link_target; /* symlinks */
} lrb_source_item;

typedef struct lrb_source_skip { const char *name, *reason; } lrb_source_skip;
typedef struct lrb_source lrb_source;

int lrb_source_new(lrb_source **out, lrb_err *err);
void lrb_source_free(lrb_source *source);
/* Takes over `fd` (also on failure) and identifies it. */
int lrb_source_pin(lrb_source *source, const char *name, int fd, lrb_err *err);
/* Adds everything below the directory `fd` (duplicated), names as "<prefix>/<relative>" ("" prefix: none): regular files, symlinks as
 * links, directories (so that empty ones and modes come back). Sockets, fifos and devices are skipped with their reason. `only` NULL,
 * or one direct child's name to take (LightRAG items that are not pinned, symlinked items). */
int lrb_source_add_tree(lrb_source *source, int fd, const char *prefix, const char *only, lrb_err *err);
int lrb_source_skip_name(lrb_source *source, const char *name, const char *reason, lrb_err *err);
/* Sorts; INVALID when two items have one name. Nothing may be added afterwards. */
int lrb_source_seal(lrb_source *source, lrb_err *err);

size_t lrb_source_count(const lrb_source *source);
const lrb_source_item *lrb_source_at(const lrb_source *source, size_t position);
size_t lrb_source_skip_count(const lrb_source *source);
const lrb_source_skip *lrb_source_skip_at(const lrb_source *source, size_t position);
/* Opens an item that is not pinned (a duplicate of the descriptor when pinned); CHANGED when its identity is another. */
int lrb_source_open(const lrb_source *source, const lrb_source_item *item, int *fd, lrb_err *err);
/* CHANGED, of an item open as `fd` that is no longer what was listed: named by its path, or by its name where the kernel tells none. */
int lrb_source_changed(const lrb_source_item *item, int fd, const char *op, const char *message, lrb_err *err);

#endif
