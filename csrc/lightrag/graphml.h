/* A GraphML file, read as networkx reads it for LightRAG: one node or edge after the other, in fixed memory.
 *
 * Bytes are pushed in; for each node and each edge `object` is called once its attributes are known. The parser is
 * expat. Nobody's file can make it do more than read: entity declarations are refused (they are how a few lines of XML
 * become gigabytes, and no GraphML has any), nothing outside the file is loaded, elements nest 100 deep at most, a
 * tag has 1 MiB at most, and a value that is kept 8 MiB.
 *
 * INVALID means that LightRAG could not load the file: no well-formed XML, no GraphML, an attribute of an undeclared
 * key, a value that is not of its key's type. Any other failure is one of memory, or what `object` returned. After a
 * failure a reader can only be freed. One thread at a time.
 */
#ifndef LRB_LIGHTRAG_GRAPHML_H
#define LRB_LIGHTRAG_GRAPHML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { LRB_GRAPHML_MAX_DEPTH = 100, LRB_GRAPHML_MAX_TAG_BYTES = 1 << 20,
       LRB_GRAPHML_MAX_VALUE_BYTES = 8 << 20, LRB_GRAPHML_MAX_KEYS = 1024 };

typedef enum lrb_graph_attribute { /* bits */
    LRB_GRAPH_ENTITY_ID = 1 << 0,
    LRB_GRAPH_ENTITY_TYPE = 1 << 1,
    LRB_GRAPH_DESCRIPTION = 1 << 2,
    LRB_GRAPH_SOURCE_ID = 1 << 3,
    LRB_GRAPH_FILE_PATH = 1 << 4,
    LRB_GRAPH_CREATED_AT = 1 << 5,
    LRB_GRAPH_TRUNCATE = 1 << 6,
    LRB_GRAPH_WEIGHT = 1 << 7,
    LRB_GRAPH_KEYWORDS = 1 << 8
} lrb_graph_attribute;

typedef struct lrb_graph_object { /* its texts live until `object` returns */
    bool is_edge, directed;      /* directed: of an edge that says so itself */
    const char *id;              /* of a node; of an edge its source */
    const char *target;          /* of an edge */
    unsigned attributes;         /* those that are there, also without a value */
    const char *entity_id, *source_id; /* "" where missing */
    bool weight_is_number;       /* by its key's type, and finite */
    bool type_unknown, description_unknown;     /* the value is UNKNOWN */
    bool truncated;              /* truncate has a value: the list of sources was cut */
} lrb_graph_object;

typedef int (*lrb_graphml_object)(void *arg, const lrb_graph_object *object, lrb_err *err);

typedef struct lrb_graphml lrb_graphml;

int lrb_graphml_new(lrb_graphml_object object, void *arg, lrb_graphml **out, lrb_err *err);
void lrb_graphml_free(lrb_graphml *graphml); /* NULL: nothing */
int lrb_graphml_feed(lrb_graphml *graphml, const void *bytes, size_t count, lrb_err *err);
/* After the last byte; *directed is what the graph says of its edges. */
int lrb_graphml_finish(lrb_graphml *graphml, bool *directed, lrb_err *err);

#endif
