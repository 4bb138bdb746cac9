/* Vector files through the whole engine: however they are made or broken, they come back byte for byte, and what is the same
 * in two of them is stored once. */
#include <glob.h>

#include "codec/canonical.h"
#include "vector_bench.h"

static lrb_err err;

static uint64_t stored(const bench *b) { return b->outcome.stored_bytes; }

/* ---- as LightRAG writes them ---- */

TEST(files_of_all_dims_come_back) {
    static const struct { uint32_t dim; size_t rows; } shapes[] = {
        {1, 300}, {2, 300}, {3, 300}, {16, 60}, {64, 3000}, {100, 2500}, {384, 700}, {1000, 1}, {1024, 2}, {1024, 300}, {3072, 60}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        bench b;
        bench_open(&b);
        vector_file *f = file_of(shapes[i].dim, shapes[i].rows);
        put_file(&b, "vdb_entities.json", f->bytes.data, f->bytes.length);
        bench_backup(&b);
        CHECK(comes_back(&b));
        CHECK(count_chunks(&b, LRB_CHUNK_FRAME) == 1 && count_chunks(&b, LRB_CHUNK_RAW) == 0);
        bench_close(&b);
    }
}

TEST(long_texts_and_white_space_come_back) {
    static const char *const newlines[] = {"", "\n      "};
    for (int i = 0; i < 2; i++) {
        bench b;
        bench_open(&b);
        vector_file f = {.dim = 32, .newline = newlines[i], .end = i ? "\", \"additional_data\": {}}\n" : "\"}", .longest_text = 20000};
        for (size_t n = 0; n < 400; n++) vector_numbers[n] = n;
        vector_file_make(&f, vector_numbers, 400);
        put_file(&b, "file", f.bytes.data, f.bytes.length);
        bench_backup(&b);
        CHECK(comes_back(&b));
        CHECK(count_chunks(&b, LRB_CHUNK_FRAME) == 1);
        lrb_buf_clear(&f.bytes);
        bench_close(&b);
    }
}

/* ---- broken in every way ---- */

/* One file for every position, `at` of it changed, in directories of some hundred. */
static void fill_with_mutants(bench *b, const vector_file *f, size_t from, size_t count, uint8_t flip) {
    char name[32];
    for (size_t at = from; at < from + count && at < f->bytes.length; at++) {
        f->bytes.data[at] ^= flip;
        snprintf(name, sizeof name, "mutant-%05zu", at);
        put_file(b, name, f->bytes.data, f->bytes.length);
        f->bytes.data[at] ^= flip;
    }
}

TEST(changed_at_every_position_they_come_back) {
    enum { AT_ONCE = 1100 };
    static const uint8_t flips[] = {0x01, 0x40};
    vector_file *f = file_of(5, 25);
    CHECK(f->bytes.length > 4 << 10 && f->bytes.length < 5 << 10);
    unsigned as_vectors = 0;
    for (size_t i = 0; i < sizeof flips; i++)
        for (size_t from = 0; from < f->bytes.length; from += AT_ONCE) {
            bench b;
            bench_open(&b);
            fill_with_mutants(&b, f, from, AT_ONCE, flips[i]);
            bench_backup(&b);
            CHECK(comes_back(&b));
            as_vectors += count_chunks(&b, LRB_CHUNK_FRAME) > 0;
            bench_close(&b);
        }
    CHECK(as_vectors > 6);
}

/* Rows no embedding model gives: the bytes are what counts. */
TEST(odd_rows_come_back) {
    static const uint32_t odd[] = {0x80000000, 0x7fc00000, 0x7f800001, 0xffffffff, 0x7f800000, 1, 0x807fffff, 0};
    enum { DIM = 48, ROWS = 40 };
    static uint8_t rows[ROWS * DIM * 4];
    bench b;
    bench_open(&b);
    vector_file *f = file_of(DIM, ROWS);
    size_t end = f->bytes.length - 2;
    for (size_t i = 0; i < ROWS; i++) {
        float row[DIM];
        vector_row(i, DIM, row);
        for (size_t k = 0; k < i && k < 8; k++) memcpy(&row[5 * k % DIM], &odd[(i + k) % 8], 4);
        for (size_t k = 0; i % 5 == 0 && k < DIM; k++) row[k] *= 3;
        memcpy(rows + i * sizeof row, row, sizeof row);
    }
    f->bytes.length = f->matrix_at;
    vector_put_base64(f, rows, sizeof rows);
    vector_put_text(f, "\"}");
    CHECK(f->bytes.length == end + 2);
    put_file(&b, "odd", f->bytes.data, f->bytes.length);
    bench_backup(&b);
    CHECK(comes_back(&b));
    CHECK(count_chunks(&b, LRB_CHUNK_FRAME) == 1);
    bench_close(&b);
}

/* What the recogniser cannot see is found when it is decoded, in whichever section; then the bytes are stored as they are. */
TEST(what_is_not_canonical_is_stored_as_it_is) {
    static const struct { size_t in_matrix, at; char instead; } faults[] = {
        {0, 700, '-'}, {1, 0, '.'}, {1, 100001, '='}, {1, 400000, '\n'}, {0, 2000000, '*'}};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        bench b;
        bench_open(&b);
        vector_file *f = file_of(384, 1500);
        size_t payload = faults[i].at;
        while (!faults[i].in_matrix && memcmp(f->bytes.data + payload, "eJw", 3) != 0) payload++;
        f->bytes.data[faults[i].in_matrix ? f->matrix_at + faults[i].at : payload + 500] = (uint8_t)faults[i].instead;
        put_file(&b, "file", f->bytes.data, f->bytes.length);
        bench_backup(&b);
        CHECK(comes_back(&b));
        CHECK(count_chunks(&b, LRB_CHUNK_FRAME) == 0 && count_chunks(&b, LRB_CHUNK_RAW) > 0);
        bench_close(&b);
    }
}

