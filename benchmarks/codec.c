/* How fast and how small the vector codec is on one core, stage by stage, on a vector file LightRAG wrote.
 *
 * usage: codec <vdb file> [rows in a group]. The file is read once; every stage is then run over all groups several times,
 * and its fastest pass counts. "of source" means of the whole file. Levels of instructions are compared (cpu.h). */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/wire.h"
#include "codec/base64.h"
#include "codec/canonical.h"
#include "codec/corrections.h"
#include "codec/cpu.h"
#include "codec/digest.h"
#include "codec/inflate.h"
#include "codec/vectors.h"
#include "lightrag/vdb.h"

enum { PASSES = 5, MAX_GROUP_ROWS = 256 };

#define MUST(condition) do { if (!(condition)) { fprintf(stderr, "failed: %s\n", #condition); exit(1); } } while (0)
#define MUST_OK(call) do { if (call) { fprintf(stderr, "%s: %s: %s\n", #call, err.target, err.message); exit(1); } } while (0)

static lrb_err err;

typedef struct group {
    size_t first, rows;       /* of the file */
    uint8_t *content, *stored; /* filled by the stages */
    size_t content_bytes, stored_bytes;
    uint8_t digest[LRB_DIGEST_BYTES];
} group;

static const char *file;
static size_t file_bytes, rows, group_rows = 8, group_count, text_bytes;
static uint32_t dim;
static const char *matrix;
static lrb_vdb_record *records;
static const char **payloads;
static group *groups;
static uint8_t *matrix_rows, *canonical_rows;
static lrb_buf corrections;
static lrb_inflater *inflater;
static lrb_vector_coder *coder;
static lrb_digest *digest;
static uint8_t *scratch;

/* ---- the file ---- */

static void parse(void) {
    lrb_vdb *vdb;
    bool recognised;
    size_t done = 0, at = 0;
    MUST_OK(lrb_vdb_new(0, &vdb, &err));
    MUST_OK(lrb_vdb_feed(vdb, (const uint8_t *)file, file_bytes, &err));
    MUST_OK(lrb_vdb_finish(vdb, &recognised, &err));
    MUST(recognised);
    rows = lrb_vdb_rows(vdb);
    dim = lrb_vdb_dim(vdb);
    records = lrb_alloc(rows * sizeof *records);
    payloads = lrb_alloc(rows * sizeof *payloads);
    for (size_t s = 0; s < lrb_vdb_section_count(vdb); s++) {
        const lrb_vdb_section *section = lrb_vdb_section_at(vdb, s);
        MUST(lrb_vdb_split((const uint8_t *)file + at, section->bytes, 0, records + done, section->rows));
        for (size_t i = done; i < done + section->rows; i++) {
            payloads[i] = file + at + records[i].text_bytes;
            at += records[i].text_bytes + records[i].payload_bytes;
            text_bytes += records[i].text_bytes;
        }
        done += section->rows;
    }
    size_t middle;
    lrb_vdb_middle(vdb, &middle);
    matrix = file + at + middle;
    lrb_vdb_free(vdb);
}

static void make_groups(void) {
    group_count = (rows + group_rows - 1) / group_rows;
    groups = lrb_alloc_zero(group_count, sizeof *groups);
    for (size_t g = 0; g < group_count; g++) {
        group *of = &groups[g];
        lrb_vectors_shape shape;
        size_t streams = 0;
        of->first = g * group_rows;
        of->rows = of->first + group_rows < rows ? group_rows : rows - of->first;
        for (size_t i = of->first; i < of->first + of->rows; i++)
            streams += lrb_base64_decoded_length(payloads[i], records[i].payload_bytes);
        MUST_OK(lrb_vectors_shape_of(dim, (uint32_t)of->rows, streams, &shape, &err));
        of->content_bytes = shape.total;
        of->content = lrb_alloc_zero(shape.total + 64, 1);
        of->stored = lrb_alloc_zero(shape.total + 64, 1);
        MUST(of->content && of->stored);
    }
}

/* ---- stages ---- */

static uint8_t *values_of(const group *g) { return g->content + 4 + 4 * g->rows; }

static void decode_payloads(group *g) {
    uint8_t *stream = values_of(g) + 4 * (size_t)dim * g->rows;
    lrb_put_u32(g->content, (uint32_t)g->rows);
    for (size_t i = 0; i < g->rows; i++) {
        size_t written;
        MUST(lrb_base64_decode(payloads[g->first + i], records[g->first + i].payload_bytes, stream, &written));
        lrb_put_u32(g->content + 4 + 4 * i, (uint32_t)written);
        stream += written;
    }
}

static void decode_matrix(group *g) {
    size_t row = 4 * (size_t)dim, written;
    lrb_base64_window_of w = lrb_base64_window(row * g->first, row * g->rows, row * rows);
    MUST(lrb_base64_decode(matrix + w.first, w.chars, scratch, &written));
    memcpy(matrix_rows + row * g->first, scratch + w.skip, row * g->rows);
}

