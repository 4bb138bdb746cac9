#include <arpa/inet.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "codec/adler.h"
#include "codec/base64.h"
#include "net/client_private.h"

/* ---- what is told ---- */

static int unusable(const lrb_asked *asked, const char *what, lrb_err *err) {
    return lrb_err_set(err, LRB_E_INVALID, "ask", asked->url, "%s", what);
}

static bool add_header(lrb_request *request, const char *line) {
    struct curl_slist *longer = curl_slist_append(request->headers, line);
    if (longer) request->headers = longer;
    return longer != NULL;
}

static int take_headers(lrb_request *request, const lrb_asked *asked, lrb_err *err) {
    bool added = add_header(request, "Expect:"); /* nobody waits for a permission */
    for (size_t i = 0; added && i < asked->header_count; i++) {
        if (strpbrk(asked->headers[i], "\r\n")) return unusable(asked, "a header holds the end of a line", err);
        added = add_header(request, asked->headers[i]);
    }
    return added ? LRB_OK : lrb_err_nomem(err, "ask");
}

static bool is_http(const char *scheme) {
    return !strcmp(scheme, "http") || !strcmp(scheme, "https");
}

static bool is_name(CURLU *url) {
    char *host = NULL;
    struct in_addr four;
    bool is_address = curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK && (host[0] == '[' || inet_pton(AF_INET, host, &four) == 1);
    curl_free(host);
    return !is_address;
}

static int take_url(lrb_request *request, const lrb_asked *asked, lrb_err *err) {
    char *scheme = NULL;
    CURLU *url = curl_url();
    CURLUcode parsed = url ? curl_url_set(url, CURLUPART_URL, asked->url, 0) : CURLUE_OUT_OF_MEMORY;
    if (!parsed) parsed = curl_url_get(url, CURLUPART_SCHEME, &scheme, 0);
    if (!parsed && !is_http(scheme)) parsed = CURLUE_UNSUPPORTED_SCHEME;
    if (!parsed) request->connection.is_plain = !strcmp(scheme, "http");
    if (!parsed) request->connection.is_name = is_name(url);
    curl_free(scheme);
    curl_url_cleanup(url);
    if (parsed == CURLUE_OUT_OF_MEMORY) return lrb_err_nomem(err, "ask");
    if (parsed) return unusable(asked, "the URL cannot be read: it must look like https://host:port", err);
    request->url = lrb_copy_string(asked->url);
    request->method = lrb_copy_string(asked->method);
    return request->url && request->method ? LRB_OK : lrb_err_nomem(err, "ask");
}

static int take_connection(lrb_connection *connection, const lrb_asked *asked, lrb_err *err) {
    if (asked->connect_ms < 1 || asked->connect_ms > INT_MAX) return unusable(asked, "the time for a connection must lie between a millisecond and some days", err);
    connection->allow_http = asked->allow_http;
    connection->allow_private = asked->allow_private;
    connection->has_key = asked->has_key;
    connection->connect_ms = asked->connect_ms;
    int code = lrb_connection_take_path(&connection->ca_file, asked->ca_file, asked->url, err);
    if (!code) code = lrb_connection_take_path(&connection->certificate, asked->certificate, asked->url, err);
    return code ? code : lrb_connection_take_path(&connection->certificate_key, asked->certificate_key, asked->url, err);
}

static int take_content(lrb_request *request, const lrb_asked *asked, lrb_err *err) {
    request->has_body = asked->has_body || asked->is_object;
    request->is_object = asked->is_object;
    request->body = asked->body;
    request->size = asked->size;
    request->offset = asked->offset;
    request->part_max = asked->part_bytes;
    if (asked->is_object && (!asked->part_bytes || asked->offset > asked->size)) return unusable(asked, "an object has parts, and they lie within it", err);
    return asked->is_object && asked->fd >= 0 ? lrb_fs_duplicate(asked->fd, &request->fd, err) : LRB_OK;
}

static void take_paces(lrb_request *request, const lrb_asked *asked) {
    for (size_t i = 0; i < LRB_CLIENT_PACES; i++)
        if (asked->paces[i]) request->paces[request->paces_count++] = asked->paces[i];
    request->piece_bytes = lrb_pace_piece(request->paces, request->paces_count, LRB_PIECE_BYTES);
}

