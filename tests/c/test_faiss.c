/* Graphs whose chunk vectors are in Faiss: an index of rows and its metadata, which have to fit together. Real ones are in
 * tests/python/test_faiss.py; here they are damaged, torn apart, long, and read while memory or the disk fails. */
#include <math.h>

#include "base/wire.h"
#include "judging.h"

enum { DIM = 3, HEAD_BYTES = 45, MAX_ROWS = 10000, INDEX_MAX_BYTES = HEAD_BYTES + MAX_ROWS * DIM * 4 };

#define INDEX "faiss_index_chunks.index"
#define RECORD "{\"__id__\": \"doc-c001c3a494773d19754d7a8707f6f586-chunk-000\", \"__created_at__\": 1795646449, \"content\": " \
               "\"Report.\\nE1 works with E2.\", \"full_doc_id\": \"doc-c001c3a494773d19754d7a8707f6f586\", \"file_path\": \"r.txt\"}"

typedef struct pair { /* instead of vdb_chunks.json; the address of a pair is in it */
    char bytes[INDEX_MAX_BYTES];
    change index, meta, nano;
} pair;

/* An index of unit rows, as write_index makes one. */
static void make_pair(pair *p, uint32_t dim, uint64_t rows) {
    uint8_t *at = (uint8_t *)p->bytes;
    float one = 1;
    memset(p->bytes, 0, sizeof p->bytes);
    memcpy(at, "IxFI", 4);
    lrb_put_u32(at + 4, dim);
    lrb_put_u64(at + 8, rows);
    lrb_put_u64(at + 37, rows * dim);
    for (uint64_t i = 0; i < rows; i++) memcpy(at + HEAD_BYTES + 4 * i * dim, &one, 4);
    p->nano = (change){"vdb_chunks.json", NULL, 0, NULL};
    p->meta = BECOMES(INDEX ".meta.json", "{\"0\": " RECORD "}");
    p->meta.also = &p->nano;
    p->index = (change){INDEX, p->bytes, HEAD_BYTES + 4 * (size_t)rows * dim, &p->meta};
}

static pair p;

static void set_number(uint64_t at, float value) { memcpy(p.bytes + HEAD_BYTES + 4 * at, &value, 4); }

TEST(a_pair_that_fits_is_usable) {
    make_pair(&p, DIM, 1);
    says(&p.index, &PLAIN, "\"verdict\": \"usable\", \"findings\": []");
    make_pair(&p, DIM, 0);
    p.meta.text = "{}", p.meta.length = 2;
    says(&p.index, &PLAIN, "\"check\": \"chunk_no_vector\"");
}

/* Each of them alone makes it no index that Faiss would load as this one. */
TEST(a_damaged_head_is_found) {
    static const struct { size_t at; uint64_t value; unsigned bytes; } flaws[] = {
        {0, 'X', 1},          {3, 'P', 1},              /* another kind of index */
        {4, 0, 4},            {4, 2, 4},                /* numbers of a row */
        {4, 0x7fffffff, 4},   {8, 0, 8},                /* rows */
        {8, 2, 8},            {8, UINT64_MAX, 8},
        {37, 0, 8},           {37, 4, 8},               /* numbers in all */
        {37, UINT64_MAX, 8},  {37, (UINT64_C(1) << 62) + 3, 8}};
    for (size_t i = 0; i < sizeof flaws / sizeof *flaws; i++) {
        make_pair(&p, DIM, 1);
        for (unsigned b = 0; b < flaws[i].bytes; b++) p.bytes[flaws[i].at + b] = (char)(flaws[i].value >> 8 * b);
        says(&p.index, &PLAIN, "\"check\": \"faiss_broken\"");
    }
    for (size_t length = 0; length < HEAD_BYTES + 4 * DIM; length++) {
        make_pair(&p, DIM, 1);
        p.index.length = length;
        says(&p.index, &PLAIN, "\"check\": \"faiss_broken\"");
    }
    make_pair(&p, DIM, 1);
    p.index.length++;
    says(&p.index, &PLAIN, "\"check\": \"faiss_broken\"");
    make_pair(&p, 0, 0);
    says(&p.index, &PLAIN, "\"check\": \"faiss_broken\"");
    make_pair(&p, 2, 2);
    lrb_put_u64((uint8_t *)p.bytes + 37, 3); /* three numbers, and length for three */
    p.index.length = HEAD_BYTES + 12;
    says(&p.index, &PLAIN, "\"check\": \"faiss_broken\"");
}

TEST(metadata_that_cannot_be_read_is_found) {
    static const char *const texts[] = {"", "{", "[]", "{\"0\": " RECORD ", \"0\": ", "{\"0\": 7}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        make_pair(&p, DIM, 1);
        p.meta.text = texts[i], p.meta.length = strlen(texts[i]);
        says(&p.index, &PLAIN, "\"check\": \"faiss_broken\"");
    }
}

