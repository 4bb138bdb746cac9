/* Seeds: Packs, entries, logs and key slots, sealed and not. */
#include "c/logbook.h"
#include "repo/key_slot.h"
#include "repo/pack.h"
#include "seeds.h"

/* ---- packs ---- */

static void add_chunk(lrb_pack_builder *builder, lrb_chunk_kind kind, const void *content, size_t count) {
    lrb_stored stored;
    lrb_id id;
    uint32_t ordinal;
    MUST_OK(lrb_chunk_id(seeds_coder, NULL, kind, 0, content, count, &id, &err));
    MUST_OK(lrb_chunk_encode(seeds_coder, &id, kind, 0, content, count, &stored, &err));
    MUST_OK(lrb_pack_builder_add(builder, &stored, &ordinal, &err));
}

/* Not drawn at random, so that writing the seeds anew writes the same. */
static void set_no_salt(lrb_pack_builder *builder) {
    static const uint8_t none[LRB_SALT_BYTES];
    MUST_OK(lrb_pack_builder_set_salt(builder, none, &err));
}

static void end_pack(lrb_pack_builder *builder, const char *name) {
    lrb_id id;
    MUST_OK(lrb_pack_builder_finish(builder, lrb_coder_digest(seeds_coder), &id, &err));
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

void seed_stored(lrb_buf *b, lrb_buf *other) {
    seed_packs();
    seed_entries(b, other);
    seed_sealed_entries(b, other);
    seed_sealed_packs(b);
    seed_key_slots(b);
    seed_logs(b, other);
    seed_checkpoint(b, other);
}