int lrb_request_new(const lrb_asked *asked, void *owner, lrb_request **out, lrb_err *err) {
    int code = lrb_curl_begin(err);
    if (code) return code;
    lrb_request *request = lrb_alloc_zero(1, sizeof *request);
    if (!request) return lrb_err_nomem(err, "ask");
    request->fd = -1;
    request->owner = owner;
    lrb_buf_init(&request->answer, asked->answer_max_bytes);
    take_paces(request, asked);
    code = take_url(request, asked, err);
    if (!code) code = take_headers(request, asked, err);
    if (!code) code = take_connection(&request->connection, asked, err);
    if (!code) code = take_content(request, asked, err);
    if (code) lrb_request_free(request);
    else *out = request;
    return code;
}

void lrb_request_free(lrb_request *request) {
    if (!request) return;
    lrb_means_clear(&request->own); /* first: libcurl knows what follows */
    for (struct curl_slist *at = request->headers; at; at = at->next) explicit_bzero(at->data, strlen(at->data)); /* the key */
    curl_slist_free_all(request->headers);
    lrb_connection_clear(&request->connection);
    lrb_fs_close(request->fd);
    lrb_buf_clear(&request->answer);
    lrb_free(request->method);
    lrb_free(request->url);
    lrb_free(request);
}

void lrb_means_clear(lrb_means *means) {
    if (means->easy) curl_easy_cleanup(means->easy);
    lrb_free(means->room);
    *means = (lrb_means){0};
}

void *lrb_request_owner(const lrb_request *request) {
    return request->owner;
}

void lrb_request_look(const lrb_request *request, uint64_t *sent_bytes, uint64_t *reached) {
    *sent_bytes = atomic_load_explicit(&request->sent_bytes, memory_order_relaxed);
    *reached = atomic_load_explicit(&request->reached, memory_order_relaxed);
}

/* ---- the part that is sent ---- */

static int make_room(lrb_means *means, size_t bytes, lrb_err *err) {
    if (means->room_bytes >= bytes) return LRB_OK;
    lrb_free(means->room);
    means->room_bytes = 0;
    if (!(means->room = lrb_alloc(bytes))) return lrb_err_nomem(err, "send");
    means->room_bytes = bytes;
    return LRB_OK;
}

static int read_part(lrb_request *request, lrb_err *err) {
    size_t got;
    if (make_room(&request->own, request->part_max, err)) return err->code;
    int code = lrb_fs_read_at(request->fd, request->own.room, request->part_bytes, request->offset, &got, "what is sent", err);
    if (code || got == request->part_bytes) return code;
    return lrb_err_set(err, LRB_E_DAMAGED, "send", "", "a pack is shorter than the log says: verify says what that costs");
}

static void write_lines(lrb_request *request) {
    uint32_t sum = lrb_adler32(request->part, request->part_bytes);
    uint8_t bytes[4] = {(uint8_t)(sum >> 24), (uint8_t)(sum >> 16), (uint8_t)(sum >> 8), (uint8_t)sum};
    char text[9] = "";
    lrb_base64_encode(bytes, sizeof bytes, text);
    snprintf(request->offset_line, sizeof request->offset_line, "Upload-Offset: %" PRIu64, request->offset);
    snprintf(request->digest_line, sizeof request->digest_line, "Content-Digest: adler=:%s:", text);
}

void lrb_request_aim(lrb_request *request) {
    uint64_t left = request->size - (request->is_object ? request->offset : 0);
    request->part_bytes = request->is_object && left > request->part_max ? request->part_max : (size_t)left;
    request->part = NULL;
    request->given = 0;
    request->uploaded = 0;
    request->lines[0] = (struct curl_slist){request->offset_line, &request->lines[1]};
    request->lines[1] = (struct curl_slist){request->digest_line, request->headers};
}

int lrb_request_load(lrb_request *request, lrb_err *err) {
    request->given = 0; /* over another connection it goes from its beginning, whether libcurl went back or had sent nothing */
    request->part = request->body;
    if (!request->is_object) return LRB_OK;
    int code = request->fd >= 0 ? read_part(request, err) : LRB_OK;
    if (code) return code;
    request->part = request->fd >= 0 ? request->own.room : request->body + request->offset;
    write_lines(request);
    return LRB_OK;
}

/* ---- its end ---- */

int lrb_request_answer(const lrb_request *request, lrb_answered *out, lrb_err *err) {
    *out = (lrb_answered){.trouble = request->trouble, .text = request->trouble ? request->text : request->reason, .verify = request->verify,
                          .status = request->status, .date = request->date, .retry_after = request->retry_after,
                          .body = request->answer.data, .body_bytes = request->is_too_long ? 0 : request->answer.length,
                          .is_too_long = request->is_too_long, .offset = request->offset, .part_bytes = request->part_bytes};
    if (request->trouble != LRB_TROUBLE_HERE) return LRB_OK;
    *err = request->err;
    return err->code;
}
