#include "engine/node.h"

#include "base/mem.h"

bool lrb_node_is(lrb_chunk_kind kind) {
    return kind == LRB_CHUNK_RECIPE || kind == LRB_CHUNK_BODY;
}

int lrb_node_malformed(const lrb_row *node, const char *what, lrb_err *err) {
    char hex[2 * LRB_DIGEST_BYTES + 1];
    lrb_hex(node->id.bytes, sizeof node->id.bytes, hex);
    return lrb_err_set(err, LRB_E_DAMAGED, "read", hex, "%s chunk %.12s %s", lrb_chunk_kind_name(node->kind), hex,
                       what);
}

static int recipe_rows(const lrb_row *node, const lrb_buf *content, lrb_row *rows, size_t *count, lrb_err *err) {
    *count = content->length / LRB_ROW_BYTES;
    for (size_t i = 0; i < *count; i++) {
        int code = lrb_row_decode(content->data + i * LRB_ROW_BYTES, &rows[i], "recipe", err);
        if (code) return code;
        if ((rows[i].kind == LRB_CHUNK_RECIPE) != (rows[0].kind == LRB_CHUNK_RECIPE))
            return lrb_node_malformed(node, "mixes levels", err);
    }
    return LRB_OK;
}

/* The roots of the items of a body chunk. Which item is which does not matter here; body.h reads them for that. */
static int body_rows(const lrb_row *node, const lrb_buf *content, lrb_row *rows, size_t *count, lrb_err *err) {
    char label[2 * LRB_DIGEST_BYTES + 1];
    lrb_hex(node->id.bytes, sizeof node->id.bytes, label);
    lrb_view view = lrb_view_of(content->data, content->length);
    lrb_body_record record;
    for (*count = 0; view.left;) {
        int code = lrb_record_parse(&view, label, &record, err);
        if (code) return code;
        bool has_root = record.type == LRB_BODY_ITEM && record.item.root.kind != LRB_CHUNK_NONE;
        if (has_root) rows[(*count)++] = record.item.root;
    }
    return LRB_OK;
}

int lrb_node_load(lrb_repo *repo, lrb_coder *coder, const lrb_row *node, lrb_buf *content, lrb_row **out,
                  size_t *count, lrb_err *err) {
    int code = lrb_repo_read(repo, &node->id, node->kind, true, coder, content, err);
    if (code) return code;
    bool recipe = node->kind == LRB_CHUNK_RECIPE;
    size_t length = content->length, room = length / LRB_ROW_BYTES;
    if (recipe && (length % LRB_ROW_BYTES || !room || room > LRB_NODE_MAX_ROWS))
        return lrb_node_malformed(node, "has no possible length", err);
    if (node->count != (recipe ? room : length))
        return lrb_node_malformed(node, "has another length than the row that names it says", err);
    lrb_row *rows = lrb_alloc((room + 1) * sizeof *rows); /* an item record is longer than its root */
    if (!rows) return lrb_err_nomem(err, "read a node");
    code = (recipe ? recipe_rows : body_rows)(node, content, rows, count, err);
    if (code) lrb_free(rows);
    else *out = rows;
    return code;
}
