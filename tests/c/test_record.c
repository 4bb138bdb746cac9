/* Records of a snapshot's body: what is put comes back; what no writer makes is refused, hostile names above all. */
#include <stdlib.h>

#include "base/mem.h"
#include "base/path.h"
#include "check.h"
#include "repo/field.h"
#include "repo/record.h"

static lrb_err err;

static lrb_body_item sample_file(void) {
    return (lrb_body_item){
        .name = "dir/vdb.json", .name_length = 12, .type = LRB_FILE_REGULAR, .mode = 0640, .mtime_ns = -5,
        .size_bytes = 7, .sha256 = {1, 2, 3}, .root = {.id = {{4, 5}}, .kind = LRB_CHUNK_RAW, .count = 7},
    };
}

static lrb_body_item sample_symlink(void) {
    return (lrb_body_item){
        .name = "link", .name_length = 4, .type = LRB_FILE_SYMLINK, .mode = 0777, .mtime_ns = 9,
        .size_bytes = 9, .sha256 = {6}, .link_target = "../target", .link_target_length = 9,
    };
}

static lrb_body_item sample_directory(void) {
    return (lrb_body_item){.name = "dir", .name_length = 3, .type = LRB_FILE_DIRECTORY, .mode = 02755, .mtime_ns = 1};
}

static int put_item(lrb_body_item item) {
    lrb_buf out;
    lrb_buf_init(&out, LRB_RECORD_HEAD_BYTES + LRB_RECORD_MAX_BYTES);
    int code = lrb_record_put_item(&out, &item, &err);
    if (code && out.length) code = LRB_E_INTERNAL; /* a refused record leaves no bytes */
    lrb_buf_clear(&out);
    return code;
}

static int parse(const uint8_t *bytes, size_t count, lrb_body_record *record) {
    lrb_view view = lrb_view_of(bytes, count);
    int code = lrb_record_parse(&view, "chunk x", record, &err);
    return !code && view.left ? LRB_E_INTERNAL : code;
}

static bool same_item(const lrb_body_item *a, const lrb_body_item *b) {
    return a->name_length == b->name_length && memcmp(a->name, b->name, a->name_length) == 0 && a->type == b->type &&
           a->mode == b->mode && a->mtime_ns == b->mtime_ns && a->size_bytes == b->size_bytes &&
           memcmp(a->sha256, b->sha256, sizeof a->sha256) == 0 && lrb_id_compare(&a->root.id, &b->root.id) == 0 &&
           a->root.kind == b->root.kind && a->root.count == b->root.count &&
           a->link_target_length == b->link_target_length &&
           (!a->link_target_length || memcmp(a->link_target, b->link_target, a->link_target_length) == 0);
}

/* ---- round trips ---- */

static void item_comes_back(lrb_body_item item) {
    lrb_buf out;
    lrb_body_record record;
    lrb_buf_init(&out, 1000);
    CHECK_OK(lrb_record_put_item(&out, &item, &err));
    CHECK_OK(parse(out.data, out.length, &record));
    CHECK(record.type == LRB_BODY_ITEM && same_item(&record.item, &item) && !record.facts && !record.skipped);
    lrb_buf_clear(&out);
}

TEST(items_of_every_type_come_back) {
    lrb_body_item empty = sample_file();
    empty.size_bytes = 0;
    memset(&empty.root, 0, sizeof empty.root);
    item_comes_back(sample_file());
    item_comes_back(sample_symlink());
    item_comes_back(sample_directory());
    item_comes_back(empty);
}

