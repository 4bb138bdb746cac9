#include "codec/planes.h"

#include "base/mem.h"
#include "check.h"
#include "codec/cpu.h"
#include "codec/inflate.h"
#include "sample.h"

enum { DIM = 131 };

static uint8_t halves[2 * DIM], stream[2 * DIM + LRB_STORED_FRAMING_BYTES], low[DIM], high[DIM], back[2 * DIM];

TEST(the_framing_is_a_stream_zlib_reads) {
    lrb_err err;
    lrb_inflater *inflater;
    CHECK_OK(lrb_inflater_new(&inflater, &err));
    for (size_t dim = 1; dim <= DIM; dim++) {
        sample_fill(halves, 2 * dim, dim);
        lrb_stored_block_write(halves, dim, stream);
        CHECK(lrb_inflate(inflater, stream, 2 * dim + LRB_STORED_FRAMING_BYTES, back, 2 * dim));
        CHECK(!memcmp(back, halves, 2 * dim));
        CHECK(lrb_stored_block(stream, 2 * dim + LRB_STORED_FRAMING_BYTES, halves, dim));
    }
    lrb_inflater_free(inflater);
}

TEST(only_that_stream_is_taken_for_one) {
    sample_fill(halves, sizeof halves, 1);
    lrb_stored_block_write(halves, DIM, stream);
    CHECK(!lrb_stored_block(stream, sizeof stream - 1, halves, DIM));
    CHECK(!lrb_stored_block(stream, sizeof stream, halves, DIM - 1));
    for (size_t bit = 0; bit < 8 * sizeof stream; bit++) {
        stream[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK(!lrb_stored_block(stream, sizeof stream, halves, DIM));
        stream[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    CHECK(lrb_stored_block(stream, sizeof stream, halves, DIM));
    CHECK(!lrb_stored_block(stream, sizeof stream, halves, LRB_STORED_MAX_DIM + 1));
}

TEST(planes_come_together_again_in_every_variant) {
    for (lrb_cpu level = LRB_CPU_PLAIN; level < LRB_CPU_LEVELS; level++) {
        lrb_cpu_limit(level);
        for (size_t dim = 0; dim <= DIM; dim++) {
            sample_fill(halves, 2 * dim, dim);
            lrb_planes_split(halves, dim, low, high);
            for (size_t i = 0; i < dim; i++) CHECK(low[i] == halves[2 * i] && high[i] == halves[2 * i + 1]);
            lrb_planes_join(low, high, dim, back);
            CHECK(!memcmp(back, halves, 2 * dim));
        }
    }
    lrb_cpu_limit(LRB_CPU_LEVELS);
}

int main(void) {
    RUN(the_framing_is_a_stream_zlib_reads);
    RUN(only_that_stream_is_taken_for_one);
    RUN(planes_come_together_again_in_every_variant);
    return check_report();
}
