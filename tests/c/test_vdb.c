#include "lightrag/vdb.h"

#include <stdlib.h>

#include "check.h"
#include "vector_file.h"

static lrb_err err;

/* Feeds everything in pieces of `step` bytes; NULL when the file was not recognised. */
static lrb_vdb *recognise(const uint8_t *bytes, size_t count, size_t step) {
    lrb_vdb *vdb;
    bool recognised = false;
    if (lrb_vdb_new(0, &vdb, &err)) return NULL;
    for (size_t at = 0; at < count; at += step)
        if (lrb_vdb_feed(vdb, bytes + at, count - at < step ? count - at : step, &err)) break;
    if (!lrb_vdb_finish(vdb, &recognised, &err) && recognised && lrb_vdb_hopeful(vdb)) return vdb;
    lrb_vdb_free(vdb);
    return NULL;
}

/* Whether what was recognised tiles the file, and every section splits into its records. */
static bool tiles(const lrb_vdb *vdb, const uint8_t *bytes, size_t count) {
    static lrb_vdb_record records[LRB_VDB_SECTION_MAX_ROWS];
    uint64_t at = 0, rows = 0;
    size_t middle, end;
    for (size_t i = 0; i < lrb_vdb_section_count(vdb); i++) {
        const lrb_vdb_section *section = lrb_vdb_section_at(vdb, i);
        if (!section->rows || section->bytes > count - at) return false;
        if (!lrb_vdb_split(bytes + at, section->bytes, 0, records, section->rows)) return false;
        for (uint32_t r = 0; r < section->rows; r++) {
            at += records[r].text_bytes;
            if (memcmp(bytes + at - 11, "\"vector\": \"", 11) != 0) return false;
            at += records[r].payload_bytes;
        }
        rows += section->rows;
    }
    const uint8_t *text = lrb_vdb_middle(vdb, &middle);
    uint64_t matrix = lrb_vdb_base64_bytes(4 * rows * lrb_vdb_dim(vdb));
    if (rows != lrb_vdb_rows(vdb) || at + middle > count || memcmp(text, bytes + at, middle) != 0) return false;
    text = lrb_vdb_end(vdb, &end);
    return at + middle + matrix + end == count && !memcmp(text, bytes + count - end, end);
}

static bool same_sections(const lrb_vdb *a, const lrb_vdb *b) {
    size_t count = lrb_vdb_section_count(a);
    return count == lrb_vdb_section_count(b) &&
           !memcmp(lrb_vdb_section_at(a, 0), lrb_vdb_section_at(b, 0), count * sizeof(lrb_vdb_section));
}

TEST(a_file_is_tiled_however_it_comes) {
    static const uint32_t dims[] = {3, 16, 100, 384};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        vector_file f = vector_file_of(dims[i], 700);
        lrb_vdb *whole = recognise(f.bytes.data, f.bytes.length, f.bytes.length);
        CHECK(whole && tiles(whole, f.bytes.data, f.bytes.length));
        CHECK(lrb_vdb_dim(whole) == dims[i] && lrb_vdb_rows(whole) == 700);
        for (size_t step = 1; step < 100; step += step / 3 + 1) {
            lrb_vdb *pieces = recognise(f.bytes.data, f.bytes.length, step);
            CHECK(pieces && same_sections(whole, pieces));
            lrb_vdb_free(pieces);
        }
        lrb_vdb_free(whole);
        lrb_buf_clear(&f.bytes);
    }
}

/* White space in front of the dimension, as LightRAG never writes: how much of it is borne must not hang on the pieces. */
TEST(an_opening_is_judged_the_same_however_it_comes) {
    vector_file f = vector_file_of(4, 3);
    unsigned recognised = 0;
    for (size_t spaces = 0; spaces < 100; spaces++) {
        lrb_buf moved;
        lrb_buf_init(&moved, 1 << 20);
        CHECK_OK(lrb_buf_append(&moved, "{", 1, &err));
        for (size_t i = 0; i < spaces; i++) CHECK_OK(lrb_buf_append(&moved, " ", 1, &err));
        CHECK_OK(lrb_buf_append(&moved, f.bytes.data + 1, f.bytes.length - 1, &err));
        lrb_vdb *whole = recognise(moved.data, moved.length, moved.length), *pieces = recognise(moved.data, moved.length, 1);
        CHECK(!whole == !pieces && lrb_vdb_likely(moved.data, moved.length) == (whole != NULL));
        recognised += whole != NULL;
        lrb_vdb_free(whole);
        lrb_vdb_free(pieces);
        lrb_buf_clear(&moved);
    }
    CHECK(recognised > 30 && recognised < 64);
    lrb_buf_clear(&f.bytes);
}

