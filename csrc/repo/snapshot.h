/* One snapshot as the log knows it: what a listing shows and where the body begins.
 *
 * The payload of a snapshot entry is fields (field.h): id, creation time, size, data hash, consistency, retention days,
 * body root and item count always; verdict, metadata and the safety mark where they apply. The entry's number, the
 * bytes its run stored and who holds it are not in the payload: they follow from the log.
 *
 * A decoded snapshot owns `metadata` and `holders` (lrb_snapshot_clear). Not shared between threads without a lock of
 * its owner. Metadata is text to this module: whether it is JSON and valid UTF-8 is its reader's business.
 */
#ifndef LRB_REPO_SNAPSHOT_H
#define LRB_REPO_SNAPSHOT_H

#include "repo/payload.h"
#include "repo/recipe.h"

enum { LRB_SNAPSHOT_ID_MAX = 40, LRB_WORD_MAX = 32, LRB_HOLDER_MAX = 192, LRB_METADATA_MAX_BYTES = 16 << 10 };

typedef struct lrb_snapshot {
    char id[LRB_SNAPSHOT_ID_MAX];  /* 1 to 39 letters, digits, '-', '_', '.' */
    uint64_t number;               /* its entry */
    int64_t created_ns;
    uint64_t size_bytes, stored_bytes, item_count; /* stored: packs of its run + the entry itself */
    lrb_id data_hash;
    char consistency[LRB_WORD_MAX], verdict[LRB_WORD_MAX]; /* lower-case words; verdict "" when not validated */
    uint32_t retention_days;
    bool safety;
    lrb_row body_root;
    char *metadata;                /* JSON, NUL-terminated, owned by the state; "{}" when empty */
    char **holders;                /* owned */
    uint32_t holder_count;
} lrb_snapshot;

bool lrb_snapshot_id_valid(const char *id);

/* Payload of a snapshot entry, appended to `payload`: INVALID for what lrb_snapshot_decode would refuse. NULL metadata
 * is "{}". */
int lrb_snapshot_encode(const lrb_snapshot *snapshot, lrb_buf *payload, lrb_err *err);

/* The shape of that payload; nested in a checkpoint it has more fields, which decoding passes over. */
extern const lrb_shape lrb_snapshot_shape;

/* Reads a payload that has passed lrb_payload_check; on failure there is nothing to clear. */
int lrb_snapshot_decode(const uint8_t *bytes, size_t count, const char *label, lrb_snapshot *snapshot, lrb_err *err);
void lrb_snapshot_clear(lrb_snapshot *snapshot);

/* Holders are a set of texts of at most LRB_HOLDER_MAX - 1 bytes: twice is once, and an unknown one is gone already. */
int lrb_snapshot_hold(lrb_snapshot *snapshot, const char *holder, lrb_err *err);
void lrb_snapshot_release(lrb_snapshot *snapshot, const char *holder);

#endif
