#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/client_private.h"

enum { HEADERS_MAX_BYTES = 64 << 10, BUFFERED_BYTES = 256 << 10 /* of a part: may lie in buffers here */ };

/* ---- what libcurl asks ---- */

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address) {
    (void)purpose;
    lrb_request *request = arg;
    bool lacks = false;
    curl_socket_t made = lrb_connection_open(&request->connection, address, &request->refused, &lacks);
    if (lacks) request->socket_errno = errno;
    return made;
}

/* There is a connection, and the request goes out next. One that was kept may be one of a request of other rules. A part
 * is read only now: so it is still near the processor when it is handed on. */
static int look_at_connection(void *arg, char *there, char *here, int there_port, int here_port) {
    (void)here, (void)there_port, (void)here_port;
    lrb_request *request = arg;
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    lrb_refusal found = LRB_REFUSED_ADDRESS;
    if (inet_pton(AF_INET, there, &four.sin_addr) == 1)
        found = lrb_connection_judge(&request->connection, (const struct sockaddr *)&four, sizeof four);
    else if (inet_pton(AF_INET6, there, &six.sin6_addr) == 1)
        found = lrb_connection_judge(&request->connection, (const struct sockaddr *)&six, sizeof six);
    request->refused = found;
    request->is_unreadable = !found && lrb_request_load(request, &request->err);
    return found || request->is_unreadable ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* Takes a piece from the paces; how long they hold it back. */
static int64_t pay(lrb_request *request, size_t count, int64_t now_ns) {
    int64_t longest = 0;
    for (size_t i = 0; i < request->paces_count; i++) {
        int64_t wait = lrb_pace_take(request->paces[i], count, now_ns);
        if (wait > longest) longest = wait;
    }
    request->paid = count;
    return longest;
}

/* What was paid for goes on its way, however much libcurl has room for when it asks again. */
static bool is_held_back(lrb_request *request, size_t *piece) {
    if (!request->paces_count) return false;
    if (request->resume_ns) return true;
    int64_t now_ns = lrb_clock_monotonic_ns(), wait = 0;
    if (*piece > request->piece_bytes) *piece = request->piece_bytes;
    if (!request->paid) wait = pay(request, *piece, now_ns);
    if (*piece > request->paid) *piece = request->paid;
    if (!wait) return false;
    request->resume_ns = now_ns + wait;
    request->has_moved = true;
    return true;
}

static size_t give(char *into, size_t size, size_t count, void *arg) {
    lrb_request *request = arg;
    size_t left = request->part_bytes - request->given, piece = size * count;
    if (piece > left) piece = left;
    if (!piece) return 0;
    if (!request->part) return CURL_READFUNC_ABORT; /* a libcurl that does not say when a connection is there */
    if (is_held_back(request, &piece)) return CURL_READFUNC_PAUSE;
    memcpy(into, request->part + request->given, piece);
    request->given += piece;
    request->paid -= request->paid < piece ? request->paid : piece;
    return piece;
}

/* A connection that was kept was closed meanwhile, and the request goes over another one. */
static int go_back(void *arg, curl_off_t offset, int origin) {
    lrb_request *request = arg;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > request->part_bytes) return CURL_SEEKFUNC_FAIL;
    request->given = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *arg) {
    lrb_request *request = arg;
    int code = lrb_buf_append(&request->answer, bytes, size * count, &request->err);
    if (!code) return size * count;
    if (code == LRB_E_NOMEM) request->lacks = true;
    else request->is_too_long = true;
    return 0;
}

static bool is_header(const char *line, size_t length, const char *name) {
    size_t named = strlen(name);
    return length > named && !strncasecmp(line, name, named) && line[named] == ':';
}

/* A value up to the end of its line, cut where it is too long. */
static void copy_trimmed(char into[LRB_CLIENT_HEADER_BYTES], const char *text, size_t length) {
    while (length && (*text == ' ' || *text == '\t')) text++, length--;
    while (length && (text[length - 1] == '\r' || text[length - 1] == '\n' || text[length - 1] == ' ')) length--;
    if (length > LRB_CLIENT_HEADER_BYTES - 1) length = LRB_CLIENT_HEADER_BYTES - 1;
    memcpy(into, text, length);
    into[length] = 0;
}

