/* The restore job over repositories that are damaged, or made by somebody who means harm. */
#include <glob.h>

#include "maker.h"

/* ---- a pack that rots ---- */

static int packs_of(const bench *b, glob_t *found) {
    char pattern[300];
    snprintf(pattern, sizeof pattern, "%s/graphs/graph/packs/*", b->f.storage);
    return glob(pattern, 0, NULL, found) ? 0 : (int)found->gl_pathc;
}

static void flip(const char *path, off_t at) {
    uint8_t byte;
    chmod(path, 0600);
    int fd = open(path, O_RDWR);
    if (fd < 0 || pread(fd, &byte, 1, at) != 1) exit(2);
    byte ^= 0x40;
    if (pwrite(fd, &byte, 1, at) != 1) exit(2);
    close(fd);
}

/* Handles keep packs open: each look at a changed one is through a fresh handle. */
static int restore_afresh(bench *b) {
    lrb_repo_close(b->repo);
    must(lrb_repo_open(b->f.storage, "graph", false, &b->repo, &err));
    bench_renew_staging(b);
    return bench_restore_all(b, &err);
}

TEST(a_flipped_byte_is_never_returned_as_data) {
    bench b;
    glob_t packs;
    struct stat st;
    int refused = 0;
    bench_open(&b);
    fixture_write(b.f.source, "random", 60000, 1);
    int text = openat(b.source_dir, "text", O_CREAT | O_WRONLY, 0644);
    for (int i = 0; i < 3000; i++) dprintf(text, "line %d of a text that can be compressed\n", i % 100);
    close(text);
    bench_backup(&b);
    CHECK(packs_of(&b, &packs) == 1 && !stat(packs.gl_pathv[0], &st));
    for (off_t at = 0; at < st.st_size; at += at < st.st_size - 1500 ? 997 : 7) {
        flip(packs.gl_pathv[0], at);
        int code = restore_afresh(&b);
        CHECK(code ? code == LRB_E_DAMAGED || code == LRB_E_UNSUPPORTED || code == LRB_E_FOREIGN
                   : same_trees(b.f.source, b.staging));
        refused += code != 0;
        flip(packs.gl_pathv[0], at);
    }
    printf("%d of the flips were refused\n", refused);
    CHECK(refused > 100);
    CHECK_OK(restore_afresh(&b));
    globfree(&packs);
    bench_close(&b);
}

TEST(the_damaged_pack_and_the_item_are_named) {
    bench b;
    glob_t packs;
    bench_open(&b);
    fixture_write(b.f.source, "an-item", 3 << 20, 1);
    bench_backup(&b);
    CHECK(packs_of(&b, &packs) == 1);
    flip(packs.gl_pathv[0], 1 << 20);
    CHECK_FAILS(restore_afresh(&b), LRB_E_DAMAGED);
    CHECK(strstr(packs.gl_pathv[0], err.target) && !strncmp(err.target, "packs/", 6));
    CHECK(strstr(err.message, "item an-item of snapshot ") && strstr(err.message, b.outcome.snapshot_id));
    CHECK(unlink(packs.gl_pathv[0]) == 0);
    CHECK(restore_afresh(&b) != LRB_OK);
    globfree(&packs);
    bench_close(&b);
}

/* ---- snapshots made by hand ---- */

/* One item of two chunks of 1000 bytes, listed as `first` and `second` bytes long, claimed to be `size` bytes. */
static int restore_listed(bench *b, uint32_t first, uint32_t second, uint64_t size) {
    maker m = maker_open(b);
    lrb_row rows[2] = {put_raw(&m, 1000, 1), put_raw(&m, 1000, 2)};
    rows[0].count = first;
    rows[1].count = second;
    lrb_body_item item = item_of("listed", size, put_recipe(&m, rows, 2));
    commit(&m, &item, 1);
    lrb_writer_free(m.writer);
    bench_renew_staging(b);
    return bench_restore_all(b, &err);
}

/* What a restore finds out in the middle, verify says before. */
TEST(rows_must_add_up) {
    static const struct { uint32_t first, second; uint64_t size; } listed[] = {
        {1000, 1000, 2001}, {1000, 1000, 1999}, {1000, 1000, 900}, {999, 1001, 2000}, {2000, 0, 2000},
        {0, 2000, 2000}, {1000, 4000000, 4001000}, {1000, 1000, 5000000},
    };
    bench b;
    bench_open(&b);
    CHECK_FAILS(restore_listed(&b, 1000, 1000, 2001), LRB_E_DAMAGED);
    CHECK(strstr(err.message, "fewer bytes") && strstr(err.message, "item listed of snapshot"));
    CHECK_FAILS(restore_listed(&b, 1000, 1000, 1999), LRB_E_DAMAGED);
    CHECK(strstr(err.message, "more bytes"));
    for (size_t i = 0; i < sizeof listed / sizeof *listed; i++) {
        CHECK_FAILS(restore_listed(&b, listed[i].first, listed[i].second, listed[i].size), LRB_E_DAMAGED);
        CHECK(verify_complains(&b));
    }
    bench_close(&b);
}

