#include "repo/sequence.h"

#include <string.h>

static void name_of(const lrb_body_record *record, const char **name, size_t *length) {
    bool item = record->type == LRB_BODY_ITEM;
    *name = item ? record->item.name : record->skipped;
    *length = item ? record->item.name_length : record->skipped_length;
}

static size_t common_length(const lrb_sequence *sequence, const char *name, size_t length) {
    size_t n = 0;
    while (n < sequence->length && n < length && sequence->name[n] == name[n]) n++;
    return n;
}

static bool comes_after(const lrb_sequence *sequence, const char *name, size_t length) {
    size_t common = common_length(sequence, name, length);
    if (common == sequence->length) return length > common;
    return common < length && (uint8_t)name[common] > (uint8_t)sequence->name[common];
}

static bool lies_below_leaf(const lrb_sequence *sequence, const char *name, size_t length) {
    size_t common = common_length(sequence, name, length);
    for (size_t n = 0; n <= common && n < length; n++)
        if (name[n] == '/' && sequence->leaf[n]) return true;
    return false;
}

const char *lrb_sequence_complaint(const lrb_sequence *sequence, const lrb_body_record *record) {
    const char *name;
    size_t length;
    if (record->type == LRB_BODY_FACTS) return sequence->last ? "came after other records" : NULL;
    if (!sequence->last) return "came before the facts";
    if (record->type < sequence->last) return "came after skipped names";
    if (record->type != sequence->last) return NULL;
    name_of(record, &name, &length);
    if (!comes_after(sequence, name, length)) return "came out of order or twice";
    if (record->type == LRB_BODY_ITEM && lies_below_leaf(sequence, name, length))
        return "lay below an item that is no directory";
    return NULL;
}

void lrb_sequence_note(lrb_sequence *sequence, const lrb_body_record *record) {
    const char *name = "";
    size_t length = 0;
    if (record->type != LRB_BODY_FACTS) name_of(record, &name, &length);
    size_t common = record->type == sequence->last ? common_length(sequence, name, length) : 0;
    memset(sequence->leaf + common + 1, 0, sequence->length - common);
    memcpy(sequence->name, name, length);
    sequence->length = length;
    sequence->leaf[length] = record->type == LRB_BODY_ITEM && record->item.type != LRB_FILE_DIRECTORY;
    sequence->last = record->type;
}
