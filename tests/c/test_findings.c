/* The bounded list of findings. */
#include "engine/findings.h"

#include <stdio.h>

#include "base/mem.h"
#include "check.h"

TEST(findings_are_kept_in_order_and_counted_beyond_the_ceiling) {
    lrb_findings findings;
    lrb_err err;
    char object[32];
    lrb_findings_init(&findings);
    for (unsigned i = 0; i < LRB_VERIFY_MAX_FINDINGS + 5; i++) {
        snprintf(object, sizeof object, "object %u", i);
        CHECK(lrb_findings_full(&findings) == (i >= LRB_VERIFY_MAX_FINDINGS));
        CHECK_OK(lrb_findings_add(&findings, object, "is broken", &err));
    }
    CHECK(findings.count == LRB_VERIFY_MAX_FINDINGS && findings.total == LRB_VERIFY_MAX_FINDINGS + 5);
    CHECK(!strcmp(findings.list[0].object, "object 0") && !strcmp(findings.list[999].object, "object 999"));
    CHECK(!strcmp(findings.list[7].message, "is broken"));
    lrb_findings_clear(&findings);
}

TEST(long_texts_are_cut) {
    lrb_findings findings;
    lrb_err err;
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    lrb_findings_init(&findings);
    CHECK_OK(lrb_findings_add(&findings, text, text, &err));
    CHECK(strlen(findings.list[0].object) == sizeof findings.list[0].object - 1);
    CHECK(strlen(findings.list[0].message) == sizeof findings.list[0].message - 1);
    lrb_findings_clear(&findings);
}

TEST(running_out_of_memory_adds_nothing) {
    lrb_findings findings;
    lrb_err err;
    lrb_findings_init(&findings);
    lrb_mem_fail_after(0, true);
    int code = lrb_findings_add(&findings, "a", "b", &err);
    lrb_mem_fail_after(-1, false);
    CHECK(code == LRB_E_NOMEM && findings.total == 0);
    CHECK_OK(lrb_findings_add(&findings, "a", "b", &err));
    lrb_findings_clear(&findings);
}

int main(void) {
    RUN(findings_are_kept_in_order_and_counted_beyond_the_ceiling);
    RUN(long_texts_are_cut);
    RUN(running_out_of_memory_adds_nothing);
    return check_report();
}
