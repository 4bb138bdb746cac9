/* Names: which relative names may be used as items, and joining paths within fixed room.
 *
 * An item name comes from a source or, hostile, from a stored object; both pass the same gate before any
 * file is opened: relative, '/'-separated, no empty, "." or ".." component, no NUL, every component at most
 * 255 bytes, at most LRB_NAME_MAX bytes. Bytes above 0x7f are allowed and never interpreted.
 */
#ifndef LRB_BASE_PATH_H
#define LRB_BASE_PATH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { LRB_NAME_MAX = 4095, LRB_PATH_MAX = 4096 };

/* The order of items: by bytes, a beginning before what it begins. Below, at or above zero like memcmp. */
int lrb_name_compare(const char *a, size_t a_length, const char *b, size_t b_length);
bool lrb_name_valid(const char *name, size_t length);
/* graph ids: ^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$ */
bool lrb_graph_id_valid(const char *graph_id);
/* Writes "a/b" into out[LRB_PATH_MAX], or "b" when `a` is empty; LIMIT when it does not fit. `out` may be `a`. */
int lrb_path_join(char out[LRB_PATH_MAX], const char *a, const char *b, lrb_err *err);
/* For messages: `name` with control characters and bytes that are no UTF-8 replaced by '?', cut to `room`. */
void lrb_name_printable(char *out, size_t room, const char *name, size_t length);

#endif
