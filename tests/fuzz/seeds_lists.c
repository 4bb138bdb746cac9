/* Seeds: Names, frames, records, recipes and bodies, the files of the cache, and journals. */
#include "c/logbook.h"
#include "codec/compress.h"
#include "engine/journal.h"
#include "repo/record.h"
#include "seeds.h"

/* ---- names and frames ---- */

static void put_name(lrb_buf *out, uint8_t room, const char *name) {
    put(out, &room, 1);
    put(out, name, strlen(name));
}

static void seed_names(lrb_buf *b) {
    char longest[256];
    memset(longest, 'x', 255);
    longest[255] = '\0';
    put_name(b, 40, "a/b/c"), end(b, "names", "plain");
    put_name(b, 40, "a/../b"), end(b, "names", "leads_out");
    put_name(b, 40, "/etc/passwd"), end(b, "names", "absolute");
    put_name(b, 9, "\xc3\xbc\xe2\x82\xac\xf0\x9f\x90\x98 \xff\x01\xc2\x85"), end(b, "names", "utf8_and_not");
    put_name(b, 255, longest), end(b, "names", "longest_component");
    put_name(b, 40, "graph-1.v_2"), end(b, "names", "graph_id");
}

static void put_frame(lrb_buf *out, const uint8_t *content, uint32_t count) {
    lrb_compressor *compressor;
    size_t written, room = lrb_compress_bound(count);
    uint8_t *frame = lrb_alloc(room);
    MUST(frame);
    MUST_OK(lrb_compressor_new(&compressor, &err));
    MUST_OK(lrb_compress(compressor, content, count, frame, room, &written, &err));
    MUST_OK(lrb_wire_u32(out, count, &err));
    put(out, frame, written);
    lrb_compressor_free(compressor);
    lrb_free(frame);
}

static void seed_frames(lrb_buf *b) {
    static uint8_t text[3000], zeros[200000];
    for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)("entity relation "[i % 16] + (i * i / 7) % 3);
    put_frame(b, text, sizeof text), end(b, "decompress", "text");
    put_frame(b, text, 20), end(b, "decompress", "short");
    put_frame(b, text, 0), end(b, "decompress", "empty");
    put_frame(b, zeros, sizeof zeros), end(b, "decompress", "zeros");
}

/* ---- records, recipes and bodies ---- */

static lrb_body_item item(const char *name, lrb_file_type type) {
    lrb_body_item made = {.name = name, .name_length = strlen(name), .type = type, .mode = 0644, .mtime_ns = 5};
    if (type == LRB_FILE_REGULAR) {
        made.size_bytes = 3;
        made.root = (lrb_row){.id = logbook_id(7, 'c'), .kind = LRB_CHUNK_RAW, .count = 3};
    }
    if (type == LRB_FILE_SYMLINK) {
        made.link_target = "to";
        made.size_bytes = made.link_target_length = 2;
    }
    return made;
}

static void put_item(lrb_buf *b, const char *name, lrb_file_type type) {
    lrb_body_item made = item(name, type);
    MUST_OK(lrb_record_put_item(b, &made, &err));
}

static void put_first_records(lrb_buf *b) {
    MUST_OK(lrb_record_put_facts(b, "{\"a\":1}", 7, &err));
    put_item(b, "dir", LRB_FILE_DIRECTORY);
}

static void put_last_records(lrb_buf *b) {
    put_item(b, "dir/file", LRB_FILE_REGULAR);
    put_item(b, "link", LRB_FILE_SYMLINK);
    MUST_OK(lrb_record_put_skipped(b, "pipe", "a fifo", &err));
}

static void seed_records(lrb_buf *b) {
    put_first_records(b);
    put_last_records(b);
    end(b, "record", "every_type");
    put_item(b, "file", LRB_FILE_REGULAR);
    MUST_OK(lrb_field_put_text(b, LRB_FIELD_OPTIONAL | 99, "later", &err));
    lrb_put_u32(b->data + 4, (uint32_t)b->length - LRB_RECORD_HEAD_BYTES);
    end(b, "record", "an_optional_field");
}

/* Rows of store.h: `count` pairs of kind and chunk number, none twisted. */
static void put_rows(lrb_buf *b, const uint8_t (*rows)[2], size_t count) {
    for (size_t i = 0; i < count; i++) {
        put(b, rows[i], 2);
        put_zeros(b, 1);
    }
}

static void put_root(lrb_buf *b, uint8_t kind, uint8_t chunk) {
    const uint8_t row[1][2] = {{kind, chunk}};
    put_rows(b, row, 1);
}

static void put_node(lrb_buf *b, const uint8_t (*rows)[2], uint16_t count) {
    MUST_OK(lrb_wire_u16(b, (uint16_t)(0x8000 | count * 3), &err));
    put_rows(b, rows, count);
}

static void put_data(lrb_buf *b, const lrb_buf *content) {
    MUST_OK(lrb_wire_u16(b, (uint16_t)content->length, &err));
    put(b, content->data, content->length);
}

static void seed_recipes(lrb_buf *b, lrb_buf *content) {
    const uint8_t top[2][2] = {{LRB_CHUNK_RECIPE, 1}, {LRB_CHUNK_RECIPE, 2}};
    const uint8_t leaf[3][2] = {{LRB_CHUNK_RAW, 3}, {LRB_CHUNK_RAW, 4}, {LRB_CHUNK_RAW, 3}};
    const uint8_t itself[2][2] = {{LRB_CHUNK_RECIPE, 0}, {LRB_CHUNK_RECIPE, 0}};
    lrb_buf_empty(content);
    put(content, "content", 7);
    put_root(b, LRB_CHUNK_RAW, 0), put_data(b, content), end(b, "recipe", "one_chunk");
    put_root(b, LRB_CHUNK_NONE, 0), end(b, "recipe", "empty");
    put_root(b, LRB_CHUNK_RECIPE, 0), put_node(b, top, 2), put_node(b, leaf, 3), put_node(b, leaf, 2);
    put_data(b, content), put_data(b, content);
    end(b, "recipe", "two_levels");
    put_root(b, LRB_CHUNK_RECIPE, 0), put_node(b, itself, 2), end(b, "recipe", "names_itself");
}

