#include "codec/canonical.h"

#include "check.h"
#include "rows.h"

enum { MOST = 4100 };

static uint8_t row[4 * MOST], next[4 * MOST], of_row[4 * MOST], of_next[4 * MOST], scratch[4 * MOST], halves[2 * MOST];

static const size_t dims[] = {1, 2, 3, 7, 8, 9, 15, 100, 127, 128, 129, 130, 384, 1000, 1001, 1024, 3072, 4096, 4099};
enum { DIMS = sizeof dims / sizeof *dims };

/* U(r), U(N(r)) and U(U(r)) are one row; the property everything rests on. */
static bool settles(size_t dim) {
    lrb_canonical_path path;
    lrb_row_canonical(row, dim, of_row, scratch, &path);
    lrb_row_normalise(row, dim, next);
    lrb_row_canonical(next, dim, of_next, scratch, &path);
    if (memcmp(of_row, of_next, 4 * dim)) return false;
    return !lrb_row_canonical(of_row, dim, of_next, scratch, &path) && !memcmp(of_row, of_next, 4 * dim);
}

TEST(a_row_and_what_it_becomes_at_the_next_load_are_the_same) {
    uint64_t seed = 1;
    for (size_t d = 0; d < DIMS; d++) {
        for (int i = 0; i < 60; i++) {
            row_make(&seed, dims[d], 1, halves, row);
            CHECK(settles(dims[d]));
        }
    }
}

TEST(zeros_of_both_signs_subnormals_and_flipped_signs_settle) {
    uint64_t seed = 2;
    for (size_t d = 5; d < DIMS; d++) {
        size_t dim = dims[d];
        row_make(&seed, dim, 1, halves, row);
        for (size_t i = 0; i < dim; i += 5) lrb_put_u32(row + 4 * i, (uint32_t)(sample_next(&seed) & 0x807FFFFF));
        for (size_t i = 1; i < dim; i += 7) lrb_put_u32(row + 4 * i, i % 2 ? 0x80000000 : 0);
        lrb_row_normalise(row, dim, row);
        CHECK(settles(dim));
        for (size_t i = 0; i < dim; i++) row[4 * i + 3] ^= 0x80;
        CHECK(settles(dim));
    }
}

TEST(rows_that_are_not_normalised_are_their_own) {
    static const float lengths[] = {0, 1e-30f, 0.5f, 0.999f, 1.001f, 2, 1e19f, 3e38f};
    lrb_canonical_path path;
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
        for (size_t i = 0; i < 128; i++) lrb_put_u32(row + 4 * i, lrb_bits_of(i == 60 ? lengths[l] : 0));
        CHECK(!lrb_row_canonical(row, 128, of_row, scratch, &path) && !memcmp(row, of_row, 4 * 128));
    }
}

TEST(a_row_with_what_is_no_number_is_its_own) {
    static const uint32_t odd[] = {0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 0xFFFFFFFF, 0xFF8ABCDE};
    uint64_t seed = 3;
    lrb_canonical_path path;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        row_make(&seed, 384, 1, halves, row);
        lrb_put_u32(row + 4 * 300, odd[i]);
        CHECK(!lrb_row_canonical(row, 384, of_row, scratch, &path) && !memcmp(row, of_row, 4 * 384));
    }
}

TEST(the_path_leads_back_to_the_row) {
    uint64_t seed = 4;
    size_t changed = 0, wrong = 0;
    for (int n = 0; n < 300; n++) {
        lrb_canonical_path path;
        row_make(&seed, 1024, 1, halves, row);
        if (!lrb_row_canonical(row, 1024, of_row, scratch, &path)) continue;
        changed++;
        for (size_t i = 0; i < 1024; i++) {
            float value = lrb_float_of(lrb_get_u32(of_row + 4 * i));
            for (uint32_t k = path.steps; k > 0; k--) value *= path.lengths[k - 1];
            wrong += lrb_bits_of(value) != lrb_get_u32(row + 4 * i);
        }
    }
    CHECK(changed >= 30 && wrong <= changed);
}

int main(void) {
    RUN(a_row_and_what_it_becomes_at_the_next_load_are_the_same);
    RUN(zeros_of_both_signs_subnormals_and_flipped_signs_settle);
    RUN(rows_that_are_not_normalised_are_their_own);
    RUN(a_row_with_what_is_no_number_is_its_own);
    RUN(the_path_leads_back_to_the_row);
    return check_report();
}
