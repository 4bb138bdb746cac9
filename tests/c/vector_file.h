/* Vector files as LightRAG writes them, made from record numbers: a number always gives the same record and the same
 * row, so that a list with a number more or less is the same graph with a record more or less.
 *
 * Payloads are zlib streams of one stored block, which needs no library; streams of other kinds come from real
 * directories (tests/python).
 */
#ifndef LRB_TESTS_VECTOR_FILE_H
#define LRB_TESTS_VECTOR_FILE_H

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/base64.h"
#include "codec/canonical.h"

enum { VECTOR_MAX_DIM = 3072, VECTOR_FILE_MAX_BYTES = 64 << 20 };

typedef struct vector_file {
    lrb_buf bytes;
    uint32_t dim;
    const char *newline;     /* between records: "" as LightRAG 1.5 writes, or white space */
    const char *end;         /* behind the matrix */
    size_t matrix_at;
    unsigned longest_text;   /* of a record; 0: short ones */
} vector_file;

static inline uint64_t vector_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A failure of the test's own memory ends the program. */
static inline void vector_put(vector_file *f, const void *bytes, size_t count) {
    lrb_err err;
    if (lrb_buf_append(&f->bytes, bytes, count, &err)) fprintf(stderr, "no memory for a test's file\n"), exit(2);
}

static inline void vector_put_text(vector_file *f, const char *text) {
    vector_put(f, text, strlen(text));
}

static inline void vector_put_base64(vector_file *f, const uint8_t *bytes, size_t count) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < count; i += 3) {
        size_t n = count - i < 3 ? count - i : 3;
        uint32_t v = (uint32_t)bytes[i] << 16 | (n > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) | (n > 2 ? bytes[i + 2] : 0);
        char quad[4] = {digits[v >> 18], digits[v >> 12 & 63], n > 1 ? digits[v >> 6 & 63] : '=', n > 2 ? digits[v & 63] : '='};
        vector_put(f, quad, 4);
    }
}

/* Normal float16 numbers of a few binades, either sign. */
static inline void vector_halves(uint64_t number, uint32_t dim, uint16_t *halves) {
    uint64_t state = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
    for (uint32_t i = 0; i < dim; i++) {
        uint64_t r = vector_random(&state);
        halves[i] = (uint16_t)((r & 0x8000) | (10 + (r >> 20 & 3)) << 10 | (r >> 32 & 0x3ff));
    }
}

static inline float vector_float(uint16_t half) {
    uint32_t bits = (uint32_t)(half & 0x8000) << 16 | ((half >> 10 & 31u) + 112) << 23 | (uint32_t)(half & 0x3ff) << 13;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* The row of record `number`, normalised, with what a float16 lost put back. */
static inline void vector_row(uint64_t number, uint32_t dim, float *row) {
    static uint16_t halves[VECTOR_MAX_DIM];
    uint64_t state = number + 7;
    double sum = 0;
    vector_halves(number, dim, halves);
    for (uint32_t i = 0; i < dim; i++) {
        double lost = ((double)(vector_random(&state) % 2001) - 1000) / 1000 / 4096;
        row[i] = vector_float(halves[i]) * (float)(1 + lost);
        sum += (double)row[i] * row[i];
    }
    for (uint32_t i = 0; i < dim; i++) row[i] = row[i] / (float)sqrt(sum);
}

static inline void vector_put_payload(vector_file *f, uint64_t number) {
    static uint16_t halves[VECTOR_MAX_DIM];
    static uint8_t stream[2 * VECTOR_MAX_DIM + 11];
    size_t count = 2 * (size_t)f->dim;
    uint32_t a = 1, b = 0;
    vector_halves(number, f->dim, halves);
    memcpy(stream, "\x78\x9c\x01", 3);
    stream[3] = (uint8_t)count, stream[4] = (uint8_t)(count >> 8);
    stream[5] = (uint8_t)~count, stream[6] = (uint8_t)(~count >> 8);
    memcpy(stream + 7, halves, count);
    for (size_t i = 0; i < count; i++) a = (a + stream[7 + i]) % 65521, b = (b + a) % 65521;
    uint8_t *sum = stream + 7 + count;
    sum[0] = (uint8_t)(b >> 8), sum[1] = (uint8_t)b, sum[2] = (uint8_t)(a >> 8), sum[3] = (uint8_t)a;
    vector_put_base64(f, stream, count + 11);
}

static inline void vector_put_record(vector_file *f, uint64_t number, bool first) {
    char text[256];
    const char *between = first ? "" : "\"}, ";
    snprintf(text, sizeof text, "%s%s{\"__id__\": \"ent-%016llx%016llx\", \"content\": \"Entity %llu", between, f->newline,
             (unsigned long long)(number * UINT64_C(0xd6e8feb86659fd93)), (unsigned long long)~number, (unsigned long long)number);
    vector_put_text(f, text);
    for (unsigned i = 0; f->longest_text && i < number * 37 % f->longest_text; i++) vector_put(f, "abcdefgh" + (number + i) % 8, 1);
    vector_put_text(f, " is \\\"vector\\\": \\\"one\\\".\", \"vector\": \"");
    vector_put_payload(f, number);
}

/* Makes the file anew from numbers[count]. */
static inline void vector_file_make(vector_file *f, const uint64_t *numbers, size_t count) {
    static uint8_t rows[VECTOR_FILE_MAX_BYTES / 2];
    char text[64];
    lrb_buf_clear(&f->bytes);
    lrb_buf_init(&f->bytes, VECTOR_FILE_MAX_BYTES);
    snprintf(text, sizeof text, "{\"embedding_dim\": %u, \"data\": [", f->dim);
    vector_put_text(f, text);
    for (size_t i = 0; i < count; i++) vector_put_record(f, numbers[i], !i);
    vector_put_text(f, count ? "\"}], \"matrix\": \"" : "], \"matrix\": \"");
    f->matrix_at = f->bytes.length;
    for (size_t i = 0; i < count; i++) vector_row(numbers[i], f->dim, (float *)(rows + 4 * i * f->dim));
    vector_put_base64(f, rows, 4 * count * f->dim);
    vector_put_text(f, f->end);
}

/* Records 0 ... count - 1. */
static inline vector_file vector_file_of(uint32_t dim, size_t count) {
    static uint64_t numbers[1 << 16];
    vector_file f = {.dim = dim, .newline = "", .end = "\"}"};
    for (size_t i = 0; i < count; i++) numbers[i] = i;
    vector_file_make(&f, numbers, count);
    return f;
}

/* What LightRAG makes of the matrix when it loads the file. */
static inline void vector_file_restart(vector_file *f) {
    size_t rows_bytes, chars = f->bytes.length - f->matrix_at - strlen(f->end);
    uint8_t *rows = lrb_alloc(lrb_base64_decoded_bound(chars));
    char *matrix = (char *)f->bytes.data + f->matrix_at;
    if (!rows || !lrb_base64_decode(matrix, chars, rows, &rows_bytes)) fprintf(stderr, "the test's file is none\n"), exit(2);
    for (size_t at = 0; at < rows_bytes; at += 4 * (size_t)f->dim) lrb_row_normalise(rows + at, f->dim, rows + at);
    lrb_base64_encode(rows, rows_bytes, matrix);
    lrb_free(rows);
}

#endif