TEST(facts_and_skipped_names_come_back) {
    lrb_buf out;
    lrb_body_record record;
    lrb_buf_init(&out, 1000);
    CHECK_OK(lrb_record_put_facts(&out, "{\"a\":1}", 7, &err));
    CHECK_OK(parse(out.data, out.length, &record));
    CHECK(record.type == LRB_BODY_FACTS && record.facts_length == 7 && memcmp(record.facts, "{\"a\":1}", 7) == 0);
    lrb_buf_empty(&out);
    CHECK_OK(lrb_record_put_skipped(&out, "a.sock", "a socket", &err));
    CHECK_OK(parse(out.data, out.length, &record));
    CHECK(record.type == LRB_BODY_SKIPPED && record.skipped_length == 6 && memcmp(record.skipped, "a.sock", 6) == 0);
    CHECK(record.reason_length == 8 && memcmp(record.reason, "a socket", 8) == 0);
    lrb_buf_clear(&out);
}

/* ---- what is not written ---- */

TEST(names_that_lead_out_are_not_written) {
    static const char *const names[] = {"", "../x", "/etc/passwd", "a//b", "a/./b", "a/..", "."};
    lrb_body_item item = sample_file();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        item.name = names[i];
        item.name_length = strlen(names[i]);
        CHECK_FAILS(put_item(item), LRB_E_INVALID);
    }
    item.name = "a\0b";
    item.name_length = 3;
    CHECK_FAILS(put_item(item), LRB_E_INVALID);
}

TEST(items_that_contradict_themselves_are_not_written) {
    lrb_body_item item = sample_file();
    item.type = LRB_FILE_OTHER;
    CHECK_FAILS(put_item(item), LRB_E_INVALID);
    item = sample_file();
    item.mode = 0100644;
    CHECK_FAILS(put_item(item), LRB_E_INVALID);
    item = sample_file();
    item.size_bytes = 0;
    CHECK_FAILS(put_item(item), LRB_E_INVALID);
    item = sample_file();
    item.root.kind = LRB_CHUNK_BODY;
    CHECK_FAILS(put_item(item), LRB_E_INVALID);
    item = sample_file();
    item.link_target = "x";
    item.link_target_length = 1;
    CHECK_FAILS(put_item(item), LRB_E_INVALID);
    item = sample_directory();
    item.size_bytes = 1;
    CHECK_FAILS(put_item(item), LRB_E_INVALID);
}

TEST(symlinks_need_a_target_that_can_be) {
    static char longest[LRB_PATH_MAX];
    memset(longest, 'x', sizeof longest);
    lrb_body_item item = sample_symlink();
    item.size_bytes = 8;
    CHECK_FAILS(put_item(item), LRB_E_INVALID);
    item.size_bytes = item.link_target_length = 0;
    CHECK_FAILS(put_item(item), LRB_E_INVALID);
    item.link_target = longest;
    item.size_bytes = item.link_target_length = LRB_PATH_MAX;
    CHECK_FAILS(put_item(item), LRB_E_INVALID);
    item.size_bytes = item.link_target_length = LRB_PATH_MAX - 1;
    CHECK_OK(put_item(item));
    longest[5] = '\0';
    CHECK_FAILS(put_item(item), LRB_E_INVALID);
}

