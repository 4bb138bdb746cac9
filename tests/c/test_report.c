/* The report: counted findings, the same ids in whatever order they come, and the verdict that follows. */
#include "lightrag/report.h"

#include "base/mem.h"
#include "check.h"
#include "lightrag/json.h"

static lrb_err err;

static int add(lrb_report *report, lrb_check check, const char *id) {
    return lrb_report_add(report, check, id, strlen(id), &err);
}

TEST(every_check_makes_sense) {
    for (int i = 0; i < LRB_CHECK_COUNT; i++) {
        const lrb_check_info *check = lrb_check_of((lrb_check)i);
        CHECK(check->invariant >= 1 && check->invariant <= 25 && check->text[0] && check->remedy < LRB_REMEDY_COUNT);
        CHECK(i == 0 || check->invariant >= lrb_check_of((lrb_check)(i - 1))->invariant);
        CHECK(check->severity == LRB_SEVERITY_ERROR || check->remedy != LRB_REMEDY_LOST);
    }
}

TEST(the_worst_finding_decides) {
    static const struct { lrb_check check; lrb_verdict verdict; } rising[] = {
        {LRB_CHECK_TRACKING_ORPHAN, LRB_VERDICT_USABLE}, {LRB_CHECK_IN_FLIGHT, LRB_VERDICT_REPROCESSING},
        {LRB_CHECK_EDGE_NO_VECTOR, LRB_VERDICT_REPAIRABLE}, {LRB_CHECK_IN_FLIGHT, LRB_VERDICT_REPAIRABLE},
        {LRB_CHECK_CHUNK_GONE, LRB_VERDICT_UNUSABLE}, {LRB_CHECK_ROW_NORM, LRB_VERDICT_UNUSABLE}};
    lrb_report report;
    lrb_report_init(&report);
    CHECK(lrb_report_verdict(&report) == LRB_VERDICT_USABLE);
    for (size_t i = 0; i < sizeof rising / sizeof *rising; i++) {
        CHECK_OK(add(&report, rising[i].check, "x"));
        CHECK(lrb_report_verdict(&report) == rising[i].verdict);
    }
    lrb_report_clear(&report);
}

TEST(the_first_ids_are_kept_in_whatever_order_they_come) {
    enum { IDS = 500 };
    lrb_report up, down;
    lrb_report_init(&up);
    lrb_report_init(&down);
    for (int i = 0; i < IDS; i++) {
        CHECK_OK(lrb_report_addf(&up, LRB_CHECK_EDGE_TWICE, &err, "id %03d", i * 7 % IDS));
        CHECK_OK(lrb_report_addf(&down, LRB_CHECK_EDGE_TWICE, &err, "id %03d", IDS - 1 - i));
    }
    const lrb_report_line *one = &up.lines[LRB_CHECK_EDGE_TWICE], *other = &down.lines[LRB_CHECK_EDGE_TWICE];
    CHECK(one->count == IDS && other->count == IDS && one->kept == LRB_REPORT_IDS && other->kept == LRB_REPORT_IDS);
    for (unsigned i = 0; i < one->kept; i++) {
        char wanted[16];
        snprintf(wanted, sizeof wanted, "id %03u", i);
        CHECK(!strcmp(one->ids[i], wanted) && !strcmp(other->ids[i], wanted));
    }
    lrb_report_clear(&up);
    lrb_report_clear(&down);
}

TEST(long_ids_are_cut_between_characters) {
    char id[2 * LRB_REPORT_ID_BYTES];
    lrb_report report;
    lrb_report_init(&report);
    for (size_t i = 0; i + 3 <= sizeof id; i += 3) memcpy(id + i, "\xe4\xb8\xad", 3);
    CHECK_OK(lrb_report_add(&report, LRB_CHECK_NODE_ID, id, sizeof id / 3 * 3, &err));
    CHECK(strlen(report.lines[LRB_CHECK_NODE_ID].ids[0]) == LRB_REPORT_ID_BYTES / 3 * 3);
    lrb_report_clear(&report);
}

/* The whole report as JSON, with any bytes for an id, is JSON, and pure ASCII. */
static void is_json(lrb_report *report) {
    lrb_buf out;
    lrb_json *j;
    lrb_json_value value = {.kind = LRB_JSON_NULL};
    lrb_buf_init(&out, 1 << 20);
    CHECK_OK(lrb_report_json(report, &out, &err));
    for (size_t i = 0; i < out.length; i++) CHECK(out.data[i] >= 0x20 && out.data[i] < 0x7F);
    lrb_bytes bytes = lrb_bytes_of_memory(out.data, out.length);
    CHECK_OK(lrb_json_new(&bytes, NULL, &j, &err));
    while (value.kind != LRB_JSON_END) CHECK_OK(lrb_json_next(j, &value, &err));
    lrb_json_free(j);
    lrb_buf_clear(&out);
}

TEST(any_id_can_be_written) {
    lrb_report report;
    lrb_report_init(&report);
    is_json(&report);
    CHECK_OK(add(&report, LRB_CHECK_NODE_ID, "quote \" slash \\ line\n \x7f \xc3\xa9 \xe4\xb8\xad \xf0\x9f\x98\x80 \xed\xa0\x80 \xff"));
    CHECK_OK(lrb_report_add(&report, LRB_CHECK_NODE_TWICE, "a\0b", 3, &err));
    CHECK_OK(add(&report, LRB_CHECK_IN_FLIGHT, ""));
    is_json(&report);
    lrb_report_clear(&report);
}

TEST(errors_come_first) {
    lrb_buf out;
    lrb_report report;
    lrb_buf_init(&out, 1 << 20);
    lrb_report_init(&report);
    CHECK_OK(add(&report, LRB_CHECK_RECORD_EXTRA, "info"));
    CHECK_OK(add(&report, LRB_CHECK_SELF_LOOP, "warning"));
    CHECK_OK(add(&report, LRB_CHECK_CHUNK_GONE, "error"));
    CHECK_OK(lrb_report_json(&report, &out, &err));
    CHECK_OK(lrb_buf_append(&out, "", 1, &err));
    const char *text = (const char *)out.data;
    CHECK(strstr(text, "chunk_gone") < strstr(text, "self_loop") && strstr(text, "self_loop") < strstr(text, "record_extra"));
    lrb_report_clear(&report);
    lrb_buf_clear(&out);
}

TEST(memory_running_out_is_an_error) {
    lrb_report report;
    lrb_report_init(&report);
    lrb_mem_fail_after(0, false);
    int code = add(&report, LRB_CHECK_NODE_ID, "x");
    lrb_mem_fail_after(-1, false);
    CHECK_FAILS(code, LRB_E_NOMEM);
    lrb_report_clear(&report);
}

int main(void) {
    RUN(every_check_makes_sense);
    RUN(the_worst_finding_decides);
    RUN(the_first_ids_are_kept_in_whatever_order_they_come);
    RUN(long_ids_are_cut_between_characters);
    RUN(any_id_can_be_written);
    RUN(errors_come_first);
    RUN(memory_running_out_is_an_error);
    return check_report();
}
