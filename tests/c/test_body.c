/* A snapshot's body: written, read back, nearly free when little changed; and bodies that nobody should believe. */
#include <stdio.h>

#include "base/mem.h"
#include "check.h"
#include "memory_store.h"
#include "repo/body.h"
#include "sample.h"

static lrb_err err;
static const char facts[] = "{\"version\":\"1.5.7\"}";

enum { NOT_CHANGED = -1 };

typedef struct outcome {
    lrb_row root;
    uint8_t data_hash[32];
    uint64_t items, size_bytes;
} outcome;

/* ---- writing ---- */

/* Item `i` of a sample body; `name` gets its name. */
static lrb_body_item sample_item(int i, bool changed, char name[32]) {
    lrb_body_item item = {.name = name, .mode = 0644, .mtime_ns = 1000 + i};
    snprintf(name, 32, "item-%06d", i);
    item.name_length = strlen(name);
    item.type = i % 10 == 3 ? LRB_FILE_DIRECTORY : i % 10 == 4 ? LRB_FILE_SYMLINK : LRB_FILE_REGULAR;
    if (item.type == LRB_FILE_DIRECTORY) return item;
    sample_fill(item.sha256, sizeof item.sha256, (uint64_t)i + (changed ? UINT64_C(1) << 40 : 0));
    item.size_bytes = (uint64_t)i;
    if (item.type == LRB_FILE_SYMLINK) {
        item.link_target = "somewhere";
        item.size_bytes = item.link_target_length = 9;
    } else if (item.size_bytes) {
        item.root = (lrb_row){.kind = LRB_CHUNK_RAW, .count = (uint32_t)i};
        memcpy(item.root.id.bytes, item.sha256, sizeof item.root.id.bytes);
    }
    return item;
}

static int write_items(lrb_body_writer *writer, int count, int changed) {
    int code = lrb_body_writer_facts(writer, facts, sizeof facts - 1, &err);
    for (int i = 0; !code && i < count; i++) {
        char name[32];
        lrb_body_item item = sample_item(i, i == changed, name);
        code = lrb_body_writer_item(writer, &item, &err);
    }
    if (!code) code = lrb_body_writer_skipped(writer, "a.lock", "a lock file", &err);
    if (!code) code = lrb_body_writer_skipped(writer, "b.log", "a log file", &err);
    return code;
}

static int finish(lrb_body_writer *writer, outcome *out) {
    return lrb_body_writer_finish(writer, &out->root, out->data_hash, &out->items, &out->size_bytes, &err);
}

static int write_body(memory_store *store, int count, int changed, outcome *out) {
    lrb_body_writer *writer;
    int code = lrb_body_writer_new(memory_store_put, store, &writer, &err);
    if (code) return code;
    code = write_items(writer, count, changed);
    if (!code) code = finish(writer, out);
    lrb_body_writer_free(writer);
    return code;
}

/* ---- reading ---- */

static bool is_sample_item(const lrb_body_item *item, int i) {
    char name[32];
    lrb_body_item wanted = sample_item(i, false, name);
    return item->name_length == wanted.name_length && memcmp(item->name, name, item->name_length) == 0 &&
           item->type == wanted.type && item->size_bytes == wanted.size_bytes && item->mtime_ns == wanted.mtime_ns &&
           lrb_id_compare(&item->root.id, &wanted.root.id) == 0 && memcmp(item->sha256, wanted.sha256, 32) == 0;
}

typedef struct seen { int facts, items, skipped; } seen;