TEST(sections_are_about_a_mebibyte) {
    static const uint32_t dims[] = {64, 1024}, rows[] = {20000, 2500};
    for (size_t i = 0; i < 2; i++) {
        vector_file f = vector_file_of(dims[i], rows[i]);
        lrb_vdb *vdb = recognise(f.bytes.data, f.bytes.length, 1 << 20);
        CHECK(vdb && tiles(vdb, f.bytes.data, f.bytes.length));
        double mean = (double)f.bytes.length / (double)lrb_vdb_section_count(vdb) / (1 << 20);
        CHECK(mean > 0.5 && mean < 2);
        for (size_t s = 0; s < lrb_vdb_section_count(vdb); s++)
            CHECK(lrb_vdb_section_at(vdb, s)->bytes <= LRB_VDB_SECTION_MAX_BYTES);
        lrb_vdb_free(vdb);
        lrb_buf_clear(&f.bytes);
    }
}

/* Sections of `f`, by the text they end with. */
static size_t differing_sections(const lrb_vdb *a, const vector_file *fa, const lrb_vdb *b, const vector_file *fb) {
    size_t differ = 0, at = 0;
    for (size_t i = 0; i < lrb_vdb_section_count(b); at += lrb_vdb_section_at(b, i++)->bytes) {
        bool found = false;
        size_t count = lrb_vdb_section_at(b, i)->bytes, from = 0;
        for (size_t k = 0; k < lrb_vdb_section_count(a); from += lrb_vdb_section_at(a, k++)->bytes)
            found |= lrb_vdb_section_at(a, k)->bytes == count && !memcmp(fa->bytes.data + from, fb->bytes.data + at, count);
        differ += !found;
    }
    return differ;
}

TEST(a_record_that_goes_or_comes_changes_one_section_or_two) {
    enum { ROWS = 1500 };
    static uint64_t numbers[ROWS + 1];
    vector_file f = vector_file_of(256, ROWS), g = {.dim = 256, .newline = "", .end = "\"}"};
    lrb_vdb *vdb = recognise(f.bytes.data, f.bytes.length, 1 << 20);
    CHECK(vdb && lrb_vdb_section_count(vdb) > 2);
    for (size_t gone = 1; gone < ROWS; gone += 211) {
        for (size_t i = 0; i < ROWS; i++) numbers[i] = i + (i >= gone);
        vector_file_make(&g, numbers, ROWS - 1);
        lrb_vdb *other = recognise(g.bytes.data, g.bytes.length, 1 << 20);
        CHECK(other && differing_sections(vdb, &f, other, &g) <= 2);
        lrb_vdb_free(other);
    }
    lrb_vdb_free(vdb);
    lrb_buf_clear(&f.bytes);
    lrb_buf_clear(&g.bytes);
}

TEST(white_space_and_a_longer_end_are_only_other_texts) {
    uint64_t numbers[] = {5, 6, 7};
    vector_file f = {.dim = 16, .newline = "\n    ", .end = "\", \"additional_data\": {\"note\": [1, 2]}}\n"};
    vector_file_make(&f, numbers, 3);
    lrb_vdb *vdb = recognise(f.bytes.data, f.bytes.length, 5);
    CHECK(vdb && tiles(vdb, f.bytes.data, f.bytes.length));
    lrb_vdb_free(vdb);
    lrb_buf_clear(&f.bytes);
    static const char indented[] = "{\n  \"embedding_dim\": 1,\n  \"data\": [\n    {\n      \"vector\": \"eJw=\"\n    }\n  ],\n  \"matrix\": \"AACAPw==\"\n}";
    vdb = recognise((const uint8_t *)indented, sizeof indented - 1, 3);
    CHECK(vdb && tiles(vdb, (const uint8_t *)indented, sizeof indented - 1));
    lrb_vdb_free(vdb);
}

