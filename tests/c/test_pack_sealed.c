/* Sealed packs: what opens them, what of them is seen to have changed, and that nothing is sealed twice alike. */
#include "packs.h"

/* ---- sealed packs ---- */

static lrb_vault sealed;

static int build_sealed(lrb_pack_builder *b, lrb_id *name) {
    int code = lrb_pack_builder_init(b, &sealed, &err);
    if (!code) code = add(b, LRB_CHUNK_RAW, "hello, this is what nobody may read", 35);
    if (!code) code = add(b, LRB_CHUNK_BODY, "", 0);
    if (!code) code = lrb_pack_builder_finish(b, digest, name, &err);
    if (!code) code = write_file(name, b->bytes.data, b->bytes.length);
    return code;
}

static int open_and_read(const lrb_id *name, const lrb_vault *vault, lrb_buf *content) {
    lrb_pack *pack = NULL;
    int code = lrb_pack_open(dir, name, 0, vault, &pack, &err);
    if (!code) code = lrb_pack_read(pack, 1, coder, false, content, &err);
    if (!code) code = lrb_pack_read(pack, 0, coder, false, content, &err);
    lrb_pack_close(pack);
    return code;
}

TEST(a_sealed_pack_opens_with_its_key_alone) {
    lrb_vault other_key, other_graph;
    lrb_key wrong = {{1, 2, 3, 5}};
    lrb_pack_builder b;
    lrb_id name;
    lrb_buf content;
    lrb_buf_init(&content, LRB_CONTENT_MAX_BYTES);
    CHECK_OK(build_sealed(&b, &name));
    CHECK_OK(open_and_read(&name, &sealed, &content));
    CHECK(content.length == 35 && !memcmp(content.data, "hello, this", 11));
    CHECK(!memmem(b.bytes.data, b.bytes.length, "hello", 5));
    for (uint32_t i = 0; i < b.count; i++) CHECK(!memmem(b.bytes.data, b.bytes.length, b.rows[i].id.bytes, 32));
    CHECK_OK(lrb_vault_open(&other_key, sealed.repository_id, "graph", &wrong, &err));
    CHECK_FAILS(open_and_read(&name, &other_key, &content), LRB_E_DAMAGED);
    CHECK_OK(lrb_vault_open(&other_graph, sealed.repository_id, "other", &sealed.master, &err));
    CHECK_FAILS(open_and_read(&name, &other_graph, &content), LRB_E_DAMAGED);
    CHECK_FAILS(open_and_read(&name, &repository, &content), LRB_E_DAMAGED);
    lrb_buf_clear(&content);
    lrb_pack_builder_clear(&b);
}

TEST(an_unsealed_pack_is_none_of_a_sealed_repository) {
    lrb_pack_builder b;
    lrb_id name;
    lrb_vault open = sealed;
    open.sealed = false;
    CHECK_OK(lrb_pack_builder_init(&b, &open, &err));
    CHECK_OK(add(&b, LRB_CHUNK_RAW, "hello", 5));
    CHECK_OK(lrb_pack_builder_finish(&b, digest, &name, &err));
    lrb_pack_row *rows;
    uint32_t count;
    CHECK_FAILS(lrb_pack_parse(b.bytes.data, b.bytes.length, &sealed, "packs/test", &rows, &count, &err), LRB_E_DAMAGED);
    lrb_pack_builder_clear(&b);
}

TEST(every_flip_in_a_sealed_pack_is_seen) {
    lrb_pack_builder b;
    lrb_id name;
    lrb_buf content;
    lrb_buf_init(&content, LRB_CONTENT_MAX_BYTES);
    CHECK_OK(build_sealed(&b, &name));
    for (size_t i = 0; i < b.bytes.length; i++) {
        b.bytes.data[i] ^= 0x01;
        CHECK_OK(write_file(&name, b.bytes.data, b.bytes.length));
        b.bytes.data[i] ^= 0x01;
        int code = open_and_read(&name, &sealed, &content);
        CHECK(code == LRB_E_DAMAGED || code == LRB_E_UNSUPPORTED || code == LRB_E_FOREIGN);
    }
    lrb_buf_clear(&content);
    lrb_pack_builder_clear(&b);
}

