#include "lightrag/graphml.h"

#include <expat.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "lightrag/graphml_value.h"

enum { FEED_MAX_BYTES = 256 << 10, SHORT_VALUE_BYTES = 512 };
static const char NAMESPACE[] = "http://graphml.graphdrawing.org/xmlns\n";

typedef struct declared { /* a <key> */
    char *id;
    unsigned attribute; /* 0: none that matters */
    lrb_graphml_type type;
} declared;

struct lrb_graphml {
    XML_Parser parser;
    lrb_graphml_object object;
    void *arg;
    declared *keys;
    size_t key_count, key_room;
    unsigned depth;
    unsigned graphs;
    bool directed;
    uint64_t fed;
    lrb_graph_object current;
    lrb_buf id, target, entity_id, source_id, value; /* of the current object; value: of the current data */
    const declared *data;     /* the key of the open <data> of a node or edge */
    bool value_cut;           /* more came than is kept */
    int code;                 /* of the first failure */
    lrb_err *err;             /* of the call under way */
};

/* ---- failing ---- */

static void stop(lrb_graphml *g, int code) {
    g->code = code;
    XML_StopParser(g->parser, XML_FALSE);
}

static void refuse(lrb_graphml *g, const char *what) {
    if (g->code) return;
    XML_Index at = XML_GetCurrentByteIndex(g->parser);
    stop(g, lrb_err_set(g->err, LRB_E_INVALID, "parse", "", "byte %lld: %s", (long long)at, what));
}

static bool keep(lrb_graphml *g, lrb_buf *into, const char *text, size_t count) {
    if (into->length + count > LRB_GRAPHML_MAX_VALUE_BYTES) {
        refuse(g, "a value of more than 8 MiB");
        return false;
    }
    int code = lrb_buf_append(into, text, count, g->err);
    if (code) stop(g, code);
    return !code;
}

static bool keep_text(lrb_graphml *g, lrb_buf *into, const char *text) {
    lrb_buf_empty(into);
    return keep(g, into, text, strlen(text) + 1);
}

static const char *attribute(const char **attributes, const char *name) {
    for (; *attributes; attributes += 2)
        if (!strcmp(attributes[0], name)) return attributes[1];
    return NULL;
}

/* ---- keys ---- */

static unsigned attribute_named(const char *name) {
    static const struct {
        const char *name;
        unsigned attribute;
    } known[] = {{"entity_id", LRB_GRAPH_ENTITY_ID},     {"entity_type", LRB_GRAPH_ENTITY_TYPE},
                 {"description", LRB_GRAPH_DESCRIPTION}, {"source_id", LRB_GRAPH_SOURCE_ID},
                 {"file_path", LRB_GRAPH_FILE_PATH},     {"created_at", LRB_GRAPH_CREATED_AT},
                 {"truncate", LRB_GRAPH_TRUNCATE},       {"weight", LRB_GRAPH_WEIGHT},
                 {"keywords", LRB_GRAPH_KEYWORDS}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(name, known[i].name)) return known[i].attribute;
    return 0;
}

static declared *key_of(const lrb_graphml *g, const char *id) {
    for (size_t i = 0; i < g->key_count; i++)
        if (!strcmp(g->keys[i].id, id)) return &g->keys[i];
    return NULL;
}

static declared *add_key(lrb_graphml *g, const char *id) {
    if (g->key_count == LRB_GRAPHML_MAX_KEYS) {
        refuse(g, "more than 1024 keys");
        return NULL;
    }
    if (g->key_count == g->key_room) {
        size_t room = g->key_room ? g->key_room * 2 : 16;
        declared *more = lrb_resize_array(g->keys, room, sizeof *more);
        if (more) {
            g->keys = more;
            g->key_room = room;
        }
    }
    char *copy = g->key_count < g->key_room ? lrb_copy_string(id) : NULL;
    if (!copy) {
        stop(g, lrb_err_nomem(g->err, "read GraphML"));
        return NULL;
    }
    g->keys[g->key_count] = (declared){.id = copy};
    return &g->keys[g->key_count++];
}

static void begin_key(lrb_graphml *g, const char **attributes) {
    const char *id = attribute(attributes, "id"), *name = attribute(attributes, "attr.name");
    const char *type = attribute(attributes, "attr.type");
    lrb_graphml_type meant = LRB_GRAPHML_STRING; /* what networkx takes for granted */
    if (!id) {
        refuse(g, "a key without id");
        return;
    }
    if (type && !lrb_graphml_type_named(type, &meant)) {
        refuse(g, "a key of a type that is unknown");
        return;
    }
    declared *key = key_of(g, id);
    if (!key) key = add_key(g, id);
    if (!key) return;
    key->attribute = name ? attribute_named(name) : 0;
    key->type = meant;
}

