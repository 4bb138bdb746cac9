#include "codec/base64.h"

#include <string.h>

#include "codec/base64_private.h"

static const char alphabet[65] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum { NO_DIGIT = 0x80 };

static const uint8_t *digits(void) {
    static const uint8_t table[256] = {
#define NONE8 128, 128, 128, 128, 128, 128, 128, 128
#define NONE32 NONE8, NONE8, NONE8, NONE8
        NONE32, NONE8, 128, 128, 128, 62, 128, 128, 128, 63,
        52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 128, 128, 128, 128, 128, 128,
        128, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
        15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 128, 128, 128, 128, 128,
        128, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
        41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 128, 128, 128, 128, 128,
        NONE32, NONE32, NONE32, NONE32,
    };
    return table;
}

/* Four characters without padding; a value above 24 bits when one of them is no digit. */
static uint32_t quantum(const uint8_t *table, const char *text) {
    uint32_t a = table[(uint8_t)text[0]], b = table[(uint8_t)text[1]];
    uint32_t c = table[(uint8_t)text[2]], d = table[(uint8_t)text[3]];
    return a << 18 | b << 12 | c << 6 | d | ((a | b | c | d) & NO_DIGIT) << 24;
}

static unsigned padding_of(const char *text, size_t chars) {
    if (chars < 4 || text[chars - 1] != '=') return 0;
    return text[chars - 2] == '=' ? 2 : 1;
}

size_t lrb_base64_decoded_length(const char *text, size_t chars) {
    return lrb_base64_decoded_bound(chars) - padding_of(text, chars);
}

/* The last quantum, with padding: its unused bits must be zero. */
static bool decode_last(const uint8_t *table, const char *text, unsigned padding, uint8_t *out) {
    char filled[4] = {text[0], text[1], padding == 2 ? 'A' : text[2], 'A'};
    uint32_t value = quantum(table, filled);
    if (value >> 24 || (value & (padding == 2 ? 0xFFFFu : 0xFFu))) return false;
    out[0] = (uint8_t)(value >> 16);
    if (padding == 1) out[1] = (uint8_t)(value >> 8);
    return true;
}

bool lrb_base64_decode(const char *text, size_t chars, uint8_t *out, size_t *written) {
    const uint8_t *table = digits();
    if (chars % 4) return false;
    unsigned padding = padding_of(text, chars);
    size_t whole = padding ? chars - 4 : chars;
    bool good = true;
    size_t done = lrb_base64_decode_wide(text, whole, out, &good);
    uint32_t bad = !good;
    out += done / 4 * 3;
    for (size_t i = done; i < whole; i += 4, out += 3) {
        uint32_t value = quantum(table, text + i);
        bad |= value >> 24;
        out[0] = (uint8_t)(value >> 16);
        out[1] = (uint8_t)(value >> 8);
        out[2] = (uint8_t)value;
    }
    if (bad || (padding && !decode_last(table, text + whole, padding, out))) return false;
    *written = lrb_base64_decoded_bound(chars) - padding;
    return true;
}

lrb_base64_window_of lrb_base64_window(size_t offset, size_t count, size_t total) {
    size_t end = (offset + count + 2) / 3 * 4, last = lrb_base64_encoded_length(total);
    lrb_base64_window_of window = {.first = offset / 3 * 4, .skip = offset % 3};
    window.chars = (end < last ? end : last) - window.first;
    return window;
}

static void encode_quantum(uint32_t value, char *out) {
    out[0] = alphabet[value >> 18 & 63];
    out[1] = alphabet[value >> 12 & 63];
    out[2] = alphabet[value >> 6 & 63];
    out[3] = alphabet[value & 63];
}

static size_t encode_whole(const uint8_t *bytes, size_t count, char *out) {
    size_t i = lrb_base64_encode_wide(bytes, count, out);
    for (out += i / 3 * 4; i + 3 <= count; i += 3, out += 4) {
        encode_quantum((uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8 | bytes[i + 2], out);
    }
    return i;
}

void lrb_base64_encode(const uint8_t *bytes, size_t count, char *out) {
    lrb_base64_stream stream = {.carried = 0};
    out += lrb_base64_stream_update(&stream, bytes, count, out);
    lrb_base64_stream_finish(&stream, out);
}

size_t lrb_base64_stream_update(lrb_base64_stream *stream, const uint8_t *bytes, size_t count, char *out) {
    char *start = out;
    if (stream->carried) {
        uint8_t first[3] = {stream->carry[0], stream->carry[1]};
        while (count && stream->carried < 3) {
            first[stream->carried++] = *bytes++;
            count--;
        }
        if (stream->carried < 3) {
            memcpy(stream->carry, first, 2);
            return 0;
        }
        out += encode_whole(first, 3, out) / 3 * 4;
    }
    size_t whole = encode_whole(bytes, count, out);
    out += whole / 3 * 4;
    stream->carried = (unsigned)(count - whole);
    for (unsigned i = 0; i < stream->carried; i++) stream->carry[i] = bytes[whole + i];
    return (size_t)(out - start);
}

size_t lrb_base64_stream_finish(lrb_base64_stream *stream, char *out) {
    unsigned carried = stream->carried;
    if (!carried) return 0;
    encode_quantum((uint32_t)stream->carry[0] << 16 | (carried == 2 ? (uint32_t)stream->carry[1] << 8 : 0), out);
    out[3] = '=';
    if (carried == 1) out[2] = '=';
    *stream = (lrb_base64_stream){.carried = 0};
    return 4;
}
