/* Naming what damage costs. The whole way there is tested through verify; here: blame with and without a pack to
 * name. */
#include "engine/loss.h"

#include "check.h"
#include "jobs.h"

/* Walks the only snapshot with `bad` places and reports what is lost. */
static int report_loss(shelf *s, const lrb_marks *bad, lrb_findings *findings, lrb_err *err) {
    lrb_job job = {0};
    lrb_marks none;
    lrb_marks_init(&none);
    lrb_loss loss = {s->repo, &job, NULL, bad, &none, findings};
    lrb_target *targets;
    size_t count;
    bool done = false;
    int code = lrb_target_list(s->repo, s->f.worker.coder, NULL, &targets, &count, err);
    if (code) return code;
    code = lrb_reach_new(s->repo, bad, &loss.reach, err);
    if (!code) lrb_reach_add_up(loss.reach);
    if (!code) code = lrb_reach_begin(loss.reach, s->f.worker.coder, &targets[0].body_root, err);
    while (!code && !done) code = lrb_reach_step(loss.reach, s->f.worker.coder, &done, err);
    if (!code) code = lrb_loss_report(&loss, &s->f.worker, &targets[0], err);
    lrb_reach_free(loss.reach);
    lrb_free(targets);
    return code;
}

/* The position of the first chunk of `kind` in pack 0. */
static lrb_place place_of(shelf *s, lrb_chunk_kind kind) {
    lrb_place place = {0, 0};
    lrb_pack *pack;
    lrb_err err;
    if (lrb_repo_pack_acquire(s->repo, 0, &pack, &err)) exit(2);
    while (place.ordinal < pack->count - 1 && pack->rows[place.ordinal].kind != kind) place.ordinal++;
    lrb_repo_pack_release(s->repo, pack);
    return place;
}

static void shelf_with_snapshot(shelf *s, lrb_marks *bad, lrb_findings *findings) {
    shelf_open(s);
    fixture_write(s->f.source, "a", 1000, 1);
    fixture_write(s->f.source, "b", 1000, 2);
    shelf_backup(s, NULL);
    lrb_marks_init(bad);
    lrb_findings_init(findings);
}

TEST(a_bad_chunk_costs_its_item) {
    shelf s;
    lrb_err err;
    lrb_marks bad;
    lrb_findings findings;
    shelf_with_snapshot(&s, &bad, &findings);
    CHECK_OK(lrb_marks_add(&bad, place_of(&s, LRB_CHUNK_RAW), &err));
    CHECK_OK(report_loss(&s, &bad, &findings, &err));
    CHECK(findings.total == 1 && strstr(findings.list[0].object, " item "));
    CHECK(strstr(findings.list[0].message, "is damaged, and raw chunk"));
    lrb_findings_clear(&findings);
    lrb_marks_clear(&bad);
    shelf_close(&s);
}

/* The pack counts as bad as a whole although its bytes can still be read: nothing is restored from it. */
TEST(a_bad_pack_costs_the_snapshot) {
    shelf s;
    lrb_err err;
    lrb_marks bad;
    lrb_findings findings;
    shelf_with_snapshot(&s, &bad, &findings);
    CHECK_OK(lrb_marks_add_pack(&bad, 0, &err));
    CHECK_OK(report_loss(&s, &bad, &findings, &err));
    CHECK(findings.total == 2 && strstr(findings.list[0].message, "missing or unreadable"));
    lrb_findings_clear(&findings);
    lrb_marks_clear(&bad);
    shelf_close(&s);
}

TEST(a_lost_list_of_items_is_said_once) {
    shelf s;
    lrb_err err;
    lrb_marks bad;
    lrb_findings findings;
    shelf_with_snapshot(&s, &bad, &findings);
    CHECK_OK(lrb_marks_add(&bad, place_of(&s, LRB_CHUNK_BODY), &err));
    CHECK_OK(report_loss(&s, &bad, &findings, &err));
    CHECK(findings.total == 1 && !strstr(findings.list[0].object, "item"));
    CHECK(strstr(findings.list[0].message, "body chunk"));
    lrb_findings_clear(&findings);
    lrb_marks_clear(&bad);
    shelf_close(&s);
}

TEST(every_failing_allocation_is_survived) {
    shelf s;
    lrb_err err;
    lrb_marks bad;
    lrb_findings findings;
    int64_t failed = 0;
    shelf_with_snapshot(&s, &bad, &findings);
    CHECK_OK(lrb_marks_add_pack(&bad, 0, &err));
    for (int code = LRB_E_NOMEM; code; failed++) {
        lrb_findings_clear(&findings);
        lrb_findings_init(&findings);
        lrb_mem_fail_after(failed, false);
        code = report_loss(&s, &bad, &findings, &err);
        lrb_mem_fail_after(-1, false);
        if (code) CHECK_FAILS(code, LRB_E_NOMEM);
    }
    CHECK(failed > 8 && findings.total == 2);
    lrb_findings_clear(&findings);
    lrb_marks_clear(&bad);
    shelf_close(&s);
}

int main(void) {
    RUN(every_failing_allocation_is_survived);
    RUN(a_bad_chunk_costs_its_item);
    RUN(a_bad_pack_costs_the_snapshot);
    RUN(a_lost_list_of_items_is_said_once);
    return check_report();
}
