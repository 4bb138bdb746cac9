/* A snapshot's items, read anywhere without restoring them. */
#include "engine/item_bytes.h"

#include "check.h"
#include "jobs.h"
#include "vector_file.h"

static lrb_err err;

/* The record of item `name` in the snapshot's body; its name is the caller's. */
static int find_item(shelf *s, const char *snapshot, const char *name, lrb_body_item *out) {
    lrb_repo_reader fetch = {s->repo, s->f.worker.coder};
    lrb_body_reader *reader;
    lrb_body_record record;
    bool done = false;
    lrb_row root = lrb_state_find(lrb_repo_begin_read(s->repo), snapshot)->body_root;
    lrb_repo_end_read(s->repo);
    int code = lrb_body_reader_new(&root, lrb_repo_fetch, &fetch, &reader, &err);
    if (code) return code;
    while (!(code = lrb_body_reader_next(reader, &record, &done, &err)) && !done) {
        if (record.type != LRB_BODY_ITEM || record.item.name_length != strlen(name) || memcmp(record.item.name, name, strlen(name)))
            continue;
        *out = record.item;
        out->name = name;
        break;
    }
    lrb_body_reader_free(reader);
    return code ? code : done ? LRB_E_NOT_FOUND : LRB_OK;
}

static bool reads(lrb_item_bytes *bytes, shelf *s, const uint8_t *wanted, size_t size, uint64_t offset, size_t room) {
    static uint8_t into[1 << 20];
    size_t got, left = offset < size ? size - (size_t)offset : 0;
    if (lrb_item_bytes_read(bytes, s->f.worker.coder, offset, into, room, &got, &err)) return false;
    return got == (left < room ? left : room) && !memcmp(into, wanted + (left ? offset : 0), got);
}

TEST(any_part_of_any_item_is_read) {
    static const size_t sizes[] = {0, 1, 70000, 3 << 20};
    static uint8_t wanted[3 << 20];
    shelf s;
    char snapshot[LRB_SNAPSHOT_ID_MAX], name[16];
    shelf_open(&s);
    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "f%zu", i);
        fixture_write(s.f.source, name, sizes[i], i);
    }
    shelf_backup(&s, snapshot);
    for (size_t i = 0; i < 4; i++) {
        lrb_body_item item;
        lrb_item_bytes *bytes;
        snprintf(name, sizeof name, "f%zu", i);
        fixture_fill(wanted, sizes[i], i);
        CHECK_OK(find_item(&s, snapshot, name, &item));
        CHECK_OK(lrb_item_bytes_open(s.repo, &item, s.f.worker.coder, &bytes, &err));
        for (uint64_t at = 0; at <= sizes[i]; at += 1 + at / 3) {
            CHECK(reads(bytes, &s, wanted, sizes[i], at, 100));
            CHECK(reads(bytes, &s, wanted, sizes[i], sizes[i] - at, 1 << 20));
        }
        lrb_item_bytes_close(bytes);
    }
    shelf_close(&s);
}

static void write_bytes(const char *dir, const char *name, const lrb_buf *bytes) {
    char path[512];
    fixture_path(path, dir, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes->data, 1, bytes->length, file) != bytes->length) perror(path), exit(2);
    fclose(file);
}

static bool begins_with_a_frame(shelf *s, const lrb_body_item *item) {
    lrb_repo_reader fetch = {s->repo, s->f.worker.coder};
    lrb_recipe_walker *walker;
    lrb_row row;
    bool done;
    if (item->root.kind != LRB_CHUNK_RECIPE || lrb_recipe_walker_new(&item->root, lrb_repo_fetch, &fetch, &walker, &err)) return false;
    bool frame = !lrb_recipe_walker_next(walker, false, &row, &done, &err) && row.kind == LRB_CHUNK_FRAME;
    lrb_recipe_walker_free(walker);
    return frame;
}

