/* GraphML: the same objects and the same answer in whatever pieces the bytes come. */
#include "codec/siphash.h"
#include "fuzz.h"
#include "lightrag/graphml.h"

typedef struct seen {
    uint64_t objects, digest;
} seen;

static void mix(seen *s, const char *text) {
    static const lrb_hash_key key = {1, 2};
    s->digest = s->digest * 31 + lrb_siphash(&key, text, strlen(text)).low;
}

static int look(void *arg, const lrb_graph_object *o, lrb_err *err) {
    (void)err;
    seen *s = arg;
    s->objects++;
    mix(s, o->id);
    mix(s, o->target);
    mix(s, o->entity_id);
    mix(s, o->source_id);
    s->digest += o->attributes + ((uint64_t)o->is_edge << 32);
    MUST(o->is_edge || (!*o->target && !o->directed));
    return LRB_OK;
}

static int read_all(const uint8_t *bytes, size_t size, size_t step, seen *s) {
    lrb_graphml *g;
    lrb_err err;
    bool directed;
    int code = LRB_OK;
    *s = (seen){0, 0};
    MUST_OK(lrb_graphml_new(look, s, &g, &err));
    for (size_t at = 0; !code && at < size; at += step)
        code = lrb_graphml_feed(g, bytes + at, size - at < step ? size - at : step, &err);
    if (!code) code = lrb_graphml_finish(g, &directed, &err);
    MUST(!code || (code == LRB_E_INVALID && err.message[0]));
    lrb_graphml_free(g);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *copy = fuzz_copy(data, size);
    seen whole, pieces;
    int code = read_all(copy, size, size ? size : 1, &whole);
    MUST(read_all(copy, size, 5, &pieces) == code);
    MUST(code || (whole.objects == pieces.objects && whole.digest == pieces.digest));
    lrb_free(copy);
    return 0;
}
