/* Writes the corpus the fuzz targets start from: seeds <directory>. For each target a handful of inputs, nearly all of
 * them accepted, so that fuzzing begins behind the first checks. `make fuzz-seeds` runs it; what it writes is checked
 * in, and the input of every finding beside it. */
#include <libdeflate.h>
#include <sys/stat.h>

#include "base/path.h"
#include "c/logbook.h"
#include "c/rows.h"
#include "c/small_graph.h"
#include "c/vector_file.h"
#include "codec/base64.h"
#include "codec/compress.h"
#include "codec/corrections.h"
#include "codec/vectors.h"
#include "engine/journal.h"
#include "fuzz.h"
#include "lightrag/vdb_parts.h"
#include "repo/key_slot.h"
#include "repo/pack.h"
#include "repo/record.h"

enum { SEED_MAX_BYTES = 1 << 20 };

static lrb_err err;
static const char *corpus;
static lrb_coder *coder;

static void save(const char *target, const char *name, const lrb_buf *bytes) {
    char path[LRB_PATH_MAX];
    int dir;
    MUST_OK(lrb_path_join(path, corpus, target, &err));
    MUST_OK(lrb_fs_make_dir(AT_FDCWD, path, 0755, &err));
    MUST_OK(lrb_fs_open_dir(AT_FDCWD, path, &dir, &err));
    fuzz_write_file(dir, name, bytes->data, bytes->length);
    lrb_fs_close(dir);
}

/* Saves and starts the next one. */
static void end(lrb_buf *bytes, const char *target, const char *name) {
    save(target, name, bytes);
    lrb_buf_empty(bytes);
}

static void put(lrb_buf *out, const void *bytes, size_t count) {
    MUST_OK(lrb_buf_append(out, bytes, count, &err));
}

static void put_zeros(lrb_buf *out, size_t count) {
    static const uint8_t zeros[256];
    MUST(count <= sizeof zeros);
    put(out, zeros, count);
}

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

/* ---- packs ---- */

static void add_chunk(lrb_pack_builder *builder, lrb_chunk_kind kind, const void *content, size_t count) {
    lrb_stored stored;
    lrb_id id;
    uint32_t ordinal;
    MUST_OK(lrb_chunk_id(coder, NULL, kind, 0, content, count, &id, &err));
    MUST_OK(lrb_chunk_encode(coder, &id, kind, 0, content, count, &stored, &err));
    MUST_OK(lrb_pack_builder_add(builder, &stored, &ordinal, &err));
}

/* Not drawn at random, so that writing the seeds anew writes the same. */
static void set_no_salt(lrb_pack_builder *builder) {
    static const uint8_t none[LRB_SALT_BYTES];
    MUST_OK(lrb_pack_builder_set_salt(builder, none, &err));
}

static void end_pack(lrb_pack_builder *builder, const char *name) {
    lrb_id id;
    MUST_OK(lrb_pack_builder_finish(builder, lrb_coder_digest(coder), &id, &err));
    save("pack", name, &builder->bytes);
    MUST_OK(lrb_pack_builder_reset(builder, &err));
    set_no_salt(builder);
}

static void seed_packs(void) {
    static lrb_vault vault;
    static uint8_t text[600];
    lrb_pack_builder b;
    uint32_t ordinal;
    lrb_stored later = {.kind = LRB_CHUNK_VECTORS, .codec = LRB_CODEC_VECTOR, .dim = 64, .content_length = 8,
                        .stored_length = 3, .bytes = text};
    memset(text, 'e', sizeof text);
    MUST_OK(lrb_vault_open(&vault, logbook_id(1, 'r').bytes, "g", NULL, &err));
    MUST_OK(lrb_pack_builder_init(&b, &vault, &err));
    set_no_salt(&b);
    add_chunk(&b, LRB_CHUNK_RAW, "one", 3);
    end_pack(&b, "one_chunk");
    add_chunk(&b, LRB_CHUNK_RAW, text, sizeof text);
    add_chunk(&b, LRB_CHUNK_RECIPE, text, 2 * LRB_ROW_BYTES);
    add_chunk(&b, LRB_CHUNK_BODY, "", 0);
    add_chunk(&b, LRB_CHUNK_PAYLOAD, "payload", 7);
    end_pack(&b, "every_kind");
    add_chunk(&b, LRB_CHUNK_RAW, "known", 5);
    MUST_OK(lrb_pack_builder_add(&b, &later, &ordinal, &err));
    end_pack(&b, "a_later_kind");
    lrb_pack_builder_clear(&b);
}