/* "HTTP/1.1 503 Service Unavailable" */
static void take_status_line(lrb_request *request, const char *line, size_t length) {
    const char *first = memchr(line, ' ', length);
    const char *second = first ? memchr(first + 1, ' ', length - (size_t)(first + 1 - line)) : NULL;
    request->date[0] = request->retry_after[0] = request->reason[0] = 0;
    if (second) copy_trimmed(request->reason, second, length - (size_t)(second - line));
}

static size_t take_header(char *line, size_t size, size_t count, void *arg) {
    lrb_request *request = arg;
    size_t length = size * count;
    request->header_bytes += length;
    if (request->header_bytes > HEADERS_MAX_BYTES) {
        request->is_too_long = true;
        return 0;
    }
    if (length > 5 && !memcmp(line, "HTTP/", 5)) take_status_line(request, line, length);
    else if (is_header(line, length, "Date")) copy_trimmed(request->date, line + 5, length - 5);
    else if (is_header(line, length, "Retry-After")) copy_trimmed(request->retry_after, line + 12, length - 12);
    return length;
}

/* ---- one transfer ---- */

#define SET(option, value) \
    if (curl_easy_setopt(easy, option, value) != CURLE_OK) return false

static bool set_body(CURL *easy, lrb_request *request) {
    if (!request->has_body) {
        SET(CURLOPT_HTTPGET, 1L);
        return true;
    }
    SET(CURLOPT_UPLOAD, 1L);
    SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)LRB_PIECE_BYTES);
    SET(CURLOPT_READFUNCTION, give);
    SET(CURLOPT_READDATA, request);
    SET(CURLOPT_SEEKFUNCTION, go_back);
    SET(CURLOPT_SEEKDATA, request);
    return true;
}

static bool set_request(CURL *easy, lrb_request *request) {
    SET(CURLOPT_PRIVATE, request);
    SET(CURLOPT_ERRORBUFFER, request->curl_text);
    SET(CURLOPT_URL, request->url);
    SET(CURLOPT_ACCEPT_ENCODING, "");
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, request);
    SET(CURLOPT_PREREQFUNCTION, look_at_connection);
    SET(CURLOPT_PREREQDATA, request);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, request);
    SET(CURLOPT_HEADERFUNCTION, take_header);
    SET(CURLOPT_HEADERDATA, request);
    if (!set_body(easy, request)) return false;
    SET(CURLOPT_CUSTOMREQUEST, request->method); /* last: what is set before may choose another */
    SET(CURLOPT_HTTPHEADER, request->is_object ? &request->lines[0] : request->headers);
    return lrb_connection_set(easy, &request->connection);
}

static bool fail_here(lrb_request *request) {
    request->trouble = LRB_TROUBLE_HERE;
    return false;
}

bool lrb_request_lacks_memory(lrb_request *request) {
    lrb_err_nomem(&request->err, "ask");
    return fail_here(request);
}

static bool next_part(lrb_request *request) {
    lrb_request_aim(request);
    lrb_buf_empty(&request->answer);
    request->refusals_before = lrb_mem_refusals();
    request->header_bytes = 0;
    request->curl_text[0] = 0;
    CURL *easy = request->own.easy;
    if (!request->has_body || curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->part_bytes) == CURLE_OK) return true;
    return lrb_request_lacks_memory(request);
}

bool lrb_request_begin(lrb_request *request, lrb_means means) {
    request->own = means;
    if (!request->own.easy) request->own.easy = curl_easy_init();
    if (request->own.easy && set_request(request->own.easy, request)) return next_part(request);
    return lrb_request_lacks_memory(request);
}

void lrb_request_measure(lrb_request *request) {
    curl_off_t uploaded = 0;
    if (!request->given) return; /* libcurl still says what the part before this one, or another request, sent */
    curl_easy_getinfo(request->own.easy, CURLINFO_SIZE_UPLOAD_T, &uploaded);
    if (uploaded <= request->uploaded) return;
    atomic_fetch_add_explicit(&request->sent_bytes, (uint64_t)(uploaded - request->uploaded), memory_order_relaxed);
    request->uploaded = uploaded;
    request->has_moved |= uploaded > BUFFERED_BYTES;
}

/* ---- its end ---- */

static void say(lrb_request *request, lrb_trouble trouble, const char *text) {
    request->trouble = trouble;
    snprintf(request->text, sizeof request->text, "%s", text);
}

static void say_curls(lrb_request *request, lrb_trouble trouble, CURLcode result) {
    say(request, trouble, request->curl_text[0] ? request->curl_text : curl_easy_strerror(result));
}