TEST(another_layout_is_not_recognised) {
    static const char *const others[] = {
        "",
        "{}",
        "{\"embedding_dim\": 4, \"data\": [], \"matrix\": \"\"}",
        "{\"embedding_dim\": 0, \"data\": [{\"vector\": \"eJw=\"}], \"matrix\": \"\"}",
        "{\"embedding_dim\": 16385, \"data\": [{\"vector\": \"eJw=\"}], \"matrix\": \"AAAA\"}",
        "{\"embedding_dim\": 99999999999999999999, \"data\": [{\"vector\": \"eJw=\"}], \"matrix\": \"AAAA\"}",
        "{\"embedding_dim\": 1.0, \"data\": [{\"vector\": \"eJw=\"}], \"matrix\": \"AACAPw==\"}",
        "{\"dim\": 1, \"data\": [{\"vector\": \"eJw=\"}], \"matrix\": \"AACAPw==\"}",
        "[\"embedding_dim\": 1, {\"vector\": \"eJw=\"}], \"matrix\": \"AACAPw==\"}",
        "{\"embedding_dim\": 1, \"data\": [{\"vector\": \"eJw\"}], \"matrix\": \"AACAPw==\"}",
        "{\"embedding_dim\": 1, \"data\": [{\"vector\": \"\"}], \"matrix\": \"AACAPw==\"}",
        "{\"embedding_dim\": 1, \"data\": [{\"vector\":\"eJw=\"}], \"matrix\": \"AACAPw==\"}",
        "{\"embedding_dim\": 1, \"data\": [{\"__id__\": \"a\"}], \"matrix\": \"AACAPw==\"}",
        "{\"embedding_dim\": 1, \"data\": [{\"vector\": \"eJw=\"}], \"matrix\": \"AACAPw=\"}",
        "{\"embedding_dim\": 1, \"data\": [{\"vector\": \"eJw=\"}], \"matrix\": \"AACAPwAAgD8=\"}",
        "{\"embedding_dim\": 1, \"matrix\": \"AACAPw==\", \"data\": [{\"vector\": \"eJw=\"}]}",
        "{\"embedding_dim\": 1, \"data\": [{\"vector\": \"eJw=\"}], \"matrix\": \"AACAPw==",
        "{\"embedding_dim\": 1, \"data\": [{\"vector\": \"eJw=",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        for (size_t step = 1; step < 40; step += 13)
            CHECK(!recognise((const uint8_t *)others[i], strlen(others[i]), step));
}

TEST(a_text_or_payload_beyond_its_limit_is_not_recognised) {
    vector_file f = vector_file_of(16, 2);
    size_t more = LRB_VDB_MAX_TEXT_BYTES + 1;
    uint8_t *bytes = lrb_alloc(f.bytes.length + more);
    CHECK(bytes);
    size_t payload = (size_t)((uint8_t *)memmem(f.bytes.data, f.bytes.length, ", \"vector\"", 10) - f.bytes.data);
    for (size_t at = payload; at <= payload + 20; at += 20) { /* in the text; in the payload */
        memcpy(bytes, f.bytes.data, at);
        memset(bytes + at, 'x', more);
        memcpy(bytes + at + more, f.bytes.data + at, f.bytes.length - at);
        CHECK(!recognise(bytes, f.bytes.length + more, 4096));
        CHECK(!recognise(bytes, f.bytes.length + more, SIZE_MAX / 2));
    }
    lrb_free(bytes);
    lrb_buf_clear(&f.bytes);
}

/* Changed at any byte a file is tiled as it is, or not recognised; never anything between. */
TEST(changed_anywhere_it_is_tiled_or_not_recognised) {
    static const uint8_t instead[] = {'"', ':', '{', 'A', '=', 0, 0xff};
    vector_file f = vector_file_of(5, 4);
    size_t recognised = 0;
    for (size_t at = 0; at < f.bytes.length; at++) {
        uint8_t was = f.bytes.data[at];
        for (size_t i = 0; i < sizeof instead; i++) {
            f.bytes.data[at] = instead[i];
            lrb_vdb *vdb = recognise(f.bytes.data, f.bytes.length, 17);
            CHECK(!vdb || tiles(vdb, f.bytes.data, f.bytes.length));
            recognised += vdb != NULL;
            lrb_vdb_free(vdb);
        }
        f.bytes.data[at] = was;
    }
    CHECK(recognised > f.bytes.length);
    lrb_buf_clear(&f.bytes);
}

TEST(other_bytes_than_were_recognised_are_not_split) {
    static lrb_vdb_record records[8];
    vector_file f = vector_file_of(16, 4);
    lrb_vdb *vdb = recognise(f.bytes.data, f.bytes.length, 4096);
    CHECK(vdb && lrb_vdb_section_count(vdb) == 1);
    size_t count = lrb_vdb_section_at(vdb, 0)->bytes;
    CHECK(lrb_vdb_split(f.bytes.data, count, 0, records, 4));
    CHECK(!lrb_vdb_split(f.bytes.data, count, 0, records, 3));
    CHECK(!lrb_vdb_split(f.bytes.data, count, 0, records, 5));
    CHECK(!lrb_vdb_split(f.bytes.data, count + 1, 0, records, 4));
    lrb_vdb_free(vdb);
    lrb_buf_clear(&f.bytes);
}

TEST(every_failing_allocation_is_an_error) {
    vector_file f = vector_file_of(16, 300);
    for (int64_t n = 0;; n++) {
        lrb_vdb *vdb;
        bool recognised = false;
        lrb_mem_fail_after(n, false);
        int code = lrb_vdb_new(0, &vdb, &err);
        if (!code) {
            for (size_t at = 0; !code && at < f.bytes.length; at += 4096)
                code = lrb_vdb_feed(vdb, f.bytes.data + at, f.bytes.length - at < 4096 ? f.bytes.length - at : 4096, &err);
            if (!code) code = lrb_vdb_finish(vdb, &recognised, &err);
            lrb_vdb_free(vdb);
        }
        lrb_mem_fail_after(-1, false);
        CHECK(code == LRB_E_NOMEM || (!code && recognised));
        if (!code) break;
    }
    lrb_buf_clear(&f.bytes);
}

int main(void) {
    RUN(a_file_is_tiled_however_it_comes);
    RUN(an_opening_is_judged_the_same_however_it_comes);
    RUN(sections_are_about_a_mebibyte);
    RUN(a_record_that_goes_or_comes_changes_one_section_or_two);
    RUN(white_space_and_a_longer_end_are_only_other_texts);
    RUN(another_layout_is_not_recognised);
    RUN(a_text_or_payload_beyond_its_limit_is_not_recognised);
    RUN(changed_anywhere_it_is_tiled_or_not_recognised);
    RUN(other_bytes_than_were_recognised_are_not_split);
    RUN(every_failing_allocation_is_an_error);
    return check_report();
}
