#include "base/path.h"

#include <stdint.h>
#include <string.h>

enum { COMPONENT_MAX = 255, GRAPH_ID_MAX = 128 };

static bool component_valid(const char *component, size_t length) {
    if (length == 0 || length > COMPONENT_MAX) return false;
    if (component[0] != '.') return true;
    return length > 2 || (length == 2 && component[1] != '.');
}

int lrb_name_compare(const char *a, size_t a_length, const char *b, size_t b_length) {
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

bool lrb_name_valid(const char *name, size_t length) {
    if (length == 0 || length > LRB_NAME_MAX || memchr(name, '\0', length)) return false;
    size_t start = 0;
    for (size_t i = 0; i <= length; i++) {
        if (i < length && name[i] != '/') continue;
        if (!component_valid(name + start, i - start)) return false;
        start = i + 1;
    }
    return true;
}

/* Not isalnum: that one asks the locale. */
static bool is_ascii_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool lrb_graph_id_valid(const char *graph_id) {
    size_t length = strlen(graph_id);
    if (length == 0 || length > GRAPH_ID_MAX || !is_ascii_alphanumeric(graph_id[0])) return false;
    for (size_t i = 1; i < length; i++) {
        if (!is_ascii_alphanumeric(graph_id[i]) && !strchr("_.-", graph_id[i])) return false;
    }
    return true;
}

int lrb_path_join(char out[LRB_PATH_MAX], const char *a, const char *b, lrb_err *err) {
    size_t a_length = strlen(a), b_length = strlen(b);
    size_t slash = a_length > 0 && a[a_length - 1] != '/';
    if (a_length >= LRB_PATH_MAX || b_length >= LRB_PATH_MAX || a_length + slash + b_length >= LRB_PATH_MAX) {
        return lrb_err_set(err, LRB_E_LIMIT, "join a path", b, "the path was longer than %d bytes", LRB_PATH_MAX - 1);
    }
    memmove(out, a, a_length); /* `out` may be `a` */
    if (slash) out[a_length] = '/';
    memcpy(out + a_length + slash, b, b_length + 1);
    return LRB_OK;
}

/* Bytes of the well-formed UTF-8 sequence at `s` (Unicode, table 3-7), 0 for none. */
static size_t utf8_length(const uint8_t *s, size_t left) {
    if (s[0] < 0x80) return 1;
    if (s[0] < 0xC2 || s[0] > 0xF4) return 0;
    size_t length = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    if (length > left) return 0;
    uint8_t low = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : 0x80;
    uint8_t high = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : 0xBF;
    if (s[1] < low || s[1] > high) return 0;
    for (size_t i = 2; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80) return 0;
    }
    return length;
}

static bool is_control(const uint8_t *s, size_t length) {
    return (length == 1 && (s[0] < 0x20 || s[0] == 0x7F)) || (length == 2 && s[0] == 0xC2 && s[1] < 0xA0);
}

void lrb_name_printable(char *out, size_t room, const char *name, size_t length) {
    const uint8_t *s = (const uint8_t *)name;
    if (room == 0) return;
    size_t used = 0;
    for (size_t i = 0; i < length;) {
        size_t step = utf8_length(s + i, length - i);
        bool replace = step == 0 || is_control(s + i, step);
        size_t needed = replace ? 1 : step;
        if (needed >= room - used) break;
        if (replace) out[used] = '?';
        else memcpy(out + used, s + i, step);
        used += needed;
        i += step ? step : 1;
    }
    out[used] = '\0';
}
