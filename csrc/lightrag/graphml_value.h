/* The values of GraphML's attributes, as networkx reads them: by the type their key declares, with the white space around
 * them. Nothing of the host's locale takes part. No state, any thread. */
#ifndef LRB_LIGHTRAG_GRAPHML_VALUE_H
#define LRB_LIGHTRAG_GRAPHML_VALUE_H

#include <stdbool.h>

typedef enum lrb_graphml_type { LRB_GRAPHML_STRING, LRB_GRAPHML_INTEGER, LRB_GRAPHML_REAL, LRB_GRAPHML_BOOLEAN } lrb_graphml_type;

/* The type of an attr.type; false for one networkx does not know. */
bool lrb_graphml_type_named(const char *name, lrb_graphml_type *type);
bool lrb_graphml_is_of_type(const char *text, lrb_graphml_type type);
/* Whether a text of its type is a number below 1e308, so that neither it nor a sum of some is infinite. */
bool lrb_graphml_is_finite(const char *text, lrb_graphml_type type);

#endif
