#include "repo/payload.h"

enum { SHAPE_TAGS = 64 };

int lrb_payload_refuse(unsigned tag, const char *label, lrb_err *err) {
    return lrb_err_set(err, LRB_E_DAMAGED, "parse", label, "field %u has not the length or value it must have", tag);
}

static int check_tag(unsigned tag, const lrb_shape *shape, uint64_t *seen, const char *label, lrb_err *err) {
    uint64_t bit = tag < SHAPE_TAGS ? LRB_FIELD_BIT(tag) : 0;
    if (!(bit & (shape->once | shape->many))) {
        if (tag & LRB_FIELD_OPTIONAL) return LRB_OK;
        return lrb_err_set(err, LRB_E_UNSUPPORTED, "parse", label, "field %u is not known to this build here", tag);
    }
    if (bit & shape->once & *seen)
        return lrb_err_set(err, LRB_E_DAMAGED, "parse", label, "field %u appears twice", tag);
    *seen |= bit;
    return LRB_OK;
}

int lrb_payload_check(const void *bytes, size_t count, const lrb_shape *shape, const char *label, lrb_err *err) {
    lrb_view view = lrb_view_of(bytes, count);
    lrb_field field;
    uint64_t seen = 0;
    while (lrb_field_next(&view, &field)) {
        int code = check_tag(field.tag, shape, &seen, label, err);
        if (code) return code;
    }
    if (view.bad) return lrb_err_set(err, LRB_E_DAMAGED, "parse", label, "a field runs over the end of its payload");
    uint64_t missing = shape->required & ~seen;
    if (missing)
        return lrb_err_set(err, LRB_E_DAMAGED, "parse", label, "field %d is missing", __builtin_ctzll(missing));
    return LRB_OK;
}

int lrb_payload_text(const lrb_field *field, char *out, size_t room, const char *label, lrb_err *err) {
    size_t length = field->value.left;
    if (!length || length >= room) return lrb_payload_refuse(field->tag, label, err);
    for (size_t i = 0; i < length; i++)
        if (field->value.at[i] < 0x20 || field->value.at[i] == 0x7f) return lrb_payload_refuse(field->tag, label, err);
    memcpy(out, field->value.at, length);
    out[length] = 0;
    return LRB_OK;
}
