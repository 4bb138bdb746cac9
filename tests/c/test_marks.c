/* Sets of chunk places. */
#include "engine/marks.h"

#include "base/mem.h"
#include "check.h"

static lrb_place at(uint32_t pack, uint32_t ordinal) { return (lrb_place){pack, ordinal}; }

TEST(an_empty_set_has_nothing) {
    lrb_marks marks;
    lrb_marks_init(&marks);
    CHECK(!lrb_marks_has(&marks, at(0, 0)) && !lrb_marks_has(&marks, at(UINT32_MAX, UINT32_MAX)));
    CHECK(!lrb_marks_touch(&marks, 0) && !lrb_marks_has_pack(&marks, 0));
    lrb_marks_clear(&marks);
}

TEST(only_what_was_added_is_in_the_set) {
    lrb_marks marks;
    lrb_err err;
    lrb_marks_init(&marks);
    for (uint32_t pack = 0; pack < 50; pack += 7)
        for (uint32_t ordinal = pack; ordinal < LRB_PACK_MAX_CHUNKS; ordinal += 997)
            CHECK_OK(lrb_marks_add(&marks, at(pack, ordinal), &err));
    for (uint32_t pack = 0; pack < 60; pack++) {
        bool marked = pack % 7 == 0 && pack < 50;
        CHECK(lrb_marks_touch(&marks, pack) == marked);
        for (uint32_t ordinal = 0; ordinal < LRB_PACK_MAX_CHUNKS; ordinal++)
            CHECK(lrb_marks_has(&marks, at(pack, ordinal)) ==
                  (marked && ordinal >= pack && (ordinal - pack) % 997 == 0));
    }
    lrb_marks_clear(&marks);
}

TEST(a_whole_pack_has_every_place) {
    lrb_marks marks;
    lrb_err err;
    lrb_marks_init(&marks);
    CHECK_OK(lrb_marks_add_pack(&marks, 3, &err));
    CHECK(lrb_marks_has(&marks, at(3, 0)) && lrb_marks_has(&marks, at(3, UINT32_MAX)));
    CHECK(!lrb_marks_has(&marks, at(2, 0)));
    CHECK(lrb_marks_touch(&marks, 3) && lrb_marks_has_pack(&marks, 3) && !lrb_marks_has_pack(&marks, 4));
    lrb_marks_clear(&marks);
}

TEST(places_no_pack_can_have_are_refused) {
    lrb_marks marks;
    lrb_err err;
    lrb_marks_init(&marks);
    CHECK_FAILS(lrb_marks_add(&marks, at(0, LRB_PACK_MAX_CHUNKS), &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_marks_add(&marks, at(LRB_NO_PACK, 0), &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_marks_add_pack(&marks, LRB_NO_PACK, &err), LRB_E_INVALID);
    lrb_marks_clear(&marks);
}

TEST(running_out_of_memory_changes_nothing) {
    lrb_err err;
    for (int64_t n = 0; n < 2; n++) {
        lrb_marks marks;
        lrb_marks_init(&marks);
        lrb_mem_fail_after(n, true);
        int code = lrb_marks_add(&marks, at(9, 500), &err);
        lrb_mem_fail_after(-1, false);
        CHECK(code == LRB_E_NOMEM && !lrb_marks_has(&marks, at(9, 500)) && !lrb_marks_touch(&marks, 9));
        CHECK_OK(lrb_marks_add(&marks, at(9, 500), &err));
        lrb_marks_clear(&marks);
    }
}

int main(void) {
    RUN(an_empty_set_has_nothing);
    RUN(only_what_was_added_is_in_the_set);
    RUN(a_whole_pack_has_every_place);
    RUN(places_no_pack_can_have_are_refused);
    RUN(running_out_of_memory_changes_nothing);
    return check_report();
}
