/* The rows that recipe nodes and body chunks name, and everything that is neither. */
#include "engine/node.h"

#include "check.h"
#include "jobs.h"

static int load(shelf *s, const lrb_row *node, lrb_row *rows, size_t room, size_t *count, lrb_err *err) {
    lrb_node loaded;
    int code = lrb_node_load(s->repo, s->f.worker.coder, node, &s->f.worker.content, &loaded, err);
    if (code) return code;
    *count = loaded.count;
    for (size_t i = 0; i < *count && i < room; i++) rows[i] = loaded.rows[i];
    lrb_node_clear(&loaded);
    return LRB_OK;
}

static bool same_row(const lrb_row *a, const lrb_row *b) {
    return !lrb_id_compare(&a->id, &b->id) && a->kind == b->kind && a->count == b->count;
}

TEST(a_recipe_names_its_rows_in_order) {
    shelf s;
    lrb_err err;
    bundle b;
    lrb_row rows[3];
    size_t count;
    shelf_open(&s);
    bundle_begin(&b, &s);
    lrb_row x = bundle_add(&b, LRB_CHUNK_RAW, "x", 1), y = bundle_add(&b, LRB_CHUNK_RAW, "yy", 2);
    lrb_row node = bundle_recipe(&b, (lrb_row[]){x, y, x}, 3);
    bundle_end(&b, true);
    CHECK_OK(load(&s, &node, rows, 3, &count, &err));
    CHECK(count == 3 && same_row(&rows[0], &x) && same_row(&rows[1], &y) && same_row(&rows[2], &x));
    CHECK(lrb_node_is(LRB_CHUNK_RECIPE) && lrb_node_is(LRB_CHUNK_BODY) && !lrb_node_is(LRB_CHUNK_RAW));
    shelf_close(&s);
}

static lrb_body_item file_item(const char *name, lrb_row root) {
    lrb_body_item item = {.name = name, .name_length = strlen(name), .type = LRB_FILE_REGULAR, .mode = 0644};
    item.root = root;
    item.size_bytes = root.kind == LRB_CHUNK_NONE ? 0 : root.count;
    return item;
}

TEST(a_body_names_the_roots_of_its_items) {
    shelf s;
    lrb_err err;
    bundle b;
    lrb_buf content;
    lrb_row rows[2];
    size_t count;
    shelf_open(&s);
    lrb_buf_init(&content, 1 << 16);
    bundle_begin(&b, &s);
    lrb_row x = bundle_add(&b, LRB_CHUNK_RAW, "x", 1), y = bundle_add(&b, LRB_CHUNK_RAW, "yy", 2);
    lrb_body_item items[] = {file_item("a", x), file_item("b", (lrb_row){.kind = LRB_CHUNK_NONE}), file_item("c", y)};
    CHECK_OK(lrb_record_put_facts(&content, "{}", 2, &err));
    for (size_t i = 0; i < 3; i++) CHECK_OK(lrb_record_put_item(&content, &items[i], &err));
    CHECK_OK(lrb_record_put_skipped(&content, "d", "because", &err));
    lrb_row body = bundle_add(&b, LRB_CHUNK_BODY, content.data, content.length);
    bundle_end(&b, true);
    CHECK_OK(load(&s, &body, rows, 2, &count, &err));
    CHECK(count == 2 && same_row(&rows[0], &x) && same_row(&rows[1], &y));
    lrb_node node;
    CHECK_OK(lrb_node_load(s.repo, s.f.worker.coder, &body, &s.f.worker.content, &node, &err));
    CHECK(node.sizes[0] == 1 && node.sizes[1] == 2 && lrb_tally_makes_body(&node.tally, 3, 3));
    lrb_node_clear(&node);
    lrb_buf_clear(&content);
    shelf_close(&s);
}

