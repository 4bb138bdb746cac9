#include "codec/corrections.h"

#include "base/mem.h"
#include "check.h"
#include "codec/cpu.h"
#include "rows.h"

enum { DIM = 1024, ROWS = 60 };

static uint8_t rows[ROWS][4 * DIM], canonical[ROWS][4 * DIM], back[4 * DIM], scratch[4 * DIM], halves[2 * DIM];
static bool differs[ROWS];

static int collect(lrb_buf *content, lrb_err *err) {
    uint64_t seed = 7;
    int code = LRB_OK;
    for (uint32_t i = 0; i < ROWS && !code; i++) {
        lrb_canonical_path path;
        row_make(&seed, DIM, 1, halves, rows[i]);
        differs[i] = lrb_row_canonical(rows[i], DIM, canonical[i], scratch, &path);
        if (differs[i]) code = lrb_corrections_append(content, i, rows[i], canonical[i], DIM, &path, err);
    }
    return code;
}

TEST(canonical_rows_become_the_rows_of_the_file) {
    lrb_err err;
    lrb_buf content;
    uint32_t corrected = 0;
    bool more;
    lrb_buf_init(&content, 1 << 20);
    CHECK_OK(collect(&content, &err));
    lrb_corrections c = lrb_corrections_open(content.data, content.length, DIM);
    CHECK_OK(lrb_corrections_next(&c, &more, &err));
    for (uint32_t i = 0; i < ROWS; i++) {
        memcpy(back, canonical[i], sizeof back);
        CHECK(differs[i] == (more && c.index == i));
        if (differs[i]) {
            lrb_corrections_apply(&c, back);
            CHECK_OK(lrb_corrections_next(&c, &more, &err));
            corrected++;
        }
        CHECK(!memcmp(back, rows[i], sizeof back));
    }
    CHECK(!more && corrected >= 3 && content.length < corrected * 40);
    lrb_buf_clear(&content);
}

TEST(any_row_comes_back_from_any_other) {
    lrb_err err;
    lrb_buf content;
    bool more;
    lrb_buf_init(&content, 1 << 20);
    lrb_canonical_path path = {.steps = 3, .lengths = {1, 0.75f, 1e30f}};
    for (uint64_t i = 0; i < 40; i++) {
        sample_fill(rows[0], sizeof rows[0], 2 * i);
        sample_fill(canonical[0], sizeof canonical[0], 2 * i + 1);
        lrb_buf_empty(&content);
        path.steps = i % 4;
        CHECK_OK(lrb_corrections_append(&content, 5, rows[0], canonical[0], DIM, &path, &err));
        lrb_corrections c = lrb_corrections_open(content.data, content.length, DIM);
        CHECK_OK(lrb_corrections_next(&c, &more, &err));
        CHECK(more && c.index == 5);
        lrb_corrections_apply(&c, canonical[0]);
        CHECK(!memcmp(rows[0], canonical[0], sizeof rows[0]));
        CHECK_OK(lrb_corrections_next(&c, &more, &err));
        CHECK(!more);
    }
    lrb_buf_clear(&content);
}

/* Stored by one machine and read by another: the bytes must not depend on which instructions either has. */
TEST(every_processor_writes_and_reads_the_same) {
    static uint8_t noise[2][4 * DIM];
    lrb_err err;
    lrb_buf first, content;
    bool more;
    lrb_canonical_path path = {.steps = 2, .lengths = {1.0001f, 0.75f}};
    lrb_buf_init(&first, 1 << 20);
    lrb_buf_init(&content, 1 << 20);
    sample_fill(noise[0], sizeof noise[0], 1);
    sample_fill(noise[1], sizeof noise[1], 2);
    for (int writer = 0; writer < LRB_CPU_LEVELS; writer++) {
        lrb_cpu_limit((lrb_cpu)writer);
        lrb_buf_empty(&content);
        CHECK_OK(collect(&content, &err));
        CHECK_OK(lrb_corrections_append(&content, ROWS, noise[0], noise[1], DIM - 13, &path, &err));
        if (!writer) CHECK_OK(lrb_buf_append(&first, content.data, content.length, &err));
        CHECK(content.length == first.length && !memcmp(content.data, first.data, first.length));
    }
    for (int reader = 0; reader < LRB_CPU_LEVELS; reader++) {
        lrb_cpu_limit((lrb_cpu)reader);
        lrb_corrections c = lrb_corrections_open(first.data, first.length, DIM);
        CHECK_OK(lrb_corrections_next(&c, &more, &err));
        for (; more && c.index < ROWS; lrb_corrections_next(&c, &more, &err)) {
            memcpy(back, canonical[c.index], sizeof back);
            lrb_corrections_apply(&c, back);
            CHECK(!memcmp(back, rows[c.index], sizeof back));
        }
        CHECK(more);
        c.dim = DIM - 13;
        memcpy(back, noise[1], sizeof back);
        lrb_corrections_apply(&c, back);
        CHECK(!memcmp(back, noise[0], 4 * (DIM - 13)) && !memcmp(back + 4 * (DIM - 13), noise[1] + 4 * (DIM - 13), 4 * 13));
    }
    lrb_cpu_limit(LRB_CPU_LEVELS);
    lrb_buf_clear(&first);
    lrb_buf_clear(&content);
}

