/* The journal of a publish: a list of steps in one small file that is either whole or not there.
 *
 *   0 "lrbjrnl1" | 8 version u16 | 10 zero[6] | 16 rows u32 | 20 zero[4]
 *   rows x (op u8 | zero u8 | name length u16 | mode u32 | mtime i64 (ns since 1970) | name)
 *   SHA-256 of all before[32]
 *
 * mode and mtime belong to DIRECTORY rows and are zero in others. A journal is written beside its name, fsynced,
 * renamed and its directory fsynced: a reader never sees a part of one, so a bad one was damaged afterwards. Every
 * name read back has passed lrb_name_valid, so it cannot lead out of the directory it is used in.
 */
#ifndef LRB_ENGINE_JOURNAL_H
#define LRB_ENGINE_JOURNAL_H

#include "base/buf.h"
#include "engine/tree.h"

enum {
    LRB_JOURNAL_VERSION = 1,
    LRB_JOURNAL_HEADER_BYTES = 24,
    LRB_JOURNAL_ROW_BYTES = 16,
    LRB_JOURNAL_MAX_BYTES = 256 << 20
};

typedef enum lrb_journal_op {
    LRB_JOURNAL_PUT = 1,       /* a staged file or link takes its place */
    LRB_JOURNAL_REMOVE = 2,    /* taken away; a directory only when it is empty by then */
    LRB_JOURNAL_DIRECTORY = 3, /* a directory item: made when missing, mode and mtime set at the end */
    LRB_JOURNAL_PARENT = 4,    /* a directory that is no item but holds some: made when missing */
    LRB_JOURNAL_ASIDE = 5      /* where an exchange left the old directory: a name beside the target */
} lrb_journal_op;

typedef struct lrb_journal_row {
    lrb_journal_op op;
    uint32_t mode;
    int64_t mtime_ns;
} lrb_journal_row;

typedef struct lrb_journal {
    size_t count;
    lrb_journal_row *rows;
    const char **names;  /* one per row; they live in `bytes` */
    uint8_t *bytes;
} lrb_journal;

/* ---- writing ---- */
int lrb_journal_begin(lrb_buf *bytes, lrb_err *err); /* initialises the buffer; the caller clears it */
int lrb_journal_add(lrb_buf *bytes, lrb_journal_op op, const char *name, size_t length, uint32_t mode, int64_t mtime_ns,
                    lrb_err *err);
/* Appends the digest and makes dir/name durable. Nothing may be added afterwards. */
int lrb_journal_save(lrb_buf *bytes, int dir, const char *name, lrb_err *err);

/* ---- reading ---- */
/* NOT_FOUND, DAMAGED, UNSUPPORTED (a newer version); the errors name `label`. */
int lrb_journal_load(int dir, const char *name, const char *label, lrb_journal *out, lrb_err *err);
/* Takes over `bytes` (from lrb_alloc), also on failure. */
int lrb_journal_parse(uint8_t *bytes, size_t count, const char *label, lrb_journal *out, lrb_err *err);
void lrb_journal_clear(lrb_journal *journal);
/* The names of the first unbroken run of rows with this op. */
lrb_names lrb_journal_names(const lrb_journal *journal, lrb_journal_op op);

#endif
