/* The verify job over real repositories: what is damaged is found and named, what it costs is named too. */
#include "engine/verify.h"

#include "check.h"
#include "jobs.h"

static const lrb_verify_level CATALOGUE = LRB_VERIFY_CATALOGUE, DIGESTS = LRB_VERIFY_DIGESTS;

/* Two snapshots: the first of "old", the second of "old" and "new"; so the second's own pack holds "new". */
static void shelf_with_two(shelf *s, char first[LRB_SNAPSHOT_ID_MAX], char second[LRB_SNAPSHOT_ID_MAX]) {
    shelf_open(s);
    fixture_write(s->f.source, "old", 300 << 10, 1);
    shelf_backup(s, first);
    fixture_write(s->f.source, "new", 300 << 10, 2);
    shelf_backup(s, second);
}

TEST(a_sound_repository_has_no_findings) {
    shelf s;
    lrb_err err;
    report r;
    char first[LRB_SNAPSHOT_ID_MAX], second[LRB_SNAPSHOT_ID_MAX];
    shelf_with_two(&s, first, second);
    CHECK_OK(run_verify(&s, NULL, CATALOGUE, true, &r, &err));
    CHECK(r.total == 0 && r.objects == 3 + 2 && r.chunks == 0);
    report_free(&r);
    CHECK_OK(run_verify(&s, NULL, DIGESTS, true, &r, &err));
    CHECK(r.total == 0 && r.objects == 3 + 2 && r.chunks > 6 && r.bytes > 600 << 10);
    uint64_t all = r.chunks;
    report_free(&r);
    CHECK_OK(run_verify(&s, first, DIGESTS, true, &r, &err));
    CHECK(r.total == 0 && r.objects == 3 + 1 && r.chunks > 0 && r.chunks < all);
    report_free(&r);
    CHECK(shelf_last_number(&s) == 2); /* nothing was entered */
    shelf_close(&s);
}

/* More of them than are checked in step at the end. */
TEST(each_of_many_packs_is_checked_once) {
    enum { PACKS = 11 };
    shelf s;
    lrb_err err;
    report r;
    char path[512];
    uint64_t bytes = 0;
    shelf_open(&s);
    for (uint32_t i = 0; i < PACKS; i++) {
        fixture_write(s.f.source, "file", (i + 1) * (100 << 10), i + 1);
        shelf_backup(&s, NULL);
    }
    for (uint32_t i = 0; i < PACKS; i++) {
        shelf_pack(&s, i, path);
        bytes += file_size(path);
    }
    CHECK_OK(run_verify(&s, NULL, CATALOGUE, false, &r, &err));
    uint64_t log_bytes = r.bytes;
    report_free(&r);
    CHECK_OK(run_verify(&s, NULL, DIGESTS, false, &r, &err));
    CHECK(r.total == 0 && r.objects == PACKS + 1 + PACKS && r.bytes == log_bytes + bytes);
    report_free(&r);
    for (uint32_t i = 0; i < PACKS; i++) {
        shelf_pack(&s, i, path);
        flip_byte(path, file_size(path) / 2);
        shelf_reopen(&s);
        CHECK_OK(run_verify(&s, NULL, DIGESTS, false, &r, &err));
        CHECK(report_find(&r, "packs/"));
        report_free(&r);
        flip_byte(path, file_size(path) / 2);
    }
    shelf_close(&s);
}

TEST(an_empty_repository_has_no_findings) {
    shelf s;
    shelf_open(&s);
    CHECK(count_findings(&s, NULL, DIGESTS) == 0);
    shelf_close(&s);
}

TEST(an_unknown_snapshot_is_an_error) {
    shelf s;
    lrb_err err;
    lrb_job *job;
    report r;
    shelf_open(&s);
    CHECK_FAILS(run_verify(&s, "20260101T000000Z-00000000", CATALOGUE, false, &r, &err), LRB_E_NOT_FOUND);
    CHECK_FAILS(lrb_verify_new(s.repo, "", CATALOGUE, false, &job, &err), LRB_E_NOT_FOUND);
    CHECK_FAILS(lrb_verify_new(s.repo, "far-too-long-for-the-id-of-any-snapshot-there-is", CATALOGUE, false, &job,
                               &err),
                LRB_E_NOT_FOUND);
    shelf_close(&s);
}

