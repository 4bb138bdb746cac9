/* Recipes: the same rows make the same nodes, small changes make few new ones, and no hostile recipe leads astray. */
#include "base/mem.h"
#include "base/wire.h"
#include "check.h"
#include "memory_store.h"
#include "sample.h"

static lrb_err err;

static lrb_row sample_row(uint64_t seed) {
    lrb_row row = {.kind = LRB_CHUNK_RAW, .count = 1 + (uint32_t)(seed % 70000)};
    sample_fill(row.id.bytes, sizeof row.id.bytes, seed);
    return row;
}

/* Builds a recipe of sample rows with seeds first..first+count-1, but for one change at position `at`. */
typedef enum change { NO_CHANGE, CHANGE_ROW, INSERT_ROW, DELETE_ROW } change;

static int build(memory_store *store, size_t count, change what, size_t at, lrb_row *root) {
    lrb_recipe_builder *builder;
    int code = lrb_recipe_builder_new(memory_store_put, store, &builder, &err);
    if (code) return code;
    for (size_t i = 0; !code && i < count; i++) {
        lrb_row row = sample_row(i), other = sample_row(UINT64_C(1) << 40 | i);
        bool here = what != NO_CHANGE && i == at;
        if (here && what != DELETE_ROW) code = lrb_recipe_builder_add(builder, &other, &err);
        if (!code && (!here || what == INSERT_ROW)) code = lrb_recipe_builder_add(builder, &row, &err);
    }
    if (!code) code = lrb_recipe_builder_finish(builder, root, &err);
    lrb_recipe_builder_free(builder);
    return code;
}

/* Walks a recipe and counts its rows; INTERNAL when one is not the sample row of its place. */
static int walk_samples(memory_store *store, const lrb_row *root, size_t *count) {
    lrb_recipe_walker *walker = NULL;
    lrb_row row;
    bool done = false;
    int code = lrb_recipe_walker_new(root, memory_store_fetch, store, &walker, &err);
    for (*count = 0; !code; ++*count) {
        code = lrb_recipe_walker_next(walker, false, &row, &done, &err);
        if (code || done) break;
        lrb_row wanted = sample_row(*count);
        if (lrb_id_compare(&row.id, &wanted.id) || row.kind != wanted.kind || row.count != wanted.count)
            code = lrb_err_set(&err, LRB_E_INTERNAL, "compare", "", "row %zu was another", *count);
    }
    lrb_recipe_walker_free(walker);
    return code;
}

/* ---- rows ---- */

TEST(a_row_comes_back_and_has_the_bytes_of_the_format) {
    static const uint8_t golden[8] = {1, 0, 0, 0, 0x04, 0x03, 0x02, 0x01};
    uint8_t bytes[LRB_ROW_BYTES];
    lrb_row row = {.id = {{9, 8, 7}}, .kind = LRB_CHUNK_RAW, .count = 0x01020304}, back;
    lrb_row_encode(&row, bytes);
    CHECK(bytes[0] == 9 && bytes[2] == 7 && memcmp(bytes + 32, golden, sizeof golden) == 0);
    CHECK_OK(lrb_row_decode(bytes, &back, "row", &err));
    CHECK(lrb_id_compare(&row.id, &back.id) == 0 && back.kind == row.kind && back.count == row.count);
}

TEST(a_row_that_names_nothing_is_all_zero) {
    uint8_t bytes[LRB_ROW_BYTES] = {0};
    lrb_row row;
    CHECK_OK(lrb_row_decode(bytes, &row, "row", &err));
    CHECK(row.kind == LRB_CHUNK_NONE && row.count == 0);
    for (size_t i = 0; i < LRB_ROW_BYTES; i++) {
        bytes[i] = 0x80;
        int code = lrb_row_decode(bytes, &row, "row", &err);
        CHECK(i == 32 ? code == LRB_E_UNSUPPORTED : code == LRB_E_DAMAGED);
        bytes[i] = 0;
    }
}

