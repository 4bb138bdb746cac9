#include "lightrag/vdb_group.h"

#include "base/mem.h"
#include "check.h"
#include "codec/base64.h"
#include "codec/corrections.h"
#include "lightrag/cut.h"
#include "vector_file.h"

enum { ROWS = 3000, DIM_MAX = 1024 };

static lrb_err err;
static lrb_vdb_record records[ROWS];
static uint64_t hashes[ROWS];
static uint8_t extents[ROWS], rows[40 * DIM_MAX * 4], scratch[DIM_MAX * 4];

static void make_records(size_t count, uint32_t payload_bytes, uint32_t text_bytes) {
    for (size_t i = 0; i < count; i++) {
        uint64_t number = i;
        hashes[i] = lrb_cut_hash((const uint8_t *)&number, sizeof number, 0);
        records[i] = (lrb_vdb_record){text_bytes, payload_bytes, hashes[i]};
    }
}

/* Groups of some dims: as many bytes of the file in each, whatever the dim. */
TEST(groups_are_some_thirty_kibibytes) {
    static const uint32_t dims[] = {64, 100, 256, 384, 768, 1024, 1536, 3072};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        size_t groups = 0, texts = 0;
        unsigned span_groups = 0;
        uint64_t span_bytes = 0;
        make_records(ROWS, dims[i] * 8 / 3, 300);
        lrb_cut_extents(hashes, ROWS, lrb_vdb_span_reach(dims[i]), extents);
        for (size_t at = 0; at < ROWS;) {
            bool ends;
            at += lrb_vdb_next_group(records + at, extents + at, ROWS - at, dims[i], &span_groups, &span_bytes, &ends);
            groups++;
            texts += ends;
            if (ends) span_groups = 0, span_bytes = 0;
            CHECK(at <= ROWS && (at < ROWS || ends));
        }
        double bytes = 8.0 * dims[i] * ROWS / (double)groups, records_of_text = ROWS / (double)texts;
        CHECK(bytes > 18 << 10 && bytes < 40 << 10);
        CHECK(records_of_text > 14 && (records_of_text < 20 || dims[i] < 256));
    }
}

TEST(limits_end_groups_and_texts_where_ids_do_not) {
    unsigned span_groups = 0;
    uint64_t span_bytes = 0;
    bool ends;
    make_records(ROWS, 1000, 300);
    memset(extents, 0, sizeof extents);
    CHECK(lrb_vdb_next_group(records, extents, ROWS, 64, &span_groups, &span_bytes, &ends) == LRB_VDB_GROUP_MAX_ROWS && !ends);
    make_records(ROWS, 60000, 300);
    span_bytes = 0;
    size_t taken = lrb_vdb_next_group(records, extents, ROWS, 1500, &span_groups, &span_bytes, &ends);
    CHECK(taken == LRB_VDB_GROUP_MAX_BYTES / 66000 && span_bytes == taken * 66300);
    CHECK(!ends);
    lrb_vdb_next_group(records, extents, ROWS, 1500, &span_groups, &span_bytes, &ends);
    CHECK(ends && span_bytes <= LRB_VDB_SPAN_MAX_BYTES + 600000);
    memset(extents, 1, sizeof extents);
    span_groups = LRB_VDB_SPAN_MAX_GROUPS - 1;
    span_bytes = 0;
    make_records(ROWS, 100, 100);
    CHECK(lrb_vdb_next_group(records, extents, ROWS, 1536, &span_groups, &span_bytes, &ends) == 1 && ends);
}

