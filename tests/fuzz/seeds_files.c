/* Seeds: LightRAG's files, what is stored of vector files, the codec alone, and what the validator reads. */
#include <libdeflate.h>

#include "c/rows.h"
#include "c/small_graph.h"
#include "c/vector_file.h"
#include "codec/base64.h"
#include "codec/corrections.h"
#include "codec/vectors.h"
#include "lightrag/vdb_parts.h"
#include "seeds.h"

/* ---- LightRAG's files ---- */

static void seed_vector_file(lrb_buf *b, uint32_t dim, size_t rows, const char *name) {
    vector_file f = vector_file_of(dim, rows);
    put(b, "\x10", 1), put(b, f.bytes.data, f.bytes.length), end(b, "vdb", name);
    lrb_buf_clear(&f.bytes);
}

static void seed_lightrag(lrb_buf *b) {
    static const char json[] = "{\n  \"a\": {\n    \"content\": \"x\"\n  },\n  \"b\": {}\n}";
    static const char graphml[] = "<?xml version='1.0'?>\n<graphml a=\"b\">\n  <graph>\n    <node id=\"E1\" />\n"
                                  "    <edge source=\"E1\" target=\"E2\">\n    </edge>\n  </graph>\n</graphml>\n";
    seed_vector_file(b, 4, 3, "three_records");
    seed_vector_file(b, 1, 1, "one_number");
    seed_vector_file(b, 4, 0, "no_record");
    put(b, json, sizeof json - 1), end(b, "records", "json");
    put(b, graphml, sizeof graphml - 1), end(b, "records", "graphml");
}

/* ---- what is stored of vector files ---- */

enum { VECTOR_DIM = 16, VECTOR_ROWS = 3, STREAM_BYTES = 2 * VECTOR_DIM + 11 };

/* What it is, dim less one, how many bytes are expected: then its bytes. */
static void put_part(lrb_buf *out, uint8_t what, uint32_t expected, const void *bytes, size_t count) {
    uint8_t head[7] = {what, VECTOR_DIM - 1, 0};
    lrb_put_u32(head + 3, expected);
    put(out, head, sizeof head);
    put(out, bytes, count);
}

static void seed_vectors(lrb_buf *b) {
    uint8_t content[1024], stored[1024], halves[2 * VECTOR_DIM], row[4 * VECTOR_DIM], scratch[4 * VECTOR_DIM];
    lrb_vector_coder *vectors;
    lrb_vectors_shape shape;
    lrb_buf corrections;
    uint64_t seed = 9;
    size_t written;
    lrb_buf_init(&corrections, SEED_MAX_BYTES);
    MUST_OK(lrb_vector_coder_new(&vectors, &err));
    MUST_OK(lrb_vectors_shape_of(VECTOR_DIM, VECTOR_ROWS, VECTOR_ROWS * STREAM_BYTES, &shape, &err));
    lrb_put_u32(content, VECTOR_ROWS);
    for (uint32_t i = 0; i < VECTOR_ROWS; i++) {
        lrb_canonical_path path;
        uint8_t *canonical = content + shape.values + 4 * VECTOR_DIM * i;
        row_make(&seed, VECTOR_DIM, 1, halves, row);
        lrb_row_canonical(row, VECTOR_DIM, canonical, scratch, &path);
        row[5] ^= 1;
        MUST_OK(lrb_corrections_append(&corrections, i, row, canonical, VECTOR_DIM, &path, &err));
        lrb_put_u32(content + shape.lengths + 4 * i, STREAM_BYTES);
        row_stream(halves, sizeof halves, content + shape.streams + i * STREAM_BYTES);
    }
    MUST_OK(lrb_vectors_encode(vectors, content, shape.total, VECTOR_DIM, stored, sizeof stored, &written, &err));
    put_part(b, 0, (uint32_t)shape.total, stored, written), end(b, "vectors", "stored");
    put_part(b, 1, 0, content, shape.total), end(b, "vectors", "content");
    put_part(b, 2, 0, corrections.data, corrections.length), end(b, "vectors", "corrections");
    lrb_vector_coder_free(vectors);
    lrb_buf_clear(&corrections);
}

static void seed_vector_parts(lrb_buf *b) {
    static const uint8_t texts[] = {2, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 'a', 'b', 'c', 'd'};
    lrb_vdb_frame frame = {.rows = 3, .dim = VECTOR_DIM, .middle_bytes = 1, .end_bytes = 2,
                           .middle = (const uint8_t *)"m", .end = (const uint8_t *)"ee"};
    lrb_buf content;
    lrb_buf_init(&content, SEED_MAX_BYTES);
    put_part(b, 3, 0, texts, sizeof texts), end(b, "vectors", "texts");
    MUST_OK(lrb_vdb_frame_encode(&frame, &content, &err));
    put_part(b, 4, 0, content.data, content.length), end(b, "vectors", "frame");
    lrb_buf_clear(&content);
}