static int read_all(const uint8_t *bytes, size_t count, uint32_t dim, lrb_err *err) {
    uint8_t *exact = lrb_alloc(count);
    if (!exact) return lrb_err_nomem(err, "copy");
    if (count) memcpy(exact, bytes, count);
    lrb_corrections c = lrb_corrections_open(exact, count, dim);
    bool more = true;
    int code = LRB_OK;
    while (!code && more) {
        code = lrb_corrections_next(&c, &more, err);
        if (!code && more) lrb_corrections_apply(&c, canonical[0]);
    }
    lrb_free(exact);
    return code;
}

static void put_row(uint8_t *at, uint32_t index, uint32_t steps, uint32_t exceptions) {
    lrb_put_u32(at, index);
    lrb_put_u32(at + 4, steps);
    lrb_put_u32(at + 8, exceptions);
}

TEST(what_append_would_not_write_is_damage) {
    uint8_t bytes[64] = {0};
    lrb_err err;
    put_row(bytes, 3, 1, 2);
    lrb_put_u32(bytes + 12, 0x3F800000);
    lrb_put_u32(bytes + 16, 1);
    lrb_put_u32(bytes + 24, 2);
    put_row(bytes + 32, 4, 0, 0);
    CHECK_OK(read_all(bytes, 44, 8, &err));
    for (size_t length = 1; length < 44; length++)
        if (length != 32) CHECK_FAILS(read_all(bytes, length, 8, &err), LRB_E_DAMAGED);
    lrb_put_u32(bytes + 24, 1);
    CHECK_FAILS(read_all(bytes, 44, 8, &err), LRB_E_DAMAGED);
    lrb_put_u32(bytes + 24, 8);
    CHECK_FAILS(read_all(bytes, 44, 8, &err), LRB_E_DAMAGED);
    lrb_put_u32(bytes + 24, 2);
    lrb_put_u32(bytes + 12, 0x7F800000);
    CHECK_FAILS(read_all(bytes, 44, 8, &err), LRB_E_DAMAGED);
    lrb_put_u32(bytes + 12, 0x3F800000);
    put_row(bytes + 32, 3, 0, 0);
    CHECK_FAILS(read_all(bytes, 44, 8, &err), LRB_E_DAMAGED);
    put_row(bytes + 32, 4, 0, 0xFFFFFFFF);
    CHECK_FAILS(read_all(bytes, 44, 8, &err), LRB_E_DAMAGED);
    put_row(bytes + 32, 4, 0xFFFFFFFF, 0);
    CHECK_FAILS(read_all(bytes, 44, 8, &err), LRB_E_DAMAGED);
}

TEST(a_failed_allocation_leaves_the_content_as_it_was) {
    lrb_err err;
    lrb_buf content;
    lrb_canonical_path path = {.steps = 0};
    lrb_buf_init(&content, 1 << 20);
    lrb_mem_fail_after(0, true);
    int code = lrb_corrections_append(&content, 0, rows[0], canonical[0], DIM, &path, &err);
    lrb_mem_fail_after(-1, false);
    CHECK_FAILS(code, LRB_E_NOMEM);
    CHECK(content.length == 0);
    lrb_buf_clear(&content);
}

int main(void) {
    RUN(canonical_rows_become_the_rows_of_the_file);
    RUN(any_row_comes_back_from_any_other);
    RUN(every_processor_writes_and_reads_the_same);
    RUN(what_append_would_not_write_is_damage);
    RUN(a_failed_allocation_leaves_the_content_as_it_was);
    return check_report();
}
