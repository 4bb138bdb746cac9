/* What lists add up to: every order that readers take and every other, sums, levels, and how tallies are kept. */
#include "engine/tally.h"

#include <stdlib.h>

#include "base/mem.h"
#include "check.h"

static const lrb_chunk_kind kinds[] = {LRB_CHUNK_RAW, LRB_CHUNK_CORRECTIONS, LRB_CHUNK_TEXT, LRB_CHUNK_VECTORS, LRB_CHUNK_PAYLOAD};

/* Of a row of 10, and a chunk as it says. */
static lrb_tally of(lrb_chunk_kind kind) {
    lrb_row row = {.kind = kind, .count = 10};
    lrb_copy chunk = {.kind = kind, .content_length = 10};
    lrb_vdb_frame frame = {.rows = 10, .dim = 3, .middle_bytes = 5, .end_bytes = 2};
    return kind == LRB_CHUNK_FRAME ? lrb_tally_of_frame(&frame) : lrb_tally_of_row(&row, &chunk);
}

/* Of rows of these kinds: F, C, T, V and R. */
static lrb_tally list(const char *parts) {
    lrb_tally all = {0};
    for (; *parts; parts++) {
        lrb_tally one = of(*parts == 'F'   ? LRB_CHUNK_FRAME
                           : *parts == 'C' ? LRB_CHUNK_CORRECTIONS
                           : *parts == 'T' ? LRB_CHUNK_TEXT
                           : *parts == 'V' ? LRB_CHUNK_VECTORS
                                           : LRB_CHUNK_RAW);
        lrb_tally_join(&all, &one);
    }
    return all;
}

enum { FRAME_BYTES = 160 + 5 + 2 }; /* 10 rows of 3 are 120 bytes */

TEST(files_are_what_adds_up_in_order) {
    lrb_tally t = list("R");
    CHECK(lrb_tally_makes_file(&t, 10) && !lrb_tally_makes_file(&t, 11));
    t = list("RRR");
    CHECK(lrb_tally_makes_file(&t, 30) && !lrb_tally_makes_file(&t, 20));
    t = list("FCTV");
    CHECK(lrb_tally_makes_file(&t, FRAME_BYTES + 10) && !lrb_tally_makes_file(&t, FRAME_BYTES));
    const char *wrong[] = {"", "C", "T", "V", "F", "FC", "FT", "FV", "FTV", "FCT", "FCV", "FCVT", "FTCV", "CFTV", "FCTVR", "RFCTV", "FCCTV", "FCTVV", "FFCTV", "RV"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        t = list(wrong[i]);
        for (uint64_t size = 0; size < 400; size++)
            if (lrb_tally_makes_file(&t, size)) printf("%s makes a file of %d\n", wrong[i], (int)size), exit(1);
    }
}

TEST(a_row_must_be_what_its_chunk_is) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            lrb_row row = {.kind = kinds[i], .count = 10};
            lrb_copy chunk = {.kind = kinds[k], .content_length = 10};
            bool fits = i == k && kinds[i] != LRB_CHUNK_PAYLOAD;
            CHECK(lrb_tally_of_row(&row, &chunk).flaw == (fits ? LRB_FLAW_NONE : LRB_FLAW_KIND));
            row.count = 0;
            if (fits) CHECK(lrb_tally_of_row(&row, &chunk).flaw == LRB_FLAW_LENGTH);
        }
    lrb_row row = {.kind = LRB_CHUNK_RAW, .count = 10}, text = {.kind = LRB_CHUNK_TEXT, .count = UINT32_MAX};
    CHECK(lrb_tally_of_row(&row, &(lrb_copy){.kind = row.kind, .content_length = 9}).flaw == LRB_FLAW_LENGTH);
    CHECK(lrb_tally_of_row(&text, &(lrb_copy){.kind = text.kind, .content_length = 9}).flaw == LRB_FLAW_LENGTH);
    CHECK(lrb_tally_of_frame(NULL).flaw == LRB_FLAW_FRAME);
}

TEST(levels_are_equal_and_few) {
    lrb_tally low = of(LRB_CHUNK_RAW), high = low, both;
    lrb_tally_raise(&high);
    both = high;
    lrb_tally_join(&both, &high);
    CHECK(both.height == 1 && lrb_tally_makes_file(&both, 20));
    lrb_tally_join(&both, &low);
    CHECK(both.flaw == LRB_FLAW_LEVELS && !lrb_tally_makes_file(&both, 30));
    for (int i = 1; i < LRB_RECIPE_MAX_DEPTH; i++) lrb_tally_raise(&high);
    CHECK(lrb_tally_makes_file(&high, 10));
    lrb_tally_raise(&high);
    CHECK(!lrb_tally_makes_file(&high, 10));
}

TEST(sums_that_run_over_are_a_flaw) {
    lrb_tally t = {.first = LRB_PART_RAW, .last = LRB_PART_RAW, .bytes = UINT64_MAX}, one = of(LRB_CHUNK_RAW);
    lrb_tally_join(&t, &one);
    CHECK(t.flaw == LRB_FLAW_SIZE && !lrb_tally_makes_file(&t, t.bytes));
}

