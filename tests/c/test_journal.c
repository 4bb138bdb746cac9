#include "engine/journal.h"

#include "base/mem.h"
#include "base/wire.h"
#include "check.h"
#include "codec/digest.h"
#include "scratch.h"

static lrb_err err;

static int sample(lrb_buf *bytes) {
    int code = lrb_journal_begin(bytes, &err);
    if (!code) code = lrb_journal_add(bytes, LRB_JOURNAL_REMOVE, "old/x", 5, 0, 0, &err);
    if (!code) code = lrb_journal_add(bytes, LRB_JOURNAL_DIRECTORY, "d", 1, 0751, -5, &err);
    if (!code) code = lrb_journal_add(bytes, LRB_JOURNAL_PUT, "d/name and more", 6, 0, 0, &err);
    if (!code) code = lrb_journal_add(bytes, LRB_JOURNAL_PUT, "e", 1, 0, 0, &err);
    return code;
}

/* The sample with its digest, as a file would hold it. */
static void sealed(lrb_buf *bytes) {
    uint8_t digest[LRB_DIGEST_BYTES];
    if (sample(bytes) || lrb_sha256(bytes->data, bytes->length, digest, &err) ||
        lrb_buf_append(bytes, digest, sizeof digest, &err))
        exit(2);
}

static void reseal(lrb_buf *bytes) {
    if (lrb_sha256(bytes->data, bytes->length - LRB_DIGEST_BYTES, bytes->data + bytes->length - LRB_DIGEST_BYTES, &err))
        exit(2);
}

static int parse(const lrb_buf *bytes, size_t count, lrb_journal *journal) {
    uint8_t *copy = lrb_alloc(count);
    if (!copy) return lrb_err_nomem(&err, "test");
    memcpy(copy, bytes->data, count);
    return lrb_journal_parse(copy, count, "journal", journal, &err);
}

TEST(comes_back_as_written) {
    scratch s;
    lrb_buf bytes;
    lrb_journal journal;
    int dir;
    scratch_open(&s);
    CHECK_OK(lrb_fs_open_dir(AT_FDCWD, s.root, &dir, &err));
    CHECK_OK(sample(&bytes));
    CHECK_OK(lrb_journal_save(&bytes, dir, "journal", &err));
    CHECK_OK(lrb_journal_load(dir, "journal", "journal", &journal, &err));
    CHECK(journal.count == 4);
    CHECK(journal.rows[1].op == LRB_JOURNAL_DIRECTORY && journal.rows[1].mode == 0751 &&
          journal.rows[1].mtime_ns == -5);
    CHECK(!strcmp(journal.names[0], "old/x") && !strcmp(journal.names[2], "d/name") && !strcmp(journal.names[3], "e"));
    lrb_names puts = lrb_journal_names(&journal, LRB_JOURNAL_PUT),
              none = lrb_journal_names(&journal, LRB_JOURNAL_ASIDE);
    CHECK(puts.count == 2 && puts.at[1] == journal.names[3] && none.count == 0);
    lrb_journal_clear(&journal);
    lrb_buf_clear(&bytes);
    close(dir);
    scratch_close(&s);
}

TEST(an_empty_one_is_a_journal) {
    lrb_buf bytes;
    lrb_journal journal;
    uint8_t digest[LRB_DIGEST_BYTES] = {0};
    CHECK_OK(lrb_journal_begin(&bytes, &err));
    CHECK_OK(lrb_buf_append(&bytes, digest, sizeof digest, &err));
    reseal(&bytes);
    CHECK_OK(parse(&bytes, bytes.length, &journal));
    CHECK(journal.count == 0);
    lrb_journal_clear(&journal);
    lrb_buf_clear(&bytes);
}