TEST(facts_have_a_floor_and_a_ceiling) {
    static char json[LRB_FACTS_MAX_BYTES + 1];
    lrb_buf out;
    lrb_buf_init(&out, 4 * LRB_FACTS_MAX_BYTES);
    CHECK_FAILS(lrb_record_put_facts(&out, json, 0, &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_record_put_facts(&out, json, LRB_FACTS_MAX_BYTES + 1, &err), LRB_E_LIMIT);
    CHECK(out.length == 0);
    CHECK_OK(lrb_record_put_facts(&out, json, LRB_FACTS_MAX_BYTES, &err));
    lrb_buf_clear(&out);
}

/* ---- what is not believed ---- */

/* A record put together from fields, as a hostile writer would. */
typedef struct forged { lrb_buf bytes; } forged;

static void forged_begin(forged *f, lrb_body_type type) {
    uint8_t head[LRB_RECORD_HEAD_BYTES] = {(uint8_t)type};
    lrb_buf_init(&f->bytes, 10000);
    (void)lrb_buf_append(&f->bytes, head, sizeof head, &err);
}

static void forged_put(forged *f, uint16_t tag, const void *value, size_t count) {
    (void)lrb_field_put(&f->bytes, tag, value, count, &err);
}

static int forged_parse(forged *f) {
    lrb_body_record record;
    lrb_put_u32(f->bytes.data + 4, (uint32_t)(f->bytes.length - LRB_RECORD_HEAD_BYTES));
    int code = parse(f->bytes.data, f->bytes.length, &record);
    lrb_buf_clear(&f->bytes);
    return code;
}

/* A good directory record but for its name. */
static int parse_named(const void *name, size_t length) {
    static const uint8_t zeros[8];
    uint8_t type = LRB_FILE_DIRECTORY;
    forged f;
    forged_begin(&f, LRB_BODY_ITEM);
    forged_put(&f, LRB_F_NAME, name, length);
    forged_put(&f, LRB_F_TYPE, &type, 1);
    forged_put(&f, LRB_F_MODE, zeros, 4);
    forged_put(&f, LRB_F_MTIME_NS, zeros, 8);
    return forged_parse(&f);
}

TEST(names_that_lead_out_are_not_believed) {
    CHECK_OK(parse_named("good", 4));
    CHECK_FAILS(parse_named("../x", 4), LRB_E_DAMAGED);
    CHECK(strstr(err.message, "../x") && strcmp(err.target, "chunk x") == 0);
    CHECK_FAILS(parse_named("/etc", 4), LRB_E_DAMAGED);
    CHECK_FAILS(parse_named("a\0b", 3), LRB_E_DAMAGED);
    CHECK_FAILS(parse_named("a/../b", 6), LRB_E_DAMAGED);
    CHECK_FAILS(parse_named("", 0), LRB_E_DAMAGED);
}

/* A good directory record with one more field. */
static int parse_with(uint16_t tag, const void *value, size_t count) {
    lrb_body_item item = sample_directory();
    forged f;
    lrb_buf_init(&f.bytes, 10000);
    int code = lrb_record_put_item(&f.bytes, &item, &err);
    if (!code) forged_put(&f, tag, value, count);
    return code ? code : forged_parse(&f);
}

TEST(unknown_fields_are_refused_unless_they_are_optional) {
    CHECK_FAILS(parse_with(1234, "x", 1), LRB_E_UNSUPPORTED);
    CHECK(strstr(err.message, "1234"));
    CHECK_FAILS(parse_with(LRB_F_DATA_HASH, "x", 1), LRB_E_UNSUPPORTED);
    CHECK_OK(parse_with(LRB_FIELD_OPTIONAL | 1234, "x", 1));
}

TEST(fields_twice_or_of_another_type_are_damage) {
    static const uint8_t zeros[LRB_ROW_BYTES];
    CHECK_FAILS(parse_with(LRB_F_NAME, "dir", 3), LRB_E_DAMAGED);
    CHECK_FAILS(parse_with(LRB_F_REASON, "because", 7), LRB_E_DAMAGED);
    CHECK_FAILS(parse_with(LRB_F_SIZE_BYTES, zeros, 8), LRB_E_DAMAGED);
    CHECK_FAILS(parse_with(LRB_F_ROOT, zeros, sizeof zeros), LRB_E_DAMAGED);
    CHECK_FAILS(parse_with(LRB_F_SHA256, zeros, 31), LRB_E_DAMAGED);
}

TEST(unknown_types_are_refused_by_number) {
    static const uint8_t record[LRB_RECORD_HEAD_BYTES] = {9};
    lrb_body_record out;
    CHECK_FAILS(parse(record, sizeof record, &out), LRB_E_UNSUPPORTED);
    CHECK(strstr(err.message, "type 9"));
}

TEST(a_skipped_name_needs_name_and_reason) {
    forged f;
    forged_begin(&f, LRB_BODY_SKIPPED);
    forged_put(&f, LRB_F_NAME, "x", 1);
    CHECK_FAILS(forged_parse(&f), LRB_E_DAMAGED);
    forged_begin(&f, LRB_BODY_SKIPPED);
    forged_put(&f, LRB_F_NAME, "../x", 4);
    forged_put(&f, LRB_F_REASON, "x", 1);
    CHECK_FAILS(forged_parse(&f), LRB_E_DAMAGED);
    forged_begin(&f, LRB_BODY_SKIPPED);
    forged_put(&f, LRB_F_NAME, "x", 1);
    forged_put(&f, LRB_F_REASON, "", 0);
    CHECK_OK(forged_parse(&f));
}

static void cut_everywhere(lrb_body_item item) {
    lrb_buf out;
    lrb_body_record record;
    lrb_buf_init(&out, 1000);
    CHECK_OK(lrb_record_put_item(&out, &item, &err));
    for (size_t length = 0; length < out.length; length++) {
        uint8_t *exact = malloc(length ? length : 1); /* so that a read over the end is seen */
        memcpy(exact, out.data, length);
        int plain = parse(exact, length, &record);
        if (length >= LRB_RECORD_HEAD_BYTES) lrb_put_u32(exact + 4, (uint32_t)(length - LRB_RECORD_HEAD_BYTES));
        int fitted = parse(exact, length, &record);
        free(exact);
        CHECK(plain == LRB_E_DAMAGED && fitted == LRB_E_DAMAGED);
    }
    lrb_buf_clear(&out);
}

TEST(a_record_cut_anywhere_is_damaged) {
    cut_everywhere(sample_file());
    cut_everywhere(sample_symlink());
    cut_everywhere(sample_directory());
}

/* A flip may make another good record (a chunk's id is what guards its bytes); it never makes one that cannot be. */
static void flip_everywhere(lrb_body_item item) {
    lrb_buf out;
    lrb_buf_init(&out, 1000);
    CHECK_OK(lrb_record_put_item(&out, &item, &err));
    for (size_t bit = 0; bit < 8 * out.length; bit++) {
        lrb_body_record record;
        out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        int code = parse(out.data, out.length, &record);
        if (!code && record.type == LRB_BODY_ITEM) code = put_item(record.item);
        CHECK(!code || code == LRB_E_DAMAGED || code == LRB_E_UNSUPPORTED);
        out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    lrb_buf_clear(&out);
}

TEST(a_flipped_record_is_refused_or_still_makes_sense) {
    flip_everywhere(sample_file());
    flip_everywhere(sample_symlink());
    flip_everywhere(sample_directory());
}

TEST(memory_running_out_leaves_the_buffer) {
    lrb_body_item item = sample_file();
    int code = LRB_E_NOMEM;
    for (int n = 0; code; n++) {
        lrb_buf out;
        lrb_buf_init(&out, 1000);
        lrb_mem_fail_after(n, false);
        code = lrb_record_put_item(&out, &item, &err);
        lrb_mem_fail_after(-1, false);
        CHECK(!code || (code == LRB_E_NOMEM && out.length == 0));
        lrb_buf_clear(&out);
    }
}

int main(void) {
    RUN(items_of_every_type_come_back);
    RUN(facts_and_skipped_names_come_back);
    RUN(names_that_lead_out_are_not_written);
    RUN(items_that_contradict_themselves_are_not_written);
    RUN(symlinks_need_a_target_that_can_be);
    RUN(facts_have_a_floor_and_a_ceiling);
    RUN(names_that_lead_out_are_not_believed);
    RUN(unknown_fields_are_refused_unless_they_are_optional);
    RUN(fields_twice_or_of_another_type_are_damage);
    RUN(unknown_types_are_refused_by_number);
    RUN(a_skipped_name_needs_name_and_reason);
    RUN(a_record_cut_anywhere_is_damaged);
    RUN(a_flipped_record_is_refused_or_still_makes_sense);
    RUN(memory_running_out_leaves_the_buffer);
    return check_report();
}
