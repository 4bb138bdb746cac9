/* What the files of the client share: client.c is the thread and what its callers see, request.c what a request was told
 * and the part it sends, transfer.c libcurl's side of it. What a request has is the thread's own while it is under way,
 * but for what is said to be guarded.
 */
#ifndef LRB_NET_CLIENT_PRIVATE_H
#define LRB_NET_CLIENT_PRIVATE_H

#include <curl/curl.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "net/client.h"
#include "net/connection.h"

enum { NS_PER_MS = 1000000, LRB_PART_LINE_BYTES = 64, LRB_PIECE_BYTES = 960 << 10 /* handed on at once: the fewer the cheaper */ };

typedef struct lrb_means { /* kept from request to request, since memory nobody used yet is dear */
    CURL *easy;
    uint8_t *room; /* of a part that is read from a file, `room_bytes` long */
    size_t room_bytes;
} lrb_means;

void lrb_means_clear(lrb_means *means);

struct lrb_request {
    void *owner;

    /* as told */
    char *method, *url;
    struct curl_slist *headers;
    lrb_connection connection;
    lrb_pace *paces[LRB_CLIENT_PACES];
    size_t paces_count, piece_bytes;
    const uint8_t *body;
    bool has_body, is_object;
    int fd; /* its own; -1: none */
    uint64_t size, offset;
    size_t part_max;

    /* the part that is sent: all there is of what is no object */
    const uint8_t *part;   /* NULL: not loaded */
    size_t part_bytes, given;
    curl_off_t uploaded;   /* of it, to the system */
    size_t paid;           /* of what is next, taken from the paces already */
    int64_t resume_ns;     /* when the paces let it go; 0: it does not wait */
    char offset_line[LRB_PART_LINE_BYTES], digest_line[LRB_PART_LINE_BYTES];
    struct curl_slist lines[2]; /* those of a part, before `headers` */
    bool has_moved;

    /* what came of it */
    lrb_means own;
    char curl_text[CURL_ERROR_SIZE];
    lrb_refusal refused;
    int socket_errno; /* this process could have none; 0 else */
    bool lacks, is_too_long, is_unreadable;
    lrb_buf answer;
    size_t header_bytes;
    int64_t refusals_before; /* of memory, when the transfer began */
    long status, verify;
    char reason[LRB_CLIENT_HEADER_BYTES], date[LRB_CLIENT_HEADER_BYTES], retry_after[LRB_CLIENT_HEADER_BYTES];
    lrb_trouble trouble;
    char text[LRB_CLIENT_TEXT_BYTES];
    lrb_err err;

    /* looked at by anybody */
    _Atomic uint64_t sent_bytes, reached;

    /* guarded by the client's lock */
    bool is_cancelled, is_news, is_over;
    int64_t told_ns; /* when it was news last */
    lrb_request *next;      /* among those that are to begin, or are under way */
    lrb_request *next_news;
};

/* ---- request.c ---- */
void lrb_request_aim(lrb_request *request);               /* at what is sent next, from `offset` on */
int lrb_request_load(lrb_request *request, lrb_err *err); /* reads it, and sums it up */

/* ---- transfer.c: all by the thread ---- */
bool lrb_request_begin(lrb_request *request, lrb_means means); /* takes the means over. False: it is over, with a trouble */
void lrb_request_measure(lrb_request *request);                /* notes what was sent so far */
/* The transfer ended. True: the next part is ready to go, with the same easy handle; false: it is over. */
bool lrb_request_goes_on(lrb_request *request, CURLcode result);
void lrb_request_give_up(lrb_request *request);      /* it was cancelled */
bool lrb_request_lacks_memory(lrb_request *request); /* it is over, and why; false */

#endif