/* ---- the vector codec alone ---- */

/* A content of rows with streams that are stored blocks, of zlib's usual level or another. */
static size_t vectors_content(uint8_t *out, uint32_t dim, uint32_t rows, bool usual) {
    uint64_t seed = dim;
    uint8_t *lengths = out + 4, *values = lengths + 4 * rows, *stream = values + 4 * (size_t)dim * rows, halves[256];
    lrb_put_u32(out, rows);
    for (uint32_t i = 0; i < rows; i++) {
        row_make(&seed, dim, 1, halves, values + 4 * (size_t)dim * i);
        size_t length = row_stream(halves, 2 * (size_t)dim, stream);
        if (!usual) stream[1] = 0x01;
        lrb_put_u32(lengths + 4 * i, (uint32_t)length);
        stream += length;
    }
    return (size_t)(stream - out);
}

static void put_vectors_head(lrb_buf *b, uint32_t dim, size_t expected) {
    MUST_OK(lrb_wire_u16(b, (uint16_t)dim, &err));
    MUST_OK(lrb_wire_u32(b, (uint32_t)expected, &err));
}

static void seed_rows(lrb_buf *b) {
    static uint8_t content[8192], stored[8192];
    static const char *const names[2][2] = {{"content", "stored"}, {"content_split", "stored_split"}};
    lrb_vector_coder *vectors;
    MUST_OK(lrb_vector_coder_new(&vectors, &err));
    for (int usual = 0; usual < 2; usual++) {
        size_t written, count = vectors_content(content, 100, 3, usual);
        MUST_OK(lrb_vectors_encode(vectors, content, count, 100, stored, count, &written, &err));
        MUST(written);
        put_vectors_head(b, 100, 0), put(b, content, count), end(b, "rows", names[usual][0]);
        put_vectors_head(b, 100, count), put(b, stored, written), end(b, "rows", names[usual][1]);
    }
    lrb_vector_coder_free(vectors);
}

static void seed_corrections(lrb_buf *b) {
    uint8_t halves[200], row[400], canonical[400], scratch[400];
    uint64_t seed = 3;
    MUST_OK(lrb_wire_u16(b, 99, &err));
    for (uint32_t i = 0; i < 12; i++) {
        lrb_canonical_path path;
        row_make(&seed, 100, 1, halves, row);
        lrb_row_canonical(row, 100, canonical, scratch, &path);
        if (i % 3 == 0) row[5] ^= 1;
        MUST_OK(lrb_corrections_append(b, i, row, canonical, 100, &path, &err));
    }
    end(b, "corrections", "twelve_rows");
    MUST_OK(lrb_wire_u16(b, 99, &err));
    put(b, row, sizeof row), end(b, "corrections", "a_row");
}

static void seed_streams(lrb_buf *b) {
    uint8_t halves[800], row[1600], stream[1024];
    uint64_t seed = 4;
    MUST_OK(lrb_wire_u16(b, sizeof halves, &err));
    for (int level = 1; level < 12; level += 2) {
        struct libdeflate_compressor *c = libdeflate_alloc_compressor(level);
        row_make(&seed, 400, 1, halves, row);
        if (level > 5) memset(halves + 90, level, 300);
        size_t length = libdeflate_zlib_compress(c, halves, sizeof halves, stream, sizeof stream);
        libdeflate_free_compressor(c);
        MUST_OK(lrb_wire_u16(b, (uint16_t)length, &err));
        put(b, stream, length);
    }
    end(b, "inflate", "rows");
}

static void seed_base64(lrb_buf *b) {
    uint8_t bytes[301];
    char text[404];
    sample_fill(bytes, sizeof bytes, 5);
    for (size_t count = 299; count <= 301; count++) {
        char name[16];
        lrb_base64_encode(bytes, count, text);
        snprintf(name, sizeof name, "of_%zu", count);
        put(b, text, lrb_base64_encoded_length(count)), end(b, "base64", name);
    }
}

/* ---- the validator's files ---- */

static void seed_text(lrb_buf *b, const char *target, const char *name, const char *text) {
    put(b, text, strlen(text));
    end(b, target, name);
}

