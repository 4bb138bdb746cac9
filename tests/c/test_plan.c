/* Which fate prune gives a pack: the pure half, as a table. The gathering half is tested through prune; here, that it
 * survives a shortage of memory. */
#include "engine/plan.h"

#include "check.h"
#include "engine/target.h"
#include "jobs.h"

static const int64_t NOW = 1000, WAIT = 100;

static lrb_fate fate_of(lrb_plan_pack pack, lrb_plan_rules rules) {
    lrb_plan plan = {.packs = &pack, .count = 1};
    lrb_plan_decide(&plan, &rules);
    return pack.fate;
}

/* A pack of 1000 bytes of chunks. */
static lrb_plan_pack pack_of(lrb_pack_status status, int64_t since_ns, uint64_t live_bytes) {
    lrb_plan_pack pack = {
        .position = 0, .on_disk = true, .file_bytes = 1200, .chunk_bytes = 1000, .live_bytes = live_bytes};
    pack.known.status = status;
    pack.known.size_bytes = 1200;
    pack.known.since_ns = since_ns;
    return pack;
}

static lrb_plan_rules usual(void) { return (lrb_plan_rules){.now_ns = NOW, .wait_ns = WAIT, .repack = true}; }

TEST(a_known_pack_is_kept_repacked_or_retired_by_what_lives_in_it) {
    lrb_plan_rules rules = usual();
    CHECK(fate_of(pack_of(LRB_PACK_KNOWN, NOW, 0), rules) == LRB_FATE_RETIRE);
    CHECK(fate_of(pack_of(LRB_PACK_KNOWN, NOW, 1), rules) == LRB_FATE_REPACK);
    CHECK(fate_of(pack_of(LRB_PACK_KNOWN, NOW, 499), rules) == LRB_FATE_REPACK);
    CHECK(fate_of(pack_of(LRB_PACK_KNOWN, NOW, 950), rules) == LRB_FATE_KEEP);
    rules.repack = false;
    CHECK(fate_of(pack_of(LRB_PACK_KNOWN, NOW, 1), rules) == LRB_FATE_KEEP);
}

/* Live bytes of each of some packs -> which are copied, in order: 'r' or '-'. */
static void fates_of(const uint64_t *live, size_t count, char *fates) {
    lrb_plan_pack packs[16];
    lrb_plan plan = {.packs = packs, .count = count};
    lrb_plan_rules rules = usual();
    for (size_t i = 0; i < count; i++) {
        packs[i] = pack_of(LRB_PACK_KNOWN, NOW, live[i] * LRB_PLAN_SMALL_BYTES);
        packs[i].chunk_bytes = (uint64_t)1000 * LRB_PLAN_SMALL_BYTES;
    }
    lrb_plan_decide(&plan, &rules);
    for (size_t i = 0; i < count; i++) fates[i] = packs[i].fate == LRB_FATE_REPACK ? 'r' : '-';
    fates[count] = '\0';
}

TEST(what_stays_dead_is_a_tenth_of_what_lives_at_most) {
    char fates[17];
    fates_of((const uint64_t[]){1000, 1000, 1000, 700, 1000}, 5, fates);
    CHECK(!strcmp(fates, "-----")); /* 300 of 4700 */
    fates_of((const uint64_t[]){950, 600, 1000, 720, 920}, 5, fates);
    CHECK(!strcmp(fates, "-r---")); /* 810 of 4190, and without the worst 410 */
    fates_of((const uint64_t[]){950, 600, 1000, 690, 920}, 5, fates);
    CHECK(!strcmp(fates, "-r-r-")); /* 440 of 4160 is still too much */
    fates_of((const uint64_t[]){800, 800, 800}, 3, fates);
    CHECK(!strcmp(fates, "rrr")); /* packs of one share go together */
    fates_of((const uint64_t[]){500}, 1, fates);
    CHECK(!strcmp(fates, "r"));
    fates_of((const uint64_t[]){910}, 1, fates);
    CHECK(!strcmp(fates, "-"));
}

