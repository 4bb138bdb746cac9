/* Which fields a payload may and must have: checked once, in one place, before anything of it is believed.
 *
 * Entry payloads and the records nested in them are fields (field.h). A shape says which tags may appear once, which
 * may repeat and which must be there. Tags of a shape are below 64, so that sets of them are bits of one number.
 * After a payload has passed, its reader walks it with lrb_field_next and meets only tags it knows, and optional ones
 * (LRB_FIELD_OPTIONAL) that it passes over. Pure functions over borrowed bytes; no memory of their own.
 */
#ifndef LRB_REPO_PAYLOAD_H
#define LRB_REPO_PAYLOAD_H

#include "repo/field.h"

#define LRB_FIELD_BIT(tag) (UINT64_C(1) << (tag))

typedef struct lrb_shape {
    uint64_t once, many, required; /* sets of LRB_FIELD_BIT; required is a subset of the other two together */
} lrb_shape;

/* UNSUPPORTED names a tag outside the shape; DAMAGED says which field is missing, repeated or cut off. `label` names
 * the object. */
int lrb_payload_check(const void *bytes, size_t count, const lrb_shape *shape, const char *label, lrb_err *err);

/* The value of a text field into out[room], NUL-terminated: DAMAGED when it is empty, holds a control character or does
 * not fit. */
int lrb_payload_text(const lrb_field *field, char *out, size_t room, const char *label, lrb_err *err);

/* DAMAGED: field `tag` has not the length or value it must have. */
int lrb_payload_refuse(unsigned tag, const char *label, lrb_err *err);

#endif
