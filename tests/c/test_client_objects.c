/* Objects that are sent part by part: the bytes and headers of each, which words make the client go on and which end it,
 * and what there is to see of it on the way. */
#include <curl/curl.h>

#include "asking.h"
#include "check.h"
#include "codec/adler.h"
#include "codec/base64.h"
#include "hearing.h"
#include "parts.h"

static lrb_err err;
static hearing server;
static lrb_client *client;

static bool is_part(const heard *request, const uint8_t *bytes, uint64_t offset, size_t count) {
    char text[32], digest[64] = "adler=:";
    uint32_t sum = lrb_adler32(bytes + offset, count);
    lrb_base64_encode((const uint8_t[]){(uint8_t)(sum >> 24), (uint8_t)(sum >> 16), (uint8_t)(sum >> 8), (uint8_t)sum}, 4, digest + 7);
    strcpy(digest + 15, ":");
    snprintf(text, sizeof text, "%" PRIu64, offset);
    return !strcmp(hearing_header(request, "Upload-Offset"), text) && !strcmp(hearing_header(request, "Content-Digest"), digest) &&
           *hearing_header(request, "Content-Length") && request->body_bytes == count && !memcmp(request->body, bytes + offset, count);
}

/* Over one connection, and again with the means of the one before. */
TEST(an_object_goes_part_by_part_from_memory_and_from_a_file) {
    int fd = file_of(object, SIZE);
    static const char *const headers[] = {"X-API-Key: secret"};
    said.status = said.words = NULL;
    for (int from_file = 0; from_file < 2; from_file++) {
        lrb_asked asked = parts_asked(server.port, from_file ? fd : -1, BEGINS, SIZE, PART);
        asked.headers = headers;
        asked.header_count = 1;
        ask one;
        int before = server.requests;
        CHECK(asking_run(client, &asked, &one) && !one.code && one.said.status == 201 && !one.said.trouble);
        CHECK(server.requests == before + 3);
        for (int part = 0; part < 3; part++) {
            const heard *request = hearing_last(&server, 2 - part);
            CHECK(is_part(request, object, BEGINS + (uint64_t)part * PART, PART) && !strncmp(request->head, "PUT ", 4));
            CHECK(request->line == hearing_last(&server, 0)->line && !strcmp(hearing_header(request, "X-API-Key"), "secret"));
        }
        uint64_t sent, reached;
        lrb_request_look(one.request, &sent, &reached);
        CHECK(sent == SIZE - BEGINS && reached == SIZE - PART);
        CHECK(one.said.offset == SIZE - PART && one.said.part_bytes == PART && !strcmp(one.said.text, "Created") && !strcmp(one.said.date, "then"));
        lrb_request_free(one.request);
    }
    close(fd);
}

TEST(the_sum_of_a_part_is_written_as_its_header_has_it) {
    static const uint8_t before[] = {'a', 'b', 'c'};
    int fd = file_of(before, 3);
    lrb_asked asked = parts_asked(server.port, fd, 0, 3, PART);
    ask one;
    CHECK(asking_run(client, &asked, &one) && one.said.status == 201);
    CHECK(!strcmp(hearing_header(hearing_last(&server, 0), "Content-Digest"), "adler=:Ak0BJw==:"));
    lrb_request_free(one.request);
    close(fd);
}

TEST(what_is_left_of_an_object_may_be_nothing) {
    int fd = file_of(object, SIZE);
    for (int from_file = 0; from_file < 2; from_file++)
        for (uint64_t size = 0; size <= SIZE; size += SIZE) {
            lrb_asked asked = parts_asked(server.port, from_file ? fd : -1, size, size, PART);
            ask one;
            int before = server.requests;
            CHECK(asking_run(client, &asked, &one) && one.said.status == 201 && one.said.offset == size && !one.said.part_bytes);
            CHECK(server.requests == before + 1 && is_part(hearing_last(&server, 0), object, size, 0));
            lrb_request_free(one.request);
        }
    close(fd);
}

TEST(how_far_it_came_can_be_seen_on_the_way) {
    lrb_asked asked = parts_asked(server.port, -1, 0, 20, 10);
    ask one;
    uint64_t sent = 0, reached = 0;
    int before = server.requests;
    said.once = true;
    CHECK(asking_begin(client, &asked, &one));
    while (server.requests < before + 2) poll(NULL, 0, 1);
    while (!one.moved) (void)asking_is_readable(client, ASKING_LONG_MS), asking_take_news(client);
    lrb_request_look(one.request, &sent, &reached);
    CHECK(reached == 10 && sent >= 10 && sent <= 20);
    lrb_client_cancel(client, one.request);
    CHECK(asking_end(client, &one) && one.said.trouble == LRB_TROUBLE_CANCELLED && one.said.offset == 10);
    lrb_request_look(one.request, &sent, &reached);
    CHECK(reached == 10 && sent == 20);
    said.once = false;
    lrb_request_free(one.request);
}