TEST(a_body_is_facts_and_items) {
    lrb_tally facts = {.first = LRB_PART_FACTS, .last = LRB_PART_FACTS}, item = {.first = LRB_PART_ITEM, .last = LRB_PART_ITEM, .items = 1, .bytes = 7};
    lrb_tally skipped = {.first = LRB_PART_SKIPPED, .last = LRB_PART_SKIPPED}, body = facts;
    CHECK(lrb_tally_makes_body(&body, 0, 0));
    lrb_tally_join(&body, &item);
    lrb_tally_join(&body, &item);
    lrb_tally_join(&body, &skipped);
    CHECK(lrb_tally_makes_body(&body, 2, 14) && !lrb_tally_makes_body(&body, 1, 14) && !lrb_tally_makes_body(&body, 2, 15));
    CHECK(!lrb_tally_makes_file(&body, 14) && !lrb_tally_makes_body(&item, 1, 7));
    lrb_tally_join(&body, &item);
    CHECK(body.flaw == LRB_FLAW_ORDER);
    body = facts;
    lrb_tally_join(&body, &facts);
    CHECK(!lrb_tally_makes_body(&body, 0, 0));
}

TEST(every_flaw_has_its_words) {
    char seen[8][200], file[200], body[200];
    lrb_tally t = list("R");
    lrb_tally_why_no_file(&t, 11, file, sizeof file);
    CHECK(strstr(file, "add up to 10 bytes, and its size is 11"));
    t = list("FCCTV");
    lrb_tally_why_no_file(&t, FRAME_BYTES + 10, file, sizeof file);
    CHECK(strstr(file, "10 rows, and its chunks have 10, with corrections for 20"));
    lrb_tally_why_no_body(&(lrb_tally){.first = LRB_PART_FACTS, .items = 1}, 2, 5, body, sizeof body);
    CHECK(strstr(body, "1 items of 0 bytes, and the log says 2 of 5"));
    for (int flaw = LRB_FLAW_NONE; flaw <= LRB_FLAW_ITEM; flaw++) {
        lrb_tally_why_no_file(&(lrb_tally){.flaw = (uint8_t)flaw}, 1, seen[flaw], sizeof seen[flaw]);
        lrb_tally_why_no_body(&(lrb_tally){.flaw = (uint8_t)flaw}, 1, 1, body, sizeof body);
        CHECK(strlen(body) > 30 && strlen(seen[flaw]) > 30);
        for (int i = 0; i < flaw; i++) CHECK(strcmp(seen[i], seen[flaw]));
    }
}

TEST(tallies_are_kept_by_place) {
    lrb_err err;
    lrb_tallies kept = {0};
    CHECK(!lrb_tallies_find(&kept, (lrb_place){0, 0}));
    for (uint32_t i = 0; i < 5000; i++) {
        lrb_tally t = {.first = LRB_PART_RAW, .bytes = i};
        CHECK_OK(lrb_tallies_keep(&kept, (lrb_place){i % 70, i / 70}, &t, &err));
    }
    CHECK_OK(lrb_tallies_keep(&kept, (lrb_place){0, 0}, &(lrb_tally){.first = LRB_PART_RAW, .bytes = 77}, &err));
    CHECK(kept.count == 5000 && kept.room >= 5000 && kept.room < 4 * 5000);
    for (uint32_t i = 1; i < 5000; i++) CHECK(lrb_tallies_find(&kept, (lrb_place){i % 70, i / 70})->bytes == i);
    CHECK(lrb_tallies_find(&kept, (lrb_place){0, 0})->bytes == 77 && !lrb_tallies_find(&kept, (lrb_place){70, 0}));
    lrb_tallies_clear(&kept);
}

TEST(every_failing_allocation_is_survived) {
    lrb_err err;
    lrb_tallies kept = {0};
    lrb_tally t = of(LRB_CHUNK_RAW);
    lrb_mem_fail_after(0, false);
    CHECK_FAILS(lrb_tallies_keep(&kept, (lrb_place){1, 1}, &t, &err), LRB_E_NOMEM);
    lrb_mem_fail_after(-1, false);
    uint32_t i = 0;
    for (int code = LRB_OK; i < 1000; i++) { /* what was kept stays */
        lrb_mem_fail_after(0, false);
        code = lrb_tallies_keep(&kept, (lrb_place){i, 0}, &t, &err);
        lrb_mem_fail_after(-1, false);
        if (code) CHECK_OK(lrb_tallies_keep(&kept, (lrb_place){i, 0}, &t, &err));
    }
    for (i = 0; i < 1000; i++) CHECK(lrb_tallies_find(&kept, (lrb_place){i, 0}));
    lrb_tallies_clear(&kept);
}

int main(void) {
    RUN(files_are_what_adds_up_in_order);
    RUN(a_row_must_be_what_its_chunk_is);
    RUN(levels_are_equal_and_few);
    RUN(sums_that_run_over_are_a_flaw);
    RUN(a_body_is_facts_and_items);
    RUN(every_flaw_has_its_words);
    RUN(tallies_are_kept_by_place);
    RUN(every_failing_allocation_is_survived);
    return check_report();
}
