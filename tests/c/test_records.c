#include "lightrag/records.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "check.h"
#include "sample.h"

enum { CUTS_MAX = 4096, FILE_MAX_BYTES = 16 << 20 };

static lrb_err err;
static lrb_chunker chunker;
static const uint8_t zero_seed[32];

static void put(lrb_buf *out, const char *text) {
    if (lrb_buf_append(out, text, strlen(text), &err)) exit(2);
}

static void put_letters(lrb_buf *out, uint64_t seed, size_t count) {
    char letters[65] = {0};
    for (size_t i = 0; i < count; i += 64) {
        for (size_t k = 0; k < 64; k++) letters[k] = (char)('a' + sample_next(&seed) % 26);
        letters[count - i < 64 ? count - i : 64] = '\0';
        put(out, letters);
    }
}

/* Rows first ... last - 1 but `gone`, each of up to `longest` bytes. */
static void make_json(lrb_buf *out, unsigned first, unsigned last, unsigned gone, unsigned longest) {
    char line[64];
    lrb_buf_empty(out);
    put(out, "{\n");
    for (unsigned n = first; n < last; n++) {
        if (n == gone) continue;
        snprintf(line, sizeof line, "  \"chunk-%08x\": {\n    \"content\": \"", n * 2654435761u);
        put(out, line);
        put_letters(out, n, n * 7919u % longest);
        put(out, n + 1 < last ? "\"\n  },\n" : "\"\n  }\n");
    }
    put(out, "}");
}

static const char *indent = "    ";

static void make_graphml(lrb_buf *out, unsigned nodes, unsigned gone) {
    char line[128];
    lrb_buf_empty(out);
    put(out, "<?xml version='1.0' encoding='utf-8'?>\n<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">\n  <graph edgedefault=\"undirected\">\n");
    for (unsigned n = 0; n < 3 * nodes; n++) {
        if (n == gone) continue;
        if (n < nodes) snprintf(line, sizeof line, "<node id=\"E%u\">\n      <data key=\"d0\">", n);
        else snprintf(line, sizeof line, "<edge source=\"E%u\" target=\"E%u\">\n      <data key=\"d7\">", n % nodes, n * 31 % nodes);
        put(out, indent);
        put(out, line);
        put_letters(out, n, 300);
        put(out, n < nodes ? "</data>\n    </node>\n" : "</data>\n    </edge>\n");
    }
    put(out, "  </graph>\n</graphml>\n");
}

/* Ends of all chunks; returns how many. Cuts are asked for with no more at hand than is promised to be enough. */
static size_t cut_all(lrb_records_form form, const lrb_buf *file, size_t ends[CUTS_MAX]) {
    size_t n = 0;
    for (size_t at = 0; at < file->length && n < CUTS_MAX; n++) {
        size_t left = file->length - at, some = left < LRB_CHUNK_MAX_BYTES ? left : LRB_CHUNK_MAX_BYTES;
        size_t length = lrb_records_cut(form, &chunker, 0, file->data + at, some);
        if (!length || length > some || length != lrb_records_cut(form, &chunker, 0, file->data + at, left)) return 0;
        ends[n] = at += length;
    }
    return n;
}

static size_t cuts_at_records(const lrb_buf *file, const size_t *ends, size_t count, const char *beginning) {
    size_t found = 0;
    for (size_t i = 0; i + 1 < count; i++) found += !memcmp(file->data + ends[i], beginning, strlen(beginning));
    return found;
}

TEST(forms_are_known_by_their_beginning) {
    static const char graphml[] = "<?xml version='1.0' encoding='utf-8'?>\n<graphml xmlns=\"x\">";
    CHECK(lrb_records_recognise((const uint8_t *)"{\n  \"a\": 1", 10) == LRB_RECORDS_JSON);
    CHECK(lrb_records_recognise((const uint8_t *)graphml, sizeof graphml - 1) == LRB_RECORDS_GRAPHML);
    static const char *const others[] = {"", "{", "{}", "{\n", "{\n\t\"a\": 1}", "{\"a\": 1}", "[\n  \"a\"\n]", "<?xml version='1.0'?>\n<svg>", "<graphml "};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        CHECK(lrb_records_recognise((const uint8_t *)others[i], strlen(others[i])) == LRB_RECORDS_NONE);
}

TEST(chunks_end_between_rows_every_16_kib) {
    static size_t ends[CUTS_MAX];
    lrb_buf file;
    lrb_buf_init(&file, FILE_MAX_BYTES);
    make_json(&file, 0, 4000, 4000, 1500);
    size_t count = cut_all(LRB_RECORDS_JSON, &file, ends);
    double mean = (double)file.length / (double)count;
    CHECK(mean > 13 << 10 && mean < 20 << 10);
    CHECK(cuts_at_records(&file, ends, count, "  \"chunk-") == count - 1);
    lrb_buf_clear(&file);
}

