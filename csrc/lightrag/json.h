/* JSON (RFC 8259), strictly and without end: one value after the other, at the speed of memory, in fixed memory.
 *
 * The caller pulls. Each lrb_json_next gives one value, or the end of an object or array; a member of an object comes
 * with its key. Of a string it gives only that it begins: its text is taken whole (lrb_json_text) or in pieces
 * (lrb_json_piece), or is passed over by the next lrb_json_next, but it is checked in any case. So a file of any size,
 * with one string of any size, costs a window of at most 256 KiB and the longest key and text asked for.
 *
 * Everything RFC 8259 refuses is refused, and besides: a byte order mark, invalid UTF-8, keys of more than 1 MiB, more
 * than 1000 levels and numbers of more than 4300 characters (both make Python's own parser give up). Accepted is what
 * the grammar allows, in any layout. A lone surrogate in an escape, which the grammar allows, becomes the three bytes
 * UTF-8 would make of it. Duplicate keys are the caller's business.
 *
 * INVALID means that the bytes are not such JSON; the message says what is wrong at which byte. Any other failure is
 * one of reading or of memory. After a failure a scanner can only be freed. One thread at a time.
 */
#ifndef LRB_LIGHTRAG_JSON_H
#define LRB_LIGHTRAG_JSON_H

#include <stdbool.h>

#include "lightrag/bytes.h"

enum {
    LRB_JSON_MAX_DEPTH = 1000,
    LRB_JSON_MAX_NUMBER = 4300,
    LRB_JSON_MAX_KEY_BYTES = 1 << 20,
    LRB_JSON_WINDOW_BYTES = 256 << 10
};

typedef enum lrb_json_kind {
    LRB_JSON_END, /* of the file, after its one value */
    LRB_JSON_OBJECT,
    LRB_JSON_OBJECT_END,
    LRB_JSON_ARRAY,
    LRB_JSON_ARRAY_END,
    LRB_JSON_STRING,
    LRB_JSON_NUMBER,
    LRB_JSON_TRUE,
    LRB_JSON_FALSE,
    LRB_JSON_NULL
} lrb_json_kind;

typedef struct lrb_json_value {
    lrb_json_kind kind;
    const char *key; /* a member's, decoded, NUL-terminated, until the next call; "" for what is no member */
    size_t key_length;
    uint64_t offset; /* of its first byte; of a string: of the byte behind the opening quote */
    const char *number; /* the first 47 characters, NUL-terminated, until the next call */
    size_t number_length; /* of the whole */
} lrb_json_value;

typedef struct lrb_json lrb_json;

/* `bytes` is copied, `thread` handed to its read until lrb_json_thread says otherwise. */
int lrb_json_new(const lrb_bytes *bytes, void *thread, lrb_json **out, lrb_err *err);
void lrb_json_free(lrb_json *json); /* NULL: nothing */
/* From now on this thread reads. */
void lrb_json_thread(lrb_json *json, void *thread);
/* Starts inside a string: `offset` is that of a string value seen before. Its text can be taken, and nothing else. */
void lrb_json_reopen(lrb_json *json, uint64_t offset);

int lrb_json_next(lrb_json *json, lrb_json_value *value, lrb_err *err);
/* After OBJECT or ARRAY: passes over all that is in it, and its end. After anything else nothing. */
int lrb_json_skip(lrb_json *json, const lrb_json_value *value, lrb_err *err);
uint64_t lrb_json_offset(const lrb_json *json); /* of the next byte */

typedef struct lrb_json_text {
    const char *at; /* until the next call; not NUL-terminated */
    size_t length;
    bool whole;     /* false: these are the first `max_bytes`, or fewer not to cut a character, and the rest was passed over */
} lrb_json_text;

/* After STRING: its text, decoded. */
int lrb_json_text_of(lrb_json *json, size_t max_bytes, lrb_json_text *text, lrb_err *err);
/* After STRING: the next piece of its text, decoded; *done with the last one, which may be empty. */
int lrb_json_piece(lrb_json *json, const char **at, size_t *length, bool *done, lrb_err *err);

/* Whether a NUMBER is written as an integer and fits. */
bool lrb_json_integer(const lrb_json_value *value, int64_t *out);
bool lrb_json_key_is(const lrb_json_value *value, const char *key);

#endif