TEST(unknown_and_reserved_kinds_are_refused_by_name) {
    uint8_t bytes[LRB_ROW_BYTES] = {[32] = LRB_CHUNK_RECORDS};
    lrb_row row;
    CHECK_FAILS(lrb_row_decode(bytes, &row, "label", &err), LRB_E_UNSUPPORTED);
    CHECK(strstr(err.message, "records (5)") && strcmp(err.target, "label") == 0);
    bytes[32] = 200;
    CHECK_FAILS(lrb_row_decode(bytes, &row, "label", &err), LRB_E_UNSUPPORTED);
    CHECK(strstr(err.message, "unknown (200)"));
}

/* ---- building ---- */

TEST(every_length_comes_back) {
    static const size_t lengths[] = {0, 1, 2, 3, 63, 64, 65, 511, 512, 513, 5000, 100000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        memory_store store;
        lrb_row root;
        size_t count;
        CHECK_OK(memory_store_init(&store, &err));
        CHECK_OK(build(&store, lengths[i], NO_CHANGE, 0, &root));
        CHECK_OK(walk_samples(&store, &root, &count));
        CHECK(count == lengths[i]);
        memory_store_clear(&store);
    }
}

TEST(nothing_and_one_row_need_no_node) {
    memory_store store;
    lrb_row root, only = sample_row(0);
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(build(&store, 0, NO_CHANGE, 0, &root));
    CHECK(root.kind == LRB_CHUNK_NONE && root.count == 0);
    CHECK_OK(build(&store, 1, NO_CHANGE, 0, &root));
    CHECK(root.kind == LRB_CHUNK_RAW && lrb_id_compare(&root.id, &only.id) == 0);
    CHECK(store.count == 0);
    memory_store_clear(&store);
}

/* Golden: computed from recipe.h's text by another program. Another layout would leave every stored recipe
 * unreadable. */
TEST(a_node_has_the_bytes_of_the_format) {
    memory_store store;
    lrb_recipe_builder *builder;
    lrb_row first = {.kind = LRB_CHUNK_RAW, .count = 5}, second = {.kind = LRB_CHUNK_RAW, .count = 6}, root;
    char hex[65];
    memset(first.id.bytes, 0x11, 32);
    memset(second.id.bytes, 0x22, 32);
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(lrb_recipe_builder_new(memory_store_put, &store, &builder, &err));
    CHECK_OK(lrb_recipe_builder_add(builder, &first, &err));
    CHECK_OK(lrb_recipe_builder_add(builder, &second, &err));
    CHECK_OK(lrb_recipe_builder_finish(builder, &root, &err));
    lrb_hex(root.id.bytes, 32, hex);
    CHECK(root.kind == LRB_CHUNK_RECIPE && root.count == 2);
    CHECK(strcmp(hex, "7aded4bdad057af6aefc7b02722027c46abe5bb4bddfe1f6fccddd5a299415b3") == 0);
    lrb_recipe_builder_free(builder);
    memory_store_clear(&store);
}

/* Golden: 5000 sample rows through two levels of nodes, likewise. Another cut rule would store every
 * recipe anew. */
TEST(a_large_recipe_has_the_root_it_always_had) {
    memory_store store;
    lrb_row root;
    char hex[65];
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(build(&store, 5000, NO_CHANGE, 0, &root));
    lrb_hex(root.id.bytes, 32, hex);
    CHECK(strcmp(hex, "e0aeb652cd4b1677bc53731130b3848a8de02de50f97f76d5af8551410e8bb40") == 0);
    memory_store_clear(&store);
}

/* Rows whose ids never cut: nodes end by their length alone. */
TEST(rows_that_never_cut_make_nodes_of_512) {
    memory_store store;
    lrb_recipe_builder *builder;
    lrb_row row = {.id = {{1}}, .kind = LRB_CHUNK_RAW, .count = 1}, root;
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(lrb_recipe_builder_new(memory_store_put, &store, &builder, &err));
    for (int i = 0; i < 1024; i++) CHECK_OK(lrb_recipe_builder_add(builder, &row, &err));
    CHECK_OK(lrb_recipe_builder_finish(builder, &root, &err));
    CHECK(root.kind == LRB_CHUNK_RECIPE && root.count == 2);
    CHECK(store.chunks[0].length == LRB_NODE_MAX_ROWS * LRB_ROW_BYTES);
    lrb_recipe_builder_free(builder);
    memory_store_clear(&store);
}