/* ---- entries and logs of entries ---- */

static void snapshot_payload(lrb_buf *payload, uint64_t number, bool full) {
    lrb_snapshot s = logbook_snapshot(number);
    memcpy(s.verdict, full ? "usable" : "", full ? 7 : 1);
    s.safety = full;
    lrb_buf_empty(payload);
    MUST_OK(lrb_snapshot_encode(&s, payload, &err));
}

static void reference_payload(lrb_buf *payload, uint64_t snapshot, const char *holder) {
    char id[LRB_SNAPSHOT_ID_MAX];
    logbook_name(snapshot, id);
    lrb_buf_empty(payload);
    MUST_OK(lrb_field_put_text(payload, LRB_F_SNAPSHOT_REF, id, &err));
    if (holder) MUST_OK(lrb_field_put_text(payload, LRB_F_HOLDER, holder, &err));
    MUST_OK(lrb_field_put_text(payload, LRB_F_REASON, "why", &err));
}

static void pack_payload(lrb_buf *payload, uint8_t seed) {
    lrb_id id;
    memset(id.bytes, seed, sizeof id.bytes);
    lrb_buf_empty(payload);
    MUST_OK(lrb_field_put(payload, LRB_F_PACK_REF, id.bytes, sizeof id.bytes, &err));
}

static void end_entry(lrb_buf *b, lrb_entry_kind kind, const lrb_buf *payload, uint32_t packs, const char *name) {
    lrb_pack_ref refs[2] = {logbook_pack(1), logbook_pack(2)};
    lrb_state state;
    lrb_state_init(&state);
    lrb_entry entry = logbook_next(&state, kind, payload);
    entry.packs = refs;
    entry.pack_count = packs;
    MUST_OK(lrb_entry_encode(&entry, NULL, b, &err));
    end(b, "entry", name);
}

static void seed_entries(lrb_buf *b, lrb_buf *payload) {
    lrb_buf_empty(payload);
    end_entry(b, LRB_ENTRY_CHECKPOINT, payload, 0, "first");
    snapshot_payload(payload, 1, true);
    end_entry(b, LRB_ENTRY_SNAPSHOT, payload, 2, "snapshot");
    reference_payload(payload, 1, NULL);
    end_entry(b, LRB_ENTRY_DROP, payload, 0, "drop");
    pack_payload(payload, 1);
    end_entry(b, LRB_ENTRY_RETIRE, payload, 0, "retire");
}

/* ---- what is sealed: the targets put seals, digests and MACs right, the seeds leave room for them ---- */

static void seed_sealed_entries(lrb_buf *b, lrb_buf *payload) {
    enum { AT_PAYLOAD_LENGTH = 144 };
    lrb_pack_ref refs[2] = {logbook_pack(1), logbook_pack(2)};
    for (uint32_t packs = 0; packs < 3; packs++) {
        lrb_state state;
        lrb_state_init(&state);
        snapshot_payload(payload, 1, packs);
        uint32_t sealed_length = (uint32_t)payload->length + LRB_TAG_BYTES;
        lrb_entry entry = logbook_next(&state, LRB_ENTRY_SNAPSHOT, payload);
        entry.packs = refs;
        entry.pack_count = packs;
        MUST_OK(lrb_entry_encode(&entry, NULL, b, &err));
        put_zeros(b, LRB_TAG_BYTES);
        lrb_put_u32(b->data + AT_PAYLOAD_LENGTH, sealed_length);
        end(b, "sealed_entry", packs ? packs > 1 ? "two_packs" : "one_pack" : "no_packs");
    }
}

static void put_row(lrb_buf *b, const char *content, uint32_t offset) {
    uint8_t row[LRB_PACK_ROW_BYTES] = {0};
    uint32_t length = (uint32_t)strlen(content);
    lrb_put_u32(row + 32, offset);
    lrb_put_u32(row + 36, length + LRB_TAG_BYTES);
    lrb_put_u32(row + 40, length);
    row[48] = LRB_CHUNK_RAW;
    put(b, row, sizeof row);
}

