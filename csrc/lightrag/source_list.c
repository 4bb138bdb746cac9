#include "lightrag/source_list.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const char SEPARATOR[] = "<SEP>";
enum { SEPARATOR_BYTES = sizeof SEPARATOR - 1, MD5_DIGITS = 32 };

void lrb_sources_clear(lrb_source_list *list) {
    lrb_free(list->at);
    *list = (lrb_source_list){0};
}

void lrb_sources_empty(lrb_source_list *list) {
    list->count = 0;
    list->sum = list->sum_all = 0;
}

static bool is(const char *id, size_t length, const char *name) {
    return strlen(name) == length && !memcmp(id, name, length);
}

bool lrb_source_is_chunk(const char *id, size_t length) {
    return length && !is(id, length, "manual_creation") && !is(id, length, "UNKNOWN");
}

static bool all_hex(const char *text, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!strchr("0123456789abcdef", text[i]) || !text[i]) return false;
    return true;
}

bool lrb_source_claims_chunk(const char *id, size_t length) {
    static const char chunk[] = "chunk-", doc[] = "doc-", inner[] = "-chunk-";
    size_t front = sizeof chunk - 1, doc_front = sizeof doc - 1;
    if (length == front + MD5_DIGITS && !memcmp(id, chunk, front)) return all_hex(id + front, MD5_DIGITS);
    if (length > doc_front + MD5_DIGITS && !memcmp(id, doc, doc_front) && all_hex(id + doc_front, MD5_DIGITS))
        return id[doc_front + MD5_DIGITS] == '-';
    const char *digits = memmem(id, length, inner, sizeof inner - 1);
    if (!digits) return false;
    size_t left = length - (size_t)(digits - id) - (sizeof inner - 1);
    for (size_t i = 0; i < left; i++)
        if (digits[sizeof inner - 1 + i] < '0' || digits[sizeof inner - 1 + i] > '9') return false;
    return left >= 3;
}

bool lrb_source_next(const char **text, size_t *length, const char **id, size_t *id_length) {
    if (!*text) return false;
    const char *end = memmem(*text, *length, SEPARATOR, SEPARATOR_BYTES);
    *id = *text;
    *id_length = end ? (size_t)(end - *text) : *length;
    *length -= *id_length + (end ? SEPARATOR_BYTES : 0);
    *text = end ? end + SEPARATOR_BYTES : NULL;
    return true;
}

static int make_room(lrb_source_list *list, lrb_err *err) {
    if (list->count < list->room) return LRB_OK;
    if (list->count == LRB_SOURCES_MAX)
        return lrb_err_set(err, LRB_E_INVALID, "parse", "", "a list of more than %d ids", LRB_SOURCES_MAX);
    size_t room = list->room ? list->room * 2 : 64;
    lrb_hash *at = lrb_resize_array(list->at, room, sizeof *at);
    if (!at) return lrb_err_nomem(err, "read a list of ids");
    list->at = at;
    list->room = room;
    return LRB_OK;
}

int lrb_sources_add(lrb_source_list *list, const lrb_hash_key *key, const char *id, size_t length, lrb_err *err) {
    lrb_hash hash = lrb_siphash(key, id, length);
    if (!lrb_source_is_chunk(id, length)) {
        /* Of what stands for no chunk it matters only whether it is there, and it is rarely there twice. */
        if (length) list->sum_all ^= hash.high;
        return LRB_OK;
    }
    int code = make_room(list, err);
    if (!code) list->at[list->count++] = hash;
    return code;
}

int lrb_sources_split(lrb_source_list *list, const lrb_hash_key *key, const char *text, size_t length, lrb_err *err) {
    const char *id;
    size_t id_length;
    int code = LRB_OK;
    while (!code && lrb_source_next(&text, &length, &id, &id_length))
        code = lrb_sources_add(list, key, id, id_length, err);
    return code;
}

static int compare(const void *a, const void *b) {
    const lrb_hash *x = a, *y = b;
    return x->low < y->low ? -1 : x->low > y->low;
}

void lrb_sources_settle(lrb_source_list *list) {
    size_t kept = 0;
    if (list->count > 1) qsort(list->at, list->count, sizeof *list->at, compare);
    for (size_t i = 0; i < list->count; i++) {
        if (kept && list->at[kept - 1].low == list->at[i].low) continue;
        list->at[kept++] = list->at[i];
        list->sum += list->at[i].low;
    }
    list->count = kept;
    list->sum_all += list->sum;
}