/* Twenty levels of two rows each: a million rows in 200 bytes. */
static void seed_bomb(lrb_buf *b, lrb_buf *content) {
    enum { LEVELS = 20 };
    lrb_buf_empty(content);
    put(content, "x", 1);
    put_root(b, LRB_CHUNK_RECIPE, 0);
    for (uint8_t level = 1; level <= LEVELS; level++) {
        uint8_t kind = level < LEVELS ? LRB_CHUNK_RECIPE : LRB_CHUNK_RAW;
        const uint8_t rows[2][2] = {{kind, level}, {kind, level}};
        put_node(b, rows, 2);
    }
    put_data(b, content);
    end(b, "recipe", "unfolds_to_a_million");
}

static void seed_bodies(lrb_buf *b, lrb_buf *content) {
    const uint8_t both[2][2] = {{LRB_CHUNK_BODY, 1}, {LRB_CHUNK_BODY, 2}};
    lrb_buf_empty(content);
    put_first_records(content);
    put_root(b, LRB_CHUNK_BODY, 0), put_data(b, content), end(b, "body", "one_chunk");
    put_root(b, LRB_CHUNK_RECIPE, 0), put_node(b, both, 2), put_data(b, content);
    lrb_buf_empty(content);
    put_last_records(content);
    put_data(b, content), end(b, "body", "two_chunks");
}

/* ---- files of the cache, and journals ---- */

static void seed_indexes(lrb_buf *b) {
    enum { PACKS = 2, SLOTS = 6, NUMBER = 3 };
    put(b, "lrbindx1\1\0", 10), put_zeros(b, 22);
    MUST_OK(lrb_wire_u64(b, NUMBER, &err));
    put_zeros(b, 32);
    MUST_OK(lrb_wire_u32(b, PACKS, &err));
    put_zeros(b, 12); /* the slots are counted by the target */
    for (uint64_t i = 0; i < PACKS; i++) put(b, logbook_pack(2 + i).id.bytes, LRB_DIGEST_BYTES);
    for (uint32_t i = 0; i < SLOTS; i++) {
        MUST_OK(lrb_wire_u64(b, (i / 2) * UINT64_C(0x3456789abcdef012), &err));
        MUST_OK(lrb_wire_u32(b, i % PACKS, &err));
        MUST_OK(lrb_wire_u32(b, i, &err));
    }
    put_zeros(b, LRB_DIGEST_BYTES);
    end(b, "index_file", "two_packs");
}

static void put_source(lrb_buf *b, const char *name, int64_t observed_ns, uint32_t tags, uint32_t sections) {
    uint8_t row[LRB_ROW_BYTES];
    lrb_row root = item(name, LRB_FILE_REGULAR).root;
    MUST_OK(lrb_wire_u16(b, (uint16_t)strlen(name), &err));
    put(b, name, strlen(name));
    if (observed_ns) put_zeros(b, 40);
    else put(b, "0123456789012345678901234567890123456789", 40);
    put(b, logbook_id(3, 's').bytes, 32);
    lrb_row_encode(&root, row);
    put(b, row, sizeof row);
    MUST_OK(lrb_wire_u32(b, tags, &err));
    MUST_OK(lrb_wire_u32(b, sections, &err));
    put(b, "\1", 1); /* its rows were clear */
    put_zeros(b, 16 * tags + 32 * sections);
}

static void seed_sources(lrb_buf *b, int64_t observed_ns, const char *name) {
    put(b, "lrbsrcs4\1\0", 10), put_zeros(b, 22);
    MUST_OK(lrb_wire_u64(b, (uint64_t)observed_ns, &err));
    MUST_OK(lrb_wire_u64(b, 3, &err));
    const uint32_t tags = observed_ns ? 3 : 0; /* of "c", whose size the target knows */
    put_zeros(b, 32); /* the key */
    put_source(b, "a", observed_ns, 0, 0), put_source(b, "aa", observed_ns, 0, 1), put_source(b, "c", observed_ns, tags, 2);
    put_zeros(b, LRB_DIGEST_BYTES);
    end(b, "source_cache", name);
}

static void seed_journals(void) {
    lrb_buf b;
    MUST_OK(lrb_journal_begin(&b, &err));
    put_zeros(&b, LRB_DIGEST_BYTES);
    save("journal", "empty", &b);
    lrb_buf_clear(&b);
    MUST_OK(lrb_journal_begin(&b, &err));
    for (int op = LRB_JOURNAL_PUT; op <= LRB_JOURNAL_ASIDE; op++)
        for (size_t i = 0; i < 2; i++)
            MUST_OK(lrb_journal_add(&b, (lrb_journal_op)op, "d/ab", 3 + i, 0755, -1, &err));
    put_zeros(&b, LRB_DIGEST_BYTES);
    save("journal", "every_op", &b);
    lrb_buf_clear(&b);
}

void seed_lists(lrb_buf *b, lrb_buf *other) {
    seed_names(b);
    seed_frames(b);
    seed_records(b);
    seed_recipes(b, other);
    seed_bomb(b, other);
    seed_bodies(b, other);
    seed_indexes(b);
    seed_sources(b, INT64_MAX, "observed_late");
    seed_sources(b, 0, "other_identities");
    seed_journals();
}