TEST(every_flipped_byte_of_a_pack_is_found) {
    shelf s;
    lrb_err err;
    report r;
    char path[512], object[80] = "packs/";
    shelf_open(&s);
    fixture_write(s.f.source, "file", 2000, 1);
    shelf_backup(&s, NULL);
    lrb_id pack = shelf_pack(&s, 0, path);
    lrb_hex(pack.bytes, sizeof pack.bytes, object + 6);
    size_t size = file_size(path);
    CHECK(size > 2000);
    for (size_t i = 0; i < size; i++) {
        flip_byte(path, i);
        shelf_reopen(&s);
        CHECK_OK(run_verify(&s, NULL, DIGESTS, false, &r, &err));
        CHECK(r.count == r.total && report_find(&r, object));
        report_free(&r);
        flip_byte(path, i);
    }
    shelf_reopen(&s);
    CHECK(count_findings(&s, NULL, DIGESTS) == 0);
    shelf_close(&s);
}

TEST(a_pack_that_is_missing_cut_or_another_is_found_by_the_catalogue) {
    shelf s;
    char path[512], other[512], first[LRB_SNAPSHOT_ID_MAX], second[LRB_SNAPSHOT_ID_MAX];
    for (int turn = 0; turn < 3; turn++) {
        shelf_with_two(&s, first, second);
        shelf_pack(&s, 0, path);
        shelf_pack(&s, 1, other);
        bool looks_alike = turn == 2 && file_size(path) == file_size(other); /* but for what is in it */
        if (turn == 0) unlink(path);
        if (turn == 1) cut_file(path, file_size(path) - 1);
        if (turn == 2) CHECK(unlink(path) == 0 && link(other, path) == 0);
        for (int handle = 0; handle < 2; handle++) { /* also where this process still has the old file open */
            report r;
            lrb_err err;
            CHECK_OK(run_verify(&s, NULL, CATALOGUE, false, &r, &err));
            CHECK((report_find(&r, "packs/") || looks_alike) && report_find(&r, first) && report_find(&r, second));
            report_free(&r);
            shelf_reopen(&s);
        }
        shelf_close(&s);
    }
}

TEST(the_items_a_rotten_pack_costs_are_named_and_no_others) {
    shelf s;
    lrb_err err;
    report r;
    char first[LRB_SNAPSHOT_ID_MAX], second[LRB_SNAPSHOT_ID_MAX], item[120], pack[80] = "packs/";
    shelf_with_two(&s, first, second);
    CHECK(spoil_chunk(&s, 1, LRB_CHUNK_RAW));
    lrb_id id = shelf_pack(&s, 1, NULL);
    lrb_hex(id.bytes, sizeof id.bytes, pack + 6);
    CHECK_OK(run_verify(&s, NULL, DIGESTS, false, &r, &err));
    snprintf(item, sizeof item, "snapshot %s item new", second);
    CHECK(r.total == 2 && report_find(&r, pack) && report_find(&r, item));
    CHECK(strstr(report_find(&r, item)->message, pack)); /* and who is to blame */
    report_free(&r);
    CHECK(count_findings(&s, first, DIGESTS) == 0); /* needs nothing of that pack */
    CHECK(count_findings(&s, second, DIGESTS) == 2);
    CHECK(count_findings(&s, NULL, CATALOGUE) == 0); /* does not look at content */
    shelf_close(&s);
}

TEST(a_snapshot_without_its_list_of_items_is_named) {
    shelf s;
    lrb_err err;
    report r;
    char first[LRB_SNAPSHOT_ID_MAX], second[LRB_SNAPSHOT_ID_MAX], object[80];
    shelf_with_two(&s, first, second);
    CHECK(spoil_chunk(&s, 1, LRB_CHUNK_BODY));
    CHECK_OK(run_verify(&s, NULL, DIGESTS, false, &r, &err));
    snprintf(object, sizeof object, "snapshot %s", second);
    CHECK(r.total == 2 && report_find(&r, object) && !report_find(&r, "item"));
    report_free(&r);
    shelf_close(&s);
}

TEST(a_flip_outside_the_chunks_costs_no_item) {
    shelf s;
    lrb_err err;
    report r;
    char path[512];
    shelf_with_two(&s, NULL, NULL);
    shelf_pack(&s, 0, path);
    flip_byte(path, 40); /* salt */
    CHECK_OK(run_verify(&s, NULL, DIGESTS, false, &r, &err));
    CHECK(r.total == 1 && report_find(&r, "packs/") && strstr(r.findings[0].message, "SHA-256"));
    report_free(&r);
    shelf_close(&s);
}