/* Rows whose ids always cut: nodes still have two rows, so that levels shrink and the depth stays small. */
TEST(rows_that_always_cut_make_nodes_of_two) {
    memory_store store;
    lrb_recipe_builder *builder;
    lrb_row row = {.id = {{0}}, .kind = LRB_CHUNK_RAW, .count = 1}, root;
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(lrb_recipe_builder_new(memory_store_put, &store, &builder, &err));
    for (int i = 0; i < 1001; i++) CHECK_OK(lrb_recipe_builder_add(builder, &row, &err));
    CHECK_OK(lrb_recipe_builder_finish(builder, &root, &err));
    CHECK(store.chunks[0].length == 2 * LRB_ROW_BYTES);
    lrb_recipe_builder_free(builder);
    memory_store_clear(&store);
}

TEST(a_small_change_stores_few_nodes) {
    enum { ROWS = 100000, TRIES = 8, LEVELS = 3, MOST_PER_LEVEL = 4 };
    memory_store store;
    lrb_row root, changed;
    uint64_t seed = 5;
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(build(&store, ROWS, NO_CHANGE, 0, &root));
    for (change what = CHANGE_ROW; what <= DELETE_ROW; what++) {
        for (int i = 0; i < TRIES; i++) {
            size_t at = i == 0 ? 0 : i == 1 ? ROWS - 1 : (size_t)(sample_next(&seed) % ROWS), before = store.count;
            CHECK_OK(build(&store, ROWS, what, at, &changed));
            CHECK(lrb_id_compare(&root.id, &changed.id) != 0);
            CHECK(store.count - before <= LEVELS * MOST_PER_LEVEL);
        }
    }
    memory_store_clear(&store);
}

