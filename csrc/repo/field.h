/* Tagged fields: the shape of everything in entry payloads and body records.
 *
 *   tag u16 | length u32 | value[length]      repeated to the end
 *
 * Tags are numbers of field.def, never reused. Bit 15 marks a field a reader may skip when it does not know it; any
 * other unknown tag is refused (UNSUPPORTED, naming the number). A tag appears once unless its reader says otherwise.
 */
#ifndef LRB_REPO_FIELD_H
#define LRB_REPO_FIELD_H

#include "base/buf.h"
#include "base/wire.h"

enum { LRB_FIELD_OPTIONAL = 0x8000 };

typedef enum lrb_field_tag {
    /* snapshot */
    LRB_F_SNAPSHOT_ID = 1,     /* text, "20261123T130112Z-1f3c9a2e" */
    LRB_F_CREATED_NS = 2,      /* i64, since 1970 UTC, claimed by the writer */
    LRB_F_SIZE_BYTES = 3,      /* u64, sum of the items */
    LRB_F_DATA_HASH = 4,       /* 32 bytes */
    LRB_F_CONSISTENCY = 5,     /* text: quiesced, gated, settled, unfenced, validated, crash, plain */
    LRB_F_VERDICT = 6,         /* text; absent: not validated */
    LRB_F_RETENTION_DAYS = 7,  /* u32; 0: keep forever */
    LRB_F_BODY_ROOT = 8,       /* one recipe row, 40 bytes */
    LRB_F_ITEM_COUNT = 9,      /* u64 */
    LRB_F_METADATA = 10,       /* JSON object, UTF-8, at most 16 KiB */
    LRB_F_SAFETY = 11,         /* u8 1: taken before a restore */
    /* hold, release, drop */
    LRB_F_SNAPSHOT_REF = 16,   /* text, a snapshot id; repeated in drop */
    LRB_F_HOLDER = 17,         /* text, who holds: "user", "recovery:<id>" */
    LRB_F_REASON = 18,         /* text */
    /* retire, unretire, sweep, damaged, repack */
    LRB_F_PACK_REF = 24,       /* 32 bytes, repeated */
    /* checkpoint: nested fields */
    LRB_F_CHECKPOINT_FLOOR = 32,    /* u64: entries below this number may be absent */
    LRB_F_CHECKPOINT_SNAPSHOT = 33, /* nested: LRB_F_ENTRY_NUMBER, LRB_F_STORED_BYTES, LRB_F_HOLDER..., and those of a
                                       snapshot */
    LRB_F_CHECKPOINT_PACK = 34,     /* id[32] | size u64 | status u8 | zero[7] | since entry u64 | since time i64 */
    LRB_F_ENTRY_NUMBER = 35,        /* u64 */
    LRB_F_STORED_BYTES = 36,        /* u64 */
    /* body records */
    LRB_F_NAME = 48,           /* item name */
    LRB_F_TYPE = 49,           /* u8, lrb_file_type */
    LRB_F_MODE = 50,           /* u32 */
    LRB_F_MTIME_NS = 51,       /* i64 */
    LRB_F_SHA256 = 52,         /* 32 bytes, of the original bytes */
    LRB_F_ROOT = 53,           /* one recipe row, 40 bytes */
    LRB_F_LINK_TARGET = 54,    /* a symlink's text */
    /* records of recovery points */
    LRB_F_DOCUMENT = 64        /* JSON object, UTF-8, at most 1 MiB */
} lrb_field_tag;

int lrb_field_put(lrb_buf *out, uint16_t tag, const void *value, size_t count, lrb_err *err);
int lrb_field_put_text(lrb_buf *out, uint16_t tag, const char *text, lrb_err *err);
int lrb_field_put_u32(lrb_buf *out, uint16_t tag, uint32_t value, lrb_err *err);
int lrb_field_put_u64(lrb_buf *out, uint16_t tag, uint64_t value, lrb_err *err);

typedef struct lrb_field {
    uint16_t tag;
    lrb_view value;
} lrb_field;

/* Takes the next field off `view`: true, or false at the end and when the bytes do not fit (then view->bad). */
bool lrb_field_next(lrb_view *view, lrb_field *field);
/* Fixed-width values: false when the length is another. */
bool lrb_field_u32(const lrb_field *field, uint32_t *value);
bool lrb_field_u64(const lrb_field *field, uint64_t *value);
bool lrb_field_fixed(const lrb_field *field, void *into, size_t count);

#endif
