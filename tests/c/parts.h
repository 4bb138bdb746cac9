/* An object that is sent in parts, and a server's side of it: a part is answered as a receiver does, or as a test likes. */
#ifndef LRB_TESTS_PARTS_H
#define LRB_TESTS_PARTS_H

#include <inttypes.h>

#include "asking.h"
#include "hearing.h"

enum { SIZE = 3500, PART = 1000, BEGINS = 500 };
static uint8_t object[SIZE];

static void parts_fill(void) {
    for (size_t i = 0; i < SIZE; i++) object[i] = (uint8_t)(i * i >> 2);
}

static int file_of(const void *bytes, size_t count) {
    FILE *file = tmpfile();
    if (!file || fwrite(bytes, 1, count, file) != count || fflush(file)) exit(2);
    int fd = dup(fileno(file));
    fclose(file);
    return fd;
}

static lrb_asked parts_asked(int port, int fd, uint64_t offset, uint64_t size, size_t part_bytes) {
    static char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/object/%" PRIu64, port, size);
    lrb_asked asked = asking_of("PUT", url);
    asked.is_object = true;
    asked.fd = fd;
    asked.body = fd < 0 ? object : NULL;
    asked.size = size;
    asked.offset = offset;
    asked.part_bytes = part_bytes;
    return asked;
}

static struct { /* what is said to the parts of an object but the last one; the test's */
    const char *status, *words;
    atomic_bool never_done; /* to the last one as well */
    atomic_bool once;       /* to the first one, and to no other */
} said;

static bool parts_answer(const heard *request, int fd) {
    char words[64];
    unsigned long long total = 0;
    uint64_t upto = strtoull(hearing_header(request, "Upload-Offset"), NULL, 10) + request->body_bytes;
    sscanf(request->head, "PUT /object/%llu ", &total);
    if (said.once && request->body_bytes != upto) return true;
    if (upto >= total && !said.never_done) return hearing_say(fd, "201 Created", "Date: then\r\n", "{\"complete\":true}");
    snprintf(words, sizeof words, "{\"offset\":%" PRIu64 ",\"complete\":false}", upto);
    return hearing_say(fd, said.status ? said.status : "200 OK", "", said.words ? said.words : words);
}

#endif
