#include "repo/recipe.h"

#include <string.h>

#include "base/mem.h"
#include "base/wire.h"

enum { NODE_CUT_MODULUS = 64, NODE_MIN_ROWS = 2, NODE_MAX_BYTES = LRB_NODE_MAX_ROWS * LRB_ROW_BYTES };

/* ---- rows ---- */

void lrb_row_encode(const lrb_row *row, uint8_t out[LRB_ROW_BYTES]) {
    memset(out, 0, LRB_ROW_BYTES);
    memcpy(out, row->id.bytes, sizeof row->id.bytes);
    out[32] = (uint8_t)row->kind;
    lrb_put_u32(out + 36, row->count);
}

int lrb_row_decode(const uint8_t in[LRB_ROW_BYTES], lrb_row *row, const char *label, lrb_err *err) {
    static const uint8_t nothing[LRB_ROW_BYTES];
    unsigned kind = in[32];
    if (kind != LRB_CHUNK_NONE && !lrb_chunk_kind_usable(kind))
        return lrb_err_set(err, LRB_E_UNSUPPORTED, "read a recipe row", label,
                           "a row names a chunk of kind %s (%u), which needs a newer version",
                           lrb_chunk_kind_name(kind), kind);
    if (in[33] || in[34] || in[35] || (kind == LRB_CHUNK_NONE && memcmp(in, nothing, sizeof nothing) != 0))
        return lrb_err_set(err, LRB_E_DAMAGED, "read a recipe row", label, "a recipe row was malformed");
    memcpy(row->id.bytes, in, sizeof row->id.bytes);
    row->kind = (lrb_chunk_kind)kind;
    row->count = lrb_get_u32(in + 36);
    return LRB_OK;
}

/* ---- writing ---- */

struct lrb_recipe_builder {
    lrb_recipe_store store;
    void *arg;
    lrb_buf levels[LRB_RECIPE_MAX_DEPTH]; /* encoded rows of the open node of each level, data rows in level 0 */
    unsigned level_count;                 /* levels that ever had a row */
    bool broken;                          /* rows may have been lost between two levels */
};

int lrb_recipe_builder_new(lrb_recipe_store store, void *arg, lrb_recipe_builder **out, lrb_err *err) {
    lrb_recipe_builder *builder = lrb_alloc_zero(1, sizeof *builder);
    if (!builder) return lrb_err_nomem(err, "make a recipe");
    builder->store = store;
    builder->arg = arg;
    for (unsigned i = 0; i < LRB_RECIPE_MAX_DEPTH; i++) lrb_buf_init(&builder->levels[i], NODE_MAX_BYTES);
    *out = builder;
    return LRB_OK;
}

void lrb_recipe_builder_free(lrb_recipe_builder *builder) {
    if (!builder) return;
    for (unsigned i = 0; i < LRB_RECIPE_MAX_DEPTH; i++) lrb_buf_clear(&builder->levels[i]);
    lrb_free(builder);
}

static bool node_ends(const lrb_buf *level, const lrb_id *last) {
    size_t rows = level->length / LRB_ROW_BYTES;
    if (rows >= LRB_NODE_MAX_ROWS) return true;
    return rows >= NODE_MIN_ROWS && lrb_get_u64(last->bytes) % NODE_CUT_MODULUS == 0;
}

/* Stores the open node of a level and empties it; *row names the node. */
static int close_node(lrb_recipe_builder *builder, unsigned level, lrb_row *row, lrb_err *err) {
    lrb_buf *rows = &builder->levels[level];
    lrb_row node = {.kind = LRB_CHUNK_RECIPE, .count = (uint32_t)(rows->length / LRB_ROW_BYTES)};
    int code = builder->store(builder->arg, LRB_CHUNK_RECIPE, rows->data, rows->length, &node.id, err);
    if (code) return code;
    lrb_buf_empty(rows);
    *row = node;
    return LRB_OK;
}