static const struct {
    const char *status, *words;
    bool goes_on;
} worded[] = {
    {"200 OK", "{\"offset\":10,\"complete\":false}", true},
    {"200 Whatever", "{\"offset\":10,\"complete\":false}", true},
    {"201 Created", "{\"offset\":10,\"complete\":false}", false},
    {"202 Accepted", "{\"offset\":10,\"complete\":false}", false},
    {"400 Bad Request", "{\"offset\":10,\"complete\":false}", false},
    {"200 OK", "{\"offset\": 10,\"complete\":false}", false},
    {"200 OK", "{\"offset\":10,\"complete\":false}\n", false},
    {"200 OK", "{\"offset\":010,\"complete\":false}", false},
    {"200 OK", "{\"offset\":10,\"complete\":true}", false},
    {"200 OK", "{\"offset\":9,\"complete\":false}", false},
    {"200 OK", "{\"offset\":11,\"complete\":false}", false},
    {"200 OK", "{\"offset\":20,\"complete\":false}", false},
    {"200 OK", "{\"offset\":18446744073709551615,\"complete\":false}", false},
    {"200 OK", "{\"complete\":false,\"offset\":10}", false},
    {"200 OK", "{}", false},
    {"200 OK", "", false},
};

TEST(only_the_very_words_make_it_go_on) {
    for (size_t i = 0; i < sizeof worded / sizeof *worded; i++) {
        lrb_asked asked = parts_asked(server.port, -1, 0, 20, 10);
        ask one;
        uint64_t sent, reached;
        int before = server.requests;
        said.status = worded[i].status, said.words = worded[i].words;
        CHECK(asking_run(client, &asked, &one) && !one.code && !one.said.trouble);
        lrb_request_look(one.request, &sent, &reached);
        bool went_on = one.said.status == 201 && one.said.offset == 10 && reached == 10 && sent == 20 && server.requests == before + 2;
        bool ended = one.said.status == strtol(worded[i].status, NULL, 10) && !one.said.offset && !reached && sent == 10 && server.requests == before + 1 &&
                     one.said.body_bytes == strlen(worded[i].words);
        bool right = one.said.part_bytes == 10 && (worded[i].goes_on ? went_on : ended);
        if (!right) printf("%s %s\n", worded[i].status, worded[i].words);
        CHECK(right);
        lrb_request_free(one.request);
    }
    said.status = said.words = NULL;
}

TEST(behind_the_last_part_there_is_none_whatever_is_said) {
    for (uint64_t offset = 0; offset <= 20; offset += 10) {
        lrb_asked asked = parts_asked(server.port, -1, offset, 20, 10);
        ask one;
        int before = server.requests, parts = offset ? 1 : 2;
        said.never_done = true;
        CHECK(asking_run(client, &asked, &one) && !one.code && !one.said.trouble && one.said.status == 200);
        CHECK(server.requests == before + parts && one.said.offset == (offset ? offset : 10) && one.said.part_bytes == (offset == 20 ? 0 : 10));
        lrb_request_free(one.request);
    }
    said.never_done = false;
}

TEST(a_file_that_is_shorter_than_said_is_damaged) {
    for (size_t length = 0; length <= 15; length += 15) {
        int fd = file_of(object, length), before = server.requests;
        lrb_asked asked = parts_asked(server.port, fd, 0, 20, 10);
        ask one;
        uint64_t sent, reached, taken = length / 10 * 10;
        CHECK(asking_run(client, &asked, &one) && one.said.trouble == LRB_TROUBLE_HERE);
        CHECK_FAILS(one.code, LRB_E_DAMAGED);
        lrb_request_look(one.request, &sent, &reached);
        CHECK(strstr(one.err.message, "shorter") && sent == taken && reached == taken && server.requests == before + (int)taken / 10);
        lrb_request_free(one.request);
        close(fd);
    }
}

int main(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT); /* before the client does: so libcurl's blocks are malloc's, and AddressSanitizer sees them */
    parts_fill();
    hearing_start(&server, parts_answer);
    if (lrb_client_start(&client, &err)) return 2;
    RUN(an_object_goes_part_by_part_from_memory_and_from_a_file);
    RUN(the_sum_of_a_part_is_written_as_its_header_has_it);
    RUN(what_is_left_of_an_object_may_be_nothing);
    RUN(how_far_it_came_can_be_seen_on_the_way);
    RUN(only_the_very_words_make_it_go_on);
    RUN(behind_the_last_part_there_is_none_whatever_is_said);
    RUN(a_file_that_is_shorter_than_said_is_damaged);
    lrb_client_stop(client);
    lrb_client_free(client);
    hearing_stop(&server);
    return check_report();
}