/* Reads all of a body; INTERNAL when an item is not the sample one of its place. */
static int read_body(memory_store *store, const lrb_row *root, seen *out) {
    lrb_body_reader *reader;
    lrb_body_record record;
    bool done = false;
    memset(out, 0, sizeof *out);
    int code = lrb_body_reader_new(root, memory_store_fetch, store, &reader, &err);
    if (code) return code;
    for (;;) {
        code = lrb_body_reader_next(reader, &record, &done, &err);
        if (code || done) break;
        if (record.type == LRB_BODY_FACTS) out->facts++;
        if (record.type == LRB_BODY_SKIPPED) out->skipped++;
        if (record.type == LRB_BODY_ITEM && !is_sample_item(&record.item, out->items++))
            code = lrb_err_set(&err, LRB_E_INTERNAL, "compare", "", "item %d was another", out->items - 1);
        if (code) break;
    }
    lrb_body_reader_free(reader);
    return code;
}

static void body_comes_back(int count) {
    memory_store store;
    outcome out;
    seen read;
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(write_body(&store, count, NOT_CHANGED, &out));
    CHECK_OK(read_body(&store, &out.root, &read));
    CHECK(read.facts == 1 && read.items == count && read.skipped == 2 && out.items == (uint64_t)count);
    for (size_t i = 0; i < store.count; i++)
        CHECK(store.chunks[i].kind != LRB_CHUNK_BODY || store.chunks[i].length <= LRB_BODY_CHUNK_MAX_BYTES);
    memory_store_clear(&store);
}

TEST(bodies_of_every_length_come_back) {
    body_comes_back(0);
    body_comes_back(1);
    body_comes_back(12);
    body_comes_back(50000);
}

TEST(facts_alone_are_a_body) {
    memory_store store;
    lrb_body_writer *writer;
    outcome out;
    seen read;
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(lrb_body_writer_new(memory_store_put, &store, &writer, &err));
    CHECK_FAILS(finish(writer, &out), LRB_E_INVALID);
    CHECK_OK(lrb_body_writer_facts(writer, "{}", 2, &err));
    CHECK_OK(finish(writer, &out));
    CHECK(out.root.kind == LRB_CHUNK_BODY && out.root.count == 10 && out.items == 0 && out.size_bytes == 0);
    CHECK_OK(read_body(&store, &out.root, &read));
    lrb_body_writer_free(writer);
    memory_store_clear(&store);
}

TEST(the_facts_of_another_day_cost_one_chunk) {
    memory_store store;
    lrb_body_writer *writer;
    outcome out, again;
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(write_body(&store, 3, NOT_CHANGED, &out));
    size_t before = store.count;
    CHECK_OK(write_body(&store, 3, NOT_CHANGED, &again));
    CHECK(store.count == before && lrb_id_compare(&out.root.id, &again.root.id) == 0);
    CHECK_OK(lrb_body_writer_new(memory_store_put, &store, &writer, &err));
    CHECK_OK(lrb_body_writer_facts(writer, "{\"version\":\"1.5.8\"}", sizeof facts - 1, &err));
    CHECK(store.count == before + 1);
    lrb_body_writer_free(writer);
    memory_store_clear(&store);
}

TEST(one_changed_item_rewrites_one_chunk_and_its_nodes) {
    enum { ITEMS = 50000, LEVELS = 3 };
    memory_store store;
    outcome first, second;
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(write_body(&store, ITEMS, NOT_CHANGED, &first));
    static const int places[] = {0, 1, 25001, ITEMS - 1};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        size_t before = store.count, body_chunks = 0;
        CHECK_OK(write_body(&store, ITEMS, places[i], &second));
        for (size_t c = before; c < store.count; c++) body_chunks += store.chunks[c].kind == LRB_CHUNK_BODY;
        CHECK(body_chunks >= 1 && body_chunks <= 2 && store.count - before - body_chunks <= LEVELS);
        CHECK(memcmp(first.data_hash, second.data_hash, 32) != 0);
    }
    memory_store_clear(&store);
}

/* Golden: computed from the headers' text by another program: root, chunks and data_hash of a body with every
 * type of record. data_hash is shown to people and compared between repositories: it may never change for the same
 * items. */