TEST(rotten_packs_are_entered_and_the_next_backup_heals_them) {
    shelf s;
    lrb_err err;
    report r;
    char path[512];
    for (int turn = 0; turn < 2; turn++) {
        shelf_open(&s);
        fixture_write(s.f.source, "file", 300 << 10, 1);
        shelf_backup(&s, NULL);
        if (turn) CHECK(spoil_chunk(&s, 0, LRB_CHUNK_RAW));
        else shelf_pack(&s, 0, path), unlink(path);
        CHECK_OK(run_verify(&s, NULL, DIGESTS, true, &r, &err));
        CHECK(r.total == 2);
        report_free(&r);
        CHECK(shelf_count(&s, LRB_PACK_DAMAGED) == 1 && shelf_last_number(&s) == 2);
        /* What it costs is still said, by either level; the pack is noted, and not entered again. A pack that
         * is gone took the list of items along. */
        for (lrb_verify_level level = CATALOGUE; level <= DIGESTS; level++) {
            CHECK_OK(run_verify(&s, NULL, level, true, &r, &err));
            CHECK(r.total == 1 && r.notes == 1 && report_find(&r, turn ? "item file" : "snapshot") && shelf_last_number(&s) == 2);
            report_free(&r);
        }
        shelf_backup(&s, NULL);
        CHECK(count_findings(&s, NULL, DIGESTS) == 0 && count_findings(&s, NULL, CATALOGUE) == 0);
        shelf_reopen(&s);
        CHECK(count_findings(&s, NULL, DIGESTS) == 0);
        shelf_close(&s);
    }
}

/* One chunk in two packs: with one copy rotten nothing is lost, with both the item is. */
TEST(one_good_copy_is_enough) {
    shelf s;
    char id[LRB_SNAPSHOT_ID_MAX];
    char copy[512];
    bundle b;
    shelf_open(&s);
    fixture_write(s.f.source, "file", 1000, 1);
    shelf_backup(&s, id);
    uint8_t bytes[1000];
    fixture_fill(bytes, sizeof bytes, 1);
    bundle_begin(&b, &s);
    bundle_add(&b, LRB_CHUNK_RAW, bytes, sizeof bytes);
    bundle_end(&b, true);
    CHECK(spoil_chunk(&s, 0, LRB_CHUNK_RAW));
    CHECK(count_findings(&s, NULL, DIGESTS) == 1); /* the pack */
    CHECK(count_findings(&s, id, DIGESTS) <= 1);
    shelf_pack(&s, 1, copy);
    CHECK(spoil_chunk(&s, 1, LRB_CHUNK_RAW));
    CHECK(count_findings(&s, NULL, DIGESTS) == 3);
    CHECK(count_findings(&s, id, DIGESTS) == 3); /* the other copy is looked at too */
    unlink(copy);
    CHECK(count_findings(&s, id, DIGESTS) == 3);
    shelf_close(&s);
}

TEST(damage_in_the_log_is_found_and_the_rest_is_looked_at) {
    shelf s;
    lrb_err err;
    report r;
    char path[512];
    shelf_with_two(&s, NULL, NULL);
    CHECK_OK(shelf_drop(&s, "none", &err));
    shelf_path(&s, "log/00000000000000000001", path);
    size_t size = file_size(path);
    for (size_t i = 0; i < size; i += 7) {
        flip_byte(path, i);
        CHECK_OK(run_verify(&s, NULL, CATALOGUE, true, &r, &err));
        CHECK(r.total == 1 && report_find(&r, "log/00000000000000000001") && r.objects == 4 + 2);
        report_free(&r);
        flip_byte(path, i);
    }
    CHECK(unlink(path) == 0);
    CHECK_OK(run_verify(&s, NULL, CATALOGUE, true, &r, &err));
    CHECK(r.total == 1 && report_find(&r, "log/00000000000000000001"));
    report_free(&r);
    shelf_close(&s);
}

/* An entry of another process that cannot be read: what was known before is verified all the same. */
TEST(a_log_that_breaks_off_is_a_finding) {
    shelf s;
    lrb_err err;
    report r;
    char path[512];
    shelf_with_two(&s, NULL, NULL);
    shelf_path(&s, "log/00000000000000000003", path);
    FILE *file = fopen(path, "w");
    CHECK(file);
    fputs("no entry", file);
    fclose(file);
    CHECK_OK(run_verify(&s, NULL, DIGESTS, true, &r, &err));
    CHECK(r.total >= 1 && report_find(&r, "log/00000000000000000003") && r.chunks > 0);
    report_free(&r);
    shelf_close(&s);
}

