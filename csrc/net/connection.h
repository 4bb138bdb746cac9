/* How libcurl connects, whoever it is that asks: what a probe and a request have in common.
 *
 * No proxy of the environment is used, nothing is looked up in .netrc, certificates are checked, and a file of
 * certificates to trust is all that is trusted. Where a URL leads is judged by the address that is connected to, each
 * time (net/address.h); a key goes over plain HTTP only where that was allowed, or to this machine.
 */
#ifndef LRB_NET_CONNECTION_H
#define LRB_NET_CONNECTION_H

#include <curl/curl.h>
#include <stdbool.h>

#include "base/err.h"

enum { LRB_CERTIFICATE_PATH_BYTES = 4096 };

typedef enum lrb_refusal { /* why no connection was made */
    LRB_REFUSED_NOT,
    LRB_REFUSED_ADDRESS, /* one that is never connected to */
    LRB_REFUSED_PRIVATE, /* a private one, which was not allowed */
    LRB_REFUSED_PLAIN    /* the key would be shown */
} lrb_refusal;

typedef struct lrb_connection {
    char *ca_file, *certificate, *certificate_key; /* paths, its own; NULL where there is none. The first: whom to trust */
    bool allow_http, allow_private;
    bool is_plain, is_name; /* plain HTTP; a name that has to be looked up */
    bool has_key;           /* that would be shown */
    int64_t connect_ms;
} lrb_connection;

int lrb_curl_begin(lrb_err *err); /* before anything else of libcurl's; any thread, any number of times */

/* Copies a path of a certificate; `whose` names the target in what is refused. NULL: none. */
int lrb_connection_take_path(char **into, const char *path, const char *whose, lrb_err *err);
void lrb_connection_clear(lrb_connection *connection);

/* Why a transfer ended that libcurl says there was no memory for: a line of an answer may be longer than it takes (100 KiB),
 * which an older one calls the same. `refusals_before`: lrb_mem_refusals when it began. */
bool lrb_connection_lacked_memory(CURLcode result, int64_t refusals_before);
bool lrb_connection_met_a_limit(CURLcode result, int64_t refusals_before);

/* False: no memory, or libcurl lacks something that safety rests on. */
bool lrb_connection_set(CURL *easy, const lrb_connection *connection);
lrb_refusal lrb_connection_judge(const lrb_connection *connection, const struct sockaddr *address, size_t length);
/* For CURLOPT_OPENSOCKETFUNCTION: judges the address, and makes a socket. *lacks: this process ran short of something. */
curl_socket_t lrb_connection_open(const lrb_connection *connection, const struct curl_sockaddr *address, lrb_refusal *refused, bool *lacks);

#endif