static int write_golden(lrb_body_writer *writer, outcome *out) {
    lrb_body_item file = {.name = "a.json", .name_length = 6, .type = LRB_FILE_REGULAR, .mode = 0644,
                          .mtime_ns = 1700000000000000001, .size_bytes = 5,
                          .root = {.kind = LRB_CHUNK_RAW, .count = 5}};
    lrb_body_item directory = {.name = "d", .name_length = 1, .type = LRB_FILE_DIRECTORY, .mode = 0755, .mtime_ns = -1};
    lrb_body_item symlink = {.name = "l", .name_length = 1, .type = LRB_FILE_SYMLINK, .mode = 0777, .mtime_ns = 2,
                             .size_bytes = 6, .link_target = "a.json", .link_target_length = 6};
    memset(file.sha256, 0x11, sizeof file.sha256);
    memset(file.root.id.bytes, 0x22, sizeof file.root.id.bytes);
    memset(symlink.sha256, 0x33, sizeof symlink.sha256);
    int code = lrb_body_writer_facts(writer, "{}", 2, &err);
    if (!code) code = lrb_body_writer_item(writer, &file, &err);
    if (!code) code = lrb_body_writer_item(writer, &directory, &err);
    if (!code) code = lrb_body_writer_item(writer, &symlink, &err);
    if (!code) code = lrb_body_writer_skipped(writer, "s", "socket", &err);
    if (!code) code = finish(writer, out);
    return code;
}

TEST(a_body_has_the_bytes_of_the_format) {
    memory_store store;
    lrb_body_writer *writer;
    outcome out;
    char hex[65];
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(lrb_body_writer_new(memory_store_put, &store, &writer, &err));
    CHECK_OK(write_golden(writer, &out));
    lrb_hex(out.root.id.bytes, 32, hex);
    CHECK(strcmp(hex, "07c33532daebd627674a760efeffe06afcf4d7494430e2ad8ce33d3adfda31cf") == 0);
    lrb_hex(out.data_hash, 32, hex);
    CHECK(strcmp(hex, "3c1d8512a0cb866ff30d981535f17b30cb44ffcd64fe3366702e544b0e4df985") == 0);
    CHECK(out.root.kind == LRB_CHUNK_RECIPE && out.root.count == 2 && out.items == 3 && out.size_bytes == 11);
    lrb_body_writer_free(writer);
    memory_store_clear(&store);
}

/* ---- what a writer refuses ---- */

static lrb_body_item directory_named(const char *name) {
    return (lrb_body_item){.name = name, .name_length = strlen(name), .type = LRB_FILE_DIRECTORY};
}

static int write_directory(lrb_body_writer *writer, const char *name) {
    lrb_body_item item = directory_named(name);
    return lrb_body_writer_item(writer, &item, &err);
}