TEST(halves_that_do_not_belong_together_are_found) {
    make_pair(&p, DIM, 2);
    says(&p.index, &PLAIN, "\"ids\": [\"" INDEX ": 2 rows, 1 in its metadata\"]");
    make_pair(&p, DIM, 1);
    p.index.also = &p.nano;
    says(&p.index, &PLAIN, "\"ids\": [\"" INDEX " without its other half\"]");
    says(&p.meta, &PLAIN, "\"ids\": [\"" INDEX ".meta.json without its other half\"]");
    says(&p.meta, &(lrb_validation_options){.workspace = "", .partial = true}, "\"verdict\": \"usable\"");
    make_pair(&p, 4, 1);
    says(&p.index, &PLAIN, "\"check\": \"dim_differs\"");
}

/* What LightRAG asks the index for is the number each row is called after. */
TEST(rows_of_metadata_are_those_of_the_index) {
    static const struct { const char *text, *wanted; } ids[] = {
        {"{\"1\": " RECORD ", \"0\": " RECORD "}", "\"check\": \"record_twice\""},
        {"{\"1\": " RECORD ", \"2\": " RECORD "}", "its rows are not 0 to 1, as those of the index\""},
        {"{\"0\": " RECORD ", \"0\": " RECORD "}", "its rows are not 0 to 1, as those of the index\""},
        {"{\"0\": " RECORD ", \"-1\": " RECORD "}", "its rows are not 0 to 1, as those of the index\""},
        {"{\"0\": " RECORD ", \"01\": " RECORD "}", "its rows are not 0 to 1, as those of the index\""},
        {"{\"\": " RECORD ", \"1\": " RECORD "}", "its rows are not 0 to 1, as those of the index\""}};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        make_pair(&p, DIM, 2);
        p.meta.text = ids[i].text, p.meta.length = strlen(ids[i].text);
        says(&p.index, &PLAIN, ids[i].wanted);
    }
    make_pair(&p, DIM, 2);
    p.meta.text = ids[0].text, p.meta.length = strlen(ids[0].text);
    lrb_buf json;
    lrb_buf_init(&json, 1 << 20);
    CHECK_OK(validate(&p.index, &PLAIN, &json));
    CHECK(!strstr((char *)json.data, "faiss_torn"));
    lrb_buf_clear(&json);
}

/* In any of several batches, and at both ends of one. */
TEST(a_row_no_model_makes_is_found_wherever_it_is) {
    static const struct { float value; const char *check; } odd[] = {{1.01f, "row_norm"}, {0.5f, "row_norm"}, {0, "row_norm"}, {NAN, "row_not_finite"}, {INFINITY, "row_not_finite"}};
    static const uint64_t rows[] = {0, 4094, 4095, 4096, MAX_ROWS - 1};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        for (size_t j = 0; j < sizeof rows / sizeof *rows; j++) {
            char wanted[200];
            make_pair(&p, DIM, MAX_ROWS);
            set_number(rows[j] * DIM, odd[i].value);
            snprintf(wanted, sizeof wanted, "\"" INDEX " row %d\"", (int)rows[j]);
            says(&p.index, &PLAIN, wanted);
            says(&p.index, &PLAIN, odd[i].check);
        }
}

TEST(every_failing_allocation_is_survived) {
    make_pair(&p, DIM, 2);
    set_number(0, 7);
    survives_every_failing_allocation(&p.index, &PLAIN);
    make_pair(&p, DIM, 1);
    p.meta.text = "{\"7\": " RECORD "}", p.meta.length = strlen(p.meta.text);
    survives_every_failing_allocation(&p.index, &PLAIN);
}

/* Reads what lies in front of *arg and fails behind it, as at a bad sector. */
static int read_up_to(const lrb_bytes *self, void *thread, uint64_t offset, void *into, size_t room, size_t *got, lrb_err *error) {
    if (offset + room > *(const size_t *)self->arg) return failing_read(self, thread, offset, into, room, got, error);
    memcpy(into, p.bytes + offset, room);
    *got = room;
    return LRB_OK;
}

TEST(a_disk_that_fails_is_no_finding) {
    static size_t good[] = {0, HEAD_BYTES, HEAD_BYTES + 4095 * DIM * 4, INDEX_MAX_BYTES - 1};
    make_pair(&p, DIM, MAX_ROWS);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        lrb_validation *v;
        bool taken;
        lrb_bytes bytes = {.read = read_up_to, .arg = &good[i], .length = p.index.length};
        CHECK_OK(lrb_validation_new(&PLAIN, &v, &err));
        CHECK_OK(lrb_validation_add(v, INDEX, &bytes, &taken, &err));
        CHECK_FAILS(step_to_the_end(v, &err), LRB_E_IO);
        lrb_validation_free(v);
    }
}

int main(void) {
    RUN(a_pair_that_fits_is_usable);
    RUN(a_damaged_head_is_found);
    RUN(metadata_that_cannot_be_read_is_found);
    RUN(halves_that_do_not_belong_together_are_found);
    RUN(rows_of_metadata_are_those_of_the_index);
    RUN(a_row_no_model_makes_is_found_wherever_it_is);
    RUN(every_failing_allocation_is_survived);
    RUN(a_disk_that_fails_is_no_finding);
    return check_report();
}
