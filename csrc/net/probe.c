#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/answer.h"
#include "net/prober_private.h"

/* ---- what libcurl asks while the probe is under way ---- */

static void has_resolved(target *target) {
    if (target->is_resolving) target->group->prober->resolving--;
    target->is_resolving = false;
}

/* Called for every address of the name until one answers, each time a connection is made. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address) {
    (void)purpose;
    target *target = arg;
    has_resolved(target);
    return lrb_connection_open(&target->connection, address, &target->refused, &target->is_own_fault);
}

static size_t take_body(char *bytes, size_t size, size_t count, void *arg) {
    target *target = arg;
    lrb_err err;
    int code = lrb_buf_append(&target->body, bytes, size * count, &err);
    if (!code) return size * count;
    if (code == LRB_E_NOMEM) target->is_own_fault = true;
    else target->is_too_long = true;
    return 0;
}

static size_t take_header(char *bytes, size_t size, size_t count, void *arg) {
    (void)bytes;
    target *target = arg;
    target->header_bytes += size * count;
    if (target->header_bytes <= LRB_ANSWER_MAX_BYTES) return size * count;
    target->is_too_long = true;
    return 0;
}

/* ---- one probe ---- */

#define SET(option, value) \
    if (curl_easy_setopt(easy, option, value) != CURLE_OK) return false

static bool set_connection(CURL *easy, target *target) {
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, target);
    SET(CURLOPT_TIMEOUT_MS, (long)target->total_ms);
    /* Where a name may have a second address libcurl looks at each new connection once more, 200 ms later. */
    if (!target->connection.is_name) SET(CURLOPT_HAPPY_EYEBALLS_TIMEOUT_MS, (long)target->total_ms);
    return lrb_connection_set(easy, &target->connection);
}

static bool set_request(CURL *easy, target *target) {
    SET(CURLOPT_PRIVATE, target);
    SET(CURLOPT_CURLU, target->origin);
    SET(CURLOPT_REQUEST_TARGET, target->path);
    SET(CURLOPT_HTTPHEADER, target->headers);
    SET(CURLOPT_BUFFERSIZE, 1024L); /* a receiver's answer fits; every target has a buffer */
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, target);
    SET(CURLOPT_HEADERFUNCTION, take_header);
    SET(CURLOPT_HEADERDATA, target);
    return true;
}

static bool add_header(target *target, const char *line) {
    struct curl_slist *longer = curl_slist_append(target->headers, line);
    if (longer) target->headers = longer;
    return longer != NULL;
}

/* What stays the same from probe to probe is set once: it is most of a probe's work outside the kernel. */
static bool make_ready(target *target) {
    target->easy = curl_easy_init();
    return target->easy && add_header(target, "User-Agent: lightrag-bkp") && add_header(target, "Accept: application/json") &&
           (!target->header || add_header(target, target->header)) && set_connection(target->easy, target) &&
           set_request(target->easy, target);
}

int lrb_probe_begin(target *target, lrb_err *err) {
    if (!target->easy && !make_ready(target)) {
        lrb_probe_clear(target);
        return lrb_err_nomem(err, "probe");
    }
    bool cold = target->probes % LRB_PROBE_COLD_EVERY == 0 || target->is_failing; /* which left no connection to look for */
    curl_easy_setopt(target->easy, CURLOPT_FRESH_CONNECT, cold ? 1L : 0L);
    target->header_bytes = 0;
    target->refusals_before = lrb_mem_refusals();
    target->refused = LRB_REFUSED_NOT;
    target->is_too_long = target->is_own_fault = false;
    target->begun_ns = lrb_clock_monotonic_ns();
    target->is_resolving = target->connection.is_name;
    target->group->prober->resolving += target->is_resolving;
    target->is_under_way = true;
    target->group->prober->under_way++;
    return LRB_OK;
}

void lrb_probe_end(target *target) {
    has_resolved(target);
    lrb_buf_clear(&target->body);
    target->is_under_way = false;
    target->group->prober->under_way--;
}

void lrb_probe_clear(target *target) {
    if (target->easy) curl_easy_cleanup(target->easy);
    curl_slist_free_all(target->headers);
    target->easy = NULL;
    target->headers = NULL;
}

