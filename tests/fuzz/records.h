/* Records that were read, written again: what the targets of records and bodies share. */
#ifndef LRB_TESTS_FUZZ_RECORDS_H
#define LRB_TESTS_FUZZ_RECORDS_H

#include "fuzz.h"
#include "repo/record.h"

/* Reasons and skipped names are written from C strings: false for a reason that is none. */
static inline bool record_can_be_written(const lrb_body_record *record) {
    return record->type != LRB_BODY_SKIPPED || !record->reason_length ||
           !memchr(record->reason, 0, record->reason_length);
}

/* The name and the reason of a skipped record, each terminated; the caller frees the name. */
static inline char *record_skipped_texts(const lrb_body_record *record, char **reason) {
    char *name = lrb_alloc(record->skipped_length + record->reason_length + 2);
    MUST(name);
    *reason = name + record->skipped_length + 1;
    memcpy(name, record->skipped, record->skipped_length);
    name[record->skipped_length] = '\0';
    if (record->reason_length) memcpy(*reason, record->reason, record->reason_length);
    (*reason)[record->reason_length] = '\0';
    return name;
}

/* Appends the record: a writer refuses nothing that a reader accepts. */
static inline void record_write(lrb_buf *out, const lrb_body_record *record) {
    char *name, *reason;
    lrb_err err;
    switch (record->type) {
    case LRB_BODY_FACTS: MUST_OK(lrb_record_put_facts(out, record->facts, record->facts_length, &err)); return;
    case LRB_BODY_ITEM: MUST_OK(lrb_record_put_item(out, &record->item, &err)); return;
    case LRB_BODY_SKIPPED:
        name = record_skipped_texts(record, &reason);
        MUST_OK(lrb_record_put_skipped(out, name, reason, &err));
        lrb_free(name);
        return;
    }
    MUST(!"a record of an unknown type was accepted");
}

#endif