static void say_unreached(lrb_request *request, CURLcode result) {
    long sys_errno = 0;
    char text[128];
    curl_easy_getinfo(request->own.easy, CURLINFO_OS_ERRNO, &sys_errno);
    if (request->socket_errno && result == CURLE_COULDNT_CONNECT) sys_errno = request->socket_errno;
    bool is_systems = sys_errno && (result == CURLE_COULDNT_CONNECT || result == CURLE_SEND_ERROR || result == CURLE_RECV_ERROR);
    if (is_systems) say(request, LRB_TROUBLE_UNREACHED, strerror_r((int)sys_errno, text, sizeof text));
    else say_curls(request, LRB_TROUBLE_UNREACHED, result);
}

static void say_refused(lrb_request *request) {
    static const lrb_trouble troubles[] = {
        [LRB_REFUSED_ADDRESS] = LRB_TROUBLE_ADDRESS, [LRB_REFUSED_PRIVATE] = LRB_TROUBLE_PRIVATE, [LRB_REFUSED_PLAIN] = LRB_TROUBLE_PLAIN};
    say(request, troubles[request->refused], "this address is not allowed");
}

static void say_untrusted(lrb_request *request, CURLcode result) {
    static const char before[] = "SSL certificate problem: ";
    curl_easy_getinfo(request->own.easy, CURLINFO_SSL_VERIFYRESULT, &request->verify);
    say_curls(request, LRB_TROUBLE_UNTRUSTED, result);
    if (!strncmp(request->text, before, sizeof before - 1)) memmove(request->text, request->text + sizeof before - 1, strlen(request->text) - sizeof before + 2);
}

static void judge(lrb_request *request, CURLcode result) {
    request->trouble = LRB_TROUBLE_NONE;
    if (result == CURLE_OK || request->is_too_long) return;
    if (request->refused) {
        say_refused(request);
        return;
    }
    switch (result) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR: say_untrusted(request, result); return;
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM: say_curls(request, LRB_TROUBLE_OWN_FILES, result); return;
    case CURLE_SSL_CONNECT_ERROR: say_curls(request, LRB_TROUBLE_TLS, result); return;
    case CURLE_UNSUPPORTED_PROTOCOL: /* of HTTP/0.9 */
    case CURLE_WEIRD_SERVER_REPLY: say_curls(request, LRB_TROUBLE_NO_HTTP, result); return;
    case CURLE_GOT_NOTHING: say(request, LRB_TROUBLE_UNREACHED, "the connection was closed"); return;
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_PARTIAL_FILE: say(request, LRB_TROUBLE_UNREACHED, "its answer broke off, or cannot be decoded"); return;
    case CURLE_OPERATION_TIMEDOUT: say(request, LRB_TROUBLE_UNREACHED, "no connection in the time that was given for it"); return;
    default: say_unreached(request, result);
    }
}

/* An address is not looked up, so that fails for nothing else. */
static bool lacks_memory(const lrb_request *request, CURLcode result) {
    return lrb_connection_lacked_memory(result, request->refusals_before) || (request->lacks && result == CURLE_WRITE_ERROR) ||
           (result == CURLE_COULDNT_RESOLVE_HOST && !request->connection.is_name);
}

/* "Continue behind it", in the very words of a receiver. Whoever says it otherwise is understood by the caller. */
static bool says_continue(const lrb_request *request) {
    char due[64];
    int length = snprintf(due, sizeof due, "{\"offset\":%" PRIu64 ",\"complete\":false}", request->offset + request->part_bytes);
    return request->status == 200 && !request->is_too_long && request->offset + request->part_bytes < request->size &&
           request->answer.length == (size_t)length && !memcmp(request->answer.data, due, (size_t)length);
}

bool lrb_request_goes_on(lrb_request *request, CURLcode result) {
    lrb_request_measure(request);
    curl_easy_getinfo(request->own.easy, CURLINFO_RESPONSE_CODE, &request->status);
    if (request->is_unreadable) return fail_here(request);
    if (lacks_memory(request, result)) return lrb_request_lacks_memory(request);
    request->is_too_long |= lrb_connection_met_a_limit(result, request->refusals_before);
    judge(request, result);
    if (request->trouble || !request->is_object || !says_continue(request)) return false;
    request->offset += request->part_bytes;
    atomic_store_explicit(&request->reached, request->offset, memory_order_relaxed);
    request->has_moved = true;
    return next_part(request);
}

void lrb_request_give_up(lrb_request *request) {
    say(request, LRB_TROUBLE_CANCELLED, "it was cancelled");
}