/* A vector file is stored in two parts that have to come together again: read across every seam. */
static void a_vector_file_is_read(uint32_t dim, size_t rows) {
    shelf s;
    lrb_body_item item;
    lrb_item_bytes *bytes;
    char snapshot[LRB_SNAPSHOT_ID_MAX];
    vector_file f = vector_file_of(dim, rows);
    shelf_open(&s);
    write_bytes(s.f.source, "vdb_entities.json", &f.bytes);
    shelf_backup(&s, snapshot);
    CHECK_OK(find_item(&s, snapshot, "vdb_entities.json", &item));
    CHECK_OK(lrb_item_bytes_open(s.repo, &item, s.f.worker.coder, &bytes, &err));
    CHECK(begins_with_a_frame(&s, &item) == (rows > 100));
    size_t size = f.bytes.length, stride = size / 50 + 1;
    for (uint64_t at = 0; at <= size; at += stride) CHECK(reads(bytes, &s, f.bytes.data, size, at, stride + 5));
    CHECK(reads(bytes, &s, f.bytes.data, size, 0, 1 << 20));
    for (size_t room = 1; room < 9; room++)
        for (uint64_t at = size < 400 ? 0 : size - 400; at <= size; at++) CHECK(reads(bytes, &s, f.bytes.data, size, at, room));
    lrb_item_bytes_close(bytes);
    lrb_buf_clear(&f.bytes);
    shelf_close(&s);
}

TEST(vector_files_are_read_like_others) {
    a_vector_file_is_read(1024, 250);
    a_vector_file_is_read(100, 1200);
    a_vector_file_is_read(7, 5000);
    a_vector_file_is_read(4, 3);
}

TEST(rows_that_do_not_add_up_are_damage) {
    shelf s;
    lrb_body_item item;
    lrb_item_bytes *bytes;
    char snapshot[LRB_SNAPSHOT_ID_MAX];
    shelf_open(&s);
    fixture_write(s.f.source, "f", 300000, 1);
    shelf_backup(&s, snapshot);
    CHECK_OK(find_item(&s, snapshot, "f", &item));
    item.size_bytes++;
    CHECK_FAILS(lrb_item_bytes_open(s.repo, &item, s.f.worker.coder, &bytes, &err), LRB_E_DAMAGED);
    CHECK(strstr(err.message, "item f"));
    item.size_bytes = 10;
    CHECK_FAILS(lrb_item_bytes_open(s.repo, &item, s.f.worker.coder, &bytes, &err), LRB_E_DAMAGED);
    shelf_close(&s);
}

/* Reads of the whole, so that every part is decoded, while the n-th allocation fails. */
static bool survives(shelf *s, const lrb_body_item *item, const uint8_t *wanted, size_t size) {
    for (int64_t countdown = 0;; countdown++) {
        lrb_item_bytes *bytes = NULL;
        lrb_mem_fail_after(countdown, false);
        int code = lrb_item_bytes_open(s->repo, item, s->f.worker.coder, &bytes, &err);
        bool read = !code && reads(bytes, s, wanted, size, 0, size);
        lrb_mem_fail_after(-1, false);
        lrb_item_bytes_close(bytes);
        if (read) return countdown > 3;
        if (err.code != LRB_E_NOMEM) return false;
    }
}

TEST(every_failing_allocation_is_survived) {
    shelf s;
    lrb_body_item item;
    char snapshot[LRB_SNAPSHOT_ID_MAX];
    static uint8_t noise[300000];
    vector_file f = vector_file_of(64, 500);
    shelf_open(&s);
    fixture_write(s.f.source, "f", sizeof noise, 1);
    fixture_fill(noise, sizeof noise, 1);
    write_bytes(s.f.source, "vdb_entities.json", &f.bytes);
    shelf_backup(&s, snapshot);
    CHECK_OK(find_item(&s, snapshot, "f", &item));
    CHECK(survives(&s, &item, noise, sizeof noise));
    CHECK_OK(find_item(&s, snapshot, "vdb_entities.json", &item));
    CHECK(begins_with_a_frame(&s, &item));
    CHECK(survives(&s, &item, f.bytes.data, f.bytes.length));
    lrb_buf_clear(&f.bytes);
    shelf_close(&s);
}

int main(void) {
    RUN(any_part_of_any_item_is_read);
    RUN(vector_files_are_read_like_others);
    RUN(rows_that_do_not_add_up_are_damage);
    RUN(every_failing_allocation_is_survived);
    return check_report();
}