TEST(a_small_pack_is_not_repacked_for_its_framing) {
    lrb_plan_pack pack = pack_of(LRB_PACK_KNOWN, NOW, 100);
    pack.chunk_bytes = 100;
    pack.known.size_bytes = pack.file_bytes = 300;
    CHECK(fate_of(pack, usual()) == LRB_FATE_KEEP);
}

TEST(many_small_packs_are_joined) {
    lrb_plan_pack packs[LRB_PLAN_SMALL_PACKS + 2];
    lrb_plan plan = {.packs = packs, .count = LRB_PLAN_SMALL_PACKS};
    lrb_plan_rules rules = usual();
    for (size_t i = 0; i < LRB_PLAN_SMALL_PACKS + 2; i++) packs[i] = pack_of(LRB_PACK_KNOWN, NOW, 1000);
    packs[0].chunk_bytes = packs[0].live_bytes = LRB_PLAN_SMALL_BYTES; /* one is not small: too few are left */
    lrb_plan_decide(&plan, &rules);
    CHECK(packs[1].fate == LRB_FATE_KEEP);
    packs[LRB_PLAN_SMALL_PACKS + 1].doubtful = true;
    plan.count = LRB_PLAN_SMALL_PACKS + 2;
    lrb_plan_decide(&plan, &rules);
    CHECK(packs[0].fate == LRB_FATE_KEEP && packs[LRB_PLAN_SMALL_PACKS + 1].fate == LRB_FATE_KEEP);
    CHECK(packs[1].fate == LRB_FATE_REPACK && packs[LRB_PLAN_SMALL_PACKS].fate == LRB_FATE_REPACK);
    rules.repack = false;
    lrb_plan_decide(&plan, &rules);
    CHECK(packs[1].fate == LRB_FATE_KEEP);
}

TEST(a_retired_pack_waits_and_may_come_back) {
    lrb_plan_rules rules = usual();
    CHECK(fate_of(pack_of(LRB_PACK_RETIRED, NOW - WAIT + 1, 0), rules) == LRB_FATE_KEEP);
    CHECK(fate_of(pack_of(LRB_PACK_RETIRED, NOW - WAIT, 0), rules) == LRB_FATE_SWEEP);
    CHECK(fate_of(pack_of(LRB_PACK_RETIRED, NOW - WAIT, 1), rules) == LRB_FATE_UNRETIRE);
    lrb_plan_pack orphan = pack_of(LRB_PACK_RETIRED, 0, 1);
    orphan.known.size_bytes = 0; /* the log does not know its size, so it cannot become known */
    CHECK(fate_of(orphan, rules) == LRB_FATE_KEEP);
}

TEST(a_time_that_cannot_be_believed_makes_it_wait) {
    lrb_plan_rules rules = usual();
    CHECK(fate_of(pack_of(LRB_PACK_RETIRED, NOW + 1, 0), rules) == LRB_FATE_KEEP);
    CHECK(fate_of(pack_of(LRB_PACK_RETIRED, INT64_MAX, 0), rules) == LRB_FATE_KEEP);
    CHECK(fate_of(pack_of(LRB_PACK_RETIRED, INT64_MIN, 0), rules) == LRB_FATE_SWEEP);
    rules.wait_ns = 0;
    CHECK(fate_of(pack_of(LRB_PACK_RETIRED, INT64_MAX, 0), rules) == LRB_FATE_SWEEP);
}

TEST(a_damaged_pack_stays_as_long_as_it_holds_something) {
    lrb_plan_rules rules = usual();
    CHECK(fate_of(pack_of(LRB_PACK_DAMAGED, 0, 1), rules) == LRB_FATE_KEEP);
    CHECK(fate_of(pack_of(LRB_PACK_DAMAGED, 0, 0), rules) == LRB_FATE_SWEEP);
    CHECK(fate_of(pack_of(LRB_PACK_DAMAGED, NOW, 0), rules) == LRB_FATE_KEEP);
}

