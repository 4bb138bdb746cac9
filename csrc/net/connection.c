#include "net/connection.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/blocks.h"
#include "base/mem.h"
#include "net/address.h"

static const long CA_CACHE_S = 60; /* a file of authorities that changed is read again after so long, and not at each connection */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready;

/* Where somebody in this process was first, libcurl keeps the memory it has. */
static void init_curl(void) {
    lrb_blocks_begin();
    curl_ready = curl_global_init_mem(CURL_GLOBAL_DEFAULT, lrb_blocks_take, lrb_blocks_give, lrb_blocks_resize, lrb_blocks_copy, lrb_blocks_take_zero);
}

int lrb_curl_begin(lrb_err *err) {
    pthread_once(&curl_once, init_curl);
    return curl_ready == CURLE_OK ? LRB_OK : lrb_err_nomem(err, "start");
}

int lrb_connection_take_path(char **into, const char *path, const char *whose, lrb_err *err) {
    if (!path) return LRB_OK;
    if (!path[0] || strnlen(path, LRB_CERTIFICATE_PATH_BYTES + 1) > LRB_CERTIFICATE_PATH_BYTES)
        return lrb_err_set(err, LRB_E_INVALID, "set", whose, "the path of a certificate is empty or too long");
    return (*into = lrb_copy_string(path)) ? LRB_OK : lrb_err_nomem(err, "set");
}

void lrb_connection_clear(lrb_connection *connection) {
    lrb_free(connection->ca_file);
    lrb_free(connection->certificate);
    lrb_free(connection->certificate_key);
    *connection = (lrb_connection){0};
}

/* ---- what libcurl is told ---- */

#define SET(option, value) \
    if (curl_easy_setopt(easy, option, value) != CURLE_OK) return false

static bool set_ways(CURL *easy, const lrb_connection *connection) {
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_PROXY, ""); /* the environment's would get the key */
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1); /* one request, one connection: nothing to multiplex */
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)connection->connect_ms);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* else giving up on a name waits until its lookup ends */
    SET(CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_S);
    SET(CURLOPT_DNS_CACHE_TIMEOUT, connection->is_name ? 0L : -1L); /* each new connection asks anew, where there is a name to ask for */
    return true;
}

/* Whom libcurl was built to trust does not count beside a file of the target's; and what is set is copied at each
 * transfer, used or not. A libcurl that does not know such an option trusts nobody by it. */
static void trust_nobody(CURL *easy, const lrb_connection *connection) {
    (void)curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, NULL);
    (void)curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, NULL);
    if (!connection->is_plain && !connection->ca_file) return;
    (void)curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
    (void)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
}

static bool set_trust(CURL *easy, const lrb_connection *connection) {
    trust_nobody(easy, connection);
    if (connection->is_plain) return true;
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (connection->ca_file) SET(CURLOPT_CAINFO, connection->ca_file);
    if (connection->certificate) SET(CURLOPT_SSLCERT, connection->certificate);
    if (connection->certificate_key) SET(CURLOPT_SSLKEY, connection->certificate_key);
    return true;
}

bool lrb_connection_set(CURL *easy, const lrb_connection *connection) {
    return set_ways(easy, connection) && set_trust(easy, connection);
}

/* ---- what libcurl asks ---- */

lrb_refusal lrb_connection_judge(const lrb_connection *connection, const struct sockaddr *address, size_t length) {
    lrb_reach reach = lrb_address_reach(address, length);
    if (reach == LRB_REACH_NEVER) return LRB_REFUSED_ADDRESS;
    if (reach == LRB_REACH_PRIVATE && !connection->allow_private) return LRB_REFUSED_PRIVATE;
    bool would_show = connection->is_plain && connection->has_key && !connection->allow_http;
    return would_show && reach != LRB_REACH_LOOPBACK ? LRB_REFUSED_PLAIN : LRB_REFUSED_NOT;
}

curl_socket_t lrb_connection_open(const lrb_connection *connection, const struct curl_sockaddr *address, lrb_refusal *refused, bool *lacks) {
    lrb_refusal found = lrb_connection_judge(connection, &address->addr, address->addrlen);
    if (found) {
        *refused = found;
        return CURL_SOCKET_BAD;
    }
    curl_socket_t made = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);
    if (made < 0 && errno != EAFNOSUPPORT) *lacks = true;
    return made;
}

/* ---- how it ended ---- */

enum { TOO_LARGE = 100 /* CURLE_TOO_LARGE, which an older libcurl has no name for */ };

static bool had_no_memory(int64_t refusals_before) {
    return lrb_mem_refusals() != refusals_before;
}

bool lrb_connection_lacked_memory(CURLcode result, int64_t refusals_before) {
    return result == CURLE_FAILED_INIT || (result == CURLE_OUT_OF_MEMORY && had_no_memory(refusals_before));
}

bool lrb_connection_met_a_limit(CURLcode result, int64_t refusals_before) {
    return (int)result == TOO_LARGE || (result == CURLE_OUT_OF_MEMORY && !had_no_memory(refusals_before));
}
