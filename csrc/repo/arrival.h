/* An object that comes in parts from somebody who need not be believed: a file grows, one part behind the other, until
 * the whole is what its name says.
 *
 * A part is written only once it has come as a whole, so the length of the file says how much is there, also after the
 * process was killed. The file is locked while a part is put down: others of this process and of other ones may bring
 * parts of the same object. An lrb_arrival is what one of them remembers from part to part: the SHA-256 of what it wrote
 * itself. By the file's identity it tells whether somebody else wrote meanwhile; then the whole is read in the end. No
 * descriptor stays open between two parts.
 */
#ifndef LRB_REPO_ARRIVAL_H
#define LRB_REPO_ARRIVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct lrb_arrival lrb_arrival; /* for one thread at a time */

typedef struct lrb_arrival_part {
    const char *path, *home;   /* where the file grows, and where the object goes in the end; "": nowhere */
    const uint8_t *sha256;     /* of the whole, LRB_DIGEST_BYTES */
    uint64_t size, offset;     /* of the whole, and where this part begins */
    const void *bytes;         /* past the page cache where they begin at a page */
    size_t count;
    bool has_sum;
    uint32_t sum;              /* the Adler-32 of the bytes as they were sent */
} lrb_arrival_part;

typedef enum lrb_arrival_outcome {
    LRB_ARRIVAL_MORE,    /* the rest is to come */
    LRB_ARRIVAL_WHOLE,   /* all of it is here, and is what its name says */
    LRB_ARRIVAL_HOME,    /* it was at home before; nothing was done */
    LRB_ARRIVAL_FLIPPED, /* the part is not what its sum says; nothing was done */
    LRB_ARRIVAL_GAP,     /* it begins behind what is there; nothing was done */
    LRB_ARRIVAL_WRONG    /* all of it was here and was something else; it was thrown away */
} lrb_arrival_outcome;

typedef struct lrb_arrival_end {
    lrb_arrival_outcome outcome;
    uint64_t held; /* how much of the object is here now; 0 of FLIPPED */
    int fd;        /* of WHOLE: the file, locked; the caller closes it. Else -1 */
} lrb_arrival_end;

int lrb_arrival_new(lrb_arrival **out, lrb_err *err);
void lrb_arrival_free(lrb_arrival *arrival); /* NULL: nothing; the file stays */

/* Puts a part behind what is there, unless it is there already. Of a part that fails nothing is kept that was not whole. */
int lrb_arrival_take(lrb_arrival *arrival, const lrb_arrival_part *part, lrb_arrival_end *out, lrb_err *err);

/* The same of a part that goes on where this one stopped, in the file as it left it, and is not the object's last. False:
 * it is not so, or something went wrong. Nothing was done, and lrb_arrival_take does it or says what is wrong. */
bool lrb_arrival_follow(lrb_arrival *arrival, const lrb_arrival_part *part);

const char *lrb_arrival_outcome_name(lrb_arrival_outcome outcome); /* "more", "whole", ... */

#endif