/* ---- values ---- */

static void begin_data(lrb_graphml *g, const char **attributes) {
    const char *id = attribute(attributes, "key");
    g->data = id ? key_of(g, id) : NULL;
    if (!g->data) {
        refuse(g, "an attribute whose key is not declared");
        return;
    }
    lrb_buf_empty(&g->value);
    g->value_cut = false;
    g->current.attributes |= g->data->attribute;
}

/* Sources and names are kept whole; of all other values the beginning tells enough. */
static void take_characters(void *arg, const char *text, int count) {
    lrb_graphml *g = arg;
    if (!g->data || g->code) return;
    size_t length = (size_t)count;
    if (!(g->data->attribute & (LRB_GRAPH_ENTITY_ID | LRB_GRAPH_SOURCE_ID))) {
        size_t room = SHORT_VALUE_BYTES - g->value.length;
        g->value_cut |= length > room;
        if (length > room) length = room;
    }
    if (length) keep(g, &g->value, text, length);
}

static void end_data(lrb_graphml *g) {
    const declared *key = g->data;
    g->data = NULL;
    bool empty = !g->value.length;
    if (!keep(g, &g->value, "", 1)) return;
    const char *text = (const char *)g->value.data;
    if (!empty && !lrb_graphml_is_of_type(text, key->type)) {
        refuse(g, "a value that is not of its key's type");
        return;
    }
    lrb_graph_object *o = &g->current;
    bool unknown = !g->value_cut && !strcmp(text, "UNKNOWN");
    switch (key->attribute) {
    case LRB_GRAPH_ENTITY_ID: keep_text(g, &g->entity_id, text); break;
    case LRB_GRAPH_SOURCE_ID: keep_text(g, &g->source_id, text); break;
    case LRB_GRAPH_ENTITY_TYPE: o->type_unknown = unknown; break;
    case LRB_GRAPH_DESCRIPTION: o->description_unknown = unknown; break;
    case LRB_GRAPH_TRUNCATE: o->truncated = !empty; break;
    case LRB_GRAPH_WEIGHT: o->weight_is_number = lrb_graphml_is_finite(text, key->type); break;
    default: break;
    }
}

/* ---- objects ---- */

static void begin_object(lrb_graphml *g, bool edge, const char **attributes) {
    const char *id = attribute(attributes, edge ? "source" : "id"), *target = attribute(attributes, "target");
    const char *directed = attribute(attributes, "directed");
    if (!id || (edge && !target)) {
        refuse(g, edge ? "an edge without source or target" : "a node without id");
        return;
    }
    g->current = (lrb_graph_object){.is_edge = edge, .directed = edge && directed && !strcmp(directed, "true")};
    keep_text(g, &g->id, id);
    keep_text(g, &g->target, edge ? target : "");
    keep_text(g, &g->entity_id, "");
    keep_text(g, &g->source_id, "");
}

static void end_object(lrb_graphml *g) {
    lrb_graph_object *o = &g->current;
    o->id = (const char *)g->id.data;
    o->target = (const char *)g->target.data;
    o->entity_id = (const char *)g->entity_id.data;
    o->source_id = (const char *)g->source_id.data;
    int code = g->object(g->arg, o, g->err);
    if (code) stop(g, code);
}

static void begin_graph(lrb_graphml *g, const char **attributes) {
    const char *edges = attribute(attributes, "edgedefault");
    if (g->graphs++) refuse(g, "more than one graph, of which LightRAG reads one");
    g->directed = edges && !strcmp(edges, "directed");
}

/* ---- elements ---- */

/* The name within GraphML; "" for an element of something else. Without any namespace networkx takes it for GraphML. */
static const char *local(const char *name) {
    size_t length = sizeof NAMESPACE - 1;
    if (!strncmp(name, NAMESPACE, length)) return name + length;
    return strchr(name, '\n') ? "" : name;
}

static void begin_in_graph(lrb_graphml *g, const char *name, const char **attributes) {
    if (!strcmp(name, "node")) begin_object(g, false, attributes);
    else if (!strcmp(name, "edge")) begin_object(g, true, attributes);
    else if (!strcmp(name, "hyperedge")) refuse(g, "a hyperedge");
}

