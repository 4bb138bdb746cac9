/* What is made of an HTTP answer: every fact that keeps a receiver from being HEALTHY, alone; strangers; hostile ones. */
#include "base/mem.h"
#include "check.h"
#include "net/answer.h"

static lrb_err err;

#define GOOD "\"product\":\"lightrag-bkp\",\"protocol\":1,\"version\":\"9.8\",\"instance_id\":\"a-b\",\"authenticated\":true," \
             "\"ready\":true,\"busy\":false,\"low_space\":false,\"epoch\":7,\"free_bytes\":5000000"

static lrb_finding judge(long http_status, const char *body) {
    lrb_finding finding;
    lrb_answer answer = {.http_status = http_status, .body = body, .body_bytes = strlen(body), .took_ms = 20, .slow_ms = 100, .with_key = true};
    if (lrb_answer_judge(&answer, &finding, &err)) finding.status = LRB_TARGET_UNKNOWN;
    return finding;
}

static const struct {
    long http_status;
    const char *body;
    lrb_target_status status;
    const char *reason; /* part of it */
} table[] = {
    {200, "{" GOOD "}", LRB_TARGET_HEALTHY, "ready to receive"},
    {200, "{" GOOD ",\"more\":{\"deep\":[1,{}]},\"list\":[]}", LRB_TARGET_HEALTHY, ""},
    {200, "{" GOOD ",\"ready\":false,\"reason\":\"a \\u0007restore runs\"}", LRB_TARGET_DEGRADED, "not ready to receive: a  restore runs"},
    {200, "{" GOOD ",\"ready\":false}", LRB_TARGET_DEGRADED, "not ready to receive"},
    {200, "{" GOOD ",\"busy\":true}", LRB_TARGET_DEGRADED, "it is busy"},
    {200, "{" GOOD ",\"low_space\":true}", LRB_TARGET_DEGRADED, "low on space: 5 MB"},
    {200, "{" GOOD ",\"authenticated\":false}", LRB_TARGET_DEGRADED, "did not look at the API key"},
    {200, "{" GOOD ",\"protocol\":0}", LRB_TARGET_DEGRADED, "bring the other one up to date"},
    {200, "{" GOOD ",\"protocol\":2}", LRB_TARGET_DEGRADED, "bring the local one up to date"},
    {503, "{" GOOD "}", LRB_TARGET_DEGRADED, "not ready"},
    {200, "{\"product\":\"other\",\"protocol\":1,\"instance_id\":\"x\"}", LRB_TARGET_DEGRADED, "cannot receive"},
    {200, "{\"product\":\"lightrag-bkp\",\"protocol\":1}", LRB_TARGET_DEGRADED, "cannot receive"},
    {200, "{\"product\":\"lightrag-bkp\",\"protocol\":-5,\"instance_id\":\"x\"}", LRB_TARGET_DEGRADED, "cannot receive"},
    {200, "{\"product\":7,\"protocol\":\"1\",\"instance_id\":true}", LRB_TARGET_DEGRADED, "cannot receive"},
    {200, "{" GOOD "} x", LRB_TARGET_DEGRADED, "cannot receive"},
    {200, "{\"status\":\"healthy\"}", LRB_TARGET_DEGRADED, "cannot receive"},
    {200, "<html>", LRB_TARGET_DEGRADED, "cannot receive"},
    {200, "", LRB_TARGET_DEGRADED, "cannot receive"},
    {200, "[]", LRB_TARGET_DEGRADED, "cannot receive"},
    {200, "{" GOOD ",\"x\":[[[[[[[[[[[[]]]]]]]]]]]]}", LRB_TARGET_DEGRADED, "cannot receive"},
    {401, "{" GOOD "}", LRB_TARGET_DEGRADED, "refuses the API key"},
    {403, "", LRB_TARGET_DEGRADED, "refuses the API key"},
    {403, "{\"code\":\"OTHER_SCOPE\"}", LRB_TARGET_DEGRADED, "this key may not replicate"},
    {401, "{\"code\":\"OTHER_SCOPE\"}", LRB_TARGET_DEGRADED, "refuses the API key"},
    {302, "", LRB_TARGET_DEGRADED, "not followed"},
    {404, "{\"detail\":\"Not Found\"}", LRB_TARGET_DEGRADED, "cannot receive"},
    {429, "", LRB_TARGET_DEGRADED, "busy"},
    {500, "", LRB_TARGET_DEGRADED, "error of its own"},
    {503, "", LRB_TARGET_DEGRADED, "error of its own"},
};

TEST(an_answer_is_judged_by_its_facts) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        lrb_finding finding = judge(table[i].http_status, table[i].body);
        bool right = finding.status == table[i].status && strstr(finding.reason, table[i].reason);
        if (!right) printf("%ld %s: %d %s\n", table[i].http_status, table[i].body, finding.status, finding.reason);
        CHECK(right);
    }
}

TEST(what_the_receiver_says_is_kept) {
    lrb_finding finding = judge(200, "{" GOOD "}");
    CHECK(!strcmp(finding.instance_id, "a-b") && !strcmp(finding.version, "9.8"));
    CHECK(finding.epoch == 7 && finding.free_bytes == 5000000 && finding.took_ms == 20);
    finding = judge(404, "{" GOOD "}");
    CHECK(!finding.instance_id[0] && finding.epoch == -1);
}

TEST(slow_is_degraded_and_a_missing_key_is_named) {
    lrb_finding finding;
    lrb_answer slow = {.http_status = 200, .body = "{" GOOD "}", .body_bytes = strlen("{" GOOD "}"), .took_ms = 101, .slow_ms = 100};
    CHECK_OK(lrb_answer_judge(&slow, &finding, &err));
    CHECK(finding.status == LRB_TARGET_DEGRADED && strstr(finding.reason, "101 ms"));
    slow.slow_ms = 0;
    CHECK_OK(lrb_answer_judge(&slow, &finding, &err));
    CHECK(finding.status == LRB_TARGET_HEALTHY);
    lrb_answer open = {.http_status = 401};
    CHECK_OK(lrb_answer_judge(&open, &finding, &err));
    CHECK(strstr(finding.reason, "wants an API key"));
}

TEST(texts_are_cut_at_their_field) {
    char body[600];
    memset(body, 'x', sizeof body);
    static const char begin[] = "{" GOOD ",\"ready\":false,\"reason\":\"", finish[] = "\"}";
    memcpy(body, begin, sizeof begin - 1);
    memcpy(body + sizeof body - sizeof finish, finish, sizeof finish);
    lrb_finding finding = judge(200, body);
    CHECK(finding.status == LRB_TARGET_DEGRADED && strlen(finding.reason) < 200 && strstr(finding.reason, "xxx"));
}

TEST(without_memory_nothing_is_found) {
    lrb_finding finding;
    lrb_answer answer = {.http_status = 200, .body = "{" GOOD "}", .body_bytes = strlen("{" GOOD "}")};
    for (int64_t countdown = 0;; countdown++) {
        lrb_mem_fail_after(countdown, true);
        int code = lrb_answer_judge(&answer, &finding, &err);
        lrb_mem_fail_after(-1, false);
        if (!code) break;
        CHECK(code == LRB_E_NOMEM);
    }
    CHECK(finding.status == LRB_TARGET_HEALTHY);
}

int main(void) {
    RUN(an_answer_is_judged_by_its_facts);
    RUN(what_the_receiver_says_is_kept);
    RUN(slow_is_degraded_and_a_missing_key_is_named);
    RUN(texts_are_cut_at_their_field);
    RUN(without_memory_nothing_is_found);
    return check_report();
}