/* A file's records as one group, forward and back. */
static bool forward_and_back(uint32_t dim, uint32_t count, bool *fits) {
    static lrb_vdb_record own[40];
    vector_file f = vector_file_of(dim, count);
    lrb_buf content, corrections, texts;
    lrb_buf_init(&content, LRB_VECTORS_MAX_BYTES + 3);
    lrb_buf_init(&corrections, 1 << 20);
    lrb_buf_init(&texts, 1 << 20);
    size_t data_bytes = f.matrix_at - strlen("\"}], \"matrix\": \"");
    bool same = lrb_vdb_split(f.bytes.data, data_bytes, 0, own, count);
    for (uint32_t i = 0; i < count; i++) vector_row(i, dim, (float *)(void *)(rows + 4 * (size_t)dim * i));
    lrb_vdb_group group = {own, count, dim, f.bytes.data, rows};
    int code = lrb_vdb_group_encode(&group, 7, scratch, &content, &corrections, fits, &err);
    lrb_vectors vectors;
    lrb_vdb_texts opened;
    if (!code && *fits) code = lrb_vectors_open(content.data, content.length, dim, &vectors, &err);
    if (!code && *fits) code = lrb_vdb_texts_encode(own, count, f.bytes.data, &texts, &err);
    if (!code && *fits) code = lrb_vdb_texts_open(texts.data, texts.length, &opened, &err);
    if (!code && *fits) {
        uint8_t *again = lrb_alloc(data_bytes);
        same = same && again && lrb_vdb_group_bytes(&opened, 0, &vectors) == data_bytes;
        if (same) lrb_vdb_group_decode(&opened, 0, opened.texts, &vectors, again);
        same = same && !memcmp(again, f.bytes.data, data_bytes);
        lrb_free(again);
        uint8_t *values = content.data + (vectors.values - content.data);
        lrb_corrections reader = lrb_corrections_open(corrections.data, corrections.length, dim);
        for (bool more = true; same && !(code = lrb_corrections_next(&reader, &more, &err)) && more;)
            lrb_corrections_apply(&reader, values + 4 * (size_t)dim * (reader.index - 7));
        same = same && !memcmp(values, rows, 4 * (size_t)dim * count);
    }
    lrb_buf_clear(&content);
    lrb_buf_clear(&corrections);
    lrb_buf_clear(&texts);
    lrb_buf_clear(&f.bytes);
    return !code && same;
}

TEST(a_group_comes_back) {
    static const uint32_t dims[] = {1, 3, 16, 100, 384, 1024};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        for (uint32_t count = 1; count <= 40; count += 13) {
            bool fits = false;
            CHECK(forward_and_back(dims[i], count, &fits) && fits);
        }
}

TEST(a_payload_that_is_no_base64_does_not_fit) {
    vector_file f = vector_file_of(16, 2);
    lrb_buf content, corrections;
    bool fits = true;
    lrb_buf_init(&content, 1 << 16);
    lrb_buf_init(&corrections, 1 << 16);
    size_t data_bytes = f.matrix_at - strlen("\"}], \"matrix\": \"");
    CHECK(lrb_vdb_split(f.bytes.data, data_bytes, 0, records, 2));
    f.bytes.data[records[0].text_bytes + 5] = '-';
    lrb_vdb_group group = {records, 2, 16, f.bytes.data, rows};
    CHECK_OK(lrb_vdb_group_encode(&group, 0, scratch, &content, &corrections, &fits, &err));
    CHECK(!fits && !content.length);
    lrb_buf_clear(&content);
    lrb_buf_clear(&corrections);
    lrb_buf_clear(&f.bytes);
}

TEST(every_failing_allocation_is_survived) {
    vector_file f = vector_file_of(16, 4);
    lrb_buf content, corrections;
    bool fits;
    size_t data_bytes = f.matrix_at - strlen("\"}], \"matrix\": \"");
    CHECK(lrb_vdb_split(f.bytes.data, data_bytes, 0, records, 4));
    memset(rows, 0x11, 4 * 16 * 4); /* rows that are not what their payloads say, so that there are corrections */
    lrb_vdb_group group = {records, 4, 16, f.bytes.data, rows};
    int64_t failed = 0;
    for (int code = LRB_E_NOMEM; code; failed++) {
        lrb_buf_init(&content, 1 << 16);
        lrb_buf_init(&corrections, 1 << 16);
        lrb_mem_fail_after(failed, false);
        code = lrb_vdb_group_encode(&group, 0, scratch, &content, &corrections, &fits, &err);
        lrb_mem_fail_after(-1, false);
        if (code) CHECK_FAILS(code, LRB_E_NOMEM);
        lrb_buf_clear(&content);
        lrb_buf_clear(&corrections);
    }
    CHECK(failed > 1 && fits);
    lrb_buf_clear(&f.bytes);
}

int main(void) {
    RUN(groups_are_some_thirty_kibibytes);
    RUN(limits_end_groups_and_texts_where_ids_do_not);
    RUN(a_group_comes_back);
    RUN(a_payload_that_is_no_base64_does_not_fit);
    RUN(every_failing_allocation_is_survived);
    return check_report();
}