static void make_canonical(group *g) {
    for (size_t i = 0; i < g->rows; i++) {
        size_t at = 4 * (size_t)dim * (g->first + i);
        lrb_canonical_path path;
        if (lrb_row_canonical(matrix_rows + at, dim, canonical_rows + at, scratch, &path))
            MUST_OK(lrb_corrections_append(&corrections, (uint32_t)(g->first + i), matrix_rows + at, canonical_rows + at, dim,
                                           &path, &err));
    }
    memcpy(values_of(g), canonical_rows + 4 * (size_t)dim * g->first, 4 * (size_t)dim * g->rows);
}

static void hash(group *g) {
    static const uint8_t frame[20];
    lrb_message message = {frame, g->content, sizeof frame, g->content_bytes, g->digest};
    MUST_OK(lrb_digest_many(digest, NULL, &message, 1, &err));
}

static void hash_two(group *g) {
    static const uint8_t frame[20];
    if ((g - groups) % 2 == 0 && g + 1 < groups + group_count) {
        lrb_message two[2] = {{frame, g->content, sizeof frame, g->content_bytes, g->digest},
                              {frame, g[1].content, sizeof frame, g[1].content_bytes, g[1].digest}};
        MUST_OK(lrb_digest_many(digest, NULL, two, 2, &err));
    }
}

static void inflate(group *g) {
    const uint8_t *stream = values_of(g) + 4 * (size_t)dim * g->rows;
    for (size_t i = 0; i < g->rows; i++) {
        uint32_t bytes = lrb_get_u32(g->content + 4 + 4 * i);
        MUST(lrb_inflate(inflater, stream, bytes, scratch, 2 * (size_t)dim));
        stream += bytes;
    }
}

static void encode(group *g) {
    MUST_OK(lrb_vectors_encode(coder, g->content, g->content_bytes, dim, g->stored, g->content_bytes, &g->stored_bytes, &err));
    if (!g->stored_bytes) g->stored_bytes = g->content_bytes;
}

static void decode(group *g) {
    MUST_OK(lrb_vectors_decode(coder, g->stored, g->stored_bytes, dim, scratch, g->content_bytes, &err));
}

static void encode_matrix(group *g) {
    lrb_base64_encode(values_of(g), 4 * (size_t)dim * g->rows, (char *)scratch);
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double run(const char *name, void (*stage)(group *)) {
    double best = 1e9;
    for (int pass = 0; pass < PASSES; pass++) {
        double start = seconds();
        lrb_buf_empty(&corrections);
        for (size_t g = 0; g < group_count; g++) stage(&groups[g]);
        double took = seconds() - start;
        if (took < best) best = took;
    }
    printf("  %-22s %7.2f us a row  %6.2f GB/s of source\n", name, best / (double)rows * 1e6, (double)file_bytes / best / 1e9);
    return best;
}

int main(int argc, char **argv) {
    uint8_t *bytes;
    if (argc < 2) return fprintf(stderr, "usage: codec <vdb file> [rows in a group]\n"), 2;
    if (argc > 2) group_rows = (size_t)atol(argv[2]);
    MUST(group_rows >= 1 && group_rows <= MAX_GROUP_ROWS);
    MUST_OK(lrb_fs_read_file(AT_FDCWD, argv[1], 1 << 30, &bytes, &file_bytes, &err));
    file = (const char *)bytes;
    parse();
    make_groups();
    lrb_buf_init(&corrections, 1 << 30);
    matrix_rows = lrb_alloc(4 * (size_t)dim * rows + 64);
    canonical_rows = lrb_alloc(4 * (size_t)dim * rows + 64);
    scratch = lrb_alloc(16 << 20);
    MUST_OK(lrb_inflater_new(&inflater, &err));
    MUST_OK(lrb_vector_coder_new(&coder, &err));
    MUST_OK(lrb_digest_new(&digest, &err));
    printf("%zu bytes, %zu rows of %u, %zu groups, text %zu\n", file_bytes, rows, (unsigned)dim, group_count, text_bytes);
    for (int level = (int)lrb_cpu_level(); level >= 0; level--) {
        lrb_cpu_limit((lrb_cpu)level);
        printf("level %d\n", level);
        double all = run("base64, vectors", decode_payloads);
        all += run("base64, matrix", decode_matrix);
        all += run("canonical, corrections", make_canonical);
        run("inflate alone", inflate);
        all += run("encode with inverse", encode);
        printf("  %-22s %7.2f us a row  %6.2f GB/s of source\n", "all of these", all / (double)rows * 1e6,
               (double)file_bytes / all / 1e9);
        run("digest, one by one", hash);
        run("digest, two at a time", hash_two);
        run("decode", decode);
        run("base64 of the matrix", encode_matrix);
    }
    size_t stored = 0, streams = 0;
    for (size_t g = 0; g < group_count; g++) stored += groups[g].stored_bytes;
    for (size_t i = 0; i < rows; i++) streams += lrb_base64_decoded_length(payloads[i], records[i].payload_bytes);
    make_canonical(&groups[0]);
    double elements = (double)rows * dim;
    printf("vectors: stored %.4f of source; streams alone %.4f; beyond them %.3f bits an element; corrections %zu bytes\n",
           (double)stored / (double)file_bytes, (double)streams / (double)file_bytes,
           ((double)stored - (double)streams) * 8 / elements, corrections.length);
    return 0;
}
