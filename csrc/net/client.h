/* Requests to servers of ours, by one thread over libcurl's multi interface: any number at once, each of its own rules
 * (net/connection.h). Connections are kept and used again, by whoever may connect there.
 *
 * A request sends nothing, bytes of its caller's, or a whole object in parts, each a request of its own, one behind the
 * other (docs/replication.md). A part is read, summed and sent here, and so is the next one as long as the answer is, to
 * the letter, "continue behind it". Any other answer ends the request, and is its caller's to judge: nothing that
 * somebody else says is interpreted here. An answer has a ceiling, nothing is followed, nothing is tried again.
 *
 * There is no deadline but the connection's: whoever waits is told that something moved, and cancels what does not.
 * What moves is what is sent: the first piece of a part goes into a buffer here, whoever is there, and does not count,
 * and an answer drop by drop is none. Waiting for a pace (net/pace.h) counts as moving.
 *
 * News: when a request moved (at most ten times a second), and when it is over, the descriptor becomes readable, and
 * lrb_client_next hands it out. Of a request that is over, everything is the caller's again.
 *
 * All functions may be called from any thread but stop, which is the last call. A forked child has no thread: there
 * lrb_client_forget is the only call.
 */
#ifndef LRB_NET_CLIENT_H
#define LRB_NET_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "net/pace.h"

enum { LRB_CLIENT_PACES = 2, LRB_CLIENT_TEXT_BYTES = 320, LRB_CLIENT_HEADER_BYTES = 128 };

typedef struct lrb_client lrb_client;
typedef struct lrb_request lrb_request;

typedef struct lrb_asked { /* texts are copied */
    const char *method, *url;
    const char *const *headers; /* "Name: value"; of an object without those of a part */
    size_t header_count;
    const char *ca_file, *certificate, *certificate_key; /* paths; NULL: none. ca_file is whom to trust, and nobody else */
    bool allow_http, allow_private, has_key;
    int64_t connect_ms;
    size_t answer_max_bytes;
    lrb_pace *paces[LRB_CLIENT_PACES]; /* the caller's until it is over; NULL: none */

    const void *body; /* what is sent, or all of the object; the caller's until it is over */
    bool has_body;
    bool is_object;
    int fd;                    /* of an object: a file in place of `body`, or -1; stays the caller's, and is copied */
    uint64_t size, offset;     /* of the object, and where to begin; of any other body the size alone */
    size_t part_bytes;         /* of an object: so many at most in one request */
} lrb_asked;

typedef enum lrb_trouble { /* why there is no answer */
    LRB_TROUBLE_NONE,       /* there is one */
    LRB_TROUBLE_ADDRESS,    /* it is one that is never connected to */
    LRB_TROUBLE_PRIVATE,    /* it is a private one, which was not allowed */
    LRB_TROUBLE_PLAIN,      /* the key would be shown */
    LRB_TROUBLE_UNTRUSTED,  /* nobody that is trusted vouches for it */
    LRB_TROUBLE_TLS,        /* it speaks no TLS, or the line broke in the midst of it */
    LRB_TROUBLE_OWN_FILES,  /* the certificates named here cannot be used */
    LRB_TROUBLE_NO_HTTP,    /* what it answers is none */
    LRB_TROUBLE_UNREACHED,  /* there is no connection, or it ended */
    LRB_TROUBLE_CANCELLED,
    LRB_TROUBLE_HERE        /* this program cannot go on: the error says why */
} lrb_trouble;

typedef struct lrb_answered { /* texts and bytes live as long as the request */
    lrb_trouble trouble;
    const char *text; /* of a trouble: what the system or libcurl says; else the reason of the status line */
    long verify;      /* of LRB_TROUBLE_UNTRUSTED: X509_V_ERR_* */
    long status;
    const char *date, *retry_after; /* headers; "": none */
    const uint8_t *body;
    size_t body_bytes;
    bool is_too_long;  /* the answer is longer than the ceiling, and not here */
    uint64_t offset;   /* of an object: of the part that was answered last, and its length */
    size_t part_bytes;
} lrb_answered;

int lrb_client_start(lrb_client **out, lrb_err *err);
void lrb_client_stop(lrb_client *client);   /* cancels what is under way, joins the thread; lrb_client_next goes on */
void lrb_client_free(lrb_client *client);   /* stopped before; NULL: nothing */
void lrb_client_forget(lrb_client *client); /* in a forked child: closes its copy of the descriptor; those of connections end with it */
int lrb_client_fd(const lrb_client *client);

/* `owner` is the caller's. */
int lrb_request_new(const lrb_asked *asked, void *owner, lrb_request **out, lrb_err *err);
void lrb_request_free(lrb_request *request); /* it never began, or is over; NULL: nothing */
void *lrb_request_owner(const lrb_request *request);

bool lrb_client_begin(lrb_client *client, lrb_request *request); /* false: it was stopped. A request begins once */
void lrb_client_cancel(lrb_client *client, lrb_request *request); /* it began */
/* A request there is news of; *is_over: it is the caller's again. NULL: none. */
lrb_request *lrb_client_next(lrb_client *client, bool *is_over);

/* How many bytes of bodies were handed on so far; of an object also up to where the other side said it has it. */
void lrb_request_look(const lrb_request *request, uint64_t *sent_bytes, uint64_t *reached);
/* Of one that is over. The code of LRB_TROUBLE_HERE, with `err`; else LRB_OK. */
int lrb_request_answer(const lrb_request *request, lrb_answered *out, lrb_err *err);

#endif
