/* Lists of sources: split, compared as sets, and told apart from what stands for no chunk. */
#include "lightrag/source_list.h"

#include "base/mem.h"
#include "check.h"

static lrb_err err;
static const lrb_hash_key key = {3, 4};

static int split(lrb_source_list *list, const char *text) {
    lrb_sources_empty(list);
    int code = lrb_sources_split(list, &key, text, strlen(text), &err);
    lrb_sources_settle(list);
    return code;
}

static void equal_as_sets(const char *one, const char *other, bool wanted, bool all_wanted) {
    lrb_source_list a = {0}, b = {0};
    CHECK_OK(split(&a, one));
    CHECK_OK(split(&b, other));
    CHECK((a.sum == b.sum) == wanted && (a.sum_all == b.sum_all) == all_wanted);
    lrb_sources_clear(&a);
    lrb_sources_clear(&b);
}

TEST(lists_are_compared_as_sets) {
    equal_as_sets("a<SEP>b", "b<SEP>a", true, true);
    equal_as_sets("a<SEP>b<SEP>a", "b<SEP>a", true, true);
    equal_as_sets("a<SEP>b", "a", false, false);
    equal_as_sets("", "a", false, false);
    equal_as_sets("a<SEP>", "<SEP>a", true, true);
    equal_as_sets("manual_creation", "", true, false);
    equal_as_sets("UNKNOWN", "manual_creation", true, false);
    equal_as_sets("a<SEP>UNKNOWN", "UNKNOWN<SEP>a", true, true);
}

TEST(arrays_and_texts_give_the_same) {
    lrb_source_list array = {0}, text = {0};
    CHECK_OK(split(&text, "one<SEP>two"));
    CHECK_OK(lrb_sources_add(&array, &key, "two", 3, &err));
    CHECK_OK(lrb_sources_add(&array, &key, "one", 3, &err));
    lrb_sources_settle(&array);
    CHECK(array.sum == text.sum && array.count == 2 && text.count == 2);
    lrb_sources_clear(&array);
    lrb_sources_clear(&text);
}

TEST(what_claims_to_be_a_chunk) {
    static const struct { const char *id; bool claims; } cases[] = {
        {"chunk-0123456789abcdef0123456789abcdef", true}, {"chunk-0123456789ABCDEF0123456789abcdef", false},
        {"chunk-123", false}, {"doc-0123456789abcdef0123456789abcdef-chunk-000", true},
        {"doc-0123456789abcdef0123456789abcdef-page-7", true}, {"mydoc-chunk-012", true}, {"mydoc-chunk-1", false},
        {"mydoc-chunk-01x", false}, {"my own notes", false}, {"", false}, {"chunk-", false}, {"-chunk-0000", true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK(lrb_source_claims_chunk(cases[i].id, strlen(cases[i].id)) == cases[i].claims);
    CHECK(!lrb_source_is_chunk("", 0) && !lrb_source_is_chunk("UNKNOWN", 7) && lrb_source_is_chunk("UNKNOWN", 6));
}

TEST(too_many_are_refused) {
    lrb_source_list list = {0};
    for (uint32_t i = 0; i < LRB_SOURCES_MAX; i++)
        if (lrb_sources_add(&list, &key, (const char *)&i, sizeof i, &err)) break;
    CHECK(list.count == LRB_SOURCES_MAX);
    CHECK_FAILS(lrb_sources_add(&list, &key, "one more", 8, &err), LRB_E_INVALID);
    lrb_sources_settle(&list);
    CHECK(list.count == LRB_SOURCES_MAX);
    lrb_sources_clear(&list);
}

TEST(memory_running_out_is_an_error) {
    lrb_source_list list = {0};
    lrb_mem_fail_after(0, false);
    int code = lrb_sources_add(&list, &key, "x", 1, &err);
    lrb_mem_fail_after(-1, false);
    CHECK_FAILS(code, LRB_E_NOMEM);
    lrb_sources_clear(&list);
}

int main(void) {
    RUN(lists_are_compared_as_sets);
    RUN(arrays_and_texts_give_the_same);
    RUN(what_claims_to_be_a_chunk);
    RUN(too_many_are_refused);
    RUN(memory_running_out_is_an_error);
    return check_report();
}
