#include "engine/node.h"

#include "base/mem.h"
#include "repo/sequence.h"

bool lrb_node_is(lrb_chunk_kind kind) {
    return kind == LRB_CHUNK_RECIPE || kind == LRB_CHUNK_BODY;
}

int lrb_node_malformed(const lrb_row *node, const char *what, lrb_err *err) {
    char hex[2 * LRB_DIGEST_BYTES + 1];
    lrb_hex(node->id.bytes, sizeof node->id.bytes, hex);
    return lrb_err_set(err, LRB_E_DAMAGED, "read", hex, "%s chunk %.12s %s", lrb_chunk_kind_name(node->kind), hex,
                       what);
}

static int recipe_rows(const lrb_row *row, const lrb_buf *content, lrb_node *node, lrb_err *err) {
    node->count = content->length / LRB_ROW_BYTES;
    for (size_t i = 0; i < node->count; i++) {
        int code = lrb_row_decode(content->data + i * LRB_ROW_BYTES, &node->rows[i], "recipe", err);
        if (code) return code;
        if ((node->rows[i].kind == LRB_CHUNK_RECIPE) != (node->rows[0].kind == LRB_CHUNK_RECIPE))
            return lrb_node_malformed(row, "mixes levels", err);
    }
    return LRB_OK;
}

static lrb_tally tally_of(const lrb_body_record *record) {
    static const uint8_t parts[] = {[LRB_BODY_FACTS] = LRB_PART_FACTS, [LRB_BODY_ITEM] = LRB_PART_ITEM, [LRB_BODY_SKIPPED] = LRB_PART_SKIPPED};
    bool item = record->type == LRB_BODY_ITEM;
    return (lrb_tally){.first = parts[record->type], .last = parts[record->type], .items = item, .bytes = item ? record->item.size_bytes : 0};
}

/* The roots of the items of a body chunk. Which item is which does not matter here; body.h reads them for that. */
static int body_rows(const lrb_row *row, const lrb_buf *content, lrb_node *node, lrb_err *err) {
    char label[2 * LRB_DIGEST_BYTES + 1];
    lrb_hex(row->id.bytes, sizeof row->id.bytes, label);
    lrb_view view = lrb_view_of(content->data, content->length);
    lrb_body_record record;
    lrb_sequence sequence = {0};
    while (view.left) {
        int code = lrb_record_parse(&view, label, &record, err);
        if (code) return code;
        lrb_tally tally = tally_of(&record);
        if (sequence.last && lrb_sequence_complaint(&sequence, &record)) tally.flaw = LRB_FLAW_ORDER;
        lrb_sequence_note(&sequence, &record);
        lrb_tally_join(&node->tally, &tally);
        if (record.type != LRB_BODY_ITEM || record.item.root.kind == LRB_CHUNK_NONE) continue;
        node->rows[node->count] = record.item.root;
        node->sizes[node->count++] = record.item.size_bytes;
    }
    if (!node->tally.first) node->tally = (lrb_tally){.first = LRB_PART_OTHER, .last = LRB_PART_OTHER, .flaw = LRB_FLAW_LENGTH};
    return LRB_OK;
}

void lrb_node_clear(lrb_node *node) {
    lrb_free(node->rows);
    lrb_free(node->sizes);
    *node = (lrb_node){0};
}

int lrb_node_load(lrb_repo *repo, lrb_coder *coder, const lrb_row *row, lrb_buf *content, lrb_node *node, lrb_err *err) {
    *node = (lrb_node){0};
    int code = lrb_repo_read(repo, &row->id, row->kind, true, coder, content, err);
    if (code) return code;
    bool recipe = row->kind == LRB_CHUNK_RECIPE;
    size_t length = content->length, room = length / LRB_ROW_BYTES;
    if (recipe && (length % LRB_ROW_BYTES || !room || room > LRB_NODE_MAX_ROWS))
        return lrb_node_malformed(row, "has no possible length", err);
    if (row->count != (recipe ? room : length))
        return lrb_node_malformed(row, "has another length than the row that names it says", err);
    node->rows = lrb_alloc((room + 1) * sizeof *node->rows); /* an item record is longer than its root */
    node->sizes = recipe ? NULL : lrb_alloc((room + 1) * sizeof *node->sizes);
    code = node->rows && (recipe || node->sizes) ? (recipe ? recipe_rows : body_rows)(row, content, node, err) : lrb_err_nomem(err, "read a node");
    if (code) lrb_node_clear(node);
    return code;
}