/* Equal chunks of one pack are different bytes, and so is the same pack made again. */
TEST(nothing_is_sealed_twice_the_same) {
    lrb_pack_builder b;
    lrb_id first, second;
    enum { CHUNK = 21 };
    uint8_t before[CHUNK];
    CHECK_OK(lrb_pack_builder_init(&b, &sealed, &err));
    CHECK_OK(add(&b, LRB_CHUNK_RAW, "hello", 5));
    CHECK_OK(add(&b, LRB_CHUNK_RAW, "hello", 5));
    CHECK(b.rows[1].offset - b.rows[0].offset == CHUNK);
    CHECK(memcmp(b.bytes.data + b.rows[0].offset, b.bytes.data + b.rows[1].offset, CHUNK) != 0);
    memcpy(before, b.bytes.data + b.rows[0].offset, CHUNK);
    CHECK_OK(lrb_pack_builder_finish(&b, digest, &first, &err));
    CHECK_OK(lrb_pack_builder_reset(&b, &err));
    CHECK_OK(add(&b, LRB_CHUNK_RAW, "hello", 5));
    CHECK(memcmp(before, b.bytes.data + b.rows[0].offset, CHUNK) != 0);
    CHECK_OK(add(&b, LRB_CHUNK_RAW, "hello", 5));
    CHECK_OK(lrb_pack_builder_finish(&b, digest, &second, &err));
    CHECK(lrb_id_compare(&first, &second) != 0);
    lrb_pack_builder_clear(&b);
}

TEST(a_full_sealed_pack_still_fits) {
    static uint8_t content[LRB_CONTENT_MAX_BYTES];
    lrb_pack_builder b;
    lrb_id name;
    lrb_pack_row *rows;
    uint32_t count;
    sample_fill(content, sizeof content, 1);
    CHECK_OK(lrb_pack_builder_init(&b, &sealed, &err));
    for (int i = 0; i < 3; i++) CHECK_OK(add(&b, LRB_CHUNK_RAW, content, sizeof content));
    CHECK_OK(lrb_pack_builder_finish(&b, digest, &name, &err));
    CHECK_OK(lrb_pack_parse(b.bytes.data, b.bytes.length, &sealed, "packs/test", &rows, &count, &err));
    CHECK(count == 3 && rows[2].stored_length == LRB_CONTENT_MAX_BYTES + LRB_TAG_BYTES);
    lrb_free(rows);
    lrb_pack_builder_clear(&b);
}

TEST(memory_running_out_while_sealing_is_survived) {
    int code = LRB_E_NOMEM;
    for (int n = 0; code; n++) {
        lrb_pack_builder b;
        lrb_id name;
        lrb_buf content;
        lrb_buf_init(&content, 100);
        lrb_mem_fail_after(n, false);
        code = build_sealed(&b, &name);
        if (!code) code = open_and_read(&name, &sealed, &content);
        lrb_mem_fail_after(-1, false);
        lrb_buf_clear(&content);
        lrb_pack_builder_clear(&b);
        CHECK(!code || code == LRB_E_NOMEM);
    }
}

int main(void) {
    if (packs_begin()) return 1;
    if (lrb_vault_open(&sealed, repository.repository_id, "graph", &(lrb_key){{1, 2, 3}}, &err)) return 1;
    RUN(a_sealed_pack_opens_with_its_key_alone);
    RUN(an_unsealed_pack_is_none_of_a_sealed_repository);
    RUN(every_flip_in_a_sealed_pack_is_seen);
    RUN(nothing_is_sealed_twice_the_same);
    RUN(a_full_sealed_pack_still_fits);
    RUN(memory_running_out_while_sealing_is_survived);
    return packs_end();
}