static void begin_element(void *arg, const char *full_name, const char **attributes) {
    lrb_graphml *g = arg;
    if (g->code) return;
    const char *name = local(full_name);
    unsigned depth = g->depth++;
    if (depth == LRB_GRAPHML_MAX_DEPTH) refuse(g, "elements nested more than 100 deep");
    else if (depth == 0 && strcmp(name, "graphml")) refuse(g, "no GraphML but some other XML");
    else if (depth == 1 && !strcmp(name, "key")) begin_key(g, attributes);
    else if (depth == 1 && !strcmp(name, "graph")) begin_graph(g, attributes);
    else if (depth == 2 && g->graphs) begin_in_graph(g, name, attributes);
    else if (depth == 3 && g->id.length && !strcmp(name, "data")) begin_data(g, attributes);
}

static void end_element(void *arg, const char *full_name) {
    (void)full_name;
    lrb_graphml *g = arg;
    if (g->code) return;
    unsigned depth = --g->depth;
    if (depth == 3 && g->data) end_data(g);
    if (depth == 2 && g->id.length) {
        end_object(g);
        lrb_buf_empty(&g->id); /* no object is open any more */
    }
}

static void declare_entity(void *arg, const XML_Char *name, int is_parameter, const XML_Char *value, int value_length,
                           const XML_Char *base, const XML_Char *system, const XML_Char *public, const XML_Char *notation) {
    (void)name, (void)is_parameter, (void)value, (void)value_length, (void)base, (void)system, (void)public, (void)notation;
    refuse(arg, "an entity declaration, which is refused");
}

/* ---- the reader ---- */

static void *resize(void *old, size_t size) {
    return lrb_resize_array(old, size, 1);
}

int lrb_graphml_new(lrb_graphml_object object, void *arg, lrb_graphml **out, lrb_err *err) {
    static const XML_Memory_Handling_Suite memory = {lrb_alloc, resize, lrb_free};
    lrb_graphml *g = lrb_alloc_zero(1, sizeof *g);
    if (!g) return lrb_err_nomem(err, "read GraphML");
    lrb_buf *buffers[] = {&g->id, &g->target, &g->entity_id, &g->source_id, &g->value};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) lrb_buf_init(buffers[i], LRB_GRAPHML_MAX_VALUE_BYTES + 1);
    g->object = object;
    g->arg = arg;
    g->parser = XML_ParserCreate_MM(NULL, &memory, "\n");
    if (!g->parser) {
        lrb_graphml_free(g);
        return lrb_err_nomem(err, "read GraphML");
    }
    XML_SetUserData(g->parser, g);
    XML_SetElementHandler(g->parser, begin_element, end_element);
    XML_SetCharacterDataHandler(g->parser, take_characters);
    XML_SetEntityDeclHandler(g->parser, declare_entity);
    *out = g;
    return LRB_OK;
}

void lrb_graphml_free(lrb_graphml *g) {
    if (!g) return;
    lrb_buf *buffers[] = {&g->id, &g->target, &g->entity_id, &g->source_id, &g->value};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) lrb_buf_clear(buffers[i]);
    for (size_t i = 0; i < g->key_count; i++) lrb_free(g->keys[i].id);
    lrb_free(g->keys);
    if (g->parser) XML_ParserFree(g->parser);
    lrb_free(g);
}

static int parse(lrb_graphml *g, const char *bytes, size_t count, bool last, lrb_err *err) {
    g->err = err;
    enum XML_Status status = XML_Parse(g->parser, bytes, (int)count, last);
    if (g->code) return g->code;
    if (status == XML_STATUS_OK) return LRB_OK;
    enum XML_Error reason = XML_GetErrorCode(g->parser);
    if (reason == XML_ERROR_NO_MEMORY) g->code = lrb_err_nomem(err, "read GraphML");
    else refuse(g, XML_ErrorString(reason));
    return g->code;
}

int lrb_graphml_feed(lrb_graphml *g, const void *bytes, size_t count, lrb_err *err) {
    const char *at = bytes;
    while (count) {
        size_t part = count < FEED_MAX_BYTES ? count : FEED_MAX_BYTES;
        int code = parse(g, at, part, false, err);
        if (code) return code;
        at += part;
        count -= part;
        g->fed += part;
        XML_Index seen = XML_GetCurrentByteIndex(g->parser); /* what lies between is a token expat keeps */
        if (seen >= 0 && g->fed - (uint64_t)seen > LRB_GRAPHML_MAX_TAG_BYTES + FEED_MAX_BYTES) {
            refuse(g, "a tag of more than 1 MiB");
            return g->code;
        }
    }
    return LRB_OK;
}

int lrb_graphml_finish(lrb_graphml *g, bool *directed, lrb_err *err) {
    int code = parse(g, "", 0, true, err);
    if (!code && !g->graphs) refuse(g, "no graph in it");
    *directed = g->directed;
    return g->code;
}
