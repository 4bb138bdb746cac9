/* How fast and how small the vector codec is on one core, stage by stage, on a vector file LightRAG wrote.
 *
 * usage: codec <vdb file> [rows in a group [level]]. The file is read once; then all groups go through all stages several times,
 * and of every stage its fastest pass counts. "of source" means of the whole file. All levels of instructions that this
 * processor has are shown (cpu.h), the best first, or the one asked for. */
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

enum { PASSES = 5, MAX_GROUP_ROWS = 256, FRAME_BYTES = 20 };

#define MUST(condition) do { if (!(condition)) { fprintf(stderr, "failed: %s\n", #condition); exit(1); } } while (0)
#define MUST_OK(call) do { if (call) { fprintf(stderr, "%s: %s: %s\n", #call, err.target, err.message); exit(1); } } while (0)

static lrb_err err;

typedef enum stage { PAYLOADS, MATRIX, CANONICAL, DIGEST, INFLATE, ENCODE, DECODE, TEXT, STAGES } stage;
static const char *const stage_names[STAGES] = {"base64 of the payloads",   "base64 of the matrix", "canonical, corrections",
                                                "digest, two at a time",    "inflate alone",        "encode with inverse",
                                                "decode",                   "matrix into base64"};

typedef struct group { /* what is made of some rows; two are worked on in turn, so that digests come in pairs */
    size_t first, rows, content_bytes;
    uint8_t *content, digest[LRB_DIGEST_BYTES];
} group;

static const char *file, *matrix;
static size_t file_bytes, rows, group_rows = 8, text_bytes, stream_bytes, stored_bytes, corrected_bytes;
static uint32_t dim;
static lrb_vdb_record *records;
static const char **payloads;
static group pair[2];
static uint8_t *matrix_rows, *stored, *scratch;
static lrb_buf corrections;
static lrb_inflater *inflater;
static lrb_vector_coder *coder;
static lrb_digest *digest;
static double spent[STAGES];

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

/* ---- stages ---- */

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double charge(stage of, double since) {
    double now = seconds();
    spent[of] += now - since;
    return now;
}

static uint8_t *values_of(const group *g) { return g->content + 4 + 4 * g->rows; }
static uint8_t *streams_of(const group *g) { return values_of(g) + 4 * (size_t)dim * g->rows; }

static void decode_payloads(group *g) {
    uint8_t *stream = streams_of(g);
    lrb_put_u32(g->content, (uint32_t)g->rows);
    for (size_t i = 0; i < g->rows; i++) {
        size_t written;
        MUST(lrb_base64_decode(payloads[g->first + i], records[g->first + i].payload_bytes, stream, &written));
        lrb_put_u32(g->content + 4 + 4 * i, (uint32_t)written);
        stream += written;
        stream_bytes += written;
    }
    g->content_bytes = (size_t)(stream - g->content);
}

static const uint8_t *decode_matrix(const group *g) {
    size_t row = 4 * (size_t)dim, written;
    lrb_base64_window_of w = lrb_base64_window(row * g->first, row * g->rows, row * rows);
    MUST(lrb_base64_decode(matrix + w.first, w.chars, matrix_rows, &written));
    return matrix_rows + w.skip;
}

static void make_canonical(group *g, const uint8_t *row) {
    lrb_buf_empty(&corrections);
    for (size_t i = 0; i < g->rows; i++, row += 4 * (size_t)dim) {
        uint8_t *canonical = values_of(g) + 4 * (size_t)dim * i;
        lrb_canonical_path path;
        if (lrb_row_canonical(row, dim, canonical, scratch, &path))
            MUST_OK(lrb_corrections_append(&corrections, (uint32_t)i, row, canonical, dim, &path, &err));
    }
    corrected_bytes += corrections.length;
}

static void inflate(const group *g) {
    lrb_stream streams[MAX_GROUP_ROWS];
    const uint8_t *bytes = streams_of(g);
    for (size_t i = 0; i < g->rows; i++) {
        uint32_t count = lrb_get_u32(g->content + 4 + 4 * i);
        streams[i] = (lrb_stream){bytes, count, scratch + 2 * (size_t)dim * i, false};
        bytes += count;
    }
    lrb_inflate_many(inflater, streams, g->rows, 2 * (size_t)dim);
    for (size_t i = 0; i < g->rows; i++) MUST(streams[i].good);
}

