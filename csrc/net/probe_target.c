#include <arpa/inet.h>
#include <string.h>

#include "base/mem.h"
#include "codec/siphash.h"
#include "net/answer.h"
#include "net/prober_private.h"

enum { MAX_URL_BYTES = 2048, MAX_KEY_BYTES = 4096, MAX_MS = 86400 * 1000 };

static int unusable(lrb_err *err, const char *id, const char *what) {
    return lrb_err_set(err, LRB_E_INVALID, "set", id, "%s", what);
}

/* ---- the URL ---- */

static bool lacks(CURLU *url, CURLUPart part) {
    char *text = NULL;
    bool none = curl_url_get(url, part, &text, 0) != CURLUE_OK;
    curl_free(text);
    return none;
}

static bool is_numeric(const char *host) {
    char inner[INET6_ADDRSTRLEN + 16];
    struct in6_addr address;
    size_t length = strlen(host);
    if (host[0] != '[') return inet_pton(AF_INET, host, &address) == 1;
    if (length < 3 || length - 2 >= sizeof inner) return false;
    memcpy(inner, host + 1, length - 2);
    inner[length - 2] = 0;
    return inet_pton(AF_INET6, inner, &address) == 1;
}

static int look_at_parts(CURLU *url, target *target, lrb_err *err) {
    char *scheme = NULL, *host = NULL;
    if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK || curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK) {
        curl_free(scheme);
        return unusable(err, target->id, "the URL needs a scheme and a host: https://host:port");
    }
    target->connection.is_plain = !strcmp(scheme, "http");
    target->connection.is_name = !is_numeric(host);
    bool known = target->connection.is_plain || !strcmp(scheme, "https");
    curl_free(scheme);
    curl_free(host);
    if (!known) return unusable(err, target->id, "the URL must begin with https:// or http://");
    if (!lacks(url, CURLUPART_USER) || !lacks(url, CURLUPART_PASSWORD))
        return unusable(err, target->id, "the URL must not hold a user or a password: the key goes into a header");
    if (!lacks(url, CURLUPART_QUERY) || !lacks(url, CURLUPART_FRAGMENT))
        return unusable(err, target->id, "the URL must end with its path: no ? and no #");
    return LRB_OK;
}

/* The path leaves the URL, and goes with what is asked for into the request as it is. */
static int take_path_of_url(CURLU *url, target *target, lrb_err *err) {
    static const char asked[] = LRB_RECEIVE_PATH "/capabilities";
    char *base = NULL;
    if (curl_url_get(url, CURLUPART_PATH, &base, CURLU_URLENCODE) != CURLUE_OK) return lrb_err_nomem(err, "set");
    size_t length = strlen(base);
    while (length && base[length - 1] == '/') length--;
    if ((target->path = lrb_alloc(length + sizeof asked))) {
        memcpy(target->path, base, length);
        memcpy(target->path + length, asked, sizeof asked);
    }
    curl_free(base);
    bool done = target->path && curl_url_set(url, CURLUPART_PATH, "/", 0) == CURLUE_OK;
    return done ? LRB_OK : lrb_err_nomem(err, "set");
}

static int take_url(target *target, const char *base_url, lrb_err *err) {
    if (strnlen(base_url, MAX_URL_BYTES + 1) > MAX_URL_BYTES) return unusable(err, target->id, "the URL is longer than 2048 bytes");
    CURLU *url = target->origin = curl_url();
    if (!url) return lrb_err_nomem(err, "set");
    CURLUcode parsed = curl_url_set(url, CURLUPART_URL, base_url, CURLU_NON_SUPPORT_SCHEME);
    int code = parsed == CURLUE_OUT_OF_MEMORY ? lrb_err_nomem(err, "set")
               : parsed                       ? unusable(err, target->id, "the URL cannot be read: it must look like https://host:port")
                                              : look_at_parts(url, target, err);
    return code ? code : take_path_of_url(url, target, err);
}

/* ---- the rest ---- */

static int take_key(target *target, const char *key, lrb_err *err) {
    static const char name[] = "X-API-Key: ";
    if (!key) return LRB_OK;
    size_t length = strnlen(key, MAX_KEY_BYTES + 1);
    if (!length || length > MAX_KEY_BYTES) return unusable(err, target->id, "the key is empty or longer than 4096 bytes");
    for (size_t i = 0; i < length; i++)
        if (key[i] <= ' ' || key[i] > '~') return unusable(err, target->id, "the key may hold printable ASCII characters only, without spaces");
    if (!(target->header = lrb_alloc(sizeof name + length))) return lrb_err_nomem(err, "set");
    memcpy(target->header, name, sizeof name - 1);
    memcpy(target->header + sizeof name - 1, key, length + 1);
    return LRB_OK;
}

static bool is_sane(int64_t ms) {
    return ms > 0 && ms <= MAX_MS;
}

static int take_times(target *target, const lrb_probe_target *from, lrb_err *err) {
    if (!is_sane(from->period_ms) || !is_sane(from->connect_ms) || !is_sane(from->total_ms) || from->slow_ms < 0)
        return unusable(err, target->id, "times must lie between a millisecond and a day");
    target->period_ms = from->period_ms;
    target->connection.connect_ms = from->connect_ms;
    target->total_ms = from->total_ms;
    target->slow_ms = from->slow_ms;
    return LRB_OK;
}

static int take_id(target *target, const char *id, lrb_err *err) {
    size_t length = strnlen(id, sizeof target->id);
    if (!length || length >= sizeof target->id) return unusable(err, "", "the id of a target has 1 to 63 bytes");
    memcpy(target->id, id, length + 1);
    return LRB_OK;
}

static int fill(target *target, const lrb_probe_target *from, lrb_err *err) {
    int code = take_id(target, from->id, err);
    if (!code) code = take_url(target, from->base_url, err);
    if (!code) code = take_key(target, from->key, err);
    if (!code) code = lrb_connection_take_path(&target->connection.ca_file, from->ca_file, target->id, err);
    if (!code) code = lrb_connection_take_path(&target->connection.certificate, from->certificate, target->id, err);
    if (!code) code = lrb_connection_take_path(&target->connection.certificate_key, from->certificate_key, target->id, err);
    return code ? code : take_times(target, from, err);
}

int lrb_probe_target_new(const lrb_probe_target *from, target **out, lrb_err *err) {
    target *target = lrb_alloc_zero(1, sizeof *target);
    if (!target) return lrb_err_nomem(err, "set");
    target->place = LRB_NOWHERE;
    target->connection.allow_http = from->allow_http;
    target->connection.allow_private = from->allow_private;
    target->connection.has_key = from->key != NULL;
    lrb_buf_init(&target->body, LRB_ANSWER_MAX_BYTES);
    lrb_finding_clear(&target->health.last);
    int code = fill(target, from, err);
    if (code) lrb_probe_target_free(target);
    else *out = target;
    return code;
}

void lrb_probe_target_free(target *target) {
    lrb_probe_clear(target);
    if (target->header) explicit_bzero(target->header, strlen(target->header));
    curl_url_cleanup(target->origin);
    lrb_free(target->path);
    lrb_free(target->header);
    lrb_connection_clear(&target->connection);
    lrb_free(target);
}

int64_t lrb_probe_target_phase_ns(const target *target) {
    static const lrb_hash_key same_everywhere = {0, 0};
    uint64_t hash = lrb_siphash(&same_everywhere, target->id, strlen(target->id)).low;
    return (int64_t)(hash % (uint64_t)target->period_ms) * NS_PER_MS;
}