TEST(refuses_names_that_lead_elsewhere) {
    lrb_buf bytes;
    CHECK_OK(lrb_journal_begin(&bytes, &err));
    CHECK_FAILS(lrb_journal_add(&bytes, LRB_JOURNAL_PUT, "../x", 4, 0, 0, &err), LRB_E_INVALID);
    lrb_buf_clear(&bytes);
    sealed(&bytes);
    memcpy(bytes.data + LRB_JOURNAL_HEADER_BYTES + LRB_JOURNAL_ROW_BYTES, "../xy", 5);
    reseal(&bytes);
    lrb_journal journal;
    CHECK_FAILS(parse(&bytes, bytes.length, &journal), LRB_E_DAMAGED);
    lrb_buf_clear(&bytes);
}

TEST(refuses_what_is_cut_or_flipped_anywhere) {
    lrb_buf bytes;
    lrb_journal journal;
    sealed(&bytes);
    for (size_t count = 0; count < bytes.length; count++) CHECK_FAILS(parse(&bytes, count, &journal), LRB_E_DAMAGED);
    for (size_t i = 0; i < bytes.length; i++) {
        bytes.data[i] ^= 0x20;
        int code = parse(&bytes, bytes.length, &journal);
        CHECK(code == LRB_E_DAMAGED || (code == LRB_E_UNSUPPORTED && (i == 8 || i == 9)));
        bytes.data[i] ^= 0x20;
    }
    lrb_buf_clear(&bytes);
}

/* Behind a digest that is right, as a hostile writer would make it. */
TEST(survives_any_byte_behind_a_good_digest) {
    lrb_buf bytes;
    lrb_journal journal;
    sealed(&bytes);
    for (size_t i = 0; i < bytes.length - LRB_DIGEST_BYTES; i++)
        for (int value = 0; value < 256; value += 5) {
            uint8_t was = bytes.data[i];
            bytes.data[i] = (uint8_t)value;
            reseal(&bytes);
            int code = parse(&bytes, bytes.length, &journal);
            CHECK(!code || code == LRB_E_DAMAGED || code == LRB_E_UNSUPPORTED);
            if (!code) lrb_journal_clear(&journal);
            bytes.data[i] = was;
        }
    lrb_buf_clear(&bytes);
}

TEST(an_absurd_row_count_asks_for_no_memory) {
    lrb_buf bytes;
    lrb_journal journal;
    sealed(&bytes);
    lrb_put_u32(bytes.data + 16, UINT32_MAX);
    reseal(&bytes);
    CHECK_FAILS(parse(&bytes, bytes.length, &journal), LRB_E_DAMAGED);
    lrb_buf_clear(&bytes);
}

static int save_and_load(int dir) {
    lrb_buf bytes;
    lrb_journal journal;
    int code = sample(&bytes);
    if (!code) code = lrb_journal_save(&bytes, dir, "journal", &err);
    lrb_buf_clear(&bytes);
    if (!code) code = lrb_journal_load(dir, "journal", "journal", &journal, &err);
    if (!code) lrb_journal_clear(&journal);
    return code;
}

TEST(survives_every_failed_allocation) {
    scratch s;
    int dir, code = LRB_E_NOMEM, failed = 0;
    scratch_open(&s);
    CHECK_OK(lrb_fs_open_dir(AT_FDCWD, s.root, &dir, &err));
    for (; code == LRB_E_NOMEM; failed++) {
        lrb_mem_fail_after(failed, false);
        code = save_and_load(dir);
        lrb_mem_fail_after(-1, false);
    }
    CHECK(code == LRB_OK && failed > 3);
    close(dir);
    scratch_close(&s);
}

int main(void) {
    RUN(comes_back_as_written);
    RUN(an_empty_one_is_a_journal);
    RUN(refuses_names_that_lead_elsewhere);
    RUN(refuses_what_is_cut_or_flipped_anywhere);
    RUN(survives_any_byte_behind_a_good_digest);
    RUN(an_absurd_row_count_asks_for_no_memory);
    RUN(survives_every_failed_allocation);
    return check_report();
}