/* Puts a row into a level; while that ends a node, the node's row goes into the level above. */
static int add_at(lrb_recipe_builder *builder, unsigned level, lrb_row row, lrb_err *err) {
    for (;; level++) {
        uint8_t encoded[LRB_ROW_BYTES];
        if (level >= LRB_RECIPE_MAX_DEPTH)
            return lrb_err_set(err, LRB_E_LIMIT, "make a recipe", "", "the stream had too many chunks for a recipe");
        lrb_row_encode(&row, encoded);
        int code = lrb_buf_append(&builder->levels[level], encoded, sizeof encoded, err);
        if (code) return code;
        if (level >= builder->level_count) builder->level_count = level + 1;
        if (!node_ends(&builder->levels[level], &row.id)) return LRB_OK;
        code = close_node(builder, level, &row, err);
        if (code) return code;
    }
}

static int refuse_broken(const lrb_recipe_builder *builder, lrb_err *err) {
    if (!builder->broken) return LRB_OK;
    return lrb_err_set(err, LRB_E_INTERNAL, "make a recipe", "", "a recipe was continued after it had failed");
}

int lrb_recipe_builder_add(lrb_recipe_builder *builder, const lrb_row *row, lrb_err *err) {
    if (!lrb_chunk_kind_usable(row->kind) || row->kind == LRB_CHUNK_RECIPE)
        return lrb_err_set(err, LRB_E_INVALID, "make a recipe", "", "a chunk of kind %s cannot stand in a stream",
                           lrb_chunk_kind_name(row->kind));
    int code = refuse_broken(builder, err);
    if (!code) code = add_at(builder, 0, *row, err);
    builder->broken = code != LRB_OK;
    return code;
}

/* Closes open nodes from the bottom until one row is left at the top. The top level always has a row: it only
 * came to be by one, and a node it closes makes a level above it. */
static int fold(lrb_recipe_builder *builder, lrb_row *root, lrb_err *err) {
    for (unsigned level = 0; level < builder->level_count; level++) {
        const lrb_buf *rows = &builder->levels[level];
        if (level + 1 == builder->level_count && rows->length == LRB_ROW_BYTES)
            return lrb_row_decode(rows->data, root, "", err);
        if (!rows->length) continue;
        lrb_row node;
        int code = close_node(builder, level, &node, err);
        if (!code) code = add_at(builder, level + 1, node, err);
        if (code) return code;
    }
    memset(root, 0, sizeof *root);
    return LRB_OK;
}

int lrb_recipe_builder_finish(lrb_recipe_builder *builder, lrb_row *root, lrb_err *err) {
    int code = refuse_broken(builder, err);
    if (code) return code;
    builder->broken = true;
    return fold(builder, root, err);
}

/* ---- reading ---- */

typedef struct frame {
    lrb_buf rows;
    size_t at;
    bool holds_nodes;
    lrb_id id; /* for messages */
} frame;

/* Frame 0 holds the root row alone, so the root is treated like any other row; frame n holds a node of depth n. */
struct lrb_recipe_walker {
    lrb_recipe_fetch fetch;
    void *arg;
    frame frames[LRB_RECIPE_MAX_DEPTH + 1];
    unsigned depth;      /* frames in use */
    unsigned data_depth; /* the depth of nodes that name data; 0: none seen yet */
    bool descend;        /* `node` waits to be entered */
    lrb_row node;
    uint64_t rows_left;
};

int lrb_recipe_walker_new(const lrb_row *root, lrb_recipe_fetch fetch, void *arg, lrb_recipe_walker **out,
                          lrb_err *err) {
    lrb_recipe_walker *walker = lrb_alloc_zero(1, sizeof *walker);
    if (!walker) return lrb_err_nomem(err, "read a recipe");
    walker->fetch = fetch;
    walker->arg = arg;
    walker->rows_left = UINT64_MAX;
    walker->frames[0].id = root->id;
    /* The ceiling is a chunk's, not a node's: a node that is too long is fetched and then refused as damaged. */
    for (unsigned i = 0; i <= LRB_RECIPE_MAX_DEPTH; i++) lrb_buf_init(&walker->frames[i].rows, LRB_CONTENT_MAX_BYTES);
    walker->depth = 1;
    uint8_t encoded[LRB_ROW_BYTES];
    lrb_row_encode(root, encoded);
    int code = LRB_OK;
    if (root->kind != LRB_CHUNK_NONE) code = lrb_buf_append(&walker->frames[0].rows, encoded, sizeof encoded, err);
    if (code)
        lrb_recipe_walker_free(walker);
    else
        *out = walker;
    return code;
}

