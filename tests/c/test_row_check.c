/* What a row has to be, at and around its limits; and that a place is told from every other. */
#include "lightrag/row_check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "check.h"
#include "codec/f16.h"
#include "sample.h"

enum { DIM = 64 };
static uint8_t row[4 * DIM], halves[2 * DIM];

static void set(size_t i, float value) { lrb_put_u32(row + 4 * i, lrb_bits_of(value)); }

/* A row along the first axis, turned by so much towards the second, beside the first axis itself as float16. */
static void turned(double length, double angle) {
    memset(row, 0, sizeof row);
    memset(halves, 0, sizeof halves);
    lrb_put_u16(halves, 0x4000); /* 2: its length does not matter */
    set(0, (float)(length * cos(angle)));
    set(1, (float)(length * sin(angle)));
}

static lrb_row_flaw check(void) { return lrb_row_check(row, halves, DIM); }

TEST(length_and_direction_have_limits) {
    const double most = acos(0.999);
    for (double angle = -2; angle <= 2; angle += 0.01) {
        double off = fabs(angle) - most;
        turned(1, angle);
        if (fabs(off) > 1e-4) CHECK(check() == (off < 0 ? LRB_ROW_FLAWS : LRB_ROW_COSINE));
        CHECK(lrb_row_check(row, NULL, DIM) == LRB_ROW_FLAWS);
    }
    for (double length = 0.9; length <= 1.1; length += 0.0001) {
        double off = fabs(length - 1) - 1e-3;
        turned(length, 2);
        if (fabs(off) > 1e-5) CHECK(check() == (off < 0 ? LRB_ROW_COSINE : LRB_ROW_NORM));
        if (fabs(off) > 1e-5) CHECK(lrb_row_check(row, NULL, DIM) == (off < 0 ? LRB_ROW_FLAWS : LRB_ROW_NORM));
    }
}

TEST(what_is_clear_is_so_by_a_margin) {
    for (double off = -1.5e-3; off <= 1.5e-3; off += 1e-5) {
        turned(1 + off, acos(0.9995));
        CHECK(!lrb_row_clear(row, halves, DIM) || check() == LRB_ROW_FLAWS);
        if (fabs(fabs(off) - 9e-4) > 1e-5) CHECK(lrb_row_clear(row, halves, DIM) == (fabs(off) < 9e-4));
        turned(1, acos(0.9991 + off / 3));
        CHECK(!lrb_row_clear(row, halves, DIM) || check() == LRB_ROW_FLAWS);
        if (fabs(off) > 3e-5) CHECK(lrb_row_clear(row, halves, DIM) == (off > 0));
    }
}

TEST(what_is_not_finite_comes_first) {
    static const uint32_t odd[] = {0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001};
    for (size_t at = 0; at < DIM; at++)
        for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
            turned(1, 0);
            lrb_put_u32(row + 4 * at, odd[i]);
            CHECK(check() == LRB_ROW_NOT_FINITE && lrb_row_check(row, NULL, DIM) == LRB_ROW_NOT_FINITE);
        }
    turned(0, 0);
    CHECK(check() == LRB_ROW_NORM);
    turned(1, 0);
    lrb_put_u16(halves, 0x7E00); /* no number */
    CHECK(check() == LRB_ROW_COSINE);
    lrb_put_u16(halves, 0);
    CHECK(check() == LRB_ROW_COSINE);
}

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

TEST(places_differ_in_each_of_their_parts) {
    enum { EACH = 40, ALL = EACH * EACH * EACH };
    static uint64_t places[ALL];
    size_t count = 0;
    for (uint64_t r = 0; r < EACH; r++)
        for (uint64_t o = 0; o < EACH; o++)
            for (uint64_t l = 0; l < EACH; l++) places[count++] = lrb_row_place(r, o << 8, l);
    qsort(places, count, sizeof *places, by_value);
    for (size_t i = 1; i < count; i++) CHECK(places[i] != places[i - 1]);
}

/* Sums have to differ as well: rows that are exchanged, and pairs shifted against each other. */
TEST(sums_of_places_tell_an_exchange) {
    uint64_t state = 3;
    for (int i = 0; i < 1000; i++) {
        uint64_t a = sample_next(&state) % 100000, b = a + 1 + sample_next(&state) % 100000;
        uint64_t straight = lrb_row_place(7, a, 900) + lrb_row_place(8, b, 900);
        CHECK(straight != lrb_row_place(8, a, 900) + lrb_row_place(7, b, 900));
        CHECK(straight != lrb_row_place(7, a + 1, 900) + lrb_row_place(8, b - 1, 900));
        CHECK(straight != lrb_row_place(7, a, 901) + lrb_row_place(8, b, 899));
    }
}

int main(void) {
    RUN(length_and_direction_have_limits);
    RUN(what_is_clear_is_so_by_a_margin);
    RUN(what_is_not_finite_comes_first);
    RUN(places_differ_in_each_of_their_parts);
    RUN(sums_of_places_tell_an_exchange);
    return check_report();
}