TEST(records_out_of_order_are_refused_and_change_nothing) {
    memory_store store;
    lrb_body_writer *writer;
    outcome out;
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(lrb_body_writer_new(memory_store_put, &store, &writer, &err));
    CHECK_FAILS(write_directory(writer, "a"), LRB_E_INVALID);
    CHECK_OK(lrb_body_writer_facts(writer, "{}", 2, &err));
    CHECK_FAILS(lrb_body_writer_facts(writer, "{}", 2, &err), LRB_E_INVALID);
    CHECK_OK(write_directory(writer, "b"));
    CHECK_FAILS(write_directory(writer, "b"), LRB_E_INVALID);
    CHECK_FAILS(write_directory(writer, "a"), LRB_E_INVALID);
    CHECK(strstr(err.message, "'a'"));
    CHECK_FAILS(write_directory(writer, "c/../d"), LRB_E_INVALID);
    CHECK_OK(lrb_body_writer_skipped(writer, "x", "first", &err));
    CHECK_OK(lrb_body_writer_skipped(writer, "x", "again", &err));
    CHECK_FAILS(lrb_body_writer_skipped(writer, "w", "late", &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_body_writer_skipped(writer, "/y", "absolute", &err), LRB_E_INVALID);
    CHECK_FAILS(write_directory(writer, "z"), LRB_E_INVALID);
    CHECK_OK(finish(writer, &out));
    CHECK(out.items == 1);
    lrb_body_writer_free(writer);
    memory_store_clear(&store);
}

TEST(sizes_that_overflow_are_refused) {
    memory_store store;
    lrb_body_writer *writer;
    lrb_body_item item = {.name = "a", .name_length = 1, .type = LRB_FILE_REGULAR, .size_bytes = UINT64_MAX,
                          .root = {.kind = LRB_CHUNK_RAW}};
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(lrb_body_writer_new(memory_store_put, &store, &writer, &err));
    CHECK_OK(lrb_body_writer_facts(writer, "{}", 2, &err));
    CHECK_OK(lrb_body_writer_item(writer, &item, &err));
    item.name = "b";
    CHECK_FAILS(lrb_body_writer_item(writer, &item, &err), LRB_E_INVALID);
    lrb_body_writer_free(writer);
    memory_store_clear(&store);
}

TEST(a_failed_writer_makes_no_body) {
    memory_store store;
    lrb_body_writer *writer;
    outcome out;
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(lrb_body_writer_new(memory_store_put, &store, &writer, &err));
    store.fail_puts = true;
    CHECK_FAILS(lrb_body_writer_facts(writer, "{}", 2, &err), LRB_E_IO);
    store.fail_puts = false;
    CHECK_FAILS(lrb_body_writer_facts(writer, "{}", 2, &err), LRB_E_INTERNAL);
    CHECK_FAILS(finish(writer, &out), LRB_E_INTERNAL);
    lrb_body_writer_free(writer);
    memory_store_clear(&store);
}

TEST(records_longer_than_a_chunk_stand_alone) {
    static char reason[LRB_BODY_CHUNK_MAX_BYTES + 1];
    memory_store store;
    lrb_body_writer *writer;
    outcome out;
    seen read;
    memset(reason, 'r', sizeof reason - 1);
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(lrb_body_writer_new(memory_store_put, &store, &writer, &err));
    CHECK_OK(lrb_body_writer_facts(writer, "{}", 2, &err));
    CHECK_OK(lrb_body_writer_skipped(writer, "a", "short", &err));
    CHECK_OK(lrb_body_writer_skipped(writer, "b", reason, &err));
    CHECK_OK(lrb_body_writer_skipped(writer, "c", "short", &err));
    CHECK_OK(finish(writer, &out));
    CHECK(out.root.count == 4);
    CHECK_OK(read_body(&store, &out.root, &read));
    CHECK(read.skipped == 3);
    lrb_body_writer_free(writer);
    memory_store_clear(&store);
}

/* ---- what a reader refuses ---- */

/* Records as a hostile writer would string them together: "F" facts, "D<name>\n" directories, "L<name>\n" symlinks,
 * "S<name>\n" skipped names. */
static int forge(lrb_buf *out, const char *script) {
    int code = LRB_OK;
    while (!code && *script) {
        char type = *script++, name[32] = "";
        for (size_t n = 0; type != 'F' && *script++ != '\n'; n++) name[n] = script[-1];
        lrb_body_item item = directory_named(name);
        if (type == 'L') {
            item.type = LRB_FILE_SYMLINK;
            item.link_target = "/";
            item.size_bytes = item.link_target_length = 1;
        }
        if (type == 'F') code = lrb_record_put_facts(out, "{}", 2, &err);
        else if (type == 'S') code = lrb_record_put_skipped(out, name, "because", &err);
        else code = lrb_record_put_item(out, &item, &err);
    }
    return code;
}

static int put_bytes(memory_store *store, const lrb_buf *bytes, lrb_row *root) {
    *root = (lrb_row){.kind = LRB_CHUNK_BODY, .count = (uint32_t)bytes->length};
    return memory_store_put(store, LRB_CHUNK_BODY, bytes->data, bytes->length, &root->id, &err);
}

/* Reads without comparing items. */
static int drain(memory_store *store, const lrb_row *root) {
    lrb_body_reader *reader;
    lrb_body_record record;
    bool done = false;
    int code = lrb_body_reader_new(root, memory_store_fetch, store, &reader, &err);
    if (code) return code;
    while (!code && !done) code = lrb_body_reader_next(reader, &record, &done, &err);
    lrb_body_reader_free(reader);
    return code;
}

static int read_forged(const char *script) {
    memory_store store;
    lrb_row root;
    lrb_buf bytes;
    lrb_buf_init(&bytes, 10000);
    int code = memory_store_init(&store, &err);
    if (!code) code = forge(&bytes, script);
    if (!code) code = put_bytes(&store, &bytes, &root);
    if (!code) code = drain(&store, &root);
    lrb_buf_clear(&bytes);
    memory_store_clear(&store);
    return code;
}

TEST(forged_orders_are_damage) {
    CHECK_OK(read_forged("FDa\nDa/b\nDb\nSa\nSb\n"));
    CHECK_FAILS(read_forged("Da\n"), LRB_E_DAMAGED);
    CHECK_FAILS(read_forged("FF"), LRB_E_DAMAGED);
    CHECK_FAILS(read_forged("FDb\nDa\n"), LRB_E_DAMAGED);
    CHECK(strstr(err.message, "'a'") && strstr(err.target, "body chunk "));
    CHECK_FAILS(read_forged("FDa\nDa\n"), LRB_E_DAMAGED);
    CHECK_FAILS(read_forged("FSa\nDb\n"), LRB_E_DAMAGED);
    CHECK_FAILS(read_forged("FSa\nSa\n"), LRB_E_DAMAGED);
    CHECK_FAILS(read_forged("FLa\nDa/b\n"), LRB_E_DAMAGED);
    CHECK_FAILS(read_forged("FLa\nDa-\nLa/b\n"), LRB_E_DAMAGED);
}

TEST(roots_that_are_no_body_are_damage) {
    memory_store store;
    lrb_row none = {.kind = LRB_CHUNK_NONE}, raw = {.kind = LRB_CHUNK_RAW, .count = 5};
    lrb_row empty = {.kind = LRB_CHUNK_BODY};
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(memory_store_put(&store, LRB_CHUNK_RAW, "hello", 5, &raw.id, &err));
    CHECK_OK(memory_store_put(&store, LRB_CHUNK_BODY, "", 0, &empty.id, &err));
    CHECK_FAILS(drain(&store, &none), LRB_E_DAMAGED);
    CHECK_FAILS(drain(&store, &raw), LRB_E_DAMAGED);
    CHECK_FAILS(drain(&store, &empty), LRB_E_DAMAGED);
    memory_store_clear(&store);
}

TEST(chunks_of_another_length_than_named_are_damage) {
    memory_store store;
    outcome out;
    CHECK_OK(memory_store_init(&store, &err));
    lrb_buf bytes;
    lrb_buf_init(&bytes, 1000);
    CHECK_OK(forge(&bytes, "FDa\n"));
    CHECK_OK(put_bytes(&store, &bytes, &out.root));
    CHECK_OK(drain(&store, &out.root));
    static const uint32_t counts[] = {0, 1, 9, UINT32_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        out.root.count = counts[i];
        CHECK_FAILS(drain(&store, &out.root), LRB_E_DAMAGED);
    }
    lrb_buf_clear(&bytes);
    memory_store_clear(&store);
}

TEST(a_body_cut_anywhere_is_damaged) {
    memory_store store;
    lrb_row root;
    lrb_buf bytes;
    lrb_buf_init(&bytes, 1000);
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(forge(&bytes, "F"));
    size_t facts_end = bytes.length;
    CHECK_OK(forge(&bytes, "La\n"));
    for (size_t whole = bytes.length; bytes.length > 0; bytes.length--) {
        CHECK_OK(put_bytes(&store, &bytes, &root));
        int code = drain(&store, &root);
        CHECK(code == (bytes.length == whole || bytes.length == facts_end ? LRB_OK : LRB_E_DAMAGED));
    }
    lrb_buf_clear(&bytes);
    memory_store_clear(&store);
}

TEST(a_flipped_body_never_leads_astray) {
    memory_store store;
    lrb_row root;
    lrb_buf bytes;
    lrb_buf_init(&bytes, 1000);
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(forge(&bytes, "FDa\nLb\nSc\n"));
    CHECK_OK(put_bytes(&store, &bytes, &root));
    for (size_t bit = 0; bit < 8 * bytes.length; bit++) {
        store.chunks[0].content[bit / 8] ^= (uint8_t)(1 << bit % 8);
        int code = drain(&store, &root);
        CHECK(!code || code == LRB_E_DAMAGED || code == LRB_E_UNSUPPORTED);
        store.chunks[0].content[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    lrb_buf_clear(&bytes);
    memory_store_clear(&store);
}

/* Thirty nodes over one chunk of skipped names, each naming the one below twice: 2^30 times the same names. */
TEST(a_body_that_repeats_itself_ends_at_the_first_repetition) {
    memory_store store;
    lrb_row row;
    lrb_buf bytes;
    lrb_buf_init(&bytes, 1000);
    CHECK_OK(memory_store_init(&store, &err));
    CHECK_OK(forge(&bytes, "FDa\n"));
    CHECK_OK(put_bytes(&store, &bytes, &row));
    for (int level = 0; level < 30; level++) {
        uint8_t node[2 * LRB_ROW_BYTES];
        lrb_row_encode(&row, node);
        lrb_row_encode(&row, node + LRB_ROW_BYTES);
        row = (lrb_row){.kind = LRB_CHUNK_RECIPE, .count = 2};
        CHECK_OK(memory_store_put(&store, LRB_CHUNK_RECIPE, node, sizeof node, &row.id, &err));
    }
    CHECK_FAILS(drain(&store, &row), LRB_E_DAMAGED);
    lrb_buf_clear(&bytes);
    memory_store_clear(&store);
}

/* ---- memory ---- */

static int write_and_read(void) {
    memory_store store;
    outcome out;
    seen read;
    int code = memory_store_init(&store, &err);
    if (!code) code = write_body(&store, 300, NOT_CHANGED, &out);
    if (!code) code = read_body(&store, &out.root, &read);
    if (!code && read.items != 300) code = LRB_E_INTERNAL;
    memory_store_clear(&store);
    return code;
}

TEST(memory_running_out_is_survived) {
    int code = LRB_E_NOMEM;
    for (int n = 0; code; n++) {
        lrb_mem_fail_after(n, false);
        code = write_and_read();
        lrb_mem_fail_after(-1, false);
        CHECK(!code || code == LRB_E_NOMEM);
    }
}

int main(void) {
    RUN(bodies_of_every_length_come_back);
    RUN(facts_alone_are_a_body);
    RUN(the_facts_of_another_day_cost_one_chunk);
    RUN(one_changed_item_rewrites_one_chunk_and_its_nodes);
    RUN(a_body_has_the_bytes_of_the_format);
    RUN(records_out_of_order_are_refused_and_change_nothing);
    RUN(sizes_that_overflow_are_refused);
    RUN(a_failed_writer_makes_no_body);
    RUN(records_longer_than_a_chunk_stand_alone);
    RUN(forged_orders_are_damage);
    RUN(roots_that_are_no_body_are_damage);
    RUN(chunks_of_another_length_than_named_are_damage);
    RUN(a_body_cut_anywhere_is_damaged);
    RUN(a_flipped_body_never_leads_astray);
    RUN(a_body_that_repeats_itself_ends_at_the_first_repetition);
    RUN(memory_running_out_is_survived);
    return check_report();
}