void lrb_recipe_walker_free(lrb_recipe_walker *walker) {
    if (!walker) return;
    for (unsigned i = 0; i <= LRB_RECIPE_MAX_DEPTH; i++) lrb_buf_clear(&walker->frames[i].rows);
    lrb_free(walker);
}

void lrb_recipe_walker_limit(lrb_recipe_walker *walker, uint64_t max_rows) {
    walker->rows_left = max_rows;
}

void lrb_recipe_walker_skip(lrb_recipe_walker *walker) {
    walker->descend = false;
}

static int damaged(lrb_err *err, const lrb_id *id, const char *what) {
    char prefix[17];
    lrb_id_prefix(id, prefix);
    return lrb_err_set(err, LRB_E_DAMAGED, "read a recipe", prefix, "recipe chunk %s %s", prefix, what);
}

static bool names_a_node(const uint8_t *row) {
    return row[32] == LRB_CHUNK_RECIPE;
}

/* Why a node's rows cannot stand at `depth`, or NULL. */
static const char *node_complaint(const lrb_recipe_walker *walker, const frame *node, unsigned depth) {
    const uint8_t *rows = node->rows.data;
    if (node->rows.length != (size_t)walker->node.count * LRB_ROW_BYTES)
        return "did not have the rows it was named with";
    for (size_t at = 0; at < node->rows.length; at += LRB_ROW_BYTES) {
        if (rows[at + 32] == LRB_CHUNK_NONE) return "had a row that names nothing";
        if (names_a_node(rows + at) != node->holds_nodes) return "mixed rows of nodes with rows of data";
    }
    if (!walker->data_depth) return NULL;
    if (node->holds_nodes ? depth >= walker->data_depth : depth != walker->data_depth) return "stood at a wrong level";
    return NULL;
}

static int enter_node(lrb_recipe_walker *walker, lrb_err *err) {
    const lrb_row *row = &walker->node;
    if (!row->count || row->count > LRB_NODE_MAX_ROWS)
        return damaged(err, &row->id, "was named with a wrong number of rows");
    if (walker->depth > LRB_RECIPE_MAX_DEPTH) return damaged(err, &row->id, "lay deeper than a recipe can be");
    frame *node = &walker->frames[walker->depth];
    lrb_buf_empty(&node->rows);
    int code = walker->fetch(walker->arg, row, &node->rows, err);
    if (code) return code;
    node->id = row->id;
    node->at = 0;
    node->holds_nodes = node->rows.length >= LRB_ROW_BYTES && names_a_node(node->rows.data);
    const char *complaint = node_complaint(walker, node, walker->depth);
    if (complaint) {
        lrb_buf_clear(&node->rows);
        return damaged(err, &row->id, complaint);
    }
    if (!node->holds_nodes) walker->data_depth = walker->depth;
    walker->depth++;
    walker->descend = false;
    return LRB_OK;
}

static int take_row(lrb_recipe_walker *walker, frame *top, lrb_row *row, lrb_err *err) {
    char prefix[17];
    lrb_id_prefix(&top->id, prefix);
    int code = lrb_row_decode(top->rows.data + top->at, row, prefix, err);
    if (code) return code;
    if (row->kind != LRB_CHUNK_RECIPE) {
        if (!walker->rows_left)
            return damaged(err, &walker->frames[0].id, "named more chunks than its stream can have");
        walker->rows_left--;
    } else {
        walker->node = *row;
        walker->descend = true;
    }
    top->at += LRB_ROW_BYTES;
    return LRB_OK;
}

int lrb_recipe_walker_next(lrb_recipe_walker *walker, bool nodes, lrb_row *row, bool *done, lrb_err *err) {
    for (;;) {
        int code = walker->descend ? enter_node(walker, err) : LRB_OK;
        if (code) return code;
        while (walker->depth && walker->frames[walker->depth - 1].at == walker->frames[walker->depth - 1].rows.length)
            walker->depth--;
        *done = !walker->depth;
        if (*done) return LRB_OK;
        code = take_row(walker, &walker->frames[walker->depth - 1], row, err);
        if (code || nodes || row->kind != LRB_CHUNK_RECIPE) return code;
    }
}