static void hash_pair(size_t count) {
    static const uint8_t frame[FRAME_BYTES];
    lrb_message messages[2];
    for (size_t k = 0; k < count; k++)
        messages[k] = (lrb_message){frame, pair[k].content, sizeof frame, pair[k].content_bytes, pair[k].digest};
    MUST_OK(lrb_digest_many(digest, NULL, messages, count, &err));
}

static void take(group *g, size_t first) {
    double at = seconds();
    g->first = first;
    g->rows = first + group_rows < rows ? group_rows : rows - first;
    decode_payloads(g);
    at = charge(PAYLOADS, at);
    const uint8_t *raw = decode_matrix(g);
    at = charge(MATRIX, at);
    make_canonical(g, raw);
    charge(CANONICAL, at);
}

/* Encodes, and then what a restore does. */
static void store(group *g) {
    size_t written;
    double at = seconds();
    MUST_OK(lrb_vectors_encode(coder, g->content, g->content_bytes, dim, stored, g->content_bytes, &written, &err));
    at = charge(ENCODE, at);
    stored_bytes += written ? written : g->content_bytes;
    inflate(g);
    at = charge(INFLATE, at);
    if (written) MUST_OK(lrb_vectors_decode(coder, stored, written, dim, scratch, g->content_bytes, &err));
    at = charge(DECODE, at);
    lrb_base64_encode(values_of(g), 4 * (size_t)dim * g->rows, (char *)scratch);
    charge(TEXT, at);
}

static void pass(void) {
    stream_bytes = stored_bytes = corrected_bytes = 0;
    for (size_t at = 0; at < rows;) {
        size_t count = 0;
        for (; count < 2 && at < rows; count++, at += group_rows) take(&pair[count], at);
        double since = seconds();
        hash_pair(count);
        charge(DIGEST, since);
        for (size_t k = 0; k < count; k++) store(&pair[k]);
    }
}

static void show(const char *name, double took) {
    printf("  %-24s %7.2f us a row  %7.2f GB/s of source\n", name, took / (double)rows * 1e6,
           (double)file_bytes / took / 1e9);
}

/* Each stage's fastest pass. */
static void measure(void) {
    double best[STAGES];
    for (int p = 0; p < PASSES; p++) {
        memset(spent, 0, sizeof spent);
        pass();
        for (int s = 0; s < STAGES; s++) best[s] = p && best[s] < spent[s] ? best[s] : spent[s];
    }
    for (int s = 0; s < STAGES; s++) show(stage_names[s], best[s]);
    show("codec, without digest", best[PAYLOADS] + best[MATRIX] + best[CANONICAL] + best[ENCODE]);
}

static void *room(size_t count) {
    void *made = lrb_alloc_zero(count, 1);
    MUST(made);
    return made;
}

int main(int argc, char **argv) {
    uint8_t *bytes;
    if (argc < 2) return fprintf(stderr, "usage: codec <vdb file> [rows in a group [level]]\n"), 2;
    if (argc > 2) group_rows = strtoul(argv[2], NULL, 10);
    MUST(group_rows >= 1 && group_rows <= MAX_GROUP_ROWS);
    MUST_OK(lrb_fs_read_file(AT_FDCWD, argv[1], 1 << 30, &bytes, &file_bytes, &err));
    file = (const char *)bytes;
    parse();
    size_t most = group_rows * (8 * (size_t)dim + 1024) + 1024;
    for (int k = 0; k < 2; k++) pair[k].content = room(most);
    matrix_rows = room(most);
    stored = room(most);
    scratch = room(most);
    lrb_buf_init(&corrections, 1 << 30);
    MUST_OK(lrb_inflater_new(&inflater, &err));
    MUST_OK(lrb_vector_coder_new(&coder, &err));
    MUST_OK(lrb_digest_new(&digest, &err));
    printf("%zu bytes, %zu rows of %u, text %zu\n", file_bytes, rows, (unsigned)dim, text_bytes);
    for (int level = (int)lrb_cpu_level(); level >= 0; level--) {
        if (argc > 3 && level != argv[3][0] - '0') continue;
        lrb_cpu_limit((lrb_cpu)level);
        printf("level %d\n", level);
        measure();
    }
    double source = (double)file_bytes, elements = (double)rows * dim;
    printf("stored %.4f of source, of which streams %.4f; beyond them %.3f bits an element; corrections %.5f\n",
           (double)stored_bytes / source, (double)stream_bytes / source,
           ((double)stored_bytes - (double)stream_bytes) * 8 / elements, (double)corrected_bytes / source);
    return 0;
}
