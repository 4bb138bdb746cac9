/* Records: what a snapshot's body is made of, one at a time and as bytes. Their order is sequence.h's matter, cutting
 * them into chunks body.h's.
 *
 *   record: type u8 | zero[3] | length u32 | value[length]
 *
 *   FACTS    one JSON object (LightRAG version, counts, source, and the like)
 *   ITEM     fields LRB_F_NAME, TYPE, MODE, MTIME_NS; for files also SIZE_BYTES, SHA256, ROOT; for symlinks SIZE_BYTES,
 *            SHA256 (of the target's text), LINK_TARGET
 *   SKIPPED  fields LRB_F_NAME, LRB_F_REASON
 *
 * Encoding and parsing refuse the same things: names that are none (path.h), more than permission bits, a root that
 * does not fit type and size. Nothing here allocates but the writer's buffer.
 */
#ifndef LRB_REPO_RECORD_H
#define LRB_REPO_RECORD_H

#include "base/fs.h"
#include "base/wire.h"
#include "repo/recipe.h"

typedef enum lrb_body_type { LRB_BODY_FACTS = 1, LRB_BODY_ITEM = 2, LRB_BODY_SKIPPED = 3 } lrb_body_type;
enum { LRB_RECORD_HEAD_BYTES = 8, LRB_RECORD_MAX_BYTES = 1 << 20 /* the value */, LRB_FACTS_MAX_BYTES = 1 << 20 };

typedef struct lrb_body_item {
    const char *name;          /* borrowed, name_length bytes, no NUL inside */
    size_t name_length;
    lrb_file_type type;
    uint32_t mode;
    int64_t mtime_ns;
    uint64_t size_bytes;       /* 0 for directories; of the target's text for symlinks */
    uint8_t sha256[32];
    lrb_row root;              /* NONE for empty files and all that are no files */
    const char *link_target;   /* borrowed; symlinks only */
    size_t link_target_length;
} lrb_body_item;

/* One record of any type; members of the other types are zero. The pointers lead into the bytes it was parsed from. */
typedef struct lrb_body_record {
    lrb_body_type type;
    lrb_body_item item;
    const char *facts;  size_t facts_length;
    const char *skipped; size_t skipped_length;
    const char *reason; size_t reason_length;
} lrb_body_record;

/* Appends one whole record. INVALID names the item and what cannot be, LIMIT for a value above its ceiling. A failure
 * leaves the buffer as it was. */
int lrb_record_put_facts(lrb_buf *out, const char *json, size_t count, lrb_err *err);
int lrb_record_put_item(lrb_buf *out, const lrb_body_item *item, lrb_err *err);
int lrb_record_put_skipped(lrb_buf *out, const char *name, const char *reason, lrb_err *err);

/* Takes one record off `bytes`, which are not empty. DAMAGED for what no writer makes; UNSUPPORTED for a type or field
 * this build does not know. `label` names the object in errors. */
int lrb_record_parse(lrb_view *bytes, const char *label, lrb_body_record *record, lrb_err *err);

#endif
