#include "codec/cpu.h"

#include "check.h"

TEST(a_limit_holds_and_can_be_lifted) {
    lrb_cpu best = lrb_cpu_level();
    bool sha = lrb_cpu_has_sha(), clmul = lrb_cpu_has_clmul();
    CHECK(best < LRB_CPU_LEVELS);
    for (lrb_cpu highest = LRB_CPU_PLAIN; highest <= LRB_CPU_LEVELS; highest++) {
        lrb_cpu_limit(highest);
        CHECK(lrb_cpu_level() == (best < highest ? best : highest));
        CHECK(lrb_cpu_has_sha() == (sha && highest != LRB_CPU_PLAIN));
        CHECK(lrb_cpu_has_clmul() == (clmul && highest != LRB_CPU_PLAIN));
    }
}

int main(void) {
    RUN(a_limit_holds_and_can_be_lifted);
    return check_report();
}