/* ---- its end ---- */

static void say_refused(lrb_refusal refused, lrb_finding *finding) {
    if (refused == LRB_REFUSED_PLAIN)
        lrb_finding_say(finding, LRB_TARGET_DEGRADED,
                        "would send the key unencrypted: use https, or allow http for this target; nothing was sent");
    else if (refused == LRB_REFUSED_PRIVATE)
        lrb_finding_say(finding, LRB_TARGET_UNREACHABLE,
                        "its address is a private one: allow private addresses for this target if that is meant");
    else
        lrb_finding_say(finding, LRB_TARGET_UNREACHABLE,
                        "its address is one that is never connected to (link-local, metadata service, multicast or reserved)");
}

static void say_failed(const target *target, CURLcode result, int64_t took_ms, lrb_finding *finding) {
    long sys_errno = 0;
    curl_easy_getinfo(target->easy, CURLINFO_OS_ERRNO, &sys_errno);
    switch (result) {
    case CURLE_COULDNT_RESOLVE_HOST: lrb_finding_say(finding, LRB_TARGET_UNREACHABLE, "its name could not be resolved"); return;
    case CURLE_COULDNT_CONNECT:
        lrb_finding_say(finding, LRB_TARGET_UNREACHABLE, "no connection: %s", sys_errno == ECONNREFUSED ? "nothing listens there" : curl_easy_strerror(result));
        return;
    case CURLE_OPERATION_TIMEDOUT: lrb_finding_say(finding, LRB_TARGET_UNREACHABLE, "no answer within %" PRId64 " ms", took_ms); return;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        lrb_finding_say(finding, LRB_TARGET_UNREACHABLE, "its certificate is not trusted or not its own (%s)", curl_easy_strerror(result));
        return;
    case CURLE_SSL_CONNECT_ERROR: lrb_finding_say(finding, LRB_TARGET_UNREACHABLE, "no TLS connection: is it https that is spoken there"); return;
    case CURLE_SSL_CERTPROBLEM: lrb_finding_say(finding, LRB_TARGET_UNREACHABLE, "the client certificate or its key cannot be used"); return;
    case CURLE_UNSUPPORTED_PROTOCOL: /* of HTTP/0.9: the URL's was looked at before */
    case CURLE_WEIRD_SERVER_REPLY: lrb_finding_say(finding, LRB_TARGET_UNREACHABLE, "it answers what is no HTTP"); return;
    case CURLE_GOT_NOTHING: lrb_finding_say(finding, LRB_TARGET_UNREACHABLE, "it closed the connection without an answer"); return;
    default: lrb_finding_say(finding, LRB_TARGET_UNREACHABLE, "the request failed: %s", curl_easy_strerror(result));
    }
}

int lrb_probe_judge(target *target, CURLcode result, lrb_finding *finding, lrb_err *err) {
    int64_t took_ms = (lrb_clock_monotonic_ns() - target->begun_ns) / NS_PER_MS;
    lrb_finding_clear(finding);
    finding->took_ms = took_ms;
    if (target->is_own_fault || lrb_connection_lacked_memory(result, target->refusals_before)) return lrb_err_nomem(err, "probe");
    target->is_too_long |= lrb_connection_met_a_limit(result, target->refusals_before);
    if (target->refused && result != CURLE_OK) {
        say_refused(target->refused, finding);
    } else if (target->is_too_long) {
        lrb_finding_say(finding, LRB_TARGET_DEGRADED, "it cannot receive: its answer is longer than %d KiB, and no receiver's", LRB_ANSWER_MAX_BYTES >> 10);
    } else if (result != CURLE_OK) {
        say_failed(target, result, took_ms, finding);
    } else {
        lrb_answer answer = {.body = target->body.data, .body_bytes = target->body.length, .took_ms = took_ms,
                             .slow_ms = target->slow_ms, .with_key = target->header != NULL};
        curl_easy_getinfo(target->easy, CURLINFO_RESPONSE_CODE, &answer.http_status);
        return lrb_answer_judge(&answer, finding, err);
    }
    return LRB_OK;
}