TEST(rows_that_cannot_stand_in_a_stream_are_refused) {
    memory_store store;
    lrb_recipe_builder *builder;
    lrb_row none = {.kind = LRB_CHUNK_NONE}, node = {.kind = LRB_CHUNK_RECIPE, .count = 2}, row = sample_row(1), root;
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(lrb_recipe_builder_new(memory_store_put, &store, &builder, &err));
    CHECK_FAILS(lrb_recipe_builder_add(builder, &none, &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_recipe_builder_add(builder, &node, &err), LRB_E_INVALID);
    CHECK_OK(lrb_recipe_builder_add(builder, &row, &err));
    CHECK_OK(lrb_recipe_builder_finish(builder, &root, &err));
    CHECK(lrb_id_compare(&root.id, &row.id) == 0);
    lrb_recipe_builder_free(builder);
    memory_store_clear(&store);
}

TEST(a_failed_builder_makes_no_recipe) {
    memory_store store;
    lrb_recipe_builder *builder;
    lrb_row row = {.kind = LRB_CHUNK_RAW, .count = 1}, root;
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(lrb_recipe_builder_new(memory_store_put, &store, &builder, &err));
    CHECK_OK(lrb_recipe_builder_add(builder, &row, &err));
    store.fail_puts = true;
    CHECK_FAILS(lrb_recipe_builder_add(builder, &row, &err), LRB_E_IO);
    store.fail_puts = false;
    CHECK_FAILS(lrb_recipe_builder_add(builder, &row, &err), LRB_E_INTERNAL);
    CHECK_FAILS(lrb_recipe_builder_finish(builder, &root, &err), LRB_E_INTERNAL);
    lrb_recipe_builder_free(builder);
    memory_store_clear(&store);
}

/* ---- walking ---- */

TEST(nodes_are_shown_before_their_rows_and_can_be_skipped) {
    memory_store store;
    lrb_recipe_walker *walker;
    lrb_row root, row;
    size_t nodes = 0, rows = 0;
    bool done = false;
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(build(&store, 5000, NO_CHANGE, 0, &root));
    CHECK_OK(lrb_recipe_walker_new(&root, memory_store_fetch, &store, &walker, &err));
    CHECK_OK(lrb_recipe_walker_next(walker, true, &row, &done, &err));
    CHECK(!done && lrb_id_compare(&row.id, &root.id) == 0);
    while (!done) {
        CHECK_OK(lrb_recipe_walker_next(walker, true, &row, &done, &err));
        if (done) break;
        if (row.kind != LRB_CHUNK_RECIPE) rows++;
        else if (nodes++ % 2) lrb_recipe_walker_skip(walker);
    }
    CHECK(nodes + 1 <= store.count && rows > 0 && rows < 5000);
    lrb_recipe_walker_free(walker);
    CHECK_OK(lrb_recipe_walker_new(&root, memory_store_fetch, &store, &walker, &err));
    CHECK_OK(lrb_recipe_walker_next(walker, true, &row, &done, &err));
    lrb_recipe_walker_skip(walker);
    CHECK_OK(lrb_recipe_walker_next(walker, true, &row, &done, &err));
    CHECK(done);
    lrb_recipe_walker_free(walker);
    memory_store_clear(&store);
}

TEST(a_failed_fetch_can_be_tried_again) {
    memory_store store;
    lrb_recipe_walker *walker;
    lrb_row root, row;
    bool done;
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(build(&store, 100, NO_CHANGE, 0, &root));
    CHECK_OK(lrb_recipe_walker_new(&root, memory_store_fetch, &store, &walker, &err));
    store.fail_fetches = true;
    CHECK_FAILS(lrb_recipe_walker_next(walker, false, &row, &done, &err), LRB_E_IO);
    store.fail_fetches = false;
    CHECK_OK(lrb_recipe_walker_next(walker, false, &row, &done, &err));
    lrb_row first = sample_row(0);
    CHECK(!done && lrb_id_compare(&row.id, &first.id) == 0);
    lrb_recipe_walker_free(walker);
    memory_store_clear(&store);
}

/* ---- hostile recipes ---- */

/* Stores `rows` as one node, however wrong, and makes *row name it. */
static int put_node(memory_store *store, const lrb_row *rows, uint32_t count, lrb_row *row) {
    lrb_buf content;
    lrb_buf_init(&content, LRB_CONTENT_MAX_BYTES);
    int code = LRB_OK;
    for (uint32_t i = 0; !code && i < count; i++) {
        uint8_t encoded[LRB_ROW_BYTES];
        lrb_row_encode(&rows[i], encoded);
        code = lrb_buf_append(&content, encoded, sizeof encoded, &err);
    }
    *row = (lrb_row){.kind = LRB_CHUNK_RECIPE, .count = count};
    if (!code) code = memory_store_put(store, LRB_CHUNK_RECIPE, content.data, content.length, &row->id, &err);
    lrb_buf_clear(&content);
    return code;
}

/* Walks all of it; at most `limit` rows. */
static int walk(memory_store *store, const lrb_row *root, uint64_t limit) {
    lrb_recipe_walker *walker;
    lrb_row row;
    bool done = false;
    int code = lrb_recipe_walker_new(root, memory_store_fetch, store, &walker, &err);
    if (code) return code;
    lrb_recipe_walker_limit(walker, limit);
    while (!code && !done) code = lrb_recipe_walker_next(walker, false, &row, &done, &err);
    lrb_recipe_walker_free(walker);
    return code;
}

static bool names(const lrb_row *row) {
    char prefix[17];
    lrb_id_prefix(&row->id, prefix);
    return strstr(err.message, prefix) != NULL;
}

TEST(a_node_that_mixes_levels_is_damaged) {
    memory_store store;
    lrb_row rows[2] = {sample_row(1), sample_row(2)}, below, mixed;
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(put_node(&store, rows, 2, &below));
    rows[1] = below;
    CHECK_OK(put_node(&store, rows, 2, &mixed));
    CHECK_FAILS(walk(&store, &mixed, 100), LRB_E_DAMAGED);
    CHECK(names(&mixed));
    rows[0] = below;
    rows[1] = sample_row(1);
    CHECK_OK(put_node(&store, rows, 2, &mixed));
    CHECK_FAILS(walk(&store, &mixed, 100), LRB_E_DAMAGED);
    CHECK(names(&mixed));
    memory_store_clear(&store);
}

TEST(branches_of_different_depth_are_damaged) {
    memory_store store;
    lrb_row data[2] = {sample_row(1), sample_row(2)}, shallow, deep, both[2], root;
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(put_node(&store, data, 2, &shallow));
    CHECK_OK(put_node(&store, &shallow, 1, &deep));
    both[0] = shallow;
    both[1] = deep;
    CHECK_OK(put_node(&store, both, 2, &root));
    CHECK_FAILS(walk(&store, &root, 100), LRB_E_DAMAGED);
    CHECK(names(&deep));
    both[0] = deep;
    both[1] = shallow;
    CHECK_OK(put_node(&store, both, 2, &root));
    CHECK_FAILS(walk(&store, &root, 100), LRB_E_DAMAGED);
    CHECK(names(&shallow));
    memory_store_clear(&store);
}

TEST(a_node_that_names_nothing_is_damaged) {
    memory_store store;
    lrb_row rows[2] = {sample_row(1), {.kind = LRB_CHUNK_NONE}}, root;
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(put_node(&store, rows, 2, &root));
    CHECK_FAILS(walk(&store, &root, 100), LRB_E_DAMAGED);
    memory_store_clear(&store);
}

TEST(nodes_of_a_wrong_length_are_damaged) {
    static uint8_t bytes[(LRB_NODE_MAX_ROWS + 1) * LRB_ROW_BYTES];
    static const size_t lengths[] = {0, 1, 39, 41, 79, 81, sizeof bytes};
    memory_store store;
    CHECK_OK(memory_store_init(&store, &err));
    for (size_t at = 0; at < sizeof bytes; at += LRB_ROW_BYTES) bytes[at + 32] = LRB_CHUNK_RAW;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        lrb_row root = {.kind = LRB_CHUNK_RECIPE, .count = (uint32_t)(lengths[i] / LRB_ROW_BYTES)};
        CHECK_OK(memory_store_put(&store, LRB_CHUNK_RECIPE, bytes, lengths[i], &root.id, &err));
        CHECK_FAILS(walk(&store, &root, 1000), LRB_E_DAMAGED);
        CHECK(names(&root));
    }
    memory_store_clear(&store);
}