/* ---- what is stored once ---- */

TEST(a_record_that_goes_stores_its_neighbours_only) {
    bench b;
    bench_open(&b);
    vector_file *f = file_of(1024, 1000);
    put_file(&b, "vdb", f->bytes.data, f->bytes.length);
    bench_backup(&b);
    CHECK(stored(&b) > f->bytes.length / 3 && stored(&b) < f->bytes.length / 2);
    for (size_t gone = 1; gone < 1000; gone += 333) {
        for (size_t i = 0; i < 1000; i++) vector_numbers[i] = i + (i >= gone);
        vector_file_make(f, vector_numbers, 999);
        replace_file(&b, "vdb", f);
        bench_backup(&b);
        CHECK(comes_back(&b));
        CHECK(stored(&b) < 80 << 10);
    }
    bench_close(&b);
}

TEST(a_restart_stores_corrections_only) {
    bench b;
    bench_open(&b);
    vector_file *f = file_of(1024, 1000);
    put_file(&b, "vdb", f->bytes.data, f->bytes.length);
    bench_backup(&b);
    unsigned vectors = count_chunks(&b, LRB_CHUNK_VECTORS);
    vector_file_restart(f);
    replace_file(&b, "vdb", f);
    bench_backup(&b);
    CHECK(comes_back(&b));
    CHECK(count_chunks(&b, LRB_CHUNK_VECTORS) == vectors);
    CHECK(stored(&b) < f->bytes.length / 500);
    bench_close(&b);
}

TEST(two_runs_of_the_same_file_store_nothing) {
    bench b;
    bench_open(&b);
    vector_file *f = file_of(256, 800);
    put_file(&b, "one", f->bytes.data, f->bytes.length);
    bench_backup(&b);
    put_file(&b, "two", f->bytes.data, f->bytes.length);
    bench_backup(&b);
    CHECK(stored(&b) < 4 << 10);
    CHECK(comes_back(&b));
    bench_close(&b);
}

/* ---- damage, no memory ---- */

static void flip(const char *path, off_t at) {
    uint8_t byte;
    chmod(path, 0600);
    int fd = open(path, O_RDWR);
    if (fd < 0 || pread(fd, &byte, 1, at) != 1) exit(2);
    byte ^= 0x04;
    if (pwrite(fd, &byte, 1, at) != 1) exit(2);
    close(fd);
}

TEST(a_flipped_byte_is_never_returned_as_data) {
    bench b;
    glob_t packs;
    struct stat st;
    char pattern[300];
    int refused = 0;
    bench_open(&b);
    vector_file *f = file_of(64, 60);
    put_file(&b, "vdb", f->bytes.data, f->bytes.length);
    bench_backup(&b);
    snprintf(pattern, sizeof pattern, "%s/graphs/graph/packs/*", b.f.storage);
    CHECK(!glob(pattern, 0, NULL, &packs) && packs.gl_pathc == 1 && !stat(packs.gl_pathv[0], &st));
    for (off_t at = 64; at < st.st_size; at += 11) {
        flip(packs.gl_pathv[0], at);
        lrb_repo_close(b.repo);
        CHECK_OK(lrb_repo_open(b.f.storage, "graph", false, &b.repo, &err));
        bench_renew_staging(&b);
        int code = bench_restore_all(&b, &err);
        CHECK(code ? code == LRB_E_DAMAGED || code == LRB_E_UNSUPPORTED || code == LRB_E_FOREIGN : same_trees(b.f.source, b.staging));
        refused += code != 0;
        flip(packs.gl_pathv[0], at);
    }
    CHECK(refused > 100);
    globfree(&packs);
    bench_close(&b);
}

TEST(every_failing_allocation_is_an_error) {
    bench b;
    bench_open(&b);
    vector_file *f = file_of(16, 60);
    put_file(&b, "vdb", f->bytes.data, f->bytes.length);
    int code = LRB_E_NOMEM;
    for (int64_t n = 0; code; n++) {
        lrb_mem_fail_after(n, false);
        code = fixture_backup(&b.f, b.repo, &b.outcome, &err);
        lrb_mem_fail_after(-1, false);
        CHECK(!code || code == LRB_E_NOMEM);
    }
    code = LRB_E_NOMEM;
    for (int64_t n = 0; code; n++) {
        bench_renew_staging(&b);
        lrb_mem_fail_after(n, false);
        code = bench_restore_all(&b, &err);
        lrb_mem_fail_after(-1, false);
        CHECK(!code || code == LRB_E_NOMEM);
    }
    CHECK(same_trees(b.f.source, b.staging));
    bench_close(&b);
}

int main(void) {
    RUN(files_of_all_dims_come_back);
    RUN(long_texts_and_white_space_come_back);
    RUN(changed_at_every_position_they_come_back);
    RUN(odd_rows_come_back);
    RUN(what_is_not_canonical_is_stored_as_it_is);
    RUN(a_record_that_goes_stores_its_neighbours_only);
    RUN(a_restart_stores_corrections_only);
    RUN(two_runs_of_the_same_file_store_nothing);
    RUN(a_flipped_byte_is_never_returned_as_data);
    RUN(every_failing_allocation_is_an_error);
    lrb_buf_clear(&file_of(1, 1)->bytes);
    return check_report();
}