static void seed_json(lrb_buf *b) {
    seed_text(b, "json", "vdb", "{\"embedding_dim\": 2, \"data\": [{\"__id__\": \"ent-a\", \"vector\": \"eJxjYGBgAAAABAAB\"}], \"matrix\": \"AACAPwAAAAA=\"}");
    seed_text(b, "json", "store", "{\n  \"doc-1\": {\n    \"status\": \"processed\",\n    \"chunks_list\": [],\n    \"n\": -1.5e+3\n  }\n}");
    seed_text(b, "json", "escapes", "[\"\\u00e9\\ud83d\\ude00\\ud800\\/\\n\", \"\xe4\xb8\xad\xf0\x9f\x98\x80\", true, false, null]");
    seed_text(b, "json", "nested", "[[[[{\"a\":[[{\"b\":{}}]]}]]],0,-0,1E9]");
}

/* "d" and a NUL before the document: the HTTP status 200. */
static void seed_answer(lrb_buf *b, const char *name, const char *document) {
    put(b, "d", 2);
    seed_text(b, "answer", name, document);
}

static void seed_answers(lrb_buf *b) {
    seed_answer(b, "ready", "{\"product\":\"lightrag-bkp\",\"protocol\":1,\"version\":\"0.1.0\",\"instance_id\":\"a\",\"authenticated\":true,"
                            "\"ready\":true,\"busy\":false,\"low_space\":false,\"epoch\":1,\"free_bytes\":9,\"reason\":\"\"}");
    seed_answer(b, "not_ready", "{\"product\":\"lightrag-bkp\",\"protocol\":1,\"instance_id\":\"a\",\"authenticated\":true,\"reason\":\"\\u001b[31m\"}");
    seed_answer(b, "other", "{\"status\":\"healthy\",\"configuration\":{\"llm\":[{}]}}");
}

static void seed_graphml(lrb_buf *b) {
    seed_text(b, "graphml", "graph", "<?xml version='1.0' encoding='utf-8'?>\n<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">"
                                     "<key id=\"d9\" for=\"edge\" attr.name=\"weight\" attr.type=\"double\"/><key id=\"d3\" attr.name=\"source_id\"/>"
                                     "<key id=\"d0\" attr.name=\"entity_id\" attr.type=\"string\"/><graph edgedefault=\"undirected\"><node id=\"A\">"
                                     "<data key=\"d0\">A</data><data key=\"d3\">a&lt;SEP&gt;b</data></node><edge source=\"A\" target=\"&#228;\">"
                                     "<data key=\"d9\">1.5</data></edge></graph></graphml>");
    seed_text(b, "graphml", "bomb", "<!DOCTYPE g [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><graphml>&b;</graphml>");
    seed_text(b, "graphml", "bare", "<graphml><graph><node id=\"x\"/></graph></graphml>");
}

static void put_file(lrb_buf *b, size_t number, const void *bytes, size_t count) {
    uint8_t head[3] = {(uint8_t)number};
    lrb_put_u16(head + 1, (uint16_t)count);
    put(b, head, sizeof head);
    put(b, bytes, count);
}

static void seed_validation(lrb_buf *b) {
    static const char meta[] = "{\"0\": {\"__id__\": \"ent-48ed5d2db39237d7ae5e829b17581629\", \"entity_name\": \"E1\", \"content\": \"E1\\n\"}}";
    static const char config[] = "{\"/embedding/chunks\": {\"value\": {\"dim\": 3}}, \"_lightrag_server/storage_identity\": {\"value\": {\"uuid\": \"u\"}}}";
    static const char anchor[] = "{\"backend\": \"JsonKVStorage\", \"storage_uuid\": \"u\"}";
    uint8_t index[45 + 12] = "IxFI\x03";
    for (size_t i = 0; i < SMALL_FILES; i++) {
        put_file(b, i, SMALL_GRAPH[i].text, strlen(SMALL_GRAPH[i].text));
        end(b, "validation", SMALL_GRAPH[i].name);
    }
    index[8] = 1, index[32] = 1, index[37] = 3, index[48] = 0x3f, index[47] = 0x80;
    put_file(b, SMALL_FILES, index, sizeof index);
    put_file(b, SMALL_FILES + 1, meta, sizeof meta - 1);
    end(b, "validation", "faiss");
    put_file(b, SMALL_FILES + 2, config, sizeof config - 1);
    put_file(b, SMALL_FILES + 3, anchor, sizeof anchor - 1);
    end(b, "validation", "config");
}

void seed_files(lrb_buf *b, lrb_buf *other) {
    (void)other;
    seed_lightrag(b);
    seed_vectors(b);
    seed_vector_parts(b);
    seed_rows(b);
    seed_corrections(b);
    seed_streams(b);
    seed_base64(b);
    seed_json(b);
    seed_answers(b);
    seed_graphml(b);
    seed_validation(b);
}