TEST(a_node_with_other_rows_than_it_was_named_with_is_damaged) {
    memory_store store;
    lrb_row rows[3] = {sample_row(1), sample_row(2), sample_row(3)}, root;
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(put_node(&store, rows, 3, &root));
    CHECK_OK(walk(&store, &root, 3));
    static const uint32_t counts[] = {0, 2, 4, 513, UINT32_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        root.count = counts[i];
        CHECK_FAILS(walk(&store, &root, 3), LRB_E_DAMAGED);
        CHECK(names(&root));
    }
    memory_store_clear(&store);
}

/* Nodes of one row, each naming the one before: `depth` of them above one row of data. */
static int put_chain(memory_store *store, unsigned depth, lrb_row *top) {
    int code = LRB_OK;
    *top = sample_row(1);
    for (unsigned i = 0; !code && i < depth; i++) {
        lrb_row below = *top;
        code = put_node(store, &below, 1, top);
    }
    return code;
}

TEST(depth_has_a_limit) {
    memory_store store;
    lrb_row top;
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(put_chain(&store, LRB_RECIPE_MAX_DEPTH, &top));
    CHECK_OK(walk(&store, &top, 1));
    CHECK_OK(put_chain(&store, LRB_RECIPE_MAX_DEPTH + 1, &top));
    CHECK_FAILS(walk(&store, &top, 1), LRB_E_DAMAGED);
    memory_store_clear(&store);
}

/* Thirty nodes that name 512 times the one below unfold to 2^270 rows. */
TEST(a_recipe_that_unfolds_without_end_is_stopped) {
    static lrb_row rows[LRB_NODE_MAX_ROWS];
    memory_store store;
    lrb_row top = sample_row(1);
    CHECK_OK(memory_store_init(&store, &err));
    for (int level = 0; level < 30; level++) {
        for (size_t i = 0; i < LRB_NODE_MAX_ROWS; i++) rows[i] = top;
        CHECK_OK(put_node(&store, rows, LRB_NODE_MAX_ROWS, &top));
    }
    CHECK_FAILS(walk(&store, &top, 10000), LRB_E_DAMAGED);
    CHECK(names(&top));
    memory_store_clear(&store);
}