/* Such a body is one nobody can read; the walk goes on all the same, for what it names is not garbage. */
TEST(records_out_of_order_are_a_flaw_and_no_damage) {
    shelf s;
    lrb_err err;
    bundle b;
    lrb_buf content;
    lrb_node node;
    shelf_open(&s);
    lrb_buf_init(&content, 1 << 16);
    bundle_begin(&b, &s);
    lrb_row x = bundle_add(&b, LRB_CHUNK_RAW, "x", 1);
    lrb_body_item items[] = {file_item("b", x), file_item("a", x)};
    CHECK_OK(lrb_record_put_facts(&content, "{}", 2, &err));
    for (size_t i = 0; i < 2; i++) CHECK_OK(lrb_record_put_item(&content, &items[i], &err));
    lrb_row turned = bundle_add(&b, LRB_CHUNK_BODY, content.data, content.length), none = bundle_add(&b, LRB_CHUNK_BODY, "", 0);
    bundle_end(&b, true);
    CHECK_OK(lrb_node_load(s.repo, s.f.worker.coder, &turned, &s.f.worker.content, &node, &err));
    CHECK(node.count == 2 && node.tally.flaw == LRB_FLAW_ORDER && !lrb_tally_makes_body(&node.tally, 2, 2));
    lrb_node_clear(&node);
    CHECK_OK(lrb_node_load(s.repo, s.f.worker.coder, &none, &s.f.worker.content, &node, &err));
    CHECK(node.count == 0 && !lrb_tally_makes_body(&node.tally, 0, 0));
    lrb_node_clear(&node);
    lrb_buf_clear(&content);
    shelf_close(&s);
}

TEST(what_no_writer_makes_is_damage) {
    shelf s;
    lrb_err err;
    bundle b;
    lrb_row rows[1];
    size_t count;
    uint8_t unknown[LRB_ROW_BYTES] = {0};
    shelf_open(&s);
    bundle_begin(&b, &s);
    lrb_row data = bundle_add(&b, LRB_CHUNK_RAW, "data", 4), node = bundle_recipe(&b, &data, 1);
    lrb_row fewer = bundle_recipe(&b, (lrb_row[]){data, data, data}, 3);
    fewer.count = 2;
    lrb_row longer = bundle_add(&b, LRB_CHUNK_BODY, "\1\0\0\0\2\0\0\0{}", 10);
    longer.count = 11;
    lrb_row bad[] = {
        bundle_recipe(&b, (lrb_row[]){data, node}, 2), /* levels mixed */
        fewer,
        longer,
        bundle_add(&b, LRB_CHUNK_RECIPE, "no multiple of a row", 20),
        bundle_add(&b, LRB_CHUNK_BODY, "no record at all", 16),
        {.id = data.id, .kind = LRB_CHUNK_RECIPE, .count = 1}, /* a data chunk named as a node */
        {.kind = LRB_CHUNK_RECIPE, .count = 1},                /* no chunk at all */
    };
    unknown[32] = 200;
    lrb_row stranger = bundle_add(&b, LRB_CHUNK_RECIPE, unknown, sizeof unknown);
    bundle_end(&b, true);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_FAILS(load(&s, &bad[i], rows, 1, &count, &err), LRB_E_DAMAGED);
    CHECK_FAILS(load(&s, &stranger, rows, 1, &count, &err), LRB_E_UNSUPPORTED);
    shelf_close(&s);
}

TEST(running_out_of_memory_is_survived) {
    shelf s;
    lrb_err err;
    bundle b;
    lrb_row rows[1];
    size_t count;
    shelf_open(&s);
    bundle_begin(&b, &s);
    lrb_row data = bundle_add(&b, LRB_CHUNK_RAW, "data", 4), node = bundle_recipe(&b, &data, 1);
    bundle_end(&b, true);
    int code = LRB_E_NOMEM;
    for (int64_t n = 0; code == LRB_E_NOMEM; n++) {
        lrb_buf_clear(&s.f.worker.content);
        lrb_mem_fail_after(n, false);
        code = load(&s, &node, rows, 1, &count, &err);
        lrb_mem_fail_after(-1, false);
    }
    CHECK(code == LRB_OK && count == 1 && same_row(&rows[0], &data));
    shelf_close(&s);
}

int main(void) {
    RUN(a_recipe_names_its_rows_in_order);
    RUN(a_body_names_the_roots_of_its_items);
    RUN(records_out_of_order_are_a_flaw_and_no_damage);
    RUN(what_no_writer_makes_is_damage);
    RUN(running_out_of_memory_is_survived);
    return check_report();
}
