#include "lightrag/records.h"

#include <string.h>

#include "lightrag/cut.h"

enum { FIRST_LINE_MAX_BYTES = 256 };

static bool begins_with(const uint8_t *bytes, size_t count, const char *text) {
    size_t length = strlen(text);
    return count >= length && !memcmp(bytes, text, length);
}

lrb_records_form lrb_records_recognise(const uint8_t *bytes, size_t count) {
    if (begins_with(bytes, count, "{\n  \"")) return LRB_RECORDS_JSON;
    size_t within = count < 256 ? count : 256;
    if (begins_with(bytes, count, "<?xml ") && memmem(bytes, within, "<graphml ", 9)) return LRB_RECORDS_GRAPHML;
    return LRB_RECORDS_NONE;
}

static bool record_begins(lrb_records_form form, const uint8_t *line, size_t count) {
    if (form == LRB_RECORDS_JSON) return begins_with(line, count, "  \"");
    size_t spaces = 0;
    while (spaces < count && line[spaces] == ' ') spaces++;
    return begins_with(line + spaces, count - spaces, "<node ") || begins_with(line + spaces, count - spaces, "<edge ");
}

/* Whether a chunk ends behind this record. */
static bool ends(const uint8_t *record, size_t length, uint64_t seed) {
    size_t most = length < FIRST_LINE_MAX_BYTES ? length : FIRST_LINE_MAX_BYTES;
    const uint8_t *newline = memchr(record, '\n', most);
    uint64_t hash = lrb_cut_hash(record, newline ? (size_t)(newline - record) : most, seed);
    return (hash & (LRB_RECORDS_AVERAGE_BYTES - 1)) < length;
}

size_t lrb_records_cut(lrb_records_form form, const lrb_chunker *chunker, uint64_t seed, const uint8_t *bytes, size_t count) {
    size_t most = count < LRB_CHUNK_MAX_BYTES ? count : LRB_CHUNK_MAX_BYTES, record = 0;
    if (form == LRB_RECORDS_NONE) return lrb_chunker_cut(chunker, bytes, count);
    for (const uint8_t *newline = bytes; (newline = memchr(newline, '\n', most - (size_t)(newline - bytes)));) {
        size_t line = (size_t)(++newline - bytes);
        if (!record_begins(form, newline, most - line)) continue;
        if (ends(bytes + record, line - record, seed)) return line;
        record = line;
    }
    return count < LRB_CHUNK_MAX_BYTES ? count : lrb_chunker_cut(chunker, bytes, count);
}