TEST(chunks_end_between_nodes_and_edges) {
    static size_t ends[CUTS_MAX];
    lrb_buf file;
    lrb_buf_init(&file, FILE_MAX_BYTES);
    for (int indented = 0; indented < 2; indented++) {
        indent = indented ? "    " : "";
        make_graphml(&file, 2000, 9999);
        size_t count = cut_all(LRB_RECORDS_GRAPHML, &file, ends);
        double mean = (double)file.length / (double)count;
        CHECK(mean > 13 << 10 && mean < 20 << 10);
        const char *node = indented ? "    <node " : "<node ", *edge = indented ? "    <edge " : "<edge ";
        CHECK(cuts_at_records(&file, ends, count, node) + cuts_at_records(&file, ends, count, edge) == count - 1);
    }
    lrb_buf_clear(&file);
}

/* How many chunks of b are none of a. */
static size_t new_chunks(const lrb_buf *a, const size_t *a_ends, size_t a_count, const lrb_buf *b, const size_t *b_ends, size_t b_count) {
    size_t differ = 0;
    for (size_t i = 0; i < b_count; i++) {
        size_t from = i ? b_ends[i - 1] : 0, length = b_ends[i] - from;
        bool found = false;
        for (size_t k = 0; k < a_count && !found; k++) {
            size_t at = k ? a_ends[k - 1] : 0;
            found = a_ends[k] - at == length && !memcmp(a->data + at, b->data + from, length);
        }
        differ += !found;
    }
    return differ;
}

TEST(a_row_that_goes_changes_one_chunk) {
    static size_t ends[CUTS_MAX], others[CUTS_MAX];
    lrb_buf file, other;
    lrb_buf_init(&file, FILE_MAX_BYTES);
    lrb_buf_init(&other, FILE_MAX_BYTES);
    make_json(&file, 0, 1000, 1000, 1500);
    size_t count = cut_all(LRB_RECORDS_JSON, &file, ends);
    for (unsigned gone = 3; gone < 999; gone += 83) {
        make_json(&other, 0, 1000, gone, 1500);
        size_t now = cut_all(LRB_RECORDS_JSON, &other, others);
        CHECK(now && new_chunks(&file, ends, count, &other, others, now) <= 1);
    }
    make_graphml(&file, 600, 9999);
    count = cut_all(LRB_RECORDS_GRAPHML, &file, ends);
    for (unsigned gone = 3; gone < 1800; gone += 83) {
        make_graphml(&other, 600, gone);
        size_t now = cut_all(LRB_RECORDS_GRAPHML, &other, others);
        CHECK(now && new_chunks(&file, ends, count, &other, others, now) <= 1);
    }
    lrb_buf_clear(&file);
    lrb_buf_clear(&other);
}

TEST(rows_longer_than_a_chunk_are_cut_by_content) {
    static size_t ends[CUTS_MAX];
    lrb_buf file;
    lrb_buf_init(&file, FILE_MAX_BYTES);
    make_json(&file, 0, 60, 60, 400000);
    size_t count = cut_all(LRB_RECORDS_JSON, &file, ends), longest = 0;
    for (size_t i = 0; i < count; i++) {
        size_t length = ends[i] - (i ? ends[i - 1] : 0);
        if (length > longest) longest = length;
    }
    CHECK(count > 60 && longest <= LRB_CHUNK_MAX_BYTES);
    lrb_buf_clear(&file);
}

/* Bytes of no form are cut as they always were. */
TEST(other_files_are_cut_by_content) {
    static size_t ends[CUTS_MAX];
    lrb_buf file;
    lrb_buf_init(&file, FILE_MAX_BYTES);
    put_letters(&file, 1, 1 << 20);
    size_t count = cut_all(LRB_RECORDS_NONE, &file, ends);
    CHECK(count && ends[0] == lrb_chunker_cut(&chunker, file.data, file.length));
    lrb_buf_clear(&file);
}

int main(void) {
    if (lrb_chunker_init(&chunker, zero_seed, &err)) return 1;
    RUN(forms_are_known_by_their_beginning);
    RUN(chunks_end_between_rows_every_16_kib);
    RUN(chunks_end_between_nodes_and_edges);
    RUN(a_row_that_goes_changes_one_chunk);
    RUN(rows_longer_than_a_chunk_are_cut_by_content);
    RUN(other_files_are_cut_by_content);
    return check_report();
}