TEST(every_chunk_right_and_the_whole_wrong) {
    bench b;
    bench_open(&b);
    CHECK_FAILS(restore_listed(&b, 1000, 1000, 2000), LRB_E_DAMAGED); /* its SHA-256 is given as zero */
    CHECK(strstr(err.message, "every chunk had the right id") && !strcmp(err.target, "listed"));
    CHECK(!verify_complains(&b)); /* its lists add up */
    maker m = maker_open(&b);
    lrb_row rows[40];
    for (size_t i = 0; i < 40; i++) rows[i] = put_raw(&m, 1 << 16, i);
    lrb_body_item item = item_of("large", 40 << 16, put_recipe(&m, rows, 40));
    commit(&m, &item, 1);
    lrb_writer_free(m.writer);
    CHECK_FAILS(bench_restore_all(&b, &err), LRB_E_DAMAGED);
    CHECK(strstr(err.message, "every chunk had the right id"));
    bench_close(&b);
}

TEST(a_single_chunk_of_another_length) {
    bench b;
    bench_open(&b);
    maker m = maker_open(&b);
    lrb_row raw = put_raw(&m, 1000, 1), short_raw = raw;
    short_raw.count = 10;
    lrb_body_item items[] = {item_of("a", 999, raw), item_of("b", 1001, raw), item_of("c", 10, short_raw)};
    for (size_t i = 0; i < 3; i++) {
        commit(&m, &items[i], 1);
        bench_renew_staging(&b);
        CHECK_FAILS(bench_restore_all(&b, &err), LRB_E_DAMAGED);
        CHECK(verify_complains(&b));
    }
    lrb_writer_free(m.writer);
    bench_close(&b);
}

/* Published, such an item would be taken for a restore's own journal. */
TEST(a_restores_own_names_are_refused) {
    bench b;
    bench_open(&b);
    maker m = maker_open(&b);
    lrb_body_item own = item_of(".lrb_restore/journal", 0, (lrb_row){.kind = LRB_CHUNK_NONE});
    commit(&m, &own, 1);
    CHECK_FAILS(bench_restore_all(&b, &err), LRB_E_UNSUPPORTED);
    lrb_writer_free(m.writer);
    bench_close(&b);
}

TEST(no_room_is_said_before_the_first_byte) {
    bench b;
    lrb_restore_list *list;
    bench_open(&b);
    maker m = maker_open(&b);
    lrb_row raw = put_raw(&m, 1000, 1);
    lrb_body_item items[] = {item_of("a", INT64_MAX, raw), item_of("b", INT64_MAX, raw)};
    commit(&m, items, 2);
    CHECK_FAILS(bench_restore_all(&b, &err), LRB_E_NO_SPACE);
    CHECK(strstr(err.message, "needs") && strstr(err.message, "are free"));
    CHECK(count_entries(b.staging) == 2);
    wishes w = bench_wishes(&b);
    w.only_plan = true;
    CHECK_OK(bench_restore(&b, &w, &list, &err));
    CHECK(lrb_restore_list_totals(list)->needed_bytes == UINT64_MAX);
    lrb_restore_list_free(list);
    lrb_writer_free(m.writer);
    bench_close(&b);
}

/* The same chunk in two packs: either may rot, the restore finds the other one. */
TEST(a_good_copy_is_found) {
    bench b;
    glob_t packs;
    bench_open(&b);
    maker first = maker_open(&b), second = maker_open(&b);
    lrb_row row = put_raw(&first, 60000, 7), other = put_raw(&second, 60000, 7);
    CHECK(!lrb_id_compare(&row.id, &other.id));
    static uint8_t bytes[60000];
    fixture_fill(bytes, sizeof bytes, 7);
    lrb_body_item item = item_of("twice", 60000, row);
    must(lrb_sha256(bytes, sizeof bytes, item.sha256, &err));
    commit(&first, &item, 1);
    commit(&second, &item, 1);
    lrb_writer_free(first.writer);
    lrb_writer_free(second.writer);
    CHECK(packs_of(&b, &packs) == 2);
    for (int i = 0; i < 2; i++) {
        flip(packs.gl_pathv[i], 30000);
        CHECK_OK(restore_afresh(&b));
        flip(packs.gl_pathv[i], 30000);
    }
    flip(packs.gl_pathv[0], 30000);
    flip(packs.gl_pathv[1], 30000);
    CHECK_FAILS(restore_afresh(&b), LRB_E_DAMAGED);
    CHECK(!strncmp(err.target, "packs/", 6));
    globfree(&packs);
    bench_close(&b);
}

int main(void) {
    RUN(a_flipped_byte_is_never_returned_as_data);
    RUN(the_damaged_pack_and_the_item_are_named);
    RUN(rows_must_add_up);
    RUN(every_chunk_right_and_the_whole_wrong);
    RUN(a_single_chunk_of_another_length);
    RUN(a_restores_own_names_are_refused);
    RUN(no_room_is_said_before_the_first_byte);
    RUN(a_good_copy_is_found);
    return check_report();
}
