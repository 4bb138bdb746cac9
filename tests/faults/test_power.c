/* Power cuts during backups and prunes: what was committed comes back, nothing wrong does, and garbage goes. */
#include "check.h"
#include "power.h"

TEST(a_first_backup) {
    world w;
    lrb_err err;
    power_count count = {0};
    world_open(&w);
    disk *d = power_watch_storage(&w);
    CHECK_OK(power_backup(&w, d, &err));
    CHECK(power_cut_everywhere(&w, d, power_judge_storage, true, &count));
    power_report("a first backup", &count);
    disk_end(d);
    world_close(&w);
}

TEST(a_later_backup) {
    world w;
    lrb_err err;
    power_count count = {0};
    world_open(&w);
    power_runs_before(&w, 2);
    world_change(&w, 3);
    disk *d = power_watch_storage(&w);
    CHECK_OK(power_backup(&w, d, &err));
    world_change(&w, 4);
    CHECK_OK(power_backup(&w, d, &err));
    CHECK_OK(power_backup(&w, d, &err)); /* of what did not change: an entry alone */
    CHECK(power_cut_everywhere(&w, d, power_judge_storage, true, &count));
    power_report("a later backup", &count);
    disk_end(d);
    world_close(&w);
}

/* The first run's pack is mostly dead, the second's wholly. */
TEST(a_prune) {
    for (int wait = 0; wait < 2; wait++) {
        world w;
        lrb_err err;
    power_count count = {0};
        world_open(&w);
        power_runs_before(&w, 5);
        disk *d = power_watch_storage(&w);
        CHECK_OK(world_drop(&w, 0, &err));
        CHECK_OK(world_drop(&w, 3, &err));
        CHECK_OK(world_prune(&w, wait, &err)); /* 1 ns: retires; what was retired before is swept by the next one */
        if (wait) CHECK_OK(world_prune(&w, wait, &err));
        CHECK(power_cut_everywhere(&w, d, power_judge_storage, true, &count));
    power_report(wait ? "two prunes, each a step" : "a prune at once", &count);
        disk_end(d);
        world_close(&w);
    }
}

/* What is stored is other bytes, and the steps are the same: losses by themselves, without all pairs of them. */
TEST(sealed_backups_and_a_prune) {
    world w;
    lrb_err err;
    power_count count = {0};
    world_key = &fixture_some_key;
    world_open(&w);
    disk *d = power_watch_storage(&w);
    CHECK_OK(power_backup(&w, d, &err));
    world_change(&w, 1);
    CHECK_OK(power_backup(&w, d, &err));
    CHECK_OK(world_drop(&w, 0, &err));
    CHECK_OK(world_prune(&w, 0, &err));
    CHECK(power_cut_everywhere(&w, d, power_judge_storage, false, &count));
    power_report("sealed backups and a prune", &count);
    disk_end(d);
    world_close(&w);
    world_key = NULL;
}

int main(void) {
    RUN(a_first_backup);
    RUN(a_later_backup);
    RUN(a_prune);
    RUN(sealed_backups_and_a_prune);
    return check_report();
}