static void seed_sealed_packs(lrb_buf *b) {
    static const char *const contents[] = {"one", "", "another chunk"};
    uint8_t header[LRB_PACK_HEADER_BYTES] = "lrbpack1", footer[LRB_PACK_FOOTER_BYTES] = {0};
    header[8] = LRB_FORMAT_VERSION;
    memcpy(footer + 56, "lrbpend1", 8);
    for (uint32_t chunks = 1; chunks <= 3; chunks++) {
        uint32_t offset = LRB_PACK_HEADER_BYTES;
        put(b, header, sizeof header);
        for (uint32_t i = 0; i < chunks; i++) {
            put(b, contents[i], strlen(contents[i]));
            put_zeros(b, LRB_TAG_BYTES);
        }
        for (uint32_t i = 0; i < chunks; i++) {
            put_row(b, contents[i], offset);
            offset += (uint32_t)strlen(contents[i]) + LRB_TAG_BYTES;
        }
        put_zeros(b, LRB_TAG_BYTES);
        lrb_put_u32(footer + 4, chunks);
        put(b, footer, sizeof footer);
        end(b, "sealed_pack", chunks == 1 ? "one_chunk" : chunks == 2 ? "an_empty_chunk" : "three_chunks");
    }
}

static void seed_key_slots(lrb_buf *b) {
    static const lrb_key key = {{1}};
    lrb_passphrase passphrase = {(const uint8_t *)"passphrase", 10};
    lrb_key_slot slot, removal;
    MUST_OK(lrb_key_slot_new(&key, &passphrase, (lrb_scrypt_cost){4, 8, 1}, 1, &slot, &err));
    put(b, slot.bytes, sizeof slot.bytes), end(b, "key_slot", "passphrase");
    MUST_OK(lrb_key_slot_removal(&key, &slot, 2, &removal, &err));
    put(b, removal.bytes, sizeof removal.bytes), end(b, "key_slot", "removed");
    MUST_OK(lrb_key_slot_new(&key, NULL, lrb_passphrase_cost, 3, &slot, &err));
    put(b, slot.bytes, sizeof slot.bytes), end(b, "key_slot", "key_file");
}

/* A record of fuzz_state.c. */
static void put_step(lrb_buf *b, lrb_entry_kind kind, uint8_t flags, uint8_t packs, uint8_t first_seed,
                     const lrb_buf *payload) {
    uint8_t head[3] = {(uint8_t)kind, flags, packs};
    put(b, head, sizeof head);
    MUST_OK(lrb_wire_u16(b, payload ? (uint16_t)payload->length : 0, &err));
    for (uint8_t i = 0; i < packs; i++) {
        MUST_OK(lrb_wire_u8(b, (uint8_t)(first_seed + i), &err));
        MUST_OK(lrb_wire_u16(b, (uint16_t)(1000 + first_seed + i), &err));
    }
    if (payload) put(b, payload->data, payload->length);
}

static void put_take(lrb_buf *b, lrb_buf *payload, uint64_t snapshot, uint8_t packs, uint8_t first_seed) {
    snapshot_payload(payload, snapshot, snapshot % 2);
    put_step(b, LRB_ENTRY_SNAPSHOT, 0, packs, first_seed, payload);
}

static void put_hold(lrb_buf *b, lrb_buf *payload, lrb_entry_kind kind, uint64_t snapshot, const char *holder) {
    reference_payload(payload, snapshot, holder);
    put_step(b, kind, 0, 0, 0, payload);
}

static void put_status(lrb_buf *b, lrb_buf *payload, lrb_entry_kind kind, uint8_t seed, uint8_t written) {
    pack_payload(payload, seed);
    put_step(b, kind, 0, written, (uint8_t)(seed + 1), payload);
}

static void begin_log(lrb_buf *b) {
    put_zeros(b, 1); /* the first number */
    put_step(b, LRB_ENTRY_CHECKPOINT, 0, 0, 0, NULL);
}

