#include "lightrag/graphml_value.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

bool lrb_graphml_type_named(const char *name, lrb_graphml_type *type) {
    static const struct {
        const char *name;
        lrb_graphml_type type;
    } known[] = {{"string", LRB_GRAPHML_STRING},   {"int", LRB_GRAPHML_INTEGER}, {"long", LRB_GRAPHML_INTEGER},
                 {"integer", LRB_GRAPHML_INTEGER}, {"float", LRB_GRAPHML_REAL},  {"double", LRB_GRAPHML_REAL},
                 {"real", LRB_GRAPHML_REAL},       {"boolean", LRB_GRAPHML_BOOLEAN}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(name, known[i].name)) {
            *type = known[i].type;
            return true;
        }
    return false;
}

/* `text` without the white space around it. */
static const char *trimmed(const char *text, size_t *length) {
    static const char space[] = " \t\r\n\f\v";
    text += strspn(text, space);
    *length = strlen(text);
    while (*length && strchr(space, text[*length - 1])) --*length;
    return text;
}

static bool is_integer(const char *text) {
    size_t length, at;
    text = trimmed(text, &length);
    at = *text == '-' || *text == '+';
    return length > at && strspn(text + at, "0123456789") == length - at;
}

/* Not by strtod, whose decimal point depends on the host's locale. */
static bool is_real(const char *text) {
    static const char digits[] = "0123456789";
    size_t length;
    text = trimmed(text, &length);
    const char *at = text, *end = text + length;
    if (*at == '-' || *at == '+') at++;
    size_t named = (size_t)(end - at);
    if ((named == 3 && (!strncasecmp(at, "nan", 3) || !strncasecmp(at, "inf", 3))) ||
        (named == 8 && !strncasecmp(at, "infinity", 8)))
        return true;
    size_t whole = strspn(at, digits), part = 0;
    at += whole;
    if (*at == '.') part = strspn(++at, digits);
    at += part;
    if (!whole && !part) return false;
    if (*at == 'e' || *at == 'E') {
        at += 1 + (at[1] == '-' || at[1] == '+');
        size_t exponent = strspn(at, digits);
        if (!exponent) return false;
        at += exponent;
    }
    return at == end;
}

static bool is_boolean(const char *text) {
    static const char *const known[] = {"true", "false", "True", "False", "TRUE", "FALSE", "0", "1"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(text, known[i])) return true;
    return false;
}

bool lrb_graphml_is_of_type(const char *text, lrb_graphml_type type) {
    switch (type) {
    case LRB_GRAPHML_INTEGER: return is_integer(text);
    case LRB_GRAPHML_REAL: return is_real(text);
    case LRB_GRAPHML_BOOLEAN: return is_boolean(text);
    case LRB_GRAPHML_STRING: return true;
    }
    return true;
}


/* Of the exponent of a number, which ends there; more than 9999 either way changes nothing. */
static long exponent_of(const char *at) {
    bool less = *at == '-';
    long found = 0;
    if (*at == '-' || *at == '+') at++;
    for (; *at >= '0' && *at <= '9'; at++)
        if (found < 9999) found = found * 10 + (*at - '0');
    return less ? -found : found;
}

bool lrb_graphml_is_finite(const char *text, lrb_graphml_type type) {
    static const char digits[] = "0123456789";
    size_t length;
    if (type != LRB_GRAPHML_INTEGER && type != LRB_GRAPHML_REAL) return false;
    const char *at = trimmed(text, &length);
    if (*at == '-' || *at == '+') at++;
    if ((*at < '0' || *at > '9') && *at != '.') return false; /* a name, or nothing */
    at += strspn(at, "0");
    size_t whole = strspn(at, digits), part = 0;
    long power = (long)whole; /* the number is below ten to it */
    at += whole;
    if (*at == '.') part = strspn(++at, digits);
    if (!whole) { /* the first digits behind the point may be zeros, too */
        size_t zeros = strspn(at, "0");
        if (zeros == part) return true;
        power = -(long)zeros;
    }
    at += part;
    if (*at == 'e' || *at == 'E') power += exponent_of(at + 1);
    return power <= 308;
}