TEST(findings_are_bounded_and_counted_beyond) {
    shelf s;
    lrb_err err;
    report r;
    char name[32], path[512];
    enum { FILES = 1500 };
    shelf_open(&s);
    for (unsigned i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "%04u", i);
        fixture_write(s.f.source, name, 10, i);
    }
    shelf_backup(&s, NULL);
    /* A second copy of everything but the files' own chunks, so that only those are lost with the first pack. */
    lrb_pack *pack;
    bundle copy;
    CHECK_OK(lrb_repo_pack_acquire(s.repo, 0, &pack, &err));
    bundle_begin(&copy, &s);
    for (uint32_t i = 0; i < pack->count; i++) {
        lrb_buf *content = &s.f.worker.content;
        if (pack->rows[i].kind == LRB_CHUNK_RAW) continue;
        CHECK_OK(lrb_pack_read(pack, i, s.f.worker.coder, true, content, &err));
        bundle_add(&copy, pack->rows[i].kind, content->data, content->length);
    }
    bundle_end(&copy, true);
    lrb_repo_pack_release(s.repo, pack);
    shelf_pack(&s, 0, path);
    unlink(path);
    shelf_reopen(&s);
    CHECK_OK(run_verify(&s, NULL, CATALOGUE, false, &r, &err));
    CHECK(r.count == LRB_VERIFY_MAX_FINDINGS && r.total == FILES + 1);
    report_free(&r);
    shelf_close(&s);
}

TEST(names_that_cannot_be_printed_are_made_printable) {
    shelf s;
    lrb_err err;
    report r;
    shelf_open(&s);
    fixture_write(s.f.source, "a\n\x1b[31m\xff", 1000, 1);
    shelf_backup(&s, NULL);
    CHECK(spoil_chunk(&s, 0, LRB_CHUNK_RAW));
    CHECK_OK(run_verify(&s, NULL, DIGESTS, false, &r, &err));
    const lrb_finding *finding = report_find(&r, "item a");
    CHECK(finding && !strpbrk(finding->object, "\n\x1b\xff"));
    report_free(&r);
    shelf_close(&s);
}

TEST(a_cancelled_verify_says_so) {
    shelf s;
    lrb_err err;
    lrb_job *job;
    shelf_with_two(&s, NULL, NULL);
    for (int steps = 0;; steps++) {
        lrb_step next = LRB_STEP_MORE;
        int code = LRB_OK;
        CHECK_OK(lrb_verify_new(s.repo, NULL, DIGESTS, false, &job, &err));
        for (int i = 0; !code && i < steps && next != LRB_STEP_DONE; i++)
            code = job->ops->step(job, &s.f.worker, &next, &err);
        bool over = next == LRB_STEP_DONE;
        lrb_job_cancel(job);
        if (!over) code = job->ops->step(job, &s.f.worker, &next, &err);
        lrb_job_free(job);
        if (over) break;
        CHECK(code == LRB_E_CANCELLED);
    }
    shelf_close(&s);
}

TEST(running_out_of_memory_is_survived) {
    shelf s;
    lrb_err err;
    report r;
    char second[LRB_SNAPSHOT_ID_MAX];
    shelf_with_two(&s, NULL, second);
    CHECK(spoil_chunk(&s, 1, LRB_CHUNK_RAW));
    for (int one = 0; one < 2; one++) {
        int code = LRB_E_NOMEM;
        for (int64_t n = 0; code == LRB_E_NOMEM; n++) {
            shelf_reopen(&s);
            lrb_mem_fail_after(n, false);
            code = run_verify(&s, one ? second : NULL, DIGESTS, false, &r, &err);
            lrb_mem_fail_after(-1, false);
        }
        CHECK_OK(code);
        CHECK(r.total == 2);
        report_free(&r);
    }
    shelf_close(&s);
}

static void run_all(void) {
    RUN(a_sound_repository_has_no_findings);
    RUN(each_of_many_packs_is_checked_once);
    RUN(an_empty_repository_has_no_findings);
    RUN(an_unknown_snapshot_is_an_error);
    RUN(every_flipped_byte_of_a_pack_is_found);
    RUN(a_pack_that_is_missing_cut_or_another_is_found_by_the_catalogue);
    RUN(the_items_a_rotten_pack_costs_are_named_and_no_others);
    RUN(a_snapshot_without_its_list_of_items_is_named);
    if (!fixture_key) RUN(a_flip_outside_the_chunks_costs_no_item); /* the salt of a sealed pack makes its key */
    RUN(rotten_packs_are_entered_and_the_next_backup_heals_them);
    RUN(one_good_copy_is_enough);
    RUN(damage_in_the_log_is_found_and_the_rest_is_looked_at);
    RUN(a_log_that_breaks_off_is_a_finding);
    RUN(findings_are_bounded_and_counted_beyond);
    RUN(names_that_cannot_be_printed_are_made_printable);
    RUN(a_cancelled_verify_says_so);
    RUN(running_out_of_memory_is_survived);
}

int main(void) {
    run_all();
    fixture_key = &fixture_some_key;
    run_all();
    return check_report();
}