static void seed_logs(lrb_buf *b, lrb_buf *payload) {
    enum { OWN_CHECKPOINT = 16 };
    begin_log(b);
    put_take(b, payload, 1, 2, 1);
    put_take(b, payload, 2, 1, 3);
    put_hold(b, payload, LRB_ENTRY_HOLD, 1, "user");
    put_hold(b, payload, LRB_ENTRY_DROP, 2, NULL);
    put_step(b, LRB_ENTRY_CHECKPOINT, OWN_CHECKPOINT, 0, 0, NULL);
    put_hold(b, payload, LRB_ENTRY_RELEASE, 1, "user");
    end(b, "state", "hold_and_drop");
    begin_log(b);
    put_take(b, payload, 1, 3, 1);
    put_status(b, payload, LRB_ENTRY_RETIRE, 1, 0);
    put_status(b, payload, LRB_ENTRY_UNRETIRE, 1, 0);
    put_status(b, payload, LRB_ENTRY_REPACK, 2, 1);
    put_status(b, payload, LRB_ENTRY_SWEEP, 2, 0);
    put_status(b, payload, LRB_ENTRY_DAMAGED, 3, 0);
    put_status(b, payload, LRB_ENTRY_RETIRE, 9, 0);
    put_step(b, LRB_ENTRY_CHECKPOINT, OWN_CHECKPOINT, 0, 0, NULL);
    end(b, "state", "packs");
}

