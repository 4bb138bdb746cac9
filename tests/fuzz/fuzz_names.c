/* Names: the gate every stored name passes, against a second opinion, and the form that is shown in messages. */
#include "base/path.h"
#include "fuzz.h"

/* The rule of path.h once more, by splitting. */
static bool valid_by_splitting(const char *name, size_t length) {
    size_t start = 0;
    if (!length || length > LRB_NAME_MAX) return false;
    for (size_t i = 0; i < length; i++)
        if (!name[i]) return false;
    for (;;) {
        const char *slash = memchr(name + start, '/', length - start);
        size_t part = slash ? (size_t)(slash - name) - start : length - start;
        bool dots = (part == 1 && name[start] == '.') || (part == 2 && !memcmp(name + start, "..", 2));
        if (!part || part > 255 || dots) return false;
        if (!slash) return true;
        start += part + 1;
    }
}

/* Whether a message may show these bytes: each byte is printable ASCII or part of a sequence of the right form. */
static bool showable(const uint8_t *text, size_t length) {
    size_t follow = 0;
    for (size_t i = 0; i < length; i++) {
        if (follow) {
            if ((text[i] & 0xC0) != 0x80) return false;
            follow--;
        } else if (text[i] < 0x80) {
            if (text[i] < 0x20 || text[i] == 0x7F) return false;
        } else if (text[i] >= 0xC2 && text[i] <= 0xF4) {
            follow = text[i] < 0xE0 ? 1 : text[i] < 0xF0 ? 2 : 3;
        } else {
            return false;
        }
    }
    return !follow;
}

static void show(const char *name, size_t length, size_t room) {
    char *shown = lrb_alloc(room), again[512];
    MUST(shown);
    lrb_name_printable(shown, room, name, length);
    size_t shown_length = strnlen(shown, room);
    MUST(shown_length < room && shown_length <= length);
    MUST(showable((const uint8_t *)shown, shown_length));
    lrb_name_printable(again, sizeof again, shown, shown_length);
    MUST(!strcmp(shown, again)); /* what may be shown is shown as it is */
    lrb_free(shown);
}

static void join(const char *name) {
    char out[LRB_PATH_MAX];
    lrb_err err;
    int code = lrb_path_join(out, "some/directory", name, &err);
    MUST(code == (strlen(name) + 15 < LRB_PATH_MAX ? LRB_OK : LRB_E_LIMIT));
    if (!code) MUST(!strncmp(out, "some/directory/", 15) && !strcmp(out + 15, name));
}

/* input: how many bytes a message has for the name, then the name */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size) return 0;
    const char *name = (const char *)data + 1;
    size_t length = size - 1;
    bool valid = lrb_name_valid(name, length);
    MUST(valid == valid_by_splitting(name, length));
    show(name, length, 1 + (size_t)data[0]);

    char *text = lrb_alloc(length + 1);
    MUST(text);
    memcpy(text, name, length);
    text[length] = '\0';
    bool graph = lrb_graph_id_valid(text);
    if (graph) MUST(strlen(text) <= 128 && lrb_name_valid(text, strlen(text)) && !strchr(text, '/'));
    join(text);
    lrb_free(text);
    return 0;
}