TEST(a_swept_pack_is_unlinked_where_it_still_lies) {
    lrb_plan_pack pack = pack_of(LRB_PACK_SWEPT, NOW, 0);
    CHECK(fate_of(pack, usual()) == LRB_FATE_UNLINK);
    pack.on_disk = false;
    CHECK(fate_of(pack, usual()) == LRB_FATE_KEEP);
}

TEST(an_orphan_is_retired_once_it_is_old) {
    lrb_plan_pack orphan = {.position = LRB_NO_PACK, .on_disk = true, .file_bytes = 1000};
    orphan.mtime_ns = NOW - WAIT + 1;
    CHECK(fate_of(orphan, usual()) == LRB_FATE_KEEP);
    orphan.mtime_ns = NOW - WAIT;
    CHECK(fate_of(orphan, usual()) == LRB_FATE_RETIRE);
}

TEST(a_doubtful_pack_stays_as_it_is) {
    const lrb_pack_status all[] = {LRB_PACK_KNOWN, LRB_PACK_RETIRED, LRB_PACK_DAMAGED};
    for (size_t i = 0; i < 3; i++)
        for (uint64_t live = 0; live < 2; live++) {
            lrb_plan_pack pack = pack_of(all[i], 0, live);
            pack.doubtful = true;
            CHECK(fate_of(pack, usual()) == LRB_FATE_KEEP);
        }
}

/* Begins a plan, walks the only snapshot and weighs every pack, as prune does. */
static int gather(shelf *s, lrb_plan *plan, lrb_err *err) {
    lrb_reach *reach = NULL;
    lrb_target *targets = NULL;
    size_t count;
    bool done = false;
    int code = lrb_target_list(s->repo, s->f.worker.coder, NULL, &targets, &count, err);
    if (!code) code = lrb_plan_begin(plan, s->repo, err);
    if (!code) code = lrb_reach_new(s->repo, NULL, &reach, err);
    if (!code) code = lrb_reach_begin(reach, s->f.worker.coder, &targets[0].body_root, err);
    while (!code && !done) code = lrb_reach_step(reach, s->f.worker.coder, &done, err);
    for (size_t i = 0; !code && i < plan->count; i++) code = lrb_plan_weigh(plan, i, s->repo, reach, err);
    lrb_reach_free(reach);
    lrb_free(targets);
    return code;
}

TEST(every_failing_allocation_is_survived) {
    shelf s;
    lrb_err err;
    lrb_plan plan;
    int64_t failed = 0;
    shelf_open(&s);
    fixture_write(s.f.source, "a", 5000, 1);
    shelf_backup(&s, NULL);
    for (int code = LRB_E_NOMEM; code; failed++) {
        memset(&plan, 0, sizeof plan);
        lrb_mem_fail_after(failed, false);
        code = gather(&s, &plan, &err);
        lrb_mem_fail_after(-1, false);
        if (code) CHECK_FAILS(code, LRB_E_NOMEM);
        else CHECK(plan.count == 1 && plan.packs[0].on_disk && plan.bytes_live > 0 && !plan.packs[0].doubtful);
        lrb_plan_clear(&plan);
    }
    CHECK(failed > 3);
    shelf_close(&s);
}

int main(void) {
    RUN(every_failing_allocation_is_survived);
    RUN(a_known_pack_is_kept_repacked_or_retired_by_what_lives_in_it);
    RUN(what_stays_dead_is_a_tenth_of_what_lives_at_most);
    RUN(a_small_pack_is_not_repacked_for_its_framing);
    RUN(many_small_packs_are_joined);
    RUN(a_retired_pack_waits_and_may_come_back);
    RUN(a_time_that_cannot_be_believed_makes_it_wait);
    RUN(a_damaged_pack_stays_as_long_as_it_holds_something);
    RUN(a_swept_pack_is_unlinked_where_it_still_lies);
    RUN(an_orphan_is_retired_once_it_is_old);
    RUN(a_doubtful_pack_stays_as_it_is);
    return check_report();
}
