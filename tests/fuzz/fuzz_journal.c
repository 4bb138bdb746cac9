/* Journals of a publish: every name stays inside, and what is accepted is written again as the same bytes. */
#include "engine/journal.h"
#include "fuzz.h"

static void write_again(const lrb_journal *journal, const uint8_t *bytes, size_t size) {
    lrb_buf out;
    lrb_err err;
    MUST_OK(lrb_journal_begin(&out, &err));
    for (size_t i = 0; i < journal->count; i++) {
        const lrb_journal_row *row = &journal->rows[i];
        MUST(lrb_name_valid(journal->names[i], strlen(journal->names[i])));
        MUST_OK(lrb_journal_add(&out, row->op, journal->names[i], strlen(journal->names[i]), row->mode, row->mtime_ns,
                                &err));
    }
    MUST(out.length + LRB_DIGEST_BYTES == size && !memcmp(out.data, bytes, out.length));
    lrb_buf_clear(&out);
}

static void look_at_runs(const lrb_journal *journal) {
    for (int op = LRB_JOURNAL_PUT; op <= LRB_JOURNAL_ASIDE; op++) {
        lrb_names names = lrb_journal_names(journal, (lrb_journal_op)op);
        if (!names.count) continue;
        size_t first = (size_t)(names.at - journal->names);
        MUST(first + names.count <= journal->count);
        for (size_t i = 0; i < names.count; i++) MUST(journal->rows[first + i].op == (lrb_journal_op)op);
    }
}

/* input: a journal; its digest is put right */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *bytes = fuzz_copy(data, size);
    lrb_journal journal;
    lrb_err err;
    fuzz_seal(bytes, size);
    int code = lrb_journal_parse(fuzz_copy(bytes, size), size, "journal", &journal, &err);
    must_be_an_answer(code, &err);
    if (!code) {
        write_again(&journal, bytes, size);
        look_at_runs(&journal);
        lrb_journal_clear(&journal);
    }
    lrb_free(bytes);
    return 0;
}