/* A log that begins with a checkpoint of another one. */
static void seed_checkpoint(lrb_buf *b, lrb_buf *payload) {
    lrb_state state;
    lrb_pack_ref packs[2] = {logbook_pack(1), logbook_pack(2)};
    uint8_t number = 100;
    lrb_state_init(&state);
    MUST_OK(logbook_begin(&state, &err));
    MUST_OK(logbook_take(&state, 1, packs, 2, &err));
    MUST_OK(logbook_take(&state, 2, NULL, 0, &err));
    MUST_OK(logbook_hold(&state, LRB_ENTRY_HOLD, 1, "user", &err));
    lrb_buf_empty(payload);
    MUST_OK(lrb_state_checkpoint(&state, payload, &err));
    put(b, &number, 1);
    put_step(b, LRB_ENTRY_CHECKPOINT, 0, 0, 0, payload);
    put_hold(b, payload, LRB_ENTRY_RELEASE, 1, "user");
    end(b, "state", "from_a_checkpoint");
    lrb_state_clear(&state);
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

static void put_source(lrb_buf *b, const char *name, int64_t observed_ns, uint32_t tags) {
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
    put_zeros(b, 16 * tags);
}

static void seed_sources(lrb_buf *b, int64_t observed_ns, const char *name) {
    put(b, "lrbsrcs3\1\0", 10), put_zeros(b, 22);
    MUST_OK(lrb_wire_u64(b, (uint64_t)observed_ns, &err));
    MUST_OK(lrb_wire_u64(b, 3, &err));
    const uint32_t tags = observed_ns ? 3 : 0; /* of "c", whose size the target knows */
    put_zeros(b, 32); /* the key */
    put_source(b, "a", observed_ns, 0), put_source(b, "aa", observed_ns, 0), put_source(b, "c", observed_ns, tags);
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

/* ---- LightRAG's files ---- */

static void seed_vector_file(lrb_buf *b, uint32_t dim, size_t rows, const char *name) {
    vector_file f = vector_file_of(dim, rows);
    put(b, "\x10", 1), put(b, f.bytes.data, f.bytes.length), end(b, "vdb", name);
    lrb_buf_clear(&f.bytes);
}

static void seed_lightrag(lrb_buf *b) {
    static const char json[] = "{\n  \"a\": {\n    \"content\": \"x\"\n  },\n  \"b\": {}\n}";
    static const char graphml[] = "<?xml version='1.0'?>\n<graphml a=\"b\">\n  <graph>\n    <node id=\"E1\" />\n"
                                  "    <edge source=\"E1\" target=\"E2\">\n    </edge>\n  </graph>\n</graphml>\n";
    seed_vector_file(b, 4, 3, "three_records");
    seed_vector_file(b, 1, 1, "one_number");
    seed_vector_file(b, 4, 0, "no_record");
    put(b, json, sizeof json - 1), end(b, "records", "json");
    put(b, graphml, sizeof graphml - 1), end(b, "records", "graphml");
}

/* ---- what is stored of vector files ---- */

enum { VECTOR_DIM = 16, VECTOR_ROWS = 3, STREAM_BYTES = 2 * VECTOR_DIM + 11 };

/* What it is, dim less one, how many bytes are expected: then its bytes. */
static void put_part(lrb_buf *out, uint8_t what, uint32_t expected, const void *bytes, size_t count) {
    uint8_t head[7] = {what, VECTOR_DIM - 1, 0};
    lrb_put_u32(head + 3, expected);
    put(out, head, sizeof head);
    put(out, bytes, count);
}

static void seed_vectors(lrb_buf *b) {
    uint8_t content[1024], stored[1024], halves[2 * VECTOR_DIM], row[4 * VECTOR_DIM], scratch[4 * VECTOR_DIM];
    lrb_vector_coder *vectors;
    lrb_vectors_shape shape;
    lrb_buf corrections;
    uint64_t seed = 9;
    size_t written;
    lrb_buf_init(&corrections, SEED_MAX_BYTES);
    MUST_OK(lrb_vector_coder_new(&vectors, &err));
    MUST_OK(lrb_vectors_shape_of(VECTOR_DIM, VECTOR_ROWS, VECTOR_ROWS * STREAM_BYTES, &shape, &err));
    lrb_put_u32(content, VECTOR_ROWS);
    for (uint32_t i = 0; i < VECTOR_ROWS; i++) {
        lrb_canonical_path path;
        uint8_t *canonical = content + shape.values + 4 * VECTOR_DIM * i;
        row_make(&seed, VECTOR_DIM, 1, halves, row);
        lrb_row_canonical(row, VECTOR_DIM, canonical, scratch, &path);
        row[5] ^= 1;
        MUST_OK(lrb_corrections_append(&corrections, i, row, canonical, VECTOR_DIM, &path, &err));
        lrb_put_u32(content + shape.lengths + 4 * i, STREAM_BYTES);
        row_stream(halves, sizeof halves, content + shape.streams + i * STREAM_BYTES);
    }
    MUST_OK(lrb_vectors_encode(vectors, content, shape.total, VECTOR_DIM, stored, sizeof stored, &written, &err));
    put_part(b, 0, (uint32_t)shape.total, stored, written), end(b, "vectors", "stored");
    put_part(b, 1, 0, content, shape.total), end(b, "vectors", "content");
    put_part(b, 2, 0, corrections.data, corrections.length), end(b, "vectors", "corrections");
    lrb_vector_coder_free(vectors);
    lrb_buf_clear(&corrections);
}

static void seed_vector_parts(lrb_buf *b) {
    static const uint8_t texts[] = {2, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 'a', 'b', 'c', 'd'};
    lrb_vdb_frame frame = {.rows = 3, .dim = VECTOR_DIM, .middle_bytes = 1, .end_bytes = 2,
                           .middle = (const uint8_t *)"m", .end = (const uint8_t *)"ee"};
    lrb_buf content;
    lrb_buf_init(&content, SEED_MAX_BYTES);
    put_part(b, 3, 0, texts, sizeof texts), end(b, "vectors", "texts");
    MUST_OK(lrb_vdb_frame_encode(&frame, &content, &err));
    put_part(b, 4, 0, content.data, content.length), end(b, "vectors", "frame");
    lrb_buf_clear(&content);
}

/* ---- the vector codec alone ---- */

/* A content of rows with streams that are stored blocks, of zlib's usual level or another. */
static size_t vectors_content(uint8_t *out, uint32_t dim, uint32_t rows, bool usual) {
    uint64_t seed = dim;
    uint8_t *lengths = out + 4, *values = lengths + 4 * rows, *stream = values + 4 * (size_t)dim * rows, halves[256];
    lrb_put_u32(out, rows);
    for (uint32_t i = 0; i < rows; i++) {
        row_make(&seed, dim, 1, halves, values + 4 * (size_t)dim * i);
        size_t length = row_stream(halves, 2 * (size_t)dim, stream);
        if (!usual) stream[1] = 0x01;
        lrb_put_u32(lengths + 4 * i, (uint32_t)length);
        stream += length;
    }
    return (size_t)(stream - out);
}

static void put_vectors_head(lrb_buf *b, uint32_t dim, size_t expected) {
    MUST_OK(lrb_wire_u16(b, (uint16_t)dim, &err));
    MUST_OK(lrb_wire_u32(b, (uint32_t)expected, &err));
}

static void seed_rows(lrb_buf *b) {
    static uint8_t content[8192], stored[8192];
    static const char *const names[2][2] = {{"content", "stored"}, {"content_split", "stored_split"}};
    lrb_vector_coder *vectors;
    MUST_OK(lrb_vector_coder_new(&vectors, &err));
    for (int usual = 0; usual < 2; usual++) {
        size_t written, count = vectors_content(content, 100, 3, usual);
        MUST_OK(lrb_vectors_encode(vectors, content, count, 100, stored, count, &written, &err));
        MUST(written);
        put_vectors_head(b, 100, 0), put(b, content, count), end(b, "rows", names[usual][0]);
        put_vectors_head(b, 100, count), put(b, stored, written), end(b, "rows", names[usual][1]);
    }
    lrb_vector_coder_free(vectors);
}

static void seed_corrections(lrb_buf *b) {
    uint8_t halves[200], row[400], canonical[400], scratch[400];
    uint64_t seed = 3;
    MUST_OK(lrb_wire_u16(b, 99, &err));
    for (uint32_t i = 0; i < 12; i++) {
        lrb_canonical_path path;
        row_make(&seed, 100, 1, halves, row);
        lrb_row_canonical(row, 100, canonical, scratch, &path);
        if (i % 3 == 0) row[5] ^= 1;
        MUST_OK(lrb_corrections_append(b, i, row, canonical, 100, &path, &err));
    }
    end(b, "corrections", "twelve_rows");
    MUST_OK(lrb_wire_u16(b, 99, &err));
    put(b, row, sizeof row), end(b, "corrections", "a_row");
}

static void seed_streams(lrb_buf *b) {
    uint8_t halves[800], row[1600], stream[1024];
    uint64_t seed = 4;
    MUST_OK(lrb_wire_u16(b, sizeof halves, &err));
    for (int level = 1; level < 12; level += 2) {
        struct libdeflate_compressor *c = libdeflate_alloc_compressor(level);
        row_make(&seed, 400, 1, halves, row);
        if (level > 5) memset(halves + 90, level, 300);
        size_t length = libdeflate_zlib_compress(c, halves, sizeof halves, stream, sizeof stream);
        libdeflate_free_compressor(c);
        MUST_OK(lrb_wire_u16(b, (uint16_t)length, &err));
        put(b, stream, length);
    }
    end(b, "inflate", "rows");
}

static void seed_base64(lrb_buf *b) {
    uint8_t bytes[301];
    char text[404];
    sample_fill(bytes, sizeof bytes, 5);
    for (size_t count = 299; count <= 301; count++) {
        char name[16];
        lrb_base64_encode(bytes, count, text);
        snprintf(name, sizeof name, "of_%zu", count);
        put(b, text, lrb_base64_encoded_length(count)), end(b, "base64", name);
    }
}

/* ---- the validator's files ---- */

static void seed_text(lrb_buf *b, const char *target, const char *name, const char *text) {
    put(b, text, strlen(text));
    end(b, target, name);
}

static void seed_json(lrb_buf *b) {
    seed_text(b, "json", "vdb", "{\"embedding_dim\": 2, \"data\": [{\"__id__\": \"ent-a\", \"vector\": \"eJxjYGBgAAAABAAB\"}], \"matrix\": \"AACAPwAAAAA=\"}");
    seed_text(b, "json", "store", "{\n  \"doc-1\": {\n    \"status\": \"processed\",\n    \"chunks_list\": [],\n    \"n\": -1.5e+3\n  }\n}");
    seed_text(b, "json", "escapes", "[\"\\u00e9\\ud83d\\ude00\\ud800\\/\\n\", \"\xe4\xb8\xad\xf0\x9f\x98\x80\", true, false, null]");
    seed_text(b, "json", "nested", "[[[[{\"a\":[[{\"b\":{}}]]}]]],0,-0,1E9]");
}

/* "d" and a NUL before the document: the HTTP status 200. */
static void seed_answer(lrb_buf *b, const char *name, const char *document) {
    put(b, "d", 2);
    seed_text(b, "answer", name, document);
}

static void seed_answers(lrb_buf *b) {
    seed_answer(b, "ready", "{\"product\":\"lightrag-bkp\",\"protocol\":1,\"version\":\"0.1.0\",\"instance_id\":\"a\",\"authenticated\":true,"
                            "\"ready\":true,\"busy\":false,\"low_space\":false,\"epoch\":1,\"free_bytes\":9,\"reason\":\"\"}");
    seed_answer(b, "not_ready", "{\"product\":\"lightrag-bkp\",\"protocol\":1,\"instance_id\":\"a\",\"authenticated\":true,\"reason\":\"\\u001b[31m\"}");
    seed_answer(b, "other", "{\"status\":\"healthy\",\"configuration\":{\"llm\":[{}]}}");
}

static void seed_graphml(lrb_buf *b) {
    seed_text(b, "graphml", "graph", "<?xml version='1.0' encoding='utf-8'?>\n<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">"
                                     "<key id=\"d9\" for=\"edge\" attr.name=\"weight\" attr.type=\"double\"/><key id=\"d3\" attr.name=\"source_id\"/>"
                                     "<key id=\"d0\" attr.name=\"entity_id\" attr.type=\"string\"/><graph edgedefault=\"undirected\"><node id=\"A\">"
                                     "<data key=\"d0\">A</data><data key=\"d3\">a&lt;SEP&gt;b</data></node><edge source=\"A\" target=\"&#228;\">"
                                     "<data key=\"d9\">1.5</data></edge></graph></graphml>");
    seed_text(b, "graphml", "bomb", "<!DOCTYPE g [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><graphml>&b;</graphml>");
    seed_text(b, "graphml", "bare", "<graphml><graph><node id=\"x\"/></graph></graphml>");
}

static void put_file(lrb_buf *b, size_t number, const void *bytes, size_t count) {
    uint8_t head[3] = {(uint8_t)number};
    lrb_put_u16(head + 1, (uint16_t)count);
    put(b, head, sizeof head);
    put(b, bytes, count);
}

static void seed_validation(lrb_buf *b) {
    static const char meta[] = "{\"0\": {\"__id__\": \"ent-48ed5d2db39237d7ae5e829b17581629\", \"entity_name\": \"E1\", \"content\": \"E1\\n\"}}";
    static const char config[] = "{\"/embedding/chunks\": {\"value\": {\"dim\": 3}}, \"_lightrag_server/storage_identity\": {\"value\": {\"uuid\": \"u\"}}}";
    static const char anchor[] = "{\"backend\": \"JsonKVStorage\", \"storage_uuid\": \"u\"}";
    uint8_t index[45 + 12] = "IxFI\x03";
    for (size_t i = 0; i < SMALL_FILES; i++) {
        put_file(b, i, SMALL_GRAPH[i].text, strlen(SMALL_GRAPH[i].text));
        end(b, "validation", SMALL_GRAPH[i].name);
    }
    index[8] = 1, index[32] = 1, index[37] = 3, index[48] = 0x3f, index[47] = 0x80;
    put_file(b, SMALL_FILES, index, sizeof index);
    put_file(b, SMALL_FILES + 1, meta, sizeof meta - 1);
    end(b, "validation", "faiss");
    put_file(b, SMALL_FILES + 2, config, sizeof config - 1);
    put_file(b, SMALL_FILES + 3, anchor, sizeof anchor - 1);
    end(b, "validation", "config");
}

int main(int argc, char **argv) {
    lrb_buf bytes, other;
    if (argc != 2) return fprintf(stderr, "usage: seeds <directory>\n"), 2;
    corpus = argv[1];
    lrb_buf_init(&bytes, SEED_MAX_BYTES);
    lrb_buf_init(&other, SEED_MAX_BYTES);
    MUST_OK(lrb_coder_new(&coder, &err));
    MUST_OK(lrb_fs_make_dir(AT_FDCWD, corpus, 0755, &err));
    seed_names(&bytes);
    seed_frames(&bytes);
    seed_packs();
    seed_entries(&bytes, &other);
    seed_sealed_entries(&bytes, &other);
    seed_sealed_packs(&bytes);
    seed_key_slots(&bytes);
    seed_logs(&bytes, &other);
    seed_checkpoint(&bytes, &other);
    seed_records(&bytes);
    seed_recipes(&bytes, &other);
    seed_bomb(&bytes, &other);
    seed_bodies(&bytes, &other);
    seed_indexes(&bytes);
    seed_sources(&bytes, INT64_MAX, "observed_late");
    seed_sources(&bytes, 0, "other_identities");
    seed_journals();
    seed_lightrag(&bytes);
    seed_vectors(&bytes);
    seed_vector_parts(&bytes);
    seed_rows(&bytes);
    seed_corrections(&bytes);
    seed_streams(&bytes);
    seed_base64(&bytes);
    seed_json(&bytes);
    seed_answers(&bytes);
    seed_graphml(&bytes);
    seed_validation(&bytes);
    lrb_coder_free(coder);
    lrb_buf_clear(&bytes);
    lrb_buf_clear(&other);
    return 0;
}