TEST(the_limit_is_exact) {
    memory_store store;
    lrb_row root;
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(build(&store, 700, NO_CHANGE, 0, &root));
    CHECK_OK(walk(&store, &root, 700));
    CHECK_FAILS(walk(&store, &root, 699), LRB_E_DAMAGED);
    CHECK_OK(build(&store, 0, NO_CHANGE, 0, &root));
    CHECK_OK(walk(&store, &root, 0));
    memory_store_clear(&store);
}

/* Whatever a flipped node says, walking it ends, and with an error or with rows that are well formed. */
TEST(flipped_nodes_lead_nowhere_bad) {
    memory_store store;
    lrb_row rows[3] = {sample_row(1), sample_row(2), sample_row(3)}, below, root;
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(put_node(&store, rows, 3, &below));
    CHECK_OK(put_node(&store, &below, 1, &root));
    for (size_t chunk = 0; chunk < store.count; chunk++) {
        for (size_t bit = 0; bit < 8 * store.chunks[chunk].length; bit++) {
            store.chunks[chunk].content[bit / 8] ^= (uint8_t)(1 << bit % 8);
            int code = walk(&store, &root, 3);
            store.chunks[chunk].content[bit / 8] ^= (uint8_t)(1 << bit % 8);
            CHECK(!code || code == LRB_E_DAMAGED || code == LRB_E_UNSUPPORTED || code == LRB_E_IO);
        }
    }
    memory_store_clear(&store);
}

/* ---- memory ---- */

static int build_and_walk(size_t rows) {
    memory_store store;
    lrb_row root;
    size_t count = 0;
    int code = memory_store_init(&store, &err);
    if (!code) code = build(&store, rows, NO_CHANGE, 0, &root);
    if (!code) code = walk_samples(&store, &root, &count);
    if (!code && count != rows) code = LRB_E_INTERNAL;
    memory_store_clear(&store);
    return code;
}

TEST(memory_running_out_is_survived) {
    int code = LRB_E_NOMEM;
    for (int n = 0; code; n++) {
        lrb_mem_fail_after(n, false);
        code = build_and_walk(700);
        lrb_mem_fail_after(-1, false);
        CHECK(!code || code == LRB_E_NOMEM);
    }
}

int main(void) {
    RUN(a_row_comes_back_and_has_the_bytes_of_the_format);
    RUN(a_row_that_names_nothing_is_all_zero);
    RUN(unknown_and_reserved_kinds_are_refused_by_name);
    RUN(every_length_comes_back);
    RUN(nothing_and_one_row_need_no_node);
    RUN(a_node_has_the_bytes_of_the_format);
    RUN(a_large_recipe_has_the_root_it_always_had);
    RUN(rows_that_never_cut_make_nodes_of_512);
    RUN(rows_that_always_cut_make_nodes_of_two);
    RUN(a_small_change_stores_few_nodes);
    RUN(rows_that_cannot_stand_in_a_stream_are_refused);
    RUN(a_failed_builder_makes_no_recipe);
    RUN(nodes_are_shown_before_their_rows_and_can_be_skipped);
    RUN(a_failed_fetch_can_be_tried_again);
    RUN(a_node_that_mixes_levels_is_damaged);
    RUN(branches_of_different_depth_are_damaged);
    RUN(a_node_that_names_nothing_is_damaged);
    RUN(nodes_of_a_wrong_length_are_damaged);
    RUN(a_node_with_other_rows_than_it_was_named_with_is_damaged);
    RUN(depth_has_a_limit);
    RUN(a_recipe_that_unfolds_without_end_is_stopped);
    RUN(the_limit_is_exact);
    RUN(flipped_nodes_lead_nowhere_bad);
    RUN(memory_running_out_is_survived);
    return check_report();
}
