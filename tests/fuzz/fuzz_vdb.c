/* The layout of vector files: whatever comes, in whatever pieces, it is tiled to the last byte or not recognised. */
#include "fuzz.h"
#include "lightrag/vdb.h"

static lrb_vdb *recognise(const uint8_t *bytes, size_t count, size_t step) {
    lrb_err err;
    lrb_vdb *vdb;
    bool recognised;
    MUST_OK(lrb_vdb_new(0, &vdb, &err));
    for (size_t at = 0; at < count; at += step)
        MUST_OK(lrb_vdb_feed(vdb, bytes + at, count - at < step ? count - at : step, &err));
    MUST_OK(lrb_vdb_finish(vdb, &recognised, &err));
    if (recognised) return vdb;
    lrb_vdb_free(vdb);
    return NULL;
}

static void must_tile(const lrb_vdb *vdb, const uint8_t *bytes, size_t count) {
    uint64_t at = 0, rows = 0;
    size_t middle, end;
    lrb_vdb_record *records = lrb_alloc_zero(LRB_VDB_SECTION_MAX_ROWS, sizeof *records);
    MUST(records && lrb_vdb_section_count(vdb));
    for (size_t i = 0; i < lrb_vdb_section_count(vdb); i++) {
        const lrb_vdb_section *section = lrb_vdb_section_at(vdb, i);
        uint64_t tiled = 0;
        MUST(section->rows && section->rows <= LRB_VDB_SECTION_MAX_ROWS && section->bytes <= count - at);
        MUST(lrb_vdb_split(bytes + at, section->bytes, 0, records, section->rows));
        for (uint32_t r = 0; r < section->rows; r++) tiled += records[r].text_bytes + records[r].payload_bytes;
        MUST(tiled == section->bytes);
        at += section->bytes;
        rows += section->rows;
    }
    const uint8_t *text = lrb_vdb_middle(vdb, &middle);
    MUST(rows == lrb_vdb_rows(vdb) && middle <= count - at && !memcmp(text, bytes + at, middle));
    text = lrb_vdb_end(vdb, &end);
    MUST(at + middle + lrb_vdb_base64_bytes(4 * rows * lrb_vdb_dim(vdb)) + end == count);
    MUST(!memcmp(text, bytes + count - end, end));
    lrb_free(records);
}

/* input: the size of the pieces, then the file */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size) return 0;
    uint8_t *bytes = fuzz_copy(data + 1, size - 1);
    lrb_vdb *vdb = recognise(bytes, size - 1, SIZE_MAX / 2), *pieces = recognise(bytes, size - 1, 1 + data[0]);
    MUST(!vdb == !pieces);
    if (vdb) {
        must_tile(vdb, bytes, size - 1);
        size_t count = lrb_vdb_section_count(vdb);
        MUST(count == lrb_vdb_section_count(pieces));
        MUST(!memcmp(lrb_vdb_section_at(vdb, 0), lrb_vdb_section_at(pieces, 0), count * sizeof(lrb_vdb_section)));
    }
    lrb_vdb_free(vdb);
    lrb_vdb_free(pieces);
    lrb_free(bytes);
    return 0;
}
